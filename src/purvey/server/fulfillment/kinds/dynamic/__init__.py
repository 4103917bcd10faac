"""Dynamic: the moment an order is paid, its seller's server is called, and what it answers is what the buyer gets (DW-1 to DW-28).

`payload` is what is sent, `signing` proves from whom; `answers` says which answers are accepted and how each is stored; `rules`
when a call is made again; `outcomes` what becomes of the order; `work` makes the call; `actions` are what a seller asks for.
"""

from purvey.server.fulfillment.kinds.dynamic import payload
from purvey.server.fulfillment.kinds.kind import Kind
from purvey.server.orders.model import Status

KIND = Kind(
    content_type="dynamic",
    after_payment=Status.PROCESSING,
    mail=None,  # it follows in seconds, with the answer or with word that it takes longer
    delivery_status="pending",
    callback=payload.callback,
)
