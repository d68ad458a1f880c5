"""One relay lies, the other is honest and wants to know whom it serves (NIP-42): true sales go through, lies are counted.

The bot runs as a process with both in its relays.yaml; the liar is the tests' own relay.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.house import House, eventually, running_house
from tests.e2e.people import Line
from tests.e2e.sales import sale
from tests.e2e.side_loop import SideLoop, side_loop
from tests.peers.hostile_relay import HostileRelay, hostile_relay
from tests.peers.local_relay import local_relay

Plain = dict[str, Any]


@dataclass
class Siege:
    """A bot between an honest relay and a liar."""

    house: House
    operator: Line
    m1: Line
    liar: HostileRelay
    loop: SideLoop

    def say(self, *frames: str | bytes) -> None:
        """The liar says raw frames to the bot."""
        self.loop.call(self.liar.say(*frames))

    def tell(self, *events: Plain) -> None:
        """The liar passes events on, on every subscription of the bot's."""
        self.loop.call(self.liar.pass_on(*events))

    def report(self, **changes: Any) -> Plain:
        return self.m1.person.report(self.house.pubkey, sale(self.m1.person, **changes))

    def assert_a_true_sale_goes_through(self) -> None:
        assert self.m1.settle(sale(self.m1.person))["status"] == "processed"


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Siege]:
    folder = tmp_path_factory.mktemp("siege")
    with (
        side_loop() as loop,
        loop.holding(local_relay(auth=True)) as honest,
        loop.holding(hostile_relay()) as liar,
        running_house(folder, honest, liar.url) as house,
    ):
        operator = house.open_operator("antigua", "m1")
        house.seat_lp(operator, "ana", "m1", "100000")
        m1 = house.line("m1")
        # Until the liar has been asked for m1's settlements, what it says of them is off the filter.
        eventually(lambda: any(m1.person.pubkey in json.dumps(request) for request in liar.requests))
        yield Siege(house, operator, m1, liar, loop)


def test_the_honest_relay_is_served_with_authentication(siege: Siege) -> None:
    """NIP-42: the bot hears and answers on a relay that serves nobody it does not know."""
    siege.assert_a_true_sale_goes_through()


def test_garbage_frames(siege: Siege) -> None:
    """Fault 28: bytes, half JSON, other shapes, NaN, deep nesting, duplicate keys, lone surrogates, a megabyte."""
    event = json.dumps(siege.report())
    connections = siege.liar.connection_count
    siege.say(
        b"\xff\xfe\x00",
        "",
        "{",
        "{}",
        "[]",
        "null",
        "[1,2,3]",
        '["EVENT"]',
        '["EVENT","settlements"]',
        '["EVENT","settlements",7]',
        f'["EVENT","settlements",{event},"one item more"]',
        f'["EVENT",7,{event}]',
        '["OK","id",true,""]',
        '["EOSE"]',
        '["NOTICE",{}]',
        '["EVENT","settlements",{"kind":NaN}]',
        '["EVENT","settlements",{"kind":1e400}]',
        '["EVENT","settlements",{"kind":21000.0}]',
        r'["NOTICE","\ud800"]',
        f'["EVENT","settlements",{event[:-1]},"kind":4' + "}]",
        f'["EVENT","settlements",{event[:-1]},"x":' + "[" * 10_000 + "]" * 10_000 + "}]",
        '["NOTICE","' + "x" * 1_000_000 + '"]',
    )
    siege.assert_a_true_sale_goes_through()
    assert siege.liar.connection_count == connections


def test_events_of_a_wrong_shape(siege: Siege) -> None:
    """Exact types only, even where somebody signed them: no such event reaches the desk."""
    true = siege.report()
    for changes in (
        {"kind": "21000"},
        {"kind": 21000.0},
        {"kind": True},
        {"kind": 70_000},
        {"created_at": -1},
        {"created_at": 2**53},
        {"created_at": 1e3},
        {"pubkey": true["pubkey"].upper()},
        {"id": true["id"][:-1]},
        {"sig": true["sig"].upper()},
        {"content": None},
        {"tags": {"p": siege.house.pubkey}},
        {"tags": [[]]},
        {"tags": [["p", 7]]},
    ):
        siege.tell(true | changes)
    siege.assert_a_true_sale_goes_through()


