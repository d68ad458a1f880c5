"""A SQLite driver that fails when it is told to, below everything of ours."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Faults:
    """What the driver was asked, and at which statement from now on (the first is 1) it reports a disk error."""

    fail_at: int | None = None
    statements: list[str] = field(default_factory=list)

    def expect(self, fail_at: int | None) -> None:
        """Begin to count anew."""
        self.fail_at = fail_at
        self.statements.clear()

    def note(self, sql: str) -> None:
        self.statements.append(sql)
        if len(self.statements) == self.fail_at:
            raise sqlite3.OperationalError("disk I/O error")


@contextmanager
def faulty_driver(patches: pytest.MonkeyPatch) -> Iterator[Faults]:
    """Every connection opened within fails as `Faults` says."""
    faults = Faults()
    connect = sqlite3.connect

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            faults.note(sql)
            return super().execute(sql, *rest)

        def executemany(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            faults.note(sql)
            return super().executemany(sql, *rest)

    class Connection(sqlite3.Connection):
        def cursor(self, *_: Any) -> sqlite3.Cursor:
            return super().cursor(Cursor)

        # The C code of these two makes a plain cursor of its own.
        def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            return self.cursor().execute(sql, *rest)

        def executemany(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            return self.cursor().executemany(sql, *rest)

        def commit(self) -> None:
            faults.note("COMMIT")
            super().commit()

    with patches.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Connection, **options))
        yield faults
