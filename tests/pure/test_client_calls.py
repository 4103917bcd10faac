"""What the client does with what comes back, step by step: nothing is sent here, and nobody waits."""

import io
import json
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest

from purvey.client import Purvey
from purvey.client.calls import Answer, Call, Lost, Outcome, Pause, Request, Send, Step, Upload, steps
from purvey.client.errors import (
    APIError,
    AuthenticationError,
    Conflict,
    CursorExpired,
    InvalidTransition,
    NoAnswer,
    NoAPIKey,
    NotFound,
    RateLimited,
    ServerError,
    Unavailable,
    UnreadableAnswer,
    ValidationError,
)
from purvey.client.following import follow
from purvey.client.objects import Event, Listing, Order
from purvey.client.orders import deliver_order, get_order, list_orders
from purvey.client.selling import create_listing, delete_listing, list_listings
from purvey.client.transports import Give
from purvey.client.webhooks import create_endpoint, replay

RESET = Lost("the connection was reset")


def answer(status: int, document: Any = None, **headers: str) -> Answer:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, told, b"" if document is None else json.dumps(document).encode())


def problem(status: int, code: str, **members: Any) -> Answer:
    return answer(status, {"status": status, "code": code, "detail": "so it is"} | members, x_request_id="req_1")


class Told:
    """What a client sends when it is answered so; its pauses, and what came of it."""

    def __init__(self, doing: Generator[Step, Outcome, Any], *outcomes: Outcome) -> None:
        self.sent: list[Request] = []
        self.pauses: list[float] = []
        self.result: Any = None
        left, outcome = list(outcomes), None
        try:
            while True:
                step = doing.send(outcome)
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    outcome = None
                else:
                    assert isinstance(step, Send)
                    self.sent.append(step.request)
                    outcome = left.pop(0)
        except StopIteration as done:
            self.result = done.value
        assert left == []


def told(call: Call[Any], *outcomes: Outcome, retries: int = 4) -> Told:
    return Told(steps(call, retries), *outcomes)


ORDER = {
    "object": "order",
    "id": "ord_1",
    "status": "fulfilled",
    "payment": {"provider": "sandbox"},
    "new": {"field": 1},
}


def test_an_answer_is_an_object_with_every_field_those_unknown_included() -> None:
    order = told(get_order("ord_1"), answer(200, ORDER)).result
    assert isinstance(order, Order)
    assert (order.id, order["status"], order.payment.provider) == ("ord_1", "fulfilled", "sandbox")
    assert (order.new, order.get("newer"), "new" in order) == ({"field": 1}, None, True)
    assert order.to_dict() == ORDER
    with pytest.raises(AttributeError, match="has no 'missing'; it has object, id"):
        _ = order.missing


def test_what_is_tried_again_is_the_very_same_request() -> None:
    call = deliver_order("ord_1", type="text", value="the goods")
    outcomes: list[Outcome] = [
        RESET,
        answer(503),
        answer(429, {}, retry_after="7"),
        problem(409, "idempotency_request_in_progress"),
        answer(200, ORDER),
    ]
    seen = told(call, *outcomes)
    assert len({repr(request) for request in seen.sent}) == 1
    [key] = {request.headers["Idempotency-Key"] for request in seen.sent}
    assert len(key) > 30
    assert (seen.sent[0].path, seen.sent[0].body) == (
        "/v1/orders/ord_1/deliver",
        b'{"type": "text", "value": "the goods"}',
    )
    assert seen.pauses == [
        pytest.approx(0.5, rel=0.25),
        pytest.approx(1, rel=0.25),
        pytest.approx(7, abs=0.25),
        pytest.approx(4, rel=0.25),
    ]
    assert told(call, answer(200, ORDER)).sent[0].headers["Idempotency-Key"] != key


def test_a_key_of_one_s_own_is_sent_as_it_is() -> None:
    call = create_listing(name="Kit", price=5, idempotency_key="mine")
    assert told(call, answer(201, {"id": "lst_1"})).sent[0].headers["Idempotency-Key"] == "mine"
    assert "Idempotency-Key" not in told(get_order("ord_1"), answer(200, ORDER)).sent[0].headers


