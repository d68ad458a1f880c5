"""Observations of payouts: read strictly, checked against what was asked, and each outcome has its effect once."""

from typing import Any

import pytest

from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.engine import decide
from nostrbot.core.inputs import Observed
from nostrbot.core.payouts.facts import (
    AttemptFailed,
    OutcomeContradicted,
    PaymentLate,
    PayoutHeld,
    PayoutSettled,
    PayoutUnknown,
)
from nostrbot.core.payouts.observations import is_outcome_proven
from nostrbot.core.payouts.states import AttemptStatus, HeldWhy, PayoutStatus
from nostrbot.core.rules import RULES
from nostrbot.refusals import Reason, Refusal
from tests.houses import House
from tests.payouts import (
    hash_of,
    house_that_owes,
    move_on,
    now,
    outcome,
    preimage_of,
    prepared,
    sats_of,
    sending,
    told,
    withdraw,
)


@pytest.fixture
def house() -> House:
    return house_that_owes()


def asking(house: House) -> Any:
    """A payout whose destination is being asked."""
    payout = withdraw(house)
    move_on(house)
    return now(house, payout)


# --- an instrument ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"amount_msat": 10_000_001}, "invoice_amount"),
        ({"amount_msat": 0}, "invoice_amount"),
        ({"network": "bcrt"}, "wrong_network"),
        ({"network": "tb"}, "wrong_network"),
        ({"payment_hash": hash_of("another")}, "bad_destination"),
        ({"instrument": "", "why": "the address answers nothing"}, "the address answers nothing"),
        ({"expires_at": 0}, "invoice_expired"),
    ],
)
def test_an_invoice_that_is_not_what_was_asked_for_is_never_sent(
    house: House, changes: dict[str, Any], flaw: str
) -> None:
    """It is an attempt that failed, and says why."""
    payout = asking(house)
    fact = house.take(prepared(payout, house.now, **changes))
    assert isinstance(fact, AttemptFailed)
    [attempt] = fact.payout.attempts
    assert (attempt.status, attempt.why, fact.payout.status) == (AttemptStatus.REFUSED, flaw, PayoutStatus.QUEUED)


def test_an_invoice_must_live_a_minute_by_either_clock(house: House) -> None:
    """Whichever of the times of the look and of the entry is later."""
    payout = asking(house)
    given = prepared(payout, house.now, expires_at=house.now + 60)
    ahead = given._replace(at=house.now + 1)
    assert isinstance(decide(house.book, ahead, house.now, RULES).facts[0], AttemptFailed)
    assert isinstance(decide(house.book, given, house.now + 1, RULES).facts[0], AttemptFailed)
    assert decide(house.book, given, house.now, RULES).facts[0].name == "attempt_prepared"


def test_no_invoice_is_used_twice(house: House) -> None:
    """Not by another payout, and not by the same."""
    first = sending(house, withdraw(house))
    second = asking(house)
    fact = house.take(prepared(second, house.now, name=f"{first.id}.1"))
    assert isinstance(fact, AttemptFailed)
    assert fact.payout.attempts[0].why == "hash_used"


def test_what_comes_for_a_payout_that_was_cancelled_changes_nothing(house: House) -> None:
    """And closes no book: a person may cancel while the bot asks."""
    payout = asking(house)
    given = prepared(payout, house.now)
    house.say("ana", f"cancel {payout.id}")
    decision = decide(house.book, given, house.now, RULES)
    assert (decision.facts, decision.instead) == ((), None)


def test_while_payouts_are_paused_nothing_is_sent(house: House) -> None:
    """What was being asked is held, and goes on with `payout resume`."""
    payout = asking(house)
    house.say("operator", "payout pause")
    fact = house.take(prepared(payout, house.now))
    assert isinstance(fact, PayoutHeld)
    assert fact.payout.why is HeldWhy.PAUSED
    assert withdraw(house).why is HeldWhy.PAUSED
    move_on(house, 10_000)
    assert now(house, payout).status is PayoutStatus.HELD
    house.say("operator", "payout resume")
    assert now(house, payout).status is PayoutStatus.QUEUED


def test_sats_that_are_frozen_later_are_not_sent(house: House) -> None:
    """All that is there of an LP may be a thief's sale: what waits is held until the operator has looked."""
    payout, another = withdraw(house, 100_000), withdraw(house, 100_000)
    move_on(house)
    house.say("operator", "machine compromised m1 since=0")
    fact = house.take(prepared(now(house, payout), house.now))
    assert isinstance(fact, PayoutHeld)
    assert fact.payout.why is HeldWhy.FROZEN
    move_on(house)
    assert now(house, another).why is HeldWhy.FROZEN
    for number in (1, 2, 3):
        house.say("operator", f"settlement release s{number}")
    move_on(house)
    assert now(house, payout).status is PayoutStatus.QUEUED


# --- what became of it ------------------------------------------------------------------------------------------------


