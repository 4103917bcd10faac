"""Webhook: another system hears of the payment and delivers by its own means. No grant and no mail from here (FU-5)."""

from purvey.server.fulfillment.kinds.kind import Kind
from purvey.server.orders.model import Status

KIND = Kind(content_type="webhook", after_payment=Status.HANDED_OFF, mail=None)
