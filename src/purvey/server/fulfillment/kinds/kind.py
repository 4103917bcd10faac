"""What a kind of goods decides: what becomes of an order the moment it is paid, and what its buyer is told then."""

import msgspec

from purvey.server.mail.model import Template
from purvey.server.orders.model import ContentType, Status


class Kind(msgspec.Struct, frozen=True):
    """`after_payment` is the status that a paid order takes at once; `mail` is sent with the payment, None sends nothing."""

    content_type: ContentType
    after_payment: Status
    mail: Template | None
