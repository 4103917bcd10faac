"""Which IP addresses a stranger may make us talk to.

The table is our own. `ipaddress.is_global` answers another question ("is this range globally reachable by registry?")
and says yes to NAT64, 6to4, Teredo relays and site-local addresses, each of which can lead into a private network.

Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890 and its updates), RFC 6052 and RFC 8215
(NAT64), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP), RFC 4291 (IPv6 addressing), RFC 9637
(documentation), and the documentation of the cloud providers for their metadata services.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused network: `what` completes the sentence "10.0.0.1 is ...".

    `openable` networks are those in which developers really run receivers; they alone are let through by
    `allow_private`. Everything else stays refused whatever is allowed.
    """

    network: IPv4Network | IPv6Network
    what: str
    openable: Literal["for development", "never"] = "never"


def _never(network: str, what: str) -> Refused:
    return Refused(ip_network(network), what)


def _private(network: str, what: str) -> Refused:
    return Refused(ip_network(network), what, "for development")


# The first match decides, so single addresses stand before the networks that hold them.
REFUSED_V4: tuple[Refused, ...] = (
    _never("169.254.169.254/32", "the metadata service of cloud machines"),
    _never("100.100.100.200/32", "the metadata service of Alibaba Cloud"),
    _never("168.63.129.16/32", "the host service of Azure"),
    _never("0.0.0.0/8", "this host itself (RFC 1122)"),
    _private("10.0.0.0/8", "a private network (RFC 1918)"),
    _private("100.64.0.0/10", "a carrier's shared network (RFC 6598)"),
    _private("127.0.0.0/8", "loopback (RFC 1122)"),
    _never("169.254.0.0/16", "link-local (RFC 3927)"),
    _private("172.16.0.0/12", "a private network (RFC 1918)"),
    _never("192.0.0.0/24", "reserved for protocols (RFC 6890)"),
    _never("192.0.2.0/24", "reserved for documentation (RFC 5737)"),
    _never("192.88.99.0/24", "the old 6to4 relay (RFC 7526)"),
    _private("192.168.0.0/16", "a private network (RFC 1918)"),
    _private("198.18.0.0/15", "a benchmarking network (RFC 2544)"),
    _never("198.51.100.0/24", "reserved for documentation (RFC 5737)"),
    _never("203.0.113.0/24", "reserved for documentation (RFC 5737)"),
    _never("224.0.0.0/4", "multicast (RFC 5771)"),
    _never("255.255.255.255/32", "broadcast (RFC 919)"),
    _never("240.0.0.0/4", "reserved (RFC 1112)"),
)

REFUSED_V6: tuple[Refused, ...] = (
    _never("::/128", "the unspecified address (RFC 4291)"),
    _private("::1/128", "loopback (RFC 4291)"),
    _never("::ffff:0:0/96", "an IPv4 address in disguise (RFC 4291)"),
    _never("::ffff:0:0:0/96", "an IPv4 address in disguise (RFC 2765)"),
    _never("::/96", "an IPv4 address in disguise (RFC 4291)"),
    _never("64:ff9b::/96", "a NAT64 translation of an IPv4 address (RFC 6052)"),
    _never("64:ff9b:1::/48", "a local NAT64 translation (RFC 8215)"),
    _never("100::/64", "discard-only (RFC 6666)"),
    _never("fd00:ec2::254/128", "the metadata service of cloud machines"),
    _never("fd20:ce::254/128", "the metadata service of cloud machines"),
    _never("fd00:42::42/128", "the metadata service of cloud machines"),
    _private("fc00::/7", "a private network (RFC 4193)"),
    _never("fe80::/10", "link-local (RFC 4291)"),
    _never("fec0::/10", "site-local (RFC 3879)"),
    _never("ff00::/8", "multicast (RFC 4291)"),
    _never("2001::/32", "a Teredo tunnel (RFC 4380)"),
    _never("2001::/23", "reserved for protocols (RFC 2928)"),
    _never("2001:db8::/32", "reserved for documentation (RFC 3849)"),
    _never("2002::/16", "a 6to4 tunnel (RFC 3056)"),
    _never("3fff::/20", "reserved for documentation (RFC 9637)"),
)

GLOBAL_UNICAST = IPv6Network("2000::/3")
_OUTSIDE = "outside the public part of IPv6, 2000::/3 (RFC 4291)"
_SCOPED = "tied to one network interface (RFC 4007)"
_ISATAP = "an ISATAP tunnel (RFC 5214)"
_ISATAP_MARKS = frozenset({0x0000_5EFE, 0x0200_5EFE})
_NO_ADDRESS = "not an IP address"


def refusal(address: str, *, allow_private: bool = False) -> str | None:
    """Say why `address` is refused ("a private network (RFC 1918)"), or None when it may be connected to.

    `address` is one that a resolver gave, in plain notation. With `allow_private` the networks marked "for
    development" pass; metadata services, link-local, tunnels, multicast and every other rule still hold. A form that
    embeds another address (mapped, compatible, NAT64, 6to4, Teredo, ISATAP) is refused without looking inside: no
    receiver is published at one, and each is a second spelling by which a table could be missed.
    """
    rule = _rule_for(address)
    if rule is None or (allow_private and rule.openable == "for development"):
        return None
    return rule.what


def is_public(address: str) -> bool:
    """Tell whether `address` is an ordinary address of the public internet."""
    return _rule_for(address) is None


@lru_cache(maxsize=4096)
def plain(address: str) -> str:
    """Return the one spelling of an address by which two can be compared; raise ValueError if it is none."""
    return str(ip_address(address))


@lru_cache(maxsize=4096)
def _rule_for(address: str) -> Refused | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return _always(_NO_ADDRESS)
    return _rule_for_v4(parsed) if isinstance(parsed, IPv4Address) else _rule_for_v6(parsed)


def _rule_for_v4(address: IPv4Address) -> Refused | None:
    return next((rule for rule in REFUSED_V4 if address in rule.network), None)


def _rule_for_v6(address: IPv6Address) -> Refused | None:
    if address.scope_id is not None:
        return _always(_SCOPED)
    listed = next((rule for rule in REFUSED_V6 if address in rule.network), None)
    if listed is not None:
        return listed
    if address not in GLOBAL_UNICAST:
        return _always(_OUTSIDE)
    interface = int(address) & 0xFFFF_FFFF_FFFF_FFFF
    return _always(_ISATAP) if interface >> 32 in _ISATAP_MARKS else None


def _always(what: str) -> Refused:
    return Refused(IPv6Network("::/0"), what)
