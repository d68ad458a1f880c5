"""Fixed mode: sats at times of the day, out of the operator's own (acceptance X6-X10, O12, O13; faults.md rows 17, 18)."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.facts import FixedPlanSet, LpPaid, SlotsKept
from nostrbot.core.atm.fixed import due_slots, floor_minor, next_slot_at
from nostrbot.core.atm.records import FixedPlan
from nostrbot.core.atm.settlements.facts import SettlementProcessed
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.engine import decide
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import Tick
from nostrbot.core.rules import RULES
from nostrbot.core.snapshots import take_snapshot
from nostrbot.money import format_minor
from nostrbot.refusals import Reason, Refusal
from tests.houses import House

DAY_S = 24 * 60 * 60
HOUR_S = 60 * 60


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def opened(tz: str, at: str, schedule: str = "08:00,20:00") -> House:
    """A house in a time zone, its clock at `at` (UTC), with fixed mode's times set and no LPs yet."""
    house = House.empty()
    house.now = utc(at)
    house.say("platform", f"operator add @operator name=antigua tz={tz}")
    house.say("platform", "platform fee cash_in=1% cash_out=1.5%")
    house.add_machine("m1")
    house.say("operator", f"fixed schedule {schedule}")
    return house


def fixed_lp(house: House, name: str, cash: str, machine: str = "m1", limit: str = "") -> None:
    house.add_lp(name, cash, machine)
    house.say(name, f"mode fixed {limit and f'limit={limit}'}")


@pytest.fixture
def house() -> House:
    """07:00 on a day in UTC, times 08:00 and 20:00; the operator has 1,062,700 sats of its own, the price is 50."""
    house = opened("UTC", "2026-05-05T07:00:00")
    house.sell(fiat="20000.00")
    return house


def lines(facts: tuple[Fact, ...]) -> list[str]:
    """What was given, a line each: `l6 ana m1 50000 for 1000.00`."""
    told = []
    for fact in facts:
        if isinstance(fact, LpPaid):
            for leg in fact.legs:
                cash = format_minor(leg.fiat_minor or 0, fact.currency)
                why = f" {leg.status}: {leg.reason}" if leg.reason else ""
                told.append(f"l{leg.number} {leg.lp} {fact.machine} {leg.sats} for {cash}{why}")
    return told


def test_half_at_each_of_two_times(house: House) -> None:
    """X6, X7: the system's 2000 a day, spread over the day's slots; booked as sats owed and the operator's cash."""
    fixed_lp(house, "ana", "9000")
    assert house.tick(utc("2026-05-05T07:59:59")) == ()
    before = house.ledger()
    facts = house.tick(utc("2026-05-05T08:00:00"))
    assert facts[0] == SlotsKept("2026-05-05", ("08:00",), 0)
    assert lines(facts) == ["l5 ana m1 50000 for 1000.00"]
    assert isinstance(facts[1], LpPaid)
    assert (facts[1].slot, facts[1].rate) == ("08:00", "50")
    assert (facts[1].legs[0].before_minor, facts[1].legs[0].after_minor) == (900_000, 800_000)
    after = house.ledger()
    moved = {name: after.get(name, 0) - before.get(name, 0) for name in before | after}
    assert {name: amount for name, amount in moved.items() if amount} == {
        "equity:operator sat": 50_000,
        "liabilities:lp:ana:sats sat": -50_000,
        "liabilities:lp:ana:cash:m1 GTQ": 100_000,
        "equity:operator GTQ": -100_000,
    }
    assert house.tick(utc("2026-05-05T08:00:01")) == ()
    assert lines(house.tick(utc("2026-05-05T20:30:00"))) == ["l6 ana m1 50000 for 1000.00"]
    assert lines(house.tick(utc("2026-05-06T08:00:00"))) == ["l7 ana m1 50000 for 1000.00"]
    assert house.remaining("ana") == "6000.00"


def test_the_lower_of_both_limits_counts(house: House) -> None:
    """X8: an LP may want less than the system allows, never more."""
    house.say("operator", "fixed schedule 08:00")
    fixed_lp(house, "ana", "9000", limit="500")
    fixed_lp(house, "ben", "9000", limit="5000")
    assert lines(house.tick(utc("2026-05-05T08:00:00"))) == [
        "l5 ana m1 25000 for 500.00",
        "l6 ben m1 100000 for 2000.00",
    ]


