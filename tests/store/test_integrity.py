"""Integrity: whatever is wrong with what is kept is found at the start, and closes the books it concerns (row 53)."""

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from nostrbot.core.book import ROOT
from nostrbot.nostr import kinds
from nostrbot.nostr.event import sign_event
from nostrbot.store.batch import Batch, CheckpointRow
from tests.offices import ANA, BOT, HOUSE, OPERATOR, PLATFORM, command, office, report
from tests.signers import Signer

FLORES = Signer("flores")
TOWN = (*HOUSE, (PLATFORM, f"operator add {FLORES.npub} name=flores"))
RESTORE = "restore a backup with `nostrbot restore`"
REBUILD = "stop the bot and run `nostrbot rebuild`"


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """Two operators; the first has three sales, one of them corrected. Book 2 is the first's, with 15 entries."""
    path = tmp_path / "bot.sqlite"
    async with office(path, house=TOWN) as at:
        for n in (1, 2, 3):
            await at.take(report(n))
        await at.say((OPERATOR, 'settlement partial s2 fiat=1000 note="half"'))
        assert at.bookkeeper.closed_books == {}
    return path


def write(path: Path, sql: str) -> None:
    """Change the file as no bot would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(sql).rowcount, "the test would change nothing"


async def flaws(path: Path) -> dict[str, str]:
    """Which books are closed at a start, and why; by handle."""
    async with office(path) as at:
        names = {ROOT: ROOT, OPERATOR.pubkey: "antigua", FLORES.pubkey: "flores"}
        return {names.get(key, key): reason for key, reason in at.bookkeeper.closed_books.items()}


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("DELETE FROM leg WHERE book = 2 AND number = 1", f"the table of legs does not fit the journal: {REBUILD}"),
        ("UPDATE leg SET seq = 99 WHERE number = 1", f"the table of legs does not fit the journal: {REBUILD}"),
        ("UPDATE leg SET settlement = 9 WHERE number = 1", f"the table of legs does not fit the journal: {REBUILD}"),
        (
            "UPDATE leg SET reversed_seq = 99 WHERE status = 'voided'",
            f"the table of legs does not fit the journal: {REBUILD}",
        ),
        ("DELETE FROM settlement WHERE number = 3", f"the table of settlements does not fit the journal: {REBUILD}"),
        ("UPDATE settlement SET seq = 99", f"the table of settlements does not fit the journal: {REBUILD}"),
        (
            "INSERT INTO settlement_change VALUES (2, 7, 3)",
            f"the table of settlements' changes does not fit the journal: {REBUILD}",
        ),
        (
            "UPDATE balance SET amount = '1' WHERE unit = 'GTQ'",
            f"the table of balances does not fit the journal: {REBUILD}",
        ),
        (
            "UPDATE settlement SET payment_hash = zeroblob(32) WHERE number = 1",
            f"the table of settlements does not fit the journal: {REBUILD}",
        ),
        (
            "UPDATE settlement SET accepted = 0 WHERE number = 1",
            f"the table of settlements does not fit the journal: {REBUILD}",
        ),
        ("UPDATE settlement SET machine = 'm9'", f"the table of settlements does not fit the journal: {REBUILD}"),
        ("UPDATE settlement SET at = at + 1", f"the table of settlements does not fit the journal: {REBUILD}"),
        ("DELETE FROM settlement_change", f"the table of settlements' changes does not fit the journal: {REBUILD}"),
        (
            "UPDATE settlement_change SET number = 3",
            f"the table of settlements' changes does not fit the journal: {REBUILD}",
        ),
        (
            "UPDATE entry SET event_id = zeroblob(32) WHERE book = 2 AND seq = 9",
            f"the index of events does not fit the journal: {REBUILD}",
        ),
        (
            "UPDATE entry SET event_id = NULL WHERE book = 2 AND seq = 9",
            f"the index of events does not fit the journal: {REBUILD}",
        ),
        ("UPDATE leg_quarter SET sats_low = sats_low + 1", f"the sums of legs do not fit the journal: {REBUILD}"),
        ("DELETE FROM leg_quarter WHERE what = 'pot'", f"the sums of legs do not fit the journal: {REBUILD}"),
        ("DELETE FROM leg_month", f"the sums of legs do not fit the journal: {REBUILD}"),
        ("UPDATE sale_quarter SET count = 7", f"the sums of settlements do not fit the journal: {REBUILD}"),
        ("DELETE FROM sale_month", f"the sums of settlements do not fit the journal: {REBUILD}"),
        ("UPDATE settlement SET figures = NULL", f"the sums of settlements do not fit the journal: {REBUILD}"),
        ("DELETE FROM balance WHERE book = 2", f"the table of balances does not fit the journal: {REBUILD}"),
        ("DELETE FROM entry WHERE book = 2", f"the journal has no entry 1: {RESTORE}"),
        ("DELETE FROM entry WHERE book = 2 AND seq = 1", f"the journal has no entry 1: {RESTORE}"),
        ("DELETE FROM entry WHERE book = 2 AND seq = 9", f"the journal has no entry 9: {RESTORE}"),
        ("UPDATE entry SET at = at + 1 WHERE book = 2 AND seq = 9", f"the journal is damaged at entry 9: {RESTORE}"),
        ("UPDATE entry SET hash = zeroblob(32) WHERE seq = 9", f"the journal is damaged at entry 9: {RESTORE}"),
        ("UPDATE entry SET hash = 'x' WHERE seq = 9", f"the journal is damaged at entry 9: {RESTORE}"),
        ("UPDATE entry SET body = CAST(body AS TEXT) WHERE seq = 9", f"the journal is damaged at entry 9: {RESTORE}"),
        ("UPDATE entry SET at = 'x' WHERE seq = 9", f"the journal is damaged at entry 9: {RESTORE}"),
    ],
)
async def test_a_book_that_does_not_fit_is_closed_and_no_other(path: Path, sql: str, reason: str) -> None:
    """Gaps, hashes, sums, and rows that point nowhere: the reason says where, and whether to rebuild or to restore."""
    write(path, sql)
    assert await flaws(path) == {"antigua": reason}


async def test_an_end_of_the_journal_that_is_lost_is_noticed(path: Path) -> None:
    """What is still owed for an entry says that there was one."""
    write(path, "DELETE FROM entry WHERE book = 2 AND seq = 15")
    assert (await flaws(path))["antigua"] == f"the journal ends at entry 14, and there was an entry 15: {RESTORE}"


async def test_a_checkpoint_of_another_history_is_noticed(path: Path) -> None:
    """A journal that was put back to before something was signed about it, and went another way."""
    said = {"head": "ab" * 32, "liabilities": {}, "liabilities_root": "00" * 32, "prev": None, "seq": 5, "v": 1}
    content = orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()
    tags = [["d", f"nostrbot-checkpoint:{OPERATOR.pubkey}"]]
    event = sign_event(BOT, kind=kinds.APP_DATA, tags=tags, content=content, created_at=1_790_000_000)
    async with office(path) as at:
        row = CheckpointRow(OPERATOR.pubkey, 1, 5, orjson.dumps(event.plain()), b"")
        await at.store.writer.commit(Batch(checkpoints=[row]))
    assert await flaws(path) == {
        "antigua": f"entry 5 is not the one that the newest checkpoint was signed for: {RESTORE}"
    }


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("DELETE FROM book WHERE id = 2", f"a book is missing from the database: {RESTORE}"),
        ("UPDATE book SET key = 'x' WHERE id = 2", f"the books do not match the operators: {RESTORE}"),
        (
            "UPDATE balance SET book = 9 WHERE book = 2",
            f"the database has rows in balance of a book that is not there: {RESTORE}",
        ),
    ],
)
async def test_rows_of_nobody_close_every_book(path: Path, sql: str, reason: str) -> None:
    """Nobody can say whose they were."""
    write(path, sql)
    closed = await flaws(path)
    assert set(closed.values()) == {reason}
    assert {"root", "flores"} <= set(closed)


async def test_a_damaged_page_closes_every_book_and_they_can_still_be_read(path: Path) -> None:
    """A page of an index is overwritten: writing on into such a file could only make it worse."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'entry_event' OR name LIKE 'sqlite_autoindex_entry_2'"
        (page,) = connection.execute(sql).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\x0a" + b"\xff" * 199)
    async with office(path) as at:
        assert set(at.bookkeeper.closed_books) == {ROOT, OPERATOR.pubkey, FLORES.pubkey}
        assert all("the database file is damaged" in reason for reason in at.bookkeeper.closed_books.values())
        assert all(reason.endswith(RESTORE) for reason in at.bookkeeper.closed_books.values())
        assert at.book.settlement_count == 3


