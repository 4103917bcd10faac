"""What a listing may be: its content type, its secrets, its deliverables, and what it still needs."""

import base64
import contextlib
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from purvey.server.deliverables.rules import LONGEST_TEXT, LONGEST_URL, DeliverableIn, check
from purvey.server.errors import Conflict, InvalidPrice, LockedField, NotInDraft, ValidationError
from purvey.server.listings import rules
from purvey.server.listings.model import Listing, Secret, Showcase, Status
from purvey.server.listings.wire import ListingChanges
from purvey.server.orders.model import ContentType
from purvey.server.orders.wire import FULFILLMENT

NOW = datetime(2026, 4, 17, 10, 23, tzinfo=UTC)
LISTING = Listing(
    id="lst_1",
    account_id="acc_1",
    version=1,
    status=Status.DRAFT,
    slug="book",
    name="Book",
    price=500,
    currency="USD",
    content_type="static",
    checkout_schema=(),
    deliverables=(),
    key_pool=None,
    page=Showcase(),
    metadata={},
    agent_callback_url=None,
    callback_endpoint_id=None,
    signing=Secret(b"sealed", "last"),
    dynamic_webhook=None,
    dynamic=None,
    on_callback_failure="pending",
    grant_after=48,
    grant_downloads=10,
    fulfill_within=None,
    on_late="remind",
    late_text=None,
    stock=None,
    created_at=NOW,
    updated_at=NOW,
    published_at=None,
)
TYPES = st.sampled_from(["static", "generated", "webhook", "dynamic"])
WORDS = st.sampled_from(["managed", "external"])


def listing(**changes: Any) -> Listing:
    return msgspec.structs.replace(LISTING, **changes)


def changed(before: Listing = LISTING, **changes: Any) -> Listing:
    return rules.apply(before, ListingChanges(**changes), NOW, private_urls=False)


def codes(one: Listing) -> list[str]:
    return [action.code for action in rules.readiness(one).actions]


@pytest.mark.parametrize(
    ("given_type", "word", "webhook", "current", "expected"),
    [
        (None, None, False, None, "static"),
        (None, None, False, "webhook", "webhook"),
        (None, None, True, None, "dynamic"),
        (None, None, True, "static", "dynamic"),
        (None, "managed", False, None, "static"),
        (None, "external", False, None, "generated"),
        (None, "external", False, "webhook", "webhook"),
        (None, "external", False, "static", "generated"),
        (None, "managed", False, "dynamic", "static"),
        (None, "external", True, None, "dynamic"),
        ("webhook", "external", False, "static", "webhook"),
        ("dynamic", None, True, None, "dynamic"),
    ],
)
def test_the_content_type_follows_from_what_is_said(
    given_type: Any, word: Any, webhook: bool, current: Any, expected: str
) -> None:
    assert rules.content_type_of(given_type, word, webhook=webhook, current=current) == expected


@given(st.none() | TYPES, st.none() | WORDS, st.booleans(), st.none() | TYPES)
def test_the_content_type_never_contradicts_what_was_said(
    given_type: ContentType | None, word: Any, webhook: bool, current: ContentType | None
) -> None:
    chosen = None
    with contextlib.suppress(ValidationError):
        chosen = rules.content_type_of(given_type, word, webhook=webhook, current=current)
    if chosen is None:
        assert word is not None or webhook
    else:
        assert given_type in {None, chosen}
        assert word in {None, FULFILLMENT[chosen]}
        assert not webhook or chosen == "dynamic"


@given(st.none() | WORDS, TYPES)
def test_saying_what_is_already_so_changes_nothing(word: Any, current: ContentType) -> None:
    assume(word is None or FULFILLMENT[current] == word)
    assert rules.content_type_of(None, word, webhook=False, current=current) == current


@given(st.binary(min_size=16, max_size=64))
def test_a_whsec_secret_of_16_to_64_bytes_is_taken_as_it_is(key: bytes) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    assert rules.check_signing_secret(secret) == secret


@pytest.mark.parametrize(
    "secret",
    [
        "x" * 15,
        "x" * 257,
        "a secret with\na line break",
        "whsec_" + base64.b64encode(b"k" * 15).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(),
        "whsec_" + "a" * 25,
        "whsec_" + "-_" * 16,
    ],
)
def test_a_secret_that_receivers_could_not_use_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"16 to"):
        rules.check_signing_secret(secret)


def test_a_plain_secret_is_taken_as_it_is() -> None:
    assert rules.check_signing_secret("sixteen letters!") == "sixteen letters!"


@given(st.one_of(st.floats(), st.booleans(), st.text(), st.none(), st.integers(max_value=-1), st.integers(100_000_000)))
def test_nothing_but_a_whole_number_within_limits_is_a_price(price: Any) -> None:
    with pytest.raises(InvalidPrice) as caught:
        changed(price=price)
    assert caught.value.param == "price"


@given(st.integers(0, 99_999_999))
def test_every_whole_number_within_limits_is_a_price(price: int) -> None:
    assert changed(price=price).price == price


def test_fields_that_are_not_sent_stay() -> None:
    before = listing(page=Showcase(tagline="T", cta="C"), metadata={"a": "b"}, stock=4)
    after = changed(before, tagline=None, name=" New Name ")
    assert after == listing(
        page=Showcase(cta="C"), metadata={"a": "b"}, stock=4, name="New Name", slug="new-name", updated_at=NOW
    )


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        changed(name=" ", currency="XXX", agent_callback_url="http://localhost/", image_url="no url")
    assert [fault["loc"] for fault in caught.value.members["errors"]] == [
        ["name"],
        ["currency"],
        ["agent_callback_url"],
        ["image_url"],
    ]