@pytest.mark.parametrize(
    ("limit", "currency", "minor"),
    [
        ("2000.00", "GTQ", 200_000),
        ("0.019", "GTQ", 1),
        ("0.9", "JPY", 0),
        ("7", "KWD", 7_000),
        ("1.23456", "KWD", 1_234),
    ],
)
def test_a_limit_is_floored_to_the_minor_unit(limit: str, currency: str, minor: int) -> None:
    """An LP's limit is the same in every operator's book, whatever the currency there."""
    assert floor_minor(limit, currency) == minor


def test_a_balance_below_the_limit_is_spread_too(house: House) -> None:
    """min(limits, balance), then by slots: what floors away comes with the last one."""
    fixed_lp(house, "ana", "10.01")
    assert lines(house.tick(utc("2026-05-05T08:00:00"))) == ["l5 ana m1 250 for 5.00"]
    assert lines(house.tick(utc("2026-05-05T20:00:00"))) == ["l6 ana m1 250 for 5.01"]
    assert lines(house.tick(utc("2026-05-06T08:00:00"))) == []


def test_slots_missed_today_are_caught_up_with_in_one(house: House) -> None:
    """A bot that was down: both of today's at once, none of yesterday's."""
    fixed_lp(house, "ana", "9000")
    house.tick(utc("2026-05-05T08:00:00"))
    facts = house.tick(utc("2026-05-06T23:59:59"))
    assert facts[0] == SlotsKept("2026-05-06", ("08:00", "20:00"), 0)
    assert lines(facts) == ["l6 ana m1 100000 for 2000.00"]
    assert isinstance(facts[1], LpPaid)
    assert facts[1].slot == "20:00"
    assert house.tick(utc("2026-05-07T00:00:00")) == ()


def test_a_slot_is_kept_though_nobody_gets_anything(house: House) -> None:
    """Who joins later that morning waits for the next one, and gets the day's whole part then."""
    assert house.tick(utc("2026-05-05T08:00:00")) == (SlotsKept("2026-05-05", ("08:00",), 0),)
    fixed_lp(house, "ana", "9000")
    assert house.tick(house.now + 1) == ()
    assert lines(house.tick(utc("2026-05-05T20:00:00"))) == ["l5 ana m1 100000 for 2000.00"]


def test_who_gets_nothing(house: House) -> None:
    """X10: flow LPs, those who paused, whom the operator suspended, who never joined, who have nothing left."""
    for name in ("ana", "ben", "eva", "leo", "mia"):
        fixed_lp(house, name, "100")
    house.say("operator", "lp add @noe machine=m1 name=noe")
    house.say("ana", "mode flow")
    house.say("ben", "pause")
    house.say("operator", "lp suspend eva")
    house.say("operator", "settle leo 100 machine=m1")
    assert lines(house.tick(utc("2026-05-05T20:00:00"))) == ["l6 mia m1 5000 for 100.00"]


def test_fixed_takes_no_part_in_flow(house: House) -> None:
    """X10, O13: a sale touches no fixed LP's cash, a slot no flow LP's."""
    fixed_lp(house, "ana", "9000")
    house.add_lp("ben", "9000")
    sold = house.sell()
    assert isinstance(sold, SettlementProcessed)
    assert [leg.lp for leg in sold.legs if leg.lp] == ["ben"]
    assert (house.remaining("ana"), house.remaining("ben")) == ("9000.00", "7000.00")
    house.tick(utc("2026-05-05T20:00:00"))
    assert (house.remaining("ana"), house.remaining("ben")) == ("7000.00", "7000.00")


