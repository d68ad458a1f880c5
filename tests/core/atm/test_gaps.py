"""Gaps: an operator ends the wait for what will not come (docs/protocol.md sections 3.1 and 6; review A16)."""

import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.counter import Counter
from nostrbot.core.atm.facts import GapsDismissed
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.parsing import parse
from nostrbot.core.rules import FIRST
from nostrbot.core.snapshots import take_snapshot
from nostrbot.messages.alerts import GAPS_TOLD_MAX, AlertState, Surroundings, find_alerts, notify
from nostrbot.messages.replies import answer
from nostrbot.views.outcomes import outcome_view
from tests.houses import House

FALSE = 1_790_000_000


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    return house


def counter(house: House) -> Counter:
    return house.book.tills["m1"].counter


def missing(house: House) -> list[str]:
    return [str(gap) for gap in counter(house).missing]


def sell(house: House, *numbers: int) -> None:
    for n in numbers:
        house.sell(n=n, fiat="1.00")


@pytest.mark.parametrize(
    ("numbers", "runs", "left"),
    [
        ("42", ((42, 42),), ["45-47"]),
        ("45-47", ((45, 47),), ["42"]),
        ("46", ((46, 46),), ["42", "45", "47"]),
        ("42 45-46", ((42, 42), (45, 46)), ["47"]),
        ("42,45-47", ((42, 42), (45, 47)), []),
        ("42, 45-47", ((42, 42), (45, 47)), []),
        ("1-9999", ((1, 9999),), []),
        ("", ((42, 42), (45, 47)), []),
    ],
)
def test_a16_a_command_ends_a_gap(
    house: House, numbers: str, runs: tuple[tuple[int, int], ...], left: list[str]
) -> None:
    """Those that are named, or all; counting goes on."""
    sell(house, 41, 43, 44, 48)
    text = f"gap dismiss m1 {numbers}"
    command = parse(text)
    assert isinstance(command, Command)
    house.restart()
    fact = GapsDismissed("m1", runs, 48, is_over=False)
    data = outcome_view(house.book, house.book.operator, command, (fact,), at=house.now)
    assert data == {"machine": "m1", "missing": left}
    assert house.say("operator", text) == fact
    assert missing(house) == left
    sell(house, 50)
    assert missing(house) == [*left, "49"]
    assert take_snapshot(house.rebuilt()) == take_snapshot(house.book)
    assert verify_trail(house.trail()).head == house.chain.head


def test_nothing_to_dismiss_is_no_entry(house: House) -> None:
    """It answers as if it had done it."""
    sell(house, 41, 43)
    for text in ("gap dismiss m1 77", "gap dismiss m1 43"):
        assert house.say("operator", text) is None
        command = parse(text)
        assert isinstance(command, Command)
        data = outcome_view(house.book, house.book.operator, command, (), at=house.now)
        assert data == {"machine": "m1", "missing": ["42"]}
        assert answer("gap dismiss", data, json=False) == "m1: still missing 42."
    house.say("operator", "gap dismiss m1")
    assert house.say("operator", "gap dismiss m1") is None


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("gap dismiss m9", Code.NOT_FOUND),
        ("gap dismiss", Code.MISSING_ARGUMENT),
        ("gap dismiss m1 x", Code.BAD_ARGUMENT),
        ("gap dismiss m1 47-45", Code.BAD_ARGUMENT),
        ("gap dismiss m1 -3", Code.BAD_ARGUMENT),
        ("gap dismiss m1 3-", Code.BAD_ARGUMENT),
        ("gap dismiss m1 1 2 x=3", Code.UNKNOWN_ARGUMENT),
        ("gap dismiss m1 99999999999999999999", Code.BAD_ARGUMENT),
        ("gap dismiss m1 " + " ".join(map(str, range(51))), Code.BAD_ARGUMENT),
    ],
)
def test_what_is_refused(house: House, said: str, code: Code) -> None:
    outcome = house.say("operator", said)
    assert isinstance(outcome, CommandRefused)
    assert outcome.code is code


