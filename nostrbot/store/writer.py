"""The writer: one task, one connection, one transaction a batch.

What lives here: committing a batch. What does not: reading (queries.py). A second writer on the same books fails loudly
here and changes nothing. There are three fences: the journal's primary key, the numbers of outbox rows, and a mark of
the last writer. The mark guards rows that are overwritten and not appended (machines' status, what operators were
told).
"""

import contextlib
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import aiosqlite
from sqlalchemy import Table, Update, bindparam, delete, func, literal_column, null, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from nostrbot.core.atm.states import LegStatus
from nostrbot.errors import FenceError, UnwritableError
from nostrbot.store import tables
from nostrbot.store.batch import Batch, Projections, Row, entry_row
from nostrbot.store.sqlite import ALONE, Driver
from nostrbot.store.sums import News, sum_up

CHECKPOINTS_WITH_LEAVES = 31  # of each book: a month's proofs can be had again, some 100 bytes an LP each
SNAPSHOTS_KEPT = 2  # the newest, and one before it should the newest be damaged
ARCHIVED_KEPT = 20_000  # of machines' beacons and telemetry: some months of a fleet's changes
REFUSALS_KEPT = 10_000  # so that nobody fills the disk by being refused
# Whatever became of it since.
_HIGHEST_OWED = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'outbox'"

# Left where none stands, or the one that was read, or one of its own: also of a commit that failed and was kept all the
# same.
_LEAVE_MARK = """
INSERT INTO runtime (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE runtime.value = ? OR substr(runtime.value, 1, ?) = ?
"""

_NEWEST_SEQ = "SELECT coalesce(max(seq), 0) FROM entry JOIN book ON book.id = entry.book WHERE book.key = ?"
_NEWEST_CHECKPOINT = (
    "SELECT coalesce(max(number), 0) FROM checkpoint JOIN book ON book.id = checkpoint.book WHERE book.key = ?"
)
# What the driver raises for values: integers of more than 64 bits, lone surrogates, too many bytes, a type it does not
# know.
_UNWRITABLE = (
    OverflowError,
    ValueError,
    TypeError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)


