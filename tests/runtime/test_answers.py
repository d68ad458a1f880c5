"""Enquiries: questions are answered beside the loop that takes sales, of what is committed, each once (A5)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from nostrbot.errors import FenceError
from nostrbot.messages.receipts import Message
from nostrbot.nostr.sealing import Envelope
from nostrbot.runtime.answers import STAND_BACK_S, Answers
from nostrbot.runtime.fair_queue import WAITING_PER_KEY_MAX
from nostrbot.runtime.notary import Notary
from nostrbot.runtime.outbox import Outbox
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.runtime.turn import Turn
from nostrbot.store.batch import Batch, Owed
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store
from tests.offices import ANA, BEN, BOT, OPENED_AT, OPERATOR, PLATFORM, command, office, report
from tests.running_bots import eventually
from tests.signers import Plain, verified


class Mouth:
    """Stands where the outbox does: keeps what is said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Message]] = []
        self.owed: list[Owed] = []

    def say(self, message: Message, at: int, *, answers: str | None = None) -> None:
        assert answers is not None
        self.said.append((answers, message))

    def owe(self, owed: list[Owed], entries: Any) -> None:
        self.owed += owed


class Desk:
    """A sequencer, who answers questions, and what was answered. `busy` is what the loop says of itself."""

    def __init__(self, sequencer: Sequencer) -> None:
        notary = Notary(sequencer, BOT, lambda: OPENED_AT)
        self.sequencer = sequencer
        self.mouth = Mouth()
        self.busy: Callable[[], bool] = lambda: False
        mouth = cast("Outbox", self.mouth)
        self.enquiries = Answers(sequencer, notary, mouth, lambda: OPENED_AT, self._is_busy)
        self.answering = asyncio.create_task(self.enquiries.run())

    def _is_busy(self) -> bool:
        return self.busy()

    async def take(self, *events: Plain) -> list[Turn]:
        """Decide and commit; questions are put."""
        turns = [turn async for turn in self.sequencer.take([verified(event) for event in events])]
        for turn in turns:
            for question, given in turn.questions:
                self.enquiries.ask(question, given)
        return turns

    def answers(self) -> list[str]:
        return [message.text for _, message in self.mouth.said]


@asynccontextmanager
async def desk_at(path: Path) -> AsyncIterator[Desk]:
    async with office(path):
        pass
    store = await Store.open(sqlite_url(path))
    sequencer = Sequencer(
        store,
        Envelope(BOT),
        bot=BOT.pubkey,
        platform=PLATFORM.pubkey,
        clock=lambda: OPENED_AT,
        stopping=asyncio.Event(),
    )
    await sequencer.load()
    bookkeeper = Desk(sequencer)
    try:
        yield bookkeeper
    finally:
        bookkeeper.answering.cancel()
        await asyncio.gather(bookkeeper.answering, return_exceptions=True)
        await store.close()


