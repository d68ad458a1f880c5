"""The worklist's ways back: what the operator paid on has left (review A11), a correction is taken back (review A20)."""

import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.dossier import as_it_stands
from nostrbot.core.atm.facts import LpPaid, PaymentVoided
from nostrbot.core.atm.settlements.facts import SettlementCorrected, SettlementProcessed, SettlementRefunded
from nostrbot.core.atm.states import LegStatus, SettlementStatus
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.snapshots import take_snapshot
from tests.houses import House, Outcome
from tests.machines import statement


def do(house: House, text: str) -> Outcome:
    return house.say("operator", text)


def refused(house: House, text: str, code: Code) -> str:
    head = house.chain.head
    outcome = do(house, text)
    assert isinstance(outcome, CommandRefused), outcome
    assert outcome.code is code
    assert house.chain.head == head
    return outcome.message


def verified(house: House) -> None:
    assert verify_trail(house.trail()).head == house.chain.head
    assert take_snapshot(house.rebuilt()) == take_snapshot(house.book)


# --- A11: whatever leaves the operator's part counts as left -------------------------------------------------------


@pytest.fixture
def house() -> House:
    """A sale that was all the operator's, 106,270 sats of s1; then ana brings 9000 GTQ."""
    house = House.open()
    house.sell()
    house.add_lp("ana", "9000")
    return house


def test_a11_a_part_that_was_paid_on_is_not_refunded(house: House) -> None:
    """A11: until now held 0, LP owed 100,000, operator -100,000, without a word."""
    do(house, "settle ana 2000 machine=m1")
    assert house.book.own_sats() == 6_270
    assert refused(house, "settlement refund s1 reason=false", Code.ALREADY_PAID_OUT) == (
        "you paid LPs out of your part of s1, so 100000 sats of it have left. `payment list` shows what you paid: "
        '`payment void <leg> reason="…"` first, or wait until other sales have brought as much'
    )
    assert isinstance(do(house, "payment void l5 reason=false"), PaymentVoided)
    assert isinstance(do(house, "settlement refund s1 reason=false"), SettlementRefunded)
    assert {name for name in house.ledger() if name.endswith("sat")} == set()
    verified(house)


def test_a11_other_sales_may_cover_it(house: House) -> None:
    do(house, "settle ana 2000 machine=m1")
    house.say("ana", "pause")
    house.sell()
    assert isinstance(do(house, "settlement refund s1 reason=false"), SettlementRefunded)
    assert house.book.own_sats() == 6_270
    refused(house, "settlement refund s2 reason=false", Code.ALREADY_PAID_OUT)
    verified(house)


def test_a11_fixed_mode_pays_out_of_it_too(house: House) -> None:
    do(house, "fixed schedule 00:00")
    house.say("ana", "mode fixed")
    _, paid = house.tick(house.now + 86_400)
    assert isinstance(paid, LpPaid)
    refused(house, "settlement refund s1 reason=false", Code.ALREADY_PAID_OUT)


def test_a11_a_correction_takes_of_it_as_well(house: House) -> None:
    """Down to what was paid on and no further: 6,270 are left, of 106,270."""
    do(house, "settle ana 1000 machine=m1")
    assert house.book.own_sats() == 56_270
    message = refused(house, "settlement partial s1 fiat=900 note=jam", Code.ALREADY_PAID_OUT)
    assert "2179 sats of it have left" in message
    assert isinstance(do(house, "settlement partial s1 fiat=1000 note=jam"), SettlementCorrected)
    verified(house)


def test_a11_its_commission_is_a_part(house: House) -> None:
    """Of a sale to LPs the operator has its share of the fee, and of a cash-in the fee."""
    house.sell()  # ana's cash: 6,270 of it are the operator's
    house.sell(tx_type="cash_in")
    own_sats = house.book.own_sats()
    assert own_sats == 106_270 + 6_270 + 5_000 - 100_000
    do(house, f"settle ana {own_sats // 50} machine=m1")
    assert house.book.own_sats() < 50
    assert isinstance(do(house, "settlement refund s2 reason=false"), SettlementRefunded)


def test_a11_a_frozen_sale_is_refunded_once_its_payments_are_void(house: House) -> None:
    """The drill of a stolen key: its sats never came, so what was paid out of them cannot stand."""
    do(house, "settle ana 2000 machine=m1")
    do(house, "machine compromised m1 since=0")
    refused(house, "settlement refund s1 reason=false", Code.ALREADY_PAID_OUT)
    do(house, "payment void l5 reason=false")
    assert isinstance(do(house, "settlement refund s1 reason=false"), SettlementRefunded)
    verified(house)


