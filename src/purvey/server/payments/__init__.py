"""Payment providers behind one protocol, and the inbox of their notices.

A notice is verified, stored once by the provider's own id, and handed on through a table that the composition root fills: this
room knows no orders. Offers: `model.Payment` (what a provider confirmed), `inbox.Inbox`, `provider.Provider`,
and the SQL function `notices_handled`, for the transaction that acts on a notice.
"""
