"""A buyer buys in a real browser, with and without JavaScript, and whatever name the server is reached by."""

import re

import pytest
from playwright.async_api import Browser, Page, expect

from market import Market
from market import expect as answered

QUESTIONS = [
    {"key": "birth_date", "type": "date", "label": "Your birth date"},
    {"key": "focus", "type": "select", "label": "Focus", "options": ["Love", "Career"], "required": False},
]


async def buy(page: Page, url: str) -> None:
    """Go from the product page to the page of the order."""
    await page.goto(url)
    await page.get_by_label("Your e-mail address").fill("ada@example.com")
    await page.get_by_label("Your birth date").fill("1990-05-15")
    await page.get_by_label("Focus").select_option("Career")
    await page.get_by_role("button", name="Buy for $5.00").click()
    await page.get_by_label("Test card number").fill("4242 4242 4242 4242")
    await page.get_by_role("button", name="Pay $5.00").click()
    await expect(page).to_have_url(re.compile("/access/"))


@pytest.mark.parametrize("javascript", [True, False])
async def test_the_page_that_waits_turns_into_the_content_by_itself(
    market: Market, browser: Browser, javascript: bool
) -> None:
    listing = await market.generated(checkout_schema=QUESTIONS)
    page = await browser.new_page(java_script_enabled=javascript)
    await buy(page, listing["url"])
    await expect(page.get_by_role("heading", name="Your order is being prepared")).to_be_visible()
    [order] = (await market.shop.get("/v1/orders")).json["data"]
    body = {"type": "text", "value": "Taurus: <rest>."}
    answered(await market.shop.post(f"/v1/orders/{order['id']}/deliver", json=body), 200)
    await expect(page.get_by_text("Taurus: <rest>.")).to_be_visible(timeout=20_000)


async def test_a_server_reached_by_another_name_sells_as_well(market: Market, browser: Browser) -> None:
    """The links in answers carry the base URL; a form that leads there must not be stopped by the page's own policy."""
    listing = await market.generated(checkout_schema=QUESTIONS)
    page = await browser.new_page()
    await buy(page, listing["url"].replace("127.0.0.1", "localhost"))


async def test_nothing_that_a_page_does_breaks_its_own_policy(market: Market, browser: Browser) -> None:
    complaints: list[str] = []
    page = await browser.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    await buy(page, (await market.generated(checkout_schema=QUESTIONS))["url"])
    await expect(page.get_by_role("heading", name="Your order is being prepared")).to_be_visible()
    assert complaints == []


async def test_a_mistake_is_shown_beside_its_field_and_by_keyboard(market: Market, browser: Browser) -> None:
    page = await browser.new_page(java_script_enabled=False)
    await page.goto((await market.generated(checkout_schema=QUESTIONS))["url"])
    await page.get_by_label("Your e-mail address").fill("ada@nowhere")
    await page.get_by_label("Your birth date").fill("1990-05-15")
    await page.keyboard.press("Enter")
    field = page.get_by_label("Your e-mail address")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_have_value("ada@nowhere")
