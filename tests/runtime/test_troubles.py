"""Troubles (rows A1, A4): whatever fails in one book is that book's trouble alone, is told to its operator, and is seen.

The bookkeeping of troubles by itself; then the whole bot over a real relay, with two operators, one of whom has a fault.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nostrbot.bot import Bot
from nostrbot.core.atm.fixed import decide_slots
from nostrbot.core.facts import Fact
from nostrbot.errors import UnwritableError
from nostrbot.monitoring.health import why_unhealthy
from nostrbot.runtime import machines as machines_module
from nostrbot.runtime import shelf as shelf_module
from nostrbot.runtime.troubles import EVENT_LASTS_S, RETRY_FIRST_S, RETRY_MAX_S, Troubles, Work
from nostrbot.store import batch as batch_module
from nostrbot.store.batch import Batch
from nostrbot.store.store import LiveBook
from tests.offices import ANA, BOT, HOUSE, MACHINE, OPERATOR, PLATFORM, command, contents, office, report
from tests.peers.local_relay import local_relay
from tests.peers.relay_store import letters
from tests.peers.wire import Wire, wire
from tests.running_bots import eventually, running
from tests.signers import Plain, Signer

NOW = 1_790_000_000
FLORES, M3 = Signer("flores"), Signer("m3")
TWO_OPERATORS = (
    *HOUSE,
    (PLATFORM, f"operator add {FLORES.npub} name=flores"),
    (FLORES, f"machine add {M3.npub} name=m3 fiat=GTQ cash_in=5% cash_out=7.77%"),
)


# --- by themselves ---------------------------------------------------------------------------------------------------


def test_it_is_tried_again_later_and_later_up_to_an_hour() -> None:
    """Half a minute, a minute, two; never more than an hour; at once after it went well."""
    troubles, waits, running = Troubles(), [], 0.0
    for _ in range(12):
        troubles.note("b", Work.TICK, "TypeError", now=NOW, running=running)
        start = running
        while troubles.is_resting("b", Work.TICK, running):
            running += 10.0
        waits.append(running - start)
    assert waits[:4] == [RETRY_FIRST_S, 60.0, 120.0, 240.0]
    assert waits[-1] == RETRY_MAX_S
    troubles.went_well("b", Work.TICK)
    assert not troubles.is_resting("b", Work.TICK, running)
    assert troubles.current(running) == []


def test_other_books_and_other_work_do_not_rest() -> None:
    """A trouble is one book's, at one work."""
    troubles = Troubles()
    troubles.note("b", Work.TICK, "TypeError", now=NOW, running=0.0)
    assert not troubles.is_resting("c", Work.TICK, 0.0)
    assert not troubles.is_resting("b", Work.CHECKPOINT, 0.0)


def test_an_operator_hears_at_the_beginning_once_a_day_and_at_the_end() -> None:
    """However often it fails in between."""
    troubles, heard = Troubles(), []
    for minute in range(3 * 24 * 60):
        troubles.note("b", Work.TICK, "TypeError", now=NOW + 60 * minute, running=60.0 * minute)
        if to_tell := troubles.to_tell(NOW + 60 * minute, 60.0 * minute):
            heard.append(minute)
            troubles.told(to_tell, NOW + 60 * minute)
    troubles.went_well("b", Work.TICK)
    [end] = troubles.to_tell(NOW + 3 * 86_400, 3 * 86_400.0)
    assert (heard, end.is_over) == ([0, 24 * 60, 48 * 60], True)
    troubles.told([end], NOW + 3 * 86_400)
    assert troubles.to_tell(NOW + 3 * 86_400, 3 * 86_400.0) == []


def test_what_comes_and_goes_is_told_once_an_hour() -> None:
    """Begins and ends each minute: twice an hour is heard of it, a beginning and an end."""
    troubles, heard = Troubles(), []
    for minute in range(180):
        at = (NOW + 60 * minute, 60.0 * minute)
        troubles.note("b", Work.TICK, "TypeError", now=at[0], running=at[1])
        for _ in range(2):
            to_tell = troubles.to_tell(*at)
            heard += [(minute, one.is_over) for one in to_tell]
            troubles.told(to_tell, at[0])
            troubles.went_well("b", Work.TICK)
    assert len(heard) == 6
    assert [is_over for _, is_over in heard] == [False, True] * 3


