"""Ticks: what is due by the clock is done exactly once, however the bot dies, its database fails or its clock jumps.

A real database under the desk, and the whole bot over a real relay; only the clock is the tests'. faults.md rows 17, 18,
48-50; acceptance X6-X10, O13.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from nostrbot.audit.verification import verify_trail
from nostrbot.core.desks import check_books
from nostrbot.exports.trail import export_trail
from nostrbot.messages.receipts import entry_messages
from nostrbot.nostr.kinds import DIRECT_MESSAGE
from nostrbot.runtime import clock as steadiness
from nostrbot.runtime.turn import Turn
from nostrbot.store.batch import Batch
from tests.effort import examples
from tests.offices import (
    ANA,
    BOT,
    HOUSE,
    OPENED_AT,
    OPERATOR,
    PLATFORM,
    Office,
    command,
    contents,
    look_at_clock,
    office,
    open_office,
    report,
)
from tests.peers.local_relay import local_relay
from tests.peers.relay_store import letters
from tests.running_bots import Clock, eventually, running
from tests.signers import Plain, Signer, verified
from tests.store.faulty_driver import faulty_driver

# OPENED_AT is 08:13:20 in Guatemala: the slot of 08:00 has passed, the next one comes at 20:00.
EVENING, MORNING = 1_790_042_400, 1_790_085_600  # 20:00 on 2026-09-21, 08:00 on the day after
HALF_A_DAY_S = 43_200
STATEMENTS_MAX = 40
FLORES = Signer("flores")
PLANNED = (*HOUSE, (ANA, "mode fixed limit=1000"), (OPERATOR, "fixed schedule 08:00,20:00"))


async def furnish(path: Path) -> None:
    """The house with ana in fixed mode. Its sale of 100,000 sats leaves the operator 56,270 of its own."""
    async with office(path, house=PLANNED) as at:
        await at.take(report(1))
        rows = [row.id for row in await at.store.queries.outbox(after=0, limit=500)]
        await at.store.writer.commit(Batch(delivered=rows))


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "bot.sqlite"
    await furnish(path)
    return path


async def tick(at: Office, now: int) -> Turn:
    """The bot looks at its clock, and commits what comes of it."""
    at.now, turn = now, Turn()
    for key in at.bookkeeper.books_due(now):
        turn = await look_at_clock(at.bookkeeper, key, now)
        await at.store.writer.commit(turn.batch)
    return turn


def kept(path: Path) -> list[str]:
    """Every slot that was kept, in order, as `day time`."""
    facts = [fact for row in entries(path) for fact in row["facts"]]
    return [f"{fact['day']} {slot}" for fact in facts if fact["fact"] == "slots_kept" for slot in fact["slots"]]


def entries(path: Path) -> list[Plain]:
    """The operator's journal."""
    rows = contents(path)
    [number] = [number for number, key in rows["book"] if key == OPERATOR.pubkey]
    bodies = [(row[1], orjson.loads(row[5])) for row in rows["entry"] if row[0] == number]
    return [body for _, body in sorted(bodies, key=lambda one: one[0])]


async def check(path: Path) -> None:
    """The books add up and the trail verifies."""
    async with office(path) as at:
        check_books(at.book)
        trail = [line async for line in export_trail(at.store.queries, BOT.pubkey, OPERATOR.pubkey)]
        assert verify_trail(trail, bot=BOT.pubkey).head == at.head


# --- the desk and its database -------------------------------------------------------------------------------------


