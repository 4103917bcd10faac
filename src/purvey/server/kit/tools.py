"""What every action is handed: the world it may touch, and nothing else."""

from dataclasses import dataclass

from purvey.server.kit.clock import Clock
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.kit.ids import Ids


@dataclass(frozen=True, slots=True)
class Tools:
    """The database, the time, chance, the secret keys, and where this server is reached.

    `base_url` has no trailing slash. `private_urls` says whether webhooks may go to private addresses (local development).
    """

    database: Database
    clock: Clock
    ids: Ids
    keyring: Keyring
    base_url: str
    private_urls: bool = False
