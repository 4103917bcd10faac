"""Every page is looked at: a template that no state shows is one that nobody has seen."""

from pathlib import Path

from browser.states import MAILS, STATES
from house.sources import SERVER


def templates(room: str, layout: str) -> set[str]:
    """Return the names of the templates that make whole documents: those that extend the room's `layout`."""
    folder: Path = SERVER / room / "templates"
    found = {path.name for path in folder.glob("*.html") if f'{{% extends "{layout}" %}}' in path.read_text("utf-8")}
    assert found, f"no template of {room} extends {layout}"
    return found


def test_every_page_has_a_state_that_shows_it() -> None:
    assert templates("storefront", "page.html") == {state.template for state in STATES}


def test_every_mail_has_a_state_that_shows_it() -> None:
    assert templates("mail", "mail.html") == {mail.template for mail in MAILS}


def test_no_two_states_share_a_name() -> None:
    assert len({state.name for state in STATES}) == len(STATES)
    assert len({mail.name for mail in MAILS}) == len(MAILS)
