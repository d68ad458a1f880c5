"""Requests: who may ask for which sats, and what people decide about a payout."""

import pytest

from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.payouts import requests
from nostrbot.core.payouts.commands import REQUEST_SPECS
from nostrbot.core.payouts.desk import PAYOUTS
from nostrbot.core.payouts.facts import AttemptFailed, PaymentLate, PayoutCancelled, PayoutSettled
from nostrbot.core.payouts.requests import REQUEST_DECIDERS
from nostrbot.core.payouts.states import PayoutStatus
from nostrbot.core.table import TABLE
from tests.houses import House, Outcome
from tests.payouts import (
    house_that_owes,
    move_on,
    now,
    preimage_of,
    sats_of,
    sending,
    told,
    withdraw,
)

TO = "ana@wallet.example.com"


@pytest.fixture
def house() -> House:
    return house_that_owes()


def code(outcome: Outcome) -> Code:
    assert isinstance(outcome, CommandRefused), outcome
    return outcome.code


def test_every_row_has_its_decider() -> None:
    """So that what a rail will lay into the tables is whole."""
    assert {spec.verb for spec in REQUEST_SPECS} == set(REQUEST_DECIDERS)


def test_nobody_can_ask_for_a_payout_yet() -> None:
    """No rail could pay it: no desk has these rows, and help names none; only these tests lay them in."""
    assert not {spec.verb for spec in TABLE} & set(REQUEST_DECIDERS)
    assert (PAYOUTS.specs, PAYOUTS.deciders) == ((), {})


def test_all_is_the_most_for_which_the_fee_is_covered(house: House) -> None:
    """One sat more would not be."""
    payout = withdraw(house, "all")
    assert (payout.sats, payout.fee_cap_sats) == (268_651, 1_349)
    house.say("ana", "cancel p1")
    assert code(house.say("ana", f"withdraw 268652 {TO}")) is Code.NOT_ENOUGH_SATS
    assert withdraw(house, 268_651).held_sats == 270_000


def test_held_sats_cannot_be_asked_for_again(house: House) -> None:
    """Two requests at once never reach below zero."""
    withdraw(house, 200_000)
    refused = house.say("ana", f"withdraw 200000 {TO}")
    assert code(refused) is Code.NOT_ENOUGH_SATS
    assert "at most 68646" in refused.message  # type: ignore[union-attr]


def test_frozen_sats_cannot_be_asked_for(house: House) -> None:
    """The message names them."""
    house.say("operator", "machine compromised m1 since=0")
    refused = house.say("ana", f"withdraw 1 {TO}")
    assert code(refused) is Code.NOT_ENOUGH_SATS
    assert "270000 more are frozen" in refused.message  # type: ignore[union-attr]


def test_strangers_and_machines_ask_for_nothing(house: House) -> None:
    """And nobody asks as what it is not."""
    assert code(house.say("m1", f"withdraw 1 {TO}")) is Code.NOT_ALLOWED
    assert code(house.say("stranger", f"withdraw 1 {TO}")) is Code.NOT_ALLOWED
    assert code(house.say("ana", f"withdraw 1 {TO} from=operator")) is Code.NOT_ALLOWED
    assert code(house.say("ana", "cancel p9")) is Code.NOT_FOUND
    withdraw(house, 1_000)
    assert code(house.say("ben", "cancel p1")) is Code.NOT_FOUND
    assert code(house.say("ana", "payout cancel p1")) is Code.NOT_ALLOWED


def test_a_suspended_operator_does_not_withdraw_and_its_lps_do(house: House) -> None:
    """The platform stops an operator, not those whose sats it holds."""
    house.say("platform", "operator suspend antigua")
    assert code(house.say("operator", f"withdraw 1 {TO}")) is Code.OPERATOR_SUSPENDED
    assert withdraw(house, 1).sats == 1
    assert withdraw(house, 1, "platform").sats == 1


