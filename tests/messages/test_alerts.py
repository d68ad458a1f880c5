"""Alarms: what is found, what is told of it, and how seldom (acceptance B12, Q3; faults.md rows 6, 16, 17)."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.core.atm.fleet import MachineStatus
from nostrbot.core.atm.till import Till
from nostrbot.core.atm.unread import UnreadSale
from nostrbot.core.snapshots import restore_snapshot, take_snapshot
from nostrbot.messages.alerts import (
    WORSE,
    Alert,
    AlertState,
    AlertsTold,
    Surroundings,
    find_alerts,
    notify,
    read_alerts_told,
)
from tests.houses import DAWN, House, person, report, sale
from tests.machines import statement

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 24 * 3600
OPERATOR = person("operator").pubkey
HEARD_AT = DAWN + 100  # 08:15 in Guatemala, where the house stands


def around(now: int, *, hearing_since: int | None = DAWN, **others: Any) -> Surroundings:
    """All is well around the books, unless said otherwise."""
    usual: dict[str, Any] = {"writers": 1, "min_ok": 1, "short_since": None}
    return Surroundings(now=now, hearing_since=hearing_since, **usual | others)


def found(
    house: House,
    now: int,
    sighting: MachineStatus | None = None,
    *,
    known: Mapping[str, AlertState] | None = None,
    **others: Any,
) -> list[str]:
    """The words of all alarms of a house, m1 being known by this sighting."""
    return [alarm.text for alarm in alarms_of(house, now, sighting, known=known, **others)]


def alarms_of(
    house: House,
    now: int,
    sighting: MachineStatus | None = None,
    *,
    known: Mapping[str, AlertState] | None = None,
    **others: Any,
) -> tuple[Alert, ...]:
    sightings = {(OPERATOR, "m1"): sighting} if sighting else {}
    return find_alerts(house.book, sightings, around(now, **others), known=known or {})


def heard(at: int = HEARD_AT, **others: Any) -> MachineStatus:
    return MachineStatus(beacon_at=at, heard_at=at, **others)


@pytest.fixture
def house() -> House:
    """m1, nothing sold."""
    return House.open()


@pytest.fixture
def stocked() -> House:
    """m1 with 120 banknotes of 100 and 300 of 20."""
    house = House.open()
    house.take(statement(at=house.now, _1=(100, 120), _2=(20, 300)))
    return house


# Machines that fall silent.


def test_all_is_well(house: House) -> None:
    """A house where nothing is wrong has no alarm."""
    house.sell()
    assert found(house, HEARD_AT + 60, heard()) == []


@pytest.mark.parametrize(
    ("silent_s", "expected"),
    [
        (179, []),
        (180, ["m1 is down: no beacon since 08:15"]),
        (419, ["m1 is down: no beacon since 08:15"]),
        (420, ["m1 is stuck: no beacon since 08:15"]),
        (DAY_S, ["m1 is stuck: no beacon since 2026-09-21 08:15"]),
    ],
)
def test_a_silent_machine_is_down_then_stuck(house: House, silent_s: int, expected: list[str]) -> None:
    """Three minutes without a beacon are down, seven are stuck; the time is the operator's."""
    assert found(house, HEARD_AT + silent_s, heard()) == expected


def test_the_operator_s_thresholds_count(house: House) -> None:
    """What `alerts` set is what decides."""
    house.say("operator", "alerts down=1 stuck=10")
    assert found(house, HEARD_AT + 60, heard()) == ["m1 is down: no beacon since 08:15"]
    assert found(house, HEARD_AT + 599, heard()) == ["m1 is down: no beacon since 08:15"]
    assert found(house, HEARD_AT + 600, heard()) == ["m1 is stuck: no beacon since 08:15"]


def test_who_never_sent_a_beacon_or_is_suspended_is_not_missed(house: House) -> None:
    """Nobody waits for a machine that does not send beacons, nor for one that its operator took out of service."""
    assert found(house, DAWN + DAY_S) == []
    assert found(house, DAWN + DAY_S, MachineStatus(telemetry="{}", telemetry_at=DAWN)) == []
    house.say("operator", "machine suspend m1")
    assert found(house, DAWN + DAY_S, heard()) == []


