"""What is not yours and what is not there take the same way (faults.md row 89): not only the same answer, also the same work.

A clock would tell a test of that little on a busy computer. So what is compared is what the time is spent on: the
statements the database runs for a command, one by one, apart from the values in them.
"""

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nostrbot.core.commands import arguments
from nostrbot.core.commands.specs import CommandSpec, Role
from nostrbot.core.table import TABLE
from tests.offices import ANA, HOUSE, OPERATOR, PLATFORM, Office, command, office, report
from tests.signers import Signer

FLORES, M3, CARLA = Signer("flores"), Signer("m3"), Signer("carla")
NEIGHBOUR = (
    (PLATFORM, f"operator add {FLORES.npub} name=flores"),
    (FLORES, f"machine add {M3.npub} name=m3 fiat=GTQ cash_in=5% cash_out=7.77%"),
    (FLORES, f"lp add {CARLA.npub} machine=m3 name=eva"),
    (CARLA, "join"),
    *[(FLORES, "deposit add eva 5 machine=m3")] * 5,
)
# antigua has m1, ana, ben, d1, d2, s1; flores has m3, eva, d1 to d5, s1 to s3. The same letters stand for nothing in `nowhere`.
THEIRS = {"machine": "m3", "lp": "eva", "deposit": "d5", "settlement": "s3"}
NOWHERE = {"machine": "m9", "lp": "zoe", "deposit": "d9", "settlement": "s9"}

OPERATORS = [
    "machine show {machine}",
    "machine set {machine} cash_in=1%",
    "machine suspend {machine}",
    "machine resume {machine}",
    f"machine rotate {{machine}} {Signer('new').npub}",
    "machine compromised {machine} since=1790000000",
    "guard {machine} per_day=5",
    "telemetry {machine}",
    "cassette list {machine}",
    "cassette set {machine} 1 count=5",
    "cassette count {machine} 1=5",
    "cassette publish {machine}",
    f"lp add {Signer('new').npub} machine={{machine}} name=new",
    "lp list machine={machine}",
    "lp show {lp}",
    "lp suspend {lp}",
    "lp suspend ana machine={machine}",
    "lp resume {lp}",
    "deposit add {lp} 5 machine=m1",
    "deposit add ana 5 machine={machine}",
    "deposit confirm {deposit}",
    "deposit edit {deposit} amount=5",
    "deposit cancel {deposit}",
    "deposit reverse {deposit} reason=x",
    "deposit list lp={lp}",
    "deposit list machine={machine}",
    "report day machine={machine}",
    "settlement list machine={machine}",
    "settlement show {settlement}",
    "settlement note {settlement} x",
    "settlement release {settlement}",
    "settlement partial {settlement} fiat=5 note=x",
    "settlement refund {settlement} reason=x",
    "settlement reset {settlement} reason=x",
    "settlement retry {settlement}",
    "settlement add machine={machine} fiat_amount=5 exchange_rate=50 fee_sats=0",
    "balances machine={machine}",
    "splits show machine={machine}",
    "splits set machine={machine} a=100%:self",
    "splits set a=100%:{lp}",
    "splits clear machine={machine}",
    "settle {lp} 5 machine=m1",
    "settle ana 5 machine={machine}",
    "gap dismiss {machine}",
    "payment list machine={machine}",
    "payment list lp={lp}",
]
LPS = ["balance machine={machine}", "history machine={machine}", "statement machine={machine}"]
OPERATOR_OF_AN_LP = ["balance operator={}", "statement operator={}", "receipt l1 operator={}", "proof operator={}"]


