"""Migrations: a database has the old schema or the new one, never something between, and never runs under a newer one."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command as alembic_command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from nostrbot.errors import BooksError, ConfigError
from nostrbot.store import schema as schema_module
from nostrbot.store import tables
from nostrbot.store.sqlite import make_engine, sqlite_url
from nostrbot.store.store import Store
from tests.offices import contents, office, report
from tests.peers.mortality import Death, outlives


def schema(path: Path) -> list[tuple[str, ...]]:
    """Everything the database is made of."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()


async def open_and_close(path: Path) -> None:
    """Open a database as every command does."""
    store = await Store.open(sqlite_url(path))
    await store.close()


def migrate_here(path: str) -> None:
    """The same, for a child process."""
    asyncio.run(open_and_close(Path(path)))


async def test_migrations_make_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    """A fresh database after all migrations differs in nothing from tables.py."""
    await open_and_close(tmp_path / "bot.sqlite")
    engine = make_engine(sqlite_url(tmp_path / "bot.sqlite"))

    def compare(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, tables.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(compare) == []
    await engine.dispose()


async def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    """A database that is up to date is left as it is, rows and all."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        await at.take(report(1))
    before = schema(path), contents(path)
    await open_and_close(path)
    assert (schema(path), contents(path)) == before


async def test_programs_that_start_together_migrate_once(tmp_path: Path) -> None:
    """Four open a database without tables at once: each finds it ready, none fails."""
    path = tmp_path / "bot.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        # `init` does this alone: that two do it at once is the one thing SQLite does not wait for.
        connection.execute("PRAGMA journal_mode=WAL")
    await asyncio.gather(*[open_and_close(path) for _ in range(4)])
    assert len(contents(path)["alembic_version"]) == 1


def test_a_migration_killed_anywhere_leaves_the_old_schema(tmp_path: Path) -> None:
    """Killed before its first, second, … statement the database is empty still; opened again it is whole (row 56)."""
    whole = tmp_path / "whole.sqlite"
    migrate_here(str(whole))
    deaths = 0
    for nth in range(1, 100, 3):
        path = tmp_path / f"{nth}.sqlite"
        if outlives(migrate_here, str(path), death=Death("statement", nth)):
            break
        deaths += 1
        assert schema(path) == [], f"killed at statement {nth}, something of the migration stayed"
        migrate_here(str(path))
        assert schema(path) == schema(whole)
    assert deaths > 4


async def make_first_release(path: Path) -> None:
    """A database as the first release made it, with an entry in it."""
    engine = make_engine(sqlite_url(path))

    def make(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(schema_module.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        alembic_command.upgrade(config, "0001")

    async with engine.begin() as connection:
        await connection.run_sync(make)
        await connection.exec_driver_sql("INSERT INTO book VALUES (1, 'root')")
        await connection.exec_driver_sql("INSERT INTO entry VALUES (1, 1, 1790000000, zeroblob(32), NULL, x'7b7d')")
    await engine.dispose()


async def test_an_upgrade_killed_anywhere_leaves_the_old_schema_and_every_row(tmp_path: Path) -> None:
    """From the first release's tables to today's: killed before each statement of it the database is the old one, rows and
    all, and opened again it is today's (row 56)."""
    old = tmp_path / "old.sqlite"
    await make_first_release(old)
    before, rows = schema(old), contents(old)
    deaths = 0
    for nth in range(1, 100):
        path = tmp_path / f"{nth}.sqlite"
        shutil.copy(old, path)
        if await asyncio.to_thread(outlives, migrate_here, str(path), death=Death("statement", nth)):
            break
        deaths += 1
        assert (schema(path), contents(path)) == (before, rows), f"killed at statement {nth}, something of it stayed"
        await open_and_close(path)
        added = ("checkpoint", "leg_quarter", "leg_month", "sale_quarter", "sale_month", "alembic_version")
        assert {**contents(path), "alembic_version": []} == rows | {name: [] for name in added}
    assert deaths > 2  # a table, the version, COMMIT


async def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A program never runs on a schema it does not know: one line says to upgrade, and nothing is touched."""
    path = tmp_path / "bot.sqlite"
    await open_and_close(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = schema(path)
    with pytest.raises(ConfigError, match="newer nostrbot: upgrade nostrbot"):
        await Store.open(sqlite_url(path))
    assert schema(path) == before


@pytest.mark.parametrize("rubbish", [b"this is no database " * 400, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_file_that_is_no_database_is_one_line(tmp_path: Path, rubbish: bytes) -> None:
    """Opening anything else says that a backup is to be restored, and the file is left alone (row 53)."""
    path = tmp_path / "bot.sqlite"
    path.write_bytes(rubbish)
    with pytest.raises(BooksError, match=r"the database is damaged.*restore a backup") as caught:
        await Store.open(sqlite_url(path))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == rubbish


async def test_the_newest_revision_is_alembics_head(tmp_path: Path) -> None:
    """It is read off the files, so that a database that is up to date is opened without alembic."""
    config = Config()
    config.set_main_option("script_location", str(schema_module.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema_module.newest_revision()]
    await open_and_close(tmp_path / "bot.sqlite")
    assert contents(tmp_path / "bot.sqlite")["alembic_version"] == [(schema_module.newest_revision(),)]