@pytest.mark.parametrize(
    ("outcome", "kind", "members"),
    [
        (problem(401, "authentication_error"), AuthenticationError, {}),
        (problem(404, "not_found"), NotFound, {}),
        (
            problem(409, "invalid_transition", allowed_statuses=["paid"]),
            InvalidTransition,
            {"allowed_statuses": ["paid"]},
        ),
        (problem(410, "cursor_expired", oldest_event_id="evt_2"), CursorExpired, {"oldest_event_id": "evt_2"}),
        (problem(422, "validation_error", param="price"), ValidationError, {"param": "price", "other": None}),
        (problem(409, "something_new"), Conflict, {"code": "something_new"}),
        (problem(418, "teapot"), APIError, {"code": "teapot"}),
        (answer(500), ServerError, {"detail": "The server answered 500."}),
    ],
)
def test_what_will_not_pass_is_raised_at_once_with_what_was_said(outcome: Answer, kind: type, members: Any) -> None:
    with pytest.raises(APIError) as raised:
        told(get_order("ord_1"), outcome)
    error = raised.value
    assert type(error) is kind
    assert error.status == outcome.status
    assert {name: getattr(error, name) for name in members} == members
    if outcome.body:
        assert error.request_id == "req_1"
        assert str(error) == f"so it is ({error.code}, {error.status}, request req_1)"


def test_what_does_not_pass_in_time_is_raised_in_the_end() -> None:
    with pytest.raises(NoAnswer, match="was reset"):
        told(get_order("ord_1"), *[RESET] * 3, retries=2)
    with pytest.raises(Unavailable):
        told(get_order("ord_1"), *[answer(503)] * 2, retries=1)
    with pytest.raises(NoAnswer):
        told(get_order("ord_1"), Lost("no such scheme", passes=False))
    with pytest.raises(RateLimited) as raised:
        told(get_order("ord_1"), answer(429, {}, retry_after="3600"))
    assert raised.value.retry_after == 3600


def test_what_is_no_answer_of_ours_is_told_so() -> None:
    for body in (b"<html>", b"[]", b'"text"'):
        with pytest.raises(UnreadableAnswer, match="none of a Purvey server"):
            told(list_listings().call(), Answer(200, {}, body))


def test_a_deletion_whose_answer_was_lost_is_done_when_there_is_nothing_left() -> None:
    gone = problem(404, "not_found")
    assert told(delete_listing("lst_1"), RESET, gone).result is None
    with pytest.raises(NotFound):
        told(delete_listing("lst_1"), gone)


def test_a_file_is_read_from_its_beginning_each_time_or_sent_once() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    file = io.BytesIO(b"the goods")
    call: Call[Any] = Call("POST", "/v1/files", dict, upload=Upload(file, "goods.txt"))
    doing = steps(call, 2)
    next(doing)
    file.read()
    assert isinstance(doing.send(RESET), Pause)
    assert file.tell() == 0
    with pytest.raises(NoAnswer):
        told(Call("POST", "/v1/files", dict, upload=Upload(Pipe(b"the goods"), "goods.txt")), RESET)


def test_ids_stay_within_their_segment_of_the_path() -> None:
    assert told(get_order("a/../b?c"), answer(200, ORDER)).sent[0].path == "/v1/orders/a%2F..%2Fb%3Fc"
    with pytest.raises(ValueError, match="order_id must be an id"):
        told(get_order(""))


def test_a_page_leads_to_the_next_with_the_same_filters() -> None:
    first = told(
        list_listings(status="draft", limit=2).call(),
        answer(200, {"data": [{"id": "lst_1"}], "has_more": True, "cursor": "c"}),
    ).result
    assert [type(one) for one in first.data] == [Listing]
    assert first.next.call().request().query == (("status", "draft"), ("limit", "2"), ("cursor", "c"))
    last = told(first.next.call(), answer(200, {"data": [], "has_more": False, "cursor": None})).result
    assert last.next is None


