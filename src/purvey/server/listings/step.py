"""What a change makes of a listing, before it is written."""

from collections.abc import Sequence

import msgspec

from purvey.server.deliverables.model import NewDeliverable
from purvey.server.listings.model import Listing
from purvey.server.listings.shown import NOTHING_REVEALED, Revealed


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What a change makes of a listing, the deliverables that it needs, and the secrets that it reveals."""

    listing: Listing
    made: Sequence[NewDeliverable] = ()
    revealed: Revealed = NOTHING_REVEALED
