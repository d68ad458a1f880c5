"""Backup and restoration: what is restored is what was kept, or nothing is."""

import asyncio
import os
import signal
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from nostrbot.backup import restoration
from nostrbot.errors import BackupError, BooksError, ConfigError
from nostrbot.home.config import Home
from nostrbot.home.keyfile import write_key_file
from nostrbot.nostr.keys import Keys
from tests.backup.homes import backed_up, files, restored, sold_home
from tests.offices import BOT, OPERATOR, PLATFORM, contents, office, report
from tests.peers import mortality


async def test_a_restored_home_is_the_home_that_was_kept(tmp_path: Path) -> None:
    """Every row of the database, the key, the platform, relays.yaml; nobody else may read any of it."""
    home, again = await sold_home(tmp_path / "home"), Home(tmp_path / "again")
    manifest = await backed_up(home, tmp_path / "b.backup")
    assert [(book.key, book.entries) for book in manifest.books] == [("root", 2), (OPERATOR.pubkey, 14)]
    assert await restored(tmp_path / "b.backup", again) == {}
    assert contents(again.database_file) == contents(home.database_file)
    assert files(again.path / "keys") == files(home.path / "keys")
    assert again.relays_file.read_bytes() == home.relays_file.read_bytes()
    for path in (tmp_path / "b.backup", again.database_file, again.key_file, again.relays_file):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    assert sorted(path.name for path in again.path.iterdir()) == ["keys", "nostrbot.sqlite", "relays.yaml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "b.backup", "home"]


async def test_a_home_without_books_is_kept_too(tmp_path: Path) -> None:
    """After `init`."""
    home = await sold_home(tmp_path / "home", sales=0)
    with closing(sqlite3.connect(home.database_file)) as connection, connection:
        for table in ("entry", "book", "outbox", "balance", "answered", "settlement"):
            connection.execute(f"DELETE FROM {table}")
    assert (await backed_up(home, tmp_path / "b.backup")).books == []
    assert await restored(tmp_path / "b.backup", Home(tmp_path / "again")) == {}


async def test_a_backup_is_never_overwritten_and_never_half_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is taken is refused; where packing fails there is no file and nothing beside it."""
    home = await sold_home(tmp_path / "home")
    (tmp_path / "b.backup").write_bytes(b"yesterday's")
    with pytest.raises(ConfigError, match="exists and is not overwritten"):
        await backed_up(home, tmp_path / "b.backup")
    assert (tmp_path / "b.backup").read_bytes() == b"yesterday's"
    home.relays_file.unlink()
    with pytest.raises(ConfigError, match=r"relays\.yaml cannot be read: No such file"):
        await backed_up(home, tmp_path / "c.backup")
    with pytest.raises(ConfigError, match="cannot be written"):
        await backed_up(home, tmp_path / "nowhere" / "c.backup")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.backup", "home"]


async def test_a_damaged_journal_is_not_backed_up(tmp_path: Path) -> None:
    """It would be taken for a good backup."""
    home = await sold_home(tmp_path / "home")
    with closing(sqlite3.connect(home.database_file)) as connection, connection:
        connection.execute("UPDATE entry SET body = substr(body, 2) WHERE book = 2 AND seq = 5")
    with pytest.raises(BooksError, match="damaged at entry 5"):
        await backed_up(home, tmp_path / "b.backup")
    assert not (tmp_path / "b.backup").exists()


async def test_without_the_key_it_is_for_a_home_that_has_it(tmp_path: Path) -> None:
    """Refused, with what to do, where there is no key; a home with the key keeps it, and its relays.yaml."""
    home, again = await sold_home(tmp_path / "home"), Home(tmp_path / "again")
    await backed_up(home, tmp_path / "b.backup", with_key=False)
    assert BOT.nsec().encode() not in (tmp_path / "b.backup").read_bytes()
    with pytest.raises(ConfigError, match=f"without its key: put the key file of {BOT.npub} at .*bot.nsec, mode 0600"):
        await restored(tmp_path / "b.backup", again)
    assert files(again.path) == {}
    again.key_file.parent.mkdir()
    write_key_file(again.key_file, BOT, None)
    again.relays_file.write_text("relays:\n  - url: ws://127.0.0.1:7\n")
    assert await restored(tmp_path / "b.backup", again) == {}
    assert again.relays_file.read_text() == "relays:\n  - url: ws://127.0.0.1:7\n"
    assert again.platform() == PLATFORM.pubkey


async def test_a_home_that_cannot_take_it_is_left_as_it_was(tmp_path: Path) -> None:
    """A database, what SQLite left of one, another bot's key, another platform: each refused, and nothing is touched."""
    home = await sold_home(tmp_path / "home")
    await backed_up(home, tmp_path / "b.backup")

    async def assert_refused(place: Home, complaint: str) -> None:
        before = files(place.path)
        with pytest.raises(ConfigError, match=complaint):
            await restored(tmp_path / "b.backup", place)
        assert files(place.path) == before

    await assert_refused(home, "nostrbot.sqlite exists and is not overwritten")
    left = Home(tmp_path / "left")
    left.path.mkdir()
    (left.path / "nostrbot.sqlite-wal").write_bytes(b"of another database")
    await assert_refused(left, "nostrbot.sqlite-wal exists")
    other = Home(tmp_path / "other")
    other.key_file.parent.mkdir(parents=True)
    write_key_file(other.key_file, Keys.from_secret("b1" * 32), None)
    await assert_refused(other, "has the key of a bot other than")
    elsewhere = Home(tmp_path / "elsewhere")
    elsewhere.key_file.parent.mkdir(parents=True)
    elsewhere.write_platform(BOT.pubkey)
    await assert_refused(elsewhere, "names another platform")


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("UPDATE entry SET body = replace(body, 'GTQ', 'USD') WHERE book = 2 AND seq = 5", "damaged at entry 5"),
        ("DELETE FROM entry WHERE book = 2 AND seq = 14", "its books do not end where its manifest says"),
        ("UPDATE entry SET body = CAST(replace(body, '107770', '107771') AS BLOB) WHERE book = 2 AND seq = 12", "entry 12"),
        ("CREATE TRIGGER t AFTER INSERT ON leg BEGIN DELETE FROM entry; END", "was not made by a bot"),
        ("UPDATE alembic_version SET version_num = '9999'", "newer nostrbot"),
        ("DROP TABLE entry", "no such table"),
    ],
)  # fmt: skip
async def test_a_backup_whose_database_is_not_what_it_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql: str, complaint: str
) -> None:
    """Whoever wrote the file could hash it: every chain is proven before there is a database."""
    home, again = await sold_home(tmp_path / "home"), Home(tmp_path / "again")
    await backed_up(home, tmp_path / "b.backup")
    unpack = restoration._unpack

    def unpack_and_change(backup: object, database: Path, *rest: object) -> None:
        unpack(backup, database, *rest)  # type: ignore[arg-type]
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(sql)

    monkeypatch.setattr(restoration, "_unpack", unpack_and_change)
    with pytest.raises(BackupError, match=complaint):
        await restored(tmp_path / "b.backup", again)
    assert files(again.path) == {}


