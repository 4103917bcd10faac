"""A browser of sorts: it loads pages, fills in the forms that it finds there, and follows redirects."""

from html.parser import HTMLParser
from typing import Self
from urllib.parse import urljoin

import aiohttp


class Form(HTMLParser):
    """The first form of a page that posts: where to, and the inputs it has. `text` is what a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.inputs: dict[str, str] = {}
        self.text = ""
        self._skipped = 0
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the form and its inputs."""
        found = dict(attrs)
        if tag == "form" and self.action is None and (found.get("method") or "").lower() == "post":
            self.action = found.get("action") or ""
            self._inside = True
        elif self._inside and tag in {"input", "select", "textarea"} and found.get("name"):
            self.inputs[str(found["name"])] = found.get("value") or ""
        self._skipped += tag in {"script", "style", "head"}

    def handle_endtag(self, tag: str) -> None:
        """Note the end of the form, and of what is not read."""
        if tag == "form":
            self._inside = False
        self._skipped -= tag in {"script", "style", "head"}

    def handle_data(self, data: str) -> None:
        """Collect what a reader sees."""
        if not self._skipped:
            self.text += data


class Page:
    """A page as loaded: its final address, status and form."""

    def __init__(self, url: str, status: int, html: str) -> None:
        self.url = url
        self.status = status
        self.html = html
        self.form = Form(html)


class Browser:
    """One buyer's browser."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(headers={"Accept": "text/html"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def open(self, url: str) -> Page:
        """Load a page."""
        async with self._session.get(url) as answer:
            return Page(str(answer.url), answer.status, await answer.text())

    async def submit(self, page: Page, **values: str) -> Page:
        """Fill in the page's form and send it; a name that the form does not have is an error."""
        if page.form.action is None:
            raise LookupError(f"{page.url} has no form to fill in (status {page.status})")
        unknown = set(values) - set(page.form.inputs)
        if unknown:
            raise LookupError(f"the form of {page.url} has {sorted(page.form.inputs)}, not {sorted(unknown)}")
        target = urljoin(page.url, page.form.action)
        async with self._session.post(target, data=page.form.inputs | values) as answer:
            return Page(str(answer.url), answer.status, await answer.text())
