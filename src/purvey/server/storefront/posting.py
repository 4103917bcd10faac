"""The forms that browsers send: what is in them, and whether they were on a page of ours."""

from urllib.parse import urlsplit

from litestar.handlers import BaseRouteHandler

from purvey.server.errors import FieldError, Forbidden, ValidationError
from purvey.server.kit.tools import Tools
from purvey.server.kit.web.limits import AnyConnection
from purvey.server.storefront.shop import Browser


async def posted(request: Browser) -> dict[str, str]:
    """Return the fields of the form that was sent; raise ValidationError for one that cannot be read."""
    try:
        return {name: str(value) for name, value in (await request.form()).items()}
    except (LookupError, ValueError):
        message = "a part of the form is no text in the encoding that it names; UTF-8 is understood"
        raise ValidationError(message, errors=[FieldError(loc=[], msg=message, type="form")]) from None


async def from_our_pages(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Refuse a form that was on another site's page; a guard, for what a buyer who is signed in may do.

    Browsers say so in Sec-Fetch-Site. Older ones name the page's origin, or `null`, because our pages send no referrer; who says
    nothing at all is no browser, and has no cookie that another site could make use of.
    """
    site = connection.headers.get("sec-fetch-site")
    ours = site in {"same-origin", "none"} if site else _is_ours(connection)
    if not ours:
        raise Forbidden("This form was sent from another site. Go to its own page, and send it from there.")


def _is_ours(connection: AnyConnection) -> bool:
    origin = connection.headers.get("origin", "null")
    tools: Tools = connection.app.state.tools
    return origin == "null" or urlsplit(origin).netloc in {
        connection.headers.get("host"),
        urlsplit(tools.base_url).netloc,
    }
