"""The only way to call an address that somebody else gave us: webhook URLs, callbacks, test sends.

A stranger's URL must not reach what only we can reach (server-side request forgery), and a stranger's server must not
cost more than its turn. The rules:

1. A URL is read by one narrow grammar (`url.py`): http or https, no user-info, no backslash, no white space, a real
   port; host names become lower-case ASCII, short, octal, hex and fullwidth spellings of IPv4 become plain ones.
   `check_url` applies it when a URL is given, `SafeHttp.send` again at every attempt.
2. An attempt resolves the name once. Every address of the answer must be public by our own table (`addresses.py`), or
   none is used. IP addresses in URLs are judged by the same table.
3. The connection goes to one of those vetted addresses, never to the name again, and the peer of the socket is
   compared before a byte is sent, TLS included (`connect.py`). The Host header, SNI and the certificate check use the
   original name. So a name server that changes its mind between check and connection gains nothing.
4. A kept connection serves only its own scheme, host and port, and only while its peer is among the addresses that
   this very attempt has vetted. There is no DNS cache across attempts.
5. No redirect is followed, no proxy, netrc or cookie is used, no answer is decompressed.
6. One deadline covers lookup, connection, handshake, request, headers and body. Headers are bounded (100 of 8 KiB),
   interim answers too (16), and so is what frames a body (as much as the body itself and 32 KiB). The body is read up
   to `max_response`. What is left unread is dropped, not drained.
7. An attempt is one try: nothing is sent a second time.
8. What the far side does is a value: an `Answer`, or a `Failure` with the stage it happened in. Exceptions are for
   faults of the caller, and for cancellation, which passes through.

`allow_private=True` lets the private networks and local names through, for development; all else holds, and the
metadata services of clouds, link-local addresses and tunnels stay refused. Whoever turns it on should say so loudly.

A machine in an IPv6-only network that reaches IPv4 receivers through DNS64 sees them at NAT64 addresses, which are
refused: it needs an IPv4 path (464XLAT or dual stack).

docs/safe_http.md is the manual, with a table of inputs for each rule, to which the tests hold the code.
"""

from purvey.server.kit.safe_http.addresses import is_public, refusal
from purvey.server.kit.safe_http.client import SafeHttp, as_sent
from purvey.server.kit.safe_http.outcome import Answer, Failure, Stage, Timings
from purvey.server.kit.safe_http.resolve import Resolver, SystemResolver
from purvey.server.kit.safe_http.url import UnsafeUrl, check_url

__all__ = [
    "Answer",
    "Failure",
    "Resolver",
    "SafeHttp",
    "Stage",
    "SystemResolver",
    "Timings",
    "UnsafeUrl",
    "as_sent",
    "check_url",
    "is_public",
    "refusal",
]