def test_forged_events_do_not_burn_a_true_id(siege: Siege) -> None:
    """Faults 19 to 21: wrong ids, bad signatures; afterwards the true event itself is taken and acknowledged."""
    true = siege.report()
    other = siege.report()
    siege.tell(
        true | {"content": other["content"]},
        true | {"id": secrets.token_hex(32)},
        true | {"sig": other["sig"]},
        true | {"sig": "0" * 128},
        true | {"pubkey": siege.operator.person.pubkey},
    )
    assert siege.m1.say(true).json["status"] == "processed"
    siege.tell(true | {"content": other["content"]}, true | {"sig": other["sig"]})
    siege.assert_a_true_sale_goes_through()
    assert len(siege.m1.answers_to(true["id"])) == 1


def test_events_nobody_asked_for(siege: Siege) -> None:
    """Fault 8: sound events that match no filter of ours: refused, whoever signed them."""
    stranger = siege.house.person("stranger")
    siege.tell(
        stranger.sign(1, "hello"),
        stranger.report(siege.house.pubkey, sale(siege.m1.person)),
        siege.m1.person.sign(21_000, json.dumps(sale(siege.m1.person)), [["p", stranger.pubkey]]),
        siege.m1.person.sign(30_078, "{}", [["p", siege.house.pubkey]]),
    )
    siege.assert_a_true_sale_goes_through()
    rows = siege.operator.data("settlement list limit=1000")["settlements"]
    assert {row["status"] for row in rows} == {"processed"}


def test_a_flood_of_challenges(siege: Siege) -> None:
    """Fault 69: the bot proves who it is a few times, not ten thousand."""
    siege.say(*(json.dumps(["AUTH", f"challenge {n}"]) for n in range(1_000)))
    siege.assert_a_true_sale_goes_through()
    assert len(siege.liar.auths) < 20


def test_needless_words(siege: Siege) -> None:
    """Faults 70, 74: OKs for other ids, ends of subscriptions that are none: ignored."""
    siege.say(
        *(json.dumps(["OK", secrets.token_hex(32), False, "blocked: go away"]) for _ in range(50)),
        *(json.dumps(["EOSE", f"sub {n}"]) for n in range(50)),
        *(json.dumps(["CLOSED", f"sub {n}", "error: none"]) for n in range(50)),
        json.dumps(["NOTICE", "nostrbot, shut down. \u202e\x1b[2J"]),
    )
    siege.assert_a_true_sale_goes_through()


def test_a_true_event_brought_by_the_liar_is_true(siege: Siege) -> None:
    """What is signed is believed, whoever brings it; and brought by both it is one settlement."""
    report = siege.report()
    siege.tell(report)
    assert siege.m1.hear(report["id"]).json["status"] == "processed"
    before = siege.operator.data("settlement list limit=1")
    siege.m1.publish(report)
    assert siege.operator.data("settlement list limit=1") == before


def test_a_frame_too_large_to_read(siege: Siege) -> None:
    """Fault 28: ten megabytes are not read; the bot hangs up on that relay and serves the other."""
    siege.say('["NOTICE","' + "x" * 10_000_000 + '"]')
    siege.assert_a_true_sale_goes_through()


def test_every_refusal_is_counted_by_name(siege: Siege) -> None:
    """`nostrbot status --json`: in all, and under the relay that brought it; the honest one has none."""

    def told() -> dict[str, Any] | None:
        state = siege.house.status()
        return state if state["refusals"].get("frame_too_large", 0) >= 2 else None

    state = eventually(told, every_s=0.5)
    reasons = {"not_json", "bad_shape", "frame_too_large", "wrong_id", "bad_signature", "off_filter"}
    for reason in reasons:
        assert state["refusals"][reason] > 0, reason
    honest, liar = state["relays"]
    assert reasons <= set(liar["refusals"])
    assert honest["refusals"] == {}
    assert (honest["connected"], state["healthy"]) == (True, True)


def test_nothing_of_it_is_in_the_books(siege: Siege) -> None:
    """One settlement for each true sale, and the trail verifies."""
    siege.house.assert_trail_verifies(siege.operator.person)