def test_cash_at_several_machines_is_one_purse_a_currency(house: House) -> None:
    """The limit is an LP's, in each currency; its machines give in the order it was enrolled at them."""
    house.add_machine("m2")
    house.add_machine("usd", fiat="USD")
    house.sell("m2", fiat="100", rate="49")
    house.sell("usd", fiat="100", rate="400")
    house.say("operator", "fixed schedule 08:00")
    fixed_lp(house, "ana", "300", machine="m2")
    for machine in ("usd", "m1"):
        house.say("operator", f"lp add @ana machine={machine} name=ana")
        house.add_cash("ana", "9000", machine)
    house.say("operator", "fixed limit 500")
    facts = house.tick(utc("2026-05-05T08:00:00"))
    assert lines(facts) == [
        "l13 ana m2 14700 for 300.00",
        "l14 ana m1 10000 for 200.00",
        "l15 ana usd 200000 for 500.00",
    ]
    assert house.book.leg_count == 15
    assert house.book.fixed_given_minor == {("ana", "GTQ"): 50_000, ("ana", "USD"): 50_000}


def test_a_machine_without_a_price_is_skipped(house: House) -> None:
    """Where nothing was ever settled nobody can say what cash is worth; cash elsewhere steps in."""
    house.add_machine("m2")
    house.say("operator", "fixed schedule 08:00")
    fixed_lp(house, "ana", "300", machine="m2")
    house.say("operator", "lp add @ana machine=m1 name=ana")
    house.add_cash("ana", "100", "m1")
    facts = house.tick(utc("2026-05-05T08:00:00"))
    assert lines(facts) == ["l5 ana m2 0 for 0.00 skipped: no_price_yet", "l6 ana m1 5000 for 100.00"]
    assert isinstance(facts[1], LpPaid)
    assert facts[1].rate == "0"
    assert house.remaining("ana", "m2") == "300.00"


def test_cash_that_buys_no_sat_is_not_taken(house: House) -> None:
    """A centavo at 50 sats a quetzal is half a sat."""
    fixed_lp(house, "ana", "0.01")
    assert lines(house.tick(utc("2026-05-05T20:00:00"))) == ["l5 ana m1 0 for 0.00 skipped: share_rounds_to_zero"]
    assert house.remaining("ana") == "0.01"
    assert house.book.fixed_given_minor == {}


def test_short_of_sats() -> None:
    """X9: in enrolment order; whom the operator's own sats do not reach gets nothing, who needs fewer gets theirs."""
    house = opened("UTC", "2026-05-05T07:00:00")
    house.sell(fiat="60.00", rate="50", fee_sats=0)  # 3,000 sats of its own
    for name, cash in (("ana", "40"), ("ben", "80"), ("eva", "10"), ("leo", "21")):
        fixed_lp(house, name, cash)
    facts = house.tick(utc("2026-05-05T20:00:00"))
    assert lines(facts) == [
        "l3 ana m1 2000 for 40.00",
        "l4 ben m1 0 for 0.00 skipped: operator_short_of_sats",
        "l5 eva m1 500 for 10.00",
        "l6 leo m1 0 for 0.00 skipped: operator_short_of_sats",
    ]
    assert facts[0] == SlotsKept("2026-05-05", ("08:00", "20:00"), 2000 + 4000 + 500 + 1050 - 3000)
    assert house.book.own_sats() == 500
    assert house.remaining("ben") == "80.00"


def test_who_was_passed_over_is_due_again_later_that_day() -> None:
    """What was not given still counts as left for the day."""
    house = opened("UTC", "2026-05-05T07:00:00")
    house.sell(fiat="10.00", rate="50", fee_sats=0)
    fixed_lp(house, "ana", "100")
    assert lines(house.tick(utc("2026-05-05T08:00:00"))) == ["l3 ana m1 0 for 0.00 skipped: operator_short_of_sats"]
    house.sell(fiat="1000.00", rate="50")
    assert lines(house.tick(utc("2026-05-05T20:00:00")))[-1] == "l8 ana m1 5000 for 100.00"


def test_an_operator_with_debts_pays_nothing() -> None:
    """Cash-ins may take more than its own sats; only LPs that are due something make it short."""
    house = opened("UTC", "2026-05-05T07:00:00")
    house.sell(fiat="2.00", rate="50", fee_sats=0)  # or there is no price
    house.sell(fiat="12.00", rate="50", tx_type="cash_in", fee_sats=0)
    assert house.book.own_sats() == -500
    assert house.tick(utc("2026-05-05T08:00:00")) == (SlotsKept("2026-05-05", ("08:00",), 0),)
    fixed_lp(house, "ana", "10")
    facts = house.tick(utc("2026-05-05T20:00:00"))
    assert facts[0] == SlotsKept("2026-05-05", ("20:00",), 1_000)
    assert lines(facts)[0].endswith("skipped: operator_short_of_sats")


