"""What a turn is decided with: a stolen machine key's past is at hand, whatever is only stored, or new in this very turn.

faults.md rows 26 and 27.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.settlements import compromise
from nostrbot.core.atm.settlements.facts import SettlementFrozen
from nostrbot.core.facts import plain_fact
from nostrbot.exports.trail import export_trail
from nostrbot.runtime import prefetch as recollection
from nostrbot.runtime.turn import Turn
from nostrbot.store.rebuilding import rebuild
from tests.offices import (
    ANA,
    BOT,
    OPENED_AT,
    OPERATOR,
    PLATFORM,
    Office,
    command,
    contents,
    office,
    open_office,
    report,
)
from tests.reading.asking import asked, small_sale

STOLEN_AT = OPENED_AT + 60


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    """The usual house; one sale before the key was stolen and two after, all stored and none in memory."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await at.take(report(1))
        at.now = STOLEN_AT
        await at.take(report(2))
        await at.take(report(3))
    opened = await open_office(path)
    opened.now = STOLEN_AT + 60
    yield opened
    await opened.store.close()


def frozen(turn: Turn) -> list[int]:
    return [fact.number for entry in turn.batch.entries for fact in entry.facts if isinstance(fact, SettlementFrozen)]


def told(turn: Turn) -> dict[str, Any]:
    """The answer of a turn with one command."""
    (answer,) = (json.loads(json.loads(row.body)["text"]) for row in turn.batch.owed if row.body)
    return answer


async def assert_trail_verifies(at: Office) -> None:
    lines = [line async for line in export_trail(at.store.queries, BOT.pubkey, OPERATOR.pubkey)]
    assert verify_trail(lines).head == at.head


async def test_what_is_only_stored_is_frozen(at: Office) -> None:
    """From that moment on, that moment included; and the auditor finds the same."""
    turn = await at.take(command(OPERATOR, f"machine compromised m1 since={STOLEN_AT} --json", at.now))
    assert frozen(turn) == [2, 3]
    assert told(turn)["data"]["frozen"]["statuses"] == {"processed": {"count": 2, "wire_sats": 215_540}}
    assert at.book.frozen_sats("ana") == 180_000
    await assert_trail_verifies(at)


async def test_what_is_sold_in_the_same_turn_is_frozen_too(at: Office) -> None:
    """The sale before the command, not the one after it: that key may not speak any more."""
    turn = await at.take(
        report(4, at.now), command(OPERATOR, f"machine compromised m1 since={STOLEN_AT}", at.now), report(5, at.now)
    )
    assert frozen(turn) == [2, 3, 4]
    assert [json.loads(ack.text)["error"] for ack in turn.say] == ["machine_inactive"]
    await assert_trail_verifies(at)


async def test_commands_of_one_turn_see_each_other(at: Office) -> None:
    """Refunded before, it is not frozen; frozen, it is released; asked for again, it stays released."""
    turn = await at.say(
        (OPERATOR, "settlement refund s2 reason=thief"),
        (OPERATOR, f"machine compromised m1 since={STOLEN_AT}"),
        (OPERATOR, "settlement release s3"),
        (OPERATOR, "machine compromised m1 since=0"),
    )
    assert frozen(turn) == [3, 1]
    assert list(at.book.frozen) == [1]
    await assert_trail_verifies(at)


async def test_a_preview_freezes_nothing(at: Office) -> None:
    """It is the answer that the command then gives."""
    words = f"machine compromised m1 since={STOLEN_AT} --json"
    previewed = await at.take(command(OPERATOR, f"preview {words}", at.now))
    assert previewed.batch.entries == []
    assert at.book.machines["m1"].active
    done = told(await at.take(command(OPERATOR, words, at.now)))["data"]
    assert told(previewed)["data"]["frozen"] == done["frozen"]


async def test_more_than_fits_in_an_entry_is_frozen_in_steps(at: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of the past are read until there is too much; what is frozen already takes no room."""
    monkeypatch.setattr(compromise, "FREEZE_MAX", 2)
    monkeypatch.setattr(recollection, "FREEZE_MAX", 2)
    monkeypatch.setattr(recollection, "PAST_ROWS", 1)
    refused = await at.take(command(OPERATOR, "machine compromised m1 since=0 --json", at.now))
    assert told(refused)["error"]["code"] == "too_long"
    assert frozen(await at.take(command(OPERATOR, f"machine compromised m1 since={STOLEN_AT}", at.now))) == [2, 3]
    assert frozen(await at.take(command(OPERATOR, "machine compromised m1 since=0", at.now))) == [1]


async def test_what_is_frozen_is_seen_and_stays_so(at: Office, tmp_path: Path) -> None:
    """In the worklist, in `settlement show`, in `balance` and `balances`; after a restart as before."""
    await at.take(small_sale(4, at.now))
    await at.say(
        (OPERATOR, f"machine compromised m1 since={STOLEN_AT}"), (OPERATOR, "settlement refund s2 reason=thief")
    )
    await at.reload()
    assert {number: plain_fact(fact)["number"] for number, fact in at.book.frozen.items()} == {3: 3, 4: 4}
    bucket = (await asked(at, OPERATOR, "worklist"))["frozen"]
    assert [row["id"] for row in bucket] == ["s4", "s3"]
    assert bucket[0]["next"].startswith("settlement release s4 once you know that it is true")
    shown = (await asked(at, OPERATOR, "settlement show s3"))["settlement"]
    assert (shown["status"], shown["frozen"]) == ("processed", True)
    listed = (await asked(at, OPERATOR, "settlement list machine=m1"))["settlements"]
    assert [row["frozen"] for row in listed] == [True, True, False, False]
    (row,) = await asked(at, ANA, "balance")
    assert (row["sats"], row["frozen_sats"]) == (180_900, 90_900)
    balances = await asked(at, OPERATOR, "balances")
    assert balances["frozen_sats"] == {"lps": 101_000, "operator": 6_332}
    assert await rebuild(at.store, BOT.pubkey, PLATFORM.pubkey) == {}
    changes = contents(tmp_path / "bot.sqlite")["settlement_change"]
    assert [(number, seq) for _, number, seq in changes] == [(2, 16), (2, 17), (3, 16), (4, 16)]
