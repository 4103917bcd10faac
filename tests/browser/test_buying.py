"""A buyer buys in a real browser: with and without JavaScript, by keyboard alone, and whatever name the server is reached by."""

import re
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from browser.looking import opened
from browser.test_every_page import FOCUS
from market import Market
from market import expect as answered

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTIONS = [
    {"key": "birth_date", "type": "date", "label": "Your birth date"},
    {"key": "focus", "type": "select", "label": "Focus", "options": ["Love", "Career"], "required": False},
    {"key": "wishes", "type": "text", "label": "Your wishes", "required": False, "max_length": 1000},
    {"key": "copies", "type": "number", "label": "Copies", "required": False},
    {"key": "friend", "type": "email", "label": "A friend's address", "required": False},
    {"key": "agreed", "type": "checkbox", "label": "Make it at once"},
]
ANSWERS = {"birth_date": "1990-05-15", "focus": "Career", "wishes": "In large print.", "copies": 2, "agreed": True}

SCROLLED_FAR = """() => new Promise((done) => {
  const look = () => document.activeElement.scrollTop > 1000 ? done() : requestAnimationFrame(look);
  look();
})"""


async def fill_in(page: Page) -> None:
    """Answer the questions of the order form."""
    await page.get_by_label("Your e-mail address").fill("ada@example.com")
    await page.get_by_label("Your birth date").fill("1990-05-15")
    await page.get_by_label("Focus").select_option("Career")
    await page.get_by_label("Your wishes").fill("In large print.")
    await page.get_by_label("Copies").fill("2")
    await page.get_by_label("Make it at once").check()


async def pay(page: Page) -> None:
    """Pay with the test card that pays, and wait for the page of the order."""
    await page.get_by_label("Test card number").fill("4242 4242 4242 4242")
    await page.get_by_role("button", name="Pay $5.00").click()
    await expect(page).to_have_url(re.compile("/access/"))


async def buy(page: Page, url: str) -> None:
    """Go from the product page to the page of the order."""
    await page.goto(url)
    await fill_in(page)
    await page.get_by_role("button", name="Buy for $5.00").click()
    await pay(page)


async def order_of(market: Market, listing: dict[str, Any]) -> dict[str, Any]:
    """Return the listing's one order."""
    [order] = (await market.shop.get(f"/v1/orders?listing_id={listing['id']}")).json["data"]
    return dict(order)


async def deliver(market: Market, listing: dict[str, Any], text: str) -> None:
    """Deliver the listing's one order."""
    body = {"type": "text", "value": text}
    answered(await market.shop.post(f"/v1/orders/{(await order_of(market, listing))['id']}/deliver", json=body), 200)


@pytest.mark.parametrize("javascript", [True, False])
async def test_the_page_that_waits_turns_into_the_content_by_itself(
    market: Market, browser: Browser, javascript: bool
) -> None:
    listing = await market.generated(checkout_schema=QUESTIONS)
    async with await browser.new_context(java_script_enabled=javascript) as context:
        page = await context.new_page()
        await buy(page, listing["url"])
        await expect(page.get_by_role("heading", name="Your order is being prepared")).to_be_visible()
        await expect(page.get_by_text("The Shop is making Kit for you now.")).to_be_visible()
        assert (await order_of(market, listing))["checkout_data"] == ANSWERS
        await deliver(market, listing, "Taurus: <rest>.")
        await expect(page.get_by_text("Taurus: <rest>.")).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("price", [500, 0])
