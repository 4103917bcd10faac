"""What is measured in the database, and how it is called."""

import msgspec

COUNTED = 10_000
"""Where counting ends: a figure of this size means so many or more."""

DUE_FOR = "purvey_queue_due_seconds"
WAITING = "purvey_queue_waiting_jobs"
LEASED = "purvey_queue_leased_jobs"
OPEN_BREAKERS = "purvey_queue_open_breakers"
UNFULFILLED = "purvey_orders_unfulfilled"
DATABASE_UP = "purvey_database_up"
BUILD = "purvey_build_info"

HELP = {
    DUE_FOR: "Seconds that the oldest due job has waited, lanes with an open breaker aside.",
    WAITING: "Jobs that wait, for their turn or their time; counted to 10000.",
    LEASED: "Jobs that are being run.",
    OPEN_BREAKERS: "Lanes with an open breaker in which something waits; counted to 10000.",
    UNFULFILLED: "Orders that are paid and neither fulfilled nor handed off, by how long ago; each age counted to 10000.",
    DATABASE_UP: "1 when the database has answered, 0 when not; then what it knows is missing.",
    BUILD: "1, with the versions of Purvey and of Python.",
}
"""Each measure that is made when it is asked for, and what it says."""


class Depth(msgspec.Struct, frozen=True):
    """How deep the queue of one lane kind is: `due_for` in seconds, the rest counted up to `COUNTED`."""

    kind: str
    due_for: float
    waiting: int
    leased: int
    open_breakers: int


class Backlog(msgspec.Struct, frozen=True):
    """All that waits: the queue by lane kind, and orders by how long ago they were paid (`under_1m` to `over_1d`)."""

    queue: list[Depth]
    orders: dict[str, int]
