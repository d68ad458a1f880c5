"""Balances: the ledger folded from transactions."""

import pytest

from nostrbot.core.ledger.balances import Balances
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.errors import BooksError

CASH, ANA = "assets:cash:m1", "liabilities:lp:ana:cash:m1"


def moved(debit: str, credit: str, amount: int, unit: str = "GTQ") -> Transaction:
    return Transaction(((debit, unit, amount), (credit, unit, -amount)))


def test_balances_are_the_sums_of_postings() -> None:
    """Debits are positive; what was never touched is zero."""
    balances = Balances()
    balances.apply(moved(CASH, ANA, 900_000))
    balances.apply(moved(ANA, CASH, 180_000))
    assert balances.of(CASH, "GTQ") == 720_000
    assert balances.of(ANA, "GTQ") == -720_000
    assert balances.of(CASH, "sat") == 0
    assert balances.trial() == {"GTQ": 0}


def test_an_lp_cannot_be_overdrawn() -> None:
    """An LP never owes us: to the last centavo and not one further (acceptance X4)."""
    balances = Balances()
    balances.apply(moved(CASH, ANA, 100))
    balances.apply(moved(ANA, CASH, 100))
    with pytest.raises(BooksError, match="liabilities:lp:ana:cash:m1 would be overdrawn by 1 GTQ"):
        balances.apply(moved(ANA, CASH, 1))


def test_a_transaction_is_applied_whole_or_not_at_all() -> None:
    """A refused transaction leaves every account as it was, also those it had not reached."""
    balances = Balances()
    balances.apply(moved(CASH, ANA, 100))
    before = dict(balances.items())
    too_much = Transaction((("equity:operator", "GTQ", -50), (CASH, "GTQ", -51), (ANA, "GTQ", 101)))
    with pytest.raises(BooksError):
        balances.apply(too_much)
    assert dict(balances.items()) == before


def test_what_counts_is_the_balance_after_the_whole_transaction() -> None:
    """Two postings to one account are judged together: order within a transaction means nothing."""
    balances = Balances()
    balances.apply(Transaction(((ANA, "GTQ", 70), (ANA, "GTQ", -100), (CASH, "GTQ", 30))))
    assert balances.of(ANA, "GTQ") == -30


def test_the_operator_may_be_on_either_side() -> None:
    """Its own cash can be short: cash-in sold from its own sats, a machine filled by hand."""
    balances = Balances()
    balances.apply(moved("equity:operator", CASH, 500))
    assert balances.of("equity:operator", "GTQ") == 500
