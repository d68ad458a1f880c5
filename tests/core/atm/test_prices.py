"""Prices: no single report sets one (docs/protocol.md section 5; review A3)."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.facts import LpPaid, SlotsKept
from nostrbot.core.atm.prices import Price, is_off, median, price_in_force
from nostrbot.core.atm.settlements.facts import SettlementProcessed
from nostrbot.core.atm.states import LegStatus, SkipReason
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.engine import decide
from nostrbot.core.parsing import parse
from nostrbot.core.rules import FIRST, RULES
from nostrbot.messages.replies import answer
from nostrbot.messages.words.plans import PLAN_WORDS, unsettled_notice
from nostrbot.money import parse_decimal
from nostrbot.views.outcomes import outcome_view
from nostrbot.views.plans import settle_view
from tests.houses import House, letter, person

DAY_S = 86_400


@pytest.fixture
def house() -> House:
    """Ana has 9000 GTQ in m1; the operator has sats of its own from sales at m2."""
    house = House.open()
    house.add_machine("m2")
    house.sell("m2", fiat="20000.00")
    house.add_lp("ana", "9000")
    return house


def price(house: House, machine: str = "m1") -> Price | None:
    return price_in_force(house.book, machine, RULES)


def sell(house: House, *rates: str, fiat: str = "2.00") -> None:
    for rate in rates:
        house.sell(rate=rate, fiat=fiat, fee_sats=0)


# --- the median -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rates", "usual", "is_settled"),
    [
        (("50",), "50", True),  # the first is believed
        (("50", "52"), "50", True),
        (("52", "50"), "50", True),
        (("50", "60"), "50", False),
        (("60", "50"), "60", False),  # the lower of two is no median worth the name: they must agree
        (("50", "55"), "50", True),  # exactly at the band
        (("50", "55.000001"), "50", False),
        (("50", "45"), "45", True),
        (("50", "60", "60"), "60", True),
        (("50", "50", "0.5"), "50", False),
        (("50", "50", "5000"), "50", False),
        (("50", "5000", "50"), "50", True),
        (("50",) * 6 + ("500",) * 5, "50", False),
        (("50",) * 6 + ("500",) * 6, "500", True),  # eleven are kept
    ],
)
def test_the_price_is_a_median(house: House, rates: tuple[str, ...], usual: str, is_settled: bool) -> None:
    sell(house, *rates)
    assert price(house) == Price(usual, rates[-1], is_settled)


def test_only_booked_cash_outs_of_this_machine_count(house: House) -> None:
    assert price(house) is None
    house.sell(rate="60", tx_type="cash_in")
    house.sell(rate="70", wire_sats=1)
    house.sell("m2", rate="80")
    house.say("operator", "guard m1 per_settlement=1")
    sell(house, "90")
    assert price(house) is None
    house.say("operator", f"settlement release s{house.book.settlement_count}")
    assert price(house) == Price("90", "90", True)


def test_the_guard_s_rate_is_the_band(house: House) -> None:
    sell(house, "50", "50", "52")
    assert price(house) == Price("50", "52", True)
    house.say("operator", "guard m1 rate=3%")
    assert price(house) == Price("50", "52", False)
    house.say("operator", "guard m1 rate=0")
    sell(house, "50")
    assert price(house) == Price("50", "50", True)
    house.say("operator", "guard m1 rate=off")


def test_what_is_undone_prices_nothing(house: House) -> None:
    """A refund takes the rate with it; a correction, and a refund of what it owed, do not: the sale was true."""
    sell(house, "50", "50", "0.5")
    bogus = house.book.settlement_count
    house.say("operator", f"settlement partial s{bogus - 1} fiat=1 note=jam")
    house.say("operator", f"settlement refund s{bogus - 1} reason=paid")
    assert price(house) == Price("50", "0.5", False)
    house.say("operator", f"settlement refund s{bogus} reason=false")
    assert price(house) == Price("50", "50", True)
    house.restart()
    assert price(house) == Price("50", "50", True)


def test_what_a_thief_may_have_signed_prices_nothing(house: House) -> None:
    """Neither while it is frozen nor when it is released; what was sold before counts."""
    sell(house, "50", "51")
    sell(house, "5000", "5000", "5000")
    assert price(house) == Price("5000", "5000", True)
    house.say("operator", f"machine compromised m1 since={house.now - 2}")
    assert price(house) == Price("50", "51", True)
    house.say("operator", f"settlement release s{house.book.settlement_count}")
    assert price(house) == Price("50", "51", True)


def test_rates_of_what_is_frozen_do_not_guard(house: House) -> None:
    """A thief's rates are no measure for the true sales after it."""
    house.say("operator", "guard m1 rate=5%")
    since = house.now + 1
    sell(house, "5000", "5000", "5000")
    house.say("operator", f"machine compromised m1 since={since}")
    house.say("operator", "machine rotate m1 @new-1")
    house.say("operator", "machine resume m1")
    house.sell(by="new-1", machine=person("new-1").pubkey)
    assert price(house) == Price("50", "50", True)


