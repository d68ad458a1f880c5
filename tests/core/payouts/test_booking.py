"""Booking of payouts: what is held is still owed, leaves once, and what is left of it returns."""

import pytest

from nostrbot.core.payouts.facts import PaymentLate, PayoutSettled
from nostrbot.core.payouts.states import PayoutStatus
from nostrbot.core.proofs.liabilities import liabilities_of
from tests.payouts import house_that_owes, move_on, now, sats_of, sending, told, withdraw

FREE, HELD = "liabilities:lp:ana:sats", "liabilities:lp:ana:held"


def test_a_request_holds_the_sats_and_the_fee_cap() -> None:
    """10,000 sats cost at most 5 + 50; they are still the LP's in what a checkpoint signs, and not free."""
    house = house_that_owes()
    owed = liabilities_of(house.book)
    withdraw(house, 10_000)
    assert sats_of(house, FREE, HELD) == [259_945, 10_055]
    assert liabilities_of(house.book) == owed
    assert (house.book.sats_owed("ana"), house.book.held_sats("ana")) == (259_945, 10_055)


def test_what_is_settled_leaves_with_its_real_fee() -> None:
    """1.5 sats of fee are two; the other 53 of the cap return."""
    house = house_that_owes()
    before = house.ledger()["assets:sats sat"]
    payout = sending(house, withdraw(house, 10_000))
    fact = told(house, payout, "settled")
    assert isinstance(fact, PayoutSettled)
    assert (fact.fee_sats, fact.over_sats) == (2, 0)
    assert sats_of(house, FREE, HELD) == [259_998, 0]
    assert house.ledger()["assets:sats sat"] == before - 10_002


def test_a_fee_above_the_cap_is_the_operator_s() -> None:
    """The LP pays what it agreed to; an incredible fee waits for a person."""
    house = house_that_owes()
    own = house.book.own_sats()
    payout = sending(house, withdraw(house, 10_000))
    fact = told(house, payout, "settled", fee_msat=60_001)
    assert isinstance(fact, PayoutSettled)
    assert (fact.fee_sats, fact.over_sats) == (55, 6)
    assert (house.book.own_sats(), sats_of(house, FREE, HELD)) == (own - 6, [259_945, 0])


@pytest.mark.parametrize(
    ("who", "free", "held"),
    [("operator", "equity:operator", "equity:operator:held"),
     ("platform", "liabilities:platform", "liabilities:platform:held")],
)  # fmt: skip
def test_the_operator_and_the_platform_withdraw_alike(who: str, free: str, held: str) -> None:
    """From their own accounts."""
    house = house_that_owes()
    [before] = sats_of(house, free)
    payout = withdraw(house, 1_000, who)
    assert sats_of(house, free, held) == [before - 1_010, 1_010]
    house.say("operator", f"payout cancel {payout.id}")
    assert sats_of(house, free, held) == [before, 0]


def test_a_cancelled_payout_returns_all_of_it() -> None:
    """And nothing of it is ever sent."""
    house = house_that_owes()
    payout = withdraw(house, 10_000)
    house.say("ana", f"cancel {payout.id}")
    assert now(house, payout).status is PayoutStatus.CANCELLED
    assert sats_of(house, FREE, HELD) == [270_000, 0]


def test_what_is_paid_after_it_had_failed_is_the_operator_s_loss() -> None:
    """The LP had its sats back: they are not taken a second time."""
    house = house_that_owes()
    own, payout = house.book.own_sats(), withdraw(house, 10_000)
    for _ in range(4):
        payout = sending(house, payout)
        told(house, payout, "failed")
        move_on(house, 4_000)
    assert (now(house, payout).status, sats_of(house, FREE, HELD)) == (PayoutStatus.FAILED, [270_000, 0])
    late = told(house, payout, "settled", attempt=2, n=2, preimage=None)
    assert isinstance(late, PaymentLate)
    assert (house.book.own_sats(), sats_of(house, FREE, HELD)) == (own - 10_002, [270_000, 0])
    assert told(house, payout, "settled", attempt=2, n=3) is None
    assert house.book.own_sats() == own - 10_002
