"""Cassettes, telemetry and the fleet as people and programs see them (acceptance T1, T5, T12, T13)."""

from typing import Any

import orjson
import pytest

from nostrbot.core.atm.fleet import UNSEEN, MachineStatus, see_beacon, see_telemetry
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.desks import DECIDERS
from nostrbot.core.parsing import parse
from nostrbot.messages.replies import WORDS
from nostrbot.messages.words.machines import MACHINE_WORDS, duration
from nostrbot.views.machines import cassettes_view, fleet_row, telemetry_view
from nostrbot.views.outcomes import outcome_view
from tests.houses import House, person
from tests.machines import beacon, statement, telemetry

OPERATOR = person("operator")


@pytest.fixture
def house() -> House:
    """m1 has stated 480 banknotes of 100 and 300 of 20, and sold 20 of the first."""
    house = House.open()
    house.take(statement(at=house.now - 100, _1=(100, 480), _2=(20, 300)))
    house.sell(bills=[{"denomination": 100, "count": 20}])
    return house


def asked(house: House, text: str) -> tuple[dict[str, Any], str]:
    """The data of a command's answer, as JSON carries it, and its words; the command has no effect."""
    command = parse(text)
    assert isinstance(command, Command), command
    order = Order(command, OPERATOR.pubkey, house.now, "")
    facts = DECIDERS[command.verb][1](house.book, order)
    assert not isinstance(facts, CommandRefused), facts
    data = outcome_view(house.book, OPERATOR.pubkey, command, facts, at=house.now)
    return orjson.loads(orjson.dumps(data)), MACHINE_WORDS[command.verb](data)


def test_a_cassette_shows_what_is_expected_beside_what_was_stated(house: House) -> None:
    """T5, T13: `drift` is how far the operator's column is from the machine's."""
    view = cassettes_view(house.book, "m1")
    assert view["machine"] == "m1"
    assert view["cassettes"][0] == {
        "position": "1",
        "denomination": 100,
        "count": 460,
        "state_denomination": 100,
        "state_count": 480,
        "state_at": house.now - 101,
        "drift": -20,
        "updated_by": "atm-bootstrap",
        "updated_at": house.now - 1,
    }
    assert MACHINE_WORDS["cassette list"](view) == (
        "1: 460 x 100, the machine stated 480 x 100\n2: 300 x 20, as the machine stated"
    )


def test_no_cassettes_yet() -> None:
    """What is missing, and what to do: nothing."""
    view = cassettes_view(House.open().book, "m1")
    assert view == {"cassettes": [], "machine": "m1"}
    assert MACHINE_WORDS["cassette list"](view) == "m1 has not stated its cassettes yet: it does so by itself."


def test_a_cassette_that_is_set(house: House) -> None:
    """Who set it is told by npub."""
    data, words = asked(house, "cassette set m1 1 count=500")
    assert data["machine"] == "m1"
    assert (data["cassette"]["count"], data["cassette"]["updated_by"]) == (500, OPERATOR.npub)
    assert words == "Expected now at m1: 1: 500 x 100, the machine stated 480 x 100\nNext: cassette publish m1"


def test_a_cassette_that_is_so_already(house: House) -> None:
    """It is shown as it is."""
    data, words = asked(house, "cassette set m1 1 count=460")
    assert (data["cassette"]["count"], data["cassette"]["updated_by"]) == (460, "atm-bootstrap")
    assert words.startswith("Expected now at m1: 1: 460 x 100")


@pytest.mark.parametrize(
    ("counted", "variance", "found"),
    [
        ("1=458 2=301", "-180.00", "180.00 GTQ less than expected; booked as a variance"),
        ("2=301 1=460", "20.00", "20.00 GTQ more than expected; booked as a variance"),
        ("1=460 2=300", "0.00", "just what was expected"),
    ],
)
def test_a_count(house: House, counted: str, variance: str, found: str) -> None:
    """What was found, and by how much it is off."""
    data, words = asked(house, f"cassette count m1 {counted}")
    assert (data["variance"], data["currency"], data["machine"]) == (variance, "GTQ", "m1")
    assert [row["position"] for row in data["cassettes"]] == ["1", "2"]
    assert words.splitlines()[0] == f"Counted at m1: {found}."
    assert words.splitlines()[-1] == "Next: cassette publish m1"


def test_what_a_machine_is_told(house: House) -> None:
    """What is expected; the words leave out what it stated itself."""
    data, words = asked(house, "cassette publish m1")
    assert [row["count"] for row in data["cassettes"]] == [460, 300]
    assert words == "m1 will be told that its cassettes hold:\n1: 460 x 100\n2: 300 x 20"


def sighting(house: House, **fields: Any) -> MachineStatus:
    """m1 as its beacon, heard this second, tells."""
    return see_beacon(UNSEEN, beacon(at=house.now, **fields), house.now, may_be_stored=False).sighting


def test_telemetry_is_shown_as_it_was_told(house: House) -> None:
    """T4; beside it what its beacons said, objects and all."""
    seen = sighting(house, cash_in=True, fees={"cash_in": 5.5}, name="Parque")
    seen = see_telemetry(seen, telemetry({"cpu": 0.5, "ok": True, "log": ["a"]}, at=house.now - 5), house.now).sighting
    view = telemetry_view(house.book.machines["m1"], seen)
    assert view == {
        "telemetry": {"cpu": 0.5, "ok": True, "log": ["a"]},
        "machine": "m1",
        "telemetry_at": house.now - 5,
        "beacon": {"cash_in": True, "name": "Parque", "fees": {"cash_in": 5.5}},
        "beacon_at": house.now,
    }
    assert MACHINE_WORDS["telemetry"](view) == (
        'm1 says of itself: cash_in yes, name Parque, fees {"cash_in":5.5}\nIts telemetry: cpu 0.5, ok yes, log ["a"]'
    )


