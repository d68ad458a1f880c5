"""Sales that a machine reports and no book holds: noted, bounded, and gone again (faults.md rows A20, F3)."""

import json
from typing import Any

import pytest
from hypothesis import given as example
from hypothesis import strategies as st

from nostrbot.core.atm.payloads.sale import read_settlement
from nostrbot.core.atm.unread import (
    SILENCED_KEPT,
    UNREAD_KEPT,
    UnreadSale,
    read_unread,
    unread_sale,
    with_one_more,
    without_event,
    without_sale,
)
from nostrbot.refusals import Refusal
from tests.houses import DAWN, payment_hash, report, sale


def unread(**changes: Any) -> UnreadSale:
    given = report("m1", sale() | changes, at=DAWN)
    refused = read_settlement(given.text)
    assert isinstance(refused, Refusal)
    return unread_sale(given, refused, DAWN)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bills": [{"denomination": 0.5, "count": 4}]}, "bills.0.denomination"),
        ({"bills": [{"denomination": "half", "count": 4}]}, "bills.denomination"),
        ({"fiat_amount": "2000.001"}, "fiat_amount"),
        ({"wire_sats": "107770"}, "wire_sats"),
        ({"txid": 5}, "txid"),
        ({"exchange_rate": 0.2}, "exchange_rate"),
    ],
)
def test_f3_the_field_is_named_and_the_sale_is_known_by_its_payment_hash(changes: dict[str, Any], field: str) -> None:
    """Its operator must be able to find it in the machine."""
    noted = unread(**changes)
    assert (noted.field, noted.payment_hash, noted.at) == (field, payment_hash("b0c2"), DAWN)


def test_f3_what_cannot_even_be_parsed_is_all_of_it() -> None:
    """No field, no hash."""
    given = report("m1", sale(), at=DAWN)._replace(plaintext="{")
    refused = read_settlement(given.text)
    assert isinstance(refused, Refusal)
    assert unread_sale(given, refused, DAWN)[2:] == ("content", "content is not JSON", None)


def noted(n: int, field: str = "txid", hash_: str | None = None) -> UnreadSale:
    return UnreadSale(n, f"{n:064x}", field, "why", hash_)


def test_a_sale_that_is_reported_again_is_one_sale() -> None:
    """By its event, or by its payment hash in a fresh event: machines repeat themselves."""
    known = with_one_more((), noted(1, hash_="aa" * 32))
    assert with_one_more(known, noted(1, hash_="aa" * 32)) == known
    assert with_one_more(known, noted(2, hash_="aa" * 32)) == (noted(2, hash_="aa" * 32),)
    assert len(with_one_more(known, noted(3))) == 2


def test_a_thief_of_an_old_key_crowds_out_no_true_sale() -> None:
    """Each kind has room of its own."""
    known: tuple[UnreadSale, ...] = (noted(0),)
    for n in range(1, 1_000):
        known = with_one_more(known, noted(n, "signer"))
    assert known[0] == noted(0)
    assert len(known) == 1 + SILENCED_KEPT


@example(
    st.lists(
        st.tuples(st.sampled_from(["signer", "txid"]), st.sampled_from([None, "aa" * 32, "bb" * 32])), max_size=300
    )
)
def test_the_list_is_bounded_in_order_and_survives_a_restart(reports: list[tuple[str, str | None]]) -> None:
    known: tuple[UnreadSale, ...] = ()
    for n, (field, hash_) in enumerate(reports):
        known = with_one_more(known, noted(n, field, hash_))
        assert known[-1].at == n
    assert len(known) <= UNREAD_KEPT + SILENCED_KEPT
    assert sorted(known) == list(known)
    assert read_unread(json.loads(json.dumps([[*one] for one in known]))) == known
    assert all(one.payment_hash != "aa" * 32 for one in without_sale(known, "aa" * 32))
    assert without_event(known, "no such") == known
