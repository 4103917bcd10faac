"""Idempotency keys: the same request again has no second effect and gets the first answer, byte for byte.

A request claims its key, for a lease. What it does and its answer are then written in one transaction, so that there is never an
effect without its answer. A run that fails gives its claim back and stores nothing; one that dies loses it when the lease ends,
and then the request may run again, because nothing of it was written. A run whose lease ended meanwhile writes nothing either.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from purvey.server.kit.batching import Batcher
from purvey.server.kit.database import Database, Record
from purvey.server.kit.problem import IdempotencyKeyInvalid, IdempotencyKeyReuse, IdempotencyRequestInProgress
from purvey.server.kit.tools import Tools

LEASE = timedelta(seconds=45)
"""How long a run holds its claim at most; what a dead one held is free after that."""
KEPT = timedelta(hours=24)
"""How long an answer is kept."""
LONGEST = 255
"""Characters of a key at most."""

CLAIM = "SELECT * FROM idempotency_claim($1::idempotency_claim[], $2, $3, $4)"
RECORD = "SELECT * FROM idempotency_record($1::idempotency_answer[])"
WITHDRAW = "DELETE FROM idempotency_records WHERE account_id = $1 AND id = $2 AND token = $3"
RELEASE = f"{WITHDRAW} AND answer IS NULL"


class Claim(msgspec.Struct, frozen=True):
    """The right to run a request: the attributes of the SQL type `idempotency_claim`, in its order."""

    account_id: str
    id: bytes
    fingerprint: bytes
    token: UUID


class NewAnswer(msgspec.Struct, frozen=True):
    """An answer to be written with its effect: the attributes of the SQL type `idempotency_answer`, in its order."""

    account_id: str
    id: bytes
    token: UUID
    answer: bytes
    leased_until: datetime | None


class Idempotency:
    """The records of a database. Claims that come in together are made in one statement."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._claims: Batcher[Claim, Record] = Batcher(self._claim_all, key=lambda claim: (claim.account_id, claim.id))

    async def claim(self, account_id: str, key: str, scope: Sequence[str], request: bytes) -> Claim | bytes:
        """Claim `key` for a request, or return the answer that the same request had.

        `scope` says who asks where: the same key elsewhere is another key. `request` is what was asked. Raises
        IdempotencyKeyInvalid, IdempotencyKeyReuse (another request had the key) and IdempotencyRequestInProgress.
        """
        if not 0 < len(key) <= LONGEST:
            raise IdempotencyKeyInvalid(
                f"The Idempotency-Key has {len(key)} characters; it must have 1 to {LONGEST}.", param="Idempotency-Key"
            )
        name = hashlib.sha256("\0".join([*scope, key]).encode()).digest()
        token = UUID(bytes=self._tools.ids.random_bytes(16))
        claim = Claim(account_id, name, hashlib.sha256(request).digest(), token)
        return self._outcome(claim, await self._claims.submit(claim))

    def answer(self, claim: Claim, body: bytes, *, final: bool = True) -> NewAnswer:
        """Return the row of an answer. One that is not final may be bettered by the run that goes on."""
        until = None if final else self._tools.clock.now() + LEASE
        return NewAnswer(claim.account_id, claim.id, claim.token, self._tools.keyring.seal_bytes(body), until)

    async def record(self, database: Database, answer: NewAnswer) -> None:
        """Write an answer, through the `database` of the transaction that it belongs to; raise if the claim is lost."""
        if not await database.write(RECORD, [msgspec.structs.astuple(answer)]):
            raise IdempotencyRequestInProgress(
                "This took so long that another request with its Idempotency-Key has begun; nothing was done here."
            )

    async def finish(self, answer: NewAnswer) -> None:
        """Write the last answer of a run that may have written one before; one that lost its claim leaves what there is."""
        await self._tools.database.write(RECORD, [msgspec.structs.astuple(answer)], again=True)

    async def release(self, claim: Claim) -> None:
        """Give a claim back: nothing was done."""
        await self._tools.database.write(RELEASE, claim.account_id, claim.id, claim.token, again=True)

    async def withdraw(self, claim: Claim) -> None:
        """Forget a claim with the answer that it had so far: what the answer spoke of came to nothing."""
        await self._tools.database.write(WITHDRAW, claim.account_id, claim.id, claim.token, again=True)

    async def _claim_all(self, claims: Sequence[Claim]) -> list[Record]:
        now = self._tools.clock.now()
        rows = await self._tools.database.write(
            CLAIM, [msgspec.structs.astuple(claim) for claim in claims], now, now + LEASE, now + KEPT, again=True
        )
        found = {(row["account_id"], row["id"]): row for row in rows}
        return [found[claim.account_id, claim.id] for claim in claims]

    def _outcome(self, claim: Claim, row: Record) -> Claim | bytes:
        if row["token"] == claim.token:
            return claim
        if row["fingerprint"] != claim.fingerprint:
            raise IdempotencyKeyReuse(
                "This Idempotency-Key was used for another request within 24 hours; use a new key for a new request.",
                param="Idempotency-Key",
            )
        if row["answer"] is None or (row["leased_until"] and row["leased_until"] > self._tools.clock.now()):
            raise IdempotencyRequestInProgress(
                "A request with this Idempotency-Key is under way. Try again in a moment to get its answer.",
                retry_after=1,
            )
        return self._tools.keyring.open_bytes(row["answer"])
