"""Settlements: what a report must obey, in order, and how an accepted one is shared (docs/protocol.md 3.1 and 5)."""

from typing import Any

import pytest

from nostrbot.core.atm.recall import Duplicate
from nostrbot.core.atm.settlements.facts import SettlementPending, SettlementProcessed, SettlementRejected
from nostrbot.core.atm.states import SettlementStatus
from nostrbot.core.rules import FIRST
from nostrbot.refusals import Reason, Refusal
from tests.houses import House, Outcome, legs, of_legs, payment_hash, person, report, sale

PREIMAGE = "11" * 32
OTHER_CONTENT: dict[str, Any] = {"txid": "the first sale"}


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    return house


def reason_of(outcome: Outcome) -> Reason:
    """Why a sale is not booked, whether that is recorded or the key may not speak at all."""
    assert isinstance(outcome, SettlementRejected | Refusal), outcome
    return outcome.reason


# --- the example ----------------------------------------------------------------------------------------------------


def test_the_example_of_the_source_documents(house: House) -> None:
    """LPs with 9,000 and 1,000 GTQ, a sale of 2,000: 1,800 and 200; fees of 7.77 % apart from the principal."""
    assert legs(house.sell(fiat="2000.00", rate="50")) == [
        "super_fee platform 1500",
        "operator_split operator 6270",
        "dca ana 90000 for 1800.00",
        "dca ben 10000 for 200.00",
    ]
    assert (house.remaining("ana"), house.remaining("ben")) == ("7200.00", "800.00")
    assert house.ledger() == {
        "assets:cash:m1 GTQ": 800_000,
        "liabilities:lp:ana:cash:m1 GTQ": -720_000,
        "liabilities:lp:ben:cash:m1 GTQ": -80_000,
        "assets:sats sat": 107_770,
        "liabilities:platform sat": -1_500,
        "equity:operator sat": -6_270,
        "liabilities:lp:ana:sats sat": -90_000,
        "liabilities:lp:ben:sats sat": -10_000,
    }


def test_remaining_balances_decide_not_deposits(house: House) -> None:
    """X1: after the first sale ben brings 6,400 more: 7,200 and 7,200 share the next one in halves."""
    house.sell()
    house.add_cash("ben", "6400")
    assert of_legs(house.sell(), "dca") == ["dca ana 50000 for 1000.00", "dca ben 50000 for 1000.00"]


def test_a_confirmed_deposit_counts_from_the_next_settlement_on(house: House) -> None:
    """A pending deposit is not cash in the machine (D9; faults.md row 63)."""
    house.say("operator", "deposit add ben 8000 machine=m1")
    assert of_legs(house.sell(fiat="100.00"), "dca") == ["dca ana 4500 for 90.00", "dca ben 500 for 10.00"]
    house.say("operator", "deposit confirm d3")
    assert of_legs(house.sell(fiat="179.00"), "dca") == ["dca ana 4455 for 89.10", "dca ben 4495 for 89.90"]


# --- the rules of section 3.1, in their order -----------------------------------------------------------------------

# Each row: how to break the rule by the payload alone or by what happened before, and the reason it gives.
RULES: list[tuple[Reason, dict[str, Any], str]] = [
    (Reason.MACHINE_INACTIVE, {}, "machine suspend m1"),
    (Reason.ATTRIBUTION_MISMATCH, {"machine": person("m2").pubkey}, ""),
    (Reason.AMOUNTS_INCONSISTENT, {"wire_sats": 107_769}, ""),
    (Reason.RATE_INCONSISTENT, {"exchange_rate": "49"}, ""),
    (Reason.CURRENCY_MISMATCH, {"fiat_code": "USD"}, ""),
    (Reason.AMOUNT_OUT_OF_RANGE, {"bills": [{"denomination": 0, "count": 20}]}, ""),
    (Reason.PREIMAGE_MISMATCH, {"preimage": "22" * 32}, ""),
    (Reason.PAYMENT_HASH_CONFLICT, {}, "an earlier sale"),
    (Reason.FEE_MISMATCH, {"principal_sats": 90_000, "fiat_amount": "1800.00", "fee_sats": 17_770}, ""),
]
NAMES = [reason.value for reason, _, _ in RULES]


