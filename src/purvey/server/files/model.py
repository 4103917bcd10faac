"""A file: what a seller uploads once, and attaches to listings and orders."""

from datetime import datetime
from enum import StrEnum

import msgspec

from purvey.server.kit.states import StateTable


class Status(StrEnum):
    """How far a file has got. The row is there before the first byte of it, so that no bytes are left that no row names."""

    ARRIVING = "arriving"
    """In: an upload begins. Out: when it is complete, or broke off; 24 hours after it began at the latest."""
    WAITING = "waiting"
    """In: all bytes are stored. Out: attached to a listing or an order, or removed 24 hours after the upload began."""
    ATTACHED = "attached"
    """In: a listing or an order names it. Out: never. It stays."""
    LEAVING = "leaving"
    """In: it broke off, or nobody attached it. Out: the bytes are removed, and then the row. It can be attached no more."""


TABLE: StateTable[Status] = StateTable(
    start=Status.ARRIVING,
    moves={
        Status.ARRIVING: frozenset({Status.WAITING, Status.LEAVING}),
        Status.WAITING: frozenset({Status.ATTACHED, Status.LEAVING}),
        Status.ATTACHED: frozenset(),
        Status.LEAVING: frozenset({Status.LEAVING}),
    },
)

Loc = tuple[str | int, ...]


class Wanted(msgspec.Struct, frozen=True):
    """A file that a request names, and where it does so."""

    token: str
    loc: Loc


class Named(msgspec.Struct, frozen=True):
    """What is known of a file before its first byte."""

    filename: str
    content_type: str


class NewFile(msgspec.Struct, frozen=True):
    """An upload that begins. `blob` is where its bytes will lie; it is made by chance and tells nothing."""

    account_id: str
    id: str
    named: Named
    blob: str
    created_at: datetime
    expires_at: datetime


class Sum(msgspec.Struct, frozen=True):
    """What all bytes of a file come to: how many they are, and their SHA-256."""

    size: int
    sha256: bytes


class File(msgspec.Struct, frozen=True):
    """One row of `files` whose bytes are all there. `expires_at` None: it is attached, and stays."""

    account_id: str
    id: str
    filename: str
    content_type: str
    blob: str
    size: int
    sha256: bytes
    created_at: datetime
    expires_at: datetime | None
