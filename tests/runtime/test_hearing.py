"""Hearing: nobody spends what is another's, what protects money is heard, and two who answer each message come to rest.

The review of November 2026, rows A7 and F9; faults.md row 46.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nostrbot.core.commands.command import Command
from nostrbot.core.parsing import parse
from nostrbot.core.table import TABLE
from nostrbot.nostr.giftwrap import make_wrap
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope
from nostrbot.refusals import Reason
from nostrbot.runtime.hearing import (
    CHATTER_AT_ONCE,
    COMMANDS_AT_ONCE,
    MISDATED_AT_ONCE,
    PROTECTING_AT_ONCE,
    SLIPS_AT_ONCE,
    WARNINGS_AT_ONCE,
    Heard,
    Hearing,
)
from nostrbot.runtime.turn import Turn
from tests.offices import ANA, BOT, OPENED_AT, OPERATOR, Office, command, office
from tests.signers import Plain

DAY = 24 * 60 * 60
AUTO_REPLIES = (
    "Delivered",
    "I am out of office until Monday. Pause.",
    "Refused: there is no command 'Delivered'. There is: balance [unknown_command]",
    'an apostrophe that isn"t closed',
    '{"ok": true, "command": "balance", "data": {}}',
    "",
)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path / "bot.sqlite") as at:
        yield at


def texts(turn: Turn) -> list[str]:
    """The answers that a turn owes."""
    return [json.loads(row.body)["text"] for row in turn.batch.owed if row.body is not None]


def understood(text: str) -> Command:
    said = parse(text)
    assert isinstance(said, Command)
    return said


# --- A7: nobody spends what is another's ------------------------------------------------------------------------------


def old_commands(count: int, **options: Any) -> list[Plain]:
    return [
        command(OPERATOR, f"deposit add ana {n + 1} machine=m1", OPENED_AT - 9 * DAY, **options) for n in range(count)
    ]


@pytest.mark.parametrize("scheme", ["nip04", "nip44"])
async def test_a7_old_commands_handed_on_take_nothing_from_their_author(at: Office, scheme: str) -> None:
    """400 old commands and the true one in one second: it is decided, few are answered, and nothing is kept of the rest."""
    turn = await at.take(*old_commands(400, scheme=scheme), command(OPERATOR, "machine set m1 location=here"))
    assert [fact.name for entry in turn.batch.entries for fact in entry.facts] == ["machine_changed"]
    assert sum("too_old" in text for text in texts(turn)) == MISDATED_AT_ONCE
    assert len(turn.batch.answered) == MISDATED_AT_ONCE + 1
    assert at.bookkeeper.refusals[Reason.RATE_LIMITED] == 400 - MISDATED_AT_ONCE


async def test_a7_what_was_answered_costs_its_author_nothing(at: Office) -> None:
    """Commands of today, handed on again and again, also after a restart: silence, and no token."""
    said = [command(OPERATOR, f"settlement show s{n}", OPENED_AT - 60) for n in range(1, 200)]
    turn = await at.take(*said)
    await at.store.writer.commit(type(turn.batch)(answered=[(given.id, at.now) for _, given in turn.questions]))
    await at.reload()
    for _ in range(3):
        assert not (await at.take(*said)).questions
    turn = await at.take(*[command(OPERATOR, f"deposit add ana {n} machine=m1") for n in range(1, 200)])
    assert len(turn.batch.entries) == 199


async def test_a7_an_old_message_wrapped_again_by_a_stranger_is_an_old_message(at: Office) -> None:
    """Gift wraps hide who made them: what counts is the date and the author of the message within."""
    keys = Keys.from_secret(OPERATOR.secret)

    def wrapped(n: int) -> Plain:
        text, name = f"deposit add ana {n % 40 + 1} machine=m1", bytes([n % 250])
        return make_wrap(keys, Envelope(keys), to=BOT.pubkey, text=text, at=OPENED_AT - 2 * DAY, name=name).plain()

    turn = await at.take(*[wrapped(n) for n in range(120)], command(OPERATOR, "machine suspend m1"))
    assert [fact.name for entry in turn.batch.entries for fact in entry.facts] == ["machine_changed"]
    assert sum("too_old" in text for text in texts(turn)) == MISDATED_AT_ONCE


def test_a7_what_protects_money_is_decided_or_answered() -> None:
    """When all else is spent it still is decided so often, and beyond that each is answered that it was not."""
    hearing = Hearing()
    plain, protecting = understood("machine set m1 location=x"), understood("machine suspend m1")

    def hear(said: Command) -> Heard:
        return hearing.hear("ana", said, 0, is_fresh=True, is_unlimited=False)

    heard = [hear(plain) for _ in range(COMMANDS_AT_ONCE + WARNINGS_AT_ONCE + 1)]
    assert heard[COMMANDS_AT_ONCE - 1 :] == [Heard.TAKEN, *[Heard.TOO_FAST] * WARNINGS_AT_ONCE, Heard.IN_SILENCE]
    heard = [hear(protecting) for _ in range(PROTECTING_AT_ONCE + 100)]
    assert heard == [Heard.TAKEN] * PROTECTING_AT_ONCE + [Heard.TOO_FAST] * 100
    assert hear(understood("preview machine suspend m1")) is Heard.IN_SILENCE


def test_a7_which_commands_protect_money() -> None:
    """What stops sales, sharing, or the spending of somebody's sats."""
    protecting = {form.verb for form in TABLE if form.protects}
    assert protecting >= {
        "machine suspend", "machine compromised", "machine rotate", "guard", "lp suspend", "pause", "operator suspend",
        "operator replace", "settlement refund", "deposit reverse", "fixed schedule", "fixed limit", "payment void",
    }  # fmt: skip
    assert all(form.changes for form in TABLE if form.protects)


