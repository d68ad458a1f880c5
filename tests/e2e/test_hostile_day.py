"""A hostile day: a machine that lies without pause, an LP that asks without pause, and a clock that leaps.

None of it costs anybody else anything: sales are acked, the operator is obeyed, and in the end everything adds up and is
proven, after a SIGKILL too. Faults A1, A2, A4, A5, A7, A17; `make soak` sends all 5,050 sales of row A1.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, environment, eventually, nostrbot_here
from tests.e2e.people import SETTLEMENT_KIND, Line, Person
from tests.e2e.sales import sale

SALES_AS_REVIEWED = 5_050
LEAP_S = 3 * 86_400
LEAPT_FOR_S = 2.0
OBEYED_MAX_S = 60.0
ACKED_MAX_S = 90.0
ALL_SATS = 21 * 10**14


class HouseOnABadComputer(House):
    """A house whose bot takes for the time what a file says."""

    @property
    def clock(self) -> Path:
        return self.folder / "ahead"

    def launch(self) -> None:
        words = ["-m", "tests.peers.moved_clock", str(self.clock), "run", "--home", str(self.home)]
        with (self.folder / "run.out").open("ab") as output, (self.folder / "run.err").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words], env=environment(**self._variables), stdout=output, stderr=log
            )


def hostile_sale(machine: Person, number: int) -> dict[str, Any]:
    """One of the sales that broke the bot, or would: each but the first holds together."""
    whole: dict[str, Any] = {"fee_sats": 0, "n": number, "txid": "x" * 256, "cassettes": {}}
    little = whole | {"wire_sats": 1, "principal_sats": 1, "tx_type": "cash_in"}
    everything = whole | {"wire_sats": ALL_SATS, "principal_sats": ALL_SATS, "exchange_rate": f"{ALL_SATS}00"}
    notes = [{"denomination": 10**9, "count": 10**9} for _ in range(64)]
    extremes: tuple[dict[str, Any], ...] = (
        little | {"fiat_amount": "90000000000000.00", "exchange_rate": "0.00000000000001"},
        little | {"fiat_amount": "99999999999.99", "exchange_rate": "0.00000000001"},
        little | {"fiat_amount": "100000000000.00", "exchange_rate": "0.00000000001", "bills": notes},
        everything | {"fiat_amount": "0.01", "tx_type": "cash_in", "n": 2**53 - 1},
        everything | {"fiat_amount": "0.01", "tx_type": "cash_out", "n": 0},
        everything | {"fiat_amount": "0.01", "wire_sats": 1, "fee_sats": ALL_SATS - 1, "tx_type": "cash_in"},
    )
    return sale(machine, **extremes[number % len(extremes)])


class Seller(threading.Thread):
    """A machine that sells one sale after the other, each repeated until it is acked."""

    def __init__(self, line: Line) -> None:
        super().__init__(name=line.person.name)
        self.line, self.acks = line, dict[str, dict[str, Any]]()
        self.events: list[dict[str, Any]] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            event = self.line.person.report(self.line.bot, sale(self.line.person, n=len(self.events) + 1))
            self.events.append(event)
            until = time.monotonic() + ACKED_MAX_S
            while event["id"] not in self.acks and time.monotonic() < until:
                self.line.publish(event)
                try:
                    ack = self.line.hear(event["id"], timeout_s=1.0).json
                except AssertionError:
                    continue  # not yet: it is said again
                self.acks[event["id"]] = ack
            self.over.wait(0.1)


class Asker(threading.Thread):
    """An LP that asks for its figures as soon as it has them."""

    def __init__(self, line: Line) -> None:
        super().__init__(name=line.person.name)
        self.line, self.answered = line, 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            asked = [self.line.person.command(self.line.bot, "stats range=all --json") for _ in range(5)]
            self.line.publish(*asked)
            for event in asked:
                try:
                    self.line.hear(event["id"], timeout_s=5.0)
                except AssertionError:
                    continue  # nothing is decided while the clock is not steady
                self.answered += 1


class Liar(threading.Thread):
    """A machine's key in the wrong hands."""

    def __init__(self, line: Line, count: int) -> None:
        super().__init__(name=line.person.name)
        self.line, self.count = line, count
        self.over = threading.Event()

    def has_done_harm(self) -> bool:
        """Half of its sales are decided, and they came to all that sales can come to: none of it was noise."""
        acks = [one.json["status"] for one in [*self.line.heard] if one.kind == SETTLEMENT_KIND]
        return len(acks) >= self.count // 2 and set(acks) >= {"processed", "pending", "rejected"}

    def run(self) -> None:
        for start in range(0, self.count, 50):
            numbers = range(start, min(start + 50, self.count))
            self.line.publish(
                *(self.line.person.report(self.line.bot, hostile_sale(self.line.person, n)) for n in numbers)
            )
        while not self.over.is_set():
            with suppress(AssertionError):  # it listens on
                self.line.wait(self.over.is_set, timeout_s=0.5)


