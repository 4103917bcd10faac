"""Reading a URL that a stranger gave: one strict grammar, one normal form, no second opinion.

Parsers disagree about user-info, backslashes, white space, odd digits and short addresses, and every disagreement is
a way past a check. So only what all parsers read alike is accepted, host names are brought to the one ASCII spelling
that is resolved, and everything after this file works on the normal form alone.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal
from urllib.parse import quote

import idna

from purvey.server.kit.safe_http.addresses import refusal

_SHAPE = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?:#.*)?", re.DOTALL)
_PLACE = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 3986 reserved characters and the percent sign stay; everything else that is not unreserved is encoded.
_KEPT = "%/:@!$&'()*+,;=~?[]"

# RFC 6761, RFC 6762 appendix G, RFC 8375 and ICANN's reservation of .internal.
PRIVATE_SUFFIXES = ("localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan")
_PRIVATE_ENDINGS = tuple(f".{suffix}" for suffix in (*PRIVATE_SUFFIXES, "home.arpa"))


class UnsafeUrl(ValueError):
    """A URL we will not call. `reason` is a sentence that says what is wrong and what would be right."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: `host` is ASCII, lower-case, without brackets; `literal` tells whether it is an address."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    rest: str
    literal: bool

    @property
    def url(self) -> str:
        """The normal form: lower-case scheme and host, no default port, no fragment, path and query as given."""
        return f"{self.scheme}://{self.authority}{self.rest}"

    @property
    def authority(self) -> str:
        """What the Host header says: the host, and the port when it is not the scheme's own (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """What the request line asks for: the path, never empty, and the query (RFC 9112, 3.2.1)."""
        return self.rest if self.rest.startswith("/") else f"/{self.rest}"


def check_url(url: str, *, allow_private: bool = False, max_length: int = 2048) -> str:
    """Return the normal form of `url`, or raise UnsafeUrl; to be used at the moment a URL is given to us.

    Looks at the text alone and asks no name server: what is plainly private is refused here, what a name leads to is
    judged at every connection. `max_length` is in characters, for the text as given and for its normal form (DW-3).
    `allow_private` lets local names and the private networks through, for development.
    """
    if len(url) > max_length:
        raise UnsafeUrl(f"The URL has {len(url)} characters; at most {max_length} are allowed.")
    target = parse(url)
    if (reason := private_host(target, allow_private=allow_private)) is not None:
        raise UnsafeUrl(reason)
    if len(target.url) > max_length:
        raise UnsafeUrl(f"The URL has {len(target.url)} characters once encoded; at most {max_length} are allowed.")
    return target.url


def private_host(target: Target, *, allow_private: bool) -> str | None:
    """Say in a sentence why the host is plainly not a public one, or None when its text does not tell."""
    host = target.host
    if target.literal:
        what = refusal(host, allow_private=allow_private)
        return None if what is None else f"The address {host} is {what}; use a public address or host name."
    if not allow_private and (host in PRIVATE_SUFFIXES or host.endswith(_PRIVATE_ENDINGS)):
        return f"The host {host} is a name of a private network; use a host name that is public."
    if not allow_private and "." not in host:
        return f"The host {host} has no dot and can only be a local name; use a full host name like hooks.example.com."
    return None


@lru_cache(maxsize=4096)
def parse(url: str) -> Target:
    """Take a URL apart by a grammar narrower than RFC 3986, or raise UnsafeUrl.

    http and https only, no user-info, no backslash, no white space or control character anywhere, port 1..65535. The
    host is a name, an IPv4 address in any spelling that inet_aton reads, or an IPv6 address in brackets.
    """
    _refuse_odd_characters(url)
    shape = _SHAPE.fullmatch(url)
    if shape is None:
        raise UnsafeUrl("The URL is not complete; it must look like https://hooks.example.com/path.")
    scheme = _scheme(shape["scheme"])
    host_text, port = _host_and_port(shape["authority"], scheme)
    host, literal = _host(host_text)
    rest = quote(shape["rest"], safe=_KEPT)
    return Target(scheme=scheme, host=host, port=port, rest=rest, literal=literal)


def _refuse_odd_characters(url: str) -> None:
    if "\\" in url:
        raise UnsafeUrl("The URL contains a backslash; use / in the path, or %5C for a literal backslash.")
    for character in url:
        if character.isspace() or unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}:
            raise UnsafeUrl(
                f"The URL contains the character U+{ord(character):04X}; white space, control and invisible characters"
                " must be percent-encoded."
            )


def _scheme(text: str) -> Literal["http", "https"]:
    match text.lower():
        case "http":
            return "http"
        case "https":
            return "https"
        case other:
            raise UnsafeUrl(f"The scheme {other} is not allowed; use https (or http).")


def _host_and_port(authority: str, scheme: str) -> tuple[str, int]:
    if "@" in authority:
        raise UnsafeUrl("The URL contains a user name or password; leave out what stands before the @.")
    place = _PLACE.fullmatch(authority)
    if place is None:
        raise UnsafeUrl(f"The part {authority!r} is not a host with an optional port, like hooks.example.com:8443.")
    if not place["host"]:
        raise UnsafeUrl("The URL has no host; it must look like https://hooks.example.com/path.")
    port = int(place["port"] or _DEFAULT_PORTS[scheme])
    if not 1 <= port <= 65_535:
        raise UnsafeUrl(f"The port {port} does not exist; ports go from 1 to 65535.")
    return place["host"], port


def _host(text: str) -> tuple[str, bool]:
    if text.startswith("["):
        return _ipv6(text[1:-1]), True
    if "%" in text:
        raise UnsafeUrl("The host contains a percent sign; write it without percent-encoding.")
    name = _ascii(text).removesuffix(".")
    labels = name.split(".")
    if _ends_in_number(labels[-1]):
        return _ipv4(name, labels), True
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UnsafeUrl(f"The host {text!r} is not a valid host name; it must look like hooks.example.com.")
    return name, False


def _ascii(text: str) -> str:
    if text.isascii():
        return text.lower()
    if len(text) > 253:
        raise UnsafeUrl("The host is longer than 253 characters, which no host name may be.")
    try:
        mapped = idna.uts46_remap(text, std3_rules=False, transitional=False)
        return mapped if mapped.isascii() else idna.encode(mapped).decode("ascii")
    except idna.IDNAError as error:
        raise UnsafeUrl(f"The host {text!r} is not a valid international name ({error}).") from error


def _ends_in_number(label: str) -> bool:
    return label.isdigit() or _NUMBER.fullmatch(label) is not None


def _ipv4(name: str, labels: list[str]) -> str:
    """Read what inet_aton reads: 1 to 4 numbers, decimal, 0octal or 0xhex, the last filling all that is left."""
    numbers = [_number(label) for label in labels]
    tail_bytes = 5 - len(numbers)
    valid = [number for number in numbers if number is not None]
    fits = len(valid) == len(numbers) <= 4 and all(n < 256 for n in valid[:-1]) and valid[-1] < 256**tail_bytes
    if not fits:
        raise UnsafeUrl(f"The host {name!r} ends in a number but is no IPv4 address; write it like 93.184.215.14.")
    value = valid[-1]
    for place, number in enumerate(valid[:-1]):
        value += number << (8 * (3 - place))
    return str(IPv4Address(value))


def _number(label: str) -> int | None:
    if _NUMBER.fullmatch(label) is None or len(label) > 64:
        return None
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    if label.startswith("0") and len(label) > 1:
        return int(label, 8) if set(label) <= set("01234567") else None
    return int(label)


def _ipv6(text: str) -> str:
    if "%" in text:
        raise UnsafeUrl("The IPv6 address names a network interface; leave out the % and what follows it.")
    try:
        return str(IPv6Address(text))
    except AddressValueError as error:
        raise UnsafeUrl(f"The host [{text}] is no IPv6 address ({error}).") from error
