"""The connection: durable on every one of them, patient when the file is busy, loud when the disk is full."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from nostrbot.errors import ConfigError
from nostrbot.store import sqlite as database
from nostrbot.store.sqlite import make_engine, sqlite_url
from tests.offices import contents, office, report

PATIENCE_MS = 200  # instead of a minute


async def test_every_connection_is_durable(tmp_path: Path) -> None:
    """WAL with synchronous=FULL (2) and a minute of patience, on each connection of the pool and not only the first."""
    engine = make_engine(sqlite_url(tmp_path / "bot.sqlite"))
    async with AsyncExitStack() as stack:
        for _ in range(4):
            connection = await stack.enter_async_context(engine.connect())
            asked = ("journal_mode", "synchronous", "busy_timeout")
            said = [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in asked]
            assert said == ["wal", 2, 60_000]
    await engine.dispose()


async def test_a_transaction_begins_when_we_say_so(tmp_path: Path) -> None:
    """Even CREATE TABLE is rolled back: the driver begins and commits nothing by itself."""
    engine = make_engine(sqlite_url(tmp_path / "bot.sqlite"))
    async with engine.connect() as connection:
        transaction = await connection.begin()
        await connection.exec_driver_sql("CREATE TABLE half (made INTEGER)")
        await transaction.rollback()
    await engine.dispose()
    assert contents(tmp_path / "bot.sqlite") == {}


async def test_a_busy_database_is_waited_for(tmp_path: Path) -> None:
    """Somebody else holds the lock for a moment: the commit waits and succeeds (faults.md row 52)."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        with closing(sqlite3.connect(path, check_same_thread=False, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            committing = asyncio.create_task(at.take(report(1)))
            # Reading goes on meanwhile: WAL readers do not wait for writers.
            assert len(await at.store.queries.heads()) == 2
            assert not committing.done()
            other.execute("ROLLBACK")
            await committing
        assert len(contents(path)["settlement"]) == 1


async def test_a_lock_that_stays_is_a_visible_error_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past its patience the commit fails loudly; when the lock is gone the same event goes through (row 52)."""
    monkeypatch.setattr(database, "_PRAGMAS", (*database._PRAGMAS, f"PRAGMA busy_timeout={PATIENCE_MS}"))
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        event = report(1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OperationalError, match="locked"):
                await at.take(event)
            other.execute("ROLLBACK")
        await at.reload()
        assert at.book.settlement_count == 0
        await at.take(event)
        assert at.book.settlement_count == 1


async def test_a_full_disk_keeps_no_half_entry_and_work_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no page can be added the commit fails and nothing of it stays; with room again it succeeds (row 51)."""
    path = tmp_path / "bot.sqlite"
    async with office(path):
        pass
    with closing(sqlite3.connect(path)) as other:
        (pages,) = other.execute("PRAGMA page_count").fetchone()
    full = (*database._PRAGMAS, f"PRAGMA max_page_count={pages}")
    before = contents(path)
    events = [report(n) for n in range(1, 101)]
    with monkeypatch.context() as patch:
        patch.setattr(database, "_PRAGMAS", full)
        async with office(path) as at:
            with pytest.raises(OperationalError, match="full"):
                await at.take(*events)
            assert contents(path) == before
            await at.reload()
            assert at.book.settlement_count == 0
    async with office(path) as at:
        await at.take(*events)
    assert len(contents(path)["settlement"]) == 100


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "must look like sqlite"),
        ("not a url", "must look like sqlite"),
        ("postgresql://bot@localhost/bot", "postgresql is not supported"),
        ("sqlite+aiosqlite://", "not supported"),
        ("sqlite+aiosqlite:////nowhere/at/all/bot.sqlite", "there is no folder /nowhere/at/all"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_line_that_says_why(url: str, complaint: str) -> None:
    """NOSTRBOT_DATABASE_URL, wrong in each way."""
    with pytest.raises(ConfigError, match=complaint) as caught:
        make_engine(url)
    assert "\n" not in str(caught.value)


async def test_plain_sqlite_urls_are_understood(tmp_path: Path) -> None:
    """sqlite:///file means the same as sqlite+aiosqlite:///file."""
    engine = make_engine(f"sqlite:///{tmp_path / 'bot.sqlite'}")
    async with engine.connect() as connection:
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one() == "wal"
    await engine.dispose()