class Writer:
    """The committer of batches. SQLAlchemy compiles each statement once; rows go straight to the driver, as tuples.

    Each statement is then one visit to the driver's thread instead of four. Each visit waits for its turn on a busy
    event loop: under load that was three quarters of a commit's time.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._numbers: dict[str, int] = {}
        self._mark = b""  # of who wrote last, as it was read
        self._own, self._marks = secrets.token_bytes(8), 0  # what its own marks begin with, and how many it left
        self._driver: Driver | None = None
        self._sql = _Statements(engine.dialect)

    def follow(self, numbers: Mapping[str, int], mark: bytes) -> None:
        """Go on from what is kept, as it was read before anything else: the books' numbers, and the mark of who wrote
        last.
        """
        self._numbers = dict(numbers)
        self._mark = mark

    async def commit(self, batch: Batch) -> None:
        """Write all of a batch or nothing of it.

        Raises FenceError if another writer was here first, UnwritableError when the database is well and cannot keep
        this batch, DBAPIError when the database cannot be written just now.
        """
        if self._driver is None:
            self._driver = await Driver.open(self._engine)
        numbers = dict(self._numbers)
        try:
            async with self._driver.transaction() as driver:
                await self._write(driver, batch, numbers)
        except sqlite3.IntegrityError as error:
            # The driver's message names table and columns, never values.
            if await self._was_overtaken(batch):
                raise FenceError(f"the journal's fence was hit: {error}: {ALONE}") from None
            raise UnwritableError(f"a row breaks a constraint: {error}") from None
        except _UNWRITABLE as error:
            raise UnwritableError(f"a row cannot be kept ({type(error).__name__})") from None
        except sqlite3.Error as error:
            raise OperationalError("commit of a batch", None, error) from None
        self._numbers = numbers  # only now: a book whose opening was rolled back has no number

    async def _was_overtaken(self, batch: Batch) -> bool:
        """Return whether a book or its checkpoints do not end where this batch goes on: then somebody else wrote to
        them.
        """
        assert self._driver is not None
        first: dict[tuple[str, str], int] = {}
        for entry in batch.entries:
            first.setdefault((_NEWEST_SEQ, entry.book), entry.seq)
        for row in batch.checkpoints:
            first.setdefault((_NEWEST_CHECKPOINT, row.book), row.number)
        try:
            for (sql, key), number in first.items():
                [(newest,)] = await self._driver.connection.execute_fetchall(sql, (key,))
                if newest != number - 1:
                    return True
        except sqlite3.Error as error:
            raise OperationalError("commit of a batch", None, error) from None
        return False

    async def close(self) -> None:
        """Give the connection back."""
        if self._driver is not None:
            await self._driver.close()
            self._driver = None

    async def _write(self, connection: aiosqlite.Connection, batch: Batch, numbers: dict[str, int]) -> None:
        sql = self._sql
        projections = Projections()
        entries: list[Row] = []
        for entry in batch.entries:
            number = numbers.get(entry.book)
            if number is None:
                number = numbers[entry.book] = len(numbers) + 1
                await _run(connection, sql.book, [(number, entry.book)])
            entries.append(entry_row(number, entry))
            projections.add(number, entry)
        await _run(connection, sql.entry, entries)
        await _run(connection, sql.settlement, projections.settlements)
        await _run(connection, sql.leg, projections.legs)
        await _sum_up(connection, projections.news)
        await _run(connection, sql.settlement_change, projections.changes)
        await _run(connection, sql.moved, projections.moved)
        await _run(connection, sql.voided, projections.voided)
        balances = [(numbers[book], account, unit, str(now)) for (book, account, unit), now in batch.balances.items()]
        await _run(connection, sql.balance, balances)
        await self._write_owed(connection, batch, numbers)
        await _run(connection, sql.answered, [(bytes.fromhex(event_id), at) for event_id, at in batch.answered])
        if batch.forget_answers_before is not None:
            await _run(connection, sql.old_answers, [(batch.forget_answers_before,)])
        await _run(connection, sql.partly, [(delivered, number) for number, delivered in batch.partly_delivered])
        await _run(connection, sql.delivered, [(number,) for number in batch.delivered])
        await self._write_over(connection, batch, numbers)
        await self._write_archive(connection, batch, numbers)
        await self._write_refusals(connection, batch)
        await self._write_snapshots(connection, batch, numbers)
        await self._write_checkpoints(connection, batch, numbers)

    async def _write_owed(self, connection: aiosqlite.Connection, batch: Batch, numbers: dict[str, int]) -> None:
        """Ids are handed out by the one who writes, so one that was in use before is another writer's."""
        if batch.owed:
            [(highest,)] = await connection.execute_fetchall(_HIGHEST_OWED)
            if batch.owed[0].id <= highest:
                raise FenceError(f"the outbox' fence was hit: row {batch.owed[0].id} has been owed by another: {ALONE}")
            rows = [(row.id, row.book and numbers[row.book], row.seq, row.body, None) for row in batch.owed]
            await _run(connection, self._sql.outbox, rows)

    async def _write_over(self, connection: aiosqlite.Connection, batch: Batch, numbers: dict[str, int]) -> None:
        """Overwrite what was known with what is known now, behind a fence: a second writer would undo the first one's
        news.
        """
        if batch.sightings or batch.alarms:
            self._marks += 1
            mark = self._own + self._marks.to_bytes(8)
            known = (self._mark, len(self._own), self._own)
            cursor = await connection.execute(_LEAVE_MARK, (tables.LAST_WRITER, mark, *known))
            if cursor.rowcount != 1:
                raise FenceError(
                    f"the fence of what is known was hit: another wrote what machines or operators said: {ALONE}"
                )
            await _run(
                connection, self._sql.sighting, [(numbers[key], *rest) for (key, *rest) in _sighting_rows(batch)]
            )
            await _run(connection, self._sql.alarm, [(numbers[key], body) for key, body in batch.alarms.items()])

    async def _write_refusals(self, connection: aiosqlite.Connection, batch: Batch) -> None:
        if batch.refusals:
            rows = [(row.at, row.reason, row.author, row.event_id, row.detail) for row in batch.refusals]
            await _run(connection, self._sql.refusal, rows)
            [(newest,)] = await connection.execute_fetchall(self._sql.newest_refusal)
            await _run(connection, self._sql.old_refusals, [(newest - REFUSALS_KEPT,)])

    async def _write_archive(self, connection: aiosqlite.Connection, batch: Batch, numbers: dict[str, int]) -> None:
        if batch.archived:
            rows = [(row.at, numbers[row.book], row.machine, row.event) for row in batch.archived]
            await _run(connection, self._sql.archive, rows)
            [(newest,)] = await connection.execute_fetchall(self._sql.newest_archived)
            await _run(connection, self._sql.old_archived, [(newest - ARCHIVED_KEPT,)])

    async def _write_snapshots(self, connection: aiosqlite.Connection, batch: Batch, numbers: dict[str, int]) -> None:
        for row in batch.snapshots:
            number = numbers[row.book]
            digest = sha256(row.body).digest()
            values = (number, row.seq, row.at, bytes.fromhex(row.hash), digest, row.body)
            await _run(connection, self._sql.snapshot, [values])
            *_, (oldest_kept,) = await connection.execute_fetchall(
                self._sql.kept_snapshots, (number, SNAPSHOTS_KEPT, 0)
            )
            await _run(connection, self._sql.old_snapshots, [(number, oldest_kept)])

    async def _write_checkpoints(self, connection: aiosqlite.Connection, batch: Batch, numbers: dict[str, int]) -> None:
        for row in batch.checkpoints:
            number = numbers[row.book]
            await _run(connection, self._sql.checkpoint, [(number, row.number, row.seq, row.event, row.leaves)])
            await _run(connection, self._sql.old_leaves, [(number, row.number - CHECKPOINTS_WITH_LEAVES)])


