"""What a buyer bought, on one page: whoever can read the mail of an address sees its purchases, whichever seller they are of.

Nothing here tells whether an address is known: asking does the same for each, in one statement, and what becomes of it is found out
by a job and told by mail alone.

Offers: `actions` (ask for a link, sign in with it, see who is signed in, sign out, list the purchases), `work` (the job that
answers an ask).
"""
