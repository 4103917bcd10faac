"""What was bought, and from whom, as an order and a checkout keep it."""

import msgspec


class Bought(msgspec.Struct, frozen=True):
    """The name of a listing, or the name and e-mail address of a seller."""

    name: str
    email: str = ""


def bought(document: msgspec.Raw) -> Bought:
    """Read the `listing` or the `seller` of an order."""
    return msgspec.json.decode(document, type=Bought)
