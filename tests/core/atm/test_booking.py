"""Booking: which accounts a fact moves. Every transaction balances; most facts move no money."""

import pytest

from nostrbot.core.atm.booking import book_fact
from nostrbot.core.ledger.transaction import Transaction
from tests.houses import House


def booked(transaction: Transaction | None) -> list[str]:
    assert transaction is not None
    return [f"{account} {amount} {unit}" for account, unit, amount in transaction.postings]


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    return house


def test_a_cash_out() -> None:
    """The customer's sats come in and are owed to the legs' parties; the cash is the LP's and the operator's."""
    house = House.open()
    house.add_lp("ana", "500")
    house.sell(fiat="1000.00")
    assert booked(book_fact(house.entries[-1].facts[0])) == [
        "assets:sats 53885 sat",
        "assets:cash:m1 -100000 GTQ",
        "liabilities:platform -750 sat",
        "equity:operator -3135 sat",
        "liabilities:lp:ana:sats -25000 sat",
        "liabilities:lp:ana:cash:m1 50000 GTQ",
        "equity:operator -25000 sat",
        "equity:operator 50000 GTQ",
    ]


def test_a_cash_in(house: House) -> None:
    """The operator sells: cash in, sats out, and the fee is what it keeps and shares."""
    house.sell(tx_type="cash_in", fiat="1000.00")
    assert booked(book_fact(house.entries[-1].facts[0])) == [
        "assets:sats -47000 sat",
        "equity:operator 50000 sat",
        "assets:cash:m1 100000 GTQ",
        "equity:operator -100000 GTQ",
        "liabilities:platform -500 sat",
        "equity:operator -2500 sat",
    ]


def test_a_deposit_is_booked_when_it_is_confirmed_and_when_it_is_reversed(house: House) -> None:
    """Cash that is only announced is nowhere; a reversal is a booking of its own, never an erasure."""
    assert book_fact(house.say("operator", "deposit add ana 100 machine=m1")) is None  # type: ignore[arg-type]
    assert booked(book_fact(house.say("operator", "deposit confirm d2"))) == [  # type: ignore[arg-type]
        "assets:cash:m1 10000 GTQ",
        "liabilities:lp:ana:cash:m1 -10000 GTQ",
    ]
    partly = house.say("operator", 'deposit reverse d2 amount=30 reason="torn notes"')
    assert booked(book_fact(partly)) == [  # type: ignore[arg-type]
        "assets:cash:m1 -3000 GTQ",
        "liabilities:lp:ana:cash:m1 3000 GTQ",
    ]


def test_nothing_else_moves_money(house: House) -> None:
    """Registry, preferences, splits, fees, rejected and pending settlements."""
    house.say("operator", "splits set a=100%:self")
    house.say("operator", "machine set m1 trust=wallet")
    house.say("operator", "lp suspend ana")
    house.sell()
    house.sell(wire_sats=1)
    moved = [fact.name for entry in house.entries for fact in entry.facts if book_fact(fact) is not None]
    assert moved == ["deposit_changed"]
