"""Static: the content was attached to the listing, so that the buyer has it the moment the payment is confirmed (FU-3)."""

from purvey.server.fulfillment.kinds.kind import Kind
from purvey.server.mail.model import Template
from purvey.server.orders.model import Status

KIND = Kind(content_type="static", after_payment=Status.FULFILLED, mail=Template.READY)
