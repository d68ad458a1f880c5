"""Due payouts: the queue takes its turn by the clock, and nothing else does."""

import pytest

from nostrbot.core.inputs import ClockSet
from nostrbot.core.payouts import due
from nostrbot.core.payouts.states import PayoutStatus
from tests.payouts import house_that_owes, move_on, now, sending, told, withdraw


def test_what_is_queued_has_its_turn_with_the_next_tick() -> None:
    """All that wait together, in one entry."""
    house = house_that_owes()
    first, second = withdraw(house), withdraw(house)
    facts = house.tick(house.now + 1)
    assert [fact.name for fact in facts] == ["payout_resolving"] * 2
    assert house.tick(house.now + 1) == ()
    assert {now(house, one).status for one in (first, second)} == {PayoutStatus.RESOLVING}


def test_one_entry_takes_so_many_and_the_next_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """No entry grows without bound."""
    monkeypatch.setattr(due, "DUE_MAX", 2)
    house = house_that_owes()
    for _ in range(3):
        withdraw(house, 1)
    assert [len(house.tick(house.now + 1)) for _ in range(3)] == [2, 1, 0]


def test_a_clock_that_is_set_right_lets_the_queue_go_on_and_no_invoice_live_beside_another() -> None:
    """What was noted ahead is due now; but an invoice that failed can be paid until its own expiry."""
    house = house_that_owes()
    confirmed, payout = withdraw(house), withdraw(house)
    house.now += 40 * 86_400
    for one in (confirmed, payout):
        told(house, sending(house, one, expires_at=house.now + 100), "failed")
    ahead = now(house, payout).next_at
    house.take(ClockSet(house.chain.at, house.chain.at - 40 * 86_400))
    house.now = house.chain.at + 1
    assert now(house, payout).next_at == ahead
    later = withdraw(house)
    move_on(house)
    assert now(house, later).status is PayoutStatus.RESOLVING
    assert now(house, payout).status is PayoutStatus.QUEUED
