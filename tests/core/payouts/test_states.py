"""The table of moves: whatever happens to a payout in whatever status, it goes where the table lets it, or stays."""

from collections.abc import Callable
from typing import Any

import pytest

from nostrbot.core.payouts.records import Payout
from nostrbot.core.payouts.states import PAYOUT_MOVES, WAITING, HeldWhy, PayoutStatus
from tests.houses import House
from tests.payouts import house_that_owes, move_on, now, outcome, prepared, sending, told, withdraw

LONG_S = 10_000  # until any invoice has expired long ago
PREIMAGE_NAMES = ("p1.1", "p1.2", "p1.3", "p1.4")


def returned(house: House) -> Payout:
    """Queued again after an attempt that failed."""
    payout = sending(house, withdraw(house))
    told(house, payout, "failed")
    return now(house, payout)


def resolving(house: House) -> Payout:
    payout = returned(house)
    move_on(house, LONG_S)
    return now(house, payout)


def in_flight(house: House) -> Payout:
    return sending(house, resolving(house))


def unknown(house: House) -> Payout:
    payout = in_flight(house)
    told(house, payout, "unknown", n=1)
    return now(house, payout)


def held(house: House) -> Payout:
    payout = in_flight(house)
    told(house, payout, "untried", n=1)
    return now(house, payout)


def settled(house: House) -> Payout:
    payout = in_flight(house)
    told(house, payout, "settled", n=1)
    return now(house, payout)


def failed(house: House) -> Payout:
    payout = returned(house)
    for n in (2, 3, 4):
        move_on(house, LONG_S)
        told(house, sending(house, payout), "failed", n=n)
    move_on(house, LONG_S)
    return now(house, payout)


def cancelled(house: House) -> Payout:
    payout = returned(house)
    house.now += LONG_S
    house.say("ana", f"cancel {payout.id}")
    return now(house, payout)


STATUSES: dict[PayoutStatus, Callable[[House], Payout]] = {
    PayoutStatus.HELD: held,
    PayoutStatus.QUEUED: returned,
    PayoutStatus.RESOLVING: resolving,
    PayoutStatus.SENDING: in_flight,
    PayoutStatus.UNKNOWN: unknown,
    PayoutStatus.SETTLED: settled,
    PayoutStatus.FAILED: failed,
    PayoutStatus.CANCELLED: cancelled,
}


def a_wallet_says(is_now: str, **changes: Any) -> Callable[[House, Payout], Any]:
    def happen(house: House, payout: Payout) -> None:
        house.take(outcome(payout, payout.attempts[-1], is_now, house.now, n=99, **changes))

    return happen


def somebody_says(text: str, *, after_s: int = 0) -> Callable[[House, Payout], Any]:
    def happen(house: House, payout: Payout) -> None:
        house.now += after_s
        house.say("operator", text)

    return happen


EVENTS: dict[str, Callable[[House, Payout], Any]] = {
    "prepared": lambda house, payout: house.take(prepared(payout, house.now)),
    "flawed": lambda house, payout: house.take(prepared(payout, house.now, amount_msat=1)),
    "paid": a_wallet_says("settled"),
    "paid, it may be": a_wallet_says("settled", fee_msat=None),
    "failed": a_wallet_says("failed"),
    "untried": a_wallet_says("untried"),
    "unknown": a_wallet_says("unknown"),
    "cancel": somebody_says("payout cancel p1"),
    "retry": somebody_says("payout retry p1"),
    "resolve settled": somebody_says("payout resolve p1 settled confirm=yes", after_s=LONG_S),
    "resolve failed": somebody_says("payout resolve p1 failed reason=gone", after_s=LONG_S),
    "time": lambda house, payout: move_on(house, LONG_S),
}