@contextmanager
def working(*threads: Seller | Asker | Liar) -> Iterator[None]:
    """They are at it meanwhile."""
    for one in threads:
        one.start()
    try:
        yield
    finally:
        for one in threads:
            one.over.set()
        for one in threads:
            one.join(ACKED_MAX_S)


def check_all_is_proven(house: House, operator: Line, lp: Line, folder: Path) -> None:
    """Checkpoint, proof, trail and health."""
    signed = operator.data("checkpoint")["checkpoint"]
    proof = lp.ask_json("proof")
    assert proof["ok"], proof
    assert proof["data"]["proof"]["checkpoint"] == signed["id"]
    (folder / "proof.json").write_text(json.dumps(proof))
    (folder / "checkpoint.json").write_text(json.dumps(_event(operator, signed["id"])))
    words = ("--checkpoint", folder / "checkpoint.json", "--bot", house.npub)
    proven = nostrbot_here("audit", "proof", folder / "proof.json", *words, "--lp", lp.person.npub)
    assert proven.returncode == 0, proven.stdout
    trail = house.export(operator.person)
    verified = nostrbot_here("audit", "verify", trail, *words)
    assert verified.returncode == 0, verified.stdout
    checked = eventually(lambda: _check(house), timeout_s=30.0, every_s=1.0)
    assert checked


def _check(house: House) -> bool:
    return nostrbot_here("status", "--home", house.home, "--check").returncode == 0


def _event(line: Line, event_id: str) -> Any:
    """An event as the relay has it."""
    line._socket.send(json.dumps(["REQ", "one", {"ids": [event_id]}]))
    found: list[Any] = []
    while not found:
        match json.loads(line._socket.recv(timeout=10)):
            case ["EVENT", "one", event]:
                found.append(event)
    return found[0]


@pytest.mark.parametrize("count", [SALES_AS_REVIEWED // 10, pytest.param(SALES_AS_REVIEWED, marks=pytest.mark.soak)])
def test_a1_a2_a5_a_hostile_day(relay_url: str, tmp_path: Path, count: int) -> None:
    house = HouseOnABadComputer(tmp_path, relay_url)
    try:
        house.start()
        live_through(house, tmp_path, count)
        assert house.stop() == 0
        assert "Traceback" not in house.log
    finally:
        house.close()


def live_through(house: HouseOnABadComputer, folder: Path, count: int) -> None:
    operator = house.open_operator("antigua", "m1", "m2")
    neighbour = house.open_operator("coban", "c1")
    ana = house.seat_lp(operator, "ana", "m2", "1000000")
    liar = Liar(house.line("m1"), count)
    sellers = (Seller(house.line("m2")), Seller(house.line("c1")))
    asker = Asker(house.line("ana"))
    with working(*sellers, asker, liar):
        time.sleep(0.3)
        house.clock.write_text(f"{LEAP_S}")
        time.sleep(LEAPT_FOR_S)
        house.clock.write_text("0")
        eventually(liar.has_done_harm, timeout_s=ACKED_MAX_S, every_s=0.2)
        began = time.monotonic()
        assert operator.repeat_until_ok("machine suspend m1")["machine"]["active"] is False
        assert time.monotonic() - began < OBEYED_MAX_S
        sold = [len(one.acks) for one in sellers]
        for one, before in zip(sellers, sold, strict=True):
            eventually(lambda one=one, before=before: len(one.acks) >= before + 2, timeout_s=ACKED_MAX_S)
    check_nothing_is_lost(house, sellers, operator, asker)
    check_all_is_proven(house, operator, ana, folder)
    house.kill()
    house.start()
    check_nothing_is_lost(house, sellers, operator, asker)
    operator.data("alerts low=7")  # an entry, so that another checkpoint is signed
    check_all_is_proven(house, operator, ana, folder)
    house.assert_trail_verifies(neighbour.person)


def check_nothing_is_lost(house: House, sellers: tuple[Seller, ...], operator: Line, asker: Asker) -> None:
    """Each true sale is acked, booked once and paid for; the LP was answered all day."""
    mine, neighbours = sellers
    assert asker.answered >= 5
    for one in sellers:
        assert len(one.acks) == len(one.events) >= 4
        booked = [ack["settlement"] for ack in one.acks.values()]
        assert None not in booked, "a true sale is rejected"
        assert len(set(booked)) == len(booked)
    assert {ack["status"] for ack in neighbours.acks.values()} <= {"processed", "duplicate"}
    # A false sale may take the book to its bounds: then a true one is held until that one is undone.
    shown = [operator.data(f"settlement show {ack['settlement']}")["settlement"] for ack in mine.acks.values()]
    assert {one["status"] for one in shown} <= {"processed", "pending"}
    processed = [one for one in shown if one["status"] == "processed"]
    assert operator.data("lp show ana")["lp"]["sats"] == 100_000 * len(processed)
    for one in sellers:
        again = one.line.say(one.events[0]).json
        assert again["status"] == "duplicate"
