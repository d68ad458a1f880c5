"""The worklist's commands, with literal figures (docs/protocol.md sections 5 and 6; S8-S14, O9, W2; faults.md 36-41, 57, 62, 63).

The house has ana with 9,000 and ben with 1,000 GTQ; each sale is one of 2,000 for 107,770 sats, 1,500 of them the
platform's, unless said otherwise.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.dossier import Dossier, Settlement, as_it_stands
from nostrbot.core.atm.recall import Duplicate
from nostrbot.core.atm.settlements.facts import (
    Leg,
    SettlementChange,
    SettlementCorrected,
    SettlementFact,
    SettlementMoved,
    SettlementNoted,
    SettlementPending,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRejected,
    SettlementRetried,
)
from nostrbot.core.atm.settlements.moves import CHANGES_MAX, CORRECTIONS_MAX
from nostrbot.core.atm.states import Direction, LegStatus, LegType, SettlementStatus
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.desk import Place
from nostrbot.core.desks import check_books
from nostrbot.core.evolution import evolve
from nostrbot.core.facts import read_fact
from nostrbot.core.rules import RULES
from nostrbot.core.snapshots import take_snapshot
from nostrbot.refusals import Refusal
from nostrbot.views.outcomes import show_settlement
from nostrbot.views.records import settlement_view
from tests.effort import examples
from tests.houses import House, Outcome, person, report
from tests.machines import statement

HALF_AN_HOUR = 30 * 60
BEFORE_ANY_SALE = {
    "assets:cash:m1 GTQ": 1_000_000,
    "liabilities:lp:ana:cash:m1 GTQ": -900_000,
    "liabilities:lp:ben:cash:m1 GTQ": -100_000,
}
AFTER_ONE_SALE = {
    "assets:cash:m1 GTQ": 800_000,
    "liabilities:lp:ana:cash:m1 GTQ": -720_000,
    "liabilities:lp:ben:cash:m1 GTQ": -80_000,
    "assets:sats sat": 107_770,
    "liabilities:platform sat": -1_500,
    "equity:operator sat": -6_270,
    "liabilities:lp:ana:sats sat": -90_000,
    "liabilities:lp:ben:sats sat": -10_000,
}
CORRECTED_TO_1500 = {
    "assets:cash:m1 GTQ": 850_000,
    "liabilities:lp:ana:cash:m1 GTQ": -765_000,
    "liabilities:lp:ben:cash:m1 GTQ": -85_000,
    "assets:sats sat": 107_770,
    "liabilities:platform sat": -1_125,
    "equity:operator sat": -4_702,
    "liabilities:lp:ana:sats sat": -67_500,
    "liabilities:lp:ben:sats sat": -7_500,
    "liabilities:customer:s1 sat": -26_943,
}


def open_house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    return house


@pytest.fixture
def house() -> House:
    return open_house()


def do(house: House, text: str) -> Outcome:
    """The operator says it."""
    return house.say("operator", text)


def refused(outcome: Outcome) -> tuple[Code, str]:
    assert isinstance(outcome, CommandRefused), outcome
    return outcome.code, outcome.message


def standing(house: House, number: int = 1) -> Settlement:
    """A settlement as it stands, folded from the journal's bytes; the book's own dossier must say the same."""
    dossier = dossiers(house)[number]
    kept = house.book.recall.dossiers[number]
    assert (kept.birth, kept.later) == (dossier.birth, dossier.later)
    return as_it_stands(dossier)


def dossiers(house: House) -> dict[int, Dossier]:
    found: dict[int, Dossier] = {}
    for entry in house.entries:
        content = orjson.loads(entry.body)
        for fact in map(read_fact, content["facts"]):
            if isinstance(fact, SettlementFact | SettlementChange):
                if fact.number not in found:
                    assert isinstance(fact, SettlementFact)
                    found[fact.number] = Dossier(fact, content["seq"], content["at"], entry.hash)
                else:
                    assert not isinstance(fact, SettlementPending | SettlementRejected)
                    found[fact.number] = found[fact.number].followed_by(fact, content["at"])
    return found


def in_force(house: House, number: int = 1) -> list[str]:
    """The legs in force, a line each: `dca ana 67500 for 135000`."""
    return [
        f"{leg.type} {leg.lp or leg.label or 'nobody'} {leg.sats} for {leg.fiat_minor}"
        for leg in standing(house, number).legs_in_force
    ]


def check_trail(house: House) -> None:
    """The bytes alone make the same book, and an auditor decides it all again."""
    assert take_snapshot(house.rebuilt()) == take_snapshot(house.book)
    assert verify_trail(house.trail()).head == house.chain.head


def hold(house: House, **sold: Any) -> None:
    """A sale that a guard holds."""
    do(house, "guard m1 per_settlement=1")
    assert isinstance(house.sell(**sold), SettlementPending)
    do(house, "guard m1 per_settlement=off")


# --- partial dispense -----------------------------------------------------------------------------------------------


def test_a_correction_reverses_and_shares_what_was_dispensed(house: House) -> None:
    """Of 2,000 reported 1,500 came out: 75,000 and floor(5,827.5) sats are in force, 26,943 are the customer's."""
    house.sell()
    corrected = do(house, 'settlement partial s1 fiat=1500 note="jammed"')
    assert isinstance(corrected, SettlementCorrected)
    assert (corrected.wire_sats, corrected.principal_sats, corrected.fee_sats) == (80_827, 75_000, 5_827)
    assert (corrected.platform_fee_sats, corrected.operator_fee_sats, corrected.fee_mismatch_sats) == (1_125, 4_702, 0)
    assert (corrected.was_owed_sats, corrected.owed_sats) == (0, 26_943)
    assert [leg.number for leg in corrected.voided] == [1, 2, 3, 4]
    assert [leg.number for leg in corrected.legs] == [5, 6, 7, 8]
    assert in_force(house) == [
        "super_fee platform 1125 for None",
        "operator_split operator 4702 for None",
        "dca ana 67500 for 135000",
        "dca ben 7500 for 15000",
    ]
    assert house.ledger() == CORRECTED_TO_1500
    assert (house.remaining("ana"), house.remaining("ben")) == ("7650.00", "850.00")
    check_trail(house)


