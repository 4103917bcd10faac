"""The transitions of orders, in the database: who wins, what is written, what is not."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import asyncpg
import msgspec
import pytest

from makers import make_account, make_checkout, make_payment, make_tools
from purvey.server.access.rules import new_grant
from purvey.server.deliverables.model import Content
from purvey.server.errors import AlreadyFulfilled, Conflict, InvalidTransition, NotFound
from purvey.server.fulfillment import store
from purvey.server.fulfillment.actions import Fulfillment
from purvey.server.fulfillment.model import Change, Changed, Deliver, Draw, Seen, Transition
from purvey.server.jobs.model import NewJob
from purvey.server.kit.database import Database
from purvey.server.kit.idempotency import Claim, Idempotency
from purvey.server.orders import rules as order_rules
from purvey.server.orders.model import Status
from purvey.server.payments.model import Accepted, NewNotice, Notice, Refused
from sample_orders import sample_order

TEXT = (Content("text", "Taurus: rest."),)


class Shop:
    """A fulfilment on a fresh database, with one account."""

    def __init__(self, database: Database, account_id: str) -> None:
        self.tools = make_tools(database)
        self.account_id = account_id
        self.woken = 0
        self.fulfillment = Fulfillment(self.tools, Idempotency(self.tools), self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def paid(self, **changes: Any) -> Accepted:
        """Return the order of a new checkout, paid."""
        checkout = await make_checkout(self.tools, self.account_id, **changes)
        verdict = await self.fulfillment.paid(make_payment(checkout))
        assert isinstance(verdict, Accepted)
        return verdict

    async def waiting(self) -> Deliver:
        """Return the command that delivers a new generated order."""
        order = await self.paid(content_type="generated", deliverables=())
        return Deliver(self.account_id, order.order_id, TEXT)

    async def count(self, table: str, condition: str = "true") -> int:
        """Return how many rows there are."""
        return int(await self.tools.database.value(f"SELECT count(*) FROM {table} WHERE {condition}"))

    async def events(self) -> list[tuple[int, str, str]]:
        """Return (sequence, type, status in the data) of every event."""
        rows = await self.tools.database.rows("SELECT sequence, type, body FROM events ORDER BY sequence")
        return [(row["sequence"], row["type"], msgspec.json.decode(row["body"])["data"]["status"]) for row in rows]


@pytest.fixture
async def shop(database: Database) -> Shop:
    return Shop(database, await make_account(make_tools(database)))


async def test_a_static_order_is_fulfilled_with_its_payment(shop: Shop) -> None:
    order = await shop.paid()
    [row] = await shop.tools.database.rows("SELECT * FROM orders")
    assert (row["id"], row["status"], len(row["deliverables"])) == (order.order_id, "fulfilled", 1)
    assert await shop.events() == [(1, "order.paid", "paid"), (2, "order.fulfilled", "fulfilled")]
    assert await shop.count("grants") == 1
    assert await shop.count("messages", "template = 'ready'") == 1
    assert await shop.count("jobs", "kind = 'mail.send'") == 1
    assert await shop.count("checkouts", f"status = 'paid' AND order_id = '{order.order_id}'") == 1
    history = await shop.tools.database.rows(
        "SELECT version, from_status, to_status FROM order_history ORDER BY version"
    )
    assert [tuple(step) for step in history] == [(1, None, "paid"), (2, "paid", "fulfilled")]
    assert shop.woken == 1


async def test_a_generated_order_waits_for_its_content(shop: Shop) -> None:
    await shop.paid(content_type="generated", deliverables=())
    assert await shop.count("orders", "status = 'processing'") == 1
    assert await shop.events() == [(1, "order.paid", "paid")]
    assert await shop.count("grants") == 0
    assert await shop.count("messages", "template = 'confirmation'") == 1


async def test_a_webhook_order_is_handed_off_without_grant_or_mail(shop: Shop) -> None:
    await shop.paid(content_type="webhook", deliverables=())
    assert await shop.count("orders", "status = 'handed_off' AND handed_off_at IS NOT NULL") == 1
    assert await shop.events() == [(1, "order.paid", "paid")]
    assert (await shop.count("grants"), await shop.count("messages")) == (0, 0)


async def test_fifty_payments_of_one_checkout_make_one_order(shop: Shop) -> None:
    checkout = await make_checkout(shop.tools, shop.account_id)
    rival = Fulfillment(shop.tools, Idempotency(shop.tools), lambda: None)
    payment = make_payment(checkout)
    verdicts = await asyncio.gather(*[(shop.fulfillment, rival)[n % 2].paid(payment) for n in range(50)])
    assert len({verdict.order_id for verdict in verdicts if isinstance(verdict, Accepted)}) == 1
    assert all(isinstance(verdict, Accepted) for verdict in verdicts)
    assert (await shop.count("orders"), await shop.count("grants"), await shop.count("events")) == (1, 1, 2)


async def test_a_batch_of_payments_is_told_apart(shop: Shop) -> None:
    checkouts = [await make_checkout(shop.tools, shop.account_id) for _ in range(20)]
    verdicts = await asyncio.gather(*[shop.fulfillment.paid(make_payment(one)) for one in checkouts])
    rows = await shop.tools.database.rows("SELECT id, checkout_id FROM orders")
    made = {row["checkout_id"]: row["id"] for row in rows}
    assert [made[one.id] for one in checkouts] == [
        verdict.order_id for verdict in verdicts if isinstance(verdict, Accepted)
    ]
    assert [sequence for sequence, _, _ in await shop.events()] == list(range(1, 41))


async def test_a_payment_of_another_amount_is_refused(shop: Shop) -> None:
    checkout = await make_checkout(shop.tools, shop.account_id)
    verdict = await shop.fulfillment.paid(msgspec.structs.replace(make_payment(checkout), amount=1))
    assert isinstance(verdict, Refused)
    assert "for 500 USD" in verdict.reason
    assert await shop.count("orders") == 0


async def test_a_payment_for_no_checkout_is_refused(shop: Shop) -> None:
    checkout = await make_checkout(shop.tools, shop.account_id)
    verdict = await shop.fulfillment.paid(msgspec.structs.replace(make_payment(checkout), checkout_id="chk_none"))
    assert verdict == Refused("no checkout chk_none")


async def test_one_payment_pays_one_checkout_only(shop: Shop) -> None:
    first, second = [await make_checkout(shop.tools, shop.account_id) for _ in range(2)]
    await shop.fulfillment.paid(make_payment(first, "pay_one"))
    verdict = await shop.fulfillment.paid(make_payment(second, "pay_one"))
    assert isinstance(verdict, Refused)
    assert await shop.count("orders") == 1


async def test_the_notice_is_stored_with_the_order_it_made(shop: Shop) -> None:
    checkout = await make_checkout(shop.tools, shop.account_id)
    payment = make_payment(checkout)
    verdict = await shop.fulfillment.paid(payment, Notice("sandbox", "n_1", "payment.succeeded", "{}", payment))
    assert isinstance(verdict, Accepted)
    assert verdict.stored
    assert await shop.count("notices", "id = 'n_1' AND outcome = 'handled'") == 1


async def test_fifty_deliveries_fulfil_once(shop: Shop) -> None:
    command = await shop.waiting()
    rival = Fulfillment(shop.tools, Idempotency(shop.tools), lambda: None)
    answers = await asyncio.gather(*[(shop.fulfillment, rival)[n % 2].deliver(command) for n in range(50)])
    assert {msgspec.json.decode(answer.shown)["status"] for answer in answers} == {Status.FULFILLED}
    assert (await shop.count("grants"), await shop.count("messages", "template = 'ready'")) == (1, 1)
    assert await shop.count("deliverables", "order_id IS NOT NULL") == 1
    assert await shop.events() == [(1, "order.paid", "paid"), (2, "order.fulfilled", "fulfilled")]


async def test_other_content_for_a_fulfilled_order_is_refused(shop: Shop) -> None:
    command = await shop.waiting()
    await shop.fulfillment.deliver(command)
    with pytest.raises(AlreadyFulfilled):
        await shop.fulfillment.deliver(msgspec.structs.replace(command, content=(Content("text", "Leo: roar."),)))


async def test_a_handed_off_order_cannot_be_delivered(shop: Shop) -> None:
    order = await shop.paid(content_type="webhook", deliverables=())
    with pytest.raises(InvalidTransition) as refused:
        await shop.fulfillment.deliver(Deliver(shop.account_id, order.order_id, TEXT))
    assert refused.value.members["current_status"] == "handed_off"
    assert "processing" in refused.value.members["allowed_statuses"]


async def test_a_refunded_order_cannot_be_delivered(shop: Shop) -> None:
    command = await shop.waiting()
    await shop.tools.database.write(
        "UPDATE orders SET payment_status = 'refunded', refund_amount = amount, refunded_at = paid_at"
    )
    with pytest.raises(InvalidTransition):
        await shop.fulfillment.deliver(command)


async def test_another_account_cannot_deliver_even_in_the_same_batch(shop: Shop) -> None:
    command = await shop.waiting()
    stranger = await make_account(shop.tools, "Stranger")
    foreign = msgspec.structs.replace(command, account_id=stranger)
    theirs, ours = await asyncio.gather(
        shop.fulfillment.deliver(foreign), shop.fulfillment.deliver(command), return_exceptions=True
    )
    assert isinstance(theirs, NotFound)
    assert not isinstance(ours, BaseException)


async def test_metadata_of_a_delivery_is_kept(shop: Shop) -> None:
    command = await shop.waiting()
    await shop.fulfillment.deliver(msgspec.structs.replace(command, metadata={"model": "seer-2"}))
    assert msgspec.json.decode(await shop.tools.database.value("SELECT metadata FROM orders")) == {"model": "seer-2"}


async def test_no_access_token_is_stored_in_the_clear(shop: Shop) -> None:
    await shop.paid()
    sealed = await shop.tools.database.value("SELECT access_sealed FROM orders")
    token = shop.tools.keyring.open(sealed).encode()
    for table in ("orders", "messages", "events", "jobs", "grants"):
        dump = await shop.tools.database.value(f"SELECT string_agg(t::text, ' ') FROM {table} t")
        assert token.decode() not in (dump or "")


async def test_processes_that_share_checkouts_do_not_wait_for_each_other_in_a_circle(shop: Shop) -> None:
    """One process holds the first checkout and wants the second; the other comes for both, with ids that sort the other way."""
    make = "SELECT orders_make($1::order_new[])"

    def order(number: int, order_id: str) -> tuple[Any, ...]:
        token = order_id.encode()
        return store._new(
            sample_order(
                id=order_id,
                checkout_id=f"chk_{number}",
                payment_reference=f"pay_{number}",
                access_hash=token,
                access_sealed=token,
            )
        )

    database = shop.tools.database
    async with database.transaction() as one:
        await one.fetch(make, [order(1, "ord_a1")])
        other = asyncio.create_task(database.pool.fetch(make, [order(1, "ord_b2"), order(2, "ord_b1")]))
        while not await database.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            assert not other.done()
        await one.fetch(make, [order(2, "ord_a2")])
    assert await other == []
    assert await shop.count("orders") == 2


async def test_one_poisoned_payment_among_64_fails_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    commit = store.commit

    async def counted(database: Database, transitions: Sequence[Transition], now: datetime) -> set[str]:
        batches.append(len(transitions))
        return await commit(database, transitions, now)

    monkeypatch.setattr(store, "commit", counted)
    # The database refuses a grant of no downloads; nothing before it would.
    checkouts = [
        await make_checkout(shop.tools, shop.account_id, **({"grant_downloads": 0} if n == 40 else {}))
        for n in range(128)
    ]
    verdicts = await asyncio.gather(
        *[shop.fulfillment.paid(make_payment(one)) for one in checkouts], return_exceptions=True
    )
    assert sorted(batches) == [1] * 64 + [64, 64]
    assert [n for n, verdict in enumerate(verdicts) if not isinstance(verdict, Accepted)] == [40]
    assert isinstance(verdicts[40], asyncpg.CheckViolationError)
    assert (await shop.count("orders"), await shop.count("grants"), await shop.count("events")) == (127, 127, 254)
    assert [sequence for sequence, _, _ in await shop.events()] == list(range(1, 255))


def renamed(name: str, seen: Seen, _: Draw) -> Transition:
    """Decide to set the buyer's address, each time anew."""
    after = order_rules.change(seen.order, buyer_email=f"{seen.order.version}-{name}")
    return Transition(
        before=seen.order, after=after, steps=order_rules.steps(seen.order, [("rename", after)], "a test")
    )


