"""The doctor: each thing that can be wrong is found, said in a sentence, and comes with what to do about it."""

import asyncio
import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiosmtpd.smtp import SMTP

from conftest import database_url
from market import Market
from purvey.server.demo.processes import free_port
from purvey.server.doctor import machine, store
from purvey.server.doctor.examination import CHECKS, examine
from purvey.server.doctor.model import Checked, amount, span, verdict
from purvey.server.installation import check_secret_key, keyring
from purvey.server.kit.database import Database
from purvey.server.settings import Settings, SettingsError
from running import SECRET_KEY, open_folder, purvey, until

PUBLIC = {"base_url": "https://203.0.113.7", "sandbox_public": True, "smtp_url": "smtp://127.0.0.1:1"}
NAMES = {check.__name__.replace("_", " ") for check in CHECKS}


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder."""
    with open_folder() as empty:
        yield empty


@pytest.fixture
def laptop(folder: Path) -> Settings:
    """The settings of an installation that was never started."""
    return Settings(data_dir=folder / "data", port=free_port())


@pytest.fixture
async def external(fresh_database: str, folder: Path) -> Settings:
    """The settings of an installation on an external database that was in use."""
    settings = Settings(
        data_dir=folder, port=free_port(), database_url=fresh_database, secret_key=SECRET_KEY, database_connections=2
    )
    database = await Database.open(fresh_database)
    await check_secret_key(database, keyring(settings))
    await database.close()
    return settings


async def look(settings: Settings | SettingsError, **changes: Any) -> dict[str, Checked]:
    """Return the findings by the names of their checks."""
    if changes:
        assert isinstance(settings, Settings)
        settings = Settings(**{name: getattr(settings, name) for name in Settings.__struct_fields__} | changes)
    found = await examine(settings)
    assert all(checked.says.endswith(".") and "\n" not in checked.says for checked in found), found
    assert all(checked.remedy for checked in found if checked.level != "ok"), found
    assert not any("Traceback" in checked.says or "could not be found out" in checked.says for checked in found), found
    return {checked.check: checked for checked in found}


def assert_found(checked: Checked, level: str, *words: str) -> None:
    """A finding has this level, and these words in what it says or advises."""
    assert checked.level == level, checked
    for word in words:
        assert word in f"{checked.says} {checked.remedy}", checked


async def test_an_installation_that_was_never_started_has_no_problem_and_stays_as_it_was(laptop: Settings) -> None:
    found = await look(laptop)
    assert verdict([checked for name, checked in found.items() if name != "names"]) == "ok"
    assert "is not there yet" in found["data directory"].says
    assert "There is no database yet" in found["database"].says
    assert "queue" not in found
    assert not laptop.data_dir.exists()


async def test_a_setting_that_cannot_be_read_is_a_problem_and_the_machine_is_looked_at_all_the_same() -> None:
    found = await look(SettingsError("PURVEY_PORT must be a whole number from 1 to 65535, not 'eighty'."))
    assert_found(found["settings"], "problem", "PURVEY_PORT", "'eighty'")
    assert "python" in found
    assert "port" not in found


async def test_the_data_directory_must_be_one_that_can_be_written_and_has_room(
    laptop: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").touch()
    assert_found((await look(laptop, data_dir=folder / "file"))["data directory"], "problem", "is no directory")
    assert_found((await look(laptop, data_dir=folder / "file" / "x"))["data directory"], "problem", "cannot be made")
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    for constant, level in (("LITTLE_ROOM", "warning"), ("NO_ROOM", "problem")):
        monkeypatch.setattr(machine, constant, free * 2)
        assert_found((await look(laptop, data_dir=folder))["data directory"], level, "GiB free", "room")


async def test_a_secret_key_file_that_others_can_read_is_a_problem(laptop: Settings) -> None:
    laptop.data_dir.mkdir()
    path = laptop.data_dir / "secret-key"
    path.write_text("k" * 32)
    path.chmod(0o644)
    assert_found((await look(laptop))["secret file"], "problem", str(path), "chmod 600")
    path.chmod(0o600)
    assert_found((await look(laptop))["secret file"], "ok")


async def test_files_must_be_stored_read_and_deleted(laptop: Settings, folder: Path) -> None:
    place = folder / "kept"
    told = {"storage_url": place.as_uri()}
    assert_found((await look(laptop, **told))["file storage"], "ok", "not there yet")
    place.mkdir()
    assert_found((await look(laptop, **told))["file storage"], "ok", "stored, read and deleted", str(place))
    assert [path for path in place.rglob("*") if path.is_file()] == []
    place.rename(folder / "away")
    place.write_text("in the way")
    assert_found((await look(laptop, **told))["file storage"], "problem", str(place), "PURVEY_STORAGE_URL")


async def test_a_port_that_another_program_has_is_a_problem(laptop: Settings) -> None:
    assert_found((await look(laptop))["port"], "ok", "is free")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", laptop.port)
    async with server:
        assert_found((await look(laptop))["port"], "problem", f"127.0.0.1:{laptop.port}", "PURVEY_PORT")


async def test_a_port_that_a_purvey_answers_is_as_it_should_be(market: Market, laptop: Settings) -> None:
    port = int(market.shop.url.rpartition(":")[2])
    assert_found((await look(laptop, port=port))["port"], "ok", "A Purvey answers")


async def test_few_open_files_are_told_where_the_public_comes(
    laptop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "most_open_files", lambda: 1024)
    assert (await look(laptop))["open files"].level == "ok"
    assert_found((await look(laptop, **PUBLIC))["open files"], "warning", "1024 files", "LimitNOFILE")
    monkeypatch.setattr(machine, "most_open_files", lambda: 100)
    assert_found((await look(laptop))["open files"], "problem", "ulimit")


async def test_names_that_cannot_be_looked_up_are_told(laptop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "KNOWN_NAME", "nowhere.invalid")
    assert_found((await look(laptop))["names"], "warning", "nowhere.invalid", "/etc/resolv.conf")
    assert_found((await look(laptop, **PUBLIC))["names"], "problem", "webhooks")
    monkeypatch.setattr(machine, "KNOWN_NAME", "localhost")
    assert_found((await look(laptop, **PUBLIC))["names"], "ok")


async def test_the_base_url_must_be_encrypted_and_lead_somewhere(laptop: Settings) -> None:
    assert_found((await look(laptop))["base url"], "ok", "this machine only")
    assert_found((await look(laptop, **PUBLIC))["base url"], "ok", "203.0.113.7")
    plain = PUBLIC | {"base_url": "http://203.0.113.7"}
    assert_found((await look(laptop, **plain))["base url"], "problem", "not encrypted", "https://")
    lost = PUBLIC | {"base_url": "https://shop.invalid"}
    assert_found((await look(laptop, **lost))["base url"], "problem", "shop.invalid in PURVEY_BASE_URL has no address")


async def test_what_is_for_trying_out_is_told_where_the_public_comes(laptop: Settings) -> None:
    found = await look(laptop, **PUBLIC, allow_private_urls=True)
    assert_found(found["sandbox"], "warning", "test card", "203.0.113.7")
    assert_found(found["private urls"], "warning", "PURVEY_ALLOW_PRIVATE_URLS")
    assert "private urls" not in await look(laptop, allow_private_urls=True)


async def test_the_mail_server_is_greeted_and_sent_nothing(laptop: Settings) -> None:
    heard: list[str] = []

    class Listening:
        async def handle_EHLO(  # noqa: N802  # the library's name
            self, _server: SMTP, session: Any, _envelope: Any, host: str, answers: list[str]
        ) -> list[str]:
            heard.append("EHLO")
            session.host_name = host
            return answers

        async def handle_MAIL(self, *_: Any) -> str:  # noqa: N802  # same
            heard.append("MAIL")
            return "250 OK"

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Listening(), hostname="post.example", loop=loop), "127.0.0.1", 0)
    async with server:
        url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert_found((await look(laptop, smtp_url=url))["mail"], "ok", "greets us")
        public = PUBLIC | {"smtp_url": url}
        assert_found((await look(laptop, **public))["mail"], "warning", "purvey@localhost", "PURVEY_MAIL_FROM")
    assert set(heard) == {"EHLO"}
    assert_found(
        (await look(laptop, smtp_url="smtp://127.0.0.1:1"))["mail"], "problem", "127.0.0.1:1", "PURVEY_SMTP_URL"
    )


async def test_an_external_database_is_looked_at_without_a_server(external: Settings) -> None:
    found = await look(external)
    expected = NAMES - {"secret file", "private urls", "stripe"}
    assert set(found) == expected
    # The tests' own server is set up to be quick.
    quick = {"durability", "autovacuum", "names", "privileges", "connections"}
    assert {name: checked.says for name, checked in found.items() if checked.level != "ok" and name not in quick} == {}
    assert_found((await look(external, database_connections=500))["connections"], "warning", "max_connections")


async def test_a_database_that_cannot_be_reached_is_a_problem(external: Settings) -> None:
    for url in ("postgresql://a:b@127.0.0.1:1/x", "shop.example:5432", database_url("nowhere")):
        found = await look(external, database_url=url)
        assert_found(found["database"], "problem", "cannot be reached", "PURVEY_DATABASE_URL")
        assert "schema" not in found


async def test_a_schema_that_does_not_fit_is_a_problem(external: Settings) -> None:
    connection = await asyncpg.connect(external.database_url)
    await connection.execute("INSERT INTO schema_migrations (number, name) VALUES (9999, '9999_later')")
    assert_found((await look(external))["schema"], "problem", "9999_later", "Install the version")
    await connection.execute("DELETE FROM schema_migrations WHERE number >= 3")
    await connection.close()
    found = await look(external)
    assert_found(found["schema"], "problem", "0003_accounts and", "purvey migrate")
    assert "queue" not in found


async def test_a_key_that_opens_nothing_is_a_problem(external: Settings) -> None:
    other = "another secret key that is long enough"
    assert_found((await look(external, secret_key=other))["secret key"], "problem", "PURVEY_SECRET_KEY=new,old")
    assert_found((await look(external, secret_key="short"))["secret key"], "problem", "32 characters")
    assert_found((await look(external, secret_key=None))["secret key"], "problem", "PURVEY_SECRET_KEY is missing")
    assert_found((await look(external, secret_key=f"{other},{SECRET_KEY}"))["secret key"], "ok")


async def test_settings_of_postgresql_that_lose_data_or_time_are_told(external: Settings) -> None:
    async def off(url: str | None) -> set[str]:
        connection = await asyncpg.connect(url)
        names = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")
        shown = {name: await connection.fetchval(f"SHOW {name}") for name in names}
        await connection.close()
        return {name for name, value in shown.items() if value == "off"}

    given = str(external.database_url)
    for value in ("on", "off"):
        url = f"{given}{'&' if '?' in given else '?'}synchronous_commit={value}"
        found, lost = await look(external, database_url=url), await off(url)
        assert ("synchronous_commit" in lost) == (value == "off")
        assert_found(found["autovacuum"], "warning" if "autovacuum" in lost else "ok", "autovacuum is")
        assert_found(found["durability"], "warning" if lost - {"autovacuum"} else "ok", *lost - {"autovacuum"})


async def test_a_user_who_may_too_little_or_too_much_is_told(external: Settings) -> None:
    connection = await asyncpg.connect(external.database_url)
    superuser = await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    await connection.execute("REVOKE CREATE ON SCHEMA public FROM pg_database_owner")
    await connection.close()
    privileges = (await look(external))["privileges"]
    if superuser:
        assert_found(privileges, "warning", "superuser")
    else:
        assert_found(privileges, "problem", "may not create tables", "CREATE")


async def test_a_database_whose_clock_is_wrong_is_told(external: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    right = store.instant
    for seconds, level, words in ((30, "warning", "30 seconds ahead of"), (-7205, "problem", "2 hours behind")):

        async def wrong(database: Database, by: int = seconds) -> datetime:
            return await right(database) + timedelta(seconds=by)

        monkeypatch.setattr(store, "instant", wrong)
        assert_found((await look(external))["clock"], level, words, "NTP")


async def test_work_that_nobody_does_and_receivers_that_fail_are_told(external: Settings) -> None:
    connection = await asyncpg.connect(external.database_url)
    await connection.execute(
        "SELECT lane_ensure('webhook:a', 'webhook', NULL, 'https://agent.example/secret', 4, now())"
    )
    await connection.execute("UPDATE lanes SET breaker = 'open' WHERE id = 'webhook:a'")
    push = "SELECT jobs_push(ARRAY[($1, $1, 'test', NULL, 'ref', now() - $2::interval)::job_new], now())"
    await connection.execute("SELECT lanes_absorb_wakes()")
    await connection.execute(push, "mail", timedelta(minutes=10))
    assert_found(
        (await look(external))["queue"], "warning", "mail has been due for 10 minutes", "1 job", "purvey worker"
    )
    await connection.execute(push, "webhook:a", timedelta(hours=3))
    await connection.execute("SELECT lanes_absorb_wakes()")
    found = await look(external)
    assert_found(found["queue"], "warning", "10 minutes")
    assert_found(found["receivers"], "warning", "1 receiver", "agent.example")
    assert "secret" not in found["receivers"].says
    await connection.execute("UPDATE lanes SET first_at = now() - interval '2 days' WHERE id = 'mail'")
    await connection.close()
    assert_found((await look(external))["queue"], "problem", "2 days")


async def test_orders_that_wait_and_endpoints_that_are_gone_are_told(market: Market, external: Settings) -> None:
    market.outside.answers += [410]
    await market.buy(await market.generated())

    async def parked() -> bool:
        return bool(await store.disabled_endpoints(market.shop.tools.database))

    await until(parked, "the endpoint is disabled")
    found = await look(external)
    assert_found(found["orders"], "warning", "1 order", "status=processing")
    assert_found(found["endpoints"], "warning", "1 endpoint answered 410 Gone and is disabled")


async def test_the_command_tells_people_in_lines_and_ends_with_1_when_there_is_a_problem(folder: Path) -> None:
    wrong = {"PURVEY_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x", "PURVEY_SECRET_KEY": SECRET_KEY, "COLUMNS": "100"}
    told = await purvey("doctor", "--data", str(folder / "data"), settings=wrong)
    assert (told.status, told.errors) == (1, "")
    assert re.search(r"^✓  python +Purvey", told.output, re.MULTILINE)
    assert re.search(r"^✗  database +The database at 127.0.0.1:1 cannot be reached", told.output, re.MULTILINE)
    assert "Check PURVEY_DATABASE_URL" in told.output
    assert re.search(r"\n\n1 problem, [01] warnings?\.\n$", told.output)


def test_lengths_of_time_and_numbers_are_said_as_people_do() -> None:
    assert [span(seconds) for seconds in (1, 59, 60, 7199, 86400)] == [
        "1 second",
        "59 seconds",
        "1 minute",
        "1 hour",
        "1 day",
    ]
    assert [amount(number, "job", most=9) for number in (0, 1, 9)] == ["0 jobs", "1 job", "9 or more jobs"]