def test_the_reversal_is_line_by_line(house: House) -> None:
    """Nothing is edited: the first sharing's postings come back with the other sign before the new ones."""
    house.sell()
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    assert orjson.loads(house.entries[-1].body)["postings"] == [
        ["liabilities:platform", "sat", 1_500],
        ["equity:operator", "sat", 6_270],
        ["liabilities:lp:ana:sats", "sat", 90_000],
        ["liabilities:lp:ana:cash:m1", "GTQ", -180_000],
        ["liabilities:lp:ben:sats", "sat", 10_000],
        ["liabilities:lp:ben:cash:m1", "GTQ", -20_000],
        ["liabilities:customer:s1", "sat", -26_943],
        ["assets:cash:m1", "GTQ", 50_000],
        ["liabilities:platform", "sat", -1_125],
        ["equity:operator", "sat", -4_702],
        ["liabilities:lp:ana:sats", "sat", -67_500],
        ["liabilities:lp:ana:cash:m1", "GTQ", 135_000],
        ["liabilities:lp:ben:sats", "sat", -7_500],
        ["liabilities:lp:ben:cash:m1", "GTQ", 15_000],
    ]


def test_a_correction_equals_a_true_report(house: House) -> None:
    """Corrected at once, everybody has what they would have, had the machine reported 1,500; but for the sats owed."""
    house.sell()
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    honest = open_house()
    honest.sell(fiat="1500.00", fee_sats=5_827)
    corrected = house.ledger()
    owed = corrected.pop("liabilities:customer:s1 sat")
    assert corrected | {"assets:sats sat": corrected["assets:sats sat"] + owed} == honest.ledger()


@pytest.mark.parametrize("ways", [("1500", "1000"), ("500", "1000"), ("1000",), ("1999.99", "0.02", "1000")])
def test_a_correction_may_be_corrected(house: House, ways: tuple[str, ...]) -> None:
    """Whatever was said between, the last one counts, scaled from the report: 50,000 and 3,885 sats, 53,885 owed."""
    house.sell()
    for fiat in ways:
        assert isinstance(do(house, f"settlement partial s1 fiat={fiat} note=recounted"), SettlementCorrected)
    assert house.ledger() == {
        "assets:cash:m1 GTQ": 900_000,
        "liabilities:lp:ana:cash:m1 GTQ": -810_000,
        "liabilities:lp:ben:cash:m1 GTQ": -90_000,
        "assets:sats sat": 107_770,
        "liabilities:platform sat": -750,
        "equity:operator sat": -3_135,
        "liabilities:lp:ana:sats sat": -45_000,
        "liabilities:lp:ben:sats sat": -5_000,
        "liabilities:customer:s1 sat": -53_885,
    }
    assert standing(house).owed_sats == 53_885
    assert len(standing(house).notes) == len(ways)
    check_trail(house)


def test_what_is_owed_is_refunded(house: House) -> None:
    """The customer's 26,943 leave; the corrected sharing stands."""
    house.sell()
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    done = do(house, 'settlement refund s1 reason="paid back over Lightning"')
    assert isinstance(done, SettlementRefunded)
    assert (done.sats, done.fiat_minor, done.voided) == (26_943, 0, ())
    left = CORRECTED_TO_1500 | {"assets:sats sat": 80_827}
    del left["liabilities:customer:s1 sat"]
    assert house.ledger() == left
    assert (standing(house).status, standing(house).owed_sats) == (SettlementStatus.REFUNDED, 0)
    assert sum(leg.sats for leg in standing(house).legs_in_force) == standing(house).wire_sats == 80_827
    check_trail(house)


def test_a_mismatched_fee_stays_mismatched_in_proportion(house: House) -> None:
    """230 sats too much on 2,000: floor(8,000 x 3/4) = 6,000 less 1,125 and 4,702 are 173 too much on 1,500."""
    house.sell(fee_sats=8_000)
    corrected = do(house, "settlement partial s1 fiat=1500 note=jammed")
    assert isinstance(corrected, SettlementCorrected)
    assert (corrected.fee_sats, corrected.fee_mismatch_sats) == (6_000, 173)
    assert in_force(house)[:2] == ["super_fee platform 1125 for None", "operator_split operator 4875 for None"]


@pytest.mark.parametrize(
    ("fiat", "code"),
    [
        ("2000.01", Code.BAD_ARGUMENT),
        ("0", Code.BAD_ARGUMENT),
        ("-1", Code.BAD_ARGUMENT),
        ("1500.001", Code.BAD_ARGUMENT),
        ("abc", Code.BAD_ARGUMENT),
        ("1" * 41, Code.BAD_ARGUMENT),
        ("1500", Code.WRONG_STATUS),  # it is corrected to that already
        ("1500.00", Code.WRONG_STATUS),
    ],
)
def test_what_cannot_have_been_dispensed(house: House, fiat: str, code: Code) -> None:
    """Less than reported, more than nothing, and other than what is known already."""
    house.sell()
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    assert refused(do(house, f"settlement partial s1 fiat={fiat} note=again"))[0] is code
    assert house.ledger() == CORRECTED_TO_1500


def test_less_than_a_sat_is_a_refund(house: House) -> None:
    """At 0.01 sats per unit a cent is no sat: the refusal says what to do."""
    house.sell(fiat="2000.00", rate="0.01", fee_sats=0)
    code, message = refused(do(house, "settlement partial s1 fiat=0.01 note=jammed"))
    assert code is Code.BAD_ARGUMENT
    assert "settlement refund s1" in message