def test_so_many_of_one_owner_are_on_their_way(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another owner is not kept from its own."""
    monkeypatch.setattr(requests, "OPEN_MAX", 2)
    withdraw(house, 1), withdraw(house, 1)
    assert code(house.say("ana", f"withdraw 1 {TO}")) is Code.TOO_MANY
    assert withdraw(house, 1, "ben").sats == 1
    house.say("ana", "cancel p1")
    assert withdraw(house, 1).sats == 1


def test_sats_are_not_free_while_a_failed_attempt_can_still_be_paid(house: House) -> None:
    """Who holds an invoice until the wallet calls it failed would else cancel, ask again, and take both."""
    payout = sending(house, withdraw(house))
    told(house, payout, "failed")
    assert code(house.say("ana", "cancel p1")) is Code.WRONG_STATUS
    house.now = now(house, payout).payable_until
    assert isinstance(house.say("ana", "cancel p1"), PayoutCancelled)


def test_the_operator_cancels_at_its_own_risk(house: House) -> None:
    """And pays if the attempt was paid all the same."""
    payout, own = sending(house, withdraw(house)), house.book.own_sats()
    told(house, payout, "failed")
    assert isinstance(house.say("operator", "payout cancel p1"), PayoutCancelled)
    assert isinstance(told(house, payout, "settled", n=2), PaymentLate)
    assert house.book.own_sats() == own - 10_002


def test_the_last_attempt_that_failed_gives_it_up_once_it_cannot_be_paid(house: House) -> None:
    """Until then its sats are held: they might leave after they were asked for again."""
    payout = withdraw(house)
    for n in range(1, 5):
        house.now += 10_000
        payout = sending(house, payout)
        told(house, payout, "failed", n=n)
    assert (now(house, payout).status, now(house, payout).next_at) == (
        PayoutStatus.QUEUED,
        now(house, payout).payable_until,
    )
    assert sats_of(house, "liabilities:lp:ana:held") == [10_055]
    house.tick(now(house, payout).payable_until - 1)
    assert now(house, payout).status is PayoutStatus.QUEUED
    house.tick(house.now + 2)
    assert now(house, payout).status is PayoutStatus.FAILED
    assert sats_of(house, "liabilities:lp:ana:held") == [0]


def test_a_failed_payout_is_held_anew_and_tried_again(house: House) -> None:
    """Once its last invoice cannot be paid any more, and while its sats are there."""
    payout = withdraw(house, 200_000)
    for n in range(1, 5):
        payout = sending(house, payout)
        told(house, payout, "failed", n=n, is_confirmed=True)
        house.now += 4_000
    house.now -= 3_990
    assert house.say("operator", "payout retry p1").payout.next_at == now(house, payout).payable_until  # type: ignore[union-attr]
    assert sats_of(house, "liabilities:lp:ana:held") == [201_005]
    house.say("operator", "payout cancel p1")
    assert code(house.say("operator", "payout retry p1")) is Code.WRONG_STATUS


def test_a_failed_payout_whose_sats_are_gone_is_not_tried_again(house: House) -> None:
    """Asked for by another payout meanwhile, or paid after all."""
    payout = withdraw(house, 200_000)
    for n in range(1, 5):
        payout = sending(house, payout)
        told(house, payout, "failed", n=n)
        move_on(house, 4_000)
    other = withdraw(house, 200_000)
    assert code(house.say("operator", "payout retry p1")) is Code.NOT_ENOUGH_SATS
    house.say("ana", f"cancel {other.id}")
    assert isinstance(told(house, payout, "settled", n=9, attempt=4), PaymentLate)
    assert code(house.say("operator", "payout retry p1")) is Code.ALREADY_PAID_OUT


def test_a_person_decides_an_hour_after_the_expiry_and_not_before(house: House) -> None:
    """With its preimage, or because the person says so; and it may be failed, with a reason."""
    payout = sending(house, withdraw(house))
    assert code(house.say("operator", "payout resolve p1 settled confirm=yes")) is Code.WRONG_STATUS
    told(house, payout, "unknown")
    assert code(house.say("operator", "payout resolve p1 settled confirm=yes")) is Code.WRONG_STATUS
    house.now = payout.attempts[0].expires_at + 3_600
    assert code(house.say("operator", "payout resolve p1 settled")) is Code.MISSING_ARGUMENT
    assert code(house.say("operator", f"payout resolve p1 settled preimage={'00' * 32}")) is Code.BAD_ARGUMENT
    assert code(house.say("operator", "payout resolve p1 failed")) is Code.MISSING_ARGUMENT
    assert isinstance(house.say("operator", f"payout resolve p1 settled preimage={preimage_of('p1.1')}"), PayoutSettled)
    another = sending(house, withdraw(house))
    told(house, another, "unknown")
    house.now = now(house, another).attempts[0].expires_at + 3_600
    assert isinstance(house.say("operator", "payout resolve p2 failed reason=gone"), AttemptFailed)
    assert now(house, another).status is PayoutStatus.QUEUED


# --- what else takes sats back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["settlement refund s1 reason=back", "settlement partial s1 fiat=1 note=jam"])
@pytest.mark.parametrize("who", ["ana", "operator", "platform"])
def test_held_sats_are_not_free_for_a_reversal(house: House, who: str, said: str) -> None:
    """A sale whose sats are held or have left is not reversed, whosever they are; once they return it is."""
    payout = withdraw(house, "all", who)
    assert code(house.say("operator", said)) is Code.ALREADY_PAID_OUT
    move_on(house)
    assert code(house.say("operator", said)) is Code.ALREADY_PAID_OUT
    house.say("operator", f"payout cancel {payout.id}")
    assert not isinstance(house.say("operator", said), CommandRefused)
    house.ledger()


@pytest.mark.parametrize("said", ["settlement refund s1 reason=back", "settlement partial s1 fiat=1 note=jam"])
def test_what_a_party_s_key_brought_an_lp_is_not_taken_back_out_of_held_sats(said: str) -> None:
    """Carl's share waited for its key until carl was enrolled, and then it left: no reversal overdraws carl."""
    house = House.open()
    house.add_lp("ana", "9000")
    house.say("operator", "splits set house=60%:self carl=40%:@carl")
    house.sell()
    house.add_lp("carl")
    assert sats_of(house, "liabilities:lp:carl:sats") == [2_508]
    payout = withdraw(house, "all", "carl")
    assert code(house.say("operator", said)) is Code.ALREADY_PAID_OUT
    house.say("operator", f"payout cancel {payout.id}")
    assert not isinstance(house.say("operator", said), CommandRefused)
    house.ledger()


def test_a_payment_is_not_voided_out_of_held_sats(house: House) -> None:
    """What `settle` paid has left for a payout."""
    house.say("ben", "mode fixed limit=1")
    house.say("operator", "settle ben 100 machine=m1")
    number = house.book.leg_count
    payout = withdraw(house, "all", "ben")
    assert code(house.say("operator", f"payment void l{number} reason=odd")) is Code.ALREADY_PAID_OUT
    house.say("ben", f"cancel {payout.id}")
    assert not isinstance(house.say("operator", f"payment void l{number} reason=odd"), CommandRefused)


def test_the_operator_pays_lps_out_of_free_sats_only(house: House) -> None:
    """`settle` does not reach what is held for the operator."""
    withdraw(house, "all", "operator")
    assert code(house.say("operator", "settle ben 100 machine=m1")) is Code.NOT_ENOUGH_SATS
