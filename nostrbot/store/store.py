"""The store: one database, opened, brought up to date, with its writer and its queries.

What lives here: opening and closing, and books folded from what is kept. What does not: SQL (writer.py, queries.py).
"""

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from nostrbot.core.book import ROOT, Book, check_books
from nostrbot.core.engine import apply
from nostrbot.core.facts import read_fact
from nostrbot.core.inputs import effect_id
from nostrbot.core.snapshots import restore_snapshot, take_snapshot
from nostrbot.errors import BooksError, ConfigError
from nostrbot.journal.entry import GENESIS, Chain
from nostrbot.store.batch import SnapshotRow
from nostrbot.store.database import make_engine
from nostrbot.store.queries import Queries, StoredEntry, StoredSnapshot, read_linked
from nostrbot.store.schema import is_current, migrate
from nostrbot.store.writer import Writer


@dataclass(slots=True)
class LiveBook:
    """A book in memory and the end of its chain. `snapshot_seq`: the entry its newest snapshot stands on."""

    book: Book
    chain: Chain
    snapshot_seq: int = 0

    def snapshot_row(self) -> SnapshotRow:
        """The book as it stands, to be kept."""
        chain = self.chain
        return SnapshotRow(chain.book, chain.seq, chain.at, chain.head, orjson.dumps(take_snapshot(self.book)))


class Store:
    """The database of one bot. Use `await Store.open(url)` and `await store.close()`."""

    def __init__(self, engine: AsyncEngine, writer: Writer, queries: Queries) -> None:
        self._engine = engine
        self.writer = writer
        self.queries = queries

    @classmethod
    async def open(cls, url: str) -> "Store":
        """Open a database and migrate it. Raises ConfigError when it cannot be opened or is newer than this program."""
        engine = make_engine(url)
        try:
            async with engine.connect() as connection:
                # Taking the write lock first: two programs that start together migrate one after the other.
                await connection.exec_driver_sql("ROLLBACK")
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
                await connection.run_sync(migrate)
                await connection.commit()
        except (OperationalError, DatabaseError) as error:
            await engine.dispose()
            raise ConfigError(f"the database cannot be opened: {error.orig}") from None
        except ConfigError:
            await engine.dispose()
            raise
        queries = Queries(engine)
        return cls(engine, Writer(engine, await queries.book_numbers()), queries)

    @classmethod
    async def open_as_it_is(cls, url: str) -> "Store":
        """Open a database for reading beside a running bot; it is not migrated. Raises ConfigError when it must be."""
        engine = make_engine(url)
        try:
            async with engine.connect() as connection:
                current = await connection.run_sync(is_current)
        except (OperationalError, DatabaseError) as error:
            await engine.dispose()
            raise ConfigError(f"the database cannot be opened: {error.orig}") from None
        if not current:
            await engine.dispose()
            raise ConfigError("the database is not of this version of nostrbot: start the bot once with `nostrbot run`")
        queries = Queries(engine)
        return cls(engine, Writer(engine, await queries.book_numbers()), queries)

    async def close(self) -> None:
        """Close all connections."""
        await self.writer.close()
        await self.queries.close()
        await self._engine.dispose()

    async def load_books(self, bot: str, platform: str) -> dict[str, LiveBook]:
        """Every book, the root book always among them, from its newest snapshot and the entries since.

        Raises BooksError when the journal is damaged or another bot's or platform's, or the books do not balance.
        """
        keys = [ROOT, *(key for key in await self.queries.book_numbers() if key != ROOT)]
        return {key: await self._load_book(Book(bot, key, platform)) for key in keys}

    async def _load_book(self, book: Book) -> LiveBook:
        await self._check_home(book)
        live = LiveBook(book, Chain(book.key))
        kept = await self.queries.snapshot(book.key)
        restored = _restored(kept)
        if kept is not None and restored is not None:
            if (restored.bot, restored.platform, restored.key) != (book.bot, book.platform, book.key):
                raise BooksError(f"book {book.key} belongs to another bot or platform: this is not its home")
            live = LiveBook(restored, Chain(book.key, kept.seq, kept.hash, kept.at), kept.seq)
        async for stored in self.queries.entries(book.key, after=live.chain.seq):
            follow(live, stored)
            live.book.recall.forget()
        check_books(live.book)
        return live

    async def _check_home(self, book: Book) -> None:
        """The platform opens every book by a command to the bot: its first entry says whose it is."""
        first = (await self.queries.entries_at(book.key, [1])).get(1)
        if first is None:
            return
        event = read_linked(first, GENESIS)["input"]["event"]
        if event["pubkey"] != book.platform or ["p", book.bot] not in [tag[:2] for tag in event["tags"]]:
            raise BooksError("this home's journal belongs to another bot or platform: restore its own keys")


def _restored(kept: StoredSnapshot | None) -> Book | None:
    """The book of a snapshot; None when there is none, or another release wrote it in a shape of its own."""
    try:
        return None if kept is None else restore_snapshot(orjson.loads(kept.body))
    except (KeyError, TypeError, ValueError):
        return None


def follow(live: LiveBook, stored: StoredEntry) -> dict[str, Any]:
    """Apply the next entry of a book to it, as sealed; returns the entry's content. BooksError when it is damaged."""
    content = read_linked(stored, live.chain.head)
    facts = tuple(read_fact(fields) for fields in content["facts"])
    apply(live.book, effect_id(content["input"]), facts, seq=stored.seq, at=stored.at)
    live.chain = Chain(stored.book, stored.seq, stored.hash, stored.at)
    return content