def test_a_cash_in_dispenses_nothing(house: House) -> None:
    house.sell(tx_type="cash_in")
    code, message = refused(do(house, "settlement partial s1 fiat=1500 note=jammed"))
    assert (code, "cash-in" in message) == (Code.BAD_ARGUMENT, True)


@pytest.mark.parametrize("verb", ["partial s1 fiat=1500 note", "refund s1 reason", "reset s1 reason", "note s1"])
@pytest.mark.parametrize("nothing", ['""', '"  "'])
def test_a_reason_says_something(house: House, verb: str, nothing: str) -> None:
    """A note that must be given is not an empty one."""
    house.sell()
    text = f"settlement {verb} {nothing}" if verb.startswith("note") else f"settlement {verb}={nothing}"
    assert refused(do(house, text))[0] is Code.BAD_ARGUMENT
    assert house.ledger() == AFTER_ONE_SALE


# --- partial dispense after the world went on -----------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["pause", "mode fixed limit=5"])
def test_an_lp_that_left_sharing_since_keeps_its_part(house: House, gone: str) -> None:
    """It took part in the sale that is corrected; what it chose later is about later sales."""
    house.sell()
    house.say("ana", gone)
    do(house, "lp suspend ben")
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    assert house.ledger() == CORRECTED_TO_1500
    check_trail(house)


def test_nobody_partakes_who_did_not_at_first(house: House) -> None:
    """faults.md row 63: neither a new LP nor ben's new cash pays for a sale that was over before."""
    house.sell()
    house.add_lp("eva", "50000")
    house.add_cash("ben", "40000")
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    assert in_force(house)[2:] == ["dca ana 67500 for 135000", "dca ben 7500 for 15000"]
    assert [house.remaining(lp) for lp in ("ana", "ben", "eva")] == ["7650.00", "40850.00", "50000.00"]
    check_trail(house)


def test_a_sale_without_lps_stays_the_operators(house: House) -> None:
    """faults.md row 57: no LP had cash at the first sharing, so none has a part in its correction."""
    empty = House.open()
    empty.sell()
    empty.add_lp("ana", "9000")
    do(empty, "settlement partial s1 fiat=1500 note=jammed")
    assert in_force(empty)[2:] == ["dca nobody 0 for 0", "operator operator 75000 for 150000"]
    assert empty.ledger() == {
        "assets:cash:m1 GTQ": 750_000,
        "liabilities:lp:ana:cash:m1 GTQ": -900_000,
        "equity:operator GTQ": 150_000,
        "assets:sats sat": 107_770,
        "liabilities:platform sat": -1_125,
        "equity:operator sat": -79_702,
        "liabilities:customer:s1 sat": -26_943,
    }
    check_trail(empty)


def test_after_other_sales_took_all_the_cash(house: House) -> None:
    """The second sale of 8,000 left nothing; what comes back of the first, 1,800 and 200, is all there is to spend."""
    house.sell()
    house.sell(fiat="8000.00")
    assert (house.remaining("ana"), house.remaining("ben")) == ("0.00", "0.00")
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    assert in_force(house)[2:] == ["dca ana 67500 for 135000", "dca ben 7500 for 15000"]
    assert (house.remaining("ana"), house.remaining("ben")) == ("450.00", "50.00")
    check_trail(house)


def test_after_the_rest_of_a_deposit_went_home(house: House) -> None:
    """Ana took 7,200 back, so 1,800 come back to her and 1,000 to ben: 1,500 are shared 1,800 to 1,000."""
    house.sell()
    assert not isinstance(do(house, "deposit reverse d1 reason=home amount=7200"), CommandRefused)
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    assert in_force(house)[2:] == ["dca ana 48215 for 96429", "dca ben 26785 for 53571"]
    assert (house.remaining("ana"), house.remaining("ben")) == ("835.71", "464.29")
    check_trail(house)


def test_what_came_back_by_one_correction_may_be_gone_by_the_next(house: House) -> None:
    """Corrected down, spent elsewhere, corrected up again: LPs spend what they have, the operator covers the rest."""
    house.sell()
    do(house, "settlement partial s1 fiat=0.02 note=jammed")
    house.sell(fiat="9999.98")
    assert (house.remaining("ana"), house.remaining("ben")) == ("0.00", "0.00")
    do(house, "settlement partial s1 fiat=1500 note=recounted")
    assert in_force(house)[2:] == [
        "dca ana 1 for 2",
        "dca ben 0 for 0",
        "operator operator 74999 for 149998",
    ]
    check_trail(house)


def test_an_lp_that_fell_out_of_a_correction_comes_back_in_the_next(house: House) -> None:
    """Ben's part of 0.03 GTQ is no sat; of 1,500 it is 7,500 sats again."""
    house.sell()
    do(house, "settlement partial s1 fiat=0.03 note=jammed")
    assert in_force(house) == ["dca ana 1 for 3", "dca ben 0 for 0"]
    do(house, "settlement partial s1 fiat=1500 note=recounted")
    assert house.ledger() == CORRECTED_TO_1500
    check_trail(house)


def test_splits_in_force_now_share_the_corrected_fee(house: House) -> None:
    """faults.md row 62: to an LP, to a foreign key and to self; 4,702 by 50, 30 and 20 % is 2,351, 1,411 and 940."""
    house.sell()
    do(house, "splits set a=50%:ana p=30%:@paper me=20%:self")
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    paper = person("paper").pubkey
    assert house.ledger() == CORRECTED_TO_1500 | {
        "equity:operator sat": -940,
        "liabilities:lp:ana:sats sat": -(67_500 + 2_351),
        f"liabilities:party:{paper} sat": -1_411,
    }
    do(house, "splits set me=100%:self")
    do(house, "settlement partial s1 fiat=1000 note=recounted")
    assert f"liabilities:party:{paper} sat" not in house.ledger()
    check_trail(house)


