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
from nostrbot.runtime.answers import STAND_BACK_S, Enquiries
from nostrbot.runtime.fair_queue import WAITING_PER_KEY_MAX
from nostrbot.runtime.notary import Notary
from nostrbot.runtime.outbox import Outbox
from nostrbot.runtime.sequencer import Clerk
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
    """A clerk, who answers questions, and what was answered. `busy` is what the loop says of itself."""

    def __init__(self, clerk: Clerk) -> None:
        notary = Notary(clerk, BOT, lambda: OPENED_AT)
        self.clerk = clerk
        self.mouth = Mouth()
        self.busy: Callable[[], bool] = lambda: False
        mouth = cast("Outbox", self.mouth)
        self.enquiries = Enquiries(clerk, notary, mouth, lambda: OPENED_AT, self._is_busy)
        self.answering = asyncio.create_task(self.enquiries.run())

    def _is_busy(self) -> bool:
        return self.busy()

    async def take(self, *events: Plain) -> list[Turn]:
        """Decide and commit; questions are put."""
        turns = [turn async for turn in self.clerk.take([verified(event) for event in events])]
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
    clerk = Clerk(
        store,
        Envelope(BOT),
        bot=BOT.pubkey,
        platform=PLATFORM.pubkey,
        clock=lambda: OPENED_AT,
        stopping=asyncio.Event(),
    )
    await clerk.load()
    desk = Desk(clerk)
    try:
        yield desk
    finally:
        desk.answering.cancel()
        await asyncio.gather(desk.answering, return_exceptions=True)
        await store.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_at(tmp_path / "bot.sqlite") as desk:
        yield desk


async def test_a5_a_question_that_takes_long_delays_no_sale(desk: Desk) -> None:
    """A reader that never comes to an end: sales are decided and committed meanwhile, and others are answered."""
    forever = asyncio.Event()

    async def never(_: Any) -> Any:
        await forever.wait()

    desk.clerk.desk.reading._readers = {**desk.clerk.desk.reading._readers, "stats": never}
    await desk.take(command(ANA, "stats"))
    began = time.monotonic()
    for n in range(1, 6):
        (turn,) = await desk.take(report(n))
        assert turn.batch.entries
    await desk.take(command(BEN, "whoami"))
    await eventually(desk.answers)
    assert len(desk.answers()) == 1
    assert time.monotonic() - began < 30
    forever.set()


async def test_a5_one_who_asks_without_pause_does_not_hold_up_others(desk: Desk) -> None:
    """Ana asks a hundred times, then Ben and the operator once: they are answered after a few of hers."""
    await desk.take(
        *[command(ANA, "balance", OPENED_AT - n) for n in range(WAITING_PER_KEY_MAX)],
        command(BEN, "whoami"),
        command(OPERATOR, "balances"),
    )
    await eventually(lambda: len(desk.answers()) == WAITING_PER_KEY_MAX + 2)
    readers = [message.to for _, message in desk.mouth.said]
    assert max(readers.index(BEN.pubkey), readers.index(OPERATOR.pubkey)) < 10


async def test_a5_beyond_what_may_wait_a_question_is_refused(desk: Desk) -> None:
    """With words that say what to do; what waits is answered all the same."""
    await desk.take(*[command(ANA, "balance", OPENED_AT - n) for n in range(WAITING_PER_KEY_MAX + 20)])
    await eventually(lambda: len(desk.answers()) == WAITING_PER_KEY_MAX + 20)
    refused = [text for text in desk.answers() if "[rate_limited]" in text]
    assert 0 < len(refused) <= 20
    assert all("wait for their answers" in text for text in refused)


async def test_a5_a_question_stands_back_but_not_for_ever(desk: Desk) -> None:
    """While there is something to decide it waits a little before each slice; under load that never ends it is answered."""
    desk.busy = lambda: True
    began = time.monotonic()
    await desk.take(command(ANA, "balance"))
    await eventually(desk.answers)
    assert time.monotonic() - began >= STAND_BACK_S


async def test_an_answer_is_of_what_is_committed(desk: Desk) -> None:
    """Asked while a commit goes on that then fails: what was decided and not kept is not in the answer."""
    commit, gate = desk.clerk.store.writer.commit, asyncio.Event()

    async def fail(batch: Batch) -> None:
        await gate.wait()
        desk.clerk.store.writer.commit = commit  # type: ignore[method-assign]
        raise RuntimeError("a fault of ours")

    later = verified(command(ANA, "balance --json", OPENED_AT - 1))
    ((question, given),) = [asked async for turn in desk.clerk.take([later]) for asked in turn.questions]
    await desk.take(command(ANA, "balance --json"))
    await eventually(desk.answers)
    before = desk.answers()[0]
    desk.clerk.store.writer.commit = fail  # type: ignore[method-assign]
    selling = asyncio.create_task(desk.take(report(1)))
    await eventually(lambda: desk.clerk.desk.books[OPERATOR.pubkey].settlement_count == 1)
    desk.enquiries.ask(question, given)
    await asyncio.sleep(0.1)
    assert len(desk.answers()) == 1, "it waits for the commit"
    gate.set()
    await selling
    await eventually(lambda: len(desk.answers()) == 2)
    # The sale was set aside: it had no effect, and nobody was told of one.
    assert desk.answers()[1] == before


async def test_who_asks_sees_what_it_said_before(desk: Desk) -> None:
    """A command and a question in one turn, in this order: the answer knows of the command."""
    await desk.take(command(OPERATOR, "machine set m1 location=corner"), command(OPERATOR, "machine show m1"))
    await eventually(desk.answers)
    assert "corner" in desk.answers()[0]


async def test_a_question_that_comes_again_is_answered_once(desk: Desk) -> None:
    """By another relay, or in another wrap, before it is noted that it was answered."""
    (turn,) = await desk.take(command(ANA, "balance"))
    for _ in range(5):
        for question, given in turn.questions:
            desk.enquiries.ask(question, given)
    await eventually(desk.answers)
    await asyncio.sleep(0.1)
    assert len(desk.answers()) == 1


async def test_a_checkpoint_is_signed_beside_the_loop(desk: Desk) -> None:
    """Its answer is committed with it and owed, as ever."""
    await desk.take(command(OPERATOR, "checkpoint"))
    await eventually(lambda: len(desk.mouth.owed) == 2)
    assert desk.answers() == []


async def test_a_question_that_fails_is_answered_so(desk: Desk) -> None:
    """A fault of ours costs one answer; the next question is answered."""

    async def fail(_: Any) -> Any:
        await asyncio.sleep(0)
        raise RuntimeError("a fault of ours")

    desk.clerk.desk.reading._readers = {**desk.clerk.desk.reading._readers, "stats": fail}
    await desk.take(command(ANA, "stats"), command(ANA, "whoami"))
    await eventually(lambda: len(desk.answers()) == 2)
    assert "[our_fault]" in desk.answers()[0]


async def test_who_is_fenced_ends_by_the_fence_itself(desk: Desk) -> None:
    """The simulator's seed 200384: a checkpoint is asked for after another bot wrote. Its FenceError is the end, in no group."""
    asked = verified(command(OPERATOR, "checkpoint"))
    ((question, given),) = [asked async for turn in desk.clerk.take([asked]) for asked in turn.questions]
    async with office(desk.clerk.store.path) as other:
        await other.take(command(OPERATOR, "deposit confirm d9"))
    desk.enquiries.ask(question, given)
    with pytest.raises(FenceError):
        await asyncio.wait_for(desk.answering, 30)
    assert desk.mouth.owed == []
