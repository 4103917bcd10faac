"""How a page leaves: HTML with headers that keep its address, its content and its visitor to itself."""

from typing import Literal

from litestar import Response
from litestar.response import Redirect

from purvey.server.errors import NotFound, ProblemError
from purvey.server.storefront import pages
from purvey.server.storefront.views import ErrorView

HEADERS = {
    # Without form-action: browsers hold redirects after a form to it too, and payment pages live elsewhere.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' https: data:; connect-src 'self'; "
        "frame-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
PRIVATE = {"Cache-Control": "private, no-store", "X-Robots-Tag": "noindex"}
"""For pages that only their own buyer should see."""


def page(html: str, status: int = 200, *, private: bool = True) -> Response[str]:
    """Answer with a page; a `private` one is neither stored nor indexed."""
    headers = HEADERS | (PRIVATE if private else {})
    return Response(html, status_code=status, media_type="text/html", headers=headers)


def moved(url: str, status: Literal[302, 303] = 303) -> Redirect:
    """Send the browser on; nothing of this address goes along."""
    return Redirect(url, status_code=status, headers=HEADERS | PRIVATE)


def error_page(problem: ProblemError, request_id: str, *, test_mode: bool) -> Response[str]:
    """Tell a person what went wrong. What went wrong on our side is told without details, by the request's id."""
    ours = problem.status >= 500
    view = ErrorView(
        test_mode=test_mode,
        status=problem.status,
        text=None if ours or isinstance(problem, NotFound) else problem.detail,
        reference=request_id if ours else None,
    )
    return page(pages.error(view), problem.status)
