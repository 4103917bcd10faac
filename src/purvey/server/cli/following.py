"""`purvey listen`, `purvey events` and `purvey deliveries`: a seller's view from anywhere, by the API alone."""

import contextlib
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

import click

from purvey import signing
from purvey.server.cli.remote import AwayError, Remote, connect, opener, whole_url, words

WAIT = 25
"""Seconds that the server holds a request open until something happens."""
AGAIN_AFTER = 1.0
"""Seconds until a server that is away is asked again."""
FORWARD_WITHIN = 30.0
"""Seconds that the local program may take, as any receiver."""


def local_url(_context: click.Context, _option: click.Parameter, given: str) -> str:
    """Return the URL that a person gave, or say what one looks like."""
    try:
        return whole_url(given)
    except ValueError as error:
        raise click.BadParameter(f"{error}; it must look like http://localhost:3000/hook.") from None


after_option = click.option(
    "--after", metavar="EVENT", help="Begin after this event; default: with what happens from now on."
)


@click.command()
@click.option(
    "--forward-to",
    "url",
    required=True,
    callback=local_url,
    help="Where your program listens, such as http://localhost:3000/hook.",
)
@click.option("--events", metavar="TYPES", help="Only these types, comma-separated, such as order.paid,order.refunded.")
@after_option
def listen(url: str, events: str | None, after: str | None) -> None:
    """Hand every event to a program on this machine, signed as a webhook is. No tunnel is needed.

    PURVEY_API_KEY and PURVEY_API_URL say whose events. Your program checks signatures with the secret that is printed.
    """
    api = connect()
    wanted = {one.strip() for one in events.split(",")} if events else None
    with until_interrupted():
        for one in sorted(wanted or ()):  # the server knows which types there are
            _patiently(lambda kind=one: api.get("/v1/events", {"type": kind, "limit": 1}))
        start = after or _patiently(lambda: _newest(api))
        secret = _patiently(lambda: api.post("/v1/listen-sessions"))["secret"]
        click.echo(f"Listening to {api.url}, forwarding to {url}\nSecret  {secret}\n")
        for event in follow(api, start):
            if wanted is None or event["type"] in wanted:
                click.echo(forward(event, url, secret))


@click.group()
def events() -> None:
    """Look at the log of events."""


@events.command()
@after_option
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON, for programs.")
def tail(after: str | None, *, as_json: bool) -> None:
    """Print events as they happen, until Ctrl-C."""
    api = connect()
    with until_interrupted():
        start = after or _patiently(lambda: _newest(api))
        click.echo(f"Following the log of {api.url}", err=True)
        for event in follow(api, start):
            click.echo(json.dumps(event, separators=(",", ":")) if as_json else line_of(event))


@click.group()
def deliveries() -> None:
    """Look at what endpoints were told, and why not."""


@deliveries.command()
@click.argument("delivery_id")
def explain(delivery_id: str) -> None:
    """Say why a delivery did or did not go, and what to do."""
    if not delivery_id:
        raise click.BadParameter("it is empty; a delivery's id begins with dlv_.", param_hint="DELIVERY_ID")
    try:
        found = connect().get(f"/v1/deliveries/{urllib.parse.quote(delivery_id, safe='')}/explanation")
    except AwayError as away:
        raise click.ClickException(str(away)) from None
    click.echo(f"{found['id']}  {found['status']}  ({found['code']})\nURL     {found['url']}\n")
    click.echo(f"{found['summary']}\n{found['advice']}")


@contextlib.contextmanager
def until_interrupted() -> Iterator[None]:
    """Let Ctrl-C be the end of a command that goes on until then."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(err=True)


def follow(api: Remote, after: str | None) -> Iterator[dict[str, Any]]:
    """Yield the events after `after` (None: all), and each that follows, for ever. A server that is away is waited for."""
    while True:
        page = _patiently(lambda at=after: api.get("/v1/events", {"after": at, "wait": WAIT, "limit": 100}))
        for event in page["data"]:
            yield event
            after = event["id"]


def forward(event: dict[str, Any], url: str, secret: str) -> str:
    """Send an event to the local program and return a line that tells how it went."""
    body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    headers = signing.headers(
        event_id=event["id"], event_type=event["type"], body=body, secrets=[secret], timestamp=int(time.time())
    )
    began = time.perf_counter()
    answer = _answer(urllib.request.Request(url, data=body, headers=headers, method="POST"))  # noqa: S310  # the caller's own
    spent = f"{(time.perf_counter() - began) * 1000:.0f} ms"
    good = answer.isdigit() and answer.startswith("2")
    return f"{line_of(event)}  {click.style(answer, fg='green' if good else 'red')}  {spent}"


def line_of(event: dict[str, Any]) -> str:
    """Return an event in one line."""
    return f"{event['created_at']}  {event['type']:<15}  {event['order_id'] or '-'}  {event['id']}"


def _answer(request: urllib.request.Request) -> str:
    try:
        with opener().open(request, timeout=FORWARD_WITHIN) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return str(refusal.code)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({words(error)})"


def _newest(api: Remote) -> str | None:
    newest: Sequence[dict[str, Any]] = api.get("/v1/events", {"order": "desc", "limit": 1})["data"]
    return str(newest[0]["id"]) if newest else None


def _patiently(ask: Any) -> Any:
    """Return what the server answers; while it is away, say so once and ask again."""
    told = False
    while True:
        try:
            answer = ask()
        except AwayError as away:
            if not told:
                click.echo(f"{away} Trying again ...", err=True)
            told = True
            time.sleep(AGAIN_AFTER)
        else:
            if told:
                click.echo("The server is back.", err=True)
            return answer
