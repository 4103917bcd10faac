"""The header `Idempotency-Key` on a route: `@once()` under the route's decorator.

With a key the handler is handed tools whose database is one transaction, into which its answer is written too: there is no effect
without its answer, and no handler has to think of it. What happens in more than one transaction is said by what it returns: `Then`
for what comes after the commit; `Recorded` by a handler that takes a `claim`, because it writes in batches with others. A body that
is too large to be held is read by what `reads` names, and the handler is handed what came of it. `wakes` rings the bell
of the queue once everything is committed: the handler itself would ring too early.
"""

import contextlib
import dataclasses
import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Generic, TypeVar, cast, get_args, get_origin

import msgspec
from litestar.params import HeaderParameter

from purvey.server.kit.database import UNDONE
from purvey.server.kit.held import held
from purvey.server.kit.idempotency import LONGEST, Claim, Idempotency
from purvey.server.kit.problem import Unavailable
from purvey.server.kit.tools import Tools
from purvey.server.kit.web.record import add_header, asker
from purvey.server.kit.web.signatures import AnyRequest, in_place_of, parameter

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])
Whose = Callable[..., Awaitable[str]]
"""Returns the account in whose name a public request is made, given the handler's `tools` and `data`."""
Reads = Callable[..., contextlib.AbstractAsyncContextManager[Any]]
"""Reads a body as it comes, given the `request` and what the handler is given. What it yields is the handler's parameter `body`; it
has `asked`, the bytes that tell one request from another. It ends after the answer was written, or was found to be written."""

REPLAYED = (b"idempotent-replayed", b"true")
"""The header of an answer that was given before."""
RUNS = 3
"""How often a transaction that PostgreSQL undid (a deadlock) is run."""
HIDDEN = frozenset({"claim", "body"})
"""Parameters of a handler that are given by `once`, not by the framework."""

_Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        schema_extra={"minLength": 1, "maxLength": LONGEST},
        description=f"Up to {LONGEST} characters. The same request with the same key within 24 hours has no second effect and gets "
        "the first answer.",
    ),
]
R = TypeVar("R")


@dataclasses.dataclass(frozen=True, slots=True)
class Then(Generic[R]):
    """An answer that `better` replaces, which is called once everything is committed.

    Should the process die in between, the first answer stands: it must be true then.
    """

    answer: R
    better: Callable[[], Awaitable[R]]


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """An answer that the handler has written with its effect."""

    body: bytes


def once(
    whose: Whose | None = None, *, reads: Reads | None = None, wakes: bool = False
) -> Callable[[Handler], Handler]:
    """Let a handler run once per `Idempotency-Key`.

    The key belongs to the API key that asked; on a public route, `whose` names the account. A handler with a parameter `claim`
    (`Claim | None`) may write the answer with its effect by itself, and then returns it as `Recorded`. With `reads`, the handler
    has a parameter `body`, and the key is claimed when the body has come: only then is it known what was asked. `wakes` says that
    the handler may queue a job: the workers look for it right after the commit, instead of with their next poll.
    """

    def decorate(handler: Handler) -> Handler:
        given_claim = {"claim": None} if "claim" in inspect.signature(handler).parameters else {}

        async def run(*, request: AnyRequest, idempotency_key: str | None = None, **given: Any) -> Any:
            async with contextlib.AsyncExitStack() as stack:
                if reads is not None:
                    given["body"] = await stack.enter_async_context(reads(request=request, **given))
                answered = await run_once(request, idempotency_key, given)
            if wakes:
                request.app.state.wake.poke()
            return answered

        async def run_once(request: AnyRequest, idempotency_key: str | None, given: dict[str, Any]) -> Any:
            if idempotency_key is None:
                result = await handler(**given, **given_claim)
                return await result.better() if isinstance(result, Then) else result
            records: Idempotency = request.app.state.idempotency
            claimed = await _claim(request, records, idempotency_key, whose, given)
            if not isinstance(claimed, Claim):
                add_header(request.scope, *REPLAYED)
                return _as_sent(claimed)
            try:
                work = _with_claim if given_claim else _in_one_transaction
                return _as_sent(await work(records, claimed, handler, given))
            except Exception:
                # What was written stays, with its answer.
                with contextlib.suppress(Unavailable):
                    await records.release(claimed)
                raise

        return _described(run, handler)

    return decorate


async def _claim(
    request: AnyRequest, records: Idempotency, key: str, whose: Whose | None, given: dict[str, Any]
) -> Claim | bytes:
    account_id, key_id = (await whose(**given), "") if whose else asker(request.scope)
    body = given["body"].asked if "body" in given else await request.body()
    asked = request.scope["query_string"] + b"\0" + body
    scope = [key_id, request.method, request.scope["path"].rstrip("/")]
    return await records.claim(account_id, key, scope, asked)


async def _in_one_transaction(
    records: Idempotency, claim: Claim, handler: Callable[..., Awaitable[Any]], given: dict[str, Any]
) -> bytes:
    """Run a handler and write its answer in the same transaction."""
    tools: Tools = given["tools"]
    for tried in range(1, RUNS + 1):
        try:
            async with held(tools.database) as database:
                result = await handler(**given | {"tools": dataclasses.replace(tools, database=database)})
                goes_on = isinstance(result, Then)
                body = _encoded(result.answer if goes_on else result)
                await records.record(database, records.answer(claim, body, final=not goes_on))
        except UNDONE:
            if tried == RUNS:
                raise
        else:
            return await _finished(records, claim, await result.better()) if goes_on else body
    raise AssertionError("unreachable")


async def _with_claim(
    records: Idempotency, claim: Claim, handler: Callable[..., Awaitable[Any]], given: dict[str, Any]
) -> bytes:
    """Run a handler that writes its answer by itself, unless it has nothing else to write."""
    result = await handler(**given, claim=claim)
    return result.body if isinstance(result, Recorded) else await _finished(records, claim, result)


async def _finished(records: Idempotency, claim: Claim, result: Any) -> bytes:
    body = _encoded(result)
    await records.finish(records.answer(claim, body))
    return body


def _encoded(result: Any) -> bytes:
    return b"" if result is None else msgspec.json.encode(result)


def _as_sent(body: bytes) -> msgspec.Raw | None:
    return msgspec.Raw(body) if body else None


def _described(run: Callable[..., Awaitable[Any]], handler: Handler) -> Handler:
    """Let `run` stand in the handler's place, with the header beside its parameters."""
    signature = inspect.signature(handler)
    kept = [one for name, one in signature.parameters.items() if name not in HIDDEN]
    added = [parameter("request", AnyRequest), parameter("idempotency_key", _Key, default=None)]
    return cast("Handler", in_place_of(handler, run, [*kept, *added], _answer_of(signature.return_annotation)))


def _answer_of(annotation: Any) -> Any:
    """Return what is answered in the end: `X` of `X | Then[X] | Recorded`."""
    kinds = [one for one in get_args(annotation) if one is not Recorded and get_origin(one) is not Then]
    return kinds[0] if len(kinds) == 1 and len(get_args(annotation)) > 1 else annotation