def broken_from(place: int) -> Outcome:
    """What becomes of a sale that breaks the rule at `place` and all those after it, but none before."""
    house = House.open()
    house.add_machine("m2")
    house.add_lp("ana", "9000")
    house.say("operator", "machine set m1 enforce_fee_match=on")
    spoilt: dict[str, Any] = {}
    befores = []
    for _, changes, before in reversed(RULES[place:]):
        spoilt |= changes
        befores.append(before)
    if "an earlier sale" in befores:
        assert isinstance(house.sell(payment_hash=payment_hash("b0c2"), **OTHER_CONTENT), SettlementProcessed)
    if "machine suspend m1" in befores:
        house.say("operator", "machine suspend m1")
    return house.take(report("m1", sale(**spoilt), at=house.now + 1))


@pytest.mark.parametrize("place", range(len(RULES)), ids=NAMES)
def test_the_first_broken_rule_names_the_reason(place: int) -> None:
    """A settlement that breaks a rule and every later one is rejected for the first."""
    assert reason_of(broken_from(place)) is RULES[place][0]


def test_without_a_broken_rule_the_same_sale_is_processed() -> None:
    """The table above breaks what it means to break, and nothing else."""
    assert isinstance(broken_from(len(RULES)), SettlementProcessed)


@pytest.mark.parametrize("place", range(len(RULES)), ids=NAMES)
def test_each_rule_alone_is_enough(place: int) -> None:
    """One broken rule is named by its own reason."""
    house = House.open()
    house.add_machine("m2")
    house.say("operator", "machine set m1 enforce_fee_match=on")
    reason, changes, before = RULES[place]
    if before == "an earlier sale":
        house.sell(payment_hash=payment_hash("b0c2"), **OTHER_CONTENT)
    elif before:
        house.say("operator", before)
    assert reason_of(house.take(report("m1", sale(**changes), at=house.now + 1))) is reason


def test_a_preimage_is_missing_where_the_machine_is_trusted_by_preimage(house: House) -> None:
    """It ranks with the mismatch: after the ranges, before the conflict."""
    house.say("operator", "machine set m1 trust=preimage")
    assert reason_of(house.sell()) is Reason.PREIMAGE_MISSING
    assert reason_of(house.sell(wire_sats=0, principal_sats=0, fee_sats=0)) is Reason.RATE_INCONSISTENT
    assert reason_of(house.sell(bills=[{"denomination": 5, "count": -1}])) is Reason.AMOUNT_OUT_OF_RANGE


def test_the_true_preimage_is_accepted(house: House) -> None:
    """trust=preimage: sha256(preimage) = payment_hash proves the payment."""
    house.say("operator", "machine set m1 trust=preimage")
    proof = "02d449a31fbb267c8f352e9968a79e3e5fc95c1bbeaa502fd6454ebde5a4bedc"  # sha256 of 32 bytes of 0x11
    assert isinstance(house.sell(preimage=PREIMAGE, payment_hash=proof), SettlementProcessed)


def test_a_preimage_that_is_given_must_be_true(house: House) -> None:
    """Even where the machine's signature would do."""
    assert reason_of(house.sell(preimage=PREIMAGE)) is Reason.PREIMAGE_MISMATCH


def test_a_machine_trusted_by_wallet_waits(house: House) -> None:
    """Nothing moves until a wallet saw the payment, and the hash is taken meanwhile."""
    house.say("operator", "machine set m1 trust=wallet")
    before = house.ledger()
    waiting = house.sell()
    assert isinstance(waiting, SettlementPending)
    assert waiting.reason == "awaiting_wallet"
    assert house.ledger() == before
    again = house.sell(payment_hash=waiting.sale.payment_hash, txid="other")
    assert reason_of(again) is Reason.PAYMENT_HASH_CONFLICT