def test_a_suspended_machine_and_a_rotated_key_do_not_hinder(house: House) -> None:
    """The sale was booked while the machine could speak."""
    house.sell()
    do(house, "machine suspend m1")
    do(house, "machine rotate m1 @m1-new")
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    assert house.ledger() == CORRECTED_TO_1500


# --- refund ---------------------------------------------------------------------------------------------------------


def test_a_whole_sale_is_refunded(house: House) -> None:
    """All sats leave, the cash never left: every leg is voided and the ledger is as before the sale."""
    house.sell()
    assert house.ledger() == AFTER_ONE_SALE
    done = do(house, 'settlement refund s1 reason="no cash came out"')
    assert isinstance(done, SettlementRefunded)
    assert (done.sats, done.fiat_minor) == (107_770, 200_000)
    assert house.ledger() == BEFORE_ANY_SALE
    now = standing(house)
    assert (now.status, now.owed_sats, now.legs_in_force) == (SettlementStatus.REFUNDED, 0, ())
    assert {leg.status for leg in now.legs} == {LegStatus.VOIDED}
    check_trail(house)


def test_a_refund_takes_splits_back(house: House) -> None:
    """From an LP, a foreign key and the operator, whatever splits are in force by then."""
    do(house, "splits set a=50%:ana p=30%:@paper me=20%:self")
    house.sell()
    do(house, "splits set me=100%:self")
    do(house, "settlement refund s1 reason=nothing")
    assert house.ledger() == BEFORE_ANY_SALE
    check_trail(house)


def test_a_cash_in_is_refunded(house: House) -> None:
    """The sats come back from the customer, its cash goes back to it, and the fees with it."""
    do(house, "splits set a=50%:ana p=30%:@paper me=20%:self")
    house.sell(tx_type="cash_in")
    assert house.ledger() == BEFORE_ANY_SALE | {
        "assets:cash:m1 GTQ": 1_200_000,
        "equity:operator GTQ": -200_000,
        "assets:sats sat": -94_000,
        "equity:operator sat": 99_000,
        "liabilities:platform sat": -1_000,
        "liabilities:lp:ana:sats sat": -2_500,
        f"liabilities:party:{person('paper').pubkey} sat": -1_500,
    }
    do(house, "settlement refund s1 reason=regret")
    assert house.ledger() == BEFORE_ANY_SALE
    check_trail(house)


def test_one_that_was_never_booked_is_refunded_without_a_posting(house: House) -> None:
    """Held, or set aside: the operator says that the customer has its sats back, and nothing moves."""
    hold(house)
    hold(house)
    do(house, "settlement reset s2 reason=odd")
    for number in (1, 2):
        assert isinstance(do(house, f"settlement refund s{number} reason=odd"), SettlementRefunded)
        assert orjson.loads(house.entries[-1].body)["postings"] == []
        assert standing(house, number).status is SettlementStatus.REFUNDED
    assert house.ledger() == BEFORE_ANY_SALE
    check_trail(house)


def test_a_refunded_sale_is_still_known(house: House) -> None:
    """Its machine may repeat it for ever: it is answered and not booked again."""
    house.sell()
    event = house.entries[-1].given
    do(house, "settlement refund s1 reason=nothing")
    assert isinstance(house.take(event), Duplicate)
    fresh = report("m1", orjson.loads(event.plaintext), at=house.now)
    assert isinstance(house.take(fresh), Duplicate)
    assert house.ledger() == BEFORE_ANY_SALE


# --- the table of legal moves ---------------------------------------------------------------------------------------


def _errored(house: House) -> None:
    hold(house)
    do(house, "settlement reset s1 reason=odd")


def _partial(house: House) -> None:
    house.sell()
    do(house, "settlement partial s1 fiat=1500 note=jammed")


def _refunded(house: House) -> None:
    house.sell()
    do(house, "settlement refund s1 reason=odd")


def _processing(house: House) -> None:
    """No command makes one: it is for payouts that take time (a later part of the project)."""
    hold(house)
    dossier = house.book.recall.dossiers[1]
    moved = SettlementMoved(1, "m1", SettlementStatus.PROCESSING, "claimed", (), "", "")
    house.book.recall.dossiers[1] = dossier.followed_by(moved, house.now)


MADE: dict[SettlementStatus, Callable[[House], Any]] = {
    SettlementStatus.PENDING: hold,
    SettlementStatus.PROCESSING: _processing,
    SettlementStatus.PROCESSED: lambda house: house.sell(),
    SettlementStatus.PARTIAL: _partial,
    SettlementStatus.REFUNDED: _refunded,
    SettlementStatus.ERRORED: _errored,
    SettlementStatus.REJECTED: lambda house: house.sell(wire_sats=1),
}
SAID = {
    "release": "settlement release s1",
    "reset": "settlement reset s1 reason=odd",
    "retry": "settlement retry s1",
    "partial": "settlement partial s1 fiat=1000 note=odd",
    "refund": "settlement refund s1 reason=odd",
    "note": "settlement note s1 odd",
}
LEGAL: dict[SettlementStatus, dict[str, SettlementStatus]] = {
    SettlementStatus.PENDING: {
        "release": SettlementStatus.PROCESSED,
        "reset": SettlementStatus.ERRORED,
        "refund": SettlementStatus.REFUNDED,
    },
    SettlementStatus.PROCESSING: {"reset": SettlementStatus.ERRORED},
    SettlementStatus.PROCESSED: {"partial": SettlementStatus.PARTIAL, "refund": SettlementStatus.REFUNDED},
    SettlementStatus.PARTIAL: {"partial": SettlementStatus.PARTIAL, "refund": SettlementStatus.REFUNDED},
    SettlementStatus.REFUNDED: {},
    SettlementStatus.ERRORED: {"retry": SettlementStatus.PROCESSED, "refund": SettlementStatus.REFUNDED},
    SettlementStatus.REJECTED: {},
}
NEXT = {
    SettlementStatus.PENDING: "settlement release s1",
    SettlementStatus.PROCESSING: "settlement reset s1",
    SettlementStatus.PROCESSED: "settlement show s1",
    SettlementStatus.PARTIAL: "settlement refund s1",
    SettlementStatus.REFUNDED: "settlement show s1",
    SettlementStatus.ERRORED: "settlement retry s1",
    SettlementStatus.REJECTED: "look into the machine",
}


