"""Rebuilding: what follows from the journal is made again, and whatever differed is told and put right."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nostrbot.errors import BooksError
from nostrbot.runtime import shelf
from nostrbot.store.rebuilding import PROJECTIONS, rebuild
from tests.offices import ANA, BOT, OPERATOR, PLATFORM, contents, office, report


@pytest.fixture
async def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every projection has rows: sales, one rejected, one corrected, one refunded, one with a note; snapshots; own sats."""
    monkeypatch.setattr(shelf, "SNAPSHOT_EVERY_ENTRIES", 10)
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        for n in range(1, 13):
            await at.take(report(n, wire_sats=1) if n == 4 else report(n))
        await at.say(
            (OPERATOR, 'settlement partial s2 fiat=1000 note="half"'),
            (OPERATOR, 'settlement refund s3 reason="broken"'),
            (OPERATOR, 'settlement note s5 "seen"'),
            (OPERATOR, "settle ben 10 machine=m1 rate=50"),
            (OPERATOR, "settle ben 20 machine=m1 rate=50"),
        )
        paid = at.book.leg_count
        await at.say(
            (OPERATOR, f"payment void l{paid} reason=wrong"),
        )
    kept = contents(path)
    assert all(kept[table.name] for table in PROJECTIONS)
    return path


async def rebuilt(path: Path) -> dict[str, int]:
    """What `nostrbot rebuild` says differed."""
    async with office(path) as at:
        return await rebuild(at.store, BOT.pubkey, PLATFORM.pubkey)


async def test_where_nothing_differs_nothing_is_touched(path: Path) -> None:
    """The database is the same afterwards, row for row, and nothing is left beside it."""
    before, beside = contents(path), sorted(path.parent.iterdir())
    assert await rebuilt(path) == {}
    assert contents(path) == before
    assert sorted(path.parent.iterdir()) == beside


@pytest.mark.parametrize(
    ("sql", "differed"),
    [
        ("DELETE FROM leg WHERE number IN (1, 2)", {"leg": 2}),
        ("UPDATE leg SET sats = sats + 1 WHERE number = 3", {"leg": 1}),
        ("INSERT INTO leg SELECT book, 999, 1, machine, lp, type, status, sats, fiat_minor, seq, NULL FROM leg LIMIT 1", {"leg": 1}),
        ("UPDATE settlement SET status = 'processed' WHERE number IN (2, 4)", {"settlement": 2}),
        ("DELETE FROM settlement", {"settlement": 12}),
        ("DELETE FROM settlement_change WHERE number = 5", {"settlement_change": 1}),
        ("UPDATE balance SET amount = '5' WHERE account = 'liabilities:lp:ana:sats'", {"balance": 1}),
        ("UPDATE snapshot SET body = x'7b7d'", {"snapshot": 2}),
        ("UPDATE snapshot SET seq = 99 WHERE seq = 21", {"snapshot": 1}),
        ("UPDATE entry SET event_id = NULL WHERE book = 2 AND seq IN (13, 14)", {"entry": 2}),
    ],
)  # fmt: skip
async def test_what_differs_is_counted_and_put_right(path: Path, sql: str, differed: dict[str, int]) -> None:
    """By table and rows; afterwards the database is what it was before somebody touched it, and a start finds no flaw."""
    before = contents(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)
    found = await rebuilt(path)
    if "seq = 99" in sql:  # a snapshot of no entry is dropped; the entry it was taken after is no longer known
        assert found == differed
        assert len(contents(path)["snapshot"]) == 1
    else:
        assert found == differed
        assert contents(path) == before
    assert await rebuilt(path) == {}
    async with office(path) as at:
        assert at.bookkeeper.closed_books == {}


async def test_two_events_that_changed_places_are_put_right(path: Path) -> None:
    """Each of the two stands where the other must be, and no event may stand in two places."""
    before = contents(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        (one,), (other,) = connection.execute(
            "SELECT event_id FROM entry WHERE book = 2 AND seq IN (13, 14)"
        ).fetchall()
        connection.execute("UPDATE entry SET event_id = NULL WHERE book = 2 AND seq = 13")
        connection.execute("UPDATE entry SET event_id = ? WHERE book = 2 AND seq = 14", (one,))
        connection.execute("UPDATE entry SET event_id = ? WHERE book = 2 AND seq = 13", (other,))
    assert await rebuilt(path) == {"entry": 2}
    assert contents(path) == before


async def test_what_follows_from_no_entry_stays(path: Path) -> None:
    """What is owed and what was answered is nobody's projection."""
    before = contents(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM outbox WHERE id % 2")
        connection.execute("DELETE FROM answered")
    kept = contents(path)
    assert len(kept["outbox"]) < len(before["outbox"])
    assert await rebuilt(path) == {}
    assert contents(path) == kept


async def test_a_damaged_journal_cannot_be_rebuilt(path: Path) -> None:
    """It says where, and that a backup is to be restored; nothing is changed."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entry SET body = substr(body, 2) WHERE book = 2 AND seq = 13")
        connection.execute("DELETE FROM leg")
    before = contents(path)
    async with office(path) as at:
        with pytest.raises(BooksError, match="damaged at entry 13: restore a backup with `nostrbot restore`"):
            await rebuild(at.store, BOT.pubkey, PLATFORM.pubkey)
    assert contents(path) == before


async def test_another_bot_s_database_is_refused(path: Path) -> None:
    """A home whose key was exchanged."""
    async with office(path) as at:
        with pytest.raises(BooksError, match="another bot or platform"):
            await rebuild(at.store, ANA.pubkey, PLATFORM.pubkey)


async def test_it_tells_how_far_it_has_come(path: Path) -> None:
    """Every entry of every book is counted once."""
    told: list[int] = []
    async with office(path) as at:
        await rebuild(at.store, BOT.pubkey, PLATFORM.pubkey, progress=told.append)
    assert told == list(range(1, len(contents(path)["entry"]) + 1))