def test_what_could_not_be_heard_is_no_silence(house: House) -> None:
    """Silence counts from when relays are heard: after a start, or an outage of ours, machines get their time."""
    now = HEARD_AT + DAY_S
    assert found(house, now, heard(), hearing_since=None) == []
    assert found(house, now, heard(), hearing_since=now - 179) == []
    assert found(house, now, heard(), hearing_since=now - 180) == ["m1 is down: no beacon since 2026-09-21 08:15"]


def test_a_machine_that_is_down_stays_so_until_it_is_heard(house: House) -> None:
    """An outage of our relays is no beacon: what is down, or stuck, stays so; a beacon ends it."""
    now = HEARD_AT + 420
    _, known = notify({}, alarms_of(house, now, heard()), now)
    stuck = ["m1 is stuck: no beacon since 08:15"]
    assert found(house, now + 60, heard(), known=known, hearing_since=None) == stuck
    assert found(house, now + 60, heard(), known=known, hearing_since=now + 60) == stuck
    assert found(house, now + 60, heard(now + 30), known=known) == []


def test_a_clock_that_went_back_has_no_silent_machines(house: House) -> None:
    """A beacon heard in what is now the future was heard."""
    assert found(house, HEARD_AT - DAY_S, heard(), hearing_since=HEARD_AT - DAY_S) == []


@pytest.mark.parametrize(
    ("skew_s", "expected"),
    [
        (None, []),
        (900, []),
        (901, ["m1: its clock is 15 min ahead"]),
        (-900, []),
        (-7200, ["m1: its clock is 2 h behind"]),
    ],
)
def test_a_clock_that_drifts(house: House, skew_s: int | None, expected: list[str]) -> None:
    """More than a quarter of an hour either way (faults.md row 16)."""
    assert found(house, HEARD_AT, heard(skew_s=skew_s)) == expected


# Cassettes.


def test_a_low_cassette_says_how_long_it_lasts(stocked: House) -> None:
    """Fewer banknotes than the threshold: how many, and for how many days at the pace of the last week."""
    assert found(stocked, stocked.now) == []
    stocked.sell(bills=[{"denomination": 100, "count": 30}])
    assert found(stocked, stocked.now) == ["m1 cassette 1 is low: 90 x 100 GTQ left, about 3 days"]
    assert found(stocked, stocked.now + 2 * DAY_S) == ["m1 cassette 1 is low: 90 x 100 GTQ left, about 9 days"]
    stocked.now += 2 * DAY_S
    stocked.sell(bills=[{"denomination": 100, "count": 60}])
    assert found(stocked, stocked.now) == ["m1 cassette 1 is low: 30 x 100 GTQ left, about 1 day"]
    stocked.sell(bills=[{"denomination": 100, "count": 20}])
    assert found(stocked, stocked.now) == ["m1 cassette 1 is low: 10 x 100 GTQ left, less than a day"]
    stocked.sell(bills=[{"denomination": 100, "count": 10}])
    assert found(stocked, stocked.now) == ["m1 cassette 1 is empty"]


def test_a_low_cassette_nobody_draws_on_lasts(stocked: House) -> None:
    """Without a banknote taken within a week there is no pace."""
    stocked.say("operator", "cassette set m1 2 count=50")
    assert found(stocked, stocked.now) == ["m1 cassette 2 is low: 50 x 20 GTQ left"]
    stocked.sell(bills=[{"denomination": 20, "count": 10}])
    assert found(stocked, stocked.now) == ["m1 cassette 2 is low: 40 x 20 GTQ left, about 4 days"]
    assert found(stocked, stocked.now + 7 * DAY_S) == ["m1 cassette 2 is low: 40 x 20 GTQ left"]


def test_the_threshold_of_banknotes_is_the_operator_s(stocked: House) -> None:
    """`alerts low=`; 0 is never."""
    stocked.say("operator", "alerts low=121")
    assert found(stocked, stocked.now) == ["m1 cassette 1 is low: 120 x 100 GTQ left"]
    stocked.say("operator", "alerts low=0")
    stocked.say("operator", "cassette set m1 1 count=0")
    assert found(stocked, stocked.now) == []


def test_the_pace_is_of_a_week(stocked: House) -> None:
    """A till keeps seven local days, however long it works, and a snapshot keeps them too."""
    stocked.say("operator", "cassette set m1 2 count=100000")
    for _ in range(20):
        stocked.now += DAY_S
        stocked.sell(bills=[{"denomination": 20, "count": 70}])
    till = stocked.book.tills["m1"]
    assert list(till.taken.values()) == [{"2": 70}] * 7
    assert till.days_to_empty("2", max(till.taken)) == (100_000 - 20 * 70) // 70
    assert restored(stocked) == till


