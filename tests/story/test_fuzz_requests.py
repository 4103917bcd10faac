"""Every route, asked by somebody who means ill or cannot spell: nothing breaks, nothing hangs, and what is wrong is named."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from access_matrix import FORMS, PAGES, PUBLIC, SELLERS, Account, Public, Seller, filled, open_account
from conftest import NewDatabase
from hostile import (
    ACCEPTS,
    AUTHORIZATIONS,
    CONTENT_TYPES,
    CURSORS,
    MULTIPART,
    NO_JSON,
    OTHER_HEADERS,
    QUERIES,
    SEGMENTS,
    UNHOLDABLE,
    WRONG,
)
from judge import complaints, named
from rawhttp import Answer, ask, request, send
from routed import Route, quoted, routes
from thorough import some
from threaded import ThreadedShop, threaded_shop

ROUTES = {route.name: route for route in routes()}
ENTRIES: Mapping[str, Seller | Public] = {**SELLERS, **PUBLIC}
READING = [name for name in ROUTES if name.startswith("GET")]
WRITING = [name for name, route in ROUTES.items() if route.takes_a_body]
JSON_BODIES = [name for name in WRITING if name in SELLERS or name == "POST /v1/checkouts"]
BODIES = [name for name in JSON_BODIES if ENTRIES[name].body is not None]
"""The routes that need a JSON object."""
KINDS = [
    "GET /",
    "GET /access/{token}",
    "GET /checkout/{checkout_id}/return",
    "GET /l/{listing_id}",
    "GET /mailbox",
    "GET /openapi.json",
    "GET /v1/listings",
    "POST /l/{listing_id}/checkout",
    "POST /payments/{provider}/notices",
    "POST /sandbox/checkouts/{checkout_id}/pay",
    "POST /v1/checkouts",
    "POST /v1/listings",
    "PUT /v1/listings/{listing_id}",
]
"""A route of each kind: pages, forms, lists, JSON, notices."""
SHARE = 10
"""Of the inputs that every route gets, each gets one in so many, unless the tests are to be thorough; together they get all."""
LISTS = [name for name, entry in SELLERS.items() if entry.asks and entry.is_json]


@dataclass(frozen=True)
class Victim:
    """A shop, a seller of it with one of everything, and what it has answered badly so far."""

    shop: ThreadedShop
    seller: Account

    def entry(self, route: Route) -> Seller | Public:
        return ENTRIES[route.name]

    def values(self, route: Route) -> dict[str, str]:
        return quoted(self.entry(route).values(self.seller.goods))

    def body(self, route: Route) -> dict[str, Any]:
        found: dict[str, Any] = filled(self.entry(route).body or {}, self.seller.goods)
        return found

    async def ask(
        self, route: Route, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"", method: str = ""
    ) -> Answer:
        """Send a request with the seller's key, unless `headers` have another."""
        told = {"Authorization": f"Bearer {self.seller.key}"} | dict(headers or {})
        return await ask(self.shop.url, method or route.method, target, told, body)


@pytest.fixture(scope="module")
def victim(new_database: NewDatabase) -> Iterator[Victim]:
    with threaded_shop(new_database) as opened:
        yield Victim(opened, opened.run(lambda: open_account(opened.shop, "victim")))


def faults(name: str, answer: Answer, what: object, *, head: bool = False) -> list[str]:
    """Return what is wrong with an answer to `what`, which is said too."""
    if name in PAGES and answer.headers.get("content-type", "").startswith("text/html") and answer.status < 500:
        return []
    said = complaints(answer.status, answer.headers, answer.body, head=head)
    injected = ["a header was injected"] if "x-injected" in answer.headers else []
    return [f"{name} with {str(what)[:60]}: {one}" for one in said + injected]


@pytest.mark.parametrize("name", [name for name in ROUTES if ROUTES[name].parameters])
async def test_no_odd_id_in_a_path_breaks_anything(victim: Victim, name: str) -> None:
    route, found = ROUTES[name], []
    for what, segment in some(SEGMENTS.items(), SHARE, name):
        target = route.target(dict.fromkeys(route.parameters, segment))
        found += faults(name, await victim.ask(route, target, body=b"{}" if route.takes_a_body else b""), what)
        if route.method == "GET":
            found += faults(name, await victim.ask(route, target, method="HEAD"), what, head=True)
    assert found == []