def test_a_machine_that_told_nothing(house: House) -> None:
    """Nothing is null, not zero."""
    view = telemetry_view(house.book.machines["m1"], None)
    assert view == {"telemetry": None, "machine": "m1", "telemetry_at": None, "beacon": {}, "beacon_at": None}
    assert MACHINE_WORDS["telemetry"](view) == "m1 has told nothing about itself yet."


def test_what_a_machine_wrote_plays_no_tricks(house: House) -> None:
    """faults.md row 45: names and values, however deep."""
    seen = sighting(house, name="\u202eevil\x07", cash_level="\u202elow", limits={"\u202ea": ["\x07"]})
    seen = see_telemetry(seen, telemetry({"\u202ekey": "\u2066value"}, at=house.now), house.now).sighting
    words = MACHINE_WORDS["telemetry"](telemetry_view(house.book.machines["m1"], seen))
    words += MACHINE_WORDS["fleet"]({"fleet": [fleet_row(house.book, house.book.machines["m1"], seen, house.now)]})
    assert words.replace("\n", "").isprintable()
    house.take(statement(at=house.now, **{"\u202eevil\x07": (100, 1)}))
    for words in (
        MACHINE_WORDS["cassette list"](cassettes_view(house.book, "m1")),
        asked(house, "cassette publish m1")[1],
        asked(house, "cassette count m1 \u202eevil\x07=5")[1],
    ):
        assert words.replace("\n", "").isprintable()


def test_a_machine_speaks_in_no_line_of_another(house: House) -> None:
    """faults.md row 45: a stolen key writes no second row into the fleet, nor an answer below an answer."""
    seen = sighting(house, cash_level="high\nm2: GTQ; heard 0 s ago", name="m1\nRefused: ")
    seen = see_telemetry(seen, telemetry({"a\nb": "c\nd"}, at=house.now), house.now).sighting
    fleet = MACHINE_WORDS["fleet"]({"fleet": [fleet_row(house.book, house.book.machines["m1"], seen, house.now)]})
    assert len(fleet.splitlines()) == 1
    assert "cash level high\\nm2: GTQ" in fleet
    told = MACHINE_WORDS["telemetry"](telemetry_view(house.book.machines["m1"], seen))
    assert len(told.splitlines()) == 2
    house.take(statement(at=house.now, **{"1: 480 x 100\n2": (100, 1)}))
    assert len(MACHINE_WORDS["cassette list"](cassettes_view(house.book, "m1")).splitlines()) == 3  # with 1 and 2


def test_a_machine_at_a_glance(house: House) -> None:
    """What it says of itself (but for objects of any length), when it was heard, what it settled and holds."""
    house.sell(n=5, fiat="500.00", rate="48.5", bills=[])
    seen = sighting(house, cash_in=True, cash_out=False, cash_level="high", fees={"a": 1}, limits={}, denominations={})
    row = fleet_row(house.book, house.book.machines["m1"], seen, house.now + 42)
    assert row == {
        "machine": "m1",
        "active": True,
        "fiat": "GTQ",
        "heard_at": house.now,
        "heard_s": 42,
        "skew_s": 0,
        "beacon": {"cash_in": True, "cash_out": False, "cash_level": "high"},
        "fiat_today": "2500.00",
        "rate": "48.5",
        "notes": 760,
        "cash": "52000.00",
        "missing": ["2-4"],
        "jump": None,
    }
    assert MACHINE_WORDS["fleet"]({"fleet": [row]}) == (
        "m1: heard 42 s ago; cash-in on, cash-out off, cash level high; today 2500.00 GTQ; "
        "760 notes, 52000.00 GTQ in its cassettes; missing settlements 2-4"
    )


def test_today_is_the_operator_s_day(house: House) -> None:
    """A day later the day's figure begins anew."""
    row = fleet_row(house.book, house.book.machines["m1"], None, house.now + 86_400)
    assert (row["fiat_today"], row["rate"]) == ("0.00", "50")


def test_a_machine_nobody_has_heard() -> None:
    """Suspended, silent, empty."""
    house = House.open()
    house.say("operator", "machine suspend m1")
    row = fleet_row(house.book, house.book.machines["m1"], None, house.now)
    assert (row["heard_at"], row["heard_s"], row["skew_s"], row["rate"]) == (None, None, None, None)
    assert MACHINE_WORDS["fleet"]({"fleet": [row]}) == "m1: suspended; no beacon yet; today 0.00 GTQ"
    assert MACHINE_WORDS["fleet"]({"fleet": []}) == "No machines yet: `help machine add` shows how"


@pytest.mark.parametrize(("skew_s", "said"), [(59, ""), (-1_800, ", its clock is 30 min behind"), (120, ", its clock is 2 min ahead")])  # fmt: skip
def test_a_clock_that_is_off_is_told(house: House, skew_s: int, said: str) -> None:
    """faults.md row 16; a minute is no matter."""
    seen = see_beacon(UNSEEN, beacon(at=house.now + skew_s), house.now, may_be_stored=False).sighting
    row = fleet_row(house.book, house.book.machines["m1"], seen, house.now)
    assert MACHINE_WORDS["fleet"]({"fleet": [row]}).startswith(f"m1: heard 0 s ago{said}; today")


def test_lengths_of_time_as_people_say_them() -> None:
    """In the largest whole unit."""
    assert [duration(s) for s in (0, 59, 60, 3_599, 3_600, 172_799, 172_800)] == [
        "0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 days",
    ]  # fmt: skip


def test_every_command_about_machines_has_its_words() -> None:
    """They are part of the one table of words."""
    assert MACHINE_WORDS.items() <= WORDS.items()