def test_a_limit_changed_at_noon(house: House) -> None:
    """What was given counts against the new one: nothing more when it is lower, the difference when it is higher."""
    fixed_lp(house, "ana", "9000")
    fixed_lp(house, "ben", "9000")
    house.tick(utc("2026-05-05T08:00:00"))
    house.say("operator", "fixed limit 3000.00")
    house.say("ben", "mode fixed limit=999.99")
    assert lines(house.tick(utc("2026-05-05T20:00:00"))) == ["l7 ana m1 100000 for 2000.00"]


def test_a_mode_changed_back_and_forth_gets_no_second_part(house: House) -> None:
    """The day's limit is the day's."""
    house.say("operator", "fixed schedule 08:00,09:00")
    fixed_lp(house, "ana", "9000")
    house.tick(utc("2026-05-05T08:00:00"))
    house.say("ana", "mode flow")
    house.say("ana", "mode fixed limit=1000")
    assert lines(house.tick(utc("2026-05-05T09:00:00"))) == []


def test_a_suspended_machine_still_pays_for_the_cash_in_it(house: House) -> None:
    """The cash is the LP's, and there."""
    fixed_lp(house, "ana", "100")
    house.say("operator", "machine suspend m1")
    assert lines(house.tick(utc("2026-05-05T20:00:00"))) == ["l5 ana m1 5000 for 100.00"]


def test_a_suspended_operator_pays_nothing(house: House) -> None:
    """Nothing is due or planned until it is resumed; then today's slots are."""
    fixed_lp(house, "ana", "100")
    house.say("platform", "operator suspend antigua")
    assert house.tick(utc("2026-05-05T08:00:00")) == ()
    assert next_slot_at(house.book, house.now) is None
    house.say("platform", "operator resume antigua")
    assert next_slot_at(house.book, house.now) == utc("2026-05-05T08:00:00")
    assert lines(house.tick(house.now)) == ["l5 ana m1 2500 for 50.00"]


# --- the commands ------------------------------------------------------------------------------------------------------


def test_nothing_is_due_before_an_operator_sets_times() -> None:
    """And turning them off ends it."""
    house = House.open()
    assert house.tick(house.now + 10 * DAY_S) == ()
    assert next_slot_at(house.book, house.now) is None
    house.say("operator", "fixed schedule 12:00")
    assert house.say("operator", "fixed schedule off") == FixedPlanSet(FixedPlan((), "2000.00"))
    assert house.tick(house.now + 10 * DAY_S) == ()


def test_times_and_limit_are_kept_apart(house: House) -> None:
    """Times are sorted; the limit's text stays as it was written; what is so already changes nothing."""
    assert house.say("operator", "fixed schedule 22:00,9:30") == FixedPlanSet(FixedPlan(("09:30", "22:00"), "2000.00"))
    assert house.say("operator", "fixed limit 1500") == FixedPlanSet(FixedPlan(("09:30", "22:00"), "1500"))
    assert house.say("operator", "fixed limit 1500") is None
    assert house.say("operator", "fixed schedule 09:30,22:00") is None


@pytest.mark.parametrize(
    "said", ["fixed schedule 24:00", "fixed schedule 08:00,08:00", "fixed limit 0", "fixed limit -1"]
)
def test_what_cannot_be_a_plan_is_refused(house: House, said: str) -> None:
    """Times of a day, each once; an amount above zero."""
    outcome = house.say("operator", said)
    assert isinstance(outcome, CommandRefused)
    assert outcome.code is Code.BAD_ARGUMENT


