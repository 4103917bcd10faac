"""Reading URLs: what is refused, what it becomes, and that no spelling gets round the decision."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey.server.kit.safe_http import UnsafeUrl, check_url, is_public

REFUSED = [
    # schemes
    ("ftp://example.com/", "scheme ftp"),
    ("file:///etc/passwd", "scheme file"),
    ("gopher://example.com:70/", "scheme gopher"),
    ("javascript://example.com/%0aalert(1)", "scheme javascript"),
    ("unix:///var/run/docker.sock", "scheme unix"),
    ("//example.com/", "not complete"),
    ("example.com/hook", "not complete"),
    ("http:example.com", "not complete"),
    ("http:/example.com", "not complete"),
    ("", "not complete"),
    ("https:///hook", "no host"),
    ("https://:443/hook", "no host"),
    ("https://?x=1", "no host"),
    # user-info
    ("https://user:secret@example.com/", "user name"),
    ("https://example.com@127.0.0.1/", "user name"),
    ("https://127.0.0.1#@example.com/", "loopback"),
    ("https://@example.com/", "user name"),
    ("https://example.com:443@10.0.0.1/", "user name"),
    # backslash, white space, control characters
    ("https://example.com\\@127.0.0.1/", "backslash"),
    ("https://127.0.0.1\\.example.com/", "backslash"),
    ("https:\\\\example.com/", "backslash"),
    (" https://example.com/", "U+0020"),
    ("https://example.com/a b", "U+0020"),
    ("https://exam\nple.com/", "U+000A"),
    ("ht\ttps://example.com/", "U+0009"),
    ("https://example.com/\x00", "U+0000"),
    ("https://example.com/\r\nHost: 127.0.0.1", "U+000D"),
    ("https://example.com/\u2028", "U+2028"),
    ("https://exa\u00admple.com/", "U+00AD"),
    ("https://example.com/\ud800", "U+D800"),
    # ports
    ("https://example.com:0/", "port 0 does not exist"),
    ("https://example.com:65536/", "port 65536 does not exist"),
    ("https://example.com:99999999/", "not a host with an optional port"),
    ("https://example.com:-1/", "not a host with an optional port"),
    ("https://example.com:٨٠/", "not a host with an optional port"),
    ("https://example.com:80:80/", "not a host with an optional port"),
    # host names
    ("https://exa%6dple.com/", "percent sign"),
    ("https://%31%32%37.0.0.1/", "percent sign"),
    ("https://127.0.0.1%2f@example.com/", "user name"),
    ("https://127.0.0.1%00.example.com/", "percent sign"),
    ("https://exa$mple.com/", "not a valid host name"),
    ("https://-example.com/", "not a valid host name"),
    ("https://example..com/", "not a valid host name"),
    ("https://.example.com/", "not a valid host name"),
    ("https://example.com../", "not a valid host name"),
    (f"https://{'a' * 64}.com/", "not a valid host name"),
    (f"https://{'a.' * 127}com/", "not a valid host name"),
    ("https://a＠b.example/", "not a valid host name"),
    ("https://a／b.example/", "not a valid host name"),
    ("https://xn--\u0301.example/", "not a valid international name"),
    (f"https://{'ä' * 300}.example/", "longer than 253"),
    # names of private networks
    ("http://localhost/", "private network"),
    ("http://LOCALHOST:8000/", "private network"),
    ("http://localhost./", "private network"),
    ("http://api.localhost/", "private network"),
    ("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "private network"),
    ("http://printer.local/", "private network"),
    ("http://metadata.google.internal/", "private network"),
    ("http://router.lan/", "private network"),
    ("http://nas.home.arpa/", "private network"),
    ("http://intranet/", "private network"),
    ("http://redis/", "no dot"),
    ("http://com/", "no dot"),
    # addresses
    ("http://[::1]/", "loopback"),
    ("http://[0:0:0:0:0:0:0:1]/", "loopback"),
    ("http://[::]/", "unspecified"),
    ("http://[::ffff:8.8.8.8]/", "disguise"),
    ("http://[::ffff:7f00:1]/", "disguise"),
    ("http://[fe80::1%25eth0]/", "network interface"),
    ("http://[fe80::1%eth0]/", "network interface"),
    ("http://[fec0::1]/", "site-local"),
    ("http://[fd00:ec2::254]/", "metadata"),
    ("http://[64:ff9b::7f00:1]/", "NAT64"),
    ("http://[2002:7f00:1::]/", "6to4"),
    ("http://[v1.fe80::1]/", "no IPv6 address"),
    ("http://[]/", "no IPv6 address"),
    ("http://[::1/", "not a host with an optional port"),
    ("http://[::1]x/", "not a host with an optional port"),
    ("http://169.254.169.254/latest/meta-data/", "metadata"),
    ("http://0/", "this host itself"),
    ("http://256.1.1.1/", "no IPv4 address"),
    ("http://1.2.3.4.5/", "no IPv4 address"),
    ("http://1.2.3.08/", "no IPv4 address"),
    ("http://4294967296/", "no IPv4 address"),
    ("http://example.1/", "no IPv4 address"),
]
LOOPBACK_SPELLINGS = [
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.1", "0X7f.0.0.1", "017700000001", "0177.1"),
    *("0177.0.0.01", "127.0.0.1.", "127.000.000.001", "00000000177.0x0.1", "１２７.０.０.１", "127。0。0。1"),
    *("127．0｡0.1", "①②⑦.⓪.⓪.①", "０ｘ７ｆ.1", "𝟏𝟐𝟕.0.0.1", "2130706433."),
]
ACCEPTED = [
    ("https://hooks.example.com/in", "https://hooks.example.com/in"),
    ("https://hooks.example.com", "https://hooks.example.com"),
    ("HTTPS://Hooks.Example.COM:443/In?A=b&c=%2F#part", "https://hooks.example.com/In?A=b&c=%2F"),
    ("http://hooks.example.com:80/", "http://hooks.example.com/"),
    ("http://hooks.example.com:/", "http://hooks.example.com/"),
    ("http://hooks.example.com:0443/", "http://hooks.example.com:443/"),
    ("https://hooks.example.com:8443/", "https://hooks.example.com:8443/"),
    ("https://hooks.example.com./in", "https://hooks.example.com/in"),
    ("https://my_hook.example.com/", "https://my_hook.example.com/"),
    ("https://bücher.example/ü?q=ö", "https://xn--bcher-kva.example/%C3%BC?q=%C3%B6"),
    ("https://faß.example/", "https://xn--fa-hia.example/"),
    ("https://ＥＸＡＭＰＬＥ.com/", "https://example.com/"),
    ("https://例え。テスト/", "https://xn--r8jz45g.xn--zckzah/"),
    ("https://example.com/@name/a:b", "https://example.com/@name/a:b"),
    ("https://example.com?x=1", "https://example.com?x=1"),
    ("https://example.com/../a/./b//c", "https://example.com/../a/./b//c"),
    ("https://8.8.8.8/", "https://8.8.8.8/"),
    ("https://134744072/", "https://8.8.8.8/"),
    ("https://010.8.8.8/", "https://8.8.8.8/"),
    ("https://[2606:4700:0:0::1111]:8443/x", "https://[2606:4700::1111]:8443/x"),
    ("https://localhost.example.com/", "https://localhost.example.com/"),
    ("https://notlocal.com/", "https://notlocal.com/"),
]


def _ipv4_spellings(address: IPv4Address) -> list[str]:
    value = int(address)
    a, b, c, d = address.packed
    wide = str(address).translate({**{ord("0") + n: 0xFF10 + n for n in range(10)}, ord("."): 0x3002})
    return [
        *(str(address), f"{address}.", str(value), hex(value), f"0{value:o}", f"{a}.{value & 0xFFFFFF}"),
        *(f"{a}.{b}.{c << 8 | d}", f"0x{a:x}.0{b:o}.{c}.0X{d:X}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", wide),
    ]


@pytest.mark.parametrize(("url", "reason"), REFUSED)
def test_an_unsafe_url_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(UnsafeUrl) as refused:
        check_url(url)
    assert reason in refused.value.reason


@pytest.mark.parametrize(("url", "normal"), ACCEPTED)
def test_a_public_url_is_brought_to_its_normal_form(url: str, normal: str) -> None:
    assert check_url(url) == normal


@pytest.mark.parametrize(("_url", "normal"), ACCEPTED)
def test_the_normal_form_is_its_own_normal_form(_url: str, normal: str) -> None:
    assert check_url(normal) == normal


@pytest.mark.parametrize("host", LOOPBACK_SPELLINGS)
def test_loopback_is_refused_however_it_is_spelled(host: str) -> None:
    with pytest.raises(UnsafeUrl, match=r"127\.0\.0\.1 is loopback"):
        check_url(f"http://{host}/")


@given(st.ip_addresses(v=4))
def test_every_spelling_of_an_ipv4_address_ends_in_the_same_decision(address: IPv4Address) -> None:
    for host in _ipv4_spellings(address):
        if is_public(str(address)):
            assert check_url(f"http://{host}/") == f"http://{address}/"
        else:
            with pytest.raises(UnsafeUrl, match=str(address)):
                check_url(f"http://{host}/")


@given(st.text(max_size=60), st.sampled_from(["http://", "https://", "http://user@", "http://[", "http://1.", ""]))
def test_any_text_is_either_refused_or_brought_to_a_stable_ascii_form(text: str, start: str) -> None:
    try:
        normal = check_url(start + text)
    except UnsafeUrl:
        return
    assert normal.isascii()
    assert check_url(normal) == normal


def test_the_length_is_bounded_as_given_and_as_encoded() -> None:
    at_the_limit = "https://example.com/" + "a" * (2048 - 20)
    assert check_url(at_the_limit) == at_the_limit
    with pytest.raises(UnsafeUrl, match="2049 characters; at most 2048"):
        check_url(at_the_limit + "a")
    with pytest.raises(UnsafeUrl, match="once encoded"):
        check_url("https://example.com/" + "ä" * 500)
    with pytest.raises(UnsafeUrl, match="at most 10"):
        check_url("https://example.com/", max_length=10)


@pytest.mark.parametrize(
    "url", ["http://localhost:9000/x", "http://127.0.0.1:9000", "http://redis/", "http://[::1]:9/", "http://a.internal"]
)
def test_local_urls_are_let_through_for_development(url: str) -> None:
    assert check_url(url, allow_private=True) == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://169.254.169.254/", "metadata"),
        ("http://[64:ff9b::7f00:1]/", "NAT64"),
        ("http://user@localhost/", "user name"),
        ("http://localhost:0/", "port 0"),
        ("ftp://localhost/", "scheme ftp"),
    ],
)
def test_every_other_rule_holds_in_development(url: str, reason: str) -> None:
    with pytest.raises(UnsafeUrl, match=reason):
        check_url(url, allow_private=True)
