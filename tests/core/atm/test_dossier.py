"""Dossiers: a settlement folded from its facts (docs/protocol.md section 5; acceptance S1, S6, S14)."""

import gc
import time
from typing import Any

import pytest

from nostrbot.core.atm.dossier import Settlement, as_it_stands
from nostrbot.core.atm.settlements.facts import SettlementNoted
from nostrbot.core.atm.states import LegStatus, SettlementStatus
from tests.houses import House, person

PENDING, PROCESSED, ERRORED, PARTIAL, REFUNDED = (
    SettlementStatus.PENDING,
    SettlementStatus.PROCESSED,
    SettlementStatus.ERRORED,
    SettlementStatus.PARTIAL,
    SettlementStatus.REFUNDED,
)
RESET = "force-reset by operator (was stuck)"


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    return house


def standing(house: House) -> Settlement:
    return as_it_stands(house.book.recall.dossiers[1])


def legs(settlement: Settlement) -> list[tuple[int, str]]:
    return [(leg.number, leg.status) for leg in settlement.legs]


def amounts(settlement: Settlement) -> dict[str, Any]:
    return {
        name: getattr(settlement, name)
        for name in (
            "wire_sats",
            "principal_sats",
            "fee_sats",
            "fiat_minor",
            "platform_fee_sats",
            "operator_fee_sats",
            "reported_platform_fee_sats",
            "reported_operator_fee_sats",
            "owed_sats",
        )
    }


def test_a_life_in_full(house: House) -> None:
    """Held, set aside, held again, shared out, corrected, refunded: status, times and the error of each step."""
    house.say("operator", "guard m1 per_settlement=1")
    house.sell()
    born_at = house.now
    steps = []
    for text in (
        "settlement reset s1 reason=first",
        "settlement retry s1",
        "settlement release s1",
        "settlement partial s1 fiat=1500 note=second",
        "settlement note s1 third",
        "settlement refund s1 reason=fourth",
    ):
        house.now += 100
        house.say("operator", text)
        now = standing(house)
        steps.append((now.status, now.error, now.since - born_at, now.processed_at and now.processed_at - born_at))
    assert steps == [
        (ERRORED, RESET, 101, None),
        (PENDING, "guard_per_settlement", 202, None),
        (PROCESSED, None, 303, 303),
        (PARTIAL, None, 404, 404),
        (PARTIAL, None, 404, 404),
        (REFUNDED, None, 606, 606),
    ]
    now = standing(house)
    assert now.created_at == born_at
    assert [(note.text, note.at - born_at) for note in now.notes] == [
        ("fourth", 606),
        ("third", 505),
        ("second", 404),
        ("first", 101),
    ]
    assert {note.by for note in now.notes} == {person("operator").pubkey}
    assert legs(now) == [
        *[(n, LegStatus.VOIDED) for n in (1, 2, 3, 4)],
        *[(n, LegStatus.COMPLETED) for n in (5, 6, 7, 8)],
    ]


def test_a_correction_changes_what_is_in_force_and_not_the_report(house: House) -> None:
    house.sell()
    reported = standing(house)
    house.say("operator", "settlement partial s1 fiat=1500 note=jammed")
    now = standing(house)
    assert now.sale == reported.sale
    assert amounts(reported) == {
        "wire_sats": 107_770,
        "principal_sats": 100_000,
        "fee_sats": 7_770,
        "fiat_minor": 200_000,
        "platform_fee_sats": 1_500,
        "operator_fee_sats": 6_270,
        "reported_platform_fee_sats": 1_500,
        "reported_operator_fee_sats": 6_270,
        "owed_sats": 0,
    }
    assert amounts(now) == {
        "wire_sats": 80_827,
        "principal_sats": 75_000,
        "fee_sats": 5_827,
        "fiat_minor": 150_000,
        "platform_fee_sats": 1_125,
        "operator_fee_sats": 4_702,
        "reported_platform_fee_sats": 1_500,
        "reported_operator_fee_sats": 6_270,
        "owed_sats": 26_943,
    }
    assert [leg.number for leg in now.legs_in_force] == [5, 6, 7, 8]


def test_looking_changes_nothing(house: House) -> None:
    """A dossier is a value: one that goes on is another one."""
    house.sell()
    before = house.book.recall.dossiers[1]
    house.say("operator", "settlement note s1 one")
    assert before.later == ()
    assert len(house.book.recall.dossiers[1].later) == 1
    assert (house.book.recall.dossiers[1].seq, house.book.recall.dossiers[1].birth) == (before.seq, before.birth)


def test_a_rejected_one_has_neither_legs_nor_a_time_of_processing(house: House) -> None:
    house.sell(wire_sats=1)
    now = standing(house)
    assert (now.status, now.error, now.legs, now.processed_at) == (
        SettlementStatus.REJECTED,
        "amounts_inconsistent",
        (),
        None,
    )


@pytest.mark.parametrize("what", ["notes", "corrections"])
def test_a6_folding_takes_as_long_as_it_is(house: House, what: str) -> None:
    """Ten times the life takes some ten times as long, not a hundred times: a home of before may have any number."""
    house.sell()
    for n in range(20):
        house.say("operator", f"settlement partial s1 fiat={1900 - n} note=jammed")
    dossier = house.book.recall.dossiers[1]
    noted = SettlementNoted(1, person("operator").pubkey, "a word")
    kind = noted if what == "notes" else dossier.later[-1][0]

    def seconds(count: int) -> float:
        long = dossier.followed_by_all([(kind, house.now)] * count)
        began = time.process_time()
        settlement = as_it_stands(long)
        took = time.process_time() - began
        assert settlement.changes == 20 + count
        return took

    gc.disable()  # what it looks at are all tests' objects
    try:
        short = min(seconds(2_000) for _ in range(5))
        long = min(seconds(20_000) for _ in range(5))
    finally:
        gc.enable()
    assert long < 40 * short
