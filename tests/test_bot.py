"""The bot's loop, in this process over a real relay: batches, what is said when, faults that cost only themselves, stopping."""

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from nostrbot.bot import Bot
from nostrbot.core.atm.settlements.facts import SettlementProcessed
from nostrbot.errors import BooksError, ConfigError
from nostrbot.home.config import Home
from nostrbot.home.lock import only_bot
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.kinds import GIFT_WRAP
from nostrbot.relays.dedupe import Arrival
from nostrbot.runtime import machines, shelf
from nostrbot.runtime import sequencer as clerk_module
from nostrbot.runtime.sequencer import TURN_WRAPS_MAX
from nostrbot.runtime.turn import Turn
from nostrbot.store import sqlite as database
from nostrbot.store.batch import Batch
from nostrbot.store.sqlite import sqlite_url
from tests.offices import ANA, BEN, BOT, HOUSE, MACHINE, OPERATOR, PLATFORM, command, contents, office, report
from tests.peers.bot_process import settings_of
from tests.peers.local_relay import local_relay
from tests.peers.pace import STOP_MAX_S
from tests.peers.relay_store import letters
from tests.peers.resending_machine import ResendingMachine
from tests.peers.wire import Wire, wire
from tests.running_bots import eventually, running
from tests.signers import SETTLEMENT, Plain, Signer, sale_of, verified

FLORES, M3 = Signer("flores"), Signer("m3")
SECOND_OPERATOR = (
    (PLATFORM, f"operator add {FLORES.npub} name=flores"),
    (FLORES, f"machine add {M3.npub} name=m3 fiat=GTQ cash_in=5% cash_out=7.77%"),
)


def threads_of_its_own() -> list[threading.Thread]:
    """Those of the database; the loop's own pool is the tests'."""
    return [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]


def say(who: Signer, text: str) -> Plain:
    """A command of this moment."""
    return command(who, text, int(time.time()))