def _sighting_rows(batch: Batch) -> Iterator[tuple[str, str, bytes]]:
    return ((key, machine, body) for (key, machine), body in batch.sightings.items())


async def _run(connection: aiosqlite.Connection, sql: str, rows: Sequence[Any]) -> None:
    if rows:
        await connection.executemany(sql, rows)


async def _sum_up(connection: aiosqlite.Connection, news: News) -> None:
    asking = sum_up(news)
    with contextlib.suppress(StopIteration):
        ask = next(asking)
        while True:
            if ask.is_reading:
                ask = asking.send(list(await connection.execute_fetchall(ask.sql, ask.rows)))
            else:
                await _run(connection, ask.sql, ask.rows)
                ask = next(asking)


class _Statements:
    """The SQL of each statement, compiled for a dialect; parameters by position, in column order."""

    def __init__(self, dialect: Dialect) -> None:
        def compiled(statement: Any, columns: Iterable[str] | None = None) -> str:
            return str(statement.compile(dialect=dialect, column_keys=list(columns) if columns else None))

        def insert_into(table: Table) -> str:
            columns = [column.name for column in table.columns if table not in _NUMBERED or column.name != "id"]
            return compiled(insert(table), columns)

        balance = insert(tables.balance)
        outbox, refusal, snapshot = tables.outbox, tables.refusal, tables.snapshot
        self.book = insert_into(tables.book)
        self.entry = insert_into(tables.entry)
        self.settlement = insert_into(tables.settlement)
        self.leg = insert_into(tables.leg)
        self.settlement_change = insert_into(tables.settlement_change)
        settlement, leg = tables.settlement, tables.leg
        self.moved = compiled(
            update(settlement).where(
                settlement.c.book == bindparam("in_book"), settlement.c.number == bindparam("of_number")
            ),
            ["status", "since"],
        )
        self.voided = compiled(
            update(leg)
            .where(leg.c.book == bindparam("in_book"), leg.c.number == bindparam("of_number"))
            .values(status=literal_column(f"'{LegStatus.VOIDED}'"), reversed_seq=bindparam("reversed_seq"))
        )
        self.balance = compiled(
            balance.on_conflict_do_update(
                index_elements=["book", "account", "unit"],
                set_={"amount": balance.excluded.amount},
            ),
            tables.balance.columns.keys(),
        )
        self.outbox = insert_into(outbox)
        self.answered = compiled(insert(tables.answered).on_conflict_do_nothing(), tables.answered.columns.keys())
        self.old_answers = compiled(delete(tables.answered).where(tables.answered.c.at < bindparam("at")))
        self.refusal = insert_into(refusal)
        self.snapshot = insert_into(snapshot)
        self.checkpoint = insert_into(tables.checkpoint)
        self.old_leaves = compiled(_without_leaves(tables.checkpoint))
        self.delivered = compiled(delete(outbox).where(outbox.c.id == bindparam("id")))
        self.partly = compiled(update(outbox).where(outbox.c.id == bindparam("row")), ["delivered"])
        self.old_refusals = compiled(delete(refusal).where(refusal.c.id <= bindparam("id")))
        sighting, archive = insert(tables.sighting), tables.archive
        alarm = insert(tables.alarm)
        self.alarm = compiled(
            alarm.on_conflict_do_update(index_elements=["book"], set_={"body": alarm.excluded.body}),
            tables.alarm.columns.keys(),
        )
        self.sighting = compiled(
            sighting.on_conflict_do_update(index_elements=["book", "machine"], set_={"body": sighting.excluded.body}),
            tables.sighting.columns.keys(),
        )
        self.archive = insert_into(archive)
        self.newest_archived = compiled(select(func.max(archive.c.id)))
        self.old_archived = compiled(delete(archive).where(archive.c.id <= bindparam("id")))
        self.newest_refusal = compiled(select(func.max(refusal.c.id)))
        self.kept_snapshots = compiled(
            select(snapshot.c.seq)
            .where(snapshot.c.book == bindparam("book"))
            .order_by(snapshot.c.seq.desc())
            .limit(bindparam("limit"))
        )
        self.old_snapshots = compiled(
            delete(snapshot).where(snapshot.c.book == bindparam("book"), snapshot.c.seq < bindparam("seq"))
        )


def _without_leaves(checkpoint: Table) -> Update:
    of = (checkpoint.c.book == bindparam("in_book")) & (checkpoint.c.number == bindparam("of_number"))
    return update(checkpoint).where(of).values(leaves=null())


_NUMBERED = {tables.refusal, tables.archive}  # tables whose ids the database hands out
