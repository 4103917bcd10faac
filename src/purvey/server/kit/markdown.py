"""Markdown from strangers, as HTML that can do nothing but be read.

HTML in the text is shown as text; what the renderer makes is cut down to a short list of elements, in case it is ever wrong.
"""

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore

TAGS = frozenset(
    {"a", "blockquote", "br", "code", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "strong", "ul"}
    | {"table", "tbody", "td", "th", "thead", "tr"}
)
"""The elements that may come out. No images: they would tell somebody else's server who reads, and when."""

_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto"}
_HIGHEST_HEADING = 3


def render(text: str) -> str:
    """Return `text` (CommonMark with tables and strikethrough) as safe HTML.

    Its highest heading becomes an `h3`, below the headings of the page around it. Links lead to http, https and mailto only and say
    `rel="noopener noreferrer nofollow"`. An image becomes a link to it.
    """
    html = _markdown.render(text)
    return nh3.clean(
        html,
        tags=set(TAGS),
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def _lower_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in {"heading_open", "heading_close"}:
            level = min(6, int(token.tag[1:]) + _HIGHEST_HEADING - 1)
            token.tag = f"h{level}"


def _make() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    markdown.core.ruler.push("lower_headings", _lower_headings)
    return markdown


_markdown = _make()
