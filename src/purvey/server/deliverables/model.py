"""A deliverable: what a buyer receives. A file, a URL to open, or a text to read (FU-9)."""

from typing import Literal

import msgspec

DeliverableType = Literal["file", "url", "text"]
Format = Literal["markdown"]


class Content(msgspec.Struct, frozen=True):
    """A checked deliverable that has no id yet. `value` is the URL or the text, `token` the file's id; never both.

    A text without value stands for the listing's key pool.
    """

    type: DeliverableType
    value: str | None = None
    token: str | None = None
    format: Format | None = None

    @property
    def key_pool(self) -> bool:
        """Whether each order gets a key of its own in its place."""
        return self.type == "text" and self.value is None


class NewDeliverable(msgspec.Struct, frozen=True):
    """A deliverable to make: the attributes of the SQL type `deliverable_new`, in its order. `order_id` None: a listing's."""

    account_id: str
    id: str
    order_id: str | None
    type: DeliverableType
    value: str | None
    token: str | None
    format: Format | None


class Deliverable(msgspec.Struct, frozen=True):
    """One row of `deliverables`. It never changes."""

    account_id: str
    id: str
    type: DeliverableType
    value: str | None
    token: str | None
    format: Format | None

    @property
    def key_pool(self) -> bool:
        """Whether each order gets a key of its own in its place: then it is a listing's, and has no value."""
        return self.type == "text" and self.value is None