def test_attribution_comes_from_the_signature(house: House) -> None:
    """A machine of the house that names another of the same house is rejected, under its own name (S20)."""
    house.add_machine("m2")
    stolen = house.sell("m1", by="m2")
    assert reason_of(stolen) is Reason.ATTRIBUTION_MISMATCH
    assert isinstance(stolen, SettlementRejected)
    assert stolen.machine == "m2"


def test_a_machine_that_repeats_another_s_sale_is_no_duplicate(house: House) -> None:
    """Only the machine itself may ask again; whoever copies its words is told nothing of what became of them."""
    house.add_machine("m2")
    house.take(report("m1", sale(), at=house.now))
    assert reason_of(house.take(report("m2", sale(), at=house.now))) is Reason.ATTRIBUTION_MISMATCH


def test_a_key_that_is_no_machine_of_this_book_is_no_settlement(house: House) -> None:
    """Unknown keys are dropped and counted; nothing is sealed (faults.md rows 23, 24)."""
    assert house.sell(by="stranger") == Refusal(Reason.UNKNOWN_AUTHOR, "no machine of this book")
    assert house.book.settlement_count == 0


def test_a_suspended_machine_is_rejected_until_it_is_resumed(house: House) -> None:
    """Judged by journal order: created_at does not help it (faults.md row 25)."""
    house.say("operator", "machine suspend m1")
    backdated = report("m1", sale(payment_hash=payment_hash("old")), at=house.now - 3_600)
    assert reason_of(house.take(backdated)) is Reason.MACHINE_INACTIVE
    house.say("operator", "machine resume m1")
    assert isinstance(house.sell(), SettlementProcessed)


def test_a20_a_key_without_standing_writes_into_no_journal(house: House) -> None:
    """Suspended, or rotated out, it may report a sale a second for ever: by rules 1 each was an entry."""
    old = House.open(FIRST)
    for home, entries in ((house, 0), (old, 20)):
        home.say("operator", "machine suspend m1")
        before = len(home.entries)
        for _ in range(10):
            home.sell()
        home.say("operator", "machine resume m1")
        home.say("operator", "machine rotate m1 @m9")
        for n in range(10):
            home.take(report("m1", sale(payment_hash=payment_hash(f"late {n}")), at=home.now))
        assert len(home.entries) - before == entries + 2


def test_the_machines_of_a_suspended_operator_are_inactive(house: House) -> None:
    """The platform's switch stands above the operator's."""
    house.say("platform", "operator suspend antigua")
    assert reason_of(house.sell()) is Reason.MACHINE_INACTIVE
    house.say("platform", "operator resume antigua")
    assert isinstance(house.sell(), SettlementProcessed)


@pytest.mark.parametrize(
    "amounts",
    [
        {"wire_sats": 107_771},
        {"principal_sats": 100_001},
        {"fee_sats": 7_769},
        {"tx_type": "cash_in"},  # cash-in: the wire is the principal less the fee
    ],
)
def test_wire_is_principal_and_fee_to_the_sat(house: House, amounts: dict[str, Any]) -> None:
    """faults.md row 30, rule O6."""
    assert reason_of(house.take(report("m1", sale(**amounts), at=house.now))) is Reason.AMOUNTS_INCONSISTENT