def test_a_preimage_that_fits_proves_a_payment(house: House) -> None:
    """With the amount that was asked for; a wallet's word alone settles and is not proven."""
    payout = sending(house, withdraw(house))
    attempt = payout.attempts[0]
    proven = outcome(payout, attempt, "settled", house.now)
    assert is_outcome_proven(proven)
    assert not is_outcome_proven(outcome(payout, attempt, "settled", house.now, preimage=None))
    assert not is_outcome_proven(outcome(payout, attempt, "settled", house.now, preimage=preimage_of("x")))
    assert not is_outcome_proven(outcome(payout, attempt, "settled", house.now, amount_msat=1))
    assert not is_outcome_proven(outcome(payout, attempt, "failed", house.now, preimage=preimage_of("p1.1")))
    on_word = told(house, payout, "settled", preimage=None)
    assert isinstance(on_word, PayoutSettled)
    assert on_word.payout.attempts[0].preimage is None


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"amount_msat": 9_999_000}, "amount_differs"),
        ({"preimage": preimage_of("another")}, "preimage_differs"),
        ({"fee_msat": None}, "fee_unknown"),
        ({"fee_msat": 10**12}, "fee_unbelievable"),
    ],
)
def test_a_payment_that_does_not_fit_waits_for_a_look_up(house: House, changes: dict[str, Any], doubt: str) -> None:
    """Nothing returns and nothing is charged; the true outcome still settles it."""
    payout = sending(house, withdraw(house))
    fact = told(house, payout, "settled", **changes)
    assert isinstance(fact, PayoutUnknown)
    assert fact.payout.attempts[0].why == doubt
    assert told(house, payout, "settled", n=2, **changes) is None
    assert isinstance(told(house, payout, "settled", n=3), PayoutSettled)


def test_the_same_outcome_again_has_no_second_effect(house: House) -> None:
    """By its key it is a duplicate; under another number it says what is known."""
    payout = sending(house, withdraw(house))
    told(house, payout, "settled")
    before = house.chain.head
    for n in (1, 2, 3):
        again = told(house, payout, "settled", n=n)
        assert again is None or (isinstance(again, Refusal) and again.reason is Reason.DUPLICATE)
    assert house.chain.head == before


def test_a_settled_payment_that_is_called_failed_stays_settled(house: House) -> None:
    """It is noted, so that somebody looks."""
    payout = sending(house, withdraw(house))
    told(house, payout, "settled")
    ledger = house.ledger()
    assert isinstance(told(house, payout, "failed", n=2), OutcomeContradicted)
    assert house.ledger() == ledger
    assert now(house, payout).status is PayoutStatus.SETTLED


def test_a_failed_attempt_that_was_paid_settles_what_waits(house: House) -> None:
    """The LP's sats have left: they are not sent again."""
    payout = sending(house, withdraw(house))
    told(house, payout, "failed")
    fact = told(house, payout, "settled", n=2)
    assert isinstance(fact, PayoutSettled)
    assert (fact.attempt, sats_of(house, "liabilities:lp:ana:sats", "liabilities:lp:ana:held")) == (1, [259_998, 0])


def test_the_first_payment_settles_and_the_operator_pays_for_a_second(house: House) -> None:
    """The wallet called the first failed, so a second left; then both were paid."""
    payout = sending(house, withdraw(house))
    told(house, payout, "failed")
    move_on(house, 10_000)
    payout = sending(house, payout)
    own = house.book.own_sats()
    assert isinstance(told(house, payout, "settled", attempt=1, n=2), PayoutSettled)
    assert now(house, payout).open_attempt is not None
    late = told(house, payout, "settled", attempt=2, n=1)
    assert isinstance(late, PaymentLate)
    assert house.book.own_sats() == own - 10_002
    assert sats_of(house, "liabilities:lp:ana:sats", "liabilities:lp:ana:held") == [259_998, 0]
    assert now(house, payout).open_attempt is None


def test_an_open_attempt_of_a_settled_payout_may_fail(house: House) -> None:
    """Then that is all."""
    payout = sending(house, withdraw(house))
    told(house, payout, "failed")
    move_on(house, 10_000)
    payout = sending(house, payout)
    told(house, payout, "settled", attempt=1, n=2)
    ledger = house.ledger()
    assert isinstance(told(house, payout, "unknown", attempt=2, n=1), PayoutUnknown)
    assert isinstance(told(house, payout, "failed", attempt=2, n=1), AttemptFailed)
    assert (house.ledger(), now(house, payout).status) == (ledger, PayoutStatus.SETTLED)
    assert payout.number in house.book.payouts.closed


DOUBTFUL: dict[str, Any] = {"fee_msat": None}


def test_a_failed_attempt_that_may_have_been_paid_is_not_sent_again(house: House) -> None:
    """The wallet says settled, and not what it took: the sats may have left, so nobody sends them twice."""
    payout = sending(house, withdraw(house))
    told(house, payout, "failed", is_confirmed=True)
    fact = told(house, payout, "settled", n=2, **DOUBTFUL)
    assert isinstance(fact, PayoutUnknown)
    assert fact.payout.attempts[0].why == "fee_unknown"
    move_on(house, 10_000)
    assert now(house, payout).status is PayoutStatus.UNKNOWN
    assert isinstance(told(house, payout, "settled", n=3), PayoutSettled)
    assert sats_of(house, "liabilities:lp:ana:sats", "liabilities:lp:ana:held") == [259_998, 0]