# What machines report.


def restored(house: House) -> Till:
    """m1's till as a snapshot keeps it."""
    return restore_snapshot(orjson.loads(orjson.dumps(take_snapshot(house.book)))).tills["m1"]


def test_fees_that_are_not_those_set(house: House) -> None:
    """The last settlement says it, and the next one that matches ends it."""
    house.sell(fiat="2000.00", fee_sats=8_000)
    assert found(house, house.now) == [
        "m1: fees are not those set here: s1 charged 8000 sats where 7770 were due (+230)"
    ]
    house.sell(fiat="2000.00", fee_sats=7_540)
    assert found(house, house.now) == [
        "m1: fees are not those set here: s2 charged 7540 sats where 7770 were due (-230)"
    ]
    assert restored(house) == house.book.tills["m1"]
    house.sell(fiat="2000.00", fee_sats=7_870)  # within 0.1 % of the principal
    assert found(house, house.now) == []


def test_a_gap_is_told_when_nothing_fills_it(house: House) -> None:
    """Settlements may overtake each other; one that is missing for two minutes is missing (faults.md row 6)."""
    for n in (41, 43):
        house.sell(n=n)
    at = house.now
    assert found(house, at + 119) == []
    assert found(house, at + 120) == ["m1: have 41 and 43, missing 42"]
    house.sell(n=42)
    assert found(house, at + 120) == []


def test_each_gap_is_a_line(house: House) -> None:
    """Runs are named as runs; the parts of one gap, the newest five of them, stay one line."""
    for n in (1, 3, 17):
        house.sell(n=n)
    for n in (5, 7, 9, 11, 13, 15):
        house.sell(n=n)
    assert found(house, house.now + 120) == [
        "m1: have 1 and 3, missing 2",
        "m1: have 7 and 9, missing 8; have 9 and 11, missing 10; have 11 and 13, missing 12; have 13 and 15, missing 14; "
        "have 15 and 17, missing 16; more: `fleet`",
    ]


def test_a_gap_that_was_told_stays_when_the_clock_goes_back(house: House) -> None:
    """It is filled by the settlement that is missing, by no clock (faults.md row 17)."""
    for n in (41, 43):
        house.sell(n=n)
    now = house.now + 120
    _, known = notify({}, alarms_of(house, now), now)
    assert found(house, now - HOUR_S) == []
    assert found(house, now - HOUR_S, known=known) == ["m1: have 41 and 43, missing 42"]


def test_rejected_settlements_of_an_hour(house: House) -> None:
    """How many, by reason, whoever is suspended; an hour later they are history."""
    house.sell(fiat_code="USD")
    house.sell(wire_sats=1)
    house.sell(wire_sats=1)
    at = house.now
    text = ["m1: rejected within the hour: 2 amounts_inconsistent, 1 currency_mismatch"]
    assert found(house, at) == text
    assert restored(house) == house.book.tills["m1"]
    house.say("operator", "machine suspend m1")
    assert found(house, at + HOUR_S - 3) == text
    assert found(house, at + HOUR_S - 1) == ["m1: rejected within the hour: 1 amounts_inconsistent"]
    assert found(house, at + HOUR_S) == []


def test_f3_each_sale_that_cannot_be_booked_is_told_and_a_flood_once(house: House) -> None:
    """Machine, field and event; also of a suspended machine, whose customer may have been half-way through."""
    unread = tuple(
        UnreadSale(DAWN, f"{n:x}" * 64, "txid", "txid: Input should be a valid string", None) for n in range(1, 6)
    )
    line = "m1 reported a sale that I cannot book: txid: Input should be a valid string (event {}…): `worklist` has it"
    assert found(house, DAWN, MachineStatus(unread=unread[:1])) == [line.format("1" * 8)]
    house.say("operator", "machine suspend m1")
    lines = found(house, DAWN, MachineStatus(unread=unread))
    assert lines == [*(line.format(n * 8) for n in "123"), "m1 reported 2 more that I cannot book: `worklist` has them"]


