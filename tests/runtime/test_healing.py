"""A clock that ran ahead (row A2): a fresh command is obeyed as soon as it is right again, and `clock-heal` sets books right.

A real database under the desk, the trail verified after each story; then the command line, and the whole bot over a relay.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.audit.verification import Summary, verify_trail
from nostrbot.core.book import Book
from nostrbot.core.desks import check_books
from nostrbot.core.engine import decide
from nostrbot.core.inputs import ClockSet, Signed
from nostrbot.core.rules import FIRST, RULES
from nostrbot.core.snapshots import restore_snapshot, take_snapshot
from nostrbot.errors import ConfigError, TrailError
from nostrbot.exports.trail import export_trail
from nostrbot.home.config import Home
from nostrbot.home.lock import only_bot
from nostrbot.journal.entry import canonical, digest, trail_line
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Refusal
from nostrbot.runtime.healing import heal
from nostrbot.runtime.outbox import _sealed
from nostrbot.store.rebuilding import rebuild
from tests.offices import (
    ANA,
    BOT,
    HOUSE,
    MACHINE,
    OPENED_AT,
    OPERATOR,
    PLATFORM,
    Office,
    command,
    contents,
    look_at_clock,
    office,
    report,
)
from tests.peers.bot_process import make_home, nostrbot
from tests.peers.local_relay import local_relay
from tests.peers.wire import wire
from tests.running_bots import running
from tests.signers import SETTLEMENT, verified

DAY_S = 86_400
AHEAD_S = 40 * DAY_S
PLANNED = (*HOUSE, (ANA, "mode fixed limit=1000"), (OPERATOR, "fixed schedule 08:00,20:00"))


async def run_ahead(at: Office, ahead_s: int = AHEAD_S) -> None:
    """One sale while the clock is ahead, and then the clock is right again: a minute later."""
    at.now += ahead_s
    await at.take(report(1, at=at.now - ahead_s))
    at.now -= ahead_s - 60


async def lines_of(at: Office) -> list[bytes]:
    return [line async for line in export_trail(at.store.queries, BOT.pubkey, OPERATOR.pubkey)]


async def verify(at: Office) -> Summary:
    return verify_trail(await lines_of(at), bot=BOT.pubkey)


async def heal_office(at: Office, **options: Any) -> list[str]:
    """Set its books right, and open it again."""
    healed = await heal(at.store, BOT.pubkey, PLATFORM.pubkey, at.now, **options)
    await at.reload()
    return [one.book for one in healed]


def last_entry(path: Path) -> dict[str, Any]:
    number = {key: number for number, key in contents(path)["book"]}[OPERATOR.pubkey]
    rows = [row for row in contents(path)["entry"] if row[0] == number]
    entry: dict[str, Any] = orjson.loads(max(rows, key=lambda row: row[1])[5])
    return entry


# --- without healing -------------------------------------------------------------------------------------------------


async def test_a2_once_the_clock_is_right_a_fresh_command_is_obeyed(tmp_path: Path) -> None:
    """The entry's time stays monotone; what it was heard at is in its input, and its age is judged by that."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await run_ahead(at)
        turn = await at.take(command(OPERATOR, "machine suspend m1", at.now - 5))
        assert not at.book.machines["m1"].active
        entry = last_entry(path)
        assert (entry["at"], entry["input"]["heard"]) == (OPENED_AT + AHEAD_S, at.now)
        assert (await verify(at)).heard_before == 1
        [sealed] = turn.entries.values()
        assert sealed.at == at.now  # its messages carry the true date


async def test_an_old_command_is_too_old_all_the_same(tmp_path: Path) -> None:
    """A clock that went back opens no door: age is counted from when it was heard."""
    async with office(tmp_path / "bot.sqlite") as at:
        await run_ahead(at)
        await at.take(command(OPERATOR, "machine suspend m1", at.now - DAY_S - 1))
        await at.take(command(OPERATOR, "machine suspend m1", at.now + 901))
        assert at.book.machines["m1"].active


