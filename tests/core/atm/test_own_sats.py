"""`settle`: an LP's cash paid for out of the operator's own sats (acceptance X14, docs/protocol.md section 6)."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.facts import LpPaid
from nostrbot.core.atm.own_sats import sats_for
from nostrbot.core.atm.settlements.facts import Leg
from nostrbot.core.atm.states import LegStatus, LegType
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.snapshots import take_snapshot
from tests.houses import House


@pytest.fixture
def house() -> House:
    """Ana has 1000 GTQ in m1; a cash-out nobody took part in left the operator 106,270 sats of its own, at 50 a GTQ."""
    house = House.open()
    house.sell()
    house.add_lp("ana", "1000.00")
    return house


def refused(house: House, text: str) -> CommandRefused:
    """What comes of a settle that must change nothing."""
    head = house.chain.head
    outcome = house.say("operator", text)
    assert isinstance(outcome, CommandRefused)
    assert house.chain.head == head
    return outcome


def test_the_price_is_the_machine_s_last_rate(house: House) -> None:
    """Sats go to the LP, its cash becomes the operator's where it lies, and the leg says before and after."""
    before = house.ledger()
    fact = house.say("operator", "settle ana 300.50 machine=m1")
    leg = Leg(5, LegType.SETTLEMENT, "ana", None, None, 15_025, 30_050, LegStatus.COMPLETED, None, 100_000, 69_950)
    assert fact == LpPaid("m1", "GTQ", "50", None, (leg,))
    after = house.ledger()
    moved = {name: after.get(name, 0) - before.get(name, 0) for name in before | after}
    assert {name: amount for name, amount in moved.items() if amount} == {
        "equity:operator sat": 15_025,
        "liabilities:lp:ana:sats sat": -15_025,
        "liabilities:lp:ana:cash:m1 GTQ": 30_050,
        "equity:operator GTQ": -30_050,
    }
    assert house.remaining("ana") == "699.50"
    assert house.book.fixed_given_minor == {}


def test_another_price_can_be_named(house: House) -> None:
    """And sats are the floor of it: 0.333 sats a centavo."""
    fact = house.say("operator", "settle ana 10 machine=m1 rate=33.35")
    assert isinstance(fact, LpPaid)
    assert (fact.rate, fact.legs[0].sats) == ("33.35", 333)


def test_all_of_the_cash_and_then_no_more(house: House) -> None:
    """More than is left is refused with what is left."""
    assert refused(house, "settle ana 1000.01 machine=m1") == CommandRefused(
        Code.NOT_ENOUGH_CASH, "ana has 1000.00 GTQ left at m1: settle at most that"
    )
    house.say("operator", "settle ana 1000 machine=m1")
    assert house.remaining("ana") == "0.00"
    assert refused(house, "settle ana 0.02 machine=m1").code is Code.NOT_ENOUGH_CASH


def test_all_of_the_sats_and_then_no_more(house: House) -> None:
    """More than the operator has is refused with both figures; what is owed to others is never spent."""
    assert house.book.own_sats() == 106_270
    assert refused(house, "settle ana 1000 machine=m1 rate=106.271") == CommandRefused(
        Code.NOT_ENOUGH_SATS, "that takes 106271 sats and you have 106270 of your own: settle less, or wait"
    )
    house.say("operator", "settle ana 1000 machine=m1 rate=106.27")
    assert house.book.own_sats() == 0
    assert house.book.sats_owed("ana") == 106_270


def test_without_any_settlement_there_is_no_price() -> None:
    """Then one must be named."""
    house = House.open()
    house.add_lp("ana", "10")
    assert refused(house, "settle ana 10 machine=m1") == CommandRefused(
        Code.NO_PRICE, "m1 has no settled sale that gives a price: add rate=<sats per GTQ>"
    )
    assert refused(house, "settle ana 10 machine=m1 rate=5").code is Code.NOT_ENOUGH_SATS


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("settle eva 1 machine=m1", Code.NOT_FOUND),
        ("settle ana 1 machine=m9", Code.NOT_FOUND),
        ("settle ana 1 machine=m2", Code.NOT_FOUND),
        ("settle ana 1", Code.MISSING_ARGUMENT),
        ("settle ana 0 machine=m1", Code.BAD_ARGUMENT),
        ("settle ana -1 machine=m1", Code.BAD_ARGUMENT),
        ("settle ana 1.001 machine=m1", Code.BAD_ARGUMENT),
        ("settle ana 0.01 machine=m1", Code.BAD_ARGUMENT),  # half a sat
        ("settle ana 1 machine=m1 rate=0", Code.BAD_ARGUMENT),
        ("settle ana 1 machine=m1 rate=1e3", Code.BAD_ARGUMENT),
        ("settle ana 1 machine=m1 rate=9999999999999999999999999999", Code.NOT_ENOUGH_SATS),
    ],
)
def test_what_is_refused(house: House, said: str, code: Code) -> None:
    """Nobody and nowhere known, nothing, less than the smallest unit, what buys no sat, what nobody could pay."""
    house.add_machine("m2")
    assert refused(house, said).code is code


def test_only_its_operator_may_settle(house: House) -> None:
    """Neither the LP nor the platform."""
    for who in ("ana", "platform"):
        outcome = house.say(who, "settle ana 1 machine=m1")
        assert isinstance(outcome, CommandRefused)
        assert outcome.code is Code.NOT_ALLOWED
    assert house.remaining("ana") == "1000.00"


def test_who_takes_no_part_in_sales_can_be_paid(house: House) -> None:
    """Fixed, paused, suspended, and at a suspended machine: its cash is there all the same."""
    for who, said in (
        ("ana", "mode fixed"),
        ("ana", "pause"),
        ("operator", "lp suspend ana"),
        ("operator", "machine suspend m1"),
    ):
        house.say(who, said)
        assert isinstance(house.say("operator", "settle ana 1 machine=m1"), LpPaid)
    assert house.remaining("ana") == "996.00"


def test_the_bytes_alone_make_the_same_book(house: House) -> None:
    """A replay gives the same balances and the same next number."""
    house.say("operator", "settle ana 10 machine=m1")
    assert take_snapshot(house.rebuilt()) == take_snapshot(house.book)


@settings(deadline=None)
@given(
    st.integers(1, 10**15),
    st.sampled_from(["GTQ", "JPY", "KWD"]),
    st.integers(1, 10**20),
    st.integers(0, 18),
)
def test_sats_are_the_exact_floor(fiat_minor: int, currency: str, digits: int, places: int) -> None:
    """Never a sat more than the cash is worth, never a whole sat less."""
    rate = f"{digits // 10**places}.{digits % 10**places:0{places}d}" if places else f"{digits}"
    minor_per_unit = {"GTQ": 100, "JPY": 1, "KWD": 1000}[currency]
    exact = Fraction(fiat_minor, minor_per_unit) * Fraction(digits, 10**places)
    assert 0 <= exact - sats_for(fiat_minor, currency, rate) < 1
