"""A command has at most one effect, for ever: replayed, on another relay, after a kill; stale and early ones are refused.

Two relays of two makes, one bot on both. Tests run in their order, since the bot dies in between.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.e2e.house import House, running_house, running_relay
from tests.e2e.people import Heard, Line
from tests.e2e.sales import sale
from tests.e2e.side_loop import side_loop
from tests.peers.independent_relay import independent_relay, relay_python

HOUR_S = 3_600


@dataclass
class TwoRelays:
    """A house on two relays, with each person's line to either."""

    house: House
    relays: tuple[str, str]
    operator: tuple[Line, Line]
    ana: Line
    m1: tuple[Line, Line]

    def deposits(self) -> list[str]:
        return [row["id"] for row in self.operator[0].data("deposit list limit=1000")["deposits"]]


@pytest.fixture(scope="module")
def second_relay_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another implementation, which keeps ephemeral events too; where it is not installed, another LocalRelay."""
    python = relay_python()
    with ExitStack() as stack:
        if python is None:
            yield stack.enter_context(running_relay(tmp_path_factory.mktemp("second"))).url
        else:
            loop = stack.enter_context(side_loop())
            yield stack.enter_context(loop.holding(independent_relay(python, tmp_path_factory.mktemp("second"))))


@pytest.fixture(scope="module")
def both(relay_url: str, second_relay_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoRelays]:
    urls = (relay_url, second_relay_url)
    with running_house(tmp_path_factory.mktemp("both"), *urls) as house:
        first = house.open_operator("antigua", "m1")
        ana = house.seat_lp(first, "ana", "m1", "9000")
        operator = (first, house.line("antigua", urls[1]))
        yield TwoRelays(house, urls, operator, ana, (house.line("m1"), house.line("m1", urls[1])))


@pytest.mark.parametrize(
    ("age_s", "code"),
    [
        (25 * HOUR_S, "too_old"),
        (48 * HOUR_S, "too_old"),
        (365 * 24 * HOUR_S, "too_old"),
        (-16 * 60, "in_the_future"),
        (-365 * 24 * HOUR_S, "in_the_future"),
    ],
)
def test_stale_and_early_commands_are_refused_with_a_reply(both: TwoRelays, age_s: int, code: str) -> None:
    """Older than 24 h or more than 15 min ahead (fault 33): an answer that says so, and no effect; questions as well."""
    before = both.deposits()
    line = both.operator[0]
    for text in ("deposit add ana 5 machine=m1 --json", "deposit list --json"):
        answer = line.say(line.person.command(both.house.pubkey, text, created_at=int(time.time()) - age_s)).json
        assert answer["ok"] is False
        assert answer["error"]["code"] == code
    assert both.deposits() == before


@pytest.mark.parametrize("age_s", [23 * HOUR_S, -14 * 60])
def test_within_the_window_a_command_counts(both: TwoRelays, age_s: int) -> None:
    """23 hours old or 14 minutes ahead is in time."""
    before = both.deposits()
    line = both.operator[0]
    event = line.person.command(both.house.pubkey, "deposit add ana 5 machine=m1", created_at=int(time.time()) - age_s)
    assert "5.00 GTQ" in line.say(event).text
    assert len(both.deposits()) == len(before) + 1


def test_a_command_on_both_relays_has_one_effect(both: TwoRelays) -> None:
    """Fault 32: replayed by another relay: nothing more happens, and nothing more is said."""
    before = both.deposits()
    first, second = both.operator
    event = first.person.command(both.house.pubkey, "deposit add ana 7 machine=m1")
    first.say(event)
    second.publish(event)
    second.ask("whoami")
    assert len(both.deposits()) == len(before) + 1
    assert {heard.event["id"] for heard in second.answers_to(event["id"])} == {
        heard.event["id"] for heard in first.answers_to(event["id"])
    }


def test_a_sale_over_both_relays_is_one_settlement(both: TwoRelays) -> None:
    """Fault 1: one settlement, one set of legs, one receipt; the ack is on both relays."""
    first, second = both.m1
    event = first.person.report(both.house.pubkey, sale(first.person))
    first.publish(event)
    second.publish(event)
    acks = (first.hear(event["id"]).json, second.hear(event["id"]).json)
    assert acks[0]["settlement"] == acks[1]["settlement"] == "s1"
    assert "processed" in {ack["status"] for ack in acks}
    both.ana.wait(lambda: both.ana.receipts)
    both.ana.ask("balance")
    assert len(both.ana.receipts) == 1
    assert len(both.operator[0].data("settlement list")["settlements"]) == 1


@pytest.fixture(scope="module")
def killed(both: TwoRelays) -> tuple[Heard, Heard]:
    """A deposit command and a settlement, answered; then SIGKILL, and a new start. Their answers before the kill."""
    line, m1 = both.operator[0], both.m1[0]
    command = line.say(line.person.command(both.house.pubkey, "deposit add ana 11 machine=m1"))
    report = m1.say(m1.person.report(both.house.pubkey, sale(m1.person)))
    both.house.kill()
    both.house.start()
    return command, report


def test_a_command_replayed_after_a_kill_has_no_second_effect(both: TwoRelays, killed: tuple[Heard, Heard]) -> None:
    """Faults 2 and 32: by the relay's own store, and by somebody who sends it to another relay."""
    answer = killed[0]
    before = both.deposits()
    line, elsewhere = both.operator
    command_id = answer.answers
    replayed = next(event for event in line.sent if event["id"] == command_id)
    elsewhere.publish(replayed)
    elsewhere.ask("whoami")
    assert both.deposits() == before
    assert [deposit["amount"] for deposit in line.data("deposit list limit=1")["deposits"]] == ["11.00"]
    assert {heard.text for heard in elsewhere.answers_to(str(command_id))} <= {answer.text}


def test_a_settlement_replayed_after_a_kill_is_a_duplicate(both: TwoRelays, killed: tuple[Heard, Heard]) -> None:
    """The machine repeats its event to the restarted bot: answered again, and nothing changes."""
    ack = killed[1]
    m1 = both.m1[1]
    sent = next(event for event in both.m1[0].sent if event["id"] == ack.answers)
    m1.publish(sent)
    # The ack of before may come once more, the very same event: its delivery was not noted when the kill came.
    acks = m1.wait(lambda: [one for one in m1.answers_to(sent["id"]) if one.json["status"] == "duplicate"])
    assert acks[0].json["settlement"] == ack.json["settlement"]
    both.ana.ask("balance")
    assert len({receipt.event["id"] for receipt in both.ana.receipts}) == 2
    assert len(both.operator[0].data("settlement list")["settlements"]) == 2


def test_a_kill_leaves_a_whole_trail(both: TwoRelays, killed: tuple[Heard, Heard]) -> None:
    """Everything sealed before and after verifies as one trail."""
    both.house.assert_trail_verifies(both.operator[0].person)
