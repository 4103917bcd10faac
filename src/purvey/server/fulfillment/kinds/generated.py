"""Generated: the seller's program hears of the payment, makes the content for this order and delivers it (FU-4, DF-18)."""

from purvey.server.fulfillment.kinds.kind import Kind
from purvey.server.mail.model import Template
from purvey.server.orders.model import Status

KIND = Kind(content_type="generated", after_payment=Status.PROCESSING, mail=Template.CONFIRMATION)
