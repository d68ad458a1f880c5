"""Queries: what is read back, by the bot to decide and answer, by `status` and by the auditor's export.

What lives here: reading. What does not: writing (writer.py) and folding entries into books (store.py). Entries come
back as they were sealed: bytes and their hash.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Row, and_, func, literal_column, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from nostrbot.core.atm.fleet import MachineStatus, read_sighting
from nostrbot.core.atm.states import LegStatus, LegType, SettlementStatus
from nostrbot.errors import BooksError
from nostrbot.messages.alerts import AlertsTold, read_alerts_told
from nostrbot.store import tables
from nostrbot.store.checkpoints import Checkpoints
from nostrbot.store.leg_sums import LegSums
from nostrbot.store.sale_sums import SaleSums
from nostrbot.store.sqlite import Driver, damage_told
from nostrbot.store.stored import NOT_AS_WRITTEN, StillOwed, StoredEntry, StoredLeg, StoredSettlement, StoredSnapshot
from nostrbot.store.tables import (
    LAST_WRITER,
    answered,
    book,
    entry,
    leg,
    outbox,
    refusal,
    runtime,
    settlement,
    snapshot,
)

PAGE_ROWS = 500  # entries read at once: some 2 MiB


_ENTRY = (book.c.key, entry.c.seq, entry.c.at, entry.c.hash, entry.c.body)


def _stored(row: Sequence[Any]) -> StoredEntry:
    key, seq, at, digest, body = row
    # The value has another type than was written: damaged. No bytes have no hash, so whoever compares the two finds it.
    return StoredEntry(key, seq, at, _hex(digest), body if isinstance(body, bytes) else b"")


def _hex(digest: object) -> str:
    return digest.hex() if isinstance(digest, bytes) else ""


class Queries:
    """Read-only questions, each on its own connection so that none waits for the writer.

    `moment`: a connection whose one transaction answers them all.
    """

    def __init__(self, engine: AsyncEngine, moment: AsyncConnection | None = None) -> None:
        self._moment = moment
        self.leg_sums = LegSums(engine)
        self.sale_sums = SaleSums(engine)
        self.checkpoints = Checkpoints(engine)
        self._engine = engine
        self._scout: Driver | None = None

    @asynccontextmanager
    async def as_of_now(self) -> AsyncIterator["Queries"]:
        """Answer the same questions from the database as it is at the first of them, whoever writes meanwhile."""
        async with self._engine.connect() as connection:
            yield Queries(self._engine, connection)

    async def _all(self, statement: Any) -> Sequence[Row[Any]]:
        if self._moment is not None:
            return (await self._moment.execute(statement)).all()
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).all()

    async def book_numbers(self) -> dict[str, int]:
        """Return every book's key and number."""
        return {row.key: row.id for row in await self._all(select(book))}

    async def snapshot(self, key: str) -> StoredSnapshot | None:
        """Return the newest sound snapshot of a book; a damaged one, or one without its entry, is skipped."""
        on = and_(entry.c.book == snapshot.c.book, entry.c.seq == snapshot.c.seq, entry.c.hash == snapshot.c.hash)
        wanted = select(snapshot.c.seq, snapshot.c.hash, snapshot.c.digest, snapshot.c.body, entry.c.at)
        stands = wanted.join(entry, on).join(book, book.c.id == snapshot.c.book)
        rows = await self._all(stands.where(book.c.key == key).order_by(snapshot.c.seq.desc()))
        for row in rows:
            if isinstance(row.body, bytes) and sha256(row.body).digest() == row.digest:
                return StoredSnapshot(row.seq, row.at, row.hash.hex(), row.body)
        return None

    async def snapshot_bodies(self, key: str) -> dict[int, bytes]:
        """Return all snapshots of a book that are kept, sound or not, by the entry they stand on."""
        rows = await self._all(select(snapshot.c.seq, snapshot.c.body).join(book).where(book.c.key == key))
        return {row.seq: row.body for row in rows}

    async def entries(self, key: str, *, after: int = 0) -> AsyncIterator[StoredEntry]:
        """Return a book's entries in order, from the one after `after` on, read a page at a time."""
        while True:
            page = await self._all(
                select(*_ENTRY)
                .join(book)
                .where(book.c.key == key, entry.c.seq > after)
                .order_by(entry.c.seq)
                .limit(PAGE_ROWS)
            )
            for row in page:
                yield _stored(row)
            if len(page) < PAGE_ROWS:
                return
            after = page[-1].seq

    async def entries_at(self, key: str, seqs: Sequence[int]) -> dict[int, StoredEntry]:
        """Return the entries of a book at these places."""
        rows = await self._all(select(*_ENTRY).join(book).where(book.c.key == key, entry.c.seq.in_(seqs)))
        return {row.seq: _stored(row) for row in rows}

    async def entries_of_events(self, event_ids: Sequence[str]) -> list[StoredEntry]:
        """Return the entries, in any book, that these events caused."""
        known = await self._known(
            "SELECT event_id FROM entry WHERE event_id IN ({})", [bytes.fromhex(event_id) for event_id in event_ids]
        )
        if not known:
            return []
        return [_stored(row) for row in await self._all(select(*_ENTRY).join(book).where(entry.c.event_id.in_(known)))]

    async def entries_of_payments(self, payment_hashes: Sequence[str]) -> list[StoredEntry]:
        """Return the entries, in any book, that accepted a settlement with one of these payment hashes."""
        known = await self._known(
            # The books are named so that the index, which begins with the book, is used.
            "SELECT payment_hash FROM settlement WHERE book IN (SELECT id FROM book) AND accepted "
            "AND payment_hash IN ({})",
            [bytes.fromhex(payment_hash) for payment_hash in payment_hashes],
        )
        if not known:
            return []
        at = and_(settlement.c.book == entry.c.book, settlement.c.seq == entry.c.seq)
        wanted = and_(settlement.c.accepted, settlement.c.payment_hash.in_(known))
        joined = settlement.join(entry, at).join(book, book.c.id == entry.c.book)
        return [_stored(row) for row in await self._all(select(*_ENTRY).select_from(joined).where(wanted))]

    async def _known(self, sql: str, keys: Sequence[bytes]) -> list[bytes]:
        """Return which of these keys exist. Every turn asks this and hardly ever finds one, so it must cost little."""
        if not keys:
            return []
        if self._scout is None:
            self._scout = await Driver.open(self._engine)
        try:
            rows = await self._scout.connection.execute_fetchall(sql.format(",".join("?" * len(keys))), keys)
        except sqlite3.Error as error:
            raise OperationalError("looking up what is known", None, error) from None
        return [row[0] for row in rows]

    async def close(self) -> None:
        """Give the connection back."""
        if self._scout is not None:
            await self._scout.close()
            self._scout = None

    async def answered(self, event_ids: Sequence[str]) -> set[str]:
        """Return which of these commands had their answer."""
        raw = [bytes.fromhex(event_id) for event_id in event_ids]
        rows = await self._all(select(answered.c.event_id).where(answered.c.event_id.in_(raw)))
        return {row.event_id.hex() for row in rows}

    async def outbox(self, *, after: int, limit: int) -> list[StillOwed]:
        """Return what is still owed, oldest first."""
        rows = await self._all(
            select(outbox.c.id, outbox.c.body.label("owed"), outbox.c.delivered, *_ENTRY)
            .select_from(
                outbox.outerjoin(entry, and_(entry.c.book == outbox.c.book, entry.c.seq == outbox.c.seq)).outerjoin(
                    book, book.c.id == entry.c.book
                )
            )
            .where(outbox.c.id > after)
            .order_by(outbox.c.id)
            .limit(limit)
        )
        return [
            StillOwed(row.id, None if row.seq is None else _stored(row[3:]), row.owed, row.delivered) for row in rows
        ]

    async def outbox_state(self) -> tuple[int, int]:
        """Return how many rows are owed, and the highest id ever handed out."""
        async with self._engine.connect() as connection:
            count = (await connection.execute(select(func.count()).select_from(outbox))).scalar_one()
            highest = await connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")
            return count, highest.scalar_one_or_none() or 0

    async def settlements(
        self,
        key: str,
        *,
        machine: str | None = None,
        status: SettlementStatus | None = None,
        since: int | None = None,
        before: int | None = None,
        after: int | None = None,
        moved_before: int | None = None,
        numbers: Sequence[int] | None = None,
        oldest_first: bool = False,
        limit: int,
    ) -> list[StoredSettlement]:
        """Return settlements of a book with all their entries, newest first unless said otherwise.

        `since`: born then or later; `moved_before`: came to their status before; `numbers`: of these only.
        """
        conditions = [book.c.key == key]
        if machine is not None:
            conditions.append(settlement.c.machine == machine)
        if status is not None:
            conditions.append(settlement.c.status == status.value)
        if since is not None:
            conditions.append(settlement.c.at >= since)
        if before is not None:
            conditions.append(settlement.c.number < before)
        if after is not None:
            conditions.append(settlement.c.number > after)
        if numbers is not None:
            conditions.append(settlement.c.number.in_(numbers))
        if moved_before is not None:
            conditions.append(settlement.c.since < moved_before)
        order = settlement.c.number.asc() if oldest_first else settlement.c.number.desc()
        at = and_(settlement.c.book == entry.c.book, settlement.c.seq == entry.c.seq)
        rows = await self._all(
            select(settlement.c.number, *_ENTRY)
            .select_from(settlement.join(book, book.c.id == settlement.c.book).join(entry, at))
            .where(*conditions)
            .order_by(order)
            .limit(limit)
        )
        later = await self._changes(key, [row.number for row in rows])
        return [StoredSettlement(row.number, _stored(row[1:]), tuple(later.get(row.number, ()))) for row in rows]

    async def _changes(self, key: str, numbers: Sequence[int]) -> dict[int, list[StoredEntry]]:
        """Return the entries after their births in which something became of these settlements, oldest first."""
        change = tables.settlement_change
        at = and_(change.c.book == entry.c.book, change.c.seq == entry.c.seq)
        rows = await self._all(
            select(change.c.number, *_ENTRY)
            .select_from(change.join(book, book.c.id == change.c.book).join(entry, at))
            .where(book.c.key == key, change.c.number.in_(numbers))
            .order_by(change.c.seq)
        )
        changes: dict[int, list[StoredEntry]] = {}
        for row in rows:
            changes.setdefault(row.number, []).append(_stored(row[1:]))
        return changes

    async def settlement(self, key: str, number: int) -> StoredSettlement | None:
        """Return one settlement with all its entries."""
        found = await self.settlements(key, before=number + 1, limit=1)
        return found[0] if found and found[0].number == number else None

    async def open_settlements(self, key: str) -> list[tuple[str, SettlementStatus, int]]:
        """Count the settlements of each machine that wait, or were set aside: (machine, status, count)."""
        waiting = [
            status.value for status in (SettlementStatus.PENDING, SettlementStatus.PROCESSING, SettlementStatus.ERRORED)
        ]
        rows = await self._all(
            select(settlement.c.machine, settlement.c.status, func.count().label("settlements"))
            .join(book, book.c.id == settlement.c.book)
            # Said in these words, so that the index of the worklist is used.
            .where(book.c.key == key, settlement.c.status != literal_column("'processed'"))
            .where(settlement.c.status.in_(waiting))
            .group_by(settlement.c.machine, settlement.c.status)
        )
        return [(row.machine, SettlementStatus(row.status), row.settlements) for row in rows]

    async def legs(self, key: str, *, after: int, limit: int) -> list[tuple[int, LegStatus, int]]:
        """Return a book's legs after number `after`, of all LPs: number, present state, the entry it was made in."""
        rows = await self._all(
            select(leg.c.number, leg.c.status, leg.c.seq)
            .join(book)
            .where(book.c.key == key, leg.c.number > after)
            .order_by(leg.c.number)
            .limit(limit)
        )
        return [(row.number, LegStatus(row.status), row.seq) for row in rows]

    async def leg(self, key: str, number: int) -> StoredLeg | None:
        """Return one leg of a book, of any LP."""
        at = and_(leg.c.book == entry.c.book, leg.c.seq == entry.c.seq)
        rows = await self._all(
            select(leg.c.number, leg.c.status, *_ENTRY)
            .select_from(leg.join(book, book.c.id == leg.c.book).join(entry, at))
            .where(book.c.key == key, leg.c.number == number)
        )
        found = [StoredLeg(row.number, LegStatus(row.status), _stored(row[2:])) for row in rows]
        return found[0] if found else None

    async def payments(
        self,
        key: str,
        *,
        lp: str | None = None,
        machine: str | None = None,
        status: LegStatus | None = None,
        since: int | None = None,
        before: int | None = None,
        limit: int,
    ) -> list[StoredLeg]:
        """Yield what LPs were paid apart from any settlement, newest first; `since`: then or later."""
        conditions = [book.c.key == key, leg.c.settlement.is_(None)]
        if lp is not None:
            conditions.append(leg.c.lp == lp)
        if machine is not None:
            conditions.append(leg.c.machine == machine)
        if status is not None:
            conditions.append(leg.c.status == status.value)
        if since is not None:
            conditions.append(entry.c.at >= since)
        if before is not None:
            conditions.append(leg.c.number < before)
        at = and_(leg.c.book == entry.c.book, leg.c.seq == entry.c.seq)
        rows = await self._all(
            select(leg.c.number, leg.c.status, *_ENTRY)
            .select_from(leg.join(book, book.c.id == leg.c.book).join(entry, at))
            .where(*conditions)
            .order_by(leg.c.number.desc())
            .limit(limit)
        )
        return [StoredLeg(row.number, LegStatus(row.status), _stored(row[2:])) for row in rows]

    async def legs_of(
        self,
        key: str,
        lp: str,
        *,
        before: int | None = None,
        since: int | None = None,
        until: int | None = None,
        kind: LegType | None = None,
        machine: str | None = None,
        limit: int,
    ) -> list[StoredLeg]:
        """Return an LP's legs, newest first; `since` and `until` are unix seconds, and both count."""
        # Few legs of a book are one LP's: not told so, SQLite walks down all of them rather than the index of the LP's
        # own.
        conditions = [book.c.key == key, func.unlikely(leg.c.lp == lp)]
        if before is not None:
            conditions.append(leg.c.number < before)
        if since is not None:
            conditions.append(entry.c.at >= since)
        if until is not None:
            conditions.append(entry.c.at <= until)
        if kind is not None:
            conditions.append(leg.c.type == kind.value)
        if machine is not None:
            conditions.append(leg.c.machine == machine)
        at = and_(leg.c.book == entry.c.book, leg.c.seq == entry.c.seq)
        rows = await self._all(
            select(leg.c.number, leg.c.status, *_ENTRY)
            .select_from(leg.join(book, book.c.id == leg.c.book).join(entry, at))
            .where(*conditions)
            .order_by(leg.c.number.desc())
            .limit(limit)
        )
        return [StoredLeg(row.number, LegStatus(row.status), _stored(row[2:])) for row in rows]

    async def sightings(self) -> dict[tuple[str, str], MachineStatus]:
        """Return the status of each machine, by book and name. A damaged row is skipped: machines say it again."""
        table, known = tables.sighting, dict[tuple[str, str], MachineStatus]()
        for row in await self._all(select(book.c.key, table.c.machine, table.c.body).join(book)):
            with contextlib.suppress(*NOT_AS_WRITTEN):
                known[row.key, row.machine] = read_sighting(orjson.loads(row.body))
        return known

    async def told(self) -> dict[str, AlertsTold]:
        """Return the alerts each operator was told, by book. A damaged row is skipped: its operator is told again."""
        told = dict[str, AlertsTold]()
        for row in await self._all(select(book.c.key, tables.alarm.c.body).join(book)):
            with contextlib.suppress(*NOT_AS_WRITTEN):
                told[row.key] = read_alerts_told(orjson.loads(row.body))
        return told

    async def heads(self) -> list[tuple[str, int, str, int]]:
        """Return each book's key, number of entries, head hash and last time."""
        last = select(entry.c.book, func.max(entry.c.seq).label("seq")).group_by(entry.c.book).subquery()
        at = and_(entry.c.book == last.c.book, entry.c.seq == last.c.seq)
        rows = await self._all(
            select(book.c.key, entry.c.seq, entry.c.hash, entry.c.at)
            .select_from(entry.join(last, at).join(book, book.c.id == entry.c.book))
            .order_by(book.c.id)
        )
        return [(row.key, row.seq, row.hash.hex(), row.at) for row in rows]

    async def balances(self, key: str) -> dict[tuple[str, str], int]:
        """Return a book's projected balances by (account, unit)."""
        table = tables.balance
        rows = await self._all(select(table).join(book).where(book.c.key == key))
        return {(row.account, row.unit): int(row.amount) for row in rows}

    async def refusals_logged(self) -> int:
        """Return how many refusals the log holds."""
        return int((await self._all(select(func.count()).select_from(refusal)))[0][0])

    async def last_writer(self) -> bytes:
        """Return the mark of the last writer of overwritten rows; empty if there is none that can be read."""
        rows: Sequence[Any] = ()
        with contextlib.suppress(BooksError), damage_told():
            rows = await self._all(select(runtime.c.value).where(runtime.c.name == LAST_WRITER))
        return rows[0].value if rows else b""

    async def runtime(self, name: str) -> Any:
        """Return what the running bot last told under this name, or None."""
        rows = await self._all(select(runtime.c.value).where(runtime.c.name == name))
        return orjson.loads(rows[0].value) if rows else None

    async def tell(self, name: str, value: Any) -> None:
        """Leave a word for `status`. The one thing written here: it is no part of any book."""
        statement = insert(runtime).values(name=name, value=orjson.dumps(value))
        statement = statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value})
        async with self._engine.begin() as connection:
            await connection.execute(statement)