def test_rules_1_paid_by_the_last_rate(house: House) -> None:
    """Whatever its direction, until a key was stolen: old entries are decided so for ever."""
    sell(house, "50", "50", "0.5")
    assert price_in_force(house.book, "m1", FIRST) == Price("0.5", "0.5", True)
    house.say("operator", "machine compromised m1 since=0")
    assert price_in_force(house.book, "m1", FIRST) is None


# --- settle ---------------------------------------------------------------------------------------------------------


def test_a3_settle_does_not_pay_by_one_bogus_sale(house: House) -> None:
    """A3: 2,000.00 GTQ for 1 sat. `settle` says both rates and wants one named; that is obeyed, and its distance said."""
    sell(house, "50", "50")
    sell(house, "0.0005", fiat="2000.00")
    head = house.chain.head
    refused = house.say("operator", "settle ana 2000 machine=m1")
    assert refused == CommandRefused(
        Code.PRICE_UNSETTLED,
        "the newest rate of m1, 0.0005 sats per GTQ, is far off the usual 50: name the price yourself, "
        "rate=<sats per GTQ>; if that sale is false, settlement refund it",
    )
    assert house.chain.head == head
    near = house.say("operator", "settle ana 100 machine=m1 rate=45")
    assert isinstance(near, LpPaid)
    assert "off_pct" not in settle_view(house.book, near)


@pytest.mark.parametrize(
    ("rate", "off"),
    [("45", None), ("55", None), ("44.9", "-10.2%"), ("100", "+100%"), ("0.0005", "-99.999%"), ("55.00001", "+10%")],
)
def test_a3_a_named_rate_is_obeyed_and_its_distance_said(house: House, rate: str, off: str | None) -> None:
    sell(house, "50")
    paid = house.say("operator", f"settle ana 2000 machine=m1 rate={rate}")
    assert isinstance(paid, LpPaid)
    assert paid.rate == rate
    view = settle_view(house.book, paid)
    assert view.get("off_pct") == off
    assert (f"{off} off the usual price" in PLAN_WORDS["settle"]({"leg": view})) == (off is not None)


@pytest.mark.parametrize(
    ("said", "off"),
    [
        ("exchange_rate=3250", None),
        ("exchange_rate=3.250", "-99.9%"),  # a thousands point: three thousand was meant
        ("exchange_rate=3250.000", None),  # zeros at its end say nothing
        ("principal_sats=40", "-99.9384%"),
        ("principal_sats=65000", None),
        ("exchange_rate=32500", "+900%"),
        ("exchange_rate=4000 tx_type=cash_in", "+23.0769%"),
        ("exchange_rate=3500 tx_type=cash_in", None),
    ],
)
def test_u1_a_rate_that_is_far_off_is_said_of_a_sale_added_by_hand_too(said: str, off: str | None) -> None:
    """U1: a rate may have any decimals, so nothing else tells that `3.250` sats a dinar was meant as 3250."""
    house = House.open()
    house.add_machine("k1", fiat="KWD")
    house.say("operator", "settlement add machine=k1 fiat_amount=20 exchange_rate=3250")
    house.say("operator", "settlement add machine=k1 fiat_amount=20 exchange_rate=3250 tx_type=cash_in")
    text = f"settlement add machine=k1 fiat_amount=20 {said}"
    command = parse(text)
    assert isinstance(command, Command)
    decided = decide(house.book, letter("operator", text, at=house.now), house.now, RULES, command)
    view = outcome_view(house.book, person("operator").pubkey, command, decided.facts, at=house.now)
    words = answer("settlement add", view, json=False)
    assert view["settlement"].get("off_pct") == off
    assert (f"is {off} off this machine's usual rate" in words) == (off is not None)
    assert isinstance(house.say("operator", text), SettlementProcessed)  # it is obeyed all the same


