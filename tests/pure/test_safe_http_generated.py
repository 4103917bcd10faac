"""Ten thousand hostile URLs, and names whose server changes its mind: no socket is opened to a place that is not public.

What is public is asked of a table written here, apart from the one in the code. The client is the real one, and opens its sockets
by itself: what is watched is the interpreter's own word of every connection and lookup that the process makes meanwhile (its audit
events, PEP 578), and each connection is refused at that very moment, before the system is asked for it.
"""

import asyncio
import random
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from hypothesis import given, settings
from hypothesis import strategies as st

from purvey.server.kit.safe_http import Failure, SafeHttp

EXAMPLES, URLS_EACH = 200, 50
TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""No handshake comes about here; loading the system's certificates for every example would take longest."""

PUBLIC = ["93.184.215.14", "8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001:81b::200e"]
PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"),
    *("0.0.0.0", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255"),  # noqa: S104
    *("168.63.129.16", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "100::1"),
    *("2001:db8::1", "3fff::1", "5f00::1"),
]
JUNK = [
    "",
    "localhost",
    "127.1",
    "0x7f.1",
    "fe80::1%eth0",
    "::1%lo",
    "[::1]",
    "10.0.0.1/8",
    "not an address",
    "1.2.3.4 ",
]
REALLY_PRIVATE = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *(
        "224.0.0.0/3",
        "168.63.129.16/32",
        "::/3",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "4000::/2",
        "8000::/1",
    ),
]
NETWORKS = [ip_network(network) for network in REALLY_PRIVATE]
NAMES = [
    "a.example",
    "rebind.example",
    "bücher.example",
    "x.example.",
    "LOCALHOST",
    "redis",
    "a.internal",
    "xn--bcher-kva.example",
]
SCHEMES = ["http", "https", "HTTP", "hTTps", "ftp", "file", "gopher", "ws", "http:", ""]
PORTS = ["", "", "", ":80", ":443", ":8080", ":0", ":65536", ":٨٠", ":", ":80:90", ":-1"]
USERS = ["", "", "", "", "u@", "u:p@", "a.example@", "127.0.0.1@", "a.example\\@", "%40@"]
RESTS = [
    "",
    "/",
    "/in?x=1#y",
    "/%2e%2e/",
    "\\@127.0.0.1/",
    "/\r\nHost: 127.0.0.1",
    "?@127.0.0.1",
    "#@127.0.0.1",
    "/@127.0.0.1",
    "//127.0.0.1",
]
STRAY = [
    "@",
    "\\",
    "/",
    ":",
    "%",
    "#",
    "?",
    "[",
    "]",
    ".",
    "。",
    "\t",
    "\n",
    "\0",
    "\u00ad",
    "\u200d",
    "％",
    "／",
    "＠",
    "1",
    "ｌ",
    "ß",
]
WIDE = str.maketrans("0123456789.", "０１２３４５６７８９。")


def dice(seed: int) -> random.Random:
    """Return chance that repeats itself."""
    return random.Random(seed)  # noqa: S311  # no secret is made of it


class Fickle:
    """A name server that answers each question with something else."""

    def __init__(self) -> None:
        self.chance = dice(0)

    async def lookup(self, _host: str) -> Sequence[str]:
        return [
            embedded(self.chance, self.chance.choice(PUBLIC * 40 + PRIVATE + JUNK))
            for _ in range(self.chance.randint(0, 3))
        ]


def embedded(chance: random.Random, address: str) -> str:
    """Return an IPv4 address as it is, or in one of its IPv6 disguises."""
    try:
        value = int(ip_address(address)) if "." in address else None
    except ValueError:
        value = None
    if value is None:
        return address
    high, low = value >> 16, value & 0xFFFF
    disguises = [
        f"::ffff:{address}",
        f"::{address}",
        f"64:ff9b::{high:x}:{low:x}",
        f"64:ff9b:1::{high:x}:{low:x}",
        f"::ffff:0:{address}",
    ]
    disguises += [f"2002:{high:x}:{low:x}::1", f"2001:0:{high:x}:{low:x}::", f"2606:4700::5efe:{high:x}:{low:x}"]
    return chance.choice([address] * 8 + disguises)


