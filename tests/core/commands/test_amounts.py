"""Amounts that people type: one reader, one answer to each way of writing, in every command (review row F1)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.facts import DepositChanged, LpPaid, PreferencesSet
from nostrbot.core.commands.amounts import show_limit
from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.engine import decide
from nostrbot.core.parsing import parse
from nostrbot.core.rules import FIRST, RULES
from nostrbot.messages.replies import answer
from nostrbot.money import format_minor, minor_digits, parse_minor, parse_typed_minor
from nostrbot.views.outcomes import outcome_view
from tests.houses import House, letter, told

CURRENCIES = {"GTQ": 2, "JPY": 0, "KWD": 3}


@pytest.mark.parametrize(
    ("text", "gtq", "jpy", "kwd"),
    [
        ("9000", "9000.00", "9000", "9000.000"),
        ("9.5", "9.50", None, "9.500"),  # fewer decimals than there are: nothing else can be meant
        ("9.50", "9.50", None, "9.500"),
        ("9.00", "9.00", None, "9.000"),
        ("9.000", None, None, "9.000"),
        ("9.0000", None, None, None),
        ("9.125", None, None, "9.125"),
        ("9.00000", None, None, None),
        ("0.01", "0.01", None, "0.010"),
        ("0.001", None, None, "0.001"),
    ],
)
def test_f1_a_decimal_that_a_currency_does_not_have(
    text: str, gtq: str | None, jpy: str | None, kwd: str | None
) -> None:
    """Zero or not it is refused; a thousands point can only hide among those a currency has."""
    for currency, wanted in (("GTQ", gtq), ("JPY", jpy), ("KWD", kwd)):
        read = parse_typed_minor(text, currency)
        assert (None if read is None else format_minor(read, currency)) == wanted


@pytest.mark.parametrize(
    "text",
    ["1,000.50", "1.000,50", "9,000", "7,77", "1_000", "1'000", "1’000", "1e3", "９０００", "٩٠٠٠", "+9", "-9", "-0", ".5", "9.",
     "009", "00.5", "0x10", "9 000", "Q9000", "9000GTQ", "$9", "½", "NaN", "Infinity", "1.000.000", "", "9..0", "1\u200b0"],
)  # fmt: skip
def test_f1_what_can_be_read_in_two_ways_is_read_in_none(text: str) -> None:
    """In whatever currency, and refused with words in every place that takes an amount."""
    assert {parse_typed_minor(text, currency) for currency in CURRENCIES} == {None}
    for command in ('deposit add ana "{}" machine=m1', 'settle ana "{}" machine=m1', 'fixed limit "{}"',
                    'mode fixed "limit={}"', 'guard m1 "per_day={}"', 'deposit edit d1 "amount={}"',
                    'settle ana 5 machine=m1 "rate={}"'):  # fmt: skip
        said = parse(command.format(text), RULES)
        assert isinstance(said, Misunderstood), command
        assert said.refused.code is Code.BAD_ARGUMENT
        assert said.refused.message.endswith("digits, and a point before decimals; nothing between thousands")


@given(st.integers(1, 10**12), st.sampled_from(sorted(CURRENCIES)))
@settings(max_examples=100, deadline=None)
def test_f1_what_an_answer_shows_can_be_typed(amount_minor: int, currency: str) -> None:
    """In the currency's own form; with one zero more it is refused from people, and read from programs."""
    shown = format_minor(amount_minor, currency)
    assert parse_typed_minor(shown, currency) == amount_minor
    longer = f"{shown}0" if minor_digits(currency) else f"{shown}.0"
    assert parse_typed_minor(longer, currency) is None
    assert parse_minor(longer, currency) == amount_minor


@pytest.fixture
def house() -> House:
    """Machines with three currencies, ana at each with cash, and a held sale."""
    house = House.open()
    for name, currency in (("yen", "JPY"), ("kwd", "KWD")):
        house.add_machine(name, fiat=currency)
    house.add_lp("ana")
    for name in ("yen", "kwd"):
        house.say("operator", f"lp add @ana machine={name} name=ana")
        house.say("operator", f"deposit add ana 90000 machine={name}")
    house.say("operator", "deposit add ana 9000 machine=m1")
    house.say("operator", "deposit add ana 7000 machine=m1")
    for number in (1, 2, 3):
        house.say("operator", f"deposit confirm d{number}")
    house.sell()
    return house


# Every command that takes an amount of a currency; {} is the amount.
TAKERS = [
    "deposit add ana {} machine=m1",
    "deposit edit d4 amount={}",
    'deposit reverse d3 amount={} reason="counted wrong"',
    "settle ana {} machine=m1",
    "guard m1 per_settlement={}",
    "guard m1 per_day={}",
    "fixed limit {}",
    'settlement partial s1 fiat={} note="jammed"',
    "settlement add machine=m1 fiat_amount={} exchange_rate=50",
]


@pytest.mark.parametrize("command", TAKERS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9.000", "9.000 has three decimals, {} has {}: write 9000 or {}"),
        ("9.0000", "9.0000 has four decimals, {} has {}: write {}"),
        ("9.125", "9.125 has three decimals, {} has {}: write 9125, or {}"),
        ("9.1234", "9.1234 has four decimals, {} has {}: write {}"),
        ("0.001", "0.001 has three decimals, {} has {}: write {}"),
    ],
)
def test_f1_a_thousands_point_is_refused_by_every_command(house: House, command: str, text: str, words: str) -> None:
    """And the refusal says what to write. The limit of fixed mode is of all the book's currencies: the yen has no decimals."""
    outcome = house.say("operator", command.format(text))
    currency, has, written, most = (
        ("JPY", "none", "9", "a whole number") if "limit" in command else ("GTQ", "two", "9.00", "at most two decimals")
    )
    slots = {3: (currency, has, written), 4: (currency, has, written)}
    known = (
        (currency, has, most)
        if ("or {}" in words and "9125" in words) or text in ("9.1234", "0.001")
        else slots[len(text) - 2]
    )
    assert isinstance(outcome, CommandRefused), outcome
    assert outcome.code is Code.BAD_ARGUMENT
    assert outcome.message.endswith(words.format(*known))