@pytest.mark.parametrize("status", SettlementStatus)
@pytest.mark.parametrize("verb", SAID)
def test_every_command_in_every_status(house: House, status: SettlementStatus, verb: str) -> None:
    """Rows 36-38: what is not in the table is refused as wrong_status, names the status and the next safe step."""
    MADE[status](house)
    assert as_it_stands(house.book.recall.dossiers[1]).status is status
    before, head = house.ledger(), house.chain.head
    outcome = do(house, SAID[verb])
    now = as_it_stands(house.book.recall.dossiers[1])
    if verb == "note":
        assert isinstance(outcome, SettlementNoted)
        assert (now.status, house.ledger()) == (status, before)
    elif verb in LEGAL[status]:
        assert not isinstance(outcome, CommandRefused)
        assert now.status is LEGAL[status][verb]
    else:
        code, message = refused(outcome)
        assert code is Code.WRONG_STATUS
        assert f"s1 is {status}: no {verb} for it" in message
        assert NEXT[status] in message
        assert (now.status, house.ledger(), house.chain.head) == (status, before, head)


@pytest.mark.parametrize("verb", SAID)
@pytest.mark.parametrize("number", ["s2", "0", "s999999999999999"])
def test_there_is_no_such_settlement(house: House, verb: str, number: str) -> None:
    """The same answer as for somebody else's."""
    house.sell()
    assert refused(do(house, SAID[verb].replace("s1", number, 1)))[0] is Code.NOT_FOUND


@pytest.mark.parametrize("verb", SAID)
@pytest.mark.parametrize("who", ["ana", "m1", "platform", "stranger"])
def test_only_the_operator_may(house: House, verb: str, who: str) -> None:
    house.sell()
    head = house.chain.head
    assert refused(house.say(who, SAID[verb]))[0] is Code.NOT_ALLOWED
    assert house.chain.head == head


# --- reset ----------------------------------------------------------------------------------------------------------


def test_a_fresh_one_is_reset_with_a_reason_only(house: House) -> None:
    """Row 39: not_stuck under 30 minutes, and what to say instead; with a reason at once."""
    hold(house)
    code, message = refused(do(house, "settlement reset s1"))
    assert code is Code.NOT_STUCK
    assert "settlement release s1" in message
    assert 'reason="' in message
    moved = do(house, 'settlement reset s1 reason="a wallet saw nothing"')
    assert isinstance(moved, SettlementMoved)
    assert (moved.status, moved.error) == (SettlementStatus.ERRORED, "force-reset by operator (was stuck)")
    assert [note.text for note in standing(house).notes] == ["a wallet saw nothing"]


@pytest.mark.parametrize(("waited_s", "stuck"), [(HALF_AN_HOUR - 1, False), (HALF_AN_HOUR, True)])
def test_stuck_is_half_an_hour(house: House, waited_s: int, stuck: bool) -> None:
    """To the second, since it came to its status."""
    hold(house)
    house.now = standing(house).since + waited_s - 1
    assert isinstance(do(house, "settlement reset s1"), SettlementMoved) is stuck


def test_stuck_is_counted_from_when_it_was_held_again(house: House) -> None:
    """W2's defect: one that is old, set aside and now held again is fresh."""
    hold(house)
    house.now += HALF_AN_HOUR
    do(house, "settlement reset s1")
    house.now += 10 * HALF_AN_HOUR
    do(house, "guard m1 per_settlement=1")
    assert isinstance(do(house, "settlement retry s1"), SettlementMoved)
    held_at = house.now
    assert refused(do(house, "settlement reset s1"))[0] is Code.NOT_STUCK
    assert standing(house).since == held_at
    house.now = held_at + HALF_AN_HOUR - 1
    assert isinstance(do(house, "settlement reset s1"), SettlementMoved)
    check_trail(house)


# --- retry ----------------------------------------------------------------------------------------------------------


def test_a_reset_one_is_shared_out_by_a_retry(house: House) -> None:
    """With the cash, LPs and splits of then; the fees due are those of the report."""
    _errored(house)
    house.say("platform", "platform fee cash_in=1% cash_out=5%")
    done = do(house, "settlement retry s1")
    assert isinstance(done, SettlementProcessed)
    assert (done.number, done.platform_fee_sats) == (1, 1_500)
    assert house.ledger() == AFTER_ONE_SALE
    assert (standing(house).processed_at, standing(house).error) == (house.now, None)
    check_trail(house)


def test_a_guard_may_hold_it_again(house: House) -> None:
    """A retry is judged as if it were new; a release is not."""
    _errored(house)
    do(house, "guard m1 per_settlement=1999.99")
    moved = do(house, "settlement retry s1")
    assert isinstance(moved, SettlementMoved)
    assert (moved.status, moved.error) == (SettlementStatus.PENDING, "guard_per_settlement")
    assert house.ledger() == BEFORE_ANY_SALE
    assert isinstance(do(house, "settlement release s1"), SettlementProcessed)
    assert house.ledger() == AFTER_ONE_SALE
    check_trail(house)


@pytest.mark.parametrize("verb", ["retry", "release"])
def test_a_suspended_machine_s_settlement_waits_for_its_resumption(house: House, verb: str) -> None:
    """Row 25: nothing of it is booked; the refusal says why and what can be done."""
    _errored(house) if verb == "retry" else hold(house)
    do(house, "machine suspend m1")
    code, message = refused(do(house, f"settlement {verb} s1"))
    assert code is Code.WRONG_STATUS
    assert "machine resume m1" in message
    assert "settlement refund s1" in message
    assert house.ledger() == BEFORE_ANY_SALE
    do(house, "machine resume m1")
    assert isinstance(do(house, f"settlement {verb} s1"), SettlementProcessed)
    check_trail(house)


