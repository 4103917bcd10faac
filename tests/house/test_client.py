"""The client keeps up with the server: every operation has its method, every field its type, every error its class."""

import inspect
import re
from typing import Any, cast, get_type_hints

import pytest

from house.sources import ROOT
from purvey.client import deliveries, objects
from purvey.client import errors as raised
from purvey.client.calls import Call, ListCall
from purvey.client.clients import AsyncPurvey, Purvey
from purvey.client.methods import AsyncMethod, AsyncPages, Method, Pages
from purvey.client.shapes import Shape
from purvey.server import errors as answered
from purvey.server.kit.problem import ProblemError
from purvey.server.kit.web import openapi
from routed import _application

WITHOUT: dict[str, str] = {
    "GET /healthz": "for whoever runs the process",
    "GET /readyz": "the same",
    "GET /metrics": "for Prometheus",
    "POST /payments/{provider}/notices": "for payment providers, who sign what they send",
    "PUT /v1/listings/{listing_id}": "does what PATCH does, which `update` sends",
    "PUT /v1/webhooks/{endpoint_id}": "the same",
    "GET /v1/orders/{order_id}/evidence.html": "a page for people; `orders.evidence` has the same as data",
    "GET /v1/events/stream": "`events.follow` waits with long polls, which every proxy lets through",
}
"""Operations that no method carries out, and why."""
NEVER_MEANT = {"bad_signature", "card_declined", "method_not_allowed", "precondition_failed", "range_not_satisfiable"}
"""Codes that this client is never answered: it asks for no page and no download, and with the right methods."""
NAMES = {
    "AccountShape": "Account",
    "TestReport": "EndpointTest",
    "RedeliveryAck": "RedeliveryAck",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document(_application())


def operations(client: type) -> dict[str, str]:
    """Return each operation that a client carries out, and the name of its method."""
    carried: dict[str, str] = {}
    made = client(api_key="lb_test")
    for group_name, group in {"": made, **vars(made)}.items():
        for name, method in vars(type(group)).items():
            if isinstance(method, Method | AsyncMethod | Pages | AsyncPages):
                call = called(method.make)
                carried[f"{call.method} {call.path}"] = f"{group_name}.{name}".lstrip(".")
    return carried


def called(make: Any) -> Call[Any] | ListCall[Any]:
    """Return the call that a function makes, given something for each parameter that it cannot do without."""
    parameters = inspect.signature(make).parameters.values()
    needed = [one for one in parameters if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    positional = ["x" for one in needed if one.kind is not one.KEYWORD_ONLY]
    found: Call[Any] | ListCall[Any] = make(
        *positional, **{one.name: "x" for one in needed if one.kind is one.KEYWORD_ONLY}
    )
    return found


@pytest.mark.parametrize("client", [Purvey, AsyncPurvey])
def test_every_operation_has_a_method(document: dict[str, Any], client: type) -> None:
    there = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    carried = operations(client)
    missing = sorted(there - set(carried) - set(WITHOUT))
    assert missing == [], (
        "give each a function and a method in src/purvey/client/ (see methods.py), or a reason in WITHOUT"
    )
    assert sorted(set(carried) - there) == [], "these methods ask for nothing that is there"
    assert sorted(set(WITHOUT) - there) == []


def test_both_clients_do_the_same() -> None:
    assert operations(Purvey) == operations(AsyncPurvey)


@pytest.mark.parametrize(("client", "pages"), [(Purvey, Pages), (AsyncPurvey, AsyncPages)])
def test_every_list_goes_on_over_all_its_pages(document: dict[str, Any], client: type, pages: type) -> None:
    lists = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "has_more" in answer_of(document, operation).get("properties", {})
    }
    made = client(api_key="lb_test")
    carried = operations(client)
    assert len(lists) > 6
    for operation in lists:
        group, _, name = carried[operation].partition(".")
        assert isinstance(vars(type(getattr(made, group)))[name], pages), operation


def answer_of(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an operation's answer, empty where it has none."""
    answered = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" not in answered:
        return cast("dict[str, Any]", answered)
    return cast("dict[str, Any]", document["components"]["schemas"][answered["$ref"].rpartition("/")[2]])


def test_every_method_is_in_the_guide() -> None:
    guide = (ROOT / "docs" / "client.md").read_text()
    told = {
        f"{group}.{name}"
        for group, names in re.findall(r"^\| `(\w+)` \| (.+) \|$", guide, re.MULTILINE)
        for name in re.findall(r"\w+", re.sub(r"\(.*?\)", "", names))
    }
    assert told == {name for name in operations(Purvey).values() if "." in name} | {"events.follow"}


def test_every_query_parameter_can_be_given(document: dict[str, Any]) -> None:
    there = {
        f"{method.upper()} {path}": {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    client = Purvey(api_key="lb_test")
    for operation, name in operations(Purvey).items():
        method = (
            getattr(getattr(client, name.partition(".")[0]), name.partition(".")[2]) if "." in name else client.ping
        )
        assert there[operation] <= set(inspect.signature(method).parameters), f"{name} lacks parameters of {operation}"


def test_every_field_of_an_answer_has_its_type(document: dict[str, Any]) -> None:
    shapes = {
        name: kind
        for name, kind in (vars(objects) | vars(deliveries)).items()
        if isinstance(kind, type) and issubclass(kind, Shape)
    }
    lacking = {}
    for schema, described in document["components"]["schemas"].items():
        name = "" if schema == "HealthOut" else NAMES.get(schema, schema.removesuffix("Out"))
        if name in shapes and described.get("properties"):
            lacking[name] = set(described["properties"]) - set(get_type_hints(shapes[name]))
    assert len(lacking) > 15
    assert {name: fields for name, fields in lacking.items() if fields} == {}


def test_every_error_of_the_server_has_its_class() -> None:
    kinds = [kind for name in answered.__all__ if isinstance(kind := getattr(answered, name), type)]
    codes = {kind.code: kind.status for kind in kinds if issubclass(kind, ProblemError)}
    codes = {code: status for code, status in codes.items() if code not in NEVER_MEANT and code != ProblemError.code}
    for code, status in codes.items():
        error = raised.error_of(status, {"code": code}, {})
        assert error.code == code
        assert type(error).code == code, f"{code} has no class in src/purvey/client/errors.py"
        assert error.status == status