def spelled(chance: random.Random, address: str) -> str:
    """Return the address as a host, in any of the spellings by which people have got round checks."""
    if ":" in address:
        parsed = ip_address(address)
        return chance.choice(
            [f"[{address}]", f"[{parsed.exploded}]", f"[{address.upper()}]", f"[{address}%25eth0]", address]
        )
    a, b, c, d = (int(part) for part in address.split("."))
    value = int(ip_address(address))
    return chance.choice(
        [
            *(
                address,
                f"{address}.",
                str(value),
                hex(value),
                f"0{value:o}",
                f"{a}.{value & 0xFFFFFF}",
                f"{a}.{b}.{c << 8 | d}",
            ),
            *(
                f"0x{a:x}.0{b:o}.{c}.0X{d:X}",
                f"{a:03o}.{b}.{c}.{d}",
                address.translate(WIDE),
                f"{address}.nip.io",
                f"{address}%00.example",
            ),
        ]
    )


def hostile(chance: random.Random) -> str:
    """Return a URL of somebody who means ill."""
    host = chance.choice(NAMES) if chance.random() < 0.5 else spelled(chance, chance.choice(PRIVATE + PUBLIC * 4))
    if "[" not in host and chance.random() < 0.1:
        host = f"[{embedded(chance, chance.choice(PRIVATE[:15]))}]"
    scheme, user, port = seldom(chance, "http", SCHEMES), seldom(chance, "", USERS), seldom(chance, "", PORTS)
    url = f"{scheme}://{user}{host}{port}{seldom(chance, '/', RESTS)}"
    if chance.random() < 0.2:
        at = chance.randint(0, len(url))
        url = url[:at] + chance.choice(STRAY) + url[at + chance.randint(0, 1) :]
    return url


def seldom(chance: random.Random, usual: str, others: Sequence[str]) -> str:
    return chance.choice(others) if chance.random() < 0.2 else usual


def may_be_connected_to(address: str) -> bool:
    parsed = ip_address(address)
    isatap = parsed.version == 6 and (int(parsed) >> 32) & 0xFDFF_FFFF == 0x5EFE
    return not isatap and not any(parsed in network for network in NETWORKS)


class Watch:
    """What the interpreter says of sockets and lookups while a test is listening. Nothing is let out."""

    opened: list[str] | None = None
    """The addresses that sockets were to be connected to."""
    asked: ClassVar[list[str]] = []
    """Whatever else the system was asked for: lookups, datagrams."""
    hooked = False

    @classmethod
    @contextmanager
    def listening(cls) -> Iterator[list[str]]:
        if not cls.hooked:
            cls.hooked = True
            sys.addaudithook(cls.hear)
        cls.opened, cls.asked = [], []
        try:
            yield cls.opened
        finally:
            cls.opened = None

    @classmethod
    def hear(cls, event: str, args: tuple[Any, ...]) -> None:
        if cls.opened is None or not event.startswith("socket."):
            return
        if event == "socket.connect":
            cls.opened.append(str(args[1][0]))
            raise ConnectionRefusedError(111, "Connection refused")
        if event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}:
            cls.asked.append(f"{event} {args}")


def opened_by(urls: Sequence[str], seed: int, *, repeat: int = 1) -> list[str]:
    """Send to each of the URLs, and return the addresses that a socket was to be connected to; the system is asked nothing else."""
    with Watch.listening() as opened:
        asyncio.run(_send_to(urls, seed, repeat))
    assert Watch.asked == []
    return opened


async def _send_to(urls: Sequence[str], seed: int, repeat: int) -> None:
    names = Fickle()
    names.chance.seed(seed)
    client = SafeHttp(resolver=names, tls=TRUST)
    for url in urls:
        for _ in range(repeat):
            outcome = await client.send("POST", url, headers={}, body=b"{}", deadline=30.0)
            assert isinstance(outcome, Failure), url
            assert outcome.stage in {"url", "address", "dns", "connect"}, (url, outcome)
    await client.close()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64))
def test_no_hostile_url_and_no_fickle_name_leads_to_a_place_that_is_not_public(seed: int) -> None:
    chance = dice(seed)
    opened = opened_by([hostile(chance) for _ in range(URLS_EACH)], seed)
    assert [address for address in opened if not may_be_connected_to(address)] == []


def test_a_name_that_changes_its_mind_a_thousand_times_leads_to_public_places_only() -> None:
    opened = opened_by(["http://rebind.example/"], 7, repeat=1000)
    assert len(opened) > 200
    assert [address for address in opened if not may_be_connected_to(address)] == []


def test_the_ten_thousand_are_of_all_kinds() -> None:
    chance = dice(1)
    urls = [hostile(chance) for _ in range(2000)]
    assert len(set(urls)) > 1000
    assert len(opened_by(urls, 1)) > 100