def test_set_aside_events_are_a_trouble_for_an_hour() -> None:
    """There is no next attempt to see that it is over; more of them are told once an hour."""
    troubles = Troubles()
    troubles.note("b", Work.EVENT, "TypeError", now=NOW, running=0.0)
    troubles.told(troubles.to_tell(NOW, 0.0), NOW)
    troubles.note("b", Work.EVENT, "TypeError", now=NOW + 60, running=60.0)
    assert troubles.to_tell(NOW + 60, 60.0) == []
    assert [one.count for one in troubles.to_tell(NOW + 3_600, 3_600.0)] == [2]
    assert [one.work for one in troubles.current(EVENT_LASTS_S + 59.0)] == [Work.EVENT]
    assert troubles.current(EVENT_LASTS_S + 60.0) == []


def test_a_restart_does_not_tell_again() -> None:
    """A supervisor may start the bot every few seconds."""
    first, second = Troubles(), Troubles()
    first.note("b", Work.TICK, "TypeError", now=NOW, running=0.0)
    first.told(first.to_tell(NOW, 0.0), NOW)
    second.note("b", Work.TICK, "TypeError", now=NOW + 5, running=0.0)
    second.remember(json.loads(json.dumps(first.told_before())), NOW + 5)
    assert second.to_tell(NOW + 5, 0.0) == []


# --- the whole bot -------------------------------------------------------------------------------------------------


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with local_relay() as url:
        yield url


@pytest.fixture
async def line(url: str) -> AsyncIterator[Wire]:
    async with wire(url, BOT.pubkey, PLATFORM, OPERATOR, MACHINE, ANA, FLORES, M3) as line:
        yield line


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "bot.sqlite"
    async with office(path, house=TWO_OPERATORS) as at:
        rows = [row.id for row in await at.store.queries.outbox(after=0, limit=500)]
        await at.store.writer.commit(Batch(delivered=rows))
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nostrbot.runtime.due.CLOCK_S", 0.02)
    monkeypatch.setattr("nostrbot.runtime.notices.LOOK_S", 0.05)


def say(who: Signer, text: str) -> Plain:
    """A command of this moment."""
    return command(who, text, int(time.time()))


def troubles_of(bot: Bot) -> dict[str, set[str]]:
    """The work that fails, by book."""
    found: dict[str, set[str]] = {}
    for one in bot.figures.state()["troubles"]:
        found.setdefault(one["book"], set()).add(str(one["work"]))
    return found


async def heard_by(url: str, who: Signer, start: str) -> list[str]:
    return [text for _, text in await letters(url, who, BOT.pubkey) if text.startswith(start)]


async def hears(url: str, who: Signer, start: str) -> str:
    """Wait for a message to somebody that begins so."""
    deadline = time.monotonic() + 15
    while not (found := await heard_by(url, who, start)):
        assert time.monotonic() < deadline, f"{who.name} hears nothing"
        await asyncio.sleep(0.05)
    return found[-1]


