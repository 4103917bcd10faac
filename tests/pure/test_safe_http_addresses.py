"""The table of refused addresses: every network, every family, every way to hide one address in another."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from purvey.server.kit.safe_http.addresses import is_public, refusal

# Written from the registries, apart from the table in the code, so that a line lost there is found here.
REFUSED = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32"),
    *("::/128", "::1/128", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),
    *("2001::/32", "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001::/23", "2001:db8::/32", "2002::/16"),
    *("3fff::/20", "fc00::/7", "fd00:ec2::254/128", "fe80::/10", "fec0::/10", "ff00::/8", "4000::/2", "5f00::/16"),
]
FIRST_AND_LAST_OUTSIDE = [
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"),
    *("169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0"),
    *("192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"),
    *("198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "8.8.8.8", "93.184.215.14"),
    *("2000::1", "2001:200::1", "2001:db7:ffff::1", "2001:db9::1", "2001:ffff::1", "2003::1", "2606:4700::1111"),
    *("2a00:1450:4001:81b::200e", "3ffe:ffff::1", "3fff:1000::1"),
]
EMBEDDING = [
    ("::ffff:8.8.8.8", "mapped"),
    ("::ffff:127.0.0.1", "mapped"),
    ("::8.8.8.8", "compatible"),
    ("::ffff:0:8.8.8.8", "translated"),
    ("64:ff9b::8.8.8.8", "NAT64"),
    ("64:ff9b::a9fe:a9fe", "NAT64 of the metadata service"),
    ("64:ff9b:1::808:808", "local NAT64"),
    ("2002:808:808::1", "6to4"),
    ("2002:7f00:1::1", "6to4 of loopback"),
    ("2001:0:808:808::1", "Teredo"),
    ("2606:4700::5efe:a00:1", "ISATAP"),
    ("2606:4700::200:5efe:808:808", "ISATAP, universal bit"),
]


def _addresses(network: IPv4Network | IPv6Network) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    kind = IPv4Address if network.version == 4 else IPv6Address
    return st.integers(int(network.network_address), int(network.broadcast_address)).map(kind)


refused_addresses = st.sampled_from([ip_network(text) for text in REFUSED]).flatmap(_addresses)


@given(refused_addresses)
def test_every_address_of_a_refused_network_is_refused(address: IPv4Address | IPv6Address) -> None:
    assert refusal(str(address)) is not None


@given(refused_addresses)
def test_every_spelling_of_a_refused_ipv6_address_is_refused(address: IPv4Address | IPv6Address) -> None:
    for spelling in (address.exploded, address.compressed, address.exploded.upper()):
        assert not is_public(spelling)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_outside_the_refused_networks_is_public(address: IPv4Address) -> None:
    assume(not any(address in ip_network(text) for text in REFUSED))
    assert is_public(str(address))


@given(_addresses(IPv6Network("2a00::/12")))
def test_an_ordinary_ipv6_address_is_public(address: IPv4Address | IPv6Address) -> None:
    assume((int(address) >> 32) & 0xFDFF_FFFF != 0x5EFE)
    assert is_public(str(address))


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_outside_global_unicast_is_refused(address: IPv6Address) -> None:
    assume(address not in IPv6Network("2000::/3"))
    assert not is_public(str(address))


@pytest.mark.parametrize("network", REFUSED)
def test_the_first_and_last_address_of_a_refused_network_are_refused(network: str) -> None:
    parsed = ip_network(network)
    assert not is_public(str(parsed.network_address))
    assert not is_public(str(parsed.broadcast_address))


@pytest.mark.parametrize("address", FIRST_AND_LAST_OUTSIDE)
def test_the_neighbours_of_refused_networks_are_public(address: str) -> None:
    assert refusal(address) is None


@pytest.mark.parametrize(("address", "form"), EMBEDDING)
def test_an_address_that_embeds_another_is_refused_whatever_it_embeds(address: str, form: str) -> None:
    assert not is_public(address), form
    assert refusal(address, allow_private=True) is not None, form


@pytest.mark.parametrize("address", ["fe80::1%eth0", "2606:4700::1111%eth0", "::1%lo", "ff02::1%2"])
def test_a_scoped_address_is_refused(address: str) -> None:
    assert refusal(address, allow_private=True) == "tied to one network interface (RFC 4007)"


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f.0.0.1", "010.0.0.1", "1.2.3.4 ", "[::1]", "1.2.3.4/8"]
)
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    assert refusal(text, allow_private=True) == "not an IP address"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.20.0.1", "100.64.0.1", "::1", "fd12::1"]
)
def test_private_networks_are_let_through_for_development(address: str) -> None:
    assert refusal(address) is not None
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.42.42", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"),
        *("fd00:42::42", "192.0.0.192", "0.0.0.1", "255.255.255.255", "224.0.0.1", "::", "fe80::1", "ff02::1"),
    ],
)
def test_metadata_link_local_and_multicast_are_refused_even_for_development(address: str) -> None:
    assert refusal(address, allow_private=True) is not None