def test_u1_the_first_sale_of_a_machine_is_off_nothing(house: House) -> None:
    command = parse("settlement add machine=m1 fiat_amount=20 exchange_rate=3.250")
    assert isinstance(command, Command)
    said = letter("operator", "settlement add machine=m1 fiat_amount=20 exchange_rate=3.250", at=house.now)
    decided = decide(house.book, said, house.now, RULES, command)
    view = outcome_view(house.book, person("operator").pubkey, command, decided.facts, at=house.now)
    assert "off_pct" not in view["settlement"]


# --- fixed mode -----------------------------------------------------------------------------------------------------


def test_a3_a_slot_is_skipped_told_and_due_again_that_day(house: House) -> None:
    """A3: one valid sale of 2,000.00 GTQ for 1 sat, then a slot: ana's cash is not touched, the operator hears why."""
    house.say("operator", "fixed schedule 12:00,20:00")
    house.say("ana", "mode fixed")
    sell(house, "50")
    sell(house, "0.0005", fiat="2000.00")
    kept, paid = house.tick(house.now + DAY_S // 4)
    assert isinstance(kept, SlotsKept)
    assert isinstance(paid, LpPaid)
    assert [(leg.sats, leg.fiat_minor, leg.status, leg.reason) for leg in paid.legs] == [
        (0, 0, LegStatus.SKIPPED, SkipReason.PRICE_UNSETTLED)
    ]
    assert unsettled_notice((kept, paid)) == (
        f"Fixed mode {kept.slots[0]}: nothing was paid where the newest sale's rate is far off the usual rate: "
        "m1 (usually 50 sats per GTQ). Look at `settlement list machine=m1`: if that sale is false, `settlement "
        "refund` it. "
        "If the price has moved, more sales settle it, or pay now by `settle` with rate=. The missed payments are due "
        "again at the next time today, if there is one."
    )
    assert house.remaining("ana") == "9000.00"
    house.say("operator", f"settlement refund s{house.book.settlement_count} reason=bogus")
    facts = house.tick(house.now + DAY_S // 4)
    paid = facts[1]
    assert isinstance(paid, LpPaid)
    assert unsettled_notice(facts) is None
    assert [(leg.sats, leg.fiat_minor) for leg in paid.legs] == [(100_000, 200_000)]  # the whole day's
    assert verify_trail(house.trail()).head == house.chain.head


def test_an_unsettled_machine_leaves_another_s_price_alone(house: House) -> None:
    """An LP with cash at both gets its due where the price is settled."""
    house.say("operator", "fixed schedule 00:00")
    house.say("operator", "lp add @ana machine=m2 name=ana")
    house.add_cash("ana", "500", "m2")
    house.say("ana", "mode fixed")
    sell(house, "50", "0.5")
    _, *paid = house.tick(house.now + DAY_S)
    assert [(fact.machine, fact.legs[0].sats, fact.legs[0].reason) for fact in paid if isinstance(fact, LpPaid)] == [
        ("m1", 0, SkipReason.PRICE_UNSETTLED),
        ("m2", 25_000, None),
    ]


# --- exactness ------------------------------------------------------------------------------------------------------

RATES = st.builds(lambda digits, places: f"{digits}" if not places else f"{digits // 10**places}.{digits % 10**places:0{places}}",
                  st.integers(1, 10**12), st.integers(0, 12))  # fmt: skip


@given(st.lists(RATES, min_size=1, max_size=11))
def test_the_median_is_exact(rates: list[str]) -> None:
    assert Fraction(median(rates)) == sorted(map(Fraction, rates))[(len(rates) - 1) // 2]


@given(RATES, RATES, st.integers(0, 10**6))
def test_off_is_exact(rate: str, usual: str, ppm: int) -> None:
    mine, theirs = parse_decimal(rate), parse_decimal(usual)
    assert mine is not None
    assert theirs is not None
    assert is_off(mine, theirs, ppm) == (abs(Fraction(rate) - Fraction(usual)) > Fraction(usual) * ppm / 10**6)
