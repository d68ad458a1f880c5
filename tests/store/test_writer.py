"""The writer: all of a batch or nothing of it, and one writer only."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from nostrbot.core.atm.unread import UnreadSale
from nostrbot.core.desks import check_books
from nostrbot.errors import BooksError, FenceError
from nostrbot.store import writer
from nostrbot.store.batch import Batch, CheckpointRow, RefusalRow
from tests.offices import BEN, HOUSE, OPERATOR, PLATFORM, Office, command, contents, office, report
from tests.signers import Plain
from tests.store.faulty_driver import Faults, faulty_driver

STATEMENTS_MAX = 40  # of one commit, far above what there are


def unreadable(n: int) -> Plain:
    """A sale of which the bot can read no more than that there was one."""
    return report(n, bills=[{"denomination": 0.5, "count": 4}])


async def unread(at: Office) -> tuple[UnreadSale, ...]:
    """The sales of m1 that could not be read, as they are kept."""
    return (await at.store.queries.sightings())[OPERATOR.pubkey, "m1"].unread


async def commit_with_every_fault(at: Office, path: Path, faults: Faults, events: list[Plain]) -> list[str]:
    """Fail at the first statement, at the second, and so on until the commit succeeds; returns its statements."""
    before = contents(path)
    for nth in range(1, STATEMENTS_MAX):
        turn = await at.decide(*events)
        faults.expect(nth)
        try:
            await at.store.writer.commit(turn.batch)
        except OperationalError:
            faults.expect(None)
            assert contents(path) == before, f"statement {nth} failed, and something of the batch was kept"
            await at.reload()
        else:
            return list(faults.statements)
    raise AssertionError("the commit never succeeded")


async def test_a_settlement_is_committed_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever statement of a commit fails, nothing of the batch is there; the next try writes all of it."""
    path = tmp_path / "bot.sqlite"
    with faulty_driver(monkeypatch) as faults:
        async with office(path) as at:
            said = await commit_with_every_fault(at, path, faults, [report(1), report(2)])
            touched = {sql.split()[2] for sql in said if sql.startswith("INSERT INTO")}
            assert {"entry", "settlement", "leg", "balance", "outbox"} <= touched
            assert at.book.settlement_count == 2
    kept = contents(path)
    assert [len(kept[name]) for name in ("entry", "settlement", "leg")] == [15, 2, 8]


async def test_a_new_book_survives_a_failed_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch that opens an operator's book can be tried again after a fault: its book is found at the next start."""
    path = tmp_path / "bot.sqlite"
    house = [command(who, text) for who, text in HOUSE]
    with faulty_driver(monkeypatch) as faults:
        async with office(path, house=()) as at:
            await commit_with_every_fault(at, path, faults, house)
            head = at.head
    async with office(path) as at:
        assert at.head == head
        assert await at.store.queries.book_numbers() == {"root": 1, OPERATOR.pubkey: 2}


async def test_a_second_writer_is_fenced_off(tmp_path: Path) -> None:
    """Whoever decided on an older end of the chain cannot append: BooksError, and nothing changes."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as first, office(path) as second:
        stale = await second.decide(report(2))
        await first.take(report(1))
        before = contents(path)
        with pytest.raises(BooksError, match="fence"):
            await second.store.writer.commit(stale.batch)
        assert contents(path) == before


async def test_what_is_owed_is_never_numbered_twice(tmp_path: Path) -> None:
    """Of two bots on one database each numbers what it owes by itself. One whose numbers the other has used is fenced off,
    though the rows are delivered and gone: else the one would take the other's receipts for its own, and delivered."""
    path = tmp_path / "bot.sqlite"
    refused = command(OPERATOR, "deposit confirm d9")
    async with office(path) as first, office(path) as second:
        turn = await first.take(refused)
        await first.store.writer.commit(Batch(delivered=[row.id for row in turn.batch.owed]))
        stale = await second.decide(report(1))
        before = contents(path)
        with pytest.raises(FenceError, match="owed by another"):
            await second.store.writer.commit(stale.batch)
        assert contents(path) == before


async def test_what_one_bot_came_to_know_is_not_undone_by_another(tmp_path: Path) -> None:
    """The simulator's seed 200279: one notes a sale that it cannot read, which makes no entry; the other knows the machine from
    before, and wrote that down. The sale was on no worklist any more."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as first, office(path) as second:
        one, another = unreadable(1), unreadable(2)
        await first.take(one)
        stale = await second.decide(another)
        before = contents(path)
        with pytest.raises(FenceError, match="fence of what is known"):
            await second.store.writer.commit(stale.batch)
        assert contents(path) == before
        await second.reload()
        await second.take(another)
        assert [sale.event_id for sale in await unread(second)] == [one["id"], another["id"]]
        stale = await first.decide(unreadable(3))
        with pytest.raises(FenceError, match="another bot writes to this database"):
            await first.store.writer.commit(stale.batch)


async def test_what_operators_were_told_is_not_undone_by_another(tmp_path: Path) -> None:
    """It is written over as well."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as first, office(path) as second:
        await first.store.writer.commit(Batch(alarms={OPERATOR.pubkey: b"{}"}))
        with pytest.raises(FenceError, match="fence of what is known"):
            await second.store.writer.commit(Batch(alarms={OPERATOR.pubkey: b"[]"}))


