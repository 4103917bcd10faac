"""A buyer gets back in, in a real browser without JavaScript: from a link that has run out, and by the library."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from market import Market
from story.test_back_in import link_in
from story.test_library import mailed_link, pass_time

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def heading(page: Page, name: str) -> None:
    """The page says so in large letters."""
    await expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()


async def test_from_a_link_that_has_run_out_to_a_fresh_one(market: Market, browser: Browser) -> None:
    bought = await market.buy(await market.listing())
    await market.outside.next_letter()
    await pass_time(market, hours=48)
    async with await browser.new_context(java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(market.shop.url + bought.access)
        await heading(page, "This link has expired")
        await page.get_by_role("button", name="Send me a fresh link").click()
        await heading(page, "Look into your mail")
        fresh = link_in(await market.outside.next_letter())
        await page.goto(market.shop.url + bought.access)
        await heading(page, "This link is not known here")
        await page.goto(market.shop.url + fresh)
        await expect(page.get_by_text("the goods")).to_be_visible()


async def test_through_the_library_to_everything_that_was_bought(market: Market, browser: Browser) -> None:
    email = "grace@example.com"
    await market.buy(await market.listing(name="The kit"), email)
    await market.buy(
        await market.listing(name="By hand", content_type="webhook", agent_callback_url=market.outside.hook_url), email
    )
    await pass_time(market, hours=48)
    async with await browser.new_context(java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(f"{market.shop.url}/access/an-old-link")
        await page.get_by_label("Your e-mail address").fill(email)
        await page.get_by_role("button", name="Mail me a link").click()
        await heading(page, "Look into your mail")
        await page.goto(market.shop.url + await mailed_link(market))
        await page.get_by_role("button", name="Sign in").click()
        await heading(page, "Your purchases")
        await expect(page.get_by_text("Link expired")).to_be_visible()
        await page.get_by_role("button", name="Open again").click()
        await expect(page.get_by_text("the goods")).to_be_visible()
        await page.goto(f"{market.shop.url}/library")
        await page.get_by_role("link", name="By hand").click()
        await heading(page, "The Shop delivers your order")
        await page.goto(f"{market.shop.url}/library")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_url(re.compile("/library$"))
        await expect(page.get_by_label("Your e-mail address")).to_be_visible()


async def test_the_buyer_of_what_the_seller_delivers_comes_back_to_a_page_that_says_so(
    market: Market, browser: Browser
) -> None:
    listing = await market.listing(content_type="webhook", agent_callback_url=market.outside.hook_url)
    async with await browser.new_context(java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto((await market.shop.get(f"/v1/listings/{listing['id']}")).json["url"])
        await page.get_by_label("Your e-mail address").fill("ada@example.com")
        await page.get_by_role("button").click()
        await page.get_by_label("Test card number").fill("4242 4242 4242 4242")
        await page.get_by_role("button", name="Pay $5.00").click()
        await heading(page, "The Shop delivers your order")
