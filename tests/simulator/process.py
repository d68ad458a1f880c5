"""A process and its disk: what dies, and what is left when it does.

What lives here: statements counted, spoilt or never reached; SQLite asked at once instead of in a thread; the disk of one
process. What does not: the process's network (wire.py) and what runs in it (node.py).

The driver below is the bot's own, aiosqlite, without its threads. A kill closes the files as the kernel would: what was
not committed is gone, and whatever the dead still try comes to nothing.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from random import Random
from typing import Any

import aiosqlite.core
import pytest

LOCKED_MAX_S = 60.0  # as long as the bot's own connections wait (store/sqlite.py)
LOCK_RETRY_S = 0.2
# What SQLite is told for the sake of a power cut, or of another thread: here are neither.
_PRAGMAS = {"PRAGMA synchronous=FULL": "PRAGMA synchronous=OFF", "PRAGMA busy_timeout=60000": "PRAGMA busy_timeout=0"}
_WRITING = ("INSERT", "UPDATE", "DELETE", "COMMIT")


class Killed(BaseException):
    """This process is no more."""


class Process:
    """One run of the bot, from its start to its end. `tell` notes what happens in the world's trace.

    Attributes:
        computer: where it runs; one bot after the other does.
        kill_in: so many statements from now it dies, before the statement; kill_after: a COMMIT that it dies after.
        fail_in, fail_count: so many statements from now, so many of them fail.
        full_until: moment (of the loop) until which nothing can be written.
        breath: how often a statement lets others go first.
    """

    def __init__(
        self, computer: str, run: int, path: Path, rng: Random, tell: Callable[[str], None], *, breath: float
    ) -> None:
        self.computer = computer
        self.name = f"{computer}{run}"
        self.path = path
        self.alive = True
        self.kill_in: int | None = None
        self.kill_after: int | None = None
        self.fail_in: int | None = None
        self.fail_count = 0
        self.full_until = 0.0
        self.had_trouble = False
        self.is_with_another = False  # another bot writes the same file
        self._rng = rng
        self._tell = tell
        self._breath = breath
        self._open: list[Any] = []
        self._when_dead: list[Callable[[], None]] = []

    def opened(self, connection: Any) -> None:
        """One more connection, to be closed by whoever dies."""
        self._open.append(connection)

    def when_dead(self, tell: Callable[[], None]) -> None:
        """Have `tell` called at the end."""
        self._when_dead.append(tell)

    def die(self, why: str) -> None:
        """The kernel cleans up; nothing of ours does."""
        if not self.alive:
            return
        self.alive = False
        self._tell(f"{self.name} ends: {why}")
        for connection in self._open:
            if connection._connection is not None:
                connection._connection.close()
                connection._connection = None
                connection._running = False
        for tell in self._when_dead:
            tell()

    def live(self) -> None:
        """Raises Killed in the dead."""
        if not self.alive:
            raise Killed

    async def breathe(self) -> None:
        """Perhaps others go first."""
        if self._breath and self._rng.random() < self._breath:
            await asyncio.sleep(self._rng.choice((0, 0, 0.001, 0.02)))

    def before(self, sql: str, now: float) -> None:
        """A statement is about to run: perhaps it does not."""
        self.live()
        if self.kill_in is not None:
            self.kill_in -= 1
            if self.kill_in <= 0:
                self.die(f"killed before {sql[:30]!r}")
                raise Killed
        if sql == "ROLLBACK":
            return  # it needs no disk
        if self.fail_in is not None:
            self.fail_in -= 1
            if self.fail_in <= 0:
                self.fail_count -= 1
                if self.fail_count <= 0:
                    self.fail_in = None
                self.had_trouble = True
                self._tell(f"{self.name}: I/O error at {sql[:30]!r}")
                raise sqlite3.OperationalError("disk I/O error")
        if now < self.full_until and sql.startswith(_WRITING):
            self.had_trouble = True
            self._tell(f"{self.name}: full at {sql[:30]!r}")
            raise sqlite3.OperationalError("database or disk is full")

    def after_commit(self) -> None:
        """A transaction is kept."""
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after <= 0:
                self.die("killed after COMMIT")
                raise Killed


current: ContextVar[Process] = ContextVar("current")


def _statement(function: Any, arguments: tuple[Any, ...]) -> str | None:
    match getattr(function, "__name__", ""):
        case "execute" | "executemany" | "_execute_fetchall":
            return str(arguments[0])
        case "commit":
            return "COMMIT"
        case "rollback":
            return "ROLLBACK"
    return None


class _AtOnce:
    """The queue to a connection's thread, without the thread."""

    def put_nowait(self, job: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, function = job
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - it is for whoever waits
            assert future is not None
            future.set_exception(error)
        else:
            if future is not None:
                future.set_result(result)


class _NoThread:
    daemon = True

    def start(self) -> None:
        """There is none."""


_execute_beside = aiosqlite.core.Connection._execute


async def _execute(self: Any, function: Any, *arguments: Any, **named: Any) -> Any:
    process: Process | None = self.process
    if process is None:
        return await _execute_beside(self, function, *arguments, **named)
    process.live()
    sql = _statement(function, arguments)
    if sql is None:
        return function(*arguments, **named)
    if sql in _PRAGMAS:
        arguments = (_PRAGMAS[sql], *arguments[1:])
    await process.breathe()
    loop = asyncio.get_running_loop()
    given_up_at = loop.time() + LOCKED_MAX_S
    while True:
        process.before(sql, loop.time())
        was_writing = sql == "COMMIT" and self._connection.in_transaction
        try:
            result = function(*arguments, **named)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or loop.time() >= given_up_at:
                process.had_trouble = True
                raise
        else:
            if was_writing:
                process.after_commit()
            return result
        await asyncio.sleep(LOCK_RETRY_S)


@contextmanager
def without_threads(patches: pytest.MonkeyPatch) -> Iterator[None]:
    """Every connection that aiosqlite opens within a process belongs to it and answers at once. Others are as always."""
    make = aiosqlite.core.Connection.__init__

    def init(self: Any, connector: Any, iter_chunk_size: int, loop: Any = None) -> None:
        process = self.process = current.get(None)
        if process is None:
            make(self, connector, iter_chunk_size)
            return

        def connect() -> sqlite3.Connection:
            process.live()
            process.opened(self)
            return sqlite3.connect(process.path, isolation_level=None)

        make(self, connect, iter_chunk_size)
        self._tx, self._thread = _AtOnce(), _NoThread()

    def living(self: Any) -> sqlite3.Connection:
        if self.process is not None:
            self.process.live()
        return make_sure(self)

    make_sure = aiosqlite.core.Connection._conn.fget
    with patches.context() as patch:
        patch.setattr(aiosqlite.core.Connection, "__init__", init)
        patch.setattr(aiosqlite.core.Connection, "_conn", property(living))
        patch.setattr(aiosqlite.core.Connection, "_execute", _execute)
        yield