@pytest.mark.parametrize(
    ("fiat", "rate", "principal", "holds"),
    [
        ("2000.00", "50", 100_000, True),
        ("2000.00", "50", 100_100, True),  # 0.1 % of what it should be
        ("2000.00", "50", 100_101, False),
        ("2000.00", "50", 99_900, True),
        ("2000.00", "50", 99_899, False),
        ("1.00", "5000", 5_050, True),  # one centavo buys 50 sats, more than 0.1 %
        ("1.00", "5000", 5_051, False),
        ("1.00", "5000", 4_950, True),
        ("1.00", "5000", 4_949, False),
        ("2000.00", "50.0499999", 100_000, True),  # a rate is as exact as it is written
    ],
)
def test_rate_holds_within_a_thousandth_or_one_minor_unit(
    house: House, fiat: str, rate: str, principal: int, holds: bool
) -> None:
    """fiat x rate = principal, at the boundary and one sat beyond."""
    outcome = house.sell(
        fiat_amount=fiat, exchange_rate=rate, principal_sats=principal, fee_sats=0, wire_sats=principal
    )
    assert isinstance(outcome, SettlementProcessed) is holds
    if not holds:
        assert reason_of(outcome) is Reason.RATE_INCONSISTENT


@pytest.mark.parametrize(
    "amounts",
    [
        {"wire_sats": 0, "principal_sats": 0, "fee_sats": 0, "fiat_amount": "0"},
        {"wire_sats": -100_000, "principal_sats": -100_000, "fee_sats": 0, "fiat_amount": "-2000"},
        {"wire_sats": 92_230, "fee_sats": -7_770},
        {"wire_sats": 21 * 10**14 + 50, "principal_sats": 21 * 10**14 + 50, "fee_sats": 0, "fiat_amount": "42000000000001"},
        {"wire_sats": 21 * 10**14 + 1, "principal_sats": 21 * 10**14, "fee_sats": 1, "fiat_amount": "42000000000000"},
        {"exchange_rate": "0", "principal_sats": 0, "wire_sats": 7_770},
        {"fiat_amount": "-2000", "exchange_rate": "-50"},
        {"bills": [{"denomination": 0, "count": 1}]},
        {"bills": [{"denomination": -100, "count": 1}]},
        {"bills": [{"denomination": 100, "count": -1}]},
        {"cassettes": {"1": {"denomination": 0, "count": 1}}},
        {"cassettes": {"1": {"denomination": 100, "count": -1}}},
    ],
    ids=["zero", "negative", "negative-fee", "21e14-exceeded", "wire-alone-exceeds", "zero-rate", "both-negative",
         "bill-0", "bill-negative", "bill-count", "cassette-0", "cassette-count"],
)  # fmt: skip
def test_amounts_out_of_range(house: House, amounts: dict[str, Any]) -> None:
    """All sats 1..21e14, fee >= 0, denominations > 0, counts >= 0 (faults.md rows 29, 67)."""
    assert reason_of(house.take(report("m1", sale(**amounts), at=house.now))) is Reason.AMOUNT_OUT_OF_RANGE


def test_the_largest_sale_there_can_be_is_booked(house: House) -> None:
    """21e14 sats is in range: every satoshi there will ever be."""
    all_sats = 21 * 10**14
    settled = house.sell(fiat="21000000000.00", rate="100000", fee_sats=0)
    assert isinstance(settled, SettlementProcessed)
    assert sum(leg.sats for leg in settled.legs) == all_sats


def test_a_rejected_settlement_moves_nothing_and_is_kept(house: House) -> None:
    """It is sealed with all that was reported, and has no legs and no postings (invariant I5)."""
    before = house.ledger()
    rejected = house.sell(wire_sats=1)
    assert reason_of(rejected) is Reason.AMOUNTS_INCONSISTENT
    assert house.ledger() == before
    assert house.entries[-1].transactions == ()
    assert house.book.settlement_count == 1
    assert not hasattr(rejected, "legs")


# --- the same sale again --------------------------------------------------------------------------------------------


def test_the_same_event_again_is_a_duplicate(house: House) -> None:
    """Whoever asks again gets the same number and nothing is sealed."""
    given = report("m1", sale(), at=house.now)
    first = house.take(given)
    entries = len(house.entries)
    again = house.take(given)
    assert isinstance(first, SettlementProcessed)
    assert isinstance(again, Duplicate)
    assert (again.booked.number, again.booked.status) == (first.number, SettlementStatus.PROCESSED)
    assert len(house.entries) == entries


