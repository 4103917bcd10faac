"""Requests made up from the OpenAPI document: what it promises is what is answered, whoever asks."""

from collections.abc import Iterator

import pytest

from access_matrix import SELLERS, Account, open_account
from conftest import NewDatabase
from fuzzing import Findings, fuzz
from threaded import ThreadedShop, threaded_shop

ENOUGH = 8
"""Examples of each operation; tests/long goes on for longer."""
MANY_EDGES = ["POST /v1/listings", "PUT /v1/listings/{listing_id}", "PATCH /v1/listings/{listing_id}"]
"""Their thirty fields have hundreds of edges each time; tests/long tries them all."""


@pytest.fixture(scope="module")
def shop(new_database: NewDatabase) -> Iterator[ThreadedShop]:
    with threaded_shop(new_database) as opened:
        yield opened


@pytest.fixture(scope="module")
def seller(shop: ThreadedShop) -> Account:
    return shop.run(lambda: open_account(shop.shop, "fuzzed"))


def judged(shop: ThreadedShop, findings: Findings) -> None:
    """Fail with everything that was found; every operation must have been asked."""
    assert not findings.complaints, "\n\n".join(f"{what}\n{shown}" for what, shown in findings.complaints.items())
    assert [line for line in shop.logged if line["event"] == "request.broke"] == []


def test_the_edges_of_every_parameter_and_field_are_answered_as_documented(shop: ThreadedShop, seller: Account) -> None:
    findings = fuzz(shop.url, seller.key, phases=["coverage"], examples=1, without=MANY_EDGES)
    judged(shop, findings)
    assert findings.statuses[422] > 100
    assert findings.operations >= {*SELLERS} - {*MANY_EDGES}


def test_whatever_the_document_allows_is_answered_as_documented(shop: ThreadedShop, seller: Account) -> None:
    findings = fuzz(shop.url, seller.key, phases=["fuzzing"], examples=ENOUGH)
    judged(shop, findings)
    assert findings.statuses[200] > 20


def test_what_one_answer_says_can_be_used_in_the_next_request(shop: ThreadedShop, seller: Account) -> None:
    findings = fuzz(shop.url, seller.key, phases=["stateful"], examples=2 * ENOUGH)
    judged(shop, findings)
    assert findings.statuses[200] > 5


def test_without_a_key_nothing_of_a_seller_is_answered(shop: ThreadedShop) -> None:
    findings = fuzz(shop.url, None, phases=["fuzzing"], examples=3)
    judged(shop, findings)
    assert findings.statuses[401] > len(SELLERS)