async def test_a_slot_is_kept_once_whoever_looks_and_whenever_it_is_loaded_again(path: Path) -> None:
    """Looked at every half an hour for a day and a half by a bot that dies each time, once before and once after it
    commits: each slot once, and the sums that belong to it."""
    for now in range(OPENED_AT, MORNING + 2 * HALF_A_DAY_S, 1_800):
        at = await open_office(path)
        await look_at_clock(at.bookkeeper, OPERATOR.pubkey, now)  # not committed: as if killed
        await at.reload()
        await tick(at, now)
        await at.store.close()  # nothing is said to anybody: as if killed
    assert kept(path) == ["2026-09-21 08:00", "2026-09-21 20:00", "2026-09-22 08:00", "2026-09-22 20:00"]
    paid = [fact for row in entries(path) for fact in row["facts"] if fact["fact"] == "lp_paid"]
    assert [[(leg["sats"], leg["fiat_minor"], leg["status"]) for leg in one["legs"]] for one in paid] == [
        [(50_000, 100_000, "completed")],  # all of the day's limit: the other slot had passed
        [(0, 0, "skipped")],
        [(0, 0, "skipped")],
    ]
    await check(path)


async def test_whichever_statement_of_its_commit_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the slot is there until all of it is, and then it is what it would have been at once."""
    with faulty_driver(monkeypatch) as faults:
        async with office(path) as at:
            before = contents(path)
            for nth in range(1, STATEMENTS_MAX):
                faults.expect(nth)
                try:
                    await tick(at, EVENING)
                except OperationalError:
                    faults.expect(None)
                    assert contents(path) == before
                    await at.reload()
                else:
                    break
            assert nth > 5
            faults.expect(None)
            assert not (await tick(at, EVENING + 1)).batch
    assert kept(path)[1:] == ["2026-09-21 20:00"]
    await check(path)


@settings(max_examples=examples(25), deadline=None)
@given(st.lists(st.tuples(st.integers(-200_000, 400_000), st.booleans()), min_size=1, max_size=12))
async def test_a_clock_that_jumps_pays_no_day_twice(
    tmp_path_factory: pytest.TempPathFactory, jumps: list[tuple[int, bool]]
) -> None:
    """Wherever it jumps, with or without a restart: a slot of a day is kept once, and a day gives at most its limit."""
    path = tmp_path_factory.mktemp("jumps") / "bot.sqlite"
    await furnish(path)
    at, now = await open_office(path), EVENING
    try:
        for step, dies in jumps:
            now = max(OPENED_AT, now + step)
            await tick(at, now)
            if dies:
                await at.reload()
    finally:
        await at.store.close()
    assert len(kept(path)) == len(set(kept(path)))
    days = [row for row in entries(path) if "tick" in row["input"]]
    given: dict[str, int] = {}
    for row in days:
        [day] = {fact["day"] for fact in row["facts"] if fact["fact"] == "slots_kept"}
        legs = [leg for fact in row["facts"] if fact["fact"] == "lp_paid" for leg in fact["legs"]]
        given[day] = given.get(day, 0) + sum(leg["fiat_minor"] for leg in legs)
    assert all(amount <= 100_000 for amount in given.values())
    assert all(before["at"] <= after["at"] for before, after in pairwise(entries(path)))
    await check(path)


async def test_ticks_and_what_arrives_share_one_chain(path: Path) -> None:
    """A sale decided after the slot, in the same second, follows it in the journal and finds less of the cash."""
    async with office(path) as at:
        await tick(at, EVENING)
        turn = await at.take(report(2, EVENING))
        assert [entry.seq for entry in turn.batch.entries] == [at.bookkeeper.live[OPERATOR.pubkey].chain.seq]
        assert at.book.lps["ana"].seats["m1"].remaining_minor == 800_000
    await check(path)


async def test_a_closed_book_is_left_alone_and_the_others_are_served(tmp_path: Path) -> None:
    """Nothing is paid from a book that a person must look into first."""
    path = tmp_path / "bot.sqlite"
    house = (*PLANNED, (PLATFORM, f"operator add {FLORES.npub} name=flores"), (FLORES, "fixed schedule 09:00"))
    async with office(path, house=house) as at:
        at.bookkeeper.closed_books[OPERATOR.pubkey] = "it does not balance"
        turn = await tick(at, MORNING)
        assert [entry.book for entry in turn.batch.entries] == [FLORES.pubkey]
        at.bookkeeper.closed_books.clear()
        turn = await tick(at, MORNING)
        assert [entry.book for entry in turn.batch.entries] == [OPERATOR.pubkey]


async def test_what_a_tick_owes_is_the_same_after_a_restart(path: Path) -> None:
    """Its receipts and its notice have names of their own, and are made again under the same ones."""
    names = []
    for now in (EVENING, MORNING):
        async with office(path) as at:
            turn = await tick(at, now)
            [sealed] = turn.entries.values()
            made = entry_messages(at.book, sealed)
            await at.reload()
            assert entry_messages(at.book, sealed) == made
            names += [message.name.split(":")[0] for message in made]
            assert len({message.name for message in made}) == len(made)
            assert [(row.book, row.seq) for row in turn.batch.owed] == [(OPERATOR.pubkey, sealed.seq)]
    assert names == ["receipt", "short"]


# --- the whole bot -------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("nostrbot.runtime.due.CLOCK_S", 0.01)
    monkeypatch.setattr("nostrbot.runtime.due.CLOCK_TROUBLE_S", 0.05)
    monkeypatch.setattr("nostrbot.runtime.notices.LOOK_S", 0.02)
    monkeypatch.setattr(steadiness, "STEADY_AFTER_S", 0.0)  # clocks leap here all the time
    return


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with local_relay() as url:
        yield url


@pytest.mark.usefixtures("quick")
async def test_a_receipt_and_a_notice_once_though_the_bot_is_started_again_and_again(path: Path, url: str) -> None:
    """The evening's receipt and the morning's notice: each once, whatever was noted of their delivery."""
    clock = Clock(EVENING - 60)
    for now in (EVENING - 60, EVENING, EVENING, MORNING, MORNING, MORNING + 1, EVENING):
        clock.now = now
        async with running(path, url, clock):
            due = [slot for slot, at in (("20:00", EVENING), ("08:00", MORNING)) if at <= now]
            await eventually(lambda due=due: len(kept(path)) > len(due) or not due)
            await eventually(lambda: not contents(path)["outbox"])
    [(_, receipt)] = await letters(url, ANA, BOT.pubkey)
    assert receipt.startswith("You received 50000 sats"), receipt
    notices = [text for _, text in await letters(url, OPERATOR, BOT.pubkey) if text.startswith("Fixed mode")]
    assert len(notices) == 1
    assert "25000" in notices[0] or "18730" in notices[0]
    assert kept(path) == ["2026-09-21 08:00", "2026-09-21 20:00", "2026-09-22 08:00"]
    await check(path)


@pytest.mark.usefixtures("quick")
async def test_a_database_that_fails_in_the_very_moment(path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slot is kept as soon as the database can be written again; sales in between are acked, nothing is said twice."""
    clock = Clock(EVENING - 60)
    async with running(path, url, clock) as bot:
        commit, failures = bot.store.writer.commit, 0

        async def fail(batch: Batch) -> None:
            nonlocal failures
            if any("tick" in entry.given.plain() for entry in batch.entries) and failures < 3:
                failures += 1
                raise OperationalError("commit of a batch", None, Exception("disk I/O error"))
            await commit(batch)

        monkeypatch.setattr(bot.store.writer, "commit", fail)
        clock.now = EVENING
        await eventually(lambda: len(kept(path)) == 2)
        assert failures == 3
        await eventually(lambda: bot.outbox.backlog == 0)
    assert len(await letters(url, ANA, BOT.pubkey)) == 1
    await check(path)


@pytest.mark.usefixtures("quick")
async def test_a_fault_of_ours_in_fixed_mode_costs_no_sale(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks and looks that break, again and again, end neither the bot nor what people ask of it."""
    clock = Clock(EVENING - 60)
    async with running(path, url, clock) as bot:

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("nostrbot.core.engine.due", broken)
        monkeypatch.setattr(bot.notices._lookout, "look", broken)
        clock.now = EVENING
        await asyncio.sleep(0.3)
        asked = command(OPERATOR, "settlement note s1 hm", EVENING)
        assert asked["kind"] == DIRECT_MESSAGE
        await bot.sequencer._take_all([verified(asked)], bot._after_commit)
        assert entries(path)[-1]["facts"][0]["fact"] == "settlement_noted"
