"""Counters: what did not come, by a machine's own count (docs/protocol.md 3.1; faults.md 6; review A16)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.core.atm.counter import BACK_MAX, GAPS_KEPT, JUMP_MAX, Counter
from nostrbot.core.atm.settlements.facts import SettlementPending, SettlementProcessed, SettlementRejected
from nostrbot.core.rules import FIRST, RULES
from nostrbot.core.snapshots import take_snapshot
from tests.houses import House, person

FURTHEST = 2**53 - 1  # the highest number a machine can report


def heard(*numbers: int, rules: int = RULES) -> Counter:
    counter = Counter()
    for at, n in enumerate(numbers):
        counter.hear(n, at, rules)
    return counter


def missing(counter: Counter) -> list[tuple[int, int]]:
    return [(gap.first, gap.last) for gap in counter.missing]


# --- the counter ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "newest", "gaps"),
    [
        ((41, 42, 43), 43, []),
        ((41, 43), 43, [(42, 42)]),
        ((41, 43, 42), 43, []),
        ((41, 43, 43, 41), 43, [(42, 42)]),
        ((7,), 7, []),
        ((0, 1), 1, []),
        ((0, 9), 9, [(1, 8)]),
        ((0, 9, 4), 9, [(1, 3), (5, 8)]),
        ((0, 9, 1, 8), 9, [(2, 7)]),
        ((0, 9, 4, 12, 3, 5, 10), 12, [(1, 2), (6, 8), (11, 11)]),
        ((5_000, 1, 2, 3), 5_000, []),  # a counter that began again
        ((5_000, 5_002, 1, 2), 5_002, [(5_001, 5_001)]),
        ((FURTHEST, 0), FURTHEST, []),
    ],
)
@pytest.mark.parametrize("rules", [FIRST, RULES])
def test_a_counter_knows_what_it_did_not_hear(
    rules: int, numbers: tuple[int, ...], newest: int, gaps: list[tuple[int, int]]
) -> None:
    """From the first number on; what comes late fills its gap, what lies before was never ours."""
    counter = heard(*numbers, rules=rules)
    assert (counter.newest, missing(counter)) == (newest, gaps)


def test_a_gap_is_as_old_as_its_notice() -> None:
    """Also where a late one parts it."""
    assert [gap.at for gap in heard(1, 9, 5).gaps] == [1, 1]


@pytest.mark.parametrize(
    ("numbers", "newest", "gaps"),
    [((1, FURTHEST), FURTHEST, [(2, FURTHEST - 1)]), ((1, FURTHEST, 2, 3), FURTHEST, [(4, FURTHEST - 1)])],
)
def test_by_rules_1_any_number_was_believed(numbers: tuple[int, ...], newest: int, gaps: list[tuple[int, int]]) -> None:
    """Old entries fold as they did."""
    counter = heard(*numbers, rules=FIRST)
    assert (counter.newest, missing(counter), counter.stray) == (newest, gaps, None)


@pytest.mark.parametrize(
    ("numbers", "newest", "stray", "gaps"),
    [
        ((1000, 1790000000), 1000, (1790000000, 1790000000), []),
        ((1000, 1790000000, 1001, 1005), 1005, None, [(1002, 1004)]),  # review A16
        ((1000, 1790000000, 1005), 1005, None, [(1001, 1004)]),
        ((1000, 1002, 1790000000, 1001), 1002, (1790000000, 1790000000), []),  # a gap is filled meanwhile
        ((1000, 1790000000, 1790000001, 1790000004), 1000, (1790000000, 1790000004), [(1790000002, 1790000003)]),
        ((1000, 1790000000, 1790000003, 1790000001), 1000, (1790000000, 1790000003), [(1790000002, 1790000002)]),
        ((1000, 1790000000, 1790000003, 1001), 1001, None, []),  # disproved, with all that was missing in it
        ((1000, 1790000000, 1795000000), 1000, (1795000000, 1795000000), []),
        ((1000, 1000 + JUMP_MAX), 1000 + JUMP_MAX, None, [(1001, 999 + JUMP_MAX)]),
        ((1000, 1001 + JUMP_MAX), 1000, (1001 + JUMP_MAX, 1001 + JUMP_MAX), []),
        ((1790000000, 1000, 1001, 1003), 1790000000, (1000, 1003), [(1002, 1002)]),  # the first was the false one
        ((5000, 1, 2, 4), 5000, (1, 4), [(3, 3)]),  # reset to the beginning
        ((5000, 5000 - BACK_MAX), 5000, None, []),  # late, from before the first
        ((5000, 4999 - BACK_MAX), 5000, (4899, 4899), []),
        ((5000, 1, 2, 5001), 5001, None, []),
    ],
)
def test_a16_a_jump_is_asked_about_and_not_believed(
    numbers: tuple[int, ...], newest: int, stray: tuple[int, int] | None, gaps: list[tuple[int, int]]
) -> None:
    """Forwards or back; true gaps are found in both counts."""
    counter = heard(*numbers)
    strayed = counter.stray and (counter.stray.first, counter.stray.newest)
    assert (counter.newest, strayed, missing(counter)) == (newest, stray, gaps)


def test_who_strays_again_and_again_is_told_of_all_the_same() -> None:
    """A stray count is as old as the first of them."""
    counter = heard(1000, *(10**9 * place for place in range(2, 100)))
    assert counter.stray is not None
    assert (counter.stray.first, counter.stray.at) == (99 * 10**9, 1)


@given(st.lists(st.integers(0, FURTHEST) | st.integers(0, 30) | st.integers(10**9, 10**9 + 30)))
def test_whatever_is_heard_a_counter_stays_small_and_sound(numbers: list[int]) -> None:
    """What was heard is never missing, and no gap is longer than a machine could have sold."""
    counter = heard(*numbers)
    for first, last in missing(counter):
        assert 0 <= first <= last < first + JUMP_MAX
    assert len(counter.missing) <= 2 * GAPS_KEPT


@given(st.lists(st.integers(0, 60)))
def test_gaps_are_what_a_set_says(numbers: list[int]) -> None:
    """A much simpler model: every number from the first to the newest that was not heard."""
    counter = heard(*numbers)
    absent = {n for first, last in missing(counter) for n in range(first, last + 1)}
    if numbers:
        assert absent == set(range(numbers[0], max(numbers) + 1)) - set(numbers)
    assert missing(counter) == sorted(missing(counter))


@pytest.mark.parametrize("numbers", [range(1, 1_000, 2), [0, JUMP_MAX, *range(2, 1_000, 2)]])
@pytest.mark.parametrize("rules", [FIRST, RULES])
def test_a_broken_counter_does_not_grow_without_bound(rules: int, numbers: list[int]) -> None:
    """Jumping about, or picking one huge gap to pieces: as many gaps are kept as a person can look at."""
    assert len(heard(*numbers, rules=rules).gaps) == GAPS_KEPT


# --- the counter of a house -----------------------------------------------------------------------------------------


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    return house


def counter(house: House, machine: str = "m1") -> Counter:
    return house.book.tills[machine].counter


def test_forty_one_and_forty_three(house: House) -> None:
    """Row 6: 42 is missing until it comes, late but accepted; a restart in between changes nothing."""
    house.sell(n=41)
    house.sell(n=43)
    noticed_at = house.now
    house.restart()
    assert missing(counter(house)) == [(42, 42)]
    assert counter(house).gaps[0].at == noticed_at
    assert isinstance(house.sell(n=42), SettlementProcessed)
    assert missing(counter(house)) == []


def test_what_was_rejected_or_held_was_heard(house: House) -> None:
    """The gap is about what did not arrive."""
    house.sell(n=1)
    assert isinstance(house.sell(n=2, wire_sats=1), SettlementRejected)
    house.say("operator", "guard m1 per_settlement=1")
    assert isinstance(house.sell(n=3), SettlementPending)
    house.say("operator", "settlement release s3")
    assert (counter(house).newest, missing(counter(house))) == (3, [])


def test_what_the_machine_did_not_say_was_not_heard(house: House) -> None:
    """Another machine in its name, a key rotated out, a suspended machine: none of them moves the counter."""
    house.add_machine("m2")
    house.sell(n=1)
    house.sell(by="m2", n=77)
    house.sell("m2", by="m1", n=78)
    house.say("operator", "machine suspend m1")
    house.sell(n=79)
    house.say("operator", "machine resume m1")
    assert counter(house).newest == 1
    house.say("operator", "machine rotate m1 @m1-new")
    house.sell(n=80)
    assert (counter(house).newest, counter(house, "m2").newest) == (None, None)


def test_a16_a_new_key_begins_anew(house: House) -> None:
    """A16: n=500, `machine rotate`, n=1, n=3: 2 is missing. What the old key did not say is not waited for."""
    house.sell(n=498)
    house.sell(n=500)
    house.say("operator", "machine set m1 location=Mercado")
    assert missing(counter(house)) == [(499, 499)]
    house.say("operator", "machine rotate m1 @m1-new")
    assert (counter(house).newest, missing(counter(house))) == (None, [])
    for n in (1, 3):
        house.sell(by="m1-new", machine=person("m1-new").pubkey, n=n)
    assert missing(counter(house)) == [(2, 2)]
    assert take_snapshot(house.rebuilt()) == take_snapshot(house.book)


def test_a_report_without_a_number_is_no_gap(house: House) -> None:
    house.sell(n=1)
    house.sell(n=None)
    house.say("operator", "settlement add machine=m1 fiat_amount=100 exchange_rate=50")
    house.sell(n=2)
    assert (counter(house).newest, missing(counter(house))) == (2, [])