def test_only_its_operator_may(house: House) -> None:
    sell(house, 41, 43)
    for who in ("ana", "platform", "m1"):
        assert isinstance(house.say(who, "gap dismiss m1"), CommandRefused)
    assert missing(house) == ["42"]


def test_a16_a_machine_that_was_reset_counts_on_from_where_it_jumped_to(house: House) -> None:
    """Once the operator says so; what is named alone says nothing of the jump."""
    sell(house, 1000, 1002, FALSE, FALSE + 2)
    house.say("operator", "gap dismiss m1 1001")
    assert counter(house).stray is not None
    assert missing(house) == [f"{FALSE + 1}"]
    house.say("operator", "gap dismiss m1")
    assert (counter(house).newest, counter(house).stray, missing(house)) == (FALSE + 2, None, [])
    sell(house, FALSE + 4)
    assert missing(house) == [f"{FALSE + 3}"]
    house.say("operator", "gap dismiss m1")
    sell(house, 1, 2)  # and back again
    house.say("operator", "gap dismiss m1")
    assert counter(house).newest == 2


@pytest.mark.parametrize(
    ("next_numbers", "gaps"), [((1006, 1008), ["1007"]), ((FALSE + 5, FALSE + 7), [f"{FALSE + 6}"])]
)
def test_a16_a_book_that_believed_a_false_number_is_healed(
    house: House, next_numbers: tuple[int, ...], gaps: list[str]
) -> None:
    """By rules 1 "missing 1002-1789999999" for ever; dismissed, counting begins with whatever is heard next."""
    for n in (1000, FALSE, 1001, 1005):
        counter(house).hear(n, house.now, FIRST)
    assert missing(house) == ["1002-1004", f"1006-{FALSE - 1}"]
    house.say("operator", "gap dismiss m1")
    assert (counter(house).newest, missing(house)) == (None, [])
    sell(house, *next_numbers)
    assert missing(house) == gaps


# --- what is told ---------------------------------------------------------------------------------------------------


def told(house: House, known: dict[str, AlertState], in_s: int = 121) -> list[str]:
    """The lines that an operator gets after a while; what it was told is known from then on."""
    house.now += in_s
    around = Surroundings(house.now, house.now - 10**6, 1, 1, None)
    lines, after = notify(known, find_alerts(house.book, {}, around, known=known), house.now)
    known.clear()
    known.update(after)
    return lines


def test_a16_each_new_gap_is_told(house: House) -> None:
    """A16: n=1000, 1790000000, 1001, 1005: the jump is asked about, and the true gap is told although it comes after."""
    known: dict[str, AlertState] = {}
    sell(house, 1000, FALSE)
    assert told(house, known, 60) == []
    assert told(house, known) == [
        f"m1's counter jumped from 1000 to {FALSE}: `gap dismiss m1` if it was reset; if not, look at "
        "`settlement list machine=m1`"
    ]
    sell(house, 1001, 1005)
    assert told(house, known) == ["m1: have 1001 and 1005, missing 1002-1004"]
    assert told(house, known) == ["Over: m1 counter jumped"]
    sell(house, 1007)
    assert told(house, known) == ["m1: have 1005 and 1007, missing 1006"]
    sell(house, 1003)
    assert told(house, known) == []  # the parts of a gap are no new ones
    house.say("operator", "gap dismiss m1 1002 1004")
    assert told(house, known) == []
    assert told(house, known) == ["Over: m1 missing 1002-1004"]


def test_a_machine_that_is_broken_does_not_tell_of_each_gap(house: House) -> None:
    """Ten within an hour, then one line for the others; an hour later there is room again."""
    known: dict[str, AlertState] = {}
    sell(house, *range(1, 60, 2))
    lines = told(house, known)
    assert len(lines) == GAPS_TOLD_MAX + 1
    assert lines[-1] == "m1: more settlements are missing: `fleet` shows which, `gap dismiss m1` ends the wait"
    sell(house, 61, 63)
    assert told(house, known) == []
