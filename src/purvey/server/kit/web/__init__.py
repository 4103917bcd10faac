"""HTTP, free of any domain: bodies, parameters, answers, errors, and the one log line of each request.

A room's `api.py` is a list of Litestar handlers, which end up in `make_app`:

    class NewThing(Body):
        name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]

    @post("/v1/things", responses=problems(_409="There is one by that name."))
    async def create_thing(data: JSONBody[NewThing], tools: Given[Tools], account: Given[Account]) -> Thing:
        ...

    routes = [for_sellers(create_thing)]

A wrong body never reaches the handler: the answer is a 422 that names every field at fault. Bodies are limited to 1 MiB;
a route takes more with `request_max_body_size=4 * MIB`. GET routes answer HEAD too; `is_head` tells.
"""

from purvey.server.kit.web.answers import Page, Problem, json_bytes
from purvey.server.kit.web.application import make_app
from purvey.server.kit.web.attending import while_there
from purvey.server.kit.web.binding import Group, Route
from purvey.server.kit.web.body import BODY_LIMIT, MIB, Body, decode, refuse
from purvey.server.kit.web.failures import answer, preferred
from purvey.server.kit.web.once import Recorded, Then, once
from purvey.server.kit.web.openapi import SECURITY, problems
from purvey.server.kit.web.parameters import Cursor, Given, Limit
from purvey.server.kit.web.record import add_header, identify, is_head, note, request_id

__all__ = [
    "BODY_LIMIT",
    "MIB",
    "SECURITY",
    "Body",
    "Cursor",
    "Given",
    "Group",
    "Limit",
    "Page",
    "Problem",
    "Recorded",
    "Route",
    "Then",
    "add_header",
    "answer",
    "decode",
    "identify",
    "is_head",
    "json_bytes",
    "make_app",
    "note",
    "once",
    "preferred",
    "problems",
    "refuse",
    "request_id",
    "while_there",
]
