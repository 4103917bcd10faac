"""What every route has in common, seen by a client that makes mistakes."""

import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import aiohttp
import asyncpg
import msgspec
import pytest
from litestar import Request, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody
from structlog.testing import capture_logs
from yarl import URL

from purvey.server.kit.ids import Ids
from purvey.server.kit.problem import Unavailable
from purvey.server.kit.web import MIB, Body, Cursor, Given, Limit, Page, is_head, make_app, note, problems
from served import Reply, reserved_port, served


class Part(Body):
    """A part of a thing."""

    colour: str
    size: Annotated[int, msgspec.Meta(ge=1)] = 1


class NewThing(Body):
    """A thing to make."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=10)]
    price: int
    parts: list[Part] | msgspec.UnsetType = msgspec.UNSET
    facts: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class Thing(msgspec.Struct):
    """A thing."""

    name: str
    price: int
    shop: str


class Seen(msgspec.Struct):
    """What arrived."""

    what: str


@post("/things")
async def make_thing(data: JSONBody[NewThing], shop_name: Given[str], greeting: Given[str]) -> Thing:
    """Make a thing."""
    return Thing(data.name, data.price, f"{greeting} {shop_name}")


@put("/big", request_max_body_size=4 * MIB)
async def big(data: JSONBody[dict[str, str]]) -> Seen:
    """Take much."""
    return Seen(str(sum(map(len, data.values()))))


@post("/maybe", status_code=200)
async def maybe(data: JSONBody[Part | None] = None) -> Seen:
    """Take a part, or nothing."""
    return Seen("nothing" if data is None else data.colour)


@get("/things/{thing_id:str}", responses=problems(_404="No such thing."))
async def read_thing(
    request: Request[Any, Any, Any],
    thing_id: FromPath[str],
    limit: Limit = 20,
    word: FromQuery[str | None] = None,
    cursor: Cursor = None,
) -> Page[str]:
    """Read a thing."""
    note(request.scope, thing="seen")
    return Page(data=[thing_id, str(limit), str(word), str(is_head(request.scope))], has_more=False, cursor=cursor)


@get("/page", media_type="text/html")
async def page() -> str:
    """Show a page."""
    return "<p>Hello</p>"


@get("/broken")
async def broken() -> None:
    """Break."""
    raise RuntimeError("the secret detail")


@post("/undone")
async def undone() -> None:
    """Be in the way of another change."""
    raise asyncpg.DeadlockDetectedError("deadlock detected")


@get("/busy")
async def busy() -> None:
    """Be away."""
    raise Unavailable("Try again.", retry_after=7)


class Web:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def __call__(self, method: str, path: str, **options: Any) -> Reply:
        async with self.session.request(method, self.url + path, allow_redirects=False, **options) as response:
            return Reply(response.status, response.headers, await response.read())


@pytest.fixture(autouse=True)
def captured() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    given = {"shop_name": "Shop", "greeting": "Hello"}
    app = make_app([make_thing, big, maybe, read_thing, page, broken, busy, undone], ids=Ids(), given=given)
    with reserved_port() as port:
        async with served(app, port) as url, aiohttp.ClientSession() as session:
            yield Web(url, session)


def faults(reply: Reply) -> list[tuple[str, str]]:
    assert reply.status == 422, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json["code"] == "validation_error"
    return [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in reply.json["errors"]]


def test_an_application_is_not_made_when_a_handler_takes_what_nobody_gives() -> None:
    with pytest.raises(TypeError, match=r"make_thing takes greeting, which nobody gives"):
        make_app([make_thing], ids=Ids(), given={"shop_name": "Shop"})


async def test_a_valid_body_reaches_the_handler(web: Web) -> None:
    reply = await web("POST", "/things", json={"name": "a", "price": 1})
    assert (reply.status, reply.json) == (201, {"name": "a", "price": 1, "shop": "Hello Shop"})


async def test_everything_wrong_with_a_body_is_named_at_once(web: Web) -> None:
    body = {"nam": "a", "price": "1", "parts": [{"colour": "red"}, {"color": "red", "size": 0}]}
    assert faults(await web("POST", "/things", json=body)) == [
        ("nam", "`nam` is not a field here; did you mean `name`?"),
        ("name", "is required"),
        ("price", "must be a whole number, not a text"),
        ("parts.1.color", "`color` is not a field here; did you mean `colour`?"),
        ("parts.1.colour", "is required"),
        ("parts.1.size", "must be at least 1"),
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"name": "a", "price": 1.5}', ("price", "must be a whole number, not a number")),
        (b'{"name": "a", "price": true}', ("price", "must be a whole number, not true or false")),
        (b'{"name": "12345678901", "price": 1}', ("name", "needs at most 10 characters")),
        (b'{"name": "", "price": 1}', ("name", "needs at least 1 character")),
        (b'{"name": null, "price": 1}', ("name", "must be a text, not null")),
        (b'{"name": "a", "price": 1, "parts": {}}', ("parts", "must be a list, not an object")),
        (b"[]", ("", "must be an object, not a list")),
        (b"null", ("", "must be an object, not null")),
    ],
)
async def test_a_wrong_value_is_told_what_would_be_right(web: Web, body: bytes, expected: tuple[str, str]) -> None:
    assert faults(await web("POST", "/things", data=body)) == [expected]


@pytest.mark.parametrize(
    "body", [b"{", b'{"name": "a"', b'{"name": "a"} x', b"name=a&price=1", b"[" * 100_000, b"\xef\xbb\xbf{}"]
)
async def test_what_is_no_json_is_said_to_be_none(web: Web, body: bytes) -> None:
    reply = await web("POST", "/things", data=body)
    ((loc, message),) = faults(reply)
    assert loc == ""
    assert reply.json["param"] is None
    assert message.startswith("The body is n")


@pytest.mark.parametrize(
    ("body", "loc", "message"),
    [
        (rb'{"name": "\u0000", "price": 1}', "name", "U+0000"),
        (rb'{"name": "\ud800", "price": 1}', "name", "U+D800"),
        (rb'{"name": "a", "price": 1, "facts": {"deep": [0, {"x": "a\udfffb"}]}}', "facts.deep.1.x", "U+DFFF"),
        (rb'{"name": "a", "price": 1, "facts": {"a\u0000": 1}}', "facts.a\N{REPLACEMENT CHARACTER}", "U+0000"),
        (b'{"name": "\xff", "price": 1}', "name", "UTF-8"),
        (b'{"name": "\xed\xa0\x80", "price": 1}', "name", "UTF-8"),
    ],
)
async def test_text_that_cannot_be_held_is_refused_by_field(web: Web, body: bytes, loc: str, message: str) -> None:
    ((found, said),) = faults(await web("POST", "/things", data=body))
    assert found == loc
    assert message in said


@pytest.mark.parametrize("name", [r"\\u0000", r"\ud83d\ude00", "\N{GRINNING FACE}", "\u00e4"])
async def test_text_that_only_looks_odd_is_taken(web: Web, name: str) -> None:
    body = f'{{"name": "{name}", "price": 1}}'.encode()
    reply = await web("POST", "/things", data=body)
    assert (reply.status, reply.json["name"]) == (201, json.loads(body)["name"])


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/things/a%00b", "thing_id"),
        ("/things/a%ED%A0%80b", "thing_id"),
        ("/things/a?word=%00", "word"),
        ("/things/a?word=x%ed%bf%bf", "word"),
        ("/things/a?other=%00", "other"),
    ],
)
async def test_odd_text_in_path_and_query_is_refused_by_name(web: Web, path: str, param: str) -> None:
    url = URL(web.url + path, encoded=True)
    async with web.session.get(url) as response:
        assert response.status == 422
        assert (await response.json(content_type=None))["param"] == param


async def test_parameters_are_checked_by_name_and_unknown_ones_ignored(web: Web) -> None:
    assert faults(await web("GET", "/things/a?limit=many")) == [("limit", "must be a whole number, not a text")]
    assert faults(await web("GET", "/things/a?limit=0")) == [("limit", "must be at least 1")]
    assert faults(await web("GET", "/things/a?limit=101")) == [("limit", "must be at most 100")]
    reply = await web("GET", "/things/%C3%A4?limit=5&utm_source=x&word=%C3%A4")
    assert reply.json["data"] == ["\u00e4", "5", "\u00e4", "False"]


async def test_a_json_content_type_with_an_empty_body_is_no_body(web: Web) -> None:
    headers = {"Content-Type": "application/json"}
    assert (await web("POST", "/maybe", headers=headers)).json == {"what": "nothing"}
    assert (await web("POST", "/maybe")).json == {"what": "nothing"}
    assert (await web("POST", "/maybe", data=b"null", headers=headers)).json == {"what": "nothing"}
    assert (await web("GET", "/things/a", headers=headers)).status == 200
    assert faults(await web("POST", "/things", headers=headers)) == [("name", "is required"), ("price", "is required")]


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "application/octet-stream"]
)
async def test_json_is_read_whatever_it_is_called(web: Web, content_type: str) -> None:
    reply = await web("POST", "/maybe", data=b'{"colour": "red"}', headers={"Content-Type": content_type})
    assert reply.json == {"what": "red"}


async def test_bodies_are_limited_to_a_mebibyte_and_marked_routes_to_four(web: Web) -> None:
    def body(size: int) -> io.BytesIO:
        return io.BytesIO(b'{"x":"' + b"a" * (size - 8) + b'"}')

    assert faults(await web("POST", "/things", data=body(MIB)))[0][0] == "x"
    refused = await web("POST", "/things", data=body(MIB + 1))
    assert (refused.status, refused.json["code"], refused.json["limit"]) == (413, "payload_too_large", MIB)
    assert (await web("PUT", "/big", data=body(4 * MIB))).json == {"what": str(4 * MIB - 8)}
    assert (await web("PUT", "/big", data=body(4 * MIB + 1))).status == 413
    assert (await web("PUT", "/big", data=body(12 * MIB))).status == 413


async def test_a_body_without_a_length_is_limited_too(web: Web) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"x":"'
        for _ in range(17):
            yield b"a" * (MIB // 16)
        yield b'"}'

    assert (await web("POST", "/things", data=chunks())).status == 413


async def test_a_trailing_slash_is_the_same_route(web: Web) -> None:
    assert (await web("POST", "/things/", json={"name": "a", "price": 1})).status == 201
    assert (await web("GET", "/things/a/")).json["data"][0] == "a"


async def test_head_answers_as_get_does_without_the_body(web: Web) -> None:
    got = await web("GET", "/things/a?limit=7")
    head = await web("HEAD", "/things/a?limit=7")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) == len(got.body.replace(b"False", b"True"))
    assert (await web("HEAD", "/nowhere")).status == 404
    assert (await web("HEAD", "/things")).status == 405


async def test_an_unknown_route_is_a_problem(web: Web) -> None:
    for path in ("/nowhere", "/openapi/x", "/openapi", "/things/a/b"):
        reply = await web("GET", path)
        assert (reply.status, reply.json["code"]) == (404, "not_found")
        assert reply.headers["Content-Type"] == "application/problem+json"


async def test_a_wrong_method_is_told_the_right_ones(web: Web) -> None:
    reply = await web("DELETE", "/things/a")
    assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_a_fault_of_ours_tells_its_id_and_nothing_else(web: Web, captured: list[Any]) -> None:
    reply = await web("GET", "/broken")
    assert (reply.status, reply.json["code"]) == (500, "internal_error")
    assert "secret" not in reply.text
    assert reply.headers["X-Request-Id"] in reply.json["detail"]
    (line,) = [line for line in captured if line["event"] == "request.broke"]
    assert line["request_id"] == reply.headers["X-Request-Id"]
    assert repr(line["exc_info"]) == "RuntimeError('the secret detail')"


async def test_retry_after_is_a_header_and_a_member(web: Web) -> None:
    reply = await web("GET", "/busy")
    assert (reply.status, reply.json["retry_after"], reply.headers["Retry-After"]) == (503, 7, "7")


async def test_what_another_change_undid_may_be_tried_again(web: Web) -> None:
    reply = await web("POST", "/undone")
    assert (reply.status, reply.json["code"], reply.headers["Retry-After"]) == (503, "unavailable", "1")


@pytest.mark.parametrize("path", ["/things/a", "/page", "/nowhere", "/broken", "/things/a?limit=x"])
async def test_every_answer_carries_both_ids(web: Web, path: str) -> None:
    reply = await web("GET", path)
    assert reply.headers["X-Request-Id"].startswith("req_")
    assert len(reply.headers["X-Request-Id"]) == 26
    assert reply.headers["X-Correlation-Id"] == reply.headers["X-Request-Id"]
    again = await web("GET", path, headers={"X-Correlation-Id": "my own id 7"})
    assert again.headers["X-Correlation-Id"] == "my own id 7"
    assert again.headers["X-Request-Id"] != reply.headers["X-Request-Id"]


@pytest.mark.parametrize("given", ["", "x" * 129, "\u00e4", "tab\there"])
async def test_an_odd_correlation_id_is_replaced(web: Web, given: str) -> None:
    reply = await web("GET", "/page", headers={"X-Correlation-Id": given})
    assert reply.headers["X-Correlation-Id"] == reply.headers["X-Request-Id"]


async def test_a_request_is_one_line_that_names_the_route_and_never_the_path(web: Web, captured: list[Any]) -> None:
    reply = await web("HEAD", "/things/a-secret-token?word=secret", headers={"X-Correlation-Id": "mine"})
    (line,) = [line for line in captured if line["event"] == "request"]
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "HEAD",
        "route": "/things/{thing_id}",
        "status": 200,
        "request_id": reply.headers["X-Request-Id"],
        "correlation_id": "mine",
        "thing": "seen",
    }
    await web("GET", "/nowhere-secret")
    assert "secret" not in repr(captured)


async def test_the_openapi_document_is_made_from_the_code(web: Web) -> None:
    document = (await web("GET", "/openapi.json")).json
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "Purvey"
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    read = document["paths"]["/things/{thing_id}"]["get"]
    assert read["operationId"] == "read_thing"
    assert set(read["responses"]) == {"200", "404", "422", "500", "503"}
    assert read["responses"]["404"]["content"]["application/problem+json"]["schema"] == {
        "$ref": "#/components/schemas/Problem"
    }
    assert document["paths"]["/maybe"]["post"]["requestBody"]["required"] is False
    assert document["components"]["schemas"]["NewThing"]["required"] == ["name", "price"]


async def test_the_pages_about_it_load_nothing_from_elsewhere(web: Web) -> None:
    reference = await web("GET", "/docs")
    errors = await web("GET", "/docs/errors")
    for reply in (reference, errors):
        assert reply.headers["Content-Type"].startswith("text/html")
        assert "http://" not in reply.text
        assert "https://" not in reply.text
        assert "<script" not in reply.text
    assert "GET /things/{thing_id}" in reference.text
    target = (await web("GET", "/nowhere")).json["type"]
    assert f'id="{target.removeprefix("/docs/errors#")}"' in errors.text
