"""Rebuilding: every projection made again from the journal, and put in the place of what is kept.

What lives here: making them, comparing, replacing. What does not: the journal, which is only read here: what is wrong
with it no rebuilding can mend (integrity.py). The bot must not run meanwhile (cli/maintenance.py).

Projections are made as they were made the first time: facts are applied to a book, and the one writer projects entries.
They go into a separate database that lies beside and is removed afterwards. Rows that follow from no entry (the outbox,
answers, refusals, machines' status, alerts, the archive, checkpoints) are not touched.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Table

from nostrbot.core.book import Book
from nostrbot.core.engine import apply
from nostrbot.core.facts import read_fact
from nostrbot.core.inputs import Input, read_observation, reopen
from nostrbot.errors import BooksError
from nostrbot.journal.entry import Chain, Entry
from nostrbot.nostr.event import read_event
from nostrbot.refusals import Refusal
from nostrbot.store import tables
from nostrbot.store.batch import Batch, SnapshotRow
from nostrbot.store.integrity import check_journal
from nostrbot.store.lineage import first_bot
from nostrbot.store.sqlite import RESTORE, connect_plainly, sqlite_url
from nostrbot.store.store import LiveBook, Store
from nostrbot.store.stored import StoredEntry, read_linked
from nostrbot.store.workplace import workplace

ENTRIES_AT_ONCE = 500  # a commit each: as many as the journal is read in
PROJECTIONS = (
    tables.settlement,
    tables.settlement_change,
    tables.leg,
    tables.leg_quarter,
    tables.leg_month,
    tables.sale_quarter,
    tables.sale_month,
    tables.balance,
    tables.snapshot,
)

Progress = Callable[[int], None]


async def rebuild(store: Store, bot: str, platform: str, *, progress: Progress | None = None) -> dict[str, int]:
    """Put projections right; returns how many rows differed, by table, none where nothing did.

    `bot`, `platform`: their keys (hex). `progress` is told how many entries were read. Raises BooksError, and changes
    nothing, when the journal is damaged or another bot's.
    """
    await store.load_books(bot, platform)  # or these are another bot's
    await asyncio.to_thread(check_journal, store.path)
    with workplace(store.path.parent) as folder:
        derived = folder / "derived.sqlite"
        await _Derivation(store, derived, progress or (lambda _: None)).make(bot, platform)
        return await asyncio.to_thread(_replace, store.path, derived)


class _Derivation:
    """A database of what follows from the journal of another; of the entries themselves all but their bodies."""

    def __init__(self, store: Store, path: Path, progress: Progress) -> None:
        self._journal = store.queries
        self._path = path
        self._progress = progress
        self._read = count(1)

    async def make(self, bot: str, platform: str) -> None:
        """Fold every book from nothing, in the order in which they were numbered, so that they are numbered alike."""
        store = await Store.open(sqlite_url(self._path))
        try:
            numbers = await self._journal.book_numbers()
            for key in sorted(numbers, key=numbers.__getitem__):
                opened_with = await first_bot(self._journal, key, bot)
                await self._fold(LiveBook(Book(opened_with, key, platform), Chain(key)), store)
        finally:
            await store.close()

    async def _fold(self, live: LiveBook, store: Store) -> None:
        kept = await self._journal.snapshot_bodies(live.book.key)
        batch = Batch()
        async for stored in self._journal.entries(live.book.key):
            self._add(stored, live, batch)
            if stored.seq in kept:
                batch.snapshots.append(_same_or_anew(live.snapshot_row(), kept[stored.seq]))
            if len(batch.entries) == ENTRIES_AT_ONCE:
                await store.writer.commit(batch)
                batch = Batch()
        await store.writer.commit(batch)

    def _add(self, stored: StoredEntry, live: LiveBook, batch: Batch) -> None:
        """Apply an entry as sealed, and make it again as it was when it was committed."""
        content = read_linked(stored, live.chain.head)
        given = _read_input(content["input"], stored)
        facts = tuple(read_fact(fields) for fields in content["facts"])
        booked = apply(live.book, given.id, facts, seq=stored.seq, at=stored.at, rules=content["rules"])
        live.book.recall.forget()
        postings = [posting for transaction in booked for posting in transaction.postings]
        if [list(posting) for posting in postings] != content["postings"]:
            raise BooksError(f"book {stored.book}: entry {stored.seq} does not book what its facts say: {RESTORE}")
        prev, live.chain = live.chain.head, Chain(stored.book, stored.seq, stored.hash, stored.at)
        batch.entries.append(
            Entry(stored.book, stored.seq, stored.at, prev, given, facts, tuple(booked), b"", stored.hash)
        )
        for account, unit, _ in postings:
            batch.balances[stored.book, account, unit] = live.book.balances.of(account, unit)
        self._progress(next(self._read))


def _same_or_anew(made: SnapshotRow, kept: bytes) -> SnapshotRow:
    """Return the snapshot with the kept bytes if they say the same: names may stand in another order."""
    try:
        is_same = orjson.loads(kept) == orjson.loads(made.body)
    except orjson.JSONDecodeError:
        is_same = False
    return replace(made, body=kept) if is_same else made


def _read_input(kept: dict[str, Any], stored: StoredEntry) -> Input:
    observed = read_observation(kept)
    if observed is not None:
        return observed
    event = read_event(kept["event"])
    given = event if isinstance(event, Refusal) else reopen(event, kept)
    if isinstance(given, Refusal):
        raise BooksError(f"book {stored.book}: the input of entry {stored.seq} does not verify: {RESTORE}")
    return given


def _replace(path: Path, derived: Path) -> dict[str, int]:
    """Compare table by table, and put in place what differs, all in one transaction."""
    with closing(connect_plainly(path)) as connection:
        connection.execute("ATTACH ? AS derived", (str(derived.absolute()),))
        connection.execute("BEGIN IMMEDIATE")
        differing = {table.name: _count_differing(connection, table) for table in PROJECTIONS}
        for name in [name for name, rows in differing.items() if rows]:
            connection.execute(f"DELETE FROM main.{name}")  # noqa: S608 - names of ours, here and below
            connection.execute(f"INSERT INTO main.{name} SELECT * FROM derived.{name}")  # noqa: S608
        differing["entry"] = _put_right_event_ids(connection)
        connection.execute("COMMIT")
    return {name: rows for name, rows in differing.items() if rows}


def _count_differing(connection: sqlite3.Connection, table: Table) -> int:
    """Count the rows, by their keys, that are in one of the two databases only, or differ between them."""
    name, key = table.name, ", ".join(table.primary_key.columns.keys())
    [(rows,)] = connection.execute(
        f"""
        SELECT count(*) FROM (SELECT DISTINCT {key} FROM (
            SELECT * FROM (SELECT * FROM main.{name} EXCEPT SELECT * FROM derived.{name})
            UNION ALL SELECT * FROM (SELECT * FROM derived.{name} EXCEPT SELECT * FROM main.{name})
        ))
        """  # noqa: S608
    )
    return int(rows)


_WRONG_EVENT_IDS = """
FROM main.entry AS kept JOIN derived.entry AS made USING (book, seq) WHERE kept.event_id IS NOT made.event_id
"""


def _put_right_event_ids(connection: sqlite3.Connection) -> int:
    """Derive again the column that shows whether a command or a sale is entered already: it projects the entry's
    body.
    """
    wrong = connection.execute(f"SELECT made.event_id, book, seq {_WRONG_EVENT_IDS}").fetchall()
    # None first: of two that changed places neither could be put right before the other.
    connection.executemany(
        "UPDATE main.entry SET event_id = NULL WHERE book = ? AND seq = ?", [row[1:] for row in wrong]
    )
    connection.executemany("UPDATE main.entry SET event_id = ? WHERE book = ? AND seq = ?", wrong)
    return len(wrong)
