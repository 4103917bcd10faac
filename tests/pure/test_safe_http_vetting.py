"""What happens between a URL and a connection: one lookup, every address judged, no connection for a refused one."""

import asyncio
import socket
import threading
from collections.abc import Sequence

import pytest

from purvey.server.kit.safe_http import Answer, Failure, SafeHttp, SystemResolver

PUBLIC = "93.184.215.14"
PUBLIC_V6 = "2606:4700::1111"


class Names:
    """A name server that gives the prepared answers one after the other and counts the questions."""

    def __init__(self, *answers: Sequence[str] | OSError) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def lookup(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        answer = self._answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


class Sockets:
    """Stands where sockets are opened: remembers every address that would have been connected to."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, int]] = []

    async def dial(self, address: str, port: int) -> socket.socket:
        self.opened.append((address, port))
        raise ConnectionRefusedError(111, "Connection refused")


async def attempt(names: Names, sockets: Sockets, url: str, *, allow_private: bool = False) -> Failure:
    client = SafeHttp(resolver=names, dial=sockets.dial, allow_private=allow_private)
    outcome = await client.send("POST", url, headers={}, body=b"{}", deadline=5.0)
    await client.close()
    assert isinstance(outcome, Failure)
    return outcome


async def test_the_vetted_address_is_the_one_that_is_connected_to() -> None:
    names, sockets = Names([PUBLIC]), Sockets()
    failure = await attempt(names, sockets, "https://hooks.example.com:8443/in")
    assert names.asked == ["hooks.example.com"]
    assert sockets.opened == [(PUBLIC, 8443)]
    assert failure.stage == "connect"
    assert failure.reason == f"Could not connect to port 8443 of {PUBLIC}: Connection refused."
    assert failure.address == PUBLIC


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        [PUBLIC, "10.0.0.1"],
        ["10.0.0.1", PUBLIC],
        [PUBLIC_V6, PUBLIC, "::1"],
        [PUBLIC, "::ffff:127.0.0.1"],
        [PUBLIC, "64:ff9b::7f00:1"],
        [PUBLIC, "2002:7f00:1::1"],
        [PUBLIC, "fe80::1%eth0"],
        [PUBLIC, "fec0::1"],
        [PUBLIC, "0.0.0.0"],  # noqa: S104 - an answer of a name server, nothing is bound
        [PUBLIC, "no address"],
    ],
)
async def test_one_refused_address_among_the_answers_refuses_the_name(answers: list[str]) -> None:
    sockets = Sockets()
    failure = await attempt(Names(answers), sockets, "https://hooks.example.com/")
    assert failure.stage == "address"
    assert "all its addresses must be public" in failure.reason
    assert sockets.opened == []


async def test_a_name_that_changes_its_mind_is_judged_again_at_every_attempt() -> None:
    names, sockets = Names([PUBLIC], ["127.0.0.1"], [PUBLIC]), Sockets()
    stages = [(await attempt(names, sockets, "http://rebind.example.com/")).stage for _ in range(3)]
    assert stages == ["connect", "address", "connect"]
    assert sockets.opened == [(PUBLIC, 80), (PUBLIC, 80)]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:8.8.8.8]", "１２７.1"]
)
async def test_a_refused_address_in_the_url_asks_and_connects_nowhere(host: str) -> None:
    names, sockets = Names(), Sockets()
    failure = await attempt(names, sockets, f"http://{host}/")
    assert (failure.stage, names.asked, sockets.opened) == ("address", [], [])


@pytest.mark.parametrize("url", ["http://localhost/", "ftp://x.example/", "http://a@x.example/", "http://x.example:0/"])
async def test_an_unsafe_url_asks_and_connects_nowhere(url: str) -> None:
    names, sockets = Names(), Sockets()
    failure = await attempt(names, sockets, url)
    assert (failure.stage, names.asked, sockets.opened) == ("url", [], [])


async def test_a_public_address_in_the_url_needs_no_lookup() -> None:
    names, sockets = Names(), Sockets()
    await attempt(names, sockets, "http://0x5db8d70e:81/")
    assert (names.asked, sockets.opened) == ([], [("93.184.215.14", 81)])


@pytest.mark.parametrize("answer", [[], socket.gaierror(-2, "Name or service not known")])
async def test_a_name_without_addresses_fails_at_dns(answer: Sequence[str] | OSError) -> None:
    sockets = Sockets()
    failure = await attempt(Names(answer), sockets, "http://gone.example.com/")
    assert failure.stage == "dns"
    assert "gone.example.com" in failure.reason
    assert sockets.opened == []


async def test_at_most_four_addresses_of_a_name_are_tried() -> None:
    sockets = Sockets()
    await attempt(Names([f"93.184.215.{n}" for n in range(1, 9)]), sockets, "http://many.example.com/")
    assert [address for address, _ in sockets.opened] == [f"93.184.215.{n}" for n in range(1, 5)]


async def test_an_address_given_twice_is_tried_once() -> None:
    sockets = Sockets()
    await attempt(Names([PUBLIC_V6, PUBLIC, "2606:4700:0::1111"]), sockets, "http://twice.example.com/")
    assert sockets.opened == [(PUBLIC_V6, 80), (PUBLIC, 80)]


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "fd00:ec2::254", "64:ff9b::a00:1", "::"])
async def test_development_mode_still_refuses_metadata_and_tunnels(address: str) -> None:
    sockets = Sockets()
    failure = await attempt(Names([address]), sockets, "http://meta.internal/", allow_private=True)
    assert (failure.stage, sockets.opened) == ("address", [])


async def test_development_mode_connects_to_private_addresses() -> None:
    sockets = Sockets()
    await attempt(Names(["10.0.0.7", "127.0.0.1"]), sockets, "http://receiver:9000/", allow_private=True)
    assert sockets.opened == [("10.0.0.7", 9000), ("127.0.0.1", 9000)]


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"Host": "127.0.0.1"}),
        ("POST", {"content-length": "0"}),
        ("POST", {"Transfer-Encoding": "chunked"}),
        ("POST", {"X-Name": "a\r\nHost: 127.0.0.1"}),
        ("POST", {"X-Name": "a\nb"}),
        ("POST", {"X Name": "a"}),
        ("POST", {"": "a"}),
        ("POST / HTTP/1.1\r\nX:", {}),
        ("CONNECT", {}),
    ],
)
async def test_a_request_that_could_break_its_framing_is_a_fault_of_the_caller(
    method: str, headers: dict[str, str]
) -> None:
    client = SafeHttp(resolver=Names(), dial=Sockets().dial)
    with pytest.raises(ValueError, match=r"header|method"):
        await client.send(method, "http://x.example.com/", headers=headers, body=b"", deadline=1.0)


async def test_a_reason_is_one_line_of_printable_ascii() -> None:
    hostile = OSError(5, "line one\r\nline two \x1b[31m\udcff ü " + "x" * 5000)
    failure = await attempt(Names(hostile), Sockets(), "http://hostile.example.com/")
    assert failure.reason.isascii()
    assert failure.reason.isprintable()
    assert len(failure.reason) <= 400


@pytest.mark.parametrize(("connections", "keep_alive"), [(0, 1.0), (-1, 1.0), (1, 0.0)])
def test_a_client_without_bounds_cannot_be_made(connections: int, keep_alive: float) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SafeHttp(connections=connections, keep_alive=keep_alive)


async def test_attempts_at_the_same_moment_share_one_lookup_and_later_ones_ask_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    asked_once, answering = threading.Event(), threading.Event()

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        asked.append(host)
        asked_once.set()
        answering.wait(5)
        return [(2, 1, 6, "", (PUBLIC, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = SystemResolver(threads=2)
    lookups = [asyncio.create_task(resolver.lookup("one.example")) for _ in range(50)]
    await asyncio.to_thread(asked_once.wait, 5)
    answering.set()
    found = await asyncio.gather(*lookups)
    assert found == [[PUBLIC]] * 50
    assert asked == ["one.example"]
    await resolver.lookup("one.example")
    assert asked == ["one.example", "one.example"]
    resolver.close()


async def test_a_hung_name_server_costs_its_own_thread_and_no_other_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = threading.Event()

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        if host == "hung.example":
            hung.wait(5)
        return [(2, 1, 6, "", (PUBLIC, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = SystemResolver(threads=2)
    waiting = asyncio.create_task(resolver.lookup("hung.example"))
    for n in range(20):
        assert await resolver.lookup(f"n{n}.example") == [PUBLIC]
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    hung.set()
    resolver.close()


async def test_a_hundred_hung_name_servers_delay_no_other_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a thread for as long as it hangs; there are as many as there may be attempts."""
    hung, many, sockets = threading.Event(), threading.Event(), Sockets()
    begun: list[str] = []

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        begun.append(host)
        if len(begun) >= 64:
            many.set()
        if host.startswith("hung"):
            hung.wait(30)
        return [(2, 1, 6, "", (PUBLIC, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    client = SafeHttp(dial=sockets.dial, connections=101)

    async def ask(host: str) -> Answer | Failure:
        return await client.send("POST", f"http://{host}/", headers={}, body=b"", deadline=20.0)

    waiting = [asyncio.create_task(ask(f"hung{n}.example")) for n in range(100)]
    await asyncio.to_thread(many.wait, 20)
    outcome = await ask("healthy.example")
    assert isinstance(outcome, Failure)
    assert (outcome.stage, sockets.opened) == ("connect", [(PUBLIC, 80)])
    hung.set()
    await asyncio.gather(*waiting)
    await client.close()
