"""The database connection: SQLite made durable, and transactions that begin when we say so.

What lives here: the engine. What does not: tables (tables.py) and statements (writer.py, queries.py).
WAL with synchronous=FULL: a commit that returned survives a power cut; throughput comes from batching commits.
"""

import errno
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from nostrbot.errors import BooksError, ConfigError, file_trouble

# A backup or a second reader may hold the file for a moment; past this a person should know (faults.md row 52).
BUSY_TIMEOUT_MS = 60_000
SCHEME = "sqlite+aiosqlite"
NEWER = "install the newer release that wrote it"
ALONE = "another bot writes to this database; run one only"  # what to do about every fence that was hit
RESTORE = (
    "restore a backup with `nostrbot restore`"  # what to do about every damage that cannot be made good from the rest
)
_ADVICE = {
    sqlite3.SQLITE_CANTOPEN: "choose a shorter path",  # all other reasons were looked for before
    sqlite3.SQLITE_READONLY: "choose a place that can be written to",
    sqlite3.SQLITE_FULL: "make room there",
    sqlite3.SQLITE_IOERR: "look at the disk, and whether there is room",
    sqlite3.SQLITE_BUSY: "another program holds it: stop that one first",
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    "PRAGMA cache_size=-65536",  # 64 MiB
    "PRAGMA journal_size_limit=67108864",
)


def sqlite_url(path: Path) -> str:
    """Return the URL of a database file. Any path fits: characters with a meaning in a URL (`%`, `?`, `#`) are
    escaped.
    """
    return f"{SCHEME}:///{quote(os.fsencode(path))}"


def database_path(url: str) -> Path:
    """Return the database file of a URL. Raises ConfigError for a URL that is not understood."""
    return Path(_parsed(url).database or "").absolute()


def connect_plainly(path: Path) -> sqlite3.Connection:
    """Open a connection without the engine, in no transaction.

    By its absolute path: SQLite may have been built to take a name that begins with `file:` for a URI.
    """
    return sqlite3.connect(path.absolute(), isolation_level=None)


@contextmanager
def damage_told() -> Iterator[None]:
    """Raise driver errors as BooksError, with what to do, if the file itself is damaged: trying again cannot help."""
    try:
        yield
    except DBAPIError as error:
        if _code(error.orig) not in _DAMAGED:
            raise
        raise BooksError(f"the database is damaged ({error.orig}): {RESTORE}") from None


def require_opening(path: Path) -> None:
    """Open a database once and read from it, for what may be wrong then: the pool's threads would outlive such an
    error.

    Raises ConfigError for what a person must change, BooksError when the file is damaged.
    """
    try:
        with closing(connect_plainly(path)) as connection:
            for statement in (*_PRAGMAS, "SELECT count(*) FROM sqlite_schema"):
                connection.execute(statement).fetchall()
    except sqlite3.Error as error:
        if _code(error) in _DAMAGED:
            raise BooksError(f"the database is damaged ({error}): {RESTORE}") from None
        raise ConfigError(opening_trouble(path, error)) from None


def _code(error: BaseException | None) -> int:
    """Return SQLite's code: an extended one has the plain one in its lowest byte."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def opening_trouble(path: Path, error: BaseException | None) -> str:
    """Say why a database cannot be opened, and what to change: SQLite itself says only that it cannot."""
    try:
        # SQLite makes files beside the database, so its folder must be writable as well.
        for place, mode in ((path.parent, os.R_OK | os.W_OK | os.X_OK), (path, os.R_OK | os.W_OK)):
            if place.exists() and not os.access(place, mode, effective_ids=os.access in os.supports_effective_ids):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as trouble:
        return f"the database {path} cannot be opened: {file_trouble(trouble)}"
    advice = _ADVICE.get(_code(error))
    return f"the database {path} cannot be opened: {error}{f': {advice}' if advice else ''}"


def make_engine(url: str) -> AsyncEngine:
    """Make an engine for `url`, `sqlite+aiosqlite:///file`. Raises ConfigError for a URL that is not understood."""
    parsed, path = _parsed(url), database_path(url)
    try:
        is_there = path.parent.is_dir()
    except OSError as error:
        raise ConfigError(f"the database {path} cannot be reached: {file_trouble(error)}") from None
    if not is_there:
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
    if parsed.drivername not in (SCHEME, "sqlite") or parsed.database in (None, "", ":memory:"):
        raise ConfigError(f"NOSTRBOT_DATABASE_URL: {parsed.drivername} is not supported; use {SCHEME}:///file")
    if parsed.query or parsed.host:
        raise ConfigError("NOSTRBOT_DATABASE_URL names a file only: write %3F for a ? in its name, and three slashes")
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
        """Open a transaction that may write from its first statement: committed at the end, or rolled back whole."""
        try:
            await self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection
            await self.connection.commit()
        except BaseException:  # cancelled as well
            await self.connection.rollback()
            raise