def test_a_fresh_event_with_the_same_content_is_a_duplicate(house: House) -> None:
    """faults.md row 3: a machine repeats itself until acked, and numbers written differently are the same numbers."""
    first = house.take(report("m1", sale(), at=house.now))
    again = house.take(report("m1", sale(fiat_amount=2000, exchange_rate="50.0"), at=house.now + 60))
    assert isinstance(first, SettlementProcessed)
    assert isinstance(again, Duplicate)
    assert again.booked.number == first.number


@pytest.mark.parametrize(
    "other",
    [
        {"txid": "b0c3"},
        {"n": 43},
        {"fee_sats": 7_771, "wire_sats": 107_771},
        {"bills": [{"denomination": 50, "count": 40}]},
        {"occurred_at": 1_790_000_001},
    ],
    ids=lambda other: next(iter(other)),
)
def test_the_same_hash_with_other_content_is_a_conflict(house: House, other: dict[str, Any]) -> None:
    """faults.md row 4: the first is kept, the second is recorded and moves no money."""
    house.take(report("m1", sale(), at=house.now))
    before = house.ledger()
    assert reason_of(house.take(report("m1", sale(**other), at=house.now + 60))) is Reason.PAYMENT_HASH_CONFLICT
    assert house.ledger() == before


def test_a_rejected_settlement_does_not_take_the_hash(house: House) -> None:
    """A rogue machine cannot block a true one."""
    house.add_machine("rogue")
    rogue = house.take(report("rogue", sale("rogue", wire_sats=1), at=house.now))
    assert reason_of(rogue) is Reason.AMOUNTS_INCONSISTENT
    assert isinstance(house.take(report("m1", sale(), at=house.now)), SettlementProcessed)


def test_a_rejected_event_again_is_answered_with_its_rejection(house: House) -> None:
    """Row 36: it is not tried again, though what was wrong may have been put right since."""
    house.say("operator", "machine set m1 trust=preimage")
    given = report("m1", sale(), at=house.now)
    first = house.take(given)
    house.say("operator", "machine set m1 trust=signature")
    again = house.take(given)
    assert isinstance(first, SettlementRejected)
    assert isinstance(again, Duplicate)
    assert (again.booked.number, again.booked.status) == (first.number, SettlementStatus.REJECTED)
    assert again.booked.error == "preimage_missing"


def test_a_duplicate_stays_one_after_the_machine_is_suspended(house: House) -> None:
    """What was booked was booked: its repeat is answered, not judged anew."""
    first = house.sell()
    assert isinstance(first, SettlementProcessed)
    house.say("operator", "machine suspend m1")
    again = house.take(house.entries[-2].given)
    assert isinstance(again, Duplicate)
    assert again.booked.number == first.number


# --- fees -----------------------------------------------------------------------------------------------------------


def mismatch(outcome: Outcome) -> int:
    assert isinstance(outcome, SettlementProcessed | SettlementPending | SettlementRejected)
    return outcome.fee_mismatch_sats


def test_a_fee_mismatch_is_recorded_and_what_was_charged_is_shared(house: House) -> None:
    """S16: 30 sats more than due are the operator's pot, not the platform's."""
    over = house.sell(fee_sats=7_800)
    assert mismatch(over) == 30
    assert legs(over)[:2] == ["super_fee platform 1500", "operator_split operator 6300"]


def test_the_platform_gets_no_more_than_was_charged(house: House) -> None:
    """min(platform, fee): a machine that charged 1,000 of the due 7,770 leaves the operator nothing."""
    under = house.sell(fee_sats=1_000)
    assert mismatch(under) == -6_770
    assert legs(under)[0] == "super_fee platform 1000"
    assert of_legs(under, "operator_split") == []