# What is not named changes no status.
EXPECTED: dict[PayoutStatus, dict[str, PayoutStatus]] = {
    PayoutStatus.HELD: {
        "paid, it may be": PayoutStatus.UNKNOWN,
        "paid": PayoutStatus.SETTLED, "cancel": PayoutStatus.CANCELLED, "time": PayoutStatus.QUEUED,
    },
    PayoutStatus.QUEUED: {
        "paid, it may be": PayoutStatus.UNKNOWN,
        "paid": PayoutStatus.SETTLED, "cancel": PayoutStatus.CANCELLED, "time": PayoutStatus.RESOLVING,
    },
    PayoutStatus.RESOLVING: {
        "prepared": PayoutStatus.SENDING, "flawed": PayoutStatus.QUEUED, "paid": PayoutStatus.SETTLED,
        "cancel": PayoutStatus.CANCELLED, "paid, it may be": PayoutStatus.UNKNOWN,
    },
    PayoutStatus.SENDING: {
        "paid, it may be": PayoutStatus.UNKNOWN,
        "paid": PayoutStatus.SETTLED, "failed": PayoutStatus.QUEUED, "untried": PayoutStatus.HELD,
        "unknown": PayoutStatus.UNKNOWN,
    },
    PayoutStatus.UNKNOWN: {
        "paid": PayoutStatus.SETTLED, "failed": PayoutStatus.QUEUED, "untried": PayoutStatus.QUEUED,
        "resolve settled": PayoutStatus.SETTLED, "resolve failed": PayoutStatus.QUEUED,
    },
    PayoutStatus.SETTLED: {},
    PayoutStatus.FAILED: {"retry": PayoutStatus.QUEUED},
    PayoutStatus.CANCELLED: {},
}  # fmt: skip


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("status", PayoutStatus)
def test_every_status_meets_every_event(status: PayoutStatus, event: str) -> None:
    """It goes where it is expected to, which is a move of the table; the books hold."""
    house = house_that_owes()
    payout = STATUSES[status](house)
    assert payout.status is status
    EVENTS[event](house, payout)
    after = now(house, payout).status
    assert after is EXPECTED[status].get(event, status)
    assert after is status or after in PAYOUT_MOVES[status]
    house.ledger()


def test_only_what_waits_is_cancelled_and_what_is_over_stays_over() -> None:
    """The table's own promises."""
    assert {status for status in PayoutStatus if PayoutStatus.CANCELLED in PAYOUT_MOVES[status]} == WAITING
    assert not PAYOUT_MOVES[PayoutStatus.SETTLED] | PAYOUT_MOVES[PayoutStatus.CANCELLED]
    senders = {status for status in PayoutStatus if PayoutStatus.SENDING in PAYOUT_MOVES[status]}
    assert senders == {PayoutStatus.RESOLVING}
    assert PAYOUT_MOVES.keys() == {None, *PayoutStatus}


def test_an_attempt_that_fails_returns_three_times_and_then_no_more() -> None:
    """After at least 1, 10 and 60 minutes, and not before the invoice of before has expired."""
    house = house_that_owes()
    payout, waited = withdraw(house), []
    for n in range(1, 5):
        payout = sending(house, payout)
        told(house, payout, "failed", n=n, is_confirmed=True)
        waited.append(now(house, payout).next_at - house.now)
        house.now += LONG_S
    assert (now(house, payout).status, waited[:3]) == (PayoutStatus.FAILED, [60, 600, 3_600])


def test_a_failure_that_nobody_confirmed_waits_for_the_expiry() -> None:
    """A failed invoice can still be paid until it has expired: no other one exists beside it."""
    house = house_that_owes()
    payout = sending(house, withdraw(house))
    expires_at = payout.attempts[0].expires_at
    told(house, payout, "failed")
    assert now(house, payout).next_at == expires_at + 60


def test_a_wallet_that_never_tries_uses_up_no_attempt_but_not_for_ever() -> None:
    """Held, asked again after ten minutes, and failed after ten refusals."""
    house = house_that_owes()
    payout = withdraw(house)
    for n in range(1, 11):
        payout = sending(house, payout)
        told(house, payout, "untried", n=n)
        payout = now(house, payout)
        if n < 10:
            assert (payout.status, payout.why, payout.returned) == (PayoutStatus.HELD, HeldWhy.WALLET_REFUSES, 0)
            house.tick(house.now + 600)
            assert now(house, payout).status is PayoutStatus.QUEUED
    assert payout.status is PayoutStatus.FAILED