@pytest.mark.parametrize("name", [name for name in ROUTES if ROUTES[name].parameters])
async def test_text_that_nothing_can_hold_is_refused_by_the_name_of_its_parameter(victim: Victim, name: str) -> None:
    route, found = ROUTES[name], []
    for what, segment in UNHOLDABLE.items():
        for parameter in route.parameters:
            target = route.target(victim.values(route) | {parameter: segment})
            answer = await victim.ask(route, target, body=b"{}" if route.takes_a_body else b"")
            found += faults(name, answer, what)
            expected = 404 if parameter == "expires" or name.startswith("GET /openapi") else 422
            if answer.status != expected or (expected == 422 and named(answer.body) != [[parameter]]):
                found.append(f"{name} with {what} for {parameter}: {answer.status} {answer.body[:200]!r}")
    assert found == []


@pytest.mark.parametrize("name", READING)
async def test_no_odd_query_breaks_anything(victim: Victim, name: str) -> None:
    route, found = ROUTES[name], []
    odd = [f"{word}={value}" for word in ("cursor", "after", "status", "type", "q") for value in CURSORS[:4]]
    many = ["limit=1&limit=2", "limit[]=1", "&&&==", "=", "%", "x" * 5000, "&".join(f"a{n}=1" for n in range(2000))]
    for query in some([*QUERIES, *odd, *many, "cursor=a&after=b"], SHARE, name):
        answer = await victim.ask(route, route.target(victim.values(route), query))
        found += faults(name, answer, query)
    for query in ("q=%00", "%00=1", "q=%ED%A0%80"):
        answer = await victim.ask(route, route.target(victim.values(route), query))
        found += faults(name, answer, query)
        if not name.startswith("GET /openapi/") and name != "GET /openapi" and answer.status != 422:
            found.append(f"{name} with {query}: {answer.status}")
    assert found == []


@pytest.mark.parametrize("name", LISTS)
async def test_a_wrong_limit_or_cursor_of_a_list_is_named(victim: Victim, name: str) -> None:
    route, found = ROUTES[name], []
    values = victim.values(route)
    for query in [*QUERIES, "limit=", *(f"cursor={cursor}" for cursor in CURSORS)]:
        answer = await victim.ask(route, route.target(values, query))
        parameter = query.partition("=")[0]
        if answer.status not in {404, 422} or answer.json["param"] != parameter:
            found.append(f"{query[:40]}: {answer.status} {answer.body[:200]!r}")
    theirs = await victim.ask(route, route.target(values, f"cursor={quote(victim.seller.goods['event'])}"))
    assert theirs.status == (200 if name == "GET /v1/events" else 422)
    assert found == []


async def test_both_cursor_and_after_are_one_too_many(victim: Victim) -> None:
    event = victim.seller.goods["event"]
    answer = await victim.ask(ROUTES["GET /v1/events"], f"/v1/events?cursor={event}&after={event}")
    assert (answer.status, answer.json["param"]) == (422, "cursor")


@pytest.mark.parametrize("name", ROUTES)
async def test_no_odd_authorization_opens_or_breaks_anything(victim: Victim, name: str) -> None:
    route, found = ROUTES[name], []
    target = route.target(victim.values(route))
    for value in some(AUTHORIZATIONS, SHARE, name):
        body = json.dumps(victim.body(route)).encode() if route.takes_a_body else b""
        answer = await victim.ask(route, target, {"Authorization": value}, body)
        found += faults(name, answer, value)
        if name in SELLERS and answer.status != 401:
            found.append(f"{name} with Authorization {value[:40]!r}: {answer.status}")
    assert found == []


@pytest.mark.parametrize("name", KINDS)
async def test_no_odd_header_breaks_anything(victim: Victim, name: str) -> None:
    route, found = ROUTES[name], []
    target = route.target(dict.fromkeys(route.parameters, "x"))
    for headers in [*OTHER_HEADERS, *({"Accept": accept} for accept in ACCEPTS)]:
        answer = await victim.ask(route, target, headers, b"{}" if route.takes_a_body else b"")
        if not answer.headers.get("content-type", "").startswith("text/html") or answer.status >= 500:
            found += faults(name, answer, headers)
    assert found == []


@pytest.mark.parametrize("name", JSON_BODIES)
async def test_json_is_read_whatever_it_is_called(victim: Victim, name: str) -> None:
    route, found = ROUTES[name], []
    target = route.target(victim.values(route))
    for value in some(CONTENT_TYPES, SHARE, name):
        answer = await victim.ask(route, target, {"Content-Type": value}, b'{"no_such_field": 1}')
        found += faults(name, answer, value)
        if victim.entry(route).body is not None and named(answer.body)[0] != ["no_such_field"]:
            found.append(f"{name} as {value[:40]!r}: {answer.status} {answer.body[:200]!r}")
    assert found == []


