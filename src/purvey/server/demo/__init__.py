"""The demonstration: a server, a seller's agent in a process of its own, and three buyers with a browser of sorts.

Nothing is faked: the server is `purvey serve` on a free port and an empty directory, the buyers fill in the forms that they are
served, and the agent learns of one order by a signed webhook, and of another by a call that it answers.
"""

from purvey.server.demo.play import play

__all__ = ["play"]
