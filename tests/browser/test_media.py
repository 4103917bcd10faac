"""Paper, motion and colour: what a reader's printer and a reader's settings make of the pages."""

import pytest
from playwright.async_api import Browser, Page, expect

from browser.looking import opened

pytestmark = pytest.mark.asyncio(loop_scope="session")

BACKGROUND = "getComputedStyle(document.body).backgroundColor"


async def brightness(page: Page) -> int:
    """Return the sum of red, green and blue behind the page, 0 to 765."""
    return int(await page.evaluate(f"{BACKGROUND}.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b)"))


async def test_what_was_bought_is_printed_whole_and_without_what_only_a_screen_needs(
    browser: Browser, showroom_url: str
) -> None:
    async with await opened(browser, "desktop", color_scheme="dark") as context:
        page = await context.new_page()
        await page.goto(f"{showroom_url}/states/ready-lines")
        text, copy = page.locator("pre"), page.get_by_role("button", name="Copy")
        whole = "element => element.scrollHeight <= element.clientHeight"
        assert not await text.evaluate(whole)
        await expect(copy).to_be_visible()
        await page.emulate_media(media="print", color_scheme="dark")
        assert await text.evaluate(whole)
        await expect(copy).to_be_hidden()
        await expect(page.locator(".test-mode")).to_be_hidden()
        await expect(page.get_by_role("heading", name="Your order")).to_be_visible()
        assert await page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
        assert await brightness(page) == 3 * 255


@pytest.mark.parametrize(("wanted", "moves"), [("no-preference", "turn"), ("reduce", "none")])
async def test_nothing_moves_for_whoever_does_not_want_it(
    browser: Browser, showroom_url: str, wanted: str, moves: str
) -> None:
    async with await browser.new_context(reduced_motion=wanted) as context:  # type: ignore[arg-type]  # both are known
        page = await context.new_page()
        await page.goto(f"{showroom_url}/states/waiting")
        assert await page.locator(".spinner").evaluate("element => getComputedStyle(element).animationName") == moves


@pytest.mark.parametrize("path", ["/states/ready", "/mails/ready"])
async def test_the_dark_is_dark_and_the_light_is_light(browser: Browser, showroom_url: str, path: str) -> None:
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(showroom_url + path)
        await page.emulate_media(color_scheme="light")
        assert await brightness(page) > 690
        await page.emulate_media(color_scheme="dark")
        assert await brightness(page) < 90