@pytest.mark.usefixtures("quick")
async def test_a1_a_snapshot_that_fails_never_fails_a_turn(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sum in the book has outgrown 64 bits. The sale is acked, the operator hears of it once, `status --check` sees it,
    the other book keeps its snapshots."""
    monkeypatch.setattr(shelf_module, "SNAPSHOT_EVERY_ENTRIES", 1)
    async with running(path, url) as bot:
        bot.bookkeeper.books[OPERATOR.pubkey].fee_seq = 2**70
        for n in range(1, 4):
            await line.publish(report(n))
        await line.publish(say(FLORES, "machine suspend m3"), command(OPERATOR, "machine suspend m1", int(time.time())))
        await eventually(lambda: len(contents(path)["settlement"]) == 3)
        await eventually(lambda: not bot.bookkeeper.books[OPERATOR.pubkey].machines["m1"].active)
        await eventually(lambda: not bot.bookkeeper.books[FLORES.pubkey].machines["m3"].active)
        await eventually(lambda: troubles_of(bot) == {OPERATOR.pubkey: {"snapshot"}})
        told = await hears(url, OPERATOR, "Trouble in your book antigua: this book cannot be kept as a snapshot")
        assert "Nothing is lost" in told
        assert "64-bit" not in told
        assert [why.split(":")[0] for why in why_unhealthy(bot.figures.state())] == [f"book {OPERATOR.npub}"]
        bot.bookkeeper.books[OPERATOR.pubkey].fee_seq = 2
        await line.publish(say(OPERATOR, "machine resume m1"))
        assert await hears(url, OPERATOR, "Over in your book antigua")
        assert why_unhealthy(bot.figures.state()) == []
    assert len(await heard_by(url, OPERATOR, "Trouble in")) == 1
    assert await heard_by(url, FLORES, "Trouble in") == []


@pytest.mark.usefixtures("quick")
async def test_a1_a_snapshot_that_the_database_refuses_never_fails_a_turn(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver raises at it, as it does for what is too large; the same turn is kept without it."""
    monkeypatch.setattr(shelf_module, "SNAPSHOT_EVERY_ENTRIES", 1)
    take = LiveBook.snapshot_row

    def snapshot_row(live: LiveBook) -> Any:
        row = take(live)
        object.__setattr__(row, "at", 2**70)
        return row

    monkeypatch.setattr(LiveBook, "snapshot_row", snapshot_row)
    async with running(path, url) as bot:
        await line.publish(report(1))
        await eventually(lambda: len(contents(path)["settlement"]) == 1)
        assert contents(path)["snapshot"] == []
        await eventually(lambda: troubles_of(bot) == {OPERATOR.pubkey: {"snapshot"}})
        assert bot.figures.state()["last_failure"] is None
        assert bot.figures.state()["refusals"].get("set_aside") is None


@pytest.mark.usefixtures("quick")
async def test_a4_a_tick_that_fails_is_that_books_trouble_alone(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried a few times and not each second; the other operator's slot is kept; no book is loaded again but its own."""
    async with office(path, house=()) as at:
        for who in (OPERATOR, FLORES):
            await at.say((who, "fixed schedule 00:00"))
    tried, loaded = [], []

    def decide(book: Any, at: int, rules: int) -> tuple[Fact, ...]:
        if book.key == OPERATOR.pubkey:
            tried.append(at)
            raise TypeError("Integer exceeds 64-bit range")
        return decide_slots(book, at, rules)

    monkeypatch.setattr("nostrbot.core.atm.fixed.decide_slots", decide)
    async with running(path, url) as bot:
        load = bot.store._load_book

        async def load_book(book: Any) -> LiveBook:
            loaded.append(book.key)
            return await load(book)

        monkeypatch.setattr(bot.store, "_load_book", load_book)
        await eventually(lambda: troubles_of(bot) == {OPERATOR.pubkey: {"tick"}})
        await eventually(lambda: bot.bookkeeper.books[FLORES.pubkey].fixed_slots == {"00:00"})
        await line.publish(report(1))
        await eventually(lambda: len(contents(path)["settlement"]) == 1)
        assert await hears(url, OPERATOR, "Trouble in your book antigua: fixed mode cannot pay")
        assert len(tried) <= 4  # each time it is looked whether something is due, and decided
        assert set(loaded) <= {OPERATOR.pubkey}
        assert any("fixed mode cannot pay" in why for why in why_unhealthy(bot.figures.state()))


@pytest.mark.usefixtures("quick")
async def test_a4_an_event_that_cannot_be_decided_is_told_and_seen(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set aside alone, as ever; now its operator hears of it once, and the bot is not healthy for an hour."""
    decide_all = machines_module.decide

    def decide(book: Any, given: Any, *rest: Any) -> Any:
        if given.author == M3.pubkey:
            raise OverflowError
        return decide_all(book, given, *rest)

    monkeypatch.setattr(machines_module, "decide", decide)
    async with running(path, url) as bot:
        for n in range(1, 4):
            await line.publish(report(n, machine=M3))
        await line.publish(report(1))
        await eventually(lambda: bot.figures.state()["refusals"].get("set_aside") == 3)
        await eventually(lambda: len(contents(path)["settlement"]) == 1)
        assert await hears(url, FLORES, "Trouble in your book flores: a message or a sale could not be decided")
        assert troubles_of(bot) == {FLORES.pubkey: {"event"}}
        assert any(FLORES.npub in why for why in why_unhealthy(bot.figures.state()))
        await asyncio.sleep(0.3)
    assert len(await heard_by(url, FLORES, "Trouble in")) == 1
    assert await heard_by(url, OPERATOR, "Trouble in") == []


@pytest.mark.usefixtures("quick")
async def test_a4_a_row_that_cannot_be_written_does_not_loop_as_database_trouble(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An integer that no column holds, in one book's projections: its event is set aside, the others' are committed."""
    made = batch_module.leg_row

    def row(number: int, settlement: int | None, machine: str, leg: Any, seq: int) -> Any:
        fields = made(number, settlement, machine, leg, seq)
        return (*fields[:7], 2**70, *fields[8:]) if machine == "m3" else fields

    monkeypatch.setattr(batch_module, "leg_row", row)
    async with running(path, url) as bot:
        await line.publish(report(1, machine=M3), report(1))
        await eventually(lambda: bot.figures.state()["refusals"].get("set_aside") == 1)
        await eventually(lambda: len(contents(path)["settlement"]) == 1)
        assert troubles_of(bot) == {FLORES.pubkey: {"event"}}


async def test_a4_a_broken_constraint_is_no_other_writer(path: Path) -> None:
    """The fence says that somebody else wrote to the journal; a row of ours that breaks a rule is a fault of ours."""
    async with office(path) as at:
        turn = await at.decide(report(1))
        turn.batch.balances["root", "x", "sat"] = None  # type: ignore[assignment]
        turn.batch.owed = [turn.batch.owed[0]._replace(book=OPERATOR.pubkey, seq=None, body=b"{}")] * 2
        with pytest.raises(UnwritableError, match="constraint"):
            await at.store.writer.commit(turn.batch)
        assert contents(path)["settlement"] == []


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("culprit", ["alert", "checkpoint", "message"])
async def test_a4_alerts_checkpoints_and_messages_of_one_book_cost_no_other(
    path: Path, url: str, line: Wire, monkeypatch: pytest.MonkeyPatch, culprit: str
) -> None:
    """Whichever of them raises for one book: the other's goes out, and the one is told."""
    broken = _breaking(FLORES.pubkey)
    if culprit == "alert":
        monkeypatch.setattr("nostrbot.runtime.alerting.find_alerts", broken("nostrbot.runtime.alerting", "find_alerts"))
    elif culprit == "checkpoint":
        monkeypatch.setattr("nostrbot.runtime.notary.balances_of", broken("nostrbot.runtime.notary", "balances_of"))
    else:
        monkeypatch.setattr(
            "nostrbot.runtime.outbox.entry_messages", broken("nostrbot.runtime.outbox", "entry_messages")
        )
    async with running(path, url) as bot:
        await line.publish(report(1, machine=M3), report(1))
        await eventually(lambda: len(contents(path)["settlement"]) == 2)
        await eventually(lambda: troubles_of(bot) == {FLORES.pubkey: {culprit}})
        assert await hears(url, FLORES, "Trouble in your book flores")
        assert await hears(url, ANA, "You received")
        if culprit == "checkpoint":
            await eventually(lambda: bot.notary.newest(OPERATOR.pubkey) is not None)
            assert bot.notary.newest(FLORES.pubkey) is None


def _breaking(key: str) -> Callable[[str, str], Callable[..., Any]]:
    """A function of a module that raises for one book."""

    def of(module: str, name: str) -> Callable[..., Any]:
        true = getattr(import_module(module), name)

        def broken(book: Any, *rest: Any, **named: Any) -> Any:
            if book.key == key:
                raise ZeroDivisionError
            return true(book, *rest, **named)

        return broken

    return of