@pytest.mark.parametrize("command", TAKERS)
def test_f1_answers_and_previews_show_the_value_as_understood(house: House, command: str) -> None:
    """`9.5` was typed: 9.50 is what it is, and what is said in words and in JSON, whether done or only previewed."""
    amount = "9" if "limit" in command else "9.5"
    shown = "9" if "limit" in command else "9.50"
    said = parse(told(command.format(amount)))
    assert isinstance(said, Command)
    decided = decide(
        house.book, letter("operator", command.format(amount), at=house.now, to=house.bot), house.now, RULES
    )
    assert decided.facts, decided.instead
    view = outcome_view(house.book, "", said, decided.facts, at=house.now)
    for preview in (False, True):
        words, json = (answer(said.verb, view, json=json, preview=preview) for json in (False, True))
        assert shown in words
        assert f'"{shown}"' in json
        assert "9.5 " not in words
        assert '"9.5"' not in json


@pytest.mark.parametrize(
    ("machine", "text", "wanted"),
    [("yen", "9.000", "has three decimals, JPY has none: write 9000 or 9"),
     ("yen", "9.00", "has two decimals, JPY has none: write 9"),
     ("yen", "9.5", "has one decimal, JPY has none: write a whole number"),
     ("kwd", "9.0000", "has four decimals, KWD has three: write 9.000")],
)  # fmt: skip
def test_f1_in_other_currencies(house: House, machine: str, text: str, wanted: str) -> None:
    """Yen have no decimals, dinars three."""
    outcome = house.say("operator", f"deposit add ana {text} machine={machine}")
    assert isinstance(outcome, CommandRefused)
    assert outcome.message == f"amount: {text} {wanted}"


def test_f1_in_dinars_a_point_and_three_digits_are_decimals(house: House) -> None:
    """There it cannot be told apart: the answer shows what was understood."""
    outcome = house.say("operator", "deposit add ana 9.000 machine=kwd")
    assert isinstance(outcome, DepositChanged)
    assert outcome.deposit.amount_minor == 9_000


def test_f1_a_limit_of_an_lp_holds_in_each_of_its_currencies(house: House) -> None:
    """Ana has yen; ben has quetzales alone."""
    refused = house.say("ana", "mode fixed limit=500.00")
    assert isinstance(refused, CommandRefused)
    assert refused.message == "limit: 500.00 has two decimals, JPY has none: write 500"
    house.add_lp("ben")
    assert isinstance(house.say("ben", "mode fixed limit=9.000"), CommandRefused)
    assert isinstance(house.say("ben", "mode fixed limit=500.5"), PreferencesSet)
    assert show_limit("500.5", ["GTQ"]) == "500.50"
    assert show_limit("500.001", ["GTQ"]) == "500.001"  # one of before


def test_f1_rates_may_have_decimals(house: House) -> None:
    """They are prices, finer than any coin; zeros at their end say nothing, and are not shown."""
    paid = house.say("operator", "settle ana 5 machine=m1 rate=49.500")
    assert isinstance(paid, LpPaid)
    assert paid.rate == "49.5"
    assert isinstance(house.say("operator", "settle ana 5 machine=m1 rate=49,5"), CommandRefused)


@pytest.mark.parametrize("text", ["1.000", "1,000", "1_000", "1e3", "-0", "007", "+5", "１", "5.", "1.0"])
def test_f1_sats_and_banknotes_are_whole(text: str) -> None:
    """No point, no comma, no zero in front."""
    for command, wanted in (
        ("settlement add machine=m1 fiat_amount=5 principal_sats={}", "a whole number of sats, without points"),
        (
            "settlement add machine=m1 fiat_amount=5 exchange_rate=5 fee_sats={}",
            "a whole number of sats, without points",
        ),
        ("cassette set m1 1 denomination={}", "the value of a banknote, like 100"),
        ("cassette set m1 1 count={}", "a number of banknotes, like 480"),
    ):
        said = parse(command.format(text))
        assert isinstance(said, Misunderstood)
        assert wanted in said.refused.message


@pytest.mark.parametrize("text", ["7,77%", "7.77777%", "6.50000%", "07%", "+5%", ".5%", "5.%", "1e1%", "７%"])
def test_f1_percentages_are_plainly_written(text: str) -> None:
    """A comma is none; four decimals are the most, zeros or not."""
    for command in ("machine set m1 cash_in={}", "guard m1 rate={}", "platform fee cash_in={} cash_out=1%"):
        said = parse(command.format(text))
        assert isinstance(said, Misunderstood)
        assert "a percentage from 0 to 100 with at most four decimals, like 7.77%" in said.refused.message


@pytest.mark.parametrize("text", ["9.000", "0009", "9.00000"])
def test_f1_entries_of_the_first_rules_are_read_as_they_were(house: House, text: str) -> None:
    """Their trails verify for ever."""
    given = letter("operator", f"deposit add ana {text} machine=m1", at=house.now, to=house.bot)
    decided = decide(house.book, given, house.now, FIRST)
    assert isinstance(decided.facts[0], DepositChanged)
    assert decided.facts[0].deposit.amount_minor == 900
    assert isinstance(decide(house.book, given, house.now, RULES).instead, CommandRefused)