def test_what_may_have_left_and_is_called_untried_waits_like_a_failure(house: House) -> None:
    """A wallet that was out of reach may pay late what it does not know of yet: no other invoice is paid beside it."""
    payout = sending(house, withdraw(house))
    told(house, payout, "unknown")
    fact = told(house, payout, "untried")
    assert isinstance(fact, AttemptFailed)
    assert (fact.payout.status, fact.payout.next_at) == (PayoutStatus.QUEUED, payout.attempts[0].expires_at + 60)


def test_a_doubtful_payment_of_a_payout_that_is_over_waits_for_a_person(house: House) -> None:
    """It is not tried again meanwhile, and once a person knows, the operator pays."""
    payout = withdraw(house)
    for n in range(1, 5):
        told(house, sending(house, payout), "failed", n=n)
        move_on(house, 10_000)
    assert now(house, payout).status is PayoutStatus.FAILED
    assert isinstance(told(house, payout, "settled", attempt=2, n=9, **DOUBTFUL), PayoutUnknown)
    retried = house.say("operator", "payout retry p1")
    assert isinstance(retried, CommandRefused)
    own = house.book.own_sats()
    assert isinstance(house.say("operator", "payout resolve p1 settled confirm=yes"), PaymentLate)
    assert house.book.own_sats() == own - 10_000
    assert sats_of(house, "liabilities:lp:ana:sats", "liabilities:lp:ana:held") == [270_000, 0]


def test_a_doubtful_payment_beside_one_that_may_be_paid_is_noted(house: House) -> None:
    """There is at most one open attempt; an entry says so, and somebody looks."""
    payout = sending(house, withdraw(house))
    told(house, payout, "failed")
    move_on(house, 10_000)
    sending(house, payout)
    assert isinstance(told(house, payout, "settled", attempt=1, n=2, **DOUBTFUL), OutcomeContradicted)
    assert now(house, payout).status is PayoutStatus.SENDING


# --- what cannot be decided -------------------------------------------------------------------------------------------


def spoilt(given: Observed, name: str, value: Any) -> Observed:
    return given._replace(seen={**given.seen, name: value})


def refused(house: House, given: Observed) -> bool:
    decision = decide(house.book, given, house.now, RULES)
    return not decision.facts and isinstance(decision.instead, Refusal) and decision.instead.reason is Reason.INVALID


ODD: tuple[Any, ...] = (None, True, 1.5, -1, 2**63, "", "x" * 9_000, "ff", [], {}, "é" * 64, "\ud800")
MAY_BE = {
    "fee_msat": (None,),
    "preimage": (None,),
    "is_confirmed": (True,),
    "why": ("", "ff", "é" * 64),
    "network": ("", "ff"),
    "instrument": ("ff", "é" * 64),
}


@pytest.mark.parametrize("saw", ["attempt_prepared", "payment_outcome"])
def test_what_is_malformed_is_refused_and_never_raises(house: House, saw: str) -> None:
    """Each field missing, too many, of another type or length, and another key than its own."""
    payout = asking(house)
    given = prepared(payout, house.now)
    if saw == "payment_outcome":
        payout = sending(house, withdraw(house))
        given = outcome(payout, payout.attempts[0], "settled", house.now)
    for name in given.seen:
        assert refused(house, given._replace(seen={key: given.seen[key] for key in given.seen if key != name}))
        for value in ODD:
            one = spoilt(given, name, value)
            if repr(value) in map(repr, MAY_BE.get(name, ())):
                decide(house.book, one, house.now, RULES)
            else:
                assert refused(house, one), (name, value)
    assert refused(house, spoilt(given, "more", 1))
    assert refused(house, given._replace(key="p1.1:another"))
    assert refused(house, given._replace(at=2**63))


def test_what_names_no_payout_or_another_payment_is_refused(house: House) -> None:
    """No honest rail could have seen it: the book is closed, and a person looks."""
    payout = sending(house, withdraw(house))
    attempt = payout.attempts[0]
    assert refused(house, spoilt(prepared(payout, house.now), "payout", 9)._replace(key="p9.2:prepared"))
    given = outcome(payout, attempt, "settled", house.now)
    assert refused(house, spoilt(given, "attempt_id", hash_of("another")))
    assert refused(house, spoilt(given, "asked_sats", 9_999))
    assert refused(house, spoilt(given, "attempt", 2)._replace(key="p1.2:settled:1"))
    assert refused(house, spoilt(given, "attempt", 0)._replace(key="p1.0:settled:1"))


def test_what_was_never_to_be_sent_has_no_outcome(house: House) -> None:
    """A rail that pays what no entry let it pay is broken."""
    payout = asking(house)
    house.take(prepared(payout, house.now, network="tb"))
    payout = now(house, payout)
    assert refused(house, outcome(payout, payout.attempts[0], "settled", house.now))
