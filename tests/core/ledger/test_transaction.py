"""Postings and transactions: unbalanced ones do not exist."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.ledger.transaction import Transaction
from nostrbot.errors import BooksError


def test_an_unbalanced_transaction_cannot_be_constructed() -> None:
    """Ledger rules hold at birth: there is no unbalanced value to check for later."""
    with pytest.raises(BooksError, match=r"unbalanced: debits and credits differ by \{'sat': -1\}"):
        Transaction((("assets:sats", "sat", 99), ("equity:operator", "sat", -100)))


def test_units_balance_apart() -> None:
    """A surplus of cash does not cover a lack of sats."""
    with pytest.raises(BooksError, match="'sat': 5, 'GTQ': -5"):
        Transaction((("assets:sats", "sat", 5), ("equity:operator", "GTQ", -5)))


def test_a_transaction_never_changes() -> None:
    """The book is written in ink."""
    booked = Transaction((("assets:sats", "sat", 5), ("equity:operator", "sat", -5)))
    with pytest.raises(AttributeError):
        booked.postings = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        booked.postings[0].amount = 6  # type: ignore[misc]


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["sat", "GTQ"]), st.integers(-5, 5))))
@settings(max_examples=100, deadline=None)
def test_it_exists_exactly_when_every_unit_sums_to_zero(rows: list[tuple[str, str, int]]) -> None:
    """No more and no less is asked of a transaction."""
    postings = tuple(rows)
    balanced = all(sum(amount for _, unit, amount in rows if unit == each) == 0 for each in ("sat", "GTQ"))
    if balanced:
        assert Transaction(postings).postings == postings
    else:
        with pytest.raises(BooksError):
            Transaction(postings)