def test_a_sale_without_a_fee_has_no_fee_legs(house: House) -> None:
    """A leg of nothing is not written."""
    assert [line.split()[0] for line in legs(house.sell(fee_sats=0))] == ["dca", "dca"]


def test_an_enforced_fee_rejects_beyond_the_tolerance_only(house: House) -> None:
    """S19, faults.md row 68: 100 sats off 100,000 pass, 101 do not; the hash stays free."""
    house.say("operator", "machine set m1 enforce_fee_match=on")
    assert mismatch(house.sell(fee_sats=7_870)) == 100
    assert mismatch(house.sell(fee_sats=7_670)) == -100
    assert reason_of(house.sell(fee_sats=7_871)) is Reason.FEE_MISMATCH
    assert reason_of(house.sell(fee_sats=7_669, payment_hash=payment_hash("free"))) is Reason.FEE_MISMATCH
    assert isinstance(house.sell(payment_hash=payment_hash("free")), SettlementProcessed)


def test_a_tiny_principal_has_one_sat_of_tolerance(house: House) -> None:
    """S18: 1 sat is floored to no fee at all; a fee of 1 passes even where fees are enforced, 2 does not."""
    house.say("operator", "machine set m1 enforce_fee_match=on")
    assert mismatch(house.sell(fiat="0.02", fee_sats=1)) == 1
    assert reason_of(house.sell(fiat="0.02", fee_sats=2)) is Reason.FEE_MISMATCH


def test_fees_go_by_direction(house: House) -> None:
    """M9, S21: cash-in costs 1 % + 5 %, cash-out 1.5 % + 6.27 %."""
    assert legs(house.sell(tx_type="cash_in")) == ["super_fee platform 1000", "operator_split operator 5000"]


def test_a_changed_fee_holds_from_the_next_settlement_on(house: House) -> None:
    """The fee in force is the one of the journal, not of the machine's clock."""
    house.sell()
    house.say("operator", "machine set m1 cash_out=5%")
    house.say("platform", "platform fee cash_in=0 cash_out=2%")
    changed = house.sell()
    assert (mismatch(changed), legs(changed)[:2]) == (0, ["super_fee platform 2000", "operator_split operator 5000"])


def test_splits_share_the_pot_only(house: House) -> None:
    """X21: an LP, a foreign key and the operator share 6,270; the principal is untouched by it."""
    house.say("operator", "splits set house=50%:self ana=30%:ana press=20%:@paper")
    assert legs(house.sell()) == [
        "super_fee platform 1500",
        "operator_split house 3135",
        "operator_split ana 1881",
        "operator_split press 1254",
        "dca ana 90000 for 1800.00",
        "dca ben 10000 for 200.00",
    ]
    ledger = house.ledger()
    assert ledger["liabilities:lp:ana:sats sat"] == -91_881
    assert ledger[f"liabilities:party:{person('paper').pubkey} sat"] == -1_254
    assert ledger["equity:operator sat"] == -3_135
    assert house.remaining("ana") == "7200.00"


# --- principal ------------------------------------------------------------------------------------------------------


def test_no_candidate_leaves_everything_to_the_operator() -> None:
    """X5, faults.md row 57: processed, with one skipped leg that says why."""
    house = House.open()
    assert legs(house.sell()) == [
        "super_fee platform 1500",
        "operator_split operator 6270",
        "dca nobody 0 for 0.00 skipped: no_lp_with_a_balance",
        "operator operator 100000 for 2000.00",
    ]
    assert house.ledger() == {
        "assets:sats sat": 107_770,
        "liabilities:platform sat": -1_500,
        "equity:operator sat": -106_270,
        "assets:cash:m1 GTQ": -200_000,
        "equity:operator GTQ": 200_000,
    }