@pytest.mark.parametrize("name", WRITING)
async def test_what_is_no_json_object_breaks_nothing_and_is_said_to_be_none(victim: Victim, name: str) -> None:
    route, found = ROUTES[name], []
    target = route.target(victim.values(route))
    for what, body in some(NO_JSON.items(), SHARE, name):
        for headers in ({}, {"Content-Type": "application/json"}):
            answer = await victim.ask(route, target, headers, body)
            found += faults(name, answer, what)
            needs_one = name in JSON_BODIES and victim.entry(route).body is not None and "rotate" not in name
            if needs_one and answer.status != 422:
                found.append(f"{name} with {what}: {answer.status}")
    assert found == []


@pytest.mark.parametrize("name", sorted(FORMS))
async def test_no_odd_form_breaks_anything(victim: Victim, name: str) -> None:
    route, found = ROUTES[name], []
    target = route.target(victim.values(route))
    plain = [
        b"buyer_email=%00&data.name=%00&card=%00",
        b"card=%ED%A0%80&buyer_email=%ED%A0%80",
        b"\xff=\xff",
        b"%",
        b"&" * 5000,
    ]
    sent = [("application/x-www-form-urlencoded", body) for body in plain]
    sent += [(f"multipart/form-data; boundary={boundary}", body) for boundary, body in MULTIPART]
    for kind, body in sent:
        found += faults(name, await victim.ask(route, target, {"Content-Type": kind}, body), (kind, body))
    assert found == []


@pytest.mark.parametrize("name", [*BODIES, *sorted(FORMS), "POST /payments/{provider}/notices"])
async def test_a_body_over_the_limit_is_too_large(victim: Victim, name: str) -> None:
    route = ROUTES[name]
    target, limit = route.target(victim.values(route)), route.body_limit
    assert limit is not None
    kind = "application/x-www-form-urlencoded" if name in FORMS else "application/json"
    answer = await victim.ask(route, target, {"Content-Type": kind}, b'{"a":"' + b"x" * (limit - 7) + b'"}')
    assert (answer.status, answer.json.get("limit")) == (413, limit)
    assert faults(name, answer, "too much") == []


