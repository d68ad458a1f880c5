"""The database connection: SQLite made durable, and transactions that begin when we say so.

What lives here: the engine. What does not: tables (tables.py) and statements (writer.py, queries.py).
WAL with synchronous=FULL: a commit that returned survives a power cut; throughput comes from batching commits.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from nostrbot.errors import BooksError, ConfigError

# A backup or a second reader may hold the file for a moment; past this a person should know (faults.md row 52).
BUSY_TIMEOUT_MS = 60_000
SCHEME = "sqlite+aiosqlite"
NEWER = "install the newer release that wrote it"
RESTORE = (
    "restore a backup with `nostrbot restore`"  # what to do about every damage that cannot be made good from the rest
)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA cache_size=-65536",  # 64 MiB
    "PRAGMA journal_size_limit=67108864",
)


def sqlite_url(path: Path) -> str:
    """The URL of a database file."""
    return f"{SCHEME}:///{path}"


def database_path(url: str) -> Path:
    """The database file of a URL. Raises ConfigError for a URL that is not understood."""
    return Path(_parsed(url).database or "")


@contextmanager
def damage_told() -> Iterator[None]:
    """Have it told as BooksError, and with what to do, when the file itself is damaged: trying again is in vain."""
    try:
        yield
    except DBAPIError as error:
        # An extended code has the plain one in its lowest byte.
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            raise
        raise BooksError(f"the database is damaged ({error.orig}): {RESTORE}") from None


def make_engine(url: str) -> AsyncEngine:
    """An engine for `url`, `sqlite+aiosqlite:///file`. Raises ConfigError for a URL that is not understood."""
    parsed, path = _parsed(url), database_path(url)
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent} for the database: create it")
    engine = create_async_engine(parsed.set(drivername=SCHEME))
    event.listen(engine.sync_engine, "connect", _on_connect)
    event.listen(engine.sync_engine, "begin", _on_begin)
    return engine


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("NOSTRBOT_DATABASE_URL must look like sqlite+aiosqlite:////path/to/nostrbot.sqlite") from None
    if parsed.drivername not in (SCHEME, "sqlite") or not parsed.database:
        raise ConfigError(f"NOSTRBOT_DATABASE_URL: {parsed.drivername} is not supported; use {SCHEME}:///file")
    return parsed


def _on_connect(connection: DBAPIConnection, _record: Any) -> None:
    # The driver must not begin transactions by itself: it would not for DDL, and migrations would come apart.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _on_begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")


class Driver:
    """One connection of the engine, spoken to directly: for the two places where each statement is felt.

    Every statement of an aiosqlite connection is one visit to its thread; through SQLAlchemy's async layer it is four.
    """

    def __init__(self, lease: AsyncConnection, connection: aiosqlite.Connection) -> None:
        self._lease = lease
        self.connection = connection

    @classmethod
    async def open(cls, engine: AsyncEngine) -> "Driver":
        """Take a connection out of the engine's pool."""
        lease = await engine.connect()
        connection = (await lease.get_raw_connection()).driver_connection
        assert isinstance(connection, aiosqlite.Connection), "this engine's driver is aiosqlite"
        return cls(lease, connection)

    async def close(self) -> None:
        """Give the connection back."""
        await self._lease.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """A transaction that may write from its first statement: committed at the end, or rolled back whole."""
        try:
            await self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            await self.connection.commit()
        except BaseException:  # cancelled as well
            await self.connection.rollback()
            raise