@pytest.mark.parametrize("verb", ["retry", "release"])
def test_a_settlement_outlives_the_key_it_was_reported_by(house: House, verb: str) -> None:
    """It was judged when it came, by the order of the journal; a key rotated since is no reason to lose it."""
    _errored(house) if verb == "retry" else hold(house)
    do(house, "machine rotate m1 @m1-new")
    assert isinstance(do(house, f"settlement {verb} s1"), SettlementProcessed)
    assert house.ledger() == AFTER_ONE_SALE
    check_trail(house)


def test_banknotes_that_stayed_in_the_machine_are_expected_again(house: House) -> None:
    """After a correction or a refund a count of what is really there finds no variance."""
    house.take(statement(at=house.now, **{"1": (100, 100)}))
    house.sell()
    assert expected(house) == 80
    do(house, 'settlement partial s1 fiat=1500 note="jammed"')
    assert expected(house) == 85
    do(house, 'settlement partial s1 fiat=1000 note="worse"')
    assert expected(house) == 90
    do(house, 'settlement refund s1 reason="paid back"')
    assert expected(house) == 90
    house.sell()
    do(house, 'settlement refund s2 reason="nothing came out"')
    assert expected(house) == 90
    do(house, "guard m1 per_settlement=1")
    house.sell()
    assert expected(house) == 70
    do(house, 'settlement refund s3 reason="nothing came out"')
    assert expected(house) == 90
    assert "equity:variance:m1 GTQ" not in house.ledger()


def expected(house: House) -> int:
    """Banknotes expected in the first cassette."""
    return house.book.tills["m1"].cassettes["1"].count


def test_of_many_notes_the_newest_are_shown(house: House) -> None:
    """All are in the trail; the answer about a settlement must fit in one event."""
    house.sell()
    for number in range(12):
        do(house, f'settlement note s1 "note {number}"')
    shown = show_settlement(house.book.recall.dossiers[1])["notes"].split("\n\n")
    assert [line.rpartition("] ")[2] for line in shown] == [*(f"note {n}" for n in range(11, 1, -1)), "(2 older notes)"]


def test_of_two_retries_one_wins(house: House) -> None:
    """Row 41."""
    _errored(house)
    assert isinstance(do(house, "settlement retry s1"), SettlementProcessed)
    assert refused(do(house, "settlement retry s1"))[0] is Code.WRONG_STATUS
    assert house.ledger() == AFTER_ONE_SALE


def _mixed(
    house: House,
    *,
    fees: LegStatus = LegStatus.COMPLETED,
    ana: LegStatus = LegStatus.COMPLETED,
    ben: LegStatus = LegStatus.FAILED,
) -> None:
    """A settlement set aside half way: the legs of its fees, ana's and ben's as given, one skipped.

    What is completed was booked with its own part of the sale. No command leads here yet: payouts will.
    """
    hold(house)
    dossier = house.book.recall.dossiers[1]
    birth = dossier.birth
    legs = (
        Leg(1, LegType.SUPER_FEE, None, "platform", None, 1_500, None, fees, None, None, None),
        Leg(2, LegType.OPERATOR_SPLIT, None, "operator", None, 6_270, None, fees, None, None, None),
        Leg(3, LegType.DCA, "ana", None, None, 90_000, 180_000, ana, None, 900_000, 720_000),
        Leg(4, LegType.DCA, "ben", None, None, 10_000, 20_000, ben, None, 100_000, 80_000),
        Leg(5, LegType.DCA, None, None, None, 0, 0, LegStatus.SKIPPED, None, None, None),
    )
    due = (birth.platform_fee_sats, birth.operator_fee_sats, birth.fee_mismatch_sats)
    paid = tuple(leg for leg in legs if leg.status is LegStatus.COMPLETED)
    part = replace(
        birth.sale, wire_sats=sum(leg.sats for leg in paid), fiat_minor=sum(leg.fiat_minor or 0 for leg in paid)
    )
    evolve(house.book, SettlementRetried(1, "m1", part, (), (), paid), Place(house.chain.seq, house.now, RULES))
    house.book.leg_count = 5
    claimed = SettlementProcessed(1, "m1", birth.event_id, birth.sale, *due, legs)
    broken = SettlementMoved(1, "m1", SettlementStatus.ERRORED, "a payout failed", (), "", "")
    later = ((claimed, house.now), (broken, house.now))
    house.book.recall.dossiers[1] = Dossier(birth, dossier.seq, dossier.at, dossier.hash, later)


@pytest.mark.parametrize("failed", [LegStatus.FAILED, LegStatus.PENDING])
def test_a_retry_of_mixed_legs_pays_only_what_was_not_paid(house: House, failed: LegStatus) -> None:
    """S8, row 40: completed legs are untouched, the failed one is voided and made again; the sums are exact."""
    _mixed(house, ben=failed)
    paid_already = house.ledger()
    assert paid_already["assets:sats sat"] == 97_770
    done = do(house, "settlement retry s1")
    assert isinstance(done, SettlementRetried)
    assert [leg.number for leg in done.kept] == [1, 2, 3]
    assert [(leg.number, leg.status) for leg in done.voided] == [(4, LegStatus.VOIDED)]
    assert [(leg.number, leg.lp, leg.sats, leg.fiat_minor, leg.status) for leg in done.legs] == [
        (6, "ben", 10_000, 20_000, LegStatus.COMPLETED)
    ]
    assert house.ledger() == AFTER_ONE_SALE
    now = as_it_stands(house.book.recall.dossiers[1])
    assert now.status is SettlementStatus.PROCESSED
    assert sum(leg.sats for leg in now.legs_in_force) == now.wire_sats == 107_770
    assert orjson.loads(house.entries[-1].body)["postings"] == [
        ["assets:sats", "sat", 10_000],
        ["assets:cash:m1", "GTQ", -20_000],
        ["liabilities:lp:ben:sats", "sat", -10_000],
        ["liabilities:lp:ben:cash:m1", "GTQ", 20_000],
    ]
    assert refused(do(house, "settlement retry s1"))[0] is Code.WRONG_STATUS