async def _chunks(size: int, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"%x\r\n%b\r\n" % (size, b"x" * size)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("name", ["POST /v1/listings", "POST /v1/checkouts", "POST /payments/{provider}/notices"])
async def test_a_body_in_chunks_over_the_limit_is_too_large(victim: Victim, name: str) -> None:
    route = ROUTES[name]
    head = request(
        "POST",
        route.target(victim.values(route)),
        {"Authorization": f"Bearer {victim.seller.key}", "Transfer-Encoding": "chunked"},
    ).replace(b"Content-Length: 0\r\n", b"")
    answer = await send(victim.shop.url, head, _chunks(64 * 1024, (route.body_limit or 0) // (64 * 1024) + 2))
    assert (answer.status, answer.json["code"]) == (413, "payload_too_large")


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: -1\r\n",
        b"Content-Length: abc\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length: 2\r\nContent-Length: 4\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: nothing\r\n",
        b"Bad Header: x\r\n",
        b"X-Nul: a\x00b\r\n",
    ],
)
async def test_a_request_that_lies_about_its_length_is_refused_and_the_server_lives_on(
    victim: Victim, framing: bytes
) -> None:
    head = (
        f"POST /v1/listings HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {victim.seller.key}\r\n"
    )
    answer = await send(victim.shop.url, head.encode() + framing + b"\r\n0\r\n\r\n{}")
    assert 400 <= answer.status < 500
    assert (await ask(victim.shop.url, "GET", "/v1/ping")).status == 200


async def test_a_caller_who_goes_away_in_the_middle_of_a_body_takes_nobody_along(victim: Victim) -> None:
    before = await _listings(victim)
    head = request(
        "POST", "/v1/listings", {"Authorization": f"Bearer {victim.seller.key}", "Content-Length": "1000"}, b""
    )
    for cut in (head, head + b'{"name": "A", "price": 5', head[:-2], head[:30]):
        _, writer = await asyncio.open_connection("127.0.0.1", int(victim.shop.url.rpartition(":")[2]))
        writer.write(cut)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert await _listings(victim) == before


async def _listings(victim: Victim) -> Any:
    answer = await victim.ask(ROUTES["GET /v1/listings"], "/v1/listings?limit=100")
    return answer.json


def _fields(name: str, document: Mapping[str, Any]) -> list[str]:
    """Return the fields that the body of an operation may have, as the OpenAPI document says."""
    method, _, path = name.partition(" ")
    schema = document["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]["schema"]
    choices = [one for one in schema.get("oneOf", [schema]) if "$ref" in one]
    component = document["components"]["schemas"][choices[0]["$ref"].rpartition("/")[2]]
    return list(component["properties"])


@pytest.mark.parametrize("name", [name for name in BODIES if name != "PUT /v1/listings/{listing_id}"])  # as PATCH
async def test_a_wrong_value_is_refused_by_the_name_of_its_field(victim: Victim, name: str) -> None:
    route, found = ROUTES[name], []
    document = (await ask(victim.shop.url, "GET", "/openapi.json")).json
    target = route.target(victim.values(route))
    for field in _fields(name, document):
        others = json.dumps({one: value for one, value in victim.body(route).items() if one != field})[1:-1]
        for what, value in some(WRONG.items(), SHARE, f"{name} {field}"):
            body = f'{{{others}{"," if others else ""}"{field}":{value}}}'
            answer = await victim.ask(route, target, {}, body.encode())
            found += faults(name, answer, f"{what} for {field}")
            # What may be said, and is refused for what the object is like, is no wrong value: a refund of more than is left.
            wrong = answer.status == 422 and answer.json["code"] != "refund_not_allowed"
            places = named(answer.body) if wrong else [[field]]
            # Null is like nothing, so that something else may be missing; and what contradicts it may be named first.
            said = what == "null" or f"`{field}`" in answer.body.decode()
            if not said and field not in {str(place[0]) for place in places if place}:
                found.append(f"{name} with {what} for {field}: {answer.body[:300]!r}")
    assert found == []


@pytest.mark.parametrize("name", BODIES)
async def test_an_unknown_field_is_named_with_the_nearest_known_one(victim: Victim, name: str) -> None:
    route = ROUTES[name]
    field = next(iter(victim.body(route)))
    body = victim.body(route) | {f"{field}x": 1}
    answer = await victim.ask(route, route.target(victim.values(route)), {}, json.dumps(body).encode())
    assert (answer.status, answer.json["param"]) == (422, f"{field}x")
    assert f"did you mean `{field}`" in answer.json["detail"]


@pytest.mark.parametrize("name", ROUTES)
async def test_a_trailing_slash_is_the_same_route(victim: Victim, name: str) -> None:
    route = ROUTES[name]
    values = dict.fromkeys(route.parameters, "x")
    asked: Sequence[str] = [route.target(values), route.target(values).rstrip("/") + "/"]
    answers = [await victim.ask(route, target, body=b"{}" if route.takes_a_body else b"") for target in asked]
    if name != "GET /openapi/{path}":
        assert answers[0].status == answers[1].status
        assert answers[0].headers.get("content-type") == answers[1].headers.get("content-type")


@pytest.mark.parametrize("path", sorted({route.path for route in routes()}))
async def test_a_method_that_a_route_does_not_have_is_told_those_it_has(victim: Victim, path: str) -> None:
    here = [route for route in routes() if route.path == path]
    target = path.format(**dict.fromkeys(here[0].parameters, "x"))
    have = {route.method for route in here}
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "X"} - have:
        if method == "HEAD" and "GET" in have:
            continue
        answer = await ask(victim.shop.url, method, target, {})
        assert answer.status == 405, f"{method} {path}"
        assert faults(path, answer, method, head=method == "HEAD") == []
        assert have <= {one.strip() for one in answer.headers["allow"].split(",")}


@pytest.mark.parametrize(
    "target", ["/nowhere", "/v1", "/v1/nowhere", "/v1/listings/a/b/c", "/%00", "/%ff", "//", "/v2/ping", "*"]
)
async def test_an_unknown_address_is_a_problem(victim: Victim, target: str) -> None:
    answer = await ask(victim.shop.url, "GET", target, {})
    expected = 200 if target == "//" else 404
    assert answer.status == expected
    assert faults(target, answer, "nothing") == []


@pytest.mark.parametrize("path", ["/nowhere", "/mailbox"])
async def test_a_quality_without_measure_breaks_nothing(victim: Victim, path: str) -> None:
    answer = await ask(victim.shop.url, "GET", path, {"Accept": "text/html;q=1e400"})
    assert answer.status < 500


async def test_options_tells_everybody_every_method(victim: Victim) -> None:
    for path in {route.path for route in routes() if not route.path.startswith("/openapi")}:
        have = {route.method for route in routes() if route.path == path}
        answer = await ask(victim.shop.url, "OPTIONS", path.format_map(AnyId()), {})
        assert answer.status == 204, path
        assert have <= {one.strip() for one in answer.headers["allow"].split(",")}, path


class AnyId(dict[str, str]):
    """Has a value for every parameter."""

    def __missing__(self, _: str) -> str:
        return "1"


async def test_the_document_says_that_a_body_takes_no_other_field(victim: Victim) -> None:
    schemas = (await ask(victim.shop.url, "GET", "/openapi.json")).json["components"]["schemas"]
    closed = [
        "NewListing",
        "ListingChanges",
        "NewCheckout",
        "DeliverableIn",
        "CheckoutField",
        "SecretRotation",
        "Goods",
    ]
    assert [name for name in closed if schemas[name].get("additionalProperties") is not False] == []