def test_a_new_time_that_has_passed_begins_tomorrow(house: House) -> None:
    """Setting a schedule pays nobody at once; a time that was due already and stays is not lost by it."""
    fixed_lp(house, "ana", "9000")
    house.now = utc("2026-05-05T12:00:00")
    assert house.say("operator", "fixed schedule 08:00,11:00,21:00") is not None
    assert house.entries[-1].facts[1:] == (SlotsKept("2026-05-05", ("11:00",), 0),)
    assert due_slots(house.book, house.now) == ("08:00",)
    assert lines(house.tick(house.now)) == ["l5 ana m1 50000 for 1000.00"]
    assert lines(house.tick(utc("2026-05-05T21:00:00"))) == ["l6 ana m1 50000 for 1000.00"]
    assert due_slots(house.book, utc("2026-05-06T11:00:00")) == ("08:00", "11:00")


def test_setting_the_same_times_anew_gives_nothing_twice(house: House) -> None:
    """Off and on again: a slot kept stays kept, and one that passed while it was off is not due."""
    fixed_lp(house, "ana", "9000")
    house.tick(utc("2026-05-05T08:00:00"))
    house.say("operator", "fixed schedule off")
    house.now = utc("2026-05-05T21:00:00")
    house.say("operator", "fixed schedule 08:00,20:00")
    assert house.tick(house.now) == ()
    assert next_slot_at(house.book, house.now) == utc("2026-05-06T08:00:00")


# --- the calendar ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tz", "opened_at", "schedule", "moments"),
    [
        ("America/New_York", "2026-03-08T05:00:00", "02:30", ["2026-03-08T07:00:00", "2026-03-09T06:30:00"]),
        ("America/New_York", "2026-11-01T04:00:00", "01:30", ["2026-11-01T05:30:00", "2026-11-02T06:30:00"]),
        ("Europe/Berlin", "2026-03-28T23:00:00", "02:30", ["2026-03-29T01:00:00", "2026-03-30T00:30:00"]),
        ("Europe/Berlin", "2026-10-24T22:00:00", "02:30", ["2026-10-25T00:30:00", "2026-10-26T01:30:00"]),
        ("Australia/Lord_Howe", "2026-10-03T13:30:00", "02:15", ["2026-10-03T15:30:00", "2026-10-04T15:15:00"]),
        ("Australia/Lord_Howe", "2026-04-04T13:00:00", "01:45", ["2026-04-04T14:45:00", "2026-04-05T15:15:00"]),
        ("UTC", "2028-02-28T00:00:00", "23:59", ["2028-02-28T23:59:00", "2028-02-29T23:59:00", "2028-03-01T23:59:00"]),
    ],
)
def test_when_the_next_slot_is(tz: str, opened_at: str, schedule: str, moments: list[str]) -> None:
    """Skipped times come at the end of the gap, repeated ones once, a leap day is a day; the timer knows each moment."""
    house = opened(tz, opened_at, schedule)
    for moment in moments:
        assert next_slot_at(house.book, house.now) == utc(moment)
        assert house.tick(utc(moment) - 1) == ()
        assert house.tick(utc(moment)) != ()
        assert house.tick(utc(moment) + HOUR_S) == ()  # the repeated hour


def test_a_tick_is_decided_at_its_own_time(house: House) -> None:
    """Else an auditor could not tell which day it was."""
    at = utc("2026-05-05T08:00:00")
    instead = decide(house.book, Tick(at - 1), at, RULES).instead
    assert isinstance(instead, Refusal)
    assert instead.reason is Reason.INVALID


def test_an_auditor_comes_to_the_same_slots(house: House) -> None:
    """A tick is an input like any other: what was decided at it is decided again from the trail alone."""
    fixed_lp(house, "ana", "9000")
    house.tick(utc("2026-05-05T08:00:00"))
    house.tick(utc("2026-05-05T20:00:00"))
    assert verify_trail(house.trail()).head == house.chain.head


def test_a_clock_that_jumps_ahead_and_back_pays_once(house: House) -> None:
    """faults.md row 17: the journal's time never goes back, so neither does the day."""
    fixed_lp(house, "ana", "9000")
    assert len(lines(house.tick(utc("2026-05-07T09:00:00")))) == 1
    for at in ("2026-05-05T08:00:00", "2026-05-06T20:00:00", "2026-05-07T09:00:00"):
        assert house.tick(utc(at)) == ()
    assert lines(house.tick(utc("2026-05-07T20:00:00"))) == ["l6 ana m1 50000 for 1000.00"]