def test_a_retry_of_legs_that_all_failed_makes_them_all_again(house: House) -> None:
    """S8: none of the failed ones stays in force beside the new ones."""
    _mixed(house, fees=LegStatus.FAILED, ana=LegStatus.FAILED)
    assert house.ledger() == BEFORE_ANY_SALE
    assert isinstance(do(house, "settlement retry s1"), SettlementRetried)
    assert house.ledger() == AFTER_ONE_SALE
    now = as_it_stands(house.book.recall.dossiers[1])
    assert [leg.number for leg in now.legs_in_force] == [5, 6, 7, 8, 9]
    assert sum(leg.sats for leg in now.legs_in_force) == 107_770


def test_after_such_a_retry_it_is_a_settlement_like_others(house: House) -> None:
    """It can be corrected and refunded, and the ledger is as if nothing had ever failed."""
    _mixed(house)
    do(house, "settlement retry s1")
    do(house, "settlement partial s1 fiat=1500 note=jammed")
    assert house.ledger() == CORRECTED_TO_1500
    _mixed(other := open_house(), ana=LegStatus.FAILED)
    do(other, "settlement retry s1")
    do(other, "settlement refund s1 reason=odd")
    assert other.ledger() == BEFORE_ANY_SALE


def test_cash_spent_since_is_not_spent_again(house: House) -> None:
    """Ben's leg failed and his cash went into other sales: the retry is refused, and nobody is overdrawn."""
    _mixed(house)
    house.sell(fiat="8200.00")
    assert house.remaining("ben") == "0.00"
    before = house.ledger()
    code, message = refused(do(house, "settlement retry s1"))
    assert code is Code.NOT_ENOUGH_CASH
    assert "l4 of ben" in message
    assert house.ledger() == before
    house.add_cash("ben", "200")
    assert isinstance(do(house, "settlement retry s1"), SettlementRetried)
    assert house.remaining("ben") == "0.00"


def test_what_is_paid_in_part_is_not_refunded_as_if_it_were_not(house: House) -> None:
    """O9: completed legs are either reversed with the rest or stand; a refund that forgot them would lose sats."""
    _mixed(house)
    code, message = refused(do(house, "settlement refund s1 reason=odd"))
    assert code is Code.WRONG_STATUS
    assert "settlement retry s1" in message


def test_legs_paid_out_cannot_be_called_back(house: House) -> None:
    """S12, row 37: an external payout makes a correction and a refund impossible; the legs are named."""
    house.sell()
    dossier = house.book.recall.dossiers[1]
    assert isinstance(dossier.birth, SettlementProcessed)
    out = Leg(5, LegType.AUTOFORWARD, "ana", None, None, 90_000, None, LegStatus.COMPLETED, None, None, None)
    paid = SettlementRetried(1, "m1", dossier.birth.sale, dossier.birth.legs, (), (out,))
    house.book.recall.dossiers[1] = dossier.followed_by(paid, house.now)
    for text in (SAID["partial"], SAID["refund"]):
        code, message = refused(do(house, text))
        assert code is Code.ALREADY_PAID_OUT
        assert "l5" in message
        assert "settlement note s1" in message
    assert house.ledger() == AFTER_ONE_SALE


# --- notes ----------------------------------------------------------------------------------------------------------


def test_notes_are_written_as_agreed(house: House) -> None:
    """S14: `[<UTC ISO> by <npub>] text`, newest first, a blank line between; never edited, in any status."""
    house.sell(wire_sats=1)
    first_at = house.now + 1
    do(house, 'settlement note s1 "customer called"')
    house.now += 3_600
    do(house, 'settlement note s1 "[2026-01-01T00:00:00Z by nobody] forged"')
    by = person("operator").npub
    assert first_at == 1_790_000_013
    assert settlement_view(standing(house), entry=None, entry_hash=None)["notes"] == (
        f"[2026-09-21T15:13:34+00:00 by {by}] [2026-01-01T00:00:00Z by nobody] forged\n\n"
        f"[2026-09-21T14:13:33+00:00 by {by}] customer called"
    )


# --- any sequence ---------------------------------------------------------------------------------------------------

cents = st.integers(1, 300_000).map(lambda minor: f"{minor // 100}.{minor % 100:02}")
numbers = st.integers(1, 12)