@pytest.fixture
async def bookkeeper(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_at(tmp_path / "bot.sqlite") as bookkeeper:
        yield bookkeeper


async def test_a5_a_question_that_takes_long_delays_no_sale(bookkeeper: Desk) -> None:
    """A reader that never comes to an end: sales are decided and committed meanwhile, and others are answered."""
    forever = asyncio.Event()

    async def never(_: Any) -> Any:
        await forever.wait()

    bookkeeper.sequencer.bookkeeper.reading._readers = {
        **bookkeeper.sequencer.bookkeeper.reading._readers,
        "stats": never,
    }
    await bookkeeper.take(command(ANA, "stats"))
    began = time.monotonic()
    for n in range(1, 6):
        (turn,) = await bookkeeper.take(report(n))
        assert turn.batch.entries
    await bookkeeper.take(command(BEN, "whoami"))
    await eventually(bookkeeper.answers)
    assert len(bookkeeper.answers()) == 1
    assert time.monotonic() - began < 30
    forever.set()


async def test_a5_one_who_asks_without_pause_does_not_hold_up_others(bookkeeper: Desk) -> None:
    """Ana asks a hundred times, then Ben and the operator once: they are answered after a few of hers."""
    await bookkeeper.take(
        *[command(ANA, "balance", OPENED_AT - n) for n in range(WAITING_PER_KEY_MAX)],
        command(BEN, "whoami"),
        command(OPERATOR, "balances"),
    )
    await eventually(lambda: len(bookkeeper.answers()) == WAITING_PER_KEY_MAX + 2)
    readers = [message.to for _, message in bookkeeper.mouth.said]
    assert max(readers.index(BEN.pubkey), readers.index(OPERATOR.pubkey)) < 10


async def test_a5_beyond_what_may_wait_a_question_is_refused(bookkeeper: Desk) -> None:
    """With words that say what to do; what waits is answered all the same."""
    await bookkeeper.take(*[command(ANA, "balance", OPENED_AT - n) for n in range(WAITING_PER_KEY_MAX + 20)])
    await eventually(lambda: len(bookkeeper.answers()) == WAITING_PER_KEY_MAX + 20)
    refused = [text for text in bookkeeper.answers() if "[rate_limited]" in text]
    assert 0 < len(refused) <= 20
    assert all("wait for their answers" in text for text in refused)


async def test_a5_a_question_stands_back_but_not_for_ever(bookkeeper: Desk) -> None:
    """While there is something to decide it waits a little before each slice; under load that never ends it is answered."""
    bookkeeper.busy = lambda: True
    began = time.monotonic()
    await bookkeeper.take(command(ANA, "balance"))
    await eventually(bookkeeper.answers)
    assert time.monotonic() - began >= STAND_BACK_S


async def test_an_answer_is_of_what_is_committed(bookkeeper: Desk) -> None:
    """Asked while a commit goes on that then fails: what was decided and not kept is not in the answer."""
    commit, gate = bookkeeper.sequencer.store.writer.commit, asyncio.Event()

    async def fail(batch: Batch) -> None:
        await gate.wait()
        bookkeeper.sequencer.store.writer.commit = commit  # type: ignore[method-assign]
        raise RuntimeError("a fault of ours")

    later = verified(command(ANA, "balance --json", OPENED_AT - 1))
    ((question, given),) = [asked async for turn in bookkeeper.sequencer.take([later]) for asked in turn.questions]
    await bookkeeper.take(command(ANA, "balance --json"))
    await eventually(bookkeeper.answers)
    before = bookkeeper.answers()[0]
    bookkeeper.sequencer.store.writer.commit = fail  # type: ignore[method-assign]
    selling = asyncio.create_task(bookkeeper.take(report(1)))
    await eventually(lambda: bookkeeper.sequencer.bookkeeper.books[OPERATOR.pubkey].settlement_count == 1)
    bookkeeper.enquiries.ask(question, given)
    await asyncio.sleep(0.1)
    assert len(bookkeeper.answers()) == 1, "it waits for the commit"
    gate.set()
    await selling
    await eventually(lambda: len(bookkeeper.answers()) == 2)
    # The sale was set aside: it had no effect, and nobody was told of one.
    assert bookkeeper.answers()[1] == before


async def test_who_asks_sees_what_it_said_before(bookkeeper: Desk) -> None:
    """A command and a question in one turn, in this order: the answer knows of the command."""
    await bookkeeper.take(command(OPERATOR, "machine set m1 location=corner"), command(OPERATOR, "machine show m1"))
    await eventually(bookkeeper.answers)
    assert "corner" in bookkeeper.answers()[0]


async def test_a_question_that_comes_again_is_answered_once(bookkeeper: Desk) -> None:
    """By another relay, or in another wrap, before it is noted that it was answered."""
    (turn,) = await bookkeeper.take(command(ANA, "balance"))
    for _ in range(5):
        for question, given in turn.questions:
            bookkeeper.enquiries.ask(question, given)
    await eventually(bookkeeper.answers)
    await asyncio.sleep(0.1)
    assert len(bookkeeper.answers()) == 1


async def test_a_checkpoint_is_signed_beside_the_loop(bookkeeper: Desk) -> None:
    """Its answer is committed with it and owed, as ever."""
    await bookkeeper.take(command(OPERATOR, "checkpoint"))
    await eventually(lambda: len(bookkeeper.mouth.owed) == 2)
    assert bookkeeper.answers() == []


async def test_a_question_that_fails_is_answered_so(bookkeeper: Desk) -> None:
    """A fault of ours costs one answer; the next question is answered."""

    async def fail(_: Any) -> Any:
        await asyncio.sleep(0)
        raise RuntimeError("a fault of ours")

    bookkeeper.sequencer.bookkeeper.reading._readers = {
        **bookkeeper.sequencer.bookkeeper.reading._readers,
        "stats": fail,
    }
    await bookkeeper.take(command(ANA, "stats"), command(ANA, "whoami"))
    await eventually(lambda: len(bookkeeper.answers()) == 2)
    assert "[our_fault]" in bookkeeper.answers()[0]


async def test_who_is_fenced_ends_by_the_fence_itself(bookkeeper: Desk) -> None:
    """The simulator's seed 200384: a checkpoint is asked for after another bot wrote. Its FenceError is the end, in no group."""
    asked = verified(command(OPERATOR, "checkpoint"))
    ((question, given),) = [asked async for turn in bookkeeper.sequencer.take([asked]) for asked in turn.questions]
    async with office(bookkeeper.sequencer.store.path) as other:
        await other.take(command(OPERATOR, "deposit confirm d9"))
    bookkeeper.enquiries.ask(question, given)
    with pytest.raises(FenceError):
        await asyncio.wait_for(bookkeeper.answering, 30)
    assert bookkeeper.mouth.owed == []
