"""Several processes of one installation: each counts, any of them answers for all, and the doctor looks on."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from measured import Page
from purvey.server.demo.processes import free_port
from running import PURVEY, Serve, assert_told, open_folder, process, purvey, serving


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that PostgreSQL's user can reach."""
    with open_folder() as empty:
        yield empty


async def read(server: Serve, url: str = "") -> Page:
    async with server.session.get(f"{url or server.url}/metrics") as answer:
        assert answer.status == 200
        return Page(await answer.text())


async def test_processes_that_share_a_folder_answer_for_each_other_and_the_doctor_finds_them_well(folder: Path) -> None:
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics")}
    port = free_port()
    words = ("worker", "--data", str(folder / "data"), "--metrics-port", str(port))
    beside = f"http://127.0.0.1:{port}"
    async with serving(folder / "data", "--role", "api", settings=shared) as server:
        told = {**shared, "PURVEY_BASE_URL": server.url}
        async with process(*PURVEY, *words, log=folder / "worker.log", settings=told) as worker:
            await worker.until_said("is ready")
            await server.ask("GET", "/v1/ping")
            async with server.session.get(f"{beside}/readyz") as answer:
                assert answer.status == 200
            for page in (await read(server), await read(server, beside)):
                assert page.value("purvey_processes") == 2
                assert page.value("purvey_http_request_seconds_count", route="/v1/ping") == 1
                assert page.value("purvey_http_request_seconds_count", route="/readyz") == 2
            async with server.session.get(f"{beside}/v1/listings") as answer:
                assert answer.status == 404
            assert_told(await purvey(*words, settings=told), f"127.0.0.1:{port}", "already in use", "--metrics-port")
            assert await worker.end(signal.SIGKILL) == -signal.SIGKILL
        page = await read(server)
        assert page.value("purvey_processes") == 1
        assert page.value("purvey_http_request_seconds_count", route="/readyz") == 2
        await look_at(server)
        assert await server.end() == 0


async def look_at(server: Serve) -> None:
    """Have the doctor look at an installation that runs on its embedded database."""
    asked = await purvey(
        "doctor", "--json", "--data", str(server.data), settings={"PURVEY_PORT": server.url.rpartition(":")[2]}
    )
    assert (asked.status, asked.errors) == (0, "")
    found = {finding["check"]: finding for finding in json.loads(asked.output)["findings"]}
    assert [name for name, finding in found.items() if finding["level"] != "ok" and name != "names"] == []
    assert "A Purvey answers" in found["port"]["says"]
    assert str(server.data) in found["database"]["says"]
    assert {"schema", "secret key", "clock", "queue", "orders"} <= set(found)