def events(*numbers: int) -> Answer:
    data = [{"object": "event", "id": f"evt_{n}", "sequence": n, "data": {}} for n in numbers]
    return answer(200, {"data": data, "has_more": False, "cursor": data[-1]["id"] if data else None})


def followed(*outcomes: Outcome, after: str | None = None) -> tuple[list[int], list[str | None], BaseException | None]:
    """Return what following gives when it is answered so, what each request asked after, and what it raised."""
    walk = follow({"type": None}, after)
    given: list[int] = []
    asked: list[str | None] = []
    left, outcome = list(outcomes), None
    try:
        while True:
            step = walk.send(outcome)
            outcome = None
            match step:
                case Give(value=Event() as event):
                    given.append(event.sequence)
                case Send(request=request):
                    query = dict(request.query)
                    assert int(query["wait"]) > 0
                    asked.append(query.get("after"))
                    if not left:
                        return given, asked, None
                    outcome = left.pop(0)
                case _:
                    assert isinstance(step, Pause)
    except Exception as error:  # noqa: BLE001  # looked at by who asked
        return given, asked, error


def test_following_gives_each_event_once_and_goes_on_after_whatever_comes_between() -> None:
    down: list[Outcome] = [
        RESET,
        answer(502),
        answer(500),
        RESET,
        answer(429, {}, retry_after="30"),
        Answer(200, {}, b"<html>"),
    ]
    given, asked, error = followed(events(1, 2), *down, events(3), events(), events(4))
    assert given == [1, 2, 3, 4]
    assert asked == [None, *["evt_2"] * 7, "evt_3", "evt_3", "evt_4"]
    assert error is None


@pytest.mark.parametrize(
    ("code", "status"), [("cursor_expired", 410), ("not_found", 404), ("authentication_error", 401)]
)
def test_following_raises_what_will_not_pass(code: str, status: int) -> None:
    given, _, error = followed(events(5), problem(status, code), after="evt_4")
    assert given == [5]
    assert isinstance(error, APIError)
    assert error.code == code


@pytest.mark.parametrize("key", ["lb_\u00e4", "lb_a\nb", "lb_a\u2026"])
def test_what_no_header_can_hold_is_no_key(key: str) -> None:
    with pytest.raises(NoAPIKey, match="copy it anew"):
        Purvey(key)
    assert Purvey(" lb_key\r\n").transport.account.api_key == "lb_key"


def test_an_address_without_a_scheme_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="must begin with http:// or https://, not be"):
        Purvey("lb_key", "127.0.0.1:8000")


@pytest.mark.parametrize("key", ["", "\u00e4", "a\nb", "a" * 256])
def test_what_is_no_idempotency_key_is_refused_before_anything_is_sent(key: str) -> None:
    with pytest.raises(ValueError, match="idempotency_key must be 1 to 255 characters"):
        create_listing(name="Kit", price=5, idempotency_key=key).request()


def test_an_instant_is_sent_with_its_offset_and_one_without_is_refused() -> None:
    at = datetime(2026, 4, 17, 10, 23, tzinfo=UTC)
    assert replay("whk_1", after=at).request().body == b'{"after": "2026-04-17T10:23:00+00:00"}'
    assert ("created_after", "2026-04-17T10:23:00+00:00") in list_orders(created_after=at).call().request().query
    for make in (
        replay("whk_1", after=at.replace(tzinfo=None)),
        list_orders(created_after=at.replace(tzinfo=None)).call(),
    ):
        with pytest.raises(ValueError, match="has no time zone"):
            make.request()


def test_what_json_cannot_hold_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        create_endpoint(url="https://hooks.example.com", rate_limit=float("nan")).request()
    with pytest.raises(TypeError, match="cannot be sent as JSON"):
        create_listing(name="Kit", price=5, metadata={"a": object()}).request()  # type: ignore[dict-item]  # what people try
