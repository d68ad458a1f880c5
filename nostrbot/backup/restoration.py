"""The restoration: a backup made into a bot again, once every chain in it is proven.

What lives here: what a home must be like, proving, and putting into place. What does not: the file's form
(container.py), and proving one trail (audit/). All happens in a folder beside the database's place. The database comes
to its place last, by a renaming. A restoration that is killed before that leaves the home without a database, as it
was, and can be made again.
"""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from nostrbot.audit.verification import verify_trail
from nostrbot.backup.container import Backup, Progress
from nostrbot.backup.manifest import BYTES_MAX, DATABASE, KEY, PLATFORM, RELAYS, BookHead, Manifest
from nostrbot.errors import BackupError, BooksError, ConfigError, TrailError, file_trouble
from nostrbot.exports.trail import export_trail
from nostrbot.home.config import Home
from nostrbot.home.keyfile import read_key_file, sync_directory
from nostrbot.nostr.keys import npub
from nostrbot.store.integrity import check_journal
from nostrbot.store.rebuilding import rebuild
from nostrbot.store.sqlite import connect_plainly, database_path, sqlite_url
from nostrbot.store.store import Store
from nostrbot.store.workplace import workplace

LINES_AT_ONCE = 500
_BESIDE = ("", "-wal", "-shm", "-journal")  # what SQLite keeps beside a database belongs to that one and to no other


async def restore(backup: Backup, home: Home, *, passphrase: str | None, progress: Progress) -> dict[str, int]:
    """Make `home` the backup's bot; returns how many rows had to be derived again, by table.

    A home that has the key keeps its key file and its relays.yaml. Nothing that is there is overwritten. The caller
    holds the home's lock. Raises ConfigError for a home that cannot take it, BackupError for a backup that is not what
    it says.
    """
    target = database_path(home.database_url())
    _require_place(home, target, backup.manifest, passphrase)
    small: dict[str, BytesIO] = {
        member.name: BytesIO() for member in backup.manifest.members if member.name in BYTES_MAX
    }
    try:
        with workplace(target.parent) as folder:
            database = folder / DATABASE
            await asyncio.to_thread(_unpack, backup, database, small, progress)
            _require_key_of(backup.manifest, folder / "bot.nsec", small.get(KEY), passphrase)
            differed = await _prove(database, backup.manifest, progress)
            _sync(database)
            _keep_or_write(home.relays_file, small[RELAYS])
            _keep_or_write(home.platform_file, small[PLATFORM])
            if KEY in small:
                _keep_or_write(home.key_file, small[KEY])
            database.rename(target)
            sync_directory(target.parent)
    except OSError as error:
        raise ConfigError(f"{home.path} cannot be restored into: {file_trouble(error)}") from None
    return differed


def _require_place(home: Home, target: Path, manifest: Manifest, passphrase: str | None) -> None:
    """Raise ConfigError unless there is room for this bot here, and nothing in its way."""
    if not target.parent.is_dir():
        raise ConfigError(f"there is no folder {target.parent} for the database: create it")
    for path in (target.with_name(target.name + ending) for ending in _BESIDE):
        if path.exists():
            raise ConfigError(f"{path} exists and is not overwritten: move it away first, with what lies beside it")
    if home.key_file.exists():
        if read_key_file(home.key_file, passphrase).pubkey != manifest.bot:
            raise ConfigError(
                f"{home.path} has the key of a bot other than {npub(manifest.bot)}: choose another --home"
            )
    elif not manifest.has_key:
        raise ConfigError(
            f"the backup was made without its key: put the key file of {npub(manifest.bot)} at {home.key_file},"
            " mode 0600, then restore again"
        )
    if home.platform_file.exists() and home.platform() != manifest.platform:
        raise ConfigError(f"{home.platform_file} names another platform than the backup: choose another --home")
    wanted = 2 * manifest.members[0].size  # what is derived to compare it lies beside for a while
    if shutil.disk_usage(target.parent).free < wanted:
        raise ConfigError(
            f"restoring takes {wanted // 1_000_000 + 1} MB in {target.parent}: the disk has less room than that"
        )


def _unpack(backup: Backup, database: Path, small: dict[str, BytesIO], progress: Progress) -> None:
    with os.fdopen(os.open(database, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        backup.unpack({DATABASE: file, **small}, progress)


def _require_key_of(manifest: Manifest, scratch: Path, content: BytesIO | None, passphrase: str | None) -> None:
    """Raise BackupError if the key in a backup is not that of its bot."""
    if content is not None:
        _keep_or_write(scratch, content)
        if read_key_file(scratch, passphrase).pubkey != manifest.bot:
            raise BackupError("the key in it is another bot's")
        scratch.unlink()


async def _prove(database: Path, manifest: Manifest, progress: Progress) -> dict[str, int]:
    """Prove every chain and put every projection right; returns how many rows differed. Raises BackupError."""
    try:
        await asyncio.to_thread(_require_tables_only, database)
        store = await Store.open(sqlite_url(database))
    except (BooksError, ConfigError, sqlite3.Error) as error:
        raise BackupError(f"its database: {error}") from None
    try:
        await asyncio.to_thread(check_journal, database)
        heads = [BookHead(key=key, entries=entries, head=head) for key, entries, head, _ in await store.queries.heads()]
        if heads != manifest.books:
            raise BackupError("its books do not end where its manifest says")
        for head in heads:
            await _verify(store, manifest, head, progress)
        total = sum(head.entries for head in heads)
        differed = await rebuild(
            store, manifest.bot, manifest.platform, progress=lambda done: progress("comparing", done, total)
        )
        live = await store.load_books(manifest.bot, manifest.platform)
        await store.examine(live)
        flaws = [one.flaw for one in live.values() if one.flaw is not None]
        if flaws:
            raise BackupError(flaws[0])
    except (BooksError, DBAPIError, sqlite3.Error) as error:
        raise BackupError(f"its database: {error}") from None
    finally:
        await store.close()
    return differed


def _require_tables_only(database: Path) -> None:
    """Raise BackupError for a database with triggers or views: no bot makes such a database."""
    with closing(connect_plainly(database)) as connection:
        sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type NOT IN ('table', 'index'))"
        if connection.execute(sql).fetchone() != (0,):
            raise BackupError("its database was not made by a bot")


async def _verify(store: Store, manifest: Manifest, head: BookHead, progress: Progress) -> None:
    """Verify one book's trail as an auditor does. Raises BackupError."""
    loop = asyncio.get_running_loop()
    lines = export_trail(store.queries, manifest.bot, head.key)

    def pulled() -> Iterator[bytes]:
        while page := asyncio.run_coroutine_threadsafe(_page(lines), loop).result():
            yield from page

    def tell(done: int) -> None:
        progress("verifying", done, head.entries)

    try:
        summary = await asyncio.to_thread(verify_trail, pulled(), bot=manifest.bot, progress=tell)
    except TrailError as error:
        raise BackupError(f"the trail of book {head.key} does not verify: {error}") from None
    finally:
        await lines.aclose()
    if summary.platform != manifest.platform:
        raise BackupError(f"book {head.key} belongs to another platform than its manifest says")


async def _page(lines: AsyncGenerator[bytes, None]) -> list[bytes]:
    page = []
    async for line in lines:
        page.append(line)
        if len(page) == LINES_AT_ONCE:
            break
    return page


def _keep_or_write(path: Path, content: BytesIO) -> None:
    """Write a file that only its owner can read, on disk when this returns, unless there is one."""
    if path.exists():
        return
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700)
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.getvalue())
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    sync_directory(path.parent)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
