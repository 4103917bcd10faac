"""Photograph every page and mail, light and dark, on a desktop and a phone: `make screenshots SHOTS=FOLDER`."""

import asyncio
import logging
import sys
from pathlib import Path

import structlog
from playwright.async_api import Browser

from browser.looking import SCHEMES, SIZES, chromium, opened, showroom
from browser.states import MAILS, STATES


async def photograph(folder: Path) -> int:
    """Write FOLDER/NAME.SIZE.SCHEME.png for each; return how many."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    paths = [f"/states/{state.name}" for state in STATES] + [f"/mails/{mail.name}" for mail in MAILS]
    async with showroom() as url, chromium() as browser:
        return sum([await _photograph_at(browser, size, url, paths, folder) for size in SIZES])


async def _photograph_at(browser: Browser, size: str, url: str, paths: list[str], folder: Path) -> int:
    context = await opened(browser, size)
    page = await context.new_page()
    for path in paths:
        name = path.removeprefix("/states/").removeprefix("/").replace("mails/", "mail-")
        await page.goto(url + path)
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            await page.screenshot(path=folder / f"{name}.{size}.{scheme}.png", full_page=True)
    await context.close()
    return len(paths) * len(SCHEMES)


def main() -> None:
    """Take the pictures, into the folder that the command line names."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    folder = Path(sys.argv[1])
    taken = asyncio.run(photograph(folder))
    sys.stdout.write(f"{taken} pictures in {folder}\n")


if __name__ == "__main__":
    main()