def test_a_conflict_is_told(house: House) -> None:
    """The second sale under one payment hash, with another amount, is told to a person (faults.md row 4)."""
    house.take(report("m1", sale(), at=house.now))
    assert found(house, house.now) == []
    house.take(report("m1", sale(wire_sats=107_771, fee_sats=7_771), at=house.now))
    assert found(house, house.now) == ["m1: rejected within the hour: 1 payment_hash_conflict"]


def test_rejections_kept_are_bounded(house: House) -> None:
    """A rogue machine does not grow the book."""
    for _ in range(101):
        house.sell(wire_sats=1)
    assert found(house, house.now) == ["m1: rejected within the hour: 100 amounts_inconsistent"]


def test_held_settlements(house: House) -> None:
    """Whoever sets a guard wants to hear of it at once: one line a machine, whatever comes of it later."""
    house.say("operator", "guard m1 per_settlement=100")
    house.sell()
    assert found(house, house.now) == ["m1: a settlement is held until you decide: settlement show s1 says why"]
    house.sell()
    held = ["m1: 2 settlements are held until you decide: settlement list status=pending"]
    assert found(house, house.now) == held
    house.say("operator", "settlement release s1")
    house.say("operator", 'settlement reset s2 reason="looking into it"')
    assert found(house, house.now) == []
    house.say("operator", "settlement retry s2")
    assert house.book.tills["m1"].held == [2]
    house.say("operator", 'settlement refund s2 reason="it never happened"')
    assert found(house, house.now) == []


# What concerns all of the book.


def test_too_few_relays(house: House) -> None:
    """A minute of fewer relays than a message needs."""
    few = {"writers": 1, "min_ok": 2}
    assert found(house, DAWN + 59, short_since=DAWN, **few) == []
    assert found(house, DAWN + 60, short_since=DAWN, **few) == [
        "relays: 1 connected, 2 must take a message before it counts as sent"
    ]


# When it is told.

DOWN = Alert("silent:m1", "m1 down", "m1 is down")
STUCK = Alert("silent:m1", "m1 stuck", "m1 is stuck", WORSE)
LOW = Alert("low:m1:1", "m1 cassette 1 low", "m1 cassette 1 is low")


class Day:
    """Looks, one after the other."""

    def __init__(self) -> None:
        self.known: dict[str, AlertState] = {}

    def look(self, now: int, *alarms: Alert) -> list[str]:
        """What is told at a second of the day, when this is so."""
        lines, known = notify(self.known, alarms, DAWN + now)
        self.known = dict(read_alerts_told(orjson.loads(orjson.dumps(AlertsTold("", known).plain()))).alarms)
        assert self.known == known
        return lines


def test_told_once_reminded_each_hour_over_once() -> None:
    """The life of an alarm."""
    day = Day()
    assert day.look(0, DOWN) == ["m1 is down"]
    assert day.look(5, DOWN) == []
    assert day.look(3599, DOWN) == []
    assert day.look(3600, DOWN) == ["Still: m1 is down"]
    assert day.look(7199, DOWN) == []
    assert day.look(7200, DOWN) == ["Still: m1 is down"]
    assert day.look(7205) == []
    assert day.look(7264) == []
    assert day.look(7265) == ["Over: m1 down"]
    assert day.look(7270) == []
    assert day.look(20_000) == []
    assert day.known == {}


def test_what_is_raised_together_is_told_together() -> None:
    """In the order it was found; what is over comes last."""
    day = Day()
    assert day.look(0, DOWN) == ["m1 is down"]
    day.look(100)
    assert day.look(160, LOW, STUCK._replace(fingerprint="silent:m2", text="m2 is stuck")) == [
        "m1 cassette 1 is low",
        "m2 is stuck",
        "Over: m1 down",
    ]


def test_worse_is_told_at_once() -> None:
    """Down becomes stuck; back to down is no news, and neither is stuck again within the hour."""
    day = Day()
    assert day.look(0, DOWN) == ["m1 is down"]
    assert day.look(240, STUCK) == ["m1 is stuck"]
    assert day.look(300, DOWN) == []
    assert day.look(400, STUCK) == []
    assert day.look(3840, STUCK) == ["Still: m1 is stuck"]


def test_flapping_within_a_minute_says_nothing() -> None:
    """An end that does not last is none."""
    day = Day()
    assert day.look(0, DOWN) == ["m1 is down"]
    for now in range(30, 3540, 60):
        assert day.look(now) == []
        assert day.look(now + 30, DOWN) == []


