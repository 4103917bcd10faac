"""Every action that writes is killed at each of its steps: whoever adds one has to register an act that does it."""

from crash.actions import ACTS
from house.writers import known_functions, writing_actions


def test_every_action_that_writes_has_an_act() -> None:
    registered = {name for act in ACTS for name in act.of}
    missing = sorted(writing_actions() - registered)
    assert missing == [], "register an act in tests/crash/actions.py for each of these"


def test_every_act_names_actions_that_are_there() -> None:
    assert sorted({name for act in ACTS for name in act.of} - known_functions()) == []


def test_no_two_acts_have_one_name() -> None:
    names = [act.name for act in ACTS]
    assert sorted(names) == sorted(set(names))


def test_what_writes_is_told_from_what_reads() -> None:
    found = writing_actions()
    assert {
        "accounts.actions.create_key",  # by itself
        "listings.actions.publish",  # through a private function
        "checkout.actions.come_back",  # through another room, by something handed in
        "fulfillment.actions.Fulfillment.deliver",  # through a batch
        "mail.work.SendMail.run",  # within a function made on the spot
    } <= found
    assert (
        not {
            "accounts.actions.authenticate",
            "listings.actions.page",
            "orders.actions.show",
            "events.actions.read_page",
            "checkout.work.ConfirmFree.load",
        }
        & found
    )