async def test_prepared_goods_are_there_at_once_without_javascript(
    market: Market, browser: Browser, price: int
) -> None:
    link = {"type": "url", "value": f"{market.shop.url}/assets/icon.svg"}
    goods = [{"type": "text", "value": "the goods"}, {"type": "text", "value": "**bold**", "format": "markdown"}, link]
    listing = await market.listing(price=price, deliverables=goods)
    async with await browser.new_context(java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto(listing["url"])
        await page.get_by_label("Your e-mail address").fill("ada@example.com")
        await page.get_by_role("button").click()
        if price:
            await page.get_by_label("Test card number").fill("4000 0000 0000 0002")
            await page.get_by_role("button", name="Pay $5.00").click()
            await expect(page.get_by_role("alert")).to_be_focused()
            await pay(page)
        await expect(page.get_by_text("the goods")).to_be_visible()
        await expect(page.locator("strong", has_text="bold")).to_be_visible()
        await expect(page.get_by_role("button", name="Copy")).to_have_count(0)
        await page.get_by_role("link", name="Open the link").click()
        await expect(page).to_have_url(f"{market.shop.url}/assets/icon.svg")


async def test_a_server_reached_by_another_name_sells_as_well(market: Market, browser: Browser) -> None:
    """The links in answers carry the base URL; a form that leads there must not be stopped by the page's own policy."""
    listing = await market.generated(checkout_schema=QUESTIONS)
    async with await browser.new_context() as context:
        await buy(await context.new_page(), listing["url"].replace("127.0.0.1", "localhost"))


async def test_nothing_that_a_page_does_breaks_its_own_policy(market: Market, browser: Browser) -> None:
    complaints: list[str] = []
    async with await browser.new_context() as context:
        page = await context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        await buy(page, (await market.generated(checkout_schema=QUESTIONS))["url"])
        await expect(page.get_by_role("heading", name="Your order is being prepared")).to_be_visible()
    assert complaints == []


@pytest.mark.parametrize("javascript", [True, False])
async def test_mistakes_are_shown_beside_their_fields_and_in_a_list_that_has_the_focus(
    market: Market, browser: Browser, javascript: bool
) -> None:
    listing = await market.generated(checkout_schema=QUESTIONS)
    async with await browser.new_context(java_script_enabled=javascript) as context:
        page = await context.new_page()
        await page.goto(listing["url"])
        await fill_in(page)
        labels = ("Your e-mail address", "Copies", "A friend's address")
        email, copies, friend = (page.get_by_label(label) for label in labels)
        await email.fill("ada@nowhere")
        await email.press("Enter")
        await expect(page.get_by_role("alert")).to_be_focused()
        await expect(page).to_have_title(re.compile("^Check your answers: "))
        await expect(email).to_have_attribute("aria-invalid", "true")
        await expect(email).to_have_accessible_description(re.compile("^What stands after the @ is no domain name; "))
        await email.fill("ada@example.com")
        await copies.fill("1e300")
        await friend.fill("bob@nowhere")
        await email.press("Enter")
        await expect(page.get_by_role("heading", name="2 answers need another look")).to_be_visible()
        await expect(copies).to_have_accessible_description(re.compile("^Must be between "))
        await expect(friend).to_have_accessible_description(re.compile("^What stands after the @ is no domain name; "))
        await expect(email).not_to_have_attribute("aria-invalid", "true")
        await page.get_by_role("alert").get_by_role("link", name="Copies").press("Enter")
        await expect(copies).to_be_focused()
        await copies.fill("2")
        await friend.fill("")
        await expect(page.get_by_label("Your birth date")).to_have_value("1990-05-15")
        await expect(page.get_by_label("Your wishes")).to_have_value("In large print.")
        await page.get_by_role("button", name="Buy for $5.00").click()
        await pay(page)
    assert (await order_of(market, listing))["checkout_data"] == ANSWERS


async def test_what_was_sold_or_taken_back_meanwhile_is_said_on_its_page(market: Market, browser: Browser) -> None:
    listing = await market.listing()
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(listing["url"])
        answered(await market.shop.post(f"/v1/listings/{listing['id']}/unpublish"), 200)
        await page.get_by_label("Your e-mail address").fill("ada@example.com")
        await page.get_by_role("button").click()
        await expect(page.get_by_text("Not for sale now.")).to_be_visible()
        await expect(page.get_by_role("button")).to_have_count(0)


async def tab_to(page: Page, selector: str, key: str = "Tab") -> None:
    """Press a key until the focus is on what the selector finds; wherever it rests on the way, it is seen."""
    for _ in range(30):
        await page.keyboard.press(key)
        focus = await page.evaluate(FOCUS)
        assert focus["seen"], focus["html"]
        if await page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"the keyboard does not reach {selector}")


async def type_into(page: Page, selector: str, text: str) -> None:
    """Go to a field by keyboard and type."""
    await tab_to(page, selector)
    await page.keyboard.type(text)


async def test_a_keyboard_is_enough(market: Market, browser: Browser) -> None:
    listing = await market.generated(checkout_schema=QUESTIONS, description="A reading.", faqs=[], highlights=["One"])
    async with await browser.new_context(locale="en-US") as context:
        page = await context.new_page()
        await page.goto(listing["url"])
        await tab_to(page, "a.skip")
        await page.keyboard.press("Enter")
        await type_into(page, "[name=buyer_email]", "ada@example.com")
        await type_into(page, "[type=date]", "05151990")
        await type_into(page, "select", "Car")
        await type_into(page, "textarea", "In large print.")
        await type_into(page, "[type=number]", "2")
        await tab_to(page, "[type=checkbox]")
        await page.keyboard.press("Space")
        await tab_to(page, "[type=number]", "Shift+Tab")
        await tab_to(page, "form .button")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(re.compile("/sandbox/"))
        await tab_to(page, "#card")
        await tab_to(page, "[data-fill='4000 0000 0000 0002']")
        await page.keyboard.press("Space")
        await expect(page.get_by_label("Test card number")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_be_focused()
        await tab_to(page, "#card")
        await page.keyboard.press("Control+A")
        await page.keyboard.type("4242424242424242")
        await tab_to(page, "form .button")
        await page.keyboard.press("Space")
        await expect(page).to_have_url(re.compile("/access/"))
        await deliver(market, listing, "\n".join(f"line {number}" for number in range(400)))
        await expect(page.get_by_text("line 399")).to_be_attached(timeout=20_000)
        await read_by_keyboard(page, context)
    assert (await order_of(market, listing))["checkout_data"] == ANSWERS


async def read_by_keyboard(page: Page, context: BrowserContext) -> None:
    """Copy the text, and read it to its end."""
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await tab_to(page, "[data-copy]")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Copied")).to_be_visible()
    assert (await page.evaluate("navigator.clipboard.readText()")).endswith("line 399")
    await tab_to(page, "pre")
    await page.keyboard.press("End")
    await page.evaluate(SCROLLED_FAR)


async def test_a_page_that_cannot_be_reached_says_so_and_goes_on_trying(market: Market, browser: Browser) -> None:
    listing = await market.generated()
    bought = await market.buy(listing)
    async with await opened(browser, "phone") as context:
        page = await context.new_page()
        await page.clock.install()
        await page.goto(market.shop.url + bought.access)
        said = page.get_by_role("status")
        await expect(said).to_have_text("This page looks for it by itself.")
        await context.set_offline(True)
        await page.clock.run_for(6_000)
        await expect(said).to_have_text("The shop cannot be reached just now. This page goes on trying.")
        await context.set_offline(False)
        await page.clock.run_for(7_000)
        await expect(said).to_have_text("Not there yet. This page goes on looking.")
        await deliver(market, listing, "Here it is.")
        await page.clock.run_for(9_000)
        await expect(page.get_by_text("Here it is.")).to_be_visible()
