"""Processes that kill themselves with SIGKILL at an exact point: no warning, no clean-up, as when the power goes.

What lives here: the points, and running a function in a child that dies at one. What does not: what the child does, and
what must be true afterwards (the tests). The product knows nothing of it: the points are wrapped around it from outside.

Children come from a fork server that has imported everything once, so a death costs milliseconds and no thread of the
tests is ever forked.
"""

import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from typing import Any, Literal

from nostrbot.relays.pool import Pool
from nostrbot.relays.publication import Publication
from nostrbot.store.writer import Writer

Point = Literal[
    "statement",  # before the n-th statement SQLite runs on a connection that has begun to write, COMMIT included
    "commit",  # before the n-th commit of entries
    "COMMIT",  # when all rows of the n-th commit of entries are written, and nothing is kept yet
    "committed",  # after it, before anything is said
    "publish",  # before the n-th message is handed to the relays
    "accepted",  # after a relay accepted the n-th message, before that is noted
]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["nostrbot.bot", "tests.offices"])


@dataclass(frozen=True)
class Death:
    """The n-th time a point is reached is the last."""

    point: Point
    nth: int


def _die_at(nth: int) -> Callable[[], None]:
    passed = 0

    def pass_by() -> None:
        nonlocal passed
        passed += 1
        if passed == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return pass_by


def _wrap_statements(pass_by: Callable[[], None], *, commits_only: bool) -> None:
    """Have `pass_by` called before each statement that SQLite itself runs once it writes to the journal."""
    connect = sqlite3.connect

    def watched(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        writing = False

        def trace(sql: str) -> None:
            nonlocal writing
            first = sql.lstrip("- ").split(maxsplit=1)[0].upper()
            if first in ("BEGIN", "ROLLBACK"):
                writing = False
            else:
                writing = writing or first in ("INSERT", "UPDATE", "DELETE", "CREATE")
                if writing and (first == "COMMIT" or not commits_only):
                    pass_by()

        connection.set_trace_callback(trace)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]


def arrange(death: Death) -> None:
    """Make this process die so. For child processes only."""
    pass_by = _die_at(death.nth)
    commit, submit, accept = Writer.commit, Pool.submit, Publication.accept

    async def dying_commit(self: Writer, batch: Any) -> None:
        if batch.entries and death.point == "commit":
            pass_by()
        await commit(self, batch)
        if batch.entries and death.point == "committed":
            pass_by()

    def dying_submit(self: Pool, event: Any, *, is_vital: bool = True) -> Publication:
        if death.point == "publish":
            pass_by()
        return submit(self, event, is_vital=is_vital)

    def dying_accept(self: Publication, url: str) -> None:
        accept(self, url)
        if death.point == "accepted":
            pass_by()

    if death.point in ("statement", "COMMIT"):
        _wrap_statements(pass_by, commits_only=death.point == "COMMIT")
    Writer.commit, Pool.submit, Publication.accept = dying_commit, dying_submit, dying_accept  # type: ignore


def _live(death: Death | None, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    if death is not None:
        arrange(death)
    work(*arguments)


def start(work: Callable[..., None], *arguments: Any, death: Death | None = None) -> ForkServerProcess:
    """Run `work` in a child that dies so, or lives to its end."""
    process = _context.Process(target=_live, args=(death, work, arguments), daemon=True)
    process.start()
    return process


def outlives(work: Callable[..., None], *arguments: Any, death: Death, timeout_s: float = 20.0) -> bool:
    """Whether `work` came to its end in a child before its death did."""
    process = start(work, *arguments, death=death)
    process.join(timeout_s)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"the child was neither dead nor done after {timeout_s:g} s")
    assert process.exitcode in (0, -signal.SIGKILL), f"the child ended with {process.exitcode}"
    return process.exitcode == 0
