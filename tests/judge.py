"""What every answer of the server must look like, whatever was asked: a list of complaints, none of them when all is well."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

PROBLEM = "application/problem+json"
_MEMBERS: Mapping[str, type] = {"type": str, "title": str, "status": int, "detail": str, "code": str}


def complaints(status: int, headers: Mapping[str, str], body: bytes, *, head: bool = False) -> list[str]:
    """Return what is wrong with an answer; `headers` have names in lower case. The answer to a HEAD has no body to judge."""
    found = list(_of_any(status, headers))
    if 400 <= status < 500 and not head:
        found += _of_problem(status, headers, body)
    return found


def named(body: bytes) -> list[list[str | int]]:
    """Return the places of the fields that a problem names."""
    return [fault["loc"] for fault in json.loads(body).get("errors", [])]


def _of_any(status: int, headers: Mapping[str, str]) -> Iterator[str]:
    if status >= 500:
        yield f"status {status}"
    if status == 415:
        yield "415: JSON is read whatever it is called"
    for name in ("x-request-id", "x-correlation-id"):
        if not headers.get(name):
            yield f"no {name}"
    if status == 401 and headers.get("www-authenticate") != "Bearer":
        yield "401 without WWW-Authenticate: Bearer"
    if status == 405 and not headers.get("allow"):
        yield "405 without Allow"


def _of_problem(status: int, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    if headers.get("content-type") != PROBLEM:
        yield f"a {status} of type {headers.get('content-type')}"
        return
    problem = json.loads(body)
    for name, kind in _MEMBERS.items():
        if not isinstance(problem.get(name), kind) or problem[name] == "":
            yield f"`{name}` is {problem.get(name)!r}"
    if problem.get("status") != status:
        yield f"`status` is {problem.get('status')}, and the answer's {status}"
    if "param" not in problem:
        yield "there is no `param`"
    if problem.get("code") in {"validation_error", "invalid_price"}:
        yield from _of_faults(problem)


def _of_faults(problem: Mapping[str, Any]) -> Iterator[str]:
    faults = problem.get("errors")
    if not faults:
        yield f"a {problem['code']} without `errors`: {problem['detail']}"
        return
    for fault in faults:
        if set(fault) != {"loc", "msg", "type"} or not isinstance(fault["loc"], list) or not fault["msg"]:
            yield f"a fault is {fault}"
    place = faults[0]["loc"]
    first = ".".join(str(part) for part in place) if place else None
    if problem.get("param") != first:
        yield f"`param` is {problem.get('param')!r}, and the first fault is at {first!r}"
