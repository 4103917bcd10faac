"""`purvey serve` and `purvey worker` as processes: how they start, what they say when they cannot, how they die and come back."""

import asyncio
import contextlib
import os
import re
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import asyncpg
import pytest

from conftest import database_url
from purvey.server.demo.browser import Browser, Page
from purvey.server.demo.processes import free_port
from purvey.server.installation import bring_up_to_date
from purvey.server.kit.database import Database, TooOldError
from purvey.server.kit.embedded import EmbeddedPostgres, attach
from running import (
    NO_SETTINGS,
    PURVEY,
    SECRET_KEY,
    Ended,
    Process,
    Serve,
    assert_told,
    open_folder,
    postmaster,
    process,
    processes_about,
    purvey,
    serving,
    small_disk,
    until,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's user can reach."""
    with open_folder() as empty:
        yield empty


@pytest.fixture(scope="module")
def original() -> Iterator[Path]:
    """A data directory with a stopped, migrated cluster in it."""
    with open_folder() as made:
        embedded = EmbeddedPostgres(made / "data", options={"fsync": "off"})
        asyncio.run(bring_up_to_date(embedded.start()))
        embedded.stop()
        yield made / "data"


@pytest.fixture
async def data(original: Path, folder: Path) -> Path:
    """A data directory of this test's own, as a server leaves it that was started and stopped."""
    copied = await asyncio.create_subprocess_exec("cp", "-a", "--sparse=always", str(original), str(folder))
    assert await copied.wait() == 0
    return folder / "data"


@pytest.fixture
def external(fresh_database: str) -> dict[str, str]:
    """The settings of a server on a database that is not its own."""
    return {"PURVEY_DATABASE_URL": fresh_database, "PURVEY_SECRET_KEY": SECRET_KEY}


@pytest.fixture
async def shop(folder: Path, external: dict[str, str]) -> AsyncIterator[Serve]:
    """A running server on an external database."""
    async with serving(folder / "data", settings=external) as running:
        yield running


async def serve(*arguments: str, settings: Mapping[str, str] = NO_SETTINGS) -> Ended:
    """Run `purvey serve`, which is expected to end by itself, on a port that is free."""
    return await purvey("serve", *arguments, settings={"PURVEY_PORT": str(free_port())} | dict(settings))


async def pay(browser: Browser, url: str) -> Page:
    """Buy at a product page and return the page after the payment."""
    page = await browser.submit(await browser.open(url), buyer_email="ada@example.com")
    return await browser.submit(page, card="4242 4242 4242 4242")


async def until_works(server: Serve, key: str) -> set[int]:
    """Ask until the server answers with what its database holds; return the statuses seen on the way, each a proper answer."""
    seen: set[int] = set()

    async def look() -> bool:
        answer = await server.ask("GET", "/v1/listings", key=key)
        seen.add(answer.status)
        if answer.status == 503:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json["code"] == "unavailable"
        return answer.status == 200

    await until(look, "the server works again")
    return seen


async def kill(pid: int) -> None:
    """Kill a process that is not our child, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_alive(pid), f"process {pid} is dead")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_new_directory_is_served_and_the_next_start_finds_what_is_in_it(folder: Path) -> None:
    async with serving(folder / "data") as server:
        assert (await server.ask("GET", "/healthz")).json == {"status": "ok", "complaints": []}
        assert (await server.ask("GET", "/readyz")).json == {"status": "ok", "complaints": []}
        key = (await server.account())["api_key"]
        listing = await server.list_kit(key)
        assert await server.end() == 0
    assert processes_about(folder) == []
    assert (folder / "data" / "secret-key").stat().st_mode & 0o777 == 0o600
    async with serving(folder / "data") as server:
        assert (await server.ask("GET", f"/v1/listings/{listing['id']}", key=key)).json["name"] == "Kit"
        assert await server.end(signal.SIGINT) == 0
    assert processes_about(folder) == []


async def test_with_a_database_url_no_postgresql_of_its_own_is_started(shop: Serve, folder: Path) -> None:
    key = (await shop.account())["api_key"]
    await shop.list_kit(key)
    assert (await shop.ask("GET", "/v1/listings", key=key)).json["data"]
    assert not shop.data.exists()
    assert processes_about(folder) == [shop.child.pid]
    assert await shop.end() == 0


async def test_a_directory_that_is_served_already_is_refused_by_naming_the_process(data: Path) -> None:
    async with serving(data) as server:
        refused = await serve("--data", str(data))
        assert_told(refused, str(data), f"process {server.child.pid}", "--data")
        assert (await server.ask("GET", "/readyz")).status == 200


async def test_a_port_that_is_taken_is_named_before_a_database_is_started(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = await purvey("serve", "--data", str(folder / "data"), "--port", str(port))
    assert_told(refused, f"127.0.0.1:{port}", "already in use", "--port")
    assert not (folder / "data").exists()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/proc/shop", ("/proc/shop", "No such file or directory", "--data")),
        ("/dev/null/shop", ("/dev/null/shop", "Not a directory", "--data")),
    ],
)
async def test_a_data_directory_that_cannot_be_made_is_named(place: str, words: tuple[str, ...]) -> None:
    assert_told(await serve("--data", place), *words)


@as_root
async def test_a_data_directory_that_postgresql_cannot_reach_is_named_with_the_way_out(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    refused = await serve("--data", str(folder / "closed" / "data"))
    assert_told(refused, f"chmod o+x {folder}/closed", "--data")


@as_root
async def test_a_full_disk_is_named() -> None:
    with small_disk(16) as disk:
        refused = await serve("--data", str(disk / "data"))
        assert_told(refused, f"The disk mounted at {disk} is full", "--data")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"PURVEY_DATABSE_URL": "x"}, ("PURVEY_DATABSE_URL is not a setting", "Did you mean PURVEY_DATABASE_URL?")),
        ({"PURVEY_PORT": "eighty"}, ("PURVEY_PORT must be a whole number from 1 to 65535", "'eighty'")),
        ({"PURVEY_BASE_URL": "https://shop.example"}, ("https://shop.example", "PURVEY_SANDBOX_PUBLIC=1")),
        (
            {"PURVEY_BASE_URL": "https://shop.example", "PURVEY_SANDBOX_PUBLIC": "1"},
            ("PURVEY_SMTP_URL is not set", "could not be mailed"),
        ),
        (
            {"PURVEY_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"},
            ("PURVEY_SECRET_KEY is missing", "secrets.token_urlsafe(32)"),
        ),
        (
            {"PURVEY_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x", "PURVEY_SECRET_KEY": "short"},
            ("PURVEY_SECRET_KEY", "at least 32 characters"),
        ),
        (
            {"PURVEY_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x", "PURVEY_SECRET_KEY": SECRET_KEY},
            ("The database at 127.0.0.1:1 cannot be reached", "PURVEY_DATABASE_URL"),
        ),
        (
            {"PURVEY_DATABASE_URL": "shop.example:5432", "PURVEY_SECRET_KEY": SECRET_KEY},
            ("The database cannot be reached", "postgresql://user:password@host:5432/name"),
        ),
    ],
)
async def test_a_setting_that_cannot_work_is_explained(settings: Mapping[str, str], words: tuple[str, ...]) -> None:
    assert_told(await serve(settings=settings), *words)


async def test_a_wrong_password_and_a_missing_database_are_told(external: dict[str, str]) -> None:
    url = external["PURVEY_DATABASE_URL"]
    wrong = external | {"PURVEY_DATABASE_URL": url.replace(urlsplit(url).password or "", "wrong")}
    assert_told(await serve(settings=wrong), "cannot be reached", "password authentication failed")
    nowhere = external | {"PURVEY_DATABASE_URL": database_url("nowhere")}
    assert_told(await serve(settings=nowhere), "cannot be reached", '"nowhere" does not exist')


async def test_another_secret_key_than_the_database_was_used_with_is_refused(external: dict[str, str]) -> None:
    made = await purvey("accounts", "create", "--email", "ada@example.com", "--name", "Ada", settings=external)
    assert made.status == 0, made.errors
    other = "another secret key that is long enough"
    assert_told(await serve(settings=external | {"PURVEY_SECRET_KEY": other}), "PURVEY_SECRET_KEY is not the key")
    for command in (["worker"], ["accounts", "create", "--email", "bob@example.com", "--name", "Bob"]):
        refused = await purvey(*command, settings=external | {"PURVEY_SECRET_KEY": other})
        assert_told(refused, "PURVEY_SECRET_KEY is not the key", "PURVEY_SECRET_KEY=new,old")


async def test_a_schema_of_a_later_version_is_refused(external: dict[str, str]) -> None:
    connection = await asyncpg.connect(external["PURVEY_DATABASE_URL"])
    await connection.execute("INSERT INTO schema_migrations (number, name) VALUES (9999, '9999_later')")
    await connection.close()
    assert_told(await serve(settings=external), "newer than this program")
    for command in (["migrate"], ["accounts", "create", "--email", "bob@example.com", "--name", "Bob"]):
        refused = await purvey(*command, settings=external)
        assert_told(refused, "newer than this program", "9999_later", "Install the version")


async def test_a_user_who_may_not_create_tables_is_told_so(external: dict[str, str]) -> None:
    async with owner() as connection, closed_database(connection) as url:
        refused = await serve(settings=external | {"PURVEY_DATABASE_URL": url})
        assert_told(refused, "permission denied", "must be allowed to create tables")


@contextlib.asynccontextmanager
async def closed_database(connection: "asyncpg.Connection[asyncpg.Record]") -> AsyncIterator[str]:
    """Give the URL of a database whose user may not create tables in it: ours, or, if we are superuser, a guest."""
    name, password = f"closed_{secrets.token_hex(4)}", secrets.token_hex(16)
    superuser = await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        async with owner(name) as inside:
            await inside.execute("REVOKE CREATE ON SCHEMA public FROM pg_database_owner")
        url = database_url(name)
        if superuser:
            await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
            url = re.sub(r"//[^@]*@", f"//{name}:{password}@", url)
        yield url
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        if superuser:
            await connection.execute(f"DROP ROLE IF EXISTS {name}")


@contextlib.asynccontextmanager
async def owner(name: str = "postgres") -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Open a connection to a database of the tests' cluster."""
    connection = await asyncpg.connect(database_url(name))
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_server_older_than_postgresql_15_is_refused(fresh_database: str) -> None:
    class Old(Database):
        async def value(self, sql: str, *args: object) -> object:
            return "140013" if "server_version_num" in sql else await super().value(sql, *args)

    with pytest.raises(TooOldError, match="PostgreSQL 14 is too old: version 15 or later is needed"):
        await Old.open(fresh_database)


async def test_after_kill_9_of_the_server_the_next_start_takes_its_postgresql_over(data: Path) -> None:
    async with serving(data) as server:
        key = (await server.account())["api_key"]
        await server.list_kit(key)
        database = postmaster(data)
        assert await server.end(signal.SIGKILL) == -signal.SIGKILL
        assert is_alive(database)
    async with serving(data) as server:
        assert postmaster(data) == database
        assert len((await server.ask("GET", "/v1/listings", key=key)).json["data"]) == 1
        assert await server.end() == 0
    assert processes_about(data) == []


async def test_after_kill_9_of_postgresql_the_server_brings_it_back_and_says_503_meanwhile(data: Path) -> None:
    async with serving(data) as server:
        key = (await server.account())["api_key"]
        await server.list_kit(key)
        first = postmaster(data)
        await kill(first)
        assert await until_works(server, key) <= {200, 503}
        assert postmaster(data) != first
        await server.list_kit(key)
        assert len((await server.ask("GET", "/v1/listings", key=key)).json["data"]) == 2
        assert {line["status"] for line in server.lines("request")} <= {200, 201, 503}
        assert "Traceback" not in server.said
        assert server.lines("database.died")
        assert await server.end() == 0


async def test_after_kill_9_of_both_the_next_start_finds_everything(data: Path) -> None:
    async with serving(data) as server:
        key = (await server.account())["api_key"]
        await server.list_kit(key)
        assert await server.end(signal.SIGKILL) == -signal.SIGKILL
        await kill(postmaster(data))
    async with serving(data) as server:
        assert len((await server.ask("GET", "/v1/listings", key=key)).json["data"]) == 1
        assert await server.end() == 0


async def test_a_request_in_flight_is_finished_before_the_end(data: Path) -> None:
    async with serving(data) as server:
        key = (await server.account())["api_key"]
        connection = await asyncpg.connect(attach(data))
        holding = connection.transaction()
        await holding.start()
        await connection.execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        asking = asyncio.create_task(server.ask("POST", "/v1/listings", key=key, body={"name": "Late", "price": 1}))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'api_keys'::regclass"
        await until(lambda: connection.fetchval(waiting), "the request waits for the lock")
        server.child.send_signal(signal.SIGTERM)
        await server.until_said('"event":"stopping"')
        assert not asking.done()
        await holding.rollback()
        await connection.close()
        assert (await asking).status == 201
        assert await server.child.wait() == 0
    assert processes_about(data) == []


async def test_requests_that_wait_for_events_do_not_hold_up_the_end(data: Path) -> None:
    async with serving(data) as server:
        key = (await server.account())["api_key"]
        headers = {"Authorization": f"Bearer {key}"}
        waiting = asyncio.create_task(server.ask("GET", "/v1/events?wait=30", key=key))
        async with server.session.get(f"{server.url}/v1/events/stream", headers=headers) as stream:
            assert await stream.content.readline() == b"retry: 1000\n"
            assert await server.end() == 0
            assert await stream.content.read() == b"\n"
        assert (await waiting).json["data"] == []


async def test_a_worker_beside_an_api_process_does_what_was_queued(data: Path) -> None:
    async with serving(data, "--role", "api") as server, Browser() as browser:
        listing = await server.list_kit((await server.account())["api_key"])
        page = await pay(browser, listing["url"])
        assert "Nothing has been mailed yet." in (await browser.open(f"{server.url}/mailbox")).form.text
        command = (*PURVEY, "worker", "--data", str(data))
        async with process(*command, log=data.parent / "worker.log") as worker:
            # It was not told where the server is reached; the server was.
            await worker.until_said(f"A worker for {server.url} is ready")

            async def shown() -> bool:
                return "the goods" in (await browser.open(page.url)).form.text

            async def mailed() -> bool:
                return "ada@example.com" in (await browser.open(f"{server.url}/mailbox")).form.text

            await until(shown, "the buyer sees the goods")
            await until(mailed, "the mail has arrived")
            await until(lambda: worker.lines("job"), "the worker tells of its jobs")
            assert await worker.end() == 0
        assert server.lines("job") == []
        assert await server.end() == 0


async def test_a_worker_without_a_server_says_what_to_start(folder: Path) -> None:
    assert_told(await purvey("worker", "--data", str(folder)), str(folder), "purvey serve", "--data")


async def test_the_log_has_one_line_for_each_request_and_no_secret_of_a_buyer(shop: Serve) -> None:
    key = (await shop.account())["api_key"]
    kit = [{"type": "text", "value": "the goods"}, {"type": "url", "value": "https://example.com/kit"}]
    listing = await shop.list_kit(key, deliverables=kit)
    async with Browser() as browser:
        page = await pay(browser, listing["url"])

        async def ready() -> Page | None:
            shown = await browser.open(page.url)
            return shown if "/download/" in shown.html else None

        page = await until(ready, "the access page shows the goods")
    link = re.search(r'href="([^"]*/download/[^"]+)"', page.html)
    assert link
    path = urljoin(page.url, link[1]).removeprefix(shop.url)
    opened = await shop.ask("GET", path)
    assert opened.status == 302, opened.text
    gone = await shop.ask("GET", "/nowhere/at-all")
    assert await shop.end() == 0
    lines = shop.lines("request")
    assert [line["route"] for line in lines if line["request_id"] == opened.headers["X-Request-Id"]] == [
        "/download/{grant_id}/{deliverable_id}/{expires}/{signature}"
    ]
    assert [line["route"] for line in lines if line["request_id"] == gone.headers["X-Request-Id"]] == [None]
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert {"/access/{token}", "/checkout/{checkout_id}/return"} <= {line["route"] for line in lines}
    token, signature = page.url.rpartition("/")[2], path.rpartition("/")[2]
    for secret in (key, token, signature, listing["signing_secret"], "/checkout/chk_", "at-all", "ada@example.com"):
        assert secret not in shop.said
    assert_only_lines_of_json(shop)


def assert_only_lines_of_json(server: Process) -> None:
    """Whoever asked for JSON gets nothing else, the greeting aside."""
    assert [line for line in server.said.splitlines() if not line.startswith("{")] == [
        line for line in server.said.splitlines() if line.startswith("Purvey is ready at ")
    ]


async def test_a_directory_with_a_long_name_gets_its_postgresql_back_as_well(data: Path) -> None:
    """Such a server listens in a temporary folder, and is found there again after its death."""
    long = data.with_name("d" * 100)
    os.rename(data, long)  # noqa: PTH104  # moments, before anything else runs
    async with serving(long) as server:
        key = (await server.account())["api_key"]
        await kill(postmaster(long))
        assert await until_works(server, key) <= {200, 503}
        assert await server.end() == 0