async def test_heard_is_absent_while_the_clock_is_right(tmp_path: Path) -> None:
    """So entries are, to the byte, what they were."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await at.take(report(1))
        await at.say((OPERATOR, "machine suspend m1"))
        assert "heard" not in last_entry(path)["input"]
        assert (await verify(at)).heard_before == 0


async def test_what_the_world_says_meanwhile_is_answered_with_true_dates(tmp_path: Path) -> None:
    """Sales are booked, acks and receipts are dated by the true time, also when they are made again at a restart."""
    async with office(tmp_path / "bot.sqlite") as at:
        await run_ahead(at)
        await at.take(report(2, at=at.now))
        rows = await at.store.queries.outbox(after=0, limit=500)
        sealed = [entry for row in rows if (entry := _sealed(row)) is not None and entry.kind == SETTLEMENT]
        assert [entry.at for entry in sealed] == [OPENED_AT + AHEAD_S, at.now]


# --- what an auditor believes -----------------------------------------------------------------------------------------


def resealed(lines: list[bytes], change: Any) -> list[bytes]:
    """A trail whose last entry was changed and sealed again."""
    entry = orjson.loads(lines[-1])
    entry.pop("hash")
    change(entry)
    body = canonical(entry)
    return [*lines[:-1], trail_line(body, digest(body)) + b"\n"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda entry: entry["input"].__setitem__("heard", entry["at"]), "facts"),
        (lambda entry: entry["input"].__setitem__("heard", -1), "facts"),
        (lambda entry: entry["input"].__setitem__("heard", "1"), "input"),
        (lambda entry: entry["input"].__setitem__("heard", True), "input"),
        (lambda entry: entry["input"].pop("heard"), "facts"),
        (lambda entry: entry["input"].__setitem__("heard", OPENED_AT - DAY_S), "facts"),
    ],
    ids=["not before the entry", "negative", "a text", "a switch", "left out: too old", "too early: dated ahead"],
)
async def test_heard_is_checked_as_far_as_it_can_be(tmp_path: Path, change: Any, field: str) -> None:
    """It is the bot's word, within bounds: a command must be fresh at that moment, and the moment before the entry's."""
    async with office(tmp_path / "bot.sqlite") as at:
        await run_ahead(at)
        await at.take(command(OPERATOR, "machine suspend m1", at.now))
        with pytest.raises(TrailError) as difference:
            verify_trail(resealed(await lines_of(at), change), bot=BOT.pubkey)
        assert difference.value.field == field


def test_rules_of_before_know_neither() -> None:
    """An entry of rules 1 with a new input would be a forgery."""
    book = Book(BOT.pubkey, OPERATOR.pubkey, PLATFORM.pubkey)
    said = Signed(verified(command(OPERATOR, "machine suspend m1")), "machine suspend m1", Scheme.NIP04, heard=5)
    assert isinstance(decide(book, said, 10, FIRST).instead, Refusal)
    assert isinstance(decide(book, ClockSet(20, 10), 10, FIRST).instead, Refusal)
    assert decide(book, ClockSet(20, 10), 10, RULES).facts


@pytest.mark.parametrize("clock", [ClockSet(10, 10), ClockSet(10, 20), ClockSet(10, 0), ClockSet(20, 9)])
def test_a_clock_is_set_back_only_and_to_the_entrys_own_time(clock: ClockSet) -> None:
    """Equal, ahead, nothing, or another time than the entry's."""
    book = Book(BOT.pubkey, OPERATOR.pubkey, PLATFORM.pubkey)
    assert isinstance(decide(book, clock, 10, RULES).instead, Refusal)


# --- healing ---------------------------------------------------------------------------------------------------------