@contextmanager
def another_program(path: Path) -> Iterator[Callable[[str], Awaitable[object]]]:
    """Somebody else at the database. In a thread: waiting for its lock must not stop the bot, which may hold it."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        yield partial(asyncio.to_thread, connection.execute)


class Gate:
    """Stands before the bot's commits and counts them. Closed, they wait."""

    def __init__(self, bot: Bot) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._commit = bot.store.writer.commit
        self.waiting = 0
        self.entries: list[int] = []  # how many entries each commit had
        bot.store.writer.commit = self._pass  # type: ignore[method-assign]

    def close(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    async def _pass(self, batch: Batch) -> None:
        if batch.entries:
            self.waiting += 1
            await self._open.wait()
            self.waiting -= 1
            self.entries.append(len(batch.entries))
        await self._commit(batch)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with local_relay() as url:
        yield url


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A furnished office that owes nothing, with a second operator."""
    path = tmp_path / "bot.sqlite"
    async with office(path, house=(*HOUSE, *SECOND_OPERATOR)) as at:
        rows = [row.id for row in await at.store.queries.outbox(after=0, limit=500)]
        await at.store.writer.commit(Batch(delivered=rows))
    return path


@pytest.fixture
async def line(url: str) -> AsyncIterator[Wire]:
    async with wire(url, BOT.pubkey, PLATFORM, OPERATOR, MACHINE, ANA, BEN, FLORES, M3) as line:
        yield line


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What the bot logs, a line each."""
    lines: list[str] = []
    number = logger.add(lambda message: lines.append(str(message)), level="DEBUG", format="{level} {message}")
    yield lines
    logger.remove(number)


# --- batches ------------------------------------------------------------------------------------------------------


async def test_what_arrives_during_a_commit_shares_the_next(path: Path, url: str, line: Wire) -> None:
    """The busier, the larger the batches: forty settlements that came while one was being committed are one commit."""
    async with running(path, url) as bot:
        gate = Gate(bot)
        gate.close()
        await line.publish(report(1))
        await eventually(lambda: gate.waiting == 1)
        await line.publish(*[report(n) for n in range(2, 42)])
        await eventually(lambda: bot.pool.inbox.qsize() == 40)
        assert line.heard == []
        gate.open()
        await eventually(lambda: gate.entries == [1, 40])
    assert len(contents(path)["settlement"]) == 41


async def test_nothing_is_said_before_it_is_committed(path: Path, url: str, line: Wire) -> None:
    """Acks, receipts, answers: all of them follow the commit, and a question sees what was decided before it."""
    async with running(path, url) as bot:
        gate = Gate(bot)
        gate.close()
        await line.publish(report(1))
        await eventually(lambda: gate.waiting == 1)
        deposit, question = say(OPERATOR, "deposit add ana 7 machine=m1"), say(OPERATOR, "deposit list --json")
        await line.publish(deposit, question)
        await eventually(lambda: bot.pool.inbox.qsize() == 2)
        assert line.heard == []
        gate.open()
        answer = json.loads(OPERATOR.read(await line.answer_to(question)))
        assert [row["amount"] for row in answer["data"]["deposits"]] == ["7.00", "1000.00", "9000.00"]
        assert "d3" in OPERATOR.read(await line.answer_to(deposit))
        assert gate.entries == [1, 1]


async def test_an_lp_added_and_joining_in_one_batch(path: Path, url: str, line: Wire) -> None:
    """A command that enrols somebody counts for what comes after it in the same batch."""
    carla = Signer("carla")
    async with running(path, url) as bot:
        gate = Gate(bot)
        gate.close()
        await line.publish(report(1))
        await eventually(lambda: gate.waiting == 1)
        words = [say(OPERATOR, f"lp add {carla.npub} machine=m1 name=carla"), say(carla, "join")]
        await line.publish(*words, say(OPERATOR, "deposit add carla 5 machine=m1"))
        await eventually(lambda: bot.pool.inbox.qsize() == 3)
        gate.open()
        await eventually(lambda: gate.entries == [1, 3])
        book = bot.bookkeeper.books[OPERATOR.pubkey]
        assert book.lps["carla"].preferences is not None
        assert [deposit.lp for deposit in book.deposits.values()] == ["ana", "ben", "carla"]


async def test_enrolling_a_machine_extends_the_subscription_at_once(path: Path, url: str, line: Wire) -> None:
    """A machine that was talking to nobody is heard as soon as its operator has enrolled it."""
    m9 = Signer("m9")
    machine = ResendingMachine(m9, BOT.pubkey, url)
    machine.sell(sale_of(m9, 1))
    async with running(path, url):
        telling = asyncio.create_task(machine.run())
        enrolment = say(OPERATOR, f"machine add {m9.npub} name=m9 fiat=GTQ cash_in=5% cash_out=6.27%")
        assert "m9" in await line.ask(OPERATOR, enrolment)
        await eventually(lambda: machine.is_done, timeout_s=3)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
    ((ack,),) = machine.acks.values()
    assert (ack["status"], ack["settlement"]) == ("processed", "s1")


# --- trouble ------------------------------------------------------------------------------------------------------


async def test_a_book_that_contradicts_itself_is_closed_and_the_others_live_on(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    """BooksError in one book: nothing more is entered there, questions are answered, other operators notice nothing."""
    apply = shelf.apply

    def broken_apply(book: Any, event_id: str, facts: Any, **place: Any) -> Any:
        if book.key == OPERATOR.pubkey and isinstance(facts[0], SettlementProcessed) and facts[0].number == 2:
            raise BooksError("the books do not balance")
        return apply(book, event_id, facts, **place)

    monkeypatch.setattr(shelf, "apply", broken_apply)
    async with running(path, url) as bot:
        good, bad, other = report(1), report(2), report(1, machine=M3)
        await line.publish(good)
        await line.answer_to(good)
        await line.publish(bad, other)
        assert '"status":"processed"' in M3.read(await line.answer_to(other))
        assert bot.figures.state()["closed_books"] == [OPERATOR.pubkey]
        refused = await line.ask(OPERATOR, say(OPERATOR, "deposit add ana 5 machine=m1 --json"))
        assert json.loads(refused)["ok"] is False
        listed = json.loads(await line.ask(OPERATOR, say(OPERATOR, "settlement list --json")))
        assert [row["id"] for row in listed["data"]["settlements"]] == ["s1"]
        assert "flores" in await line.ask(FLORES, say(FLORES, "whoami"))
    assert len([text for text in log if text.startswith("CRITICAL") and "the books do not balance" in text]) == 1
    async with office(path) as at:
        assert at.book.settlement_count == 1


async def test_an_event_we_cannot_decide_costs_itself_only(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours in one event of a batch: the others of the batch are settled, and the bot goes on."""
    decide = machines.decide

    def broken_decide(book: Any, given: Any, at: int, rules: int, sale: Any) -> Any:
        if sale.n == 3:
            raise ZeroDivisionError
        return decide(book, given, at, rules, sale)

    monkeypatch.setattr(machines, "decide", broken_decide)
    async with running(path, url) as bot:
        gate = Gate(bot)
        gate.close()
        await line.publish(report(1))
        await eventually(lambda: gate.waiting == 1)
        await line.publish(*[report(n) for n in (2, 3, 4)])
        await eventually(lambda: bot.pool.inbox.qsize() == 3)
        gate.open()
        await eventually(lambda: len(contents(path)["settlement"]) == 3)
        assert "antigua" in await line.ask(OPERATOR, say(OPERATOR, "whoami"))
        assert bot.figures.state()["refusals"]["set_aside"] == 1


async def test_a_database_that_cannot_be_written_for_a_while(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    """faults.md row 52: past its patience an error that can be seen; nothing is lost, and work goes on by itself."""
    monkeypatch.setattr(database, "_PRAGMAS", (*database._PRAGMAS, "PRAGMA busy_timeout=100"))
    monkeypatch.setattr(clerk_module, "COMMIT_RETRY_S", 0.1)
    async with running(path, url):
        with another_program(path) as other:
            await other("BEGIN IMMEDIATE")
            sales = [report(n) for n in (1, 2, 3)]
            await line.publish(*sales)
            await eventually(lambda: [text for text in log if "cannot be written" in text])
            assert line.heard == []
            await other("ROLLBACK")
        for sale in sales:
            assert '"status":"processed"' in MACHINE.read(await line.answer_to(sale))
        await eventually(lambda: not contents(path)["outbox"])
    assert len(contents(path)["settlement"]) == 3


async def test_a_delivery_that_could_not_be_noted_is_noted_later(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    """Sent, and then the database is locked: when it is free again the outbox becomes empty, without a restart."""
    monkeypatch.setattr(database, "_PRAGMAS", (*database._PRAGMAS, "PRAGMA busy_timeout=100"))
    monkeypatch.setattr("nostrbot.runtime.sequencer.FLUSH_S", 0.1)
    async with running(path, url) as bot:
        gate = Gate(bot)
        gate.close()
        sale = report(1)
        await line.publish(sale)
        await eventually(lambda: gate.waiting == 1)
        with another_program(path) as other:
            commit = gate._commit

            async def commit_then_lock(batch: Batch) -> None:
                await commit(batch)
                if batch.entries:
                    await other("BEGIN IMMEDIATE")

            gate._commit = commit_then_lock
            gate.open()
            await line.answer_to(sale)
            await eventually(lambda: [text for text in log if "deliveries cannot be noted" in text])
            of_entries = [row for row in contents(path)["outbox"] if row[1] is not None]  # not the day's checkpoints
            assert len(of_entries) == 1
            await other("ROLLBACK")
        await eventually(lambda: not contents(path)["outbox"])


async def test_a_bot_whose_journal_was_taken_over_stops(path: Path, url: str, line: Wire) -> None:
    """The fence: when another writer appended to its books, it ends with BooksError instead of writing beside it."""
    bot = Bot(keys=BOT, platform=PLATFORM.pubkey, database_url=sqlite_url(path), settings=settings_of([url]))
    await bot.start()
    work = asyncio.create_task(bot.run())
    assert await bot.wait_ready(10)
    await eventually(lambda: len(contents(path)["checkpoint"]) == 2)  # the day's are signed: nobody writes now
    async with office(path) as other:
        await other.take(report(1))
    await line.publish(report(2))
    with pytest.raises(BooksError, match="fence"):
        await asyncio.wait_for(work, STOP_MAX_S)
    assert len(contents(path)["settlement"]) == 1


def test_one_bot_a_home(tmp_path: Path) -> None:
    """A second bot on the same home is refused with one line; when the first is gone, it may start."""
    home = Home(tmp_path)
    refused = pytest.raises(ConfigError, match=r"a bot is already running in .*: stop it first")
    with only_bot(home), refused, only_bot(home):
        raise AssertionError("two bots")
    with only_bot(home):
        assert home.lock_file.exists()


# --- stopping -----------------------------------------------------------------------------------------------------


async def test_a_stop_under_load_is_quick_and_loses_nothing(path: Path, url: str) -> None:
    """Stopped in the middle of it, four times: each time within 5 s, no task or thread left; in the end all is there once."""
    machine = ResendingMachine(MACHINE, BOT.pubkey, url)
    telling = asyncio.create_task(machine.run())
    threads = len(threads_of_its_own())
    for turn in range(4):
        machine.sell(*[sale_of(MACHINE, n) for n in range(10 * turn + 1, 10 * turn + 11)])
        others = asyncio.all_tasks()
        async with running(path, url):
            await eventually(lambda turn=turn: len(machine.acks) >= 10 * turn + 4)
        await eventually(lambda others=others: asyncio.all_tasks() <= others, timeout_s=2)
        await eventually(lambda: len(threads_of_its_own()) <= threads)
    async with running(path, url):
        await eventually(lambda: machine.is_done)
        await eventually(lambda: not contents(path)["outbox"])
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    assert len(contents(path)["settlement"]) == 40
    receipts = [text for _, text in await letters(url, ANA, BOT.pubkey) if "Receipt" in text]
    assert len(receipts) == len(set(receipts)) == 5  # her cash lasts for five sales


async def test_a_stop_while_the_database_is_locked_is_quick(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    """Even then: what was not committed was not acked, so the machine says it again to the next run."""
    monkeypatch.setattr(database, "_PRAGMAS", (*database._PRAGMAS, "PRAGMA busy_timeout=100"))
    threads = len(threads_of_its_own())
    sale = report(1)
    others = asyncio.all_tasks()
    with another_program(path) as other:
        async with running(path, url):
            await other("BEGIN IMMEDIATE")
            await line.publish(sale)
            await eventually(lambda: [text for text in log if "cannot be written" in text])
        await other("ROLLBACK")
    await eventually(lambda: asyncio.all_tasks() <= others, timeout_s=2)
    await eventually(lambda: len(threads_of_its_own()) <= threads, timeout_s=2)
    assert contents(path)["settlement"] == []
    async with running(path, url):
        await line.publish(sale)
        assert '"status":"processed"' in MACHINE.read(await line.answer_to(sale))


async def test_a_start_with_no_relay_there_waits_for_one(path: Path) -> None:
    """Relays away at the start are no reason to end; the bot stops cleanly all the same."""
    bot = Bot(
        keys=BOT,
        platform=PLATFORM.pubkey,
        database_url=sqlite_url(path),
        settings=settings_of(["ws://127.0.0.1:1"]),
    )
    await bot.start()
    work = asyncio.create_task(bot.run())
    assert not await bot.wait_ready(0.3)
    assert bot.figures.state()["relays"][0]["connected"] is False
    bot.stop()
    await asyncio.wait_for(work, STOP_MAX_S)


async def test_commands_sent_while_the_bot_was_down_are_obeyed_in_their_order(tmp_path: Path) -> None:
    """The relay lists them newest first; the last of them only makes sense after all the others."""
    began_at = int(time.time()) - 600
    words = [*HOUSE, (OPERATOR, "deposit add ana 50 machine=m1 note=last")]
    async with local_relay() as url:
        async with wire(url, BOT.pubkey) as people:
            for place, (who, text) in enumerate(words):
                await people.publish(command(who, text, began_at + 10 * place))
        async with running(tmp_path / "bot.sqlite", url) as bot:
            await eventually(lambda: OPERATOR.pubkey in bot.bookkeeper.books)
            book = bot.bookkeeper.books[OPERATOR.pubkey]
            await eventually(lambda: any(deposit.note == "last" for deposit in book.deposits.values()))
            assert not bot.bookkeeper.refusals


async def test_n7_a_turn_has_few_gift_wraps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is waited for in a flood of strangers' wraps waits for a few of them, not for a whole turn."""
    turns: list[list[int]] = []
    async with local_relay() as url, running(tmp_path / "bot.sqlite", url) as bot:
        take = bot.sequencer.take

        def note(events: Sequence[VerifiedEvent]) -> AsyncGenerator[Turn, None]:
            turns.append([event.kind for event in events])
            return take(events)

        monkeypatch.setattr(bot.sequencer, "take", note)
        for n in range(100):
            wrap = sign_event(BOT, kind=GIFT_WRAP, tags=[], content="somebody's", created_at=n)
            bot.pool.inbox.put_nowait(Arrival(wrap, url, repeat=False, received_at=0))
        for n in range(20):
            bot.pool.inbox.put_nowait(Arrival(verified(report(n)), url, repeat=False, received_at=0))
        await eventually(lambda: sum(len(turn) for turn in turns) == 120)
    assert max(turn.count(GIFT_WRAP) for turn in turns) == TURN_WRAPS_MAX
    assert all(SETTLEMENT not in turn for turn in turns[1:])
