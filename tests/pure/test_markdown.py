"""Markdown from strangers does nothing but be read."""

import re

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purvey.server.kit.markdown import TAGS, render


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*a* **b** `c` ~~d~~", "<p><em>a</em> <strong>b</strong> <code>c</code> <s>d</s></p>\n"),
        ("- one\n- two", "<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n"),
        ("3. three", '<ol start="3">\n<li>three</li>\n</ol>\n'),
        ("> said", "<blockquote>\n<p>said</p>\n</blockquote>\n"),
        ("```py\n<x>\n```", "<pre><code>&lt;x&gt;\n</code></pre>\n"),
        ("<b>not bold</b>", "<p>&lt;b&gt;not bold&lt;/b&gt;</p>\n"),
    ],
)
def test_text_is_rendered(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize(
    ("text", "tag"), [("# a", "h3"), ("## a", "h4"), ("a\n===", "h3"), ("##### a", "h6"), ("###### a", "h6")]
)
def test_headings_stand_below_those_of_the_page(text: str, tag: str) -> None:
    assert render(text) == f"<{tag}>a</{tag}>\n"


def test_a_link_tells_nothing_and_earns_nothing() -> None:
    expected = '<p><a href="https://example.com/" title="t" rel="noopener noreferrer nofollow">a</a></p>\n'
    assert render('[a](https://example.com/ "t")') == expected


@pytest.mark.parametrize(
    "text",
    [
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x)",
        "[a](&#106;avascript:alert(1))",
        "[a]: javascript:alert(1)\n\n[a]",
        "<javascript:alert(1)>",
        "[a](file:///etc/passwd)",
        "[a](tel:123)",
    ],
)
def test_a_link_leads_to_the_web_or_to_mail_only(text: str) -> None:
    assert "href" not in render(text)


def test_an_image_is_not_loaded_but_linked() -> None:
    html = render("![a picture](https://spy.example/pixel.png)")
    assert "<img" not in html
    assert 'href="https://spy.example/pixel.png"' in html


pieces = st.sampled_from(
    [
        "<script>",
        "<img src=x onerror=y>",
        "](javascript:x)",
        "[",
        "]",
        "(",
        ")",
        "*",
        "_",
        "`",
        "#",
        "\n",
        "> ",
        "- ",
        "|",
        "\\",
        "&#x3c;",
        "&lt;",
        "~~",
        "![",
        "<http://x",
        ">",
        "\"'",
        "a",
        " ",
    ]
)


@given(st.one_of(st.lists(pieces, max_size=25).map("".join), st.text(max_size=200)))
def test_nothing_comes_out_but_what_is_on_the_list(text: str) -> None:
    html = render(text)
    found = re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)([^>]*)>", html)
    assert {tag for tag, _ in found} <= TAGS
    assert not [tag for tag, attributes in found if re.search(r"\s(on\w+|style|src|class|id)\s*=", attributes)]
    assert all(re.match(r"(https?|mailto):", target) for target in re.findall(r'href="([^"]*)"', html) if ":" in target)
    assert nh3.clean(html, tags=set(TAGS), attributes={"a": {"href", "title"}, "ol": {"start"}}) == html.replace(
        ' rel="noopener noreferrer nofollow"', ' rel="noopener noreferrer"'
    )
