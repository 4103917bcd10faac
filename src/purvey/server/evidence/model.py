"""Evidence, as the API shows it. Its words are those of Stripe's evidence fields where there is one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from purvey.server.access.model import What


class Opened(msgspec.Struct, frozen=True):
    """The order was bought, looked at or opened. `address` is known where it was kept, once for each hour and thing."""

    at: datetime
    what: What
    deliverable_id: str | None
    address: str | None
    agent: str | None


class Mailed(msgspec.Struct, frozen=True):
    """A mail about the order. `sent_at` is when the mail server took it."""

    template: str
    subject: str
    recipient: str
    status: str
    created_at: datetime
    sent_at: datetime | None


class Happened(msgspec.Struct, frozen=True):
    """A change of the order."""

    at: datetime
    action: str
    actor: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What proves that an order was delivered.

    `customer_purchase_ip` is from where the order form was sent off, or else where the buyer came back to from paying; None when a
    program did the one and nobody the other. `submission` has what Stripe's evidence takes as text, by its own field names.
    """

    object: Literal["evidence"] = "evidence"
    order_id: str
    product_description: str
    customer_email_address: str
    customer_purchase_ip: str | None
    checkout_data: msgspec.Raw
    amount: int
    currency: str
    payment_provider: str
    payment_reference: str
    dispute_status: str | None
    dispute_reason: str | None
    dispute_due_at: datetime | None
    service_date: datetime | None
    refund_policy_disclosure: str
    delivery: Sequence[Happened]
    mails: Sequence[Mailed]
    access: Sequence[Opened]
    access_activity_log: str
    submission: Mapping[str, str]
