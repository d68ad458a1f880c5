"""Tills: what runs along at a machine: its counter and gaps, volumes, rates, banknotes (docs/protocol.md 3.1, 3.4; faults.md 6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.core.facts import SettlementPending, SettlementProcessed, SettlementRejected
from nostrbot.core.records import Cassette
from nostrbot.core.till import GAPS_KEPT, Counter, Till, in_order
from tests.houses import House, person

FURTHEST = 2**53 - 1  # the highest number a machine can report


def heard(*numbers: int) -> Counter:
    counter = Counter()
    for at, n in enumerate(numbers):
        counter.hear(n, at)
    return counter


def missing(counter: Counter) -> list[tuple[int, int]]:
    return [(gap.first, gap.last) for gap in counter.gaps]


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
        ((1, FURTHEST), FURTHEST, [(2, FURTHEST - 1)]),
        ((1, FURTHEST, 2, 3), FURTHEST, [(4, FURTHEST - 1)]),
        ((FURTHEST, 0), FURTHEST, []),
    ],
)
def test_a_counter_knows_what_it_did_not_hear(
    numbers: tuple[int, ...], newest: int, gaps: list[tuple[int, int]]
) -> None:
    """From the first number on; what comes late fills its gap, what lies before was never ours."""
    counter = heard(*numbers)
    assert (counter.newest, missing(counter)) == (newest, gaps)


def test_a_gap_is_as_old_as_its_notice() -> None:
    """Also where a late one parts it."""
    assert [gap.at for gap in heard(1, 9, 5).gaps] == [1, 1]


@given(st.lists(st.integers(0, 60)))
def test_gaps_are_what_a_set_says(numbers: list[int]) -> None:
    """A much simpler model: every number from the first to the newest that was not heard."""
    counter = heard(*numbers)
    absent = {n for first, last in missing(counter) for n in range(first, last + 1)}
    if numbers:
        assert absent == set(range(numbers[0], max(numbers) + 1)) - set(numbers)
    assert missing(counter) == sorted(missing(counter))


@pytest.mark.parametrize("numbers", [range(1, 1_000, 2), [0, FURTHEST, *range(2, 1_000, 2)]])
def test_a_broken_counter_does_not_grow_without_bound(numbers: list[int]) -> None:
    """Jumping about, or picking one huge gap to pieces: as many gaps are kept as a person can look at."""
    assert len(heard(*numbers).gaps) == GAPS_KEPT


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
    house.say("operator", "machine rotate m1 @m1-new")
    house.sell(n=80)
    assert (counter(house).newest, counter(house, "m2").newest) == (1, None)


def test_a_new_key_goes_on_counting(house: House) -> None:
    """The machine is the same: 41 by the old key and 43 by the new one, 42 is missing."""
    house.sell(n=41)
    house.say("operator", "machine rotate m1 @m1-new")
    house.sell(by="m1-new", machine=person("m1-new").pubkey, n=43)
    assert missing(counter(house)) == [(42, 42)]


def test_a_report_without_a_number_is_no_gap(house: House) -> None:
    house.sell(n=1)
    house.sell(n=None)
    house.say("operator", "settlement add machine=m1 fiat_amount=100 exchange_rate=50")
    house.sell(n=2)
    assert (counter(house).newest, missing(counter(house))) == (2, [])


# --- the rest of a till ---------------------------------------------------------------------------------------------


def test_volumes_and_rates_are_of_what_was_booked(house: House) -> None:
    """A14: a rejected sale never counts; what was corrected counts as far as it is true, what was refunded no more."""
    house.sell()
    house.sell(wire_sats=1, rate="60")
    house.sell()
    till = house.book.tills["m1"]
    assert (till.volume_sats, till.day_minor) == (215_540, 400_000)
    assert till.rates == {"cash_out": [(1, "50"), (3, "50")]}
    house.say("operator", "settlement partial s3 fiat=500 note=jam")
    assert (till.volume_sats, till.day_minor) == (107_770 + 26_942, 250_000)
    house.say("operator", "settlement refund s1 reason=odd")
    assert (till.volume_sats, till.day_minor, till.rates) == (26_942, 50_000, {"cash_out": [(3, "50")]})
    house.say("operator", "settlement refund s3 reason=paid")  # the customer has the rest: what was dispensed counts
    assert (till.volume_sats, till.day_minor) == (26_942, 50_000)


def test_banknotes_leave_the_first_cassettes_of_their_kind() -> None:
    """25 notes of 100: the 20 there are in cassette 1, then 5 of cassette 10, which comes after 2; never below zero."""
    till = Till()
    for position, denomination, count in (("1", 100, 20), ("2", 20, 50), ("10", 100, 7)):
        till.cassettes[position] = Cassette(position, denomination, count, denomination, count, 0, "", "", 0)
    house = House.open()
    sold = house.sell(bills=[{"denomination": 100, "count": 25}, {"denomination": 20, "count": 60}])
    assert isinstance(sold, SettlementProcessed)
    till.dispense(sold.sale, "2026-09-21")
    assert {position: cassette.count for position, cassette in till.cassettes.items()} == {"1": 0, "2": 0, "10": 2}
    assert till.taken == {"2026-09-21": {"1": 20, "10": 5, "2": 50}}


def test_cash_that_comes_in_goes_nowhere_known() -> None:
    """Notes a customer paid with do not go into the cassettes that dispense."""
    till = Till(cassettes={"1": Cassette("1", 100, 20, 100, 20, 0, "", "", 0)})
    sold = House.open().sell(tx_type="cash_in")
    assert isinstance(sold, SettlementProcessed)
    till.dispense(sold.sale, "2026-09-21")
    assert till.cassettes["1"].count == 20


def test_positions_are_ordered_as_people_do() -> None:
    assert sorted(["10", "left", "2", "1", "a"], key=in_order) == ["1", "2", "10", "a", "left"]