async def test_rivals_decide_anew_on_what_the_other_has_written(shop: Shop) -> None:
    order = await shop.paid()
    rivals = [shop.fulfillment, *[Fulfillment(shop.tools, Idempotency(shop.tools), lambda: None) for _ in range(2)]]

    async def change(number: int) -> Changed:
        command = Change(
            account_id=shop.account_id, order_id=order.order_id, decide=partial(renamed, f"{number}@example.com")
        )
        return await rivals[number % len(rivals)].change(command)

    changed = await asyncio.gather(*[change(number) for number in range(12)])
    assert sorted(one.order.version for one in changed) == list(range(3, 15))
    assert all(one.order.buyer_email.startswith(f"{one.order.version - 1}-") for one in changed)
    assert await shop.count("order_history", "action = 'rename'") == 12


async def test_a_change_that_was_committed_before_its_connection_was_lost_is_made_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await shop.paid()
    commit = store.commit

    async def committed_twice(database: Database, transitions: Sequence[Transition], now: datetime) -> set[str]:
        await commit(database, transitions, now)
        return await commit(database, transitions, now)

    monkeypatch.setattr(store, "commit", committed_twice)
    changed = await shop.fulfillment.change(
        Change(account_id=shop.account_id, order_id=order.order_id, decide=partial(renamed, "ada@example.com"))
    )
    assert (changed.written, changed.order.version) == (True, 3)
    assert await shop.tools.database.value("SELECT buyer_email FROM orders") == "2-ada@example.com"
    assert await shop.count("order_history") == 3


