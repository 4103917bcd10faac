"""Messages: queued in the transaction of what they tell, rendered and sent by the queue.

Offers: `model` (what to queue; the SQL function `messages_queue` of this room's migration takes it), `work` (the job that sends),
`transports` (an SMTP server, or the built-in mailbox), `actions` (reading the mailbox).

A mail holds no content, only a link: to the order's page, or into the buyer's library. One whose link has died while it waited is
not sent. A crash between a mail server's "accepted" and our record of it sends the mail a second time, with the same Message-ID.
"""
