"""The API of a server, for commands that are run elsewhere. Needs nothing but the standard library."""

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import click

from purvey.signing import USER_AGENT

DEFAULT_URL = "http://127.0.0.1:8000"
"""Where the API is when PURVEY_API_URL says nothing."""
LONGEST = 60.0
"""Seconds that an answer may take; longer than the longest wait of the log."""


class AwayError(Exception):
    """The server does not answer, or says that it cannot for the moment."""


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: an API key, or an event, goes where it was sent."""

    def redirect_request(self, *_: Any) -> None:
        """Make no request."""


def opener() -> urllib.request.OpenerDirector:
    """Return what opens a URL directly: through no proxy of the environment, and after no redirect."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _Unfollowed)


class Remote:
    """The API, with a key. A refusal ends the command with the server's own sentence; a server that is away raises AwayError."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": USER_AGENT}
        self._opener = opener()

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:
        """Return the JSON at a path; what is None in `query` is left out."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return json.loads(self._ask("GET", f"{path}?{urllib.parse.urlencode(given)}" if given else path))

    def post(self, path: str) -> Any:
        """Post nothing to a path, and return the JSON that is answered."""
        return json.loads(self._ask("POST", path))

    def _ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, method=method, headers=self._headers)  # noqa: S310  # ours to choose
        try:
            with self._opener.open(request, timeout=LONGEST) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise _refused(refusal) from None
        except (OSError, http.client.HTTPException) as error:
            raise AwayError(f"{self.url} does not answer: {words(error)}.") from None


def words(error: Exception) -> str:
    """Say why there was no answer, without the number of the system's error."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "it took too long"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def whole_url(text: str) -> str:
    """Return a URL that a person typed, `http://` before it where no scheme is given; raise ValueError for what is none."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urllib.parse.urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or any(not "!" <= character <= "~" for character in url):
        raise ValueError(f"{text!r} is no URL")
    return url


def _refused(refusal: urllib.error.HTTPError) -> Exception:
    try:
        detail = json.loads(refusal.read())["detail"]
    except (ValueError, KeyError, TypeError):
        detail = f"The server answered HTTP {refusal.code}."
    if refusal.code in {429, 502, 503, 504}:
        return AwayError(detail)
    return click.ClickException(detail)


def connect() -> Remote:
    """Return the API that PURVEY_API_URL and PURVEY_API_KEY name; end the command when there is no key, or no such URL."""
    key = os.environ.get("PURVEY_API_KEY", "").strip()
    if not key or any(not "!" <= character <= "~" for character in key):
        raise click.ClickException("Set PURVEY_API_KEY to an API key of yours: export PURVEY_API_KEY=lb_...")
    try:
        return Remote(whole_url(os.environ.get("PURVEY_API_URL", "").strip() or DEFAULT_URL), key)
    except ValueError as error:
        raise click.ClickException(
            f"PURVEY_API_URL must be the server's address, such as {DEFAULT_URL}: {error}."
        ) from None