async def test_projections_that_differ_are_derived_anew(tmp_path: Path) -> None:
    """The chain is what counts: a backup with a spoilt table gives a sound home, and it is told."""
    home, again = await sold_home(tmp_path / "home"), Home(tmp_path / "again")
    whole = contents(home.database_file)
    with closing(sqlite3.connect(home.database_file)) as connection, connection:
        connection.execute("DELETE FROM leg WHERE number = 1")
    await backed_up(home, tmp_path / "b.backup")
    assert await restored(tmp_path / "b.backup", again) == {"leg": 1}
    assert contents(again.database_file) == whole


def restore_and_die(file: str, home: str, moment: str) -> None:
    """For a child process: killed at a moment of the restoration."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    owner, name = {
        "unpacked": (restoration, "_require_key_of"),
        "proven": (restoration, "_sync"),
        "key written": (Path, "rename"),
    }[moment]
    rename = Path.rename

    def die_with_the_database(path: Path, target: Path) -> Path:
        if path.name == "nostrbot.sqlite":
            die()
        return rename(path, target)

    setattr(owner, name, die_with_the_database if moment == "key written" else die)
    asyncio.run(restored(Path(file), Home(Path(home))))


@pytest.mark.parametrize("moment", ["unpacked", "proven", "key written"])
async def test_a_restoration_that_is_killed_leaves_no_database_and_works_again(tmp_path: Path, moment: str) -> None:
    """The database comes last and whole; whatever else is there by then is what the next restoration would write."""
    home, again = await sold_home(tmp_path / "home"), Home(tmp_path / "again")
    await backed_up(home, tmp_path / "b.backup")
    child = mortality.start(restore_and_die, str(tmp_path / "b.backup"), str(again.path), moment)
    await asyncio.to_thread(child.join, 20)
    assert child.exitcode == -signal.SIGKILL
    assert not again.database_file.exists()
    assert await restored(tmp_path / "b.backup", again) == {}
    assert contents(again.database_file) == contents(home.database_file)
    assert sorted(path.name for path in again.path.iterdir()) == ["keys", "nostrbot.sqlite", "relays.yaml"]


async def test_after_a_restoration_work_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was settled before the backup is a duplicate, what came after it is settled when it comes again (row 55)."""
    home, again = await sold_home(tmp_path / "home"), Home(tmp_path / "again")
    await backed_up(home, tmp_path / "b.backup")
    events = [report(n) for n in range(1, 6)]
    async with office(home.database_file) as at:
        await at.take(*events[3:])
        head, balances = at.head, dict(at.book.balances.items())
    await restored(tmp_path / "b.backup", again)
    async with office(again.database_file) as at:
        assert at.bookkeeper.closed_books == {}
        await at.take(*events)
        assert at.book.settlement_count == 5
        assert (at.head, dict(at.book.balances.items())) == (head, balances)
