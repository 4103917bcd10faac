"""From nothing to taking money by Stripe: each thing that is missing is said in a sentence, with the step that mends it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from fakes import FakeClock
from makers import SECRET_KEY
from market import Market, expect, open_market, stripe_settings
from purvey.server.cli import main
from purvey.server.doctor.examination import examine
from purvey.server.doctor.model import Checked
from purvey.server.kit.database import Database
from purvey.server.payments.stripe.examining import RIGHTS, Right
from purvey.server.payments.stripe.notices import WANTED
from purvey.server.settings import Settings
from running import until
from stripe_standin.server import PLATFORM, Fault, Stripe, open_stripe
from stripe_standin.server import SECRET_KEY as STRIPE_KEY

RESTRICTED, LIVE, OWN = "rk_test_restricted00000", "rk_live_restricted00000", "sk_test_thesellersownkey"
URL = "https://203.0.113.7"
NOTICES = f"{URL}/payments/stripe/notices"
PATHS = {
    "Checkout Sessions: write": "checkout/sessions",
    "PaymentIntents: read": "GET payment_intents",
    "Charges and Refunds: write": "refunds",
    "Disputes: read": "GET disputes",
    "Events: read": "GET events",
    "Accounts: read": "GET account",
    "Webhook Endpoints: read": "GET webhook_endpoints",
}
"""What the rights of a restricted key open at the stand-in. Charges are read by the right to refunds, as at Stripe."""


@pytest.fixture
async def stripe(clock: FakeClock) -> AsyncIterator[Stripe]:
    """A Stripe whose notices wait until they are sent."""
    async with open_stripe(lambda: int(clock.now().timestamp())) as opened:
        yield opened


def rights(*of: Right) -> set[str]:
    """Return what these rights open at the stand-in."""
    return {PATHS[str(right)] for right in of} | (
        {"GET charges"} if any("Charges" in str(one) for one in of) else set()
    )


def endpoint(stripe: Stripe, **fields: Any) -> None:
    """Let Stripe have an endpoint, which leads here and sends all, unless told otherwise."""
    stripe.books.new(
        PLATFORM, "webhook_endpoint", "we_", **{"url": NOTICES, "status": "enabled", "enabled_events": ["*"]} | fields
    )


async def look(stripe: Stripe, folder: Path, check: str = "stripe", **changes: Any) -> Checked:
    """Return what the doctor finds at a public address, with a live key, unless told otherwise."""
    told = stripe_settings(stripe) | {"base_url": URL, "smtp_url": "smtp://127.0.0.1:1", "stripe_secret_key": LIVE}
    found = {one.check: one for one in await examine(Settings(**{"data_dir": folder, **told, **changes}))}
    assert found[check].says.endswith("."), found[check]
    assert STRIPE_KEY not in str(found)
    assert LIVE not in str(found)
    return found[check]


def assert_found(checked: Checked, level: str, *words: str) -> None:
    """A finding has this level, and these words in what it says or advises."""
    assert checked.level == level, checked
    for word in words:
        assert word in f"{checked.says} {checked.remedy}", checked


async def test_the_doctor_says_what_is_missing_to_take_money(stripe: Stripe, tmp_path: Path) -> None:
    assert_found(
        await look(stripe, tmp_path, stripe_secret_key=None),
        "warning",
        "PURVEY_STRIPE_SECRET_KEY is not set",
        "purvey payments use-key",
    )
    assert_found(await look(stripe, tmp_path), "problem", "does not know this key", "dashboard.stripe.com/apikeys")
    stripe.merchants |= {LIVE: PLATFORM, RESTRICTED: PLATFORM}
    nowhere = await look(stripe, tmp_path, stripe_api_base="http://127.0.0.1:1")
    assert_found(nowhere, "problem", "http://127.0.0.1:1 does not answer", "status.stripe.com")
    stripe.faults.append(Fault("checkout/sessions", status=500))
    assert_found(await look(stripe, tmp_path), "problem", "does not answer")
    # Its notices.
    assert_found(await look(stripe, tmp_path), "problem", f"notifies nobody at {NOTICES}", "stripe.com/webhooks")
    endpoint(stripe, status="disabled")
    assert_found(await look(stripe, tmp_path), "problem", f"endpoint {NOTICES} is disabled", "Enable it")
    endpoint(stripe, enabled_events=[one for one in WANTED if one != "refund.failed"])
    assert_found(await look(stripe, tmp_path), "warning", "does not send refund.failed", "Add these events")
    endpoint(stripe)
    assert_found(await look(stripe, tmp_path), "ok", f"notifies {NOTICES}")
    unsigned = await look(stripe, tmp_path, stripe_webhook_secret=None)
    assert_found(unsigned, "problem", "cannot be checked", NOTICES, "PURVEY_STRIPE_WEBHOOK_SECRET")
    # Its own standing.
    stripe.account(PLATFORM)["requirements"]["currently_due"] = ["external_account"]
    assert_found(await look(stripe, tmp_path), "warning", "external_account", "account/onboarding")
    stripe.account(PLATFORM)["charges_enabled"] = False
    assert_found(await look(stripe, tmp_path), "problem", "does not let this account take payments yet")


async def test_the_doctor_tells_test_mode_from_taking_money(stripe: Stripe, tmp_path: Path) -> None:
    stripe.merchants |= {LIVE: PLATFORM}
    local = {"base_url": "http://127.0.0.1:8055"}
    tried = await look(stripe, tmp_path, stripe_secret_key=STRIPE_KEY, **local)
    assert_found(
        tried, "warning", "test mode", "stripe listen --forward-to http://127.0.0.1:8055/payments/stripe/notices"
    )
    unreachable = await look(stripe, tmp_path, **local)
    assert_found(unreachable, "problem", "Stripe cannot reach http://127.0.0.1:8055", "PURVEY_BASE_URL")


async def test_a_restricted_key_is_told_each_right_that_it_lacks(stripe: Stripe, tmp_path: Path) -> None:
    stripe.merchants |= {LIVE: PLATFORM}
    endpoint(stripe)
    for missing in RIGHTS:
        stripe.rights[LIVE] = rights(*(one for one in RIGHTS if one is not missing))
        says = str(missing) if missing.needed else f"the restricted key lacks {missing}"
        assert_found(await look(stripe, tmp_path), "problem" if missing.needed else "warning", says)
    stripe.rights[LIVE] = {"GET " + path.removeprefix("GET ") for path in rights(*RIGHTS)}
    lacks = "lacks rights: Checkout Sessions: write, Charges and Refunds: write."
    assert_found(await look(stripe, tmp_path), "problem", lacks)
    assert stripe.books.all_of(PLATFORM, "refund") == []


async def test_the_rights_that_the_page_lists_are_all_that_a_key_needs(
    database: Database, clock: FakeClock, stripe: Stripe
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "stripe.md").read_text(encoding="utf-8")
    for right in RIGHTS:
        assert f"| {right.resource} | {right.grade} |" in page
    for kind in WANTED:
        assert f"`{kind}`" in page
    stripe.merchants[RESTRICTED] = PLATFORM
    stripe.rights[RESTRICTED] = rights(*(one for one in RIGHTS if one.needed))
    async with open_market(database, clock, stripe, stripe_secret_key=RESTRICTED) as market:
        bought = await market.buy(await market.listing())
        order = await market.order(bought)
        refunded = expect(await market.shop.post(f"/v1/orders/{order['id']}/refund", json={"amount": 100}), 200)
        assert refunded["refund_amount"] == 100
        stripe.books.warn(order["payment"]["reference"])
        stripe.books.dispute(order["payment"]["reference"])
        # Sent by nobody, they are found by comparing; which asks for charges, refunds, disputes and events.
        market.later(minutes=61)
        wanted = {"A payment is disputed: Kit", "A payment may be fraud: Kit"}
        while wanted:
            wanted.discard((await market.outside.next_letter())["Subject"])

        async def settled() -> bool:
            return not await market.app.inbox.unsettled(clock.now().replace(year=2020))

        await until(settled, "every notice fits")


async def test_the_doctor_counts_notices_that_wait_or_do_not_fit(
    market: Market, stripe: Stripe, tmp_path: Path, fresh_database: str
) -> None:
    stripe.merchants |= {LIVE: PLATFORM}
    beside = {"database_url": fresh_database, "secret_key": SECRET_KEY}
    assert_found(await look(stripe, tmp_path, "notices", **beside), "ok", "Every notice about money fitted")
    sql = (
        "INSERT INTO notices (provider, id, type, payload, said, outcome, reason, received_at, handled_at)"
        " SELECT 'stripe', id, 'stripe.event', '', '{}', outcome, 'why', now() - ago, CASE WHEN outcome IS NOT NULL THEN now() END"
        " FROM (VALUES ('evt_1', NULL, interval '2 hours'), ('evt_2', NULL, interval '1 minute'),"
        " ('evt_3', 'refused', interval '1 day'), ('evt_4', 'refused', interval '9 days')) AS them (id, outcome, ago)"
    )
    await market.shop.tools.database.write(sql)
    told = await look(stripe, tmp_path, "notices", **beside)
    assert_found(told, "warning", "1 notice about money did not fit and 1 notice wait", "purvey payments notices")


def environment(stripe: Stripe) -> dict[str, str]:
    """Return the settings of a command."""
    return {f"PURVEY_{name.upper()}": str(value) for name, value in stripe_settings(stripe).items()}


@pytest.fixture
def command(stripe: Stripe, fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what runs `purvey payments ...` beside the server, with lines typed into a pipe."""
    # The commands are to be silent; our own log is not.
    monkeypatch.setattr(structlog, "configure", lambda **_: None)
    settings = environment(stripe) | {"PURVEY_DATABASE_URL": fresh_database, "PURVEY_SECRET_KEY": SECRET_KEY}

    async def run(*words: str, typed: str = "", **changes: str) -> Result:
        def invoke() -> Result:
            return CliRunner().invoke(main, ["payments", *words], input=typed, env=settings | changes)

        return await asyncio.to_thread(invoke)

    return run