class Troubles(RuleBasedStateMachine):
    """Sales and what operators do about them, in any order."""

    @initialize()
    def open(self) -> None:
        self.house = open_house()

    @rule(
        fiat=cents,
        rate=st.sampled_from(["50", "0.07", "3.3333"]),
        fee_sats=st.sampled_from([None, None, 0, 1, 5_000]),
        tx_type=st.sampled_from(["cash_out", "cash_out", "cash_in"]),
    )
    def sell(self, fiat: str, rate: str, fee_sats: int | None, tx_type: str) -> None:
        self.house.sell(fiat=fiat, rate=rate, fee_sats=fee_sats, tx_type=tx_type)

    @rule()
    def sell_wrong(self) -> None:
        assert isinstance(
            self.house.sell(wire_sats=1), SettlementRejected | Refusal
        )  # of a suspended one nothing is written

    @rule(number=numbers, fiat=cents)
    def correct(self, number: int, fiat: str) -> None:
        do(self.house, f"settlement partial s{number} fiat={fiat} note=odd")

    @rule(number=numbers, verb=st.sampled_from(["refund", "reset", "release", "retry", "retry"]))
    def move(self, number: int, verb: str) -> None:
        reason = " reason=odd" if verb in ("refund", "reset") else ""
        do(self.house, f"settlement {verb} s{number}{reason}")

    @rule(number=numbers)
    def reset_the_stuck(self, number: int) -> None:
        do(self.house, f"settlement reset s{number}")

    @rule(fiat=cents, rate=st.sampled_from(["50", "49.9"]), direction=st.sampled_from(Direction))
    def add(self, fiat: str, rate: str, direction: Direction) -> None:
        do(self.house, f"settlement add machine=m1 fiat_amount={fiat} exchange_rate={rate} tx_type={direction}")

    @rule(lp=st.sampled_from(["ana", "ben", "eva"]), amount=cents)
    def deposit(self, lp: str, amount: str) -> None:
        if lp not in self.house.book.lps:
            self.house.add_lp(lp)
        self.house.add_cash(lp, amount)

    @rule(number=st.integers(1, 4), amount=st.none() | cents)
    def take_back(self, number: int, amount: str | None) -> None:
        part = f" amount={amount}" if amount else ""
        do(self.house, f"deposit reverse d{number} reason=home{part}")

    @rule(
        said=st.sampled_from(
            [
                "guard m1 per_settlement=1000",
                "guard m1 per_day=1500 per_settlement=off",
                "guard m1 rate=1%",
                "guard m1 per_settlement=off per_day=off rate=off",
                "machine suspend m1",
                "machine resume m1",
                "machine set m1 trust=wallet",
                "machine set m1 trust=signature",
                "splits set a=50%:ana p=30%:@paper me=20%:self",
                "splits set me=100%:self",
                "lp suspend ben",
                "lp resume ben",
                "settle ana 100 machine=m1 rate=50",
            ]
        )
    )
    def change(self, said: str) -> None:
        do(self.house, said)

    @rule(said=st.sampled_from(["pause", "resume", "mode fixed limit=5", "mode flow"]))
    def choose(self, said: str) -> None:
        self.house.say("ana", said)

    @rule(by_s=st.integers(1, 100_000))
    def time_goes_by(self, by_s: int) -> None:
        self.house.now += by_s

    @rule()
    def restart(self) -> None:
        self.house.restart()

    @invariant()
    def the_books_balance(self) -> None:
        """Postings sum to zero per unit, and the seats agree with the ledger."""
        check_books(self.house.book)
        for lp in self.house.book.lps.values():
            assert self.house.book.sats_owed(lp.handle) >= 0
            for seat in lp.seats.values():
                assert 0 <= seat.spent_minor <= seat.deposited_minor

    @invariant()
    def a_settlement_is_its_parts(self) -> None:
        """Legs in force and what is owed are what the customer paid; the ledger owes no customer anything else."""
        owed = {}
        for number, dossier in dossiers(self.house).items():
            now = as_it_stands(dossier)
            parts = sum(leg.sats for leg in now.legs_in_force)
            booked = now.status in (SettlementStatus.PROCESSED, SettlementStatus.PARTIAL)
            if now.sale.direction is Direction.CASH_OUT:
                assert parts == (now.wire_sats if parts or booked else 0)
                assert sum(leg.fiat_minor or 0 for leg in now.legs_in_force) == (now.fiat_minor if parts else 0)
            else:
                assert parts == (now.fee_sats if booked else 0)
            if now.status is SettlementStatus.PARTIAL:
                assert parts + now.owed_sats == now.sale.wire_sats
            if now.owed_sats:
                owed[f"liabilities:customer:s{number} sat"] = -now.owed_sats
        ledger = self.house.ledger()
        assert {account: sats for account, sats in ledger.items() if ":customer:" in account} == owed

    def teardown(self) -> None:
        """The ledger is the replay of the bytes, and the trail verifies."""
        if hasattr(self, "house"):
            check_trail(self.house)


Troubles.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestTroubles = Troubles.TestCase


def test_a6_a_settlement_has_room_for_so_many_notes_and_changes(house: House) -> None:
    """Then it says so; what ends it is possible still, and a trail with all of it verifies."""
    house.sell()
    for n in range(CHANGES_MAX):
        assert isinstance(house.say("operator", f"settlement note s1 word-{n}"), SettlementNoted)
    for words in ("settlement note s1 more", "settlement partial s1 fiat=100 note=jammed"):
        outcome = house.say("operator", words)
        assert isinstance(outcome, CommandRefused)
        assert outcome.code is Code.TOO_MANY
        assert "settlement show s1" in outcome.message
    assert isinstance(house.say("operator", "settlement refund s1 reason=x"), SettlementRefunded)


def test_a6_one_that_is_set_aside_again_and_again_ends(house: House) -> None:
    """Reset and held once more, until there is no room: then it can be released or refunded only."""
    house.say("operator", "guard m1 per_settlement=1")
    house.sell()
    rounds = 0
    while isinstance(house.say("operator", "settlement reset s1 reason=again"), SettlementMoved):
        house.say("operator", "settlement retry s1")
        rounds += 1
    assert rounds == CHANGES_MAX // 2
    assert isinstance(house.say("operator", "settlement release s1"), SettlementProcessed)


def test_a6_so_many_corrections(house: House) -> None:
    """Each makes all its legs again; the last one stands, and the rest is paid back."""
    house.sell()
    for n in range(CORRECTIONS_MAX):
        assert isinstance(
            house.say("operator", f"settlement partial s1 fiat={1900 - n} note=jammed"), SettlementCorrected
        )
    outcome = house.say("operator", "settlement partial s1 fiat=100 note=jammed")
    assert isinstance(outcome, CommandRefused)
    assert outcome.code is Code.TOO_MANY
    assert isinstance(house.say("operator", "settlement refund s1 reason=x"), SettlementRefunded)