async def test_nothing_is_entered_in_a_closed_book_and_the_others_go_on(path: Path) -> None:
    """Its machines have no ack, so they go on; commands are told; another operator's book takes its own."""
    write(path, "UPDATE entry SET hash = zeroblob(32) WHERE book = 2 AND seq = 15")
    async with office(path) as at:
        turn = await at.take(
            report(4),
            command(OPERATOR, "deposit add ana 5 machine=m1 --json"),
            command(ANA, "pause --json"),
            command(FLORES, "fixed schedule 09:00 --json"),
        )
        assert [entry.book for entry in turn.batch.entries] == [FLORES.pubkey]
        assert turn.say == []
        assert dict(at.bookkeeper.refusals) == {"book_closed": 1}
        answers = [row.body for row in turn.batch.owed if row.body is not None]
        assert [b"book_closed" in body for body in answers] == [True, True, False]


async def test_a_sale_of_a_closed_book_that_comes_again_is_not_looked_into(path: Path) -> None:
    """Its entry cannot even be read: it is one more report that has no ack, and no fault of the turn it came in."""
    write(path, "UPDATE entry SET body = 'x' WHERE book = 2 AND seq = 12")
    async with office(path) as at:
        turn = await at.take(report(1), command(OPERATOR, "settlement show s1"))
        assert (turn.batch.entries, turn.say, dict(at.bookkeeper.refusals)) == ([], [], {"book_closed": 1})


@pytest.mark.parametrize("column", ["at", "seq", "hash", "digest", "body"])
async def test_a_snapshot_of_other_types_costs_time_at_most(path: Path, column: str) -> None:
    """It is passed over, or the journal knows better; the chain goes on in time."""
    async with office(path) as at:
        await at.store.writer.commit(Batch(snapshots=[at.bookkeeper.live[OPERATOR.pubkey].snapshot_row()]))
        head, latest = at.head, at.bookkeeper.live[OPERATOR.pubkey].chain.at
    write(path, f"UPDATE snapshot SET {column} = 'x' WHERE book = 2")
    async with office(path) as at:
        assert at.bookkeeper.closed_books == {}
        assert (at.head, at.bookkeeper.live[OPERATOR.pubkey].chain.at) == (head, latest)
        assert [entry.book for entry in (await at.take(report(4))).batch.entries] == [OPERATOR.pubkey]


async def test_a_home_of_its_first_minute_has_no_flaw(tmp_path: Path) -> None:
    """Nothing in it, nothing wrong with it."""
    assert await flaws_of_new(tmp_path / "new.sqlite") == {}


async def flaws_of_new(path: Path) -> dict[str, str]:
    """The closed books of a database that is made now."""
    async with office(path, house=()) as at:
        return at.bookkeeper.closed_books