def told(result: Result, status: int, *words: str) -> None:
    """A command ended with this status, and said this; it never shows a secret or a traceback."""
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    for word in words:
        assert word in result.output, result.output
    for secret in (STRIPE_KEY, OWN, "whsec_"):
        assert secret not in result.output


async def test_an_account_gets_a_key_of_its_own_by_the_command_line(
    market: Market, stripe: Stripe, command: Any
) -> None:
    account = market.shop.account.id
    of = ("use-key", "--account", account)
    for typed, words in (
        ("", "secret_key: must be sk_live_"),
        ("pk_test_publishable0\nwhsec_0123456789\n", "secret_key: must be sk_live_"),
        (f"{OWN}\nsecret\n", "webhook_secret: must be"),
        (f"{OWN}\nwhsec_0123456789\n", "Stripe does not know this key. Copy it anew"),
    ):
        found = await command(*of, typed=typed)
        assert (found.exit_code, words in found.output) == (1, True), found.output
    stripe.merchants[OWN] = "acct_seller"
    right = f"{OWN}\nwhsec_0123456789\n"
    told(await command("use-key", "--account", "acc_none", typed=right), 1, "No account with the id 'acc_none'")
    public = {"PURVEY_BASE_URL": URL, "PURVEY_STRIPE_SECRET_KEY": LIVE, "PURVEY_SMTP_URL": "smtp://127.0.0.1:1"}
    told(await command(*of, typed=right, **public), 1, "others, who would get your goods for nothing")
    assert await market.shop.tools.database.rows("SELECT FROM stripe_merchants") == []
    stripe.account("acct_seller")["charges_enabled"] = False
    stored = await command(*of, typed=right)
    told(stored, 0, f"{account} takes payments by its own key", f"/payments/stripe/notices?account={account}")
    told(stored, 0, "cannot take payments as it is", "does not let this account take payments yet")
    # What Stripe said just now, the account's own readiness says too.
    readiness = expect(await market.shop.get("/v1/account"), 200)["readiness"]
    assert (readiness["can_take_payments"], readiness["next"]["code"]) == (False, "complete_stripe_onboarding")
    told(await command("status"), 1, "the installation (test mode): takes payments", f"{account} (test mode): cannot")
    told(await command("disconnect", "--account", account), 0, "takes payments as the installation does")
    told(await command("disconnect", "--account", account), 1, "has no key and no account of its own")