TIMES = ("00:00", "01:30", "02:00", "02:15", "02:30", "12:00", "23:59")
STARTS = (
    ("America/New_York", "2026-03-07T12:00:00"),
    ("America/New_York", "2026-10-31T12:00:00"),
    ("Europe/Berlin", "2026-03-28T12:00:00"),
    ("Europe/Berlin", "2026-10-24T12:00:00"),
    ("Australia/Lord_Howe", "2026-04-04T02:00:00"),
    ("Australia/Lord_Howe", "2026-10-03T02:00:00"),
    ("America/Nuuk", "2026-03-28T12:00:00"),
    ("America/Guatemala", "2028-02-28T12:00:00"),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    start=st.sampled_from(STARTS),
    times=st.lists(st.sampled_from(TIMES), min_size=1, max_size=4, unique=True),
    limits=st.lists(st.sampled_from(["7.77", "250", None]), min_size=1, max_size=3),
    sold=st.integers(1, 3_000),
    jumps=st.lists(st.integers(-2 * HOUR_S, 9 * HOUR_S), min_size=4, max_size=24),
    data=st.data(),
)
def test_random_days(
    start: tuple[str, str], times: list[str], limits: list[str | None], sold: int, jumps: list[int], *, data: Any
) -> None:
    """A slot has at most one turn a local day, nobody gets more than a limit a day or than it has, the operator never more
    than its own, sats are what the cash is worth, and the sealed bytes make the same book."""
    house = opened(*start, schedule=",".join(times))
    house.say("operator", "fixed limit 100")
    house.sell(fiat=f"{sold}.00", rate="33.37", fee_sats=0)
    lps = [f"lp{place}" for place in range(len(limits))]
    for name, limit in zip(lps, limits, strict=True):
        fixed_lp(house, name, f"{data.draw(st.integers(1, 400))}", limit=limit or "")
    turns: Counter[tuple[str, str]] = Counter()
    given_minor: Counter[tuple[str, str | None]] = Counter()
    for jump in jumps:
        own_sats = house.book.own_sats()
        facts = house.tick(house.now + jump)
        assert due_slots(house.book, house.chain.at) == ()
        if not facts:
            continue
        kept = facts[0]
        assert isinstance(kept, SlotsKept)
        turns.update((kept.day, slot) for slot in kept.slots)
        paid = [leg for fact in facts[1:] if isinstance(fact, LpPaid) for leg in fact.legs]
        assert sum(leg.sats for leg in paid) <= own_sats
        for leg in paid:
            assert leg.before_minor is not None
            assert leg.after_minor == leg.before_minor - (leg.fiat_minor or 0)
            assert leg.after_minor >= 0
            assert leg.sats == (leg.fiat_minor or 0) * 3337 // 10_000
            given_minor[kept.day, leg.lp] += leg.fiat_minor or 0
        if data.draw(st.booleans()):
            house.restart()
        house.ledger()
    assert not turns or max(turns.values()) == 1
    for (_, lp), amount_minor in given_minor.items():
        limit = limits[lps.index(lp or "")]
        assert amount_minor <= min(10_000, floor_minor(limit, "GTQ") if limit else 10_000)
    assert take_snapshot(house.rebuilt()) == take_snapshot(house.book)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(TIMES), min_size=1, max_size=4, unique=True),
    st.integers(1, 700),
)
def test_a_bot_that_always_looks_keeps_every_slot_once(start: tuple[str, str], times: list[str], every_s: int) -> None:
    """Four days of a timer that wakes when next_slot_at says, a little late: each slot of each whole day has its turn."""
    house = opened(*start, schedule=",".join(times))
    turns: Counter[tuple[str, str]] = Counter()
    end = house.now + 4 * DAY_S
    while True:
        due_at = next_slot_at(house.book, house.now)
        assert due_at is not None
        if due_at > end:
            break
        facts = house.tick(due_at + every_s % 60)
        assert isinstance(facts[0], SlotsKept)
        turns.update((facts[0].day, slot) for slot in facts[0].slots)
    assert set(turns.values()) == {1}
    first = datetime.fromisoformat(start[1]).date()
    for day in (first + timedelta(days=1), first + timedelta(days=2)):
        assert {slot for kept_day, slot in turns if kept_day == day.isoformat()} == set(times)