async def test_a2_healing_sets_the_time_of_each_book_that_is_ahead(tmp_path: Path) -> None:
    """One entry more in that book; the root book was not ahead. Healing again finds nothing to do."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await run_ahead(at)
        assert await heal_office(at) == ["antigua"]
        entry = last_entry(path)
        was = OPENED_AT + AHEAD_S
        assert entry["input"] == {"clock": {"was": was, "is": at.now}}
        assert entry["facts"] == [{"fact": "clock_set_right", "was": was, "is": at.now}]
        assert (entry["at"], entry["postings"]) == (at.now, [])
        assert await heal_office(at) == []
        await at.say((OPERATOR, "machine suspend m1"))
        assert (last_entry(path)["at"], "heard" in last_entry(path)["input"]) == (at.now, False)
        said = await verify(at)
        assert (said.clocks_set, said.signed + said.ticks + said.clocks_set) == (1, said.entries)


async def test_the_root_book_is_healed_as_well(tmp_path: Path) -> None:
    """A command of the platform concerns every book."""
    async with office(tmp_path / "bot.sqlite") as at:
        at.now += AHEAD_S
        await at.say((PLATFORM, "platform fee cash_in=2% cash_out=2%"))
        at.now -= AHEAD_S - 60
        assert await heal_office(at) == ["root", "antigua"]


async def test_a_healed_book_is_sound_in_every_way(tmp_path: Path) -> None:
    """Start's check, rebuild, snapshot and auditor agree, and the chain goes on."""
    path = tmp_path / "bot.sqlite"
    async with office(path, house=PLANNED) as at:
        await run_ahead(at)
        await heal_office(at)
        await at.take(report(2, at=at.now))
        assert await rebuild(at.store, BOT.pubkey, PLATFORM.pubkey) == {}
        restored = restore_snapshot(orjson.loads(orjson.dumps(take_snapshot(at.book))))
        assert take_snapshot(restored) == take_snapshot(at.book)
        await verify(at)
    async with office(path) as at:  # as a start does
        assert at.bookkeeper.closed_books == {}
        check_books(at.book)


async def test_fixed_mode_goes_on_with_the_next_day_and_pays_no_slot_twice(tmp_path: Path) -> None:
    """The slot of 08:00 was kept before the clock ran ahead; so it must not be kept again on the same day."""
    async with office(tmp_path / "bot.sqlite", house=PLANNED) as at:
        await at.take(report(1))

        async def tick(now: int) -> int:
            at.now, kept = now, 0
            for key in at.bookkeeper.books_due(now):
                turn = await look_at_clock(at.bookkeeper, key, now)
                await at.store.writer.commit(turn.batch)
                kept += len(turn.batch.entries)
            return kept

        evening = OPENED_AT + 43_200
        assert await tick(OPENED_AT + 60) == 0  # 08:00 had passed when the plan was made
        assert await tick(evening) == 1
        assert await tick(evening + AHEAD_S) == 1
        at.now = evening + 60
        await heal_office(at)
        assert [await tick(evening + 60), await tick(evening + 120)] == [0, 0]
        assert await tick(evening + 43_200) == 1
        await verify(at)


async def test_nothing_of_the_future_stays_in_force(tmp_path: Path) -> None:
    """Days, gaps, rejections, told dates and cassettes that were noted ahead count as noted when the clock was set right."""
    async with office(tmp_path / "bot.sqlite") as at:
        at.now += AHEAD_S
        await at.take(report(1, at=at.now), report(5, at=at.now), report(6, at=at.now, wire_sats=1))
        await at.say((OPERATOR, "machine set m1 cash_out=7%"))
        at.now -= AHEAD_S - 60
        await heal_office(at)
        till = at.book.tills["m1"]
        assert till.day == "2026-09-21"
        assert [gap.at for gap in till.counter.gaps] == [at.now]
        assert [one.at for one in till.rejections] == [at.now]
        assert till.fees_told_at == at.now
        await verify(at)


async def test_a_clock_that_is_behind_what_others_signed_is_not_believed(tmp_path: Path) -> None:
    """Then it is the present clock that is wrong, and the books that are right; unless a person knows better."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        at.now -= 10 * DAY_S
        before = contents(path)
        with pytest.raises(ConfigError, match="set the clock right first"):
            await heal(at.store, BOT.pubkey, PLATFORM.pubkey, at.now)
        assert contents(path) == before
        assert await heal_office(at, trust_clock=True) == ["root", "antigua"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (
            lambda entry: entry["input"]["clock"].__setitem__("was", entry["input"]["clock"]["was"] - 1),
            "input.clock.was",
        ),
        (lambda entry: entry.__setitem__("at", entry["at"] + 1), "facts"),
        (lambda entry: entry["facts"][0].__setitem__("is", entry["at"] + 1), "facts[0].is"),
        (lambda entry: entry.__setitem__("input", {"tick": entry["at"]}), "at"),
        (lambda entry: entry["input"]["clock"].__setitem__("why", 1), "at"),
    ],
)
async def test_a_false_healing_is_refused(tmp_path: Path, change: Any, field: str) -> None:
    """Only from the time of the entry before, to its own, and only by this input may a book's time go back."""
    async with office(tmp_path / "bot.sqlite") as at:
        await run_ahead(at)
        await heal_office(at)
        with pytest.raises(TrailError) as difference:
            verify_trail(resealed(await lines_of(at), change), bot=BOT.pubkey)
        assert difference.value.field.startswith(field)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(-5 * 365 * DAY_S, 5 * 365 * DAY_S), st.booleans()), min_size=1, max_size=5))
