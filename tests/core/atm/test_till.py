"""Tills: what runs along at a machine: volumes, rates, banknotes (docs/protocol.md 3.4)."""

import pytest

from nostrbot.core.atm.records import Cassette
from nostrbot.core.atm.settlements.facts import SettlementProcessed
from nostrbot.core.atm.till import Till, in_order
from tests.houses import House


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    return house


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
