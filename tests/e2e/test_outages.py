"""Relays that are away: at the start, in between, while the bot is stopped. The bot's key is locked with a passphrase.

One home, one relay with a store, started and stopped in turns; the tests run in their order.
"""

import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.house import House, RunningRelay, eventually, nostrbot_here
from tests.e2e.people import Line
from tests.e2e.sales import sale
from tests.peers.ports import free_port

PASSPHRASE = "correct horse battery staple"


@dataclass
class Outage:
    """A house whose only relay comes and goes."""

    house: House
    folder: Path
    port: int
    relay: RunningRelay | None = None
    operator: Line | None = None

    def raise_relay(self) -> None:
        self.relay = RunningRelay(self.folder, port=self.port, data=self.folder / "events")

    def fell_relay(self) -> None:
        assert self.relay is not None
        assert self.relay.stop() == 0
        self.relay = None

    @property
    def locked_key(self) -> Path:
        return self.house.home / "keys" / "bot.nsec"


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    folder, port = tmp_path_factory.mktemp("outage"), free_port()
    outage = Outage(House(folder, f"ws://127.0.0.1:{port}", passphrase=PASSPHRASE), folder, port)
    try:
        yield outage
        assert outage.house.told_secrets() == []
        assert PASSPHRASE not in outage.house.log + outage.house.output
        assert "Traceback" not in outage.house.log
    finally:
        outage.house.close()
        if outage.relay is not None:
            outage.relay.stop()


def test_a_locked_key(outage: Outage) -> None:
    """NOSTRBOT_KEY_PASSPHRASE at `init`: the file is NIP-49; without it, or with another, `run` says what to set."""
    assert outage.locked_key.read_text().startswith("ncryptsec1")
    assert stat.S_IMODE(outage.locked_key.stat().st_mode) == 0o600
    without = nostrbot_here("run", "--home", outage.house.home)
    assert without.returncode == 2
    assert "NOSTRBOT_KEY_PASSPHRASE" in without.stderr
    assert without.stderr.count("\n") == 1
    wrong = nostrbot_here("run", "--home", outage.house.home, NOSTRBOT_KEY_PASSPHRASE="wrong")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_all_relays_down_at_the_start(outage: Outage) -> None:
    """Fault 72: the bot waits, and is ready once a relay is there; not before."""
    outage.house.launch()
    eventually(lambda: f"{outage.house.urls[0]} cannot be reached" in outage.house.log)
    assert outage.house.output == ""
    outage.raise_relay()
    outage.house.wait_ready()
    outage.operator = outage.house.open_operator("antigua", "m1")


def test_the_relay_restarts_under_the_bot(outage: Outage) -> None:
    """The bot connects again and subscribes again: commands and sales are heard as before."""
    outage.fell_relay()
    outage.raise_relay()
    m1 = outage.house.line("m1")
    report = m1.person.report(outage.house.pubkey, sale(m1.person))
    # Nothing keeps an ephemeral event for a bot that is not yet back: a machine repeats it.
    assert m1.repeat(report).json["status"] == "processed"
    outage.operator = outage.house.line("antigua")
    assert len(outage.operator.data("settlement list")["settlements"]) == 1


def test_commands_said_while_the_bot_was_away(outage: Outage) -> None:
    """The relay keeps them, and the bot answers each once when it is back; Ctrl-C had ended it in peace."""
    assert outage.house.stop(signal.SIGINT) == 0
    operator = outage.operator
    assert operator is not None
    commands = [
        operator.person.command(outage.house.pubkey, f"machine set m1 location=Corner{n} --json") for n in range(3)
    ]
    operator.publish(*commands)
    outage.house.start()
    for command in commands:
        assert operator.hear(command["id"], timeout_s=20).json["ok"] is True
    operator.ask("whoami")
    assert [len(operator.answers_to(command["id"])) for command in commands] == [1, 1, 1]


def test_sigterm_with_no_relay_there(outage: Outage) -> None:
    """Stopping does not wait for relays that are gone."""
    outage.fell_relay()
    assert outage.house.stop() == 0