async def test_a_checkpoint_beside_another_s_is_fenced_off(tmp_path: Path) -> None:
    """Two checkpoints of one number follow one: that is no fault of the row, and no trouble to be tried again."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as first, office(path) as second:
        await first.store.writer.commit(Batch(checkpoints=[CheckpointRow(OPERATOR.pubkey, 1, 5, b"{}", b"")]))
        with pytest.raises(FenceError):
            await second.store.writer.commit(Batch(checkpoints=[CheckpointRow(OPERATOR.pubkey, 1, 6, b"{}", b"")]))


async def commit_unheard(at: Office, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that the disk keeps, and reports as failed."""
    assert at.store.writer._driver is not None
    connection = at.store.writer._driver.connection
    commit = connection.commit

    async def kept_and_not_told() -> None:
        await commit()
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as sick:
        sick.setattr(connection, "commit", kept_and_not_told)
        with pytest.raises(OperationalError):
            await at.store.writer.commit(batch)


async def test_a_commit_that_was_kept_unheard_fences_nobody_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer knows its own mark, also where it does not know that it left it."""
    async with office(tmp_path / "bot.sqlite") as at:
        for n in range(1, 4):
            turn = await at.decide(unreadable(n))
            await commit_unheard(at, turn.batch, monkeypatch)
        await at.take(unreadable(4))
        assert len(await unread(at)) == 4


async def test_a_book_that_was_opened_unheard_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number is read again with the books."""
    async with office(tmp_path / "bot.sqlite") as at:
        turn = await at.decide(command(PLATFORM, f"operator add {BEN.npub} name=ben"))
        await commit_unheard(at, turn.batch, monkeypatch)
        await at.reload()
        await at.say((BEN, "alerts low=7"))
        assert await at.store.queries.book_numbers() == {"root": 1, OPERATOR.pubkey: 2, BEN.pubkey: 3}


async def test_of_two_writers_at_once_one_wins_and_the_other_reads_it(tmp_path: Path) -> None:
    """faults.md row 5: two commit the same payment hash together; one row, and the loser answers `duplicate`."""
    path = tmp_path / "bot.sqlite"
    one, again = report(1), report(1)  # the same sale in two events
    async with office(path) as first, office(path) as second:
        turns = [await first.decide(one), await second.decide(again)]
        outcomes = await asyncio.gather(
            first.store.writer.commit(turns[0].batch),
            second.store.writer.commit(turns[1].batch),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["FenceError", "NoneType"]
        loser, event = (first, one) if isinstance(outcomes[0], BooksError) else (second, again)
        await loser.reload()
        turn = await loser.take(event)
        assert '"status":"duplicate","settlement":"s1"' in turn.say[0].text
    assert len(contents(path)["settlement"]) == 1


async def test_the_database_itself_refuses_a_second_effect_of_an_event(tmp_path: Path) -> None:
    """An event has at most one entry in a book, for ever (invariant I9)."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await at.take(report(1))
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match=r"entry\.event_id"),
    ):
        connection.execute("INSERT INTO entry SELECT book, seq + 100, at, hash, event_id, body FROM entry LIMIT 1")


async def test_projections_agree_with_the_books(tmp_path: Path) -> None:
    """After many batches the balance table says what the ledger in memory says, and every leg has its row."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        for first in range(1, 31, 10):
            await at.take(*[report(n) for n in range(first, first + 10)])
        projected = await at.store.queries.balances(OPERATOR.pubkey)
        in_memory = {(account, unit): amount for (account, unit), amount in at.book.balances.items()}
        assert {key: amount for key, amount in projected.items() if amount} == {
            key: amount for key, amount in in_memory.items() if amount
        }
        check_books(at.book)
        assert at.book.leg_count == len(contents(path)["leg"])


async def test_the_refusal_log_forgets_its_oldest_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody fills the disk by being refused: only the newest lines are kept."""
    monkeypatch.setattr(writer, "REFUSALS_KEPT", 3)
    path = tmp_path / "bot.sqlite"
    async with office(path, house=()) as at:
        for n in range(5):
            await at.store.writer.commit(Batch(refusals=[RefusalRow(n, "invalid", "a", f"{n}", "")]))
    assert [row[4] for row in contents(path)["refusal"]] == ["2", "3", "4"]