async def test_a_request_that_lost_its_claim_changes_nothing(shop: Shop) -> None:
    order = await shop.paid()
    records = Idempotency(shop.tools)
    claim = await records.claim(shop.account_id, "key", ["POST", "/"], b"{}")
    assert isinstance(claim, Claim)
    await shop.tools.database.write("UPDATE idempotency_records SET token = gen_random_uuid()")
    with pytest.raises(Conflict):
        await shop.fulfillment.change(
            Change(
                account_id=shop.account_id,
                order_id=order.order_id,
                decide=partial(renamed, "ada@example.com"),
                claim=claim,
            )
        )
    assert await shop.count("orders", "version = 2") == 1


async def test_what_a_transition_brings_is_written_with_it(shop: Shop) -> None:
    order = await shop.paid()
    job = NewJob("job_1", "checkout", "some.kind", shop.account_id, "ref", shop.tools.clock.now())

    def decide(seen: Seen, draw: Draw) -> Transition:
        link = draw.new_link()
        after = order_rules.change(seen.order, access_hash=link.hash, access_sealed=link.sealed, fresh_links=1)
        return Transition(
            before=seen.order,
            after=after,
            steps=order_rules.steps(seen.order, [("renew", after)], "a test"),
            ends_grant=True,
            grant=new_grant(after, draw.new_id("grt_"), draw.now),
            jobs=[job],
            notice=NewNotice("sandbox", "n_2", "some.type", "{}", msgspec.Raw(b"{}"), after.id),
        )

    changed = await shop.fulfillment.change(Change(account_id=shop.account_id, order_id=order.order_id, decide=decide))
    row = await shop.tools.database.row("SELECT access_hash, fresh_links FROM orders")
    assert row is not None
    assert tuple(row) == (changed.order.access_hash, 1)
    assert (await shop.count("grants"), await shop.count("grants", "revoked_at IS NULL")) == (2, 1)
    assert await shop.count("jobs", "id = 'job_1'") == 1
    assert await shop.count("notices", "id = 'n_2' AND outcome = 'handled'") == 1
