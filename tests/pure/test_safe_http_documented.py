"""The tables of docs/safe_http.md: what stands there is what comes of each input."""

import json
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from purvey.server.kit.safe_http import Failure, SafeHttp, UnsafeUrl, check_url

DOCUMENT = Path(__file__).parents[2] / "docs" / "safe_http.md"
LINE = re.compile(r"^\| `(?P<given>[\"\[].*[\"\]])` \| (?P<comes>.*) \|$", re.MULTILINE)
LINES = [(json.loads(line["given"]), line["comes"]) for line in LINE.finditer(DOCUMENT.read_text())]
URLS = [(given, comes) for given, comes in LINES if isinstance(given, str)]
ANSWERS = [(given, comes) for given, comes in LINES if isinstance(given, list)]


def test_the_tables_are_found() -> None:
    assert len(URLS) > 140
    assert len(ANSWERS) > 20


@pytest.mark.parametrize(("url", "comes"), URLS)
def test_what_comes_of_a_url_is_what_stands_beside_it(url: str, comes: str) -> None:
    if comes.startswith("refused: "):
        with pytest.raises(UnsafeUrl) as refused:
            check_url(url)
        assert comes.removeprefix("refused: ") in refused.value.reason
    else:
        assert f"`{check_url(url)}`" == comes


@pytest.mark.parametrize(("addresses", "comes"), ANSWERS)
async def test_what_comes_of_an_answer_of_the_name_server_is_what_stands_beside_it(
    addresses: Sequence[str], comes: str
) -> None:
    class Names:
        async def lookup(self, _host: str) -> Sequence[str]:
            return addresses

    opened = []

    async def dial(address: str, _port: int) -> socket.socket:
        opened.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    client = SafeHttp(resolver=Names(), dial=dial)
    outcome = await client.send("POST", "https://hooks.example.com/", headers={}, body=b"", deadline=5.0)
    await client.close()
    assert isinstance(outcome, Failure)
    if comes == "connected to":
        assert (outcome.stage, opened) == ("connect", addresses)
    else:
        assert comes.removeprefix("refused: ") in outcome.reason
        assert opened == []