def test_back_within_the_hour_is_silent_until_it_is_worse_or_the_hour_is_over() -> None:
    """A machine that comes and goes: one message and one all-clear an hour; but what is worse is told."""
    day = Day()
    assert day.look(0, DOWN) == ["m1 is down"]
    day.look(100)
    assert day.look(160) == ["Over: m1 down"]
    assert day.look(400, DOWN) == []
    assert day.look(500) == []
    assert day.look(600) == []
    assert day.look(700, DOWN) == []
    assert day.look(900, STUCK) == ["m1 is stuck"]
    day.look(1000)
    assert day.look(1060) == ["Over: m1 stuck"]
    assert day.look(2000, DOWN) == []
    assert day.look(4499, DOWN) == []
    assert day.look(4500, DOWN) == ["m1 is down"]


def test_what_lasts_for_days_is_told_once_a_day_unless_it_changes() -> None:
    """A gap that nobody can fill must not cry each hour for ever."""
    day = Day()
    told = [hour for hour in range(72) if day.look(hour * HOUR_S, LOW)]
    assert told == [*range(24), 47, 71]
    changed = LOW._replace(text="m1 cassette 1 is lower")
    assert day.look(71 * HOUR_S + HOUR_S // 2, changed) == []
    assert day.look(72 * HOUR_S, changed) == ["Still: m1 cassette 1 is lower"]


def test_a_clock_that_goes_back_says_nothing_and_goes_on_from_there() -> None:
    """What was told in the future was told now: nothing twice, nothing never again (faults.md row 17)."""
    day = Day()
    assert day.look(DAY_S, DOWN) == ["m1 is down"]
    assert day.look(0, DOWN) == []
    assert day.look(3599, DOWN) == []
    assert day.look(3600, DOWN) == ["Still: m1 is down"]
    assert day.look(3700) == []
    assert day.look(0) == []
    assert day.look(60) == ["Over: m1 down"]


KINDS = (None, DOWN, STUCK)


@given(st.lists(st.tuples(st.integers(1, 1000), st.sampled_from(KINDS)), max_size=300))
def test_flapping_never_becomes_a_storm(looks: list[tuple[int, Alert | None]]) -> None:
    """However it comes and goes: an alarm at its level once an hour at the most, one all-clear for each time at the most."""
    day, now = Day(), 0
    told: dict[int, list[int]] = {0: [], WORSE: []}
    over = 0
    for seconds, alarm in looks:
        now += seconds
        for line in day.look(now, *([alarm] if alarm else [])):
            if line.startswith("Over: "):
                assert alarm is None
                over += 1
            else:
                assert alarm is not None
                told[alarm.level].append(now)
    for times in told.values():
        assert all(later - earlier >= HOUR_S for earlier, later in pairwise(times))
    assert over <= sum(map(len, told.values()))


@given(st.lists(st.tuples(st.integers(-10_000, 1000), st.sampled_from(KINDS)), max_size=300))
def test_whatever_the_clock_does_all_is_said_in_the_end(looks: list[tuple[int, Alert | None]]) -> None:
    """With a clock that jumps back: what was told and is over is said to be over, and then nothing is kept."""
    day, now, open_told = Day(), 10**7, False
    for seconds, alarm in [*looks, (60, None), (60, None), (HOUR_S, None)]:
        now += seconds
        for line in day.look(now, *([alarm] if alarm else [])):
            open_told = not line.startswith("Over: ")
    assert not open_told
    assert day.known == {}


def test_a_rung_without_its_end_told_is_kept() -> None:
    """Only what is over and an hour old is forgotten."""
    rung = AlertState(DAWN, DAWN, 0, "m1 down", "m1 is down")
    _, known = notify({"silent:m1": rung}, (), DAWN + DAY_S)
    assert known == {"silent:m1": replace(rung, gone_at=DAWN + DAY_S)}


def test_f2_relays_that_let_the_bot_hear_no_machine_are_told_of_after_a_minute(house: House) -> None:
    """Connected is not heard: whoever waits for sales hears that none arrive."""
    assert found(house, DAWN + 59, deaf_since=DAWN) == []
    [said] = found(house, DAWN + 60, deaf_since=DAWN)
    assert "relays: no relay lets me hear machines, so sales get no ack" in str(said)