async def test_an_account_is_connected_by_the_command_line(market: Market, stripe: Stripe, command: Any) -> None:
    of = ("connect", "--account", market.shop.account.id, "--stripe-account")
    told(await command(*of, "me"), 1, "stripe_account: must be acct_...")
    told(await command(*of, "acct_connected", "--fee", "101"), 2, "--fee", "not in the range")
    told(await command(*of, "acct_connected"), 1, "may not act for acct_connected", "rights for connected accounts")
    stripe.connected.add("acct_connected")
    told(
        await command(*of, "acct_connected", "--fee", "2.5"),
        0,
        "takes payments by acct_connected; 2.5 % of each are kept",
    )
    told(await command("status"), 0, "acct_connected (test mode): takes payments")
    rows = await market.shop.tools.database.rows("SELECT stripe_account, fee_basis_points FROM stripe_merchants")
    assert [tuple(row) for row in rows] == [("acct_connected", 250)]
    away = {"PURVEY_STRIPE_API_BASE": "http://127.0.0.1:1"}
    told(await command("status", **away), 1, "Stripe does not answer at this moment")
    told(await command("notices"), 0, "No notice waits, and none was refused.")
    for wrong in ("0h", "31d", "soon"):
        told(await command("notices", "--since", wrong), 2, "--since", "such as 48h")