class Watched:
    """What SQLite runs, on every connection that is opened from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: list[str] = []
        connect = sqlite3.connect

        def watched(*args: Any, **options: Any) -> sqlite3.Connection:
            connection = connect(*args, **options)
            connection.set_trace_callback(lambda sql: self.statements.append(re.sub(r"x?'[^']*'|\b\d+\b", "?", sql)))
            return connection

        monkeypatch.setattr(sqlite3, "connect", watched)


@pytest.fixture
async def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Office, Watched]]:
    """Two neighbours, each with a sale or more."""
    watched = Watched(monkeypatch)
    async with office(tmp_path / "bot.sqlite", house=(*HOUSE, *NEIGHBOUR)) as opened:
        await opened.take(report(1), *[report(n, machine=M3) for n in (1, 2, 3)])
        yield opened, watched


async def way(at: tuple[Office, Watched], who: Signer, text: str) -> tuple[list[str], str]:
    """The statements that a command comes to, questions included, and its answer."""
    house, watched = at
    house.now += 1  # or it would be the same event, which is answered once
    watched.statements.clear()
    turn = await house.take(command(who, text, house.now))
    said = [str(json.loads(row.body)["text"]) for row in turn.batch.owed if row.body is not None]
    said += [message.text for message in turn.say]
    said += [repr(await house.bookkeeper.reading.answer(question)) for question, _ in turn.questions]
    (answer,) = said
    return list(watched.statements), answer


async def compare(at: tuple[Office, Watched], who: Signer, theirs: str, nowhere: str, names: dict[str, str]) -> None:
    await way(at, who, nowhere)  # what is done once, like opening a connection, is done
    way_to_theirs, answer_of_theirs = await way(at, who, theirs)
    way_to_nowhere, answer_of_nowhere = await way(at, who, nowhere)
    for name, other in names.items():
        answer_of_theirs = re.sub(rf"\b{name}\b", other, answer_of_theirs)
    assert answer_of_theirs == answer_of_nowhere
    assert way_to_theirs == way_to_nowhere


@pytest.mark.parametrize("text", OPERATORS)
async def test_another_operators_things_are_as_far_away_as_none(at: tuple[Office, Watched], text: str) -> None:
    """Every command of an operator that names something."""
    names = dict(zip(THEIRS.values(), NOWHERE.values(), strict=True))
    await compare(at, OPERATOR, text.format(**THEIRS), text.format(**NOWHERE), names)


@pytest.mark.parametrize("text", LPS)
async def test_an_lp_finds_no_machine_but_its_own(at: tuple[Office, Watched], text: str) -> None:
    """Not even that there is one."""
    await compare(at, ANA, text.format(**THEIRS), text.format(**NOWHERE), {"m3": "m9"})


@pytest.mark.parametrize("text", OPERATOR_OF_AN_LP)
async def test_an_lp_finds_no_operator_but_its_own(at: tuple[Office, Watched], text: str) -> None:
    """The neighbour's name is one that nobody has."""
    await compare(at, ANA, text.format("flores"), text.format("nobody"), {"flores": "nobody"})


async def test_an_lp_finds_no_receipt_but_its_own(at: tuple[Office, Watched]) -> None:
    """Ben's leg of the same sale, the operator's and the platform's are as a leg that was never made."""
    assert "'receipt': 'l3'" in (await way(at, ANA, "receipt l3"))[1]
    for other in ("l1", "l2", "l4"):
        await compare(at, ANA, f"receipt {other}", "receipt l9", {other: "l9"})


def names_something(form: CommandSpec) -> bool:
    """Whether an argument of a command is the name of something that another may have."""
    kinds = {arguments.handle, arguments.numbered}
    named = {arg.name for arg in form.args if arg.read in kinds or arg.name in THEIRS}
    return bool(named & {*THEIRS, "operator"}) or "LP" in form.rest


def test_no_command_is_left_out() -> None:
    """A new command that names something belongs into the lists above."""
    listed = {" ".join(text.split()) for text in (*OPERATORS, *LPS, *OPERATOR_OF_AN_LP)}
    for form in TABLE:
        if form.roles & {Role.OPERATOR, Role.LP} and names_something(form):
            assert any(text.startswith(f"{form.verb} ") for text in listed), form.verb