# --- F9: two who answer each message ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", AUTO_REPLIES)
async def test_f9_an_automatic_reply_is_answered_a_few_times_and_then_no_more(at: Office, reply: str) -> None:
    """The last answer says so; whatever it says at each receipt after that is silence."""
    answered: list[str] = []
    for n in range(100):
        turn = await at.take(command(ANA, reply, OPENED_AT - n))
        answered += texts(turn)
        assert [event_id for event_id, _ in turn.batch.answered]  # also after a restart
    assert len(answered) == CHATTER_AT_ONCE
    assert [("go on hearing" in text) for text in answered] == [False] * (CHATTER_AT_ONCE - 1) + [True]
    turn = await at.take(command(ANA, "pause"))
    assert [entry.facts[0].name for entry in turn.batch.entries] == ["preferences_set"]


async def test_f9_each_command_is_worth_one_answer_more(at: Office) -> None:
    """A person who mistypes now and then is always told; a client that echoes each answer gets one a command."""
    for n in range(5 * CHATTER_AT_ONCE):
        turn = await at.take(command(ANA, "help", OPENED_AT - n), command(ANA, "hallo", OPENED_AT - n))
        assert len(texts(turn)) == 1


async def test_f9_a_command_with_something_wrong_in_it_is_answered_more_often(at: Office) -> None:
    """Programs make mistakes, too; a text that only begins like a command comes to rest all the same."""
    answered = []
    for n in range(2 * SLIPS_AT_ONCE):
        answered += texts(await at.take(command(ANA, "Pause - I am away", OPENED_AT - n)))
    assert len(answered) == SLIPS_AT_ONCE


async def test_f9_two_bots_come_to_rest(at: Office) -> None:
    """What we say to each other is no command: each answer is answered, and that ends."""
    words, rounds = ["Delivered"], 0
    while words and rounds < 1_000:
        rounds += 1
        words = texts(await at.take(*[command(ANA, text, OPENED_AT - rounds) for text in words]))
    assert rounds <= CHATTER_AT_ONCE + 1


async def test_f9_silence_ends_by_itself(at: Office) -> None:
    """An hour later one more is answered."""
    await at.take(*[command(ANA, "Delivered", OPENED_AT - n) for n in range(50)])
    at.now += 60 * 60
    assert len(texts(await at.take(*[command(ANA, "Delivered", at.now - n) for n in range(50)]))) == 1


def test_a5_what_has_much_of_the_past_looked_up_weighs_more() -> None:
    """A stolen key's drill reads all that a machine sold: a few at once, and its preview no more."""
    hearing, drill = Hearing(), understood("machine compromised m1 since=2026-11-01")
    preview = understood("preview machine compromised m1 since=2026-11-01")

    def heard(author: str, said: Command) -> int:
        hear = [hearing.hear(author, said, 0, is_fresh=True, is_unlimited=False) for _ in range(100)]
        return hear.count(Heard.TAKEN)

    assert heard("ana", drill) == (PROTECTING_AT_ONCE + COMMANDS_AT_ONCE) // drill.spec.weight
    assert heard("ben", preview) == COMMANDS_AT_ONCE // drill.spec.weight