def test_private_callbacks_are_taken_only_where_they_are_allowed() -> None:
    changes = ListingChanges(agent_callback_url="http://127.0.0.1:9000/hook")
    after = rules.apply(LISTING, changes, NOW, private_urls=True)
    assert after.agent_callback_url == "http://127.0.0.1:9000/hook"
    with pytest.raises(ValidationError):
        rules.apply(LISTING, changes, NOW, private_urls=False)


@given(TYPES, TYPES)
def test_publishing_locks_the_content_type(current: ContentType, wanted: ContentType) -> None:
    before = listing(content_type=current, published_at=NOW)
    if current == wanted:
        assert changed(before, content_type=wanted).content_type == current
    else:
        with pytest.raises(LockedField) as caught:
            changed(before, content_type=wanted)
        assert caught.value.param == "content_type"


def test_a_listing_with_deliverables_stays_static() -> None:
    with pytest.raises(Conflict) as caught:
        changed(listing(deliverables=["del_1"]), content_type="generated")
    assert caught.value.members == {"current_count": 1, "max_count": 0}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (listing(), ["attach_deliverable"]),
        (listing(status=Status.PUBLISHED, published_at=NOW), ["attach_deliverable"]),
        (listing(deliverables=["del_1"]), ["publish_listing"]),
        (listing(content_type="generated"), ["publish_listing"]),
        (listing(content_type="webhook", status=Status.ARCHIVED), ["publish_listing"]),
        (listing(content_type="generated", status=Status.PUBLISHED), []),
        (listing(content_type="generated", status=Status.PUBLISHED, stock=0), ["restock"]),
        (listing(content_type="generated", stock=0), ["publish_listing", "restock"]),
        (listing(content_type="dynamic"), ["set_dynamic_webhook"]),
    ],
)
def test_readiness_names_what_is_to_be_done_first(one: Listing, expected: list[str]) -> None:
    assert codes(one) == expected
    ready = rules.readiness(one)
    assert ready.sellable is (not expected)
    assert ready.next == (ready.actions[0] if expected else None)


@pytest.mark.parametrize("status", [Status.PUBLISHED, Status.ARCHIVED])
def test_only_a_draft_lets_its_deliverables_change(status: Status) -> None:
    rules.require_draft(LISTING)
    with pytest.raises(NotInDraft) as caught:
        rules.require_draft(listing(status=status))
    assert caught.value.members == {"current_status": status, "required_status": "draft"}


@pytest.mark.parametrize(
    ("item", "loc"),
    [
        (DeliverableIn(), ["deliverables", 0, "type"]),
        (DeliverableIn(type="pdf", value="x"), ["deliverables", 0, "type"]),
        (DeliverableIn(type="text"), ["deliverables", 0, "value"]),
        (DeliverableIn(type="text", value=""), ["deliverables", 0, "value"]),
        (DeliverableIn(type="text", value="x", token="file_1"), ["deliverables", 0, "token"]),
        (DeliverableIn(type="text", value="x" * (LONGEST_TEXT + 1)), ["deliverables", 0, "value"]),
        (DeliverableIn(type="text", value="x", format="html"), ["deliverables", 0, "format"]),
        (DeliverableIn(type="url", value="https://example.com", format="markdown"), ["deliverables", 0, "format"]),
        (DeliverableIn(type="url", value="javascript:alert(1)"), ["deliverables", 0, "value"]),
        (DeliverableIn(type="url", value="https://"), ["deliverables", 0, "value"]),
        (DeliverableIn(type="url", value="https://user:secret@example.com"), ["deliverables", 0, "value"]),
        (DeliverableIn(type="url", value="https://example.com/" + "x" * LONGEST_URL), ["deliverables", 0, "value"]),
        (DeliverableIn(type="url", value="https://example.com/" + "ä" * 700), ["deliverables", 0, "value"]),
        (DeliverableIn(type="file", value="x"), ["deliverables", 0, "token"]),
        (DeliverableIn(type="file"), ["deliverables", 0, "token"]),
        (DeliverableIn(type="file", token=""), ["deliverables", 0, "token"]),
    ],
)
def test_a_wrong_deliverable_is_refused_by_field(item: DeliverableIn, loc: list[str | int]) -> None:
    with pytest.raises(ValidationError) as caught:
        check([item])
    assert caught.value.members["errors"][0]["loc"] == loc


def test_the_faults_of_a_single_deliverable_stand_where_it_stood() -> None:
    with pytest.raises(ValidationError) as caught:
        check([DeliverableIn(type="url")], at=(), numbered=False)
    assert caught.value.param == "value"
    with pytest.raises(ValidationError) as caught:
        check([DeliverableIn(type="url")], at=("deliverable",), numbered=False)
    assert caught.value.param == "deliverable.value"


def test_a_url_is_kept_as_given_and_may_be_private_because_a_browser_opens_it() -> None:
    for url in ("http://localhost:3000/a?b=c#d", "https://Example.com/%C3%A4", "http://10.0.0.1/"):
        (content,) = check([DeliverableIn(type="url", value=url)])
        assert content.value == url
    (content,) = check([DeliverableIn(type="url", value="https://bücher.example/ä#ö")])
    assert content.value == "https://xn--bcher-kva.example/%C3%A4#%C3%B6"


def test_the_number_of_deliverables_is_limited() -> None:
    one = DeliverableIn(type="text", value="x")
    assert len(check([one] * 3)) == 3
    for items, least in (([one] * 4, 0), ([], 1)):
        with pytest.raises(ValidationError) as caught:
            check(items, least=least)
        assert caught.value.param == "deliverables"


@given(st.text(min_size=1))
def test_a_text_is_kept_to_the_letter(text: str) -> None:
    (content,) = check([DeliverableIn(type="text", value=text)])
    assert (content.type, content.value, content.token, content.format) == ("text", text, None, None)
