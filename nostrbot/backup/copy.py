"""The copy: a backup of a bot, made while it runs.

What lives here: a consistent copy of the database, and the file it is packed into. What does not: the file's form
(container.py). The copy is one moment's: SQLite copies pages under one read transaction, and the bot goes on writing
beside.
"""

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from nostrbot.backup.container import Progress, write_backup
from nostrbot.backup.manifest import DATABASE, KEY, PLATFORM, RELAYS, BookHead, Manifest, Member
from nostrbot.errors import ConfigError, file_trouble
from nostrbot.home.config import Home
from nostrbot.home.keyfile import sync_directory
from nostrbot.store.integrity import check_journal
from nostrbot.store.sqlite import connect_plainly, sqlite_url
from nostrbot.store.store import Store
from nostrbot.store.workplace import workplace

PAGES_AT_ONCE = 2_048  # 8 MiB, then it is told how far it has come


async def back_up(
    home: Home, file: Path, *, bot: str, platform: str, with_key: bool, now: int, progress: Progress
) -> Manifest:
    """Write a backup to `file`, whole or not at all; returns what it holds. `bot`, `platform`: keys (hex); `now`: unix
    seconds.

    Raises ConfigError if that file exists or cannot be written, BooksError when the journal is damaged: a backup of
    such a one would be taken for a good one.
    """
    _require_free(file)
    try:
        with workplace(file.parent) as folder:
            copied = folder / DATABASE
            heads = await _copy(home.database_url(), copied, progress)
            sources = {DATABASE: copied, RELAYS: home.relays_file, PLATFORM: home.platform_file}
            if with_key:
                sources[KEY] = home.key_file
            manifest = Manifest(
                backup=1,
                bot=bot,
                platform=platform,
                created_at=now,
                books=heads,
                members=[
                    Member.model_validate({"name": name, "size": path.stat().st_size}) for name, path in sources.items()
                ],
            )
            packed = folder / "backup"
            await asyncio.to_thread(_pack, packed, manifest, list(sources.values()), progress)
            _put(packed, file)
    except OSError as error:
        if error.filename in map(str, (home.relays_file, home.platform_file, home.key_file)):
            raise ConfigError(f"{error.filename} cannot be read: {file_trouble(error)}") from None
        raise ConfigError(f"{file} cannot be written: {file_trouble(error)}") from None
    return manifest


def _require_free(file: Path) -> None:
    if file.exists() or file.is_symlink():
        raise ConfigError(f"{file} exists and is not overwritten: choose another name")


async def _copy(url: str, target: Path, progress: Progress) -> list[BookHead]:
    """Copy the database and check the copy; returns where its books stand."""
    store = await Store.open_as_it_is(url)
    try:
        await asyncio.to_thread(_copy_pages, store.path, target, progress)
    except sqlite3.Error as error:
        raise ConfigError(f"the database cannot be copied: {error}") from None
    finally:
        await store.close()
    await asyncio.to_thread(check_journal, target)
    copy = await Store.open_as_it_is(sqlite_url(target))
    try:
        return [BookHead(key=key, entries=entries, head=head) for key, entries, head, _ in await copy.queries.heads()]
    finally:
        await copy.close()


def _copy_pages(source: Path, target: Path, progress: Progress) -> None:
    def tell(_status: int, remaining: int, total: int) -> None:
        progress("copying the database", total - remaining, total)

    with closing(connect_plainly(source)) as kept, closing(connect_plainly(target)) as copy:
        # Begun by us, it lasts from the first page to the last: otherwise each commit of the bot would make it start
        # again.
        kept.execute("BEGIN")
        kept.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        kept.backup(copy, pages=PAGES_AT_ONCE, progress=tell, sleep=0)
        kept.execute("ROLLBACK")


def _pack(path: Path, manifest: Manifest, sources: list[Path], progress: Progress) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        write_backup(file, manifest, sources, progress)
        file.flush()
        os.fsync(file.fileno())


def _put(packed: Path, file: Path) -> None:
    """Give the finished backup its name. A link does not replace what came there meanwhile, as a renaming would."""
    try:
        os.link(packed, file)
    except FileExistsError:
        raise ConfigError(f"{file} exists and is not overwritten: choose another name") from None
    except OSError:  # a file system without links
        packed.rename(file)
    sync_directory(file.parent)