def test_a11_operators_that_begin_with_cash_ins_are_no_debtors() -> None:
    """Customers are paid from a wallet of the operator's: its sats here are below zero, and refunds go on as ever."""
    house = House.open()
    house.sell(tx_type="cash_in")
    house.sell(fiat="200.00")
    assert house.book.own_sats() == -100_000 + 5_000 + 10_627
    assert isinstance(do(house, "settlement partial s2 fiat=100 note=jam"), SettlementCorrected)
    assert isinstance(do(house, "settlement refund s1 reason=back"), SettlementRefunded)
    house.sell(fiat="200.00")
    assert isinstance(do(house, "settlement refund s3 reason=back"), SettlementRefunded)
    assert house.book.cash_in_sats == 0
    house.restart()
    verified(house)


def test_a11_cash_ins_hide_nothing_that_was_paid_on(house: House) -> None:
    """Below zero by a cash-in already, the part that LPs were paid is gone all the same."""
    do(house, "settle ana 2000 machine=m1")
    house.sell(tx_type="cash_in")
    assert house.book.own_sats() < 0
    refused(house, "settlement refund s1 reason=false", Code.ALREADY_PAID_OUT)


# --- A20: a correction is taken back --------------------------------------------------------------------------------


def two_lps() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    house.now += 1
    house.take(statement(at=house.now, _1=(100, 480)))
    house.sell(bills=[{"denomination": 100, "count": 20}])
    return house


def test_a20_a_partial_that_was_a_typo_goes_back_to_the_whole() -> None:
    """A20: 150 for 1500; then the whole: shared as at first, nothing owed, the banknotes gone again, a new receipt each."""
    house, whole = two_lps(), two_lps()
    do(house, "settlement partial s1 fiat=150 note=typo")
    assert house.book.tills["m1"].cassettes["1"].count == 478
    fact = do(house, 'settlement partial s1 fiat=2000 note="it was all"')
    assert isinstance(fact, SettlementCorrected)
    assert (fact.owed_sats, fact.wire_sats, fact.status) == (0, 107_770, SettlementStatus.PROCESSED)
    assert house.ledger() == whole.ledger()
    assert house.book.tills["m1"].cassettes == whole.book.tills["m1"].cassettes
    settlement = as_it_stands(house.book.recall.dossiers[1])
    assert (settlement.status, settlement.owed_sats, settlement.fiat_minor) == (SettlementStatus.PROCESSED, 0, 200_000)
    first = house.entries[-3].facts[0]
    assert isinstance(first, SettlementProcessed)
    assert [(leg.lp, leg.sats, leg.fiat_minor) for leg in settlement.legs_in_force] == [
        (leg.lp, leg.sats, leg.fiat_minor) for leg in first.legs
    ]
    assert all(leg.status is LegStatus.VOIDED for leg in fact.voided)
    verified(house)


def test_a20_it_is_processed_as_if_it_had_never_been_corrected() -> None:
    """It can be corrected again, and refunded whole."""
    house = two_lps()
    do(house, "settlement partial s1 fiat=150 note=typo")
    do(house, "settlement partial s1 fiat=2000 note=whole")
    refused(house, "settlement partial s1 fiat=2000 note=whole", Code.BAD_ARGUMENT)
    do(house, "settlement partial s1 fiat=1500 note=jam")
    do(house, "settlement partial s1 fiat=2000 note=whole")
    fact = do(house, "settlement refund s1 reason=back")
    assert isinstance(fact, SettlementRefunded)
    assert (fact.sats, fact.fiat_minor) == (107_770, 200_000)
    assert {name for name in house.ledger() if name.endswith("sat")} == set()
    verified(house)


def test_a20_what_was_never_corrected_has_no_way_back() -> None:
    house = two_lps()
    message = refused(house, "settlement partial s1 fiat=2000 note=x", Code.BAD_ARGUMENT)
    assert message.startswith("fiat must be what was dispensed, less than the 2000.00 GTQ reported")
    do(house, "settlement partial s1 fiat=150 note=typo")
    refused(house, "settlement partial s1 fiat=2000.01 note=x", Code.BAD_ARGUMENT)


def test_a20_once_the_customer_has_the_rest_it_stays_corrected() -> None:
    house = two_lps()
    do(house, "settlement partial s1 fiat=150 note=typo")
    do(house, "settlement refund s1 reason=paid")
    assert refused(house, "settlement partial s1 fiat=2000 note=whole", Code.WRONG_STATUS) == (
        "s1 is refunded, what was owed to the customer included: no partial for it. Next: settlement show s1"
    )


def test_a20_cash_that_was_spent_meanwhile_is_not_taken_twice() -> None:
    """What ana spent elsewhere since is not there any more: the operator covers it."""
    house = two_lps()
    do(house, "settlement partial s1 fiat=150 note=typo")
    do(house, 'deposit reverse d1 amount=8000 reason="needs it"')
    fact = do(house, "settlement partial s1 fiat=2000 note=whole")
    assert isinstance(fact, SettlementCorrected)
    assert sum(leg.fiat_minor or 0 for leg in fact.legs) == 200_000
    assert house.remaining("ana") == "0.00"
    verified(house)
