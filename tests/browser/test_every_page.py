"""Every page and every mail, in every state, light and dark, on a desktop and a phone: readable, whole, and within reach."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import pytest
from playwright.async_api import Browser, Page, ViewportSize

from browser.looking import SCHEMES, SIZES, opened
from browser.states import MAILS, STATES

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
# A frame is a document of its own, which is looked at by its own name.
RUN_AXE = "rules => axe.run(document, {resultTypes: ['violations'], iframes: false, rules})"
ELSEWHERE = {name: {"enabled": False} for name in ("landmark-one-main", "region")}
"""Rules for whole pages: a mail is shown inside the page of a mail program, which has the landmarks."""
NARROWEST = ViewportSize(width=320, height=640)
"""What a page must fit without scrolling sideways (WCAG 2.2, 1.4.10): a small phone, or a desktop at 400 %."""
PAGES = [f"/states/{state.name}" for state in STATES]
PATHS = PAGES + [f"/mails/{mail.name}" for mail in MAILS]

each_path = pytest.mark.parametrize("path", PATHS)
each_size = pytest.mark.parametrize("size", list(SIZES))

FAULTS_OF_LAYOUT = """() => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  const faults = [], wide = document.documentElement;
  const told = (element, what) => faults.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  if (wide.scrollWidth > innerWidth) faults.push(`the page scrolls sideways: ${wide.scrollWidth} > ${innerWidth}`);
  const unseen = "[hidden], .aside, .skip, svg, title, script, style, noscript, option, [style*='display:none']";
  const scrolls = (element) => element
    && (/auto|scroll/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest(unseen)) continue;
    const { overflowX, overflowY } = getComputedStyle(element);
    const cut = (overflowX !== "visible" && !/auto|scroll/.test(overflowX) && element.scrollWidth > element.clientWidth + 1)
      || (overflowY !== "visible" && !/auto|scroll/.test(overflowY) && element.scrollHeight > element.clientHeight + 1);
    if (cut && element.tagName !== "IFRAME") told(element, "cut off");
  }
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (words.nextNode()) {
    const node = words.currentNode;
    if (!node.data.trim() || node.parentElement.closest(unseen) || scrolls(node.parentElement)) continue;
    let box = node.parentElement;
    while (getComputedStyle(box).display === "inline") box = box.parentElement;
    const around = box.getBoundingClientRect(), range = document.createRange();
    range.selectNodeContents(node);
    const isWord = box.closest("button") && !/\\s/.test(node.data.trim());
    if (isWord && range.getClientRects().length > 1) told(box, "broken within a word");
    for (const part of range.getClientRects()) {
      if (part.width > 1 && (part.left < around.left - 1 || part.right > around.right + 1)) told(box, "sticks out");
    }
  }
  return faults;
}"""
SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary")]
  .filter((element) => !element.closest("[hidden]") && getComputedStyle(element).display !== "inline")
  .map((element) => [element.getBoundingClientRect(), element.outerHTML.slice(0, 120)])
  .filter(([box]) => box.width > 0 && (box.width < 24 || box.height < 24))
  .map(([box, html]) => `${box.width} by ${box.height}: ${html}`)"""
FOCUS = """() => {
  const element = document.activeElement, box = element.getBoundingClientRect(), style = getComputedStyle(element);
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && !/, 0\\)$/.test(style.outlineColor);
  return { name: element.tagName, html: element.outerHTML.slice(0, 120), seen: seen && box.width > 0 && box.left >= 0 };
}"""


def told(violations: list[dict[str, Any]]) -> list[str]:
    """Return each violation on a line: the rule, what it wants, and the first element at fault."""
    return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:160]}" for each in violations]


@each_size
@each_path
async def test_nobody_is_shut_out(windows: Mapping[str, Page], showroom_url: str, path: str, size: str) -> None:
    """By the rules of axe-core (WCAG 2.2 A and AA, and good practice)."""
    page = windows[size]
    await page.goto(showroom_url + path)
    await page.evaluate(AXE)
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        found = await page.evaluate(RUN_AXE, ELSEWHERE if path.startswith("/mails/") else {})
        assert told(found["violations"]) == [], scheme


@each_size
@each_path
async def test_nothing_is_cut_off_and_nothing_is_too_small_to_hit(
    windows: Mapping[str, Page], showroom_url: str, path: str, size: str
) -> None:
    page = windows[size]
    await page.goto(showroom_url + path)
    assert await page.evaluate(FAULTS_OF_LAYOUT) == []
    if size == "phone":
        assert await page.evaluate(SMALL_TARGETS) == []  # WCAG 2.2, 2.5.8
        await page.set_viewport_size(NARROWEST)
        assert await page.evaluate(FAULTS_OF_LAYOUT) == []
        await page.set_viewport_size(SIZES[size])


@pytest.mark.parametrize("path", PAGES)
async def test_the_keyboards_focus_is_seen_wherever_it_goes(
    windows: Mapping[str, Page], showroom_url: str, path: str
) -> None:
    page = windows["desktop"]
    await page.goto(showroom_url + path)
    for _ in range(60):
        await page.keyboard.press("Tab")
        focus = await page.evaluate(FOCUS)
        if focus["name"] in {"BODY", "IFRAME"}:
            break
        assert focus["seen"], focus["html"]
    else:
        pytest.fail("the focus never comes round")


async def test_no_page_breaks_its_own_policy_or_asks_another_host(browser: Browser, showroom_url: str) -> None:
    context = await opened(browser, "desktop")
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    for path in PATHS:
        answer = await page.goto(showroom_url + path)
        assert answer is not None
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert complaints == []
    assert [url for url in asked if not url.startswith((f"{showroom_url}/", "data:"))] == []
    await context.close()
