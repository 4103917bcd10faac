"""Endpoints and deliveries in SQL: who is told of what, and what becomes of it when endpoints change."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from fakes import START
from purvey.server.jobs import store as jobs_store
from purvey.server.jobs.model import Job
from purvey.server.kit.crypto import Keyring
from purvey.server.kit.database import Database
from purvey.server.webhooks import store
from purvey.server.webhooks.model import STATES, DeliveryStatus, Record
from queueing import claim, lane_of
from telling import ACCOUNT, add_endpoint, append, attempts, deliveries, set_callback, statuses

URL = "https://seller.example/hooks"
OTHER_URL = "https://seller.example/new"
KEYRING = Keyring(["k" * 32])
LATER = START + timedelta(hours=1)


async def claimed(database: Database, **how: Any) -> list[Job]:
    return await claim(database, wants={"webhook": 100}, **how)


def record_of(job: Job, **what: Any) -> Record:
    fields: dict[str, Any] = {
        "account_id": ACCOUNT,
        "delivery_id": job.ref,
        "endpoint_id": "whk_lst_1",
        "job_id": job.id,
        "lease_token": job.lease_token,
        "attempt": job.attempt,
    }
    return Record(**(fields | what))


def tried(job: Job, status: str, **what: Any) -> Record:
    made: dict[str, Any] = {
        "status": DeliveryStatus(status),
        "attempt_id": f"att_{job.id}_{job.attempt}",
        "started_at": START,
        "duration_ms": 5,
        "status_code": 200 if status == "delivered" else 500,
        "answer": "well",
        "target": "answered" if status == "delivered" else "failed",
    }
    return record_of(job, **(made | what))


async def test_an_event_makes_one_delivery_and_one_job_for_its_listing_s_callback(database: Database) -> None:
    assert await set_callback(database, KEYRING, URL) == "whk_lst_1"
    await append(database, "evt_1")
    [made] = await deliveries(database)
    assert (made["event_id"], made["endpoint_id"], made["order_id"]) == ("evt_1", "whk_lst_1", "ord_evt_1")
    assert (made["status"], made["generation"], made["attempts"]) == ("waiting", 1, 0)
    [job] = await claimed(database)
    assert (job.ref, job.kind, job.account_id, job.id) == (made["id"], store.JOB, ACCOUNT, made["job_id"])
    assert (await lane_of(database, job.lane_id))["target"] == URL


async def test_only_who_wants_an_event_is_told(database: Database) -> None:
    await set_callback(database, KEYRING, URL, listing="lst_1")
    await set_callback(database, KEYRING, URL, listing="lst_2")
    await add_endpoint(database, KEYRING, "whk_all", URL)
    await add_endpoint(database, KEYRING, "whk_refunds", URL, events=("order.refunded", "order.disputed"))
    await add_endpoint(database, KEYRING, "whk_lst_2_only", URL, listing="lst_2")
    await add_endpoint(database, KEYRING, "whk_stranger", URL, account="acc_2")
    await append(database, "evt_paid", listing="lst_1")
    await append(database, "evt_refunded", listing="lst_2", kind="order.refunded")
    assert set(await statuses(database)) == {
        "evt_paid whk_lst_1",
        "evt_paid whk_all",
        "evt_refunded whk_lst_2",
        "evt_refunded whk_all",
        "evt_refunded whk_refunds",
        "evt_refunded whk_lst_2_only",
    }


async def test_an_event_that_nobody_wants_makes_nothing(database: Database) -> None:
    await append(database, "evt_1")
    assert await deliveries(database) == []
    assert await database.value("SELECT count(*) FROM jobs") == 0


async def test_a_batch_of_events_is_told_whole(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, *(f"evt_{n}" for n in range(30)))
    assert len(await deliveries(database)) == 30
    assert await database.value("SELECT count(*) FROM jobs") == 30
    assert len(await claimed(database)) == 2  # what a URL gets that has answered nothing yet


async def test_an_event_that_is_not_committed_tells_nobody(database: Database) -> None:
    await set_callback(database, KEYRING, URL)

    async with database.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        row = (ACCOUNT, "evt_1", "order.paid", "lst_1", "ord_1", "{}")
        await connection.execute("SELECT events_append($1::event_new[], $2)", [row], START)
        assert await claimed(database) == []
        await transaction.rollback()
    assert await deliveries(database) == []
    assert await claimed(database) == []


async def test_endpoints_with_one_url_share_a_lane_and_accounts_never_do(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await add_endpoint(database, KEYRING, "whk_same", URL)
    await add_endpoint(database, KEYRING, "whk_other", OTHER_URL)
    await add_endpoint(database, KEYRING, "whk_stranger", URL, account="acc_2")
    rows = await database.rows("SELECT id, lane_id FROM endpoints")
    lanes = {row["id"]: row["lane_id"] for row in rows}
    assert lanes["whk_same"] == lanes["whk_lst_1"]
    assert len({lanes["whk_same"], lanes["whk_other"], lanes["whk_stranger"]}) == 3
    assert lanes["whk_same"].startswith("webhook:acc_1:")
    assert len(lanes["whk_same"]) == len("webhook:acc_1:") + 22


async def test_what_is_due_is_loaded_for_all_jobs_at_once_with_the_present_url(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1", "evt_2")
    jobs = await claimed(database)
    await set_callback(database, KEYRING, OTHER_URL, secret="a secret that is newer")
    gone = msgspec.structs.replace(jobs[0], ref="dlv_gone")
    stale = msgspec.structs.replace(jobs[0], id="job_stale")
    first, second, *nothing = await store.due(database, [*jobs, gone, stale])
    assert nothing == [None, None]
    assert first is not None
    assert second is not None
    assert [first.event_id, second.event_id] == await events_of(database, jobs)
    assert first.url == OTHER_URL
    assert KEYRING.open(first.secret) == "a secret that is newer"
    assert first.body == await database.value("SELECT body FROM events WHERE id = $1", first.event_id)


async def events_of(database: Database, jobs: list[Job]) -> list[str]:
    made = {row["id"]: row["event_id"] for row in await deliveries(database)}
    return [made[job.ref] for job in jobs]


async def test_a_delivery_is_recorded_with_its_attempt_and_its_job_goes(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1")
    [job] = await claimed(database)
    assert await store.record(database, [tried(job, "delivered")], LATER) == {job.id}
    [made] = await deliveries(database)
    assert (made["status"], made["attempts"], made["finished_at"]) == ("delivered", 1, LATER)
    [attempt] = await attempts(database)
    assert (attempt["number"], attempt["status_code"], attempt["answer"]) == (1, 200, "well")
    assert await database.value("SELECT count(*) FROM jobs") == 0
    assert (await lane_of(database, job.lane_id))["in_flight"] == 0


async def test_a_failed_attempt_waits_for_the_next_and_keeps_the_time_of_the_first(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1")
    [job] = await claimed(database)
    await store.record(database, [tried(job, "waiting", next_at=LATER)], START)
    [made] = await deliveries(database)
    assert (made["status"], made["attempts"], made["next_attempt_at"]) == ("waiting", 1, LATER)
    [job] = await claimed(database, now=LATER)
    assert job.attempt == 2
    await store.record(database, [tried(job, "given_up", started_at=LATER)], LATER)
    [made] = await deliveries(database)
    assert (made["status"], made["attempts"], made["first_attempt_at"]) == ("given_up", 2, START)
    assert [attempt["number"] for attempt in await attempts(database)] == [1, 2]


async def test_who_lost_the_lease_records_nothing_and_the_others_in_the_batch_do(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1", "evt_2")
    lost, kept = await claimed(database)
    await jobs_store.renew(database, [kept], LATER + timedelta(hours=1))
    await jobs_store.rescue(database, LATER)
    [again] = await claimed(database, now=LATER)
    held = await store.record(database, [tried(lost, "given_up"), tried(kept, "delivered")], LATER)
    assert held == {kept.id}
    assert {row["id"]: row["status"] for row in await deliveries(database)} == {
        lost.ref: "waiting",
        kept.ref: "delivered",
    }
    assert [attempt["delivery_id"] for attempt in await attempts(database)] == [kept.ref]
    assert await store.record(database, [tried(again, "delivered")], LATER) == {lost.id}


async def test_the_same_result_twice_is_recorded_once(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1")
    [job] = await claimed(database)
    assert await store.record(database, [tried(job, "delivered")], LATER) == {job.id}
    assert await store.record(database, [tried(job, "delivered")], LATER) == set()
    assert len(await attempts(database)) == 1


async def test_a_new_url_takes_the_waiting_deliveries_along_to_its_own_lane(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1", "evt_2")
    [running] = await claimed(database, per_lane=1)
    old_lane = running.lane_id
    await set_callback(database, KEYRING, OTHER_URL)
    [moved] = await claimed(database)
    assert (await lane_of(database, moved.lane_id))["target"] == OTHER_URL
    await store.record(database, [tried(running, "waiting", next_at=LATER)], START)
    [retried] = await claimed(database, now=LATER)
    assert retried.lane_id == moved.lane_id
    assert (await lane_of(database, old_lane))["in_flight"] == 0


async def test_a_callback_that_is_removed_parks_what_waits_and_whatever_comes(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1")
    assert await set_callback(database, KEYRING, None) is None
    await append(database, "evt_2")
    assert await statuses(database) == {"evt_1 whk_lst_1": "parked", "evt_2 whk_lst_1": "parked"}
    assert await claimed(database, now=LATER) == []
    assert await database.value("SELECT count(*) FROM jobs") == 0


async def test_a_callback_that_comes_back_resumes_what_was_parked_at_the_new_url(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1")
    [job] = await claimed(database)
    await store.record(database, [tried(job, "waiting", next_at=LATER)], START)
    await set_callback(database, KEYRING, None)
    assert await set_callback(database, KEYRING, OTHER_URL, at=LATER) == "whk_lst_1"
    assert await statuses(database) == {"evt_1 whk_lst_1": "waiting"}
    [resumed] = await claimed(database, now=LATER)
    assert (resumed.attempt, resumed.ref) == (1, job.ref)
    assert (await lane_of(database, resumed.lane_id))["target"] == OTHER_URL
    await store.record(database, [tried(resumed, "delivered", started_at=LATER, attempt_id="att_2")], LATER)
    assert [attempt["number"] for attempt in await attempts(database)] == [1, 2]


async def test_removing_a_callback_that_was_never_set_changes_nothing(database: Database) -> None:
    assert await set_callback(database, KEYRING, None) is None
    assert await database.value("SELECT count(*) FROM endpoints") == 0


async def test_a_gone_endpoint_is_disabled_and_parks_all_but_what_is_being_sent(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1", "evt_2", "evt_3")
    [told_gone] = await claimed(database, per_lane=1)
    [sending] = await claimed(database, per_lane=1)
    due, _ = await store.due(database, [told_gone, sending])
    assert due is not None
    assert await store.disable_gone(database, due, START)
    await store.record(database, [tried(told_gone, "parked", status_code=410)], START)
    await store.record(database, [tried(sending, "waiting", next_at=LATER)], START)
    assert sorted((await statuses(database)).values()) == ["parked", "parked", "waiting"]
    reason = await database.value("SELECT disabled_reason FROM endpoints")
    assert reason == "gone"
    [late] = await store.due(database, await claimed(database, now=LATER))
    assert late is not None
    assert late.endpoint_status == "disabled"


async def test_a_gone_that_came_from_an_older_url_disables_nothing(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1")
    [due] = await store.due(database, await claimed(database))
    assert due is not None
    await set_callback(database, KEYRING, OTHER_URL)
    assert not await store.disable_gone(database, due, START)
    assert await database.value("SELECT status FROM endpoints") == "enabled"


async def test_a_new_secret_alone_does_not_enable_an_endpoint_that_is_gone_but_a_new_url_does(
    database: Database,
) -> None:
    await set_callback(database, KEYRING, URL)
    await database.write("SELECT webhooks_disable($1, 'whk_lst_1', 'gone', NULL, $2)", ACCOUNT, START)
    await set_callback(database, KEYRING, URL, secret="a newer secret")
    assert await database.value("SELECT status FROM endpoints") == "disabled"
    await set_callback(database, KEYRING, OTHER_URL)
    assert await database.value("SELECT status FROM endpoints") == "enabled"


async def test_an_event_that_commits_while_its_endpoint_is_being_disabled_is_parked_too(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    async with database.transaction() as appending:
        row = (ACCOUNT, "evt_1", "order.paid", "lst_1", "ord_1", "{}")
        await appending.execute("SELECT events_append($1::event_new[], $2)", [row], START)
        disabling = asyncio.create_task(set_callback(database, KEYRING, None))
        waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        async with asyncio.timeout(20):
            while not await database.value(waits):
                pass
    await disabling
    assert await statuses(database) == {"evt_1 whk_lst_1": "parked"}


async def test_a_job_that_outlived_its_delivery_s_parking_has_nothing_to_do(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1")
    [job] = await claimed(database)
    await store.record(database, [record_of(job, status=DeliveryStatus.PARKED)], START)
    await database.write("SELECT webhooks_enable($1, 'whk_lst_1', $2)", ACCOUNT, LATER)
    assert await store.due(database, [job]) == [None]
    [resumed] = await claimed(database, now=LATER)
    assert [due is not None for due in await store.due(database, [resumed])] == [True]
    assert await attempts(database) == []


async def test_a_delivery_that_is_parked_after_its_endpoint_was_enabled_again_is_resumed(database: Database) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1")
    [job] = await claimed(database)
    await database.write("SELECT webhooks_disable($1, 'whk_lst_1', 'by_seller', NULL, $2)", ACCOUNT, START)
    await database.write("SELECT webhooks_enable($1, 'whk_lst_1', $2)", ACCOUNT, START)
    await store.record(database, [record_of(job, status=DeliveryStatus.PARKED)], LATER)
    assert await statuses(database) == {"evt_1 whk_lst_1": "waiting"}
    [resumed] = await claimed(database, now=LATER)
    assert resumed.ref == job.ref


async def test_endpoints_that_share_a_url_share_the_lowest_rate_that_they_ask_for(database: Database) -> None:
    async def make(endpoint: str, rate: float | None) -> None:
        await database.write(
            "SELECT webhooks_endpoint_make($1, $2, $2, $3, '{}', NULL, 'enabled', 'body', $4, 'x', $5)",
            *(ACCOUNT, endpoint, URL, rate, START),
        )

    async def rate() -> float | None:
        found: float | None = await database.value("SELECT rate_per_second FROM lanes WHERE kind = 'webhook'")
        return found

    await make("whk_1", None)
    assert await rate() is None
    await make("whk_2", 7)
    await make("whk_3", 3)
    assert await rate() == 3
    await database.write("SELECT webhooks_endpoint_delete($1, 'whk_3', $2)", ACCOUNT, START)
    assert await rate() == 7


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("UPDATE deliveries SET status = 'delivered'", "deliveries_check"),
        ("UPDATE deliveries SET job_id = NULL", "deliveries_check"),
        ("UPDATE deliveries SET status = 'lost', job_id = NULL, next_attempt_at = NULL", "deliveries_status_check"),
        ("UPDATE endpoints SET status = 'disabled'", "endpoints_check"),
        ("UPDATE endpoints SET events = '{order.eaten}'", "endpoints_events_check"),
        ("UPDATE endpoints SET previous_secret = 'x'", "endpoints_check"),
        ("UPDATE endpoints SET lane_id = 'nowhere'", "endpoints_lane_id_fkey"),
        ("DELETE FROM endpoints", "deliveries_account_id_endpoint_id_fkey"),
        (
            """INSERT INTO deliveries SELECT account_id, 'dlv_again', endpoint_id, event_id, event_sequence, order_id,
               generation, status, 'job_again', 0, NULL, next_attempt_at, created_at, NULL FROM deliveries""",
            "deliveries_account_id_event_id_endpoint_id_generation_key",
        ),
    ],
)
async def test_the_database_refuses_rows_that_cannot_be(database: Database, change: str, constraint: str) -> None:
    await set_callback(database, KEYRING, URL)
    await append(database, "evt_1")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match=constraint):
        await database.write(change)


async def test_the_database_knows_the_states_of_the_table_and_no_others(database: Database) -> None:
    definition = await database.value(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'deliveries_status_check'"
    )
    assert set(definition.split("'")[1::2]) == {state.value for state in STATES.moves}
