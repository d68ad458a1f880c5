"""The sequencer: a turn that fails while the bot stops leaves no hole in the journal.

A real database that fails when it is told to. What else becomes of turns that fail is in test_bot.py and test_crash.py.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nostrbot.core.inputs import Observed
from nostrbot.nostr.sealing import Envelope
from nostrbot.runtime.inbox import Handed
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.runtime.troubles import Work
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store
from tests.offices import ANA, BOT, OPENED_AT, OPERATOR, PLATFORM, command, office, report
from tests.signers import Plain, verified
from tests.store.faulty_driver import faulty_driver

NOON_AT = OPENED_AT + 4 * 3_600  # OPENED_AT is 08:13:20 in Guatemala


@asynccontextmanager
async def sequencing(path: Path, clock: Callable[[], int]) -> AsyncIterator[Sequencer]:
    """A sequencer over a database that is there."""
    store = await Store.open(sqlite_url(path))
    sequencer = Sequencer(
        store, Envelope(BOT), bot=BOT.pubkey, platform=PLATFORM.pubkey, clock=clock, stopping=asyncio.Event()
    )
    await sequencer.load()
    try:
        yield sequencer
    finally:
        await store.close()


async def turns_of(sequencer: Sequencer, *events: Plain) -> int:
    """How many turns were committed."""
    return len([turn async for turn in sequencer.take([verified(event) for event in events])])


async def test_nothing_follows_a_turn_that_failed_while_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entries are in memory and not in the journal; a slot of fixed mode that is due just then would be sealed after
    them. It waits for the next start, and so does everything else."""
    path, stopping, now = tmp_path / "bot.sqlite", asyncio.Event(), OPENED_AT
    async with office(path) as at:
        await at.say((OPERATOR, "fixed schedule 12:00"), (ANA, "mode fixed"))
        await at.take(report(1))
    with faulty_driver(monkeypatch) as faults:
        store = await Store.open(sqlite_url(path))
        sequencer = Sequencer(
            store, Envelope(BOT), bot=BOT.pubkey, platform=PLATFORM.pubkey, clock=lambda: now, stopping=stopping
        )
        await sequencer.load()
        head = sequencer.bookkeeper.live[OPERATOR.pubkey].chain.seq
        now = NOON_AT
        stopping.set()
        faults.expect(12)  # among the statements of the commit
        assert await turns_of(sequencer, report(2, at=NOON_AT)) == 0
        assert sequencer.bookkeeper.live[OPERATOR.pubkey].chain.seq == head + 1
        faults.expect(None)
        assert sequencer.bookkeeper.books_due(NOON_AT) == [OPERATOR.pubkey]
        handed = Handed(OPERATOR.pubkey, None)
        assert [turn async for turn in sequencer.take([handed])] == []
        assert not handed.held.done()
        assert await turns_of(sequencer, command(ANA, "pause", NOON_AT)) == 0
        await store.close()
    async with office(path) as at:
        assert at.bookkeeper.live[OPERATOR.pubkey].chain.seq == head
        assert at.bookkeeper.books_due(NOON_AT) == [OPERATOR.pubkey]


async def test_due_work_that_cannot_be_decided_costs_sales_no_commit_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours in one book's due work is set aside alone; what arrived around it is still committed together."""
    path, now = tmp_path / "bot.sqlite", OPENED_AT
    async with office(path):
        pass

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("nostrbot.core.engine.due", broken)
    async with sequencing(path, lambda: now) as sequencer:
        tick, arrivals = Handed(OPERATOR.pubkey, None), [verified(report(n)) for n in range(1, 9)]
        turns = [turn async for turn in sequencer.take([*arrivals[:4], tick, *arrivals[4:]])]
        assert [len(turn.batch.entries) for turn in turns] == [4, 4]
        assert tick.held.result() is False
        assert sequencer.is_resting(OPERATOR.pubkey, Work.TICK)


async def test_work_for_a_book_that_is_not_there_ends_nothing(tmp_path: Path) -> None:
    """Its opening failed after somebody had seen it: nothing is due in it, and no entry holds what was handed in."""
    path, now, nobody = tmp_path / "bot.sqlite", OPENED_AT, ANA.pubkey
    async with office(path):
        pass
    async with sequencing(path, lambda: now) as sequencer:
        assert not sequencer.bookkeeper.is_due(nobody, now)
        tick = Handed(nobody, None)
        seen = Handed(nobody, Observed("lnbits", "wallet", "p1.1:prepared", now, "attempt_prepared", {}))
        assert [turn.batch.entries async for turn in sequencer.take([tick, seen])] == [[]]
        assert (tick.held.result(), seen.held.result()) == (False, False)
        assert not sequencer.bookkeeper.closed_books
