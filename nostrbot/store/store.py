"""The store: one database, opened, brought up to date, with its writer and its queries.

What lives here: opening and closing, and books folded from what is kept. What does not: SQL (writer.py, queries.py).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from nostrbot.core.book import ROOT, Book
from nostrbot.core.desks import check_books
from nostrbot.core.engine import apply
from nostrbot.core.facts import read_fact
from nostrbot.core.inputs import effect_id, reopen
from nostrbot.core.local_time import is_known_zone
from nostrbot.core.snapshots import restore_snapshot, take_snapshot
from nostrbot.errors import BooksError, ConfigError, FenceError, NostrbotError
from nostrbot.journal.entry import GENESIS, Chain
from nostrbot.nostr.event import read_event
from nostrbot.refusals import Refusal
from nostrbot.store.batch import SnapshotRow
from nostrbot.store.integrity import find_flaws
from nostrbot.store.queries import Queries
from nostrbot.store.schema import is_current, migrate
from nostrbot.store.sqlite import ALONE, damage_told, database_path, make_engine, opening_trouble, require_opening
from nostrbot.store.stored import StoredEntry, StoredSnapshot, read_linked
from nostrbot.store.writer import Writer

UNKNOWN_ZONE = "this computer does not know its time zone {!r}: upgrade tzdata, then start the bot again"
FOREIGN = "this home's journal belongs to another bot or platform: restore its own keys"
ROTATED = "this bot has another key by now: finish its rotation with `nostrbot rotate finish`"


@dataclass(slots=True)
class LiveBook:
    """A book in memory and the end of its chain.

    Attributes:
        snapshot_seq: the entry its newest snapshot stands on, or at which one could not be made.
        flaw: why it must not be gone on with, and what to do; it is folded as far as it is sound, to be read.
    """

    book: Book
    chain: Chain
    snapshot_seq: int = 0
    flaw: str | None = None

    def heard_at(self, now: int) -> int | None:
        """Return when something heard `now` was heard, if its entry is dated later: the clock ran ahead and was set
        right.
        """
        return now if now < self.chain.at else None

    def snapshot_row(self) -> SnapshotRow:
        """Return the book as it stands, to be kept."""
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
        """Open a database and migrate it. Raises ConfigError if it cannot be opened or is newer than this program."""
        engine = make_engine(url)

        async def bring_up_to_date(connection: AsyncConnection) -> None:
            # Taking the write lock first: two programs that start together migrate one after the other.
            await connection.exec_driver_sql("ROLLBACK")
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            await connection.run_sync(migrate)
            await connection.commit()

        return await cls._over(engine, bring_up_to_date)

    @classmethod
    async def open_as_it_is(cls, url: str) -> "Store":
        """Open a database for reading beside a running bot; it is not migrated. Raises ConfigError if it must be."""
        engine, path = make_engine(url), database_path(url)
        if not path.exists():  # SQLite would make one, here and now and whosever it would be
            raise ConfigError(
                f"there is no database {path}: start the bot once with `nostrbot run`, or restore a backup"
            )

        async def require_current(connection: AsyncConnection) -> None:
            if not await connection.run_sync(is_current):
                raise ConfigError(
                    "the database is not of this version of nostrbot: start the bot once with `nostrbot run`"
                )

        return await cls._over(engine, require_current)

    @classmethod
    async def _over(cls, engine: AsyncEngine, prepare: Callable[[AsyncConnection], Awaitable[None]]) -> "Store":
        """Open the store over an engine, once `prepare` went well."""
        await asyncio.to_thread(require_opening, Path(engine.url.database or ""))
        queries = Queries(engine)
        try:
            with damage_told():
                async with engine.connect() as connection:
                    await prepare(connection)
                store = cls(engine, Writer(engine), queries)
                await store._follow()
                return store
        except DBAPIError as error:
            await engine.dispose()
            raise ConfigError(opening_trouble(Path(engine.url.database or ""), error.orig)) from None
        except NostrbotError:
            await engine.dispose()
            raise

    @property
    def path(self) -> Path:
        """The database file."""
        return Path(self._engine.url.database or "")

    async def close(self) -> None:
        """Close all connections."""
        await self.writer.close()
        await self.queries.close()
        await self._engine.dispose()

    async def load_books(
        self, bot: str, platform: str, known: Mapping[str, LiveBook] | None = None
    ) -> dict[str, LiveBook]:
        """Load every book, the root book always among them, from its newest snapshot and the entries since.

        `known`: books that are in memory as they are kept, so that they need not be loaded. One whose journal is
        damaged, or which does not balance, has a flaw. Raises BooksError if the journal is another bot's or
        platform's, ConfigError when the home has not yet the key that its books have.
        """
        keys = [ROOT, *(key for key in await self._follow() if key != ROOT)]
        known = known or {}
        return {key: known.get(key) or await self._load_book(Book(bot, key, platform)) for key in keys}

    async def _follow(self) -> dict[str, int]:
        """Have the writer go on from what is kept; returns the books' numbers. Whatever is read after it is no
        older.
        """
        mark = await self.queries.last_writer()
        numbers = await self.queries.book_numbers()
        self.writer.follow(numbers, mark)
        return numbers

    async def examine(self, live: Mapping[str, LiveBook]) -> None:
        """Look at all there is, as a start does (integrity.py), and note what is wrong with any of these books.

        Raises FenceError if it is nothing but that another bot wrote to them since they were loaded.
        """
        flaws = await asyncio.to_thread(find_flaws, self.path, {key: one.book for key, one in live.items()})
        for key, flaw in flaws.items():
            if await self._has_grown(live[key]):
                raise FenceError(f"the journal's fence was hit: a book has grown while it was examined: {ALONE}")
            live[key].flaw = flaw

    async def _has_grown(self, one: LiveBook) -> bool:
        """Return whether a book that was sound to its end goes on by now."""
        try:
            with damage_told():
                return one.flaw is None and bool(await self.queries.entries_at(one.chain.book, [one.chain.seq + 1]))
        except BooksError:
            return False  # that is damage, which was found

    async def _load_book(self, book: Book) -> LiveBook:
        bot = book.bot
        try:
            with damage_told():
                kept = await self.queries.snapshot(book.key)
        except BooksError:
            kept = None  # it is a cache
        live, restored = LiveBook(book, Chain(book.key)), _restored(kept)
        if kept is not None and restored is not None:
            if (restored.platform, restored.key) != (book.platform, book.key):
                raise BooksError(FOREIGN)
            live = LiveBook(restored, Chain(book.key, kept.seq, kept.hash, kept.at), kept.seq)
        try:
            with damage_told():
                async for stored in self.queries.entries(book.key, after=live.chain.seq):
                    follow(live, stored)
                    live.book.recall.forget()
            check_books(live.book)
            if not is_known_zone(live.book.tz):
                raise BooksError(UNKNOWN_ZONE.format(live.book.tz))
        except BooksError as error:
            live.flaw = str(error)
        if await self._is_foreign(live, book.platform):
            raise BooksError(FOREIGN)
        if live.flaw is None and live.book.bot != bot:
            if bot in live.book.former_bots:
                raise ConfigError(ROTATED)
            raise BooksError(FOREIGN)
        return live

    async def _is_foreign(self, live: LiveBook, platform: str) -> bool:
        """Whether a book belongs to another platform or bot: its first entry, if sound, says who opened it.

        Which bot that was, before its key was rotated, only a book knows that is sound to its end.
        """
        try:
            with damage_told():
                first = (await self.queries.entries_at(live.book.key, [1])).get(1)
            if first is None:
                return False
            kept = read_linked(first, GENESIS)["input"]
        except BooksError:
            return False  # nobody asks here whether the journal is sound
        event = read_event(kept["event"])
        given = event if isinstance(event, Refusal) else reopen(event, kept)
        if isinstance(given, Refusal) or given.author != platform:
            return True
        return live.flaw is None and not given.is_to(live.book.first_bot)


def _restored(kept: StoredSnapshot | None) -> Book | None:
    """Return the book of a snapshot; None if there is none, or another release wrote it in another form."""
    try:
        return None if kept is None else restore_snapshot(orjson.loads(kept.body))
    except (KeyError, TypeError, ValueError):
        return None


def follow(live: LiveBook, stored: StoredEntry) -> dict[str, Any]:
    """Apply the next entry of a book to it, as sealed; returns the entry's content. BooksError when it is damaged."""
    content = read_linked(stored, live.chain.head)
    facts = tuple(read_fact(fields) for fields in content["facts"])
    apply(live.book, effect_id(content["input"]), facts, seq=stored.seq, at=stored.at, rules=content["rules"])
    live.chain = Chain(stored.book, stored.seq, stored.hash, stored.at)
    return content