def test_lps_short_of_cash_spend_all_and_the_operator_covers_the_rest() -> None:
    """X4, faults.md row 58: B < F."""
    house = House.open()
    house.add_lp("ana", "400")
    house.add_lp("ben", "100")
    assert legs(house.sell())[2:] == [
        "dca ana 20000 for 400.00",
        "dca ben 5000 for 100.00",
        "operator operator 75000 for 1500.00",
    ]
    assert (house.remaining("ana"), house.remaining("ben")) == ("0.00", "0.00")
    assert house.ledger()["equity:operator GTQ"] == 150_000


def test_one_sat_among_a_thousand_lps() -> None:
    """faults.md row 59: the first gets it, 999 legs are skipped with the reason, the sum is 1."""
    house = House.open()
    for number in range(1_000):
        house.add_lp(f"lp{number}", "1.00")
    outcome = house.sell(fiat="10.00", rate="0.1", fee_sats=0)
    told = legs(outcome)
    assert told[0] == "dca lp0 1 for 0.01"
    assert told[1] == "dca lp1 0 for 0.00 skipped: share_rounds_to_zero"
    assert told[-1] == "operator operator 0 for 9.99"
    assert len(told) == 1_001
    assert (house.remaining("lp0"), house.remaining("lp1")) == ("0.99", "1.00")


def test_a_leg_tells_the_balance_before_and_after(house: House) -> None:
    """What a receipt will say is sealed with the settlement."""
    outcome = house.sell()
    assert isinstance(outcome, SettlementProcessed)
    ana = next(leg for leg in outcome.legs if leg.lp == "ana")
    assert (ana.before_minor, ana.after_minor) == (900_000, 720_000)


def test_legs_are_numbered_through_the_whole_book(house: House) -> None:
    """A receipt's id is its leg's: one counter per book."""
    first, second = house.sell(), house.sell()
    assert isinstance(first, SettlementProcessed)
    assert isinstance(second, SettlementProcessed)
    assert [leg.number for leg in (*first.legs, *second.legs)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_cash_in_is_paid_by_the_operator_and_leaves_lps_alone(house: House) -> None:
    """The customer's cash is the operator's, its sats pay the wire, and the fee is shared from what it keeps."""
    before = house.ledger()
    house.sell(tx_type="cash_in")
    assert house.ledger() == before | {
        "assets:sats sat": -94_000,
        "equity:operator sat": 95_000,
        "liabilities:platform sat": -1_000,
        "assets:cash:m1 GTQ": 1_200_000,
        "equity:operator GTQ": -200_000,
    }
    assert (house.remaining("ana"), house.remaining("ben")) == ("9000.00", "1000.00")


def test_lps_of_another_machine_do_not_matter() -> None:
    """Enrolling and funding people elsewhere, before or between, changes no share here."""
    with_others, alone = House.open(), House.open()
    with_others.add_machine("m2")
    for house in (with_others, alone):
        for name in ("ana", "ben", "eva"):
            if house is with_others:
                house.add_lp(f"{name}-2", "77", machine="m2")
            house.add_lp(name, "10.01")
    assert of_legs(with_others.sell(fiat="10.00"), "dca") == of_legs(alone.sell(fiat="10.00"), "dca")


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_the_ledger_is_the_same_in_whatever_order_sales_arrive(order: tuple[int, ...]) -> None:
    """faults.md row 10: as long as the cash lasts, no account depends on which relay was the faster one."""

    def sold(order: tuple[int, ...]) -> dict[str, int]:
        house = House.open()
        house.add_lp("ana", "9000")
        house.say("operator", "splits set house=60%:self ana=40%:ana")
        reports = [
            report("m1", sale(payment_hash=payment_hash(n), wire_sats=wire, fee_sats=wire - 100_000), at=house.now)
            for n, wire in enumerate((107_770, 107_771, 107_699))
        ]
        for n in order:
            assert isinstance(house.take(reports[n]), SettlementProcessed)
        return house.ledger()

    assert sold(order) == sold((0, 1, 2))