async def test_a2_leaps_of_any_size_and_a_fresh_command_is_obeyed(
    tmp_path_factory: pytest.TempPathFactory, leaps: list[tuple[int, bool]]
) -> None:
    """Forward and back, several, healed or not: at each moment what was said just now is done, and the trail verifies."""
    async with office(tmp_path_factory.mktemp("leaps") / "bot.sqlite") as at:
        for n, (by_s, heals) in enumerate(leaps, start=1):
            at.now = max(OPENED_AT - 365 * DAY_S, at.now + by_s)
            if heals:
                await heal_office(at, trust_clock=True)
            is_active = at.book.machines["m1"].active
            await at.say((OPERATOR, f"machine {'suspend' if is_active else 'resume'} m1"))
            assert at.book.machines["m1"].active is not is_active
            await at.take(report(n, at=at.now))
            at.now += 60
        await verify(at)
        assert await rebuild(at.store, BOT.pubkey, PLATFORM.pubkey) == {}


# --- the command -----------------------------------------------------------------------------------------------------


async def test_a2_clock_heal(tmp_path: Path) -> None:
    """Says which books it set right, from when to when; and that there is nothing to do."""
    home = make_home(tmp_path / "home", ["ws://127.0.0.1:1"])
    await furnish(home, ahead=True)
    said = await asyncio.to_thread(nostrbot, "clock-heal", "--home", str(home.path), "--json")
    [book] = json.loads(said.stdout)["books"]
    assert (said.returncode, book["book"], book["operator"]) == (0, "antigua", OPERATOR.npub)
    assert abs(book["is"] - time.time()) < 60 < book["was"] - book["is"]
    again = await asyncio.to_thread(nostrbot, "clock-heal", "--home", str(home.path))
    assert (again.returncode, again.stdout) == (0, "No book is ahead of this computer's clock: nothing to set right.\n")


async def furnish(home: Home, *, ahead: bool) -> None:
    """A house of this moment, that ran ahead."""
    async with office(home.database_file, house=()) as at:
        at.now = int(time.time())
        await at.say(*HOUSE)
        if ahead:
            await run_ahead(at)


async def test_not_while_the_bot_runs(tmp_path: Path) -> None:
    """Two writers would only hit the journal's fence: exit 2."""
    home = make_home(tmp_path / "home", ["ws://127.0.0.1:1"])
    await furnish(home, ahead=True)
    with only_bot(home):
        said = await asyncio.to_thread(nostrbot, "clock-heal", "--home", str(home.path))
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
    assert "already running" in said.stderr


async def test_a2_the_whole_bot_obeys_and_answers_at_once(tmp_path: Path) -> None:
    """Over a real relay: books that are 40 days ahead, a command of now, its answer and its messages with dates of now."""
    path = tmp_path / "bot.sqlite"
    async with office(path, house=()) as at:
        at.now = int(time.time())
        await at.say(*HOUSE)
        await run_ahead(at)
    async with (
        local_relay() as url,
        wire(url, BOT.pubkey, OPERATOR, MACHINE, ANA) as line,
        running(path, url) as bot,
    ):
        asked = command(OPERATOR, "machine suspend m1", int(time.time()))
        await line.publish(asked)
        answer = await line.answer_to(asked)
        assert "m1" in OPERATOR.read(answer)
        assert abs(answer["created_at"] - time.time()) < 60
        assert not bot.bookkeeper.books[OPERATOR.pubkey].machines["m1"].active
