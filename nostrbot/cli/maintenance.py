"""Commands of those who keep a bot's books sound: `backup`, `restore`, `rebuild`, `clock-heal`.

What lives here: their arguments, how far they have come, and what they came to in words. What does not: what they do
(backup/, store/rebuilding.py, runtime/healing.py). docs/protocol.md section 8.
"""

import json as json_module
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from nostrbot.cli.terminal import DONE, HomeOption, JsonOption, home_at, passphrase, run_until_done
from nostrbot.errors import ConfigError, file_trouble
from nostrbot.home.keyfile import read_key_file
from nostrbot.nostr.keys import npub

app = typer.Typer()

Progress = Callable[[str, int, int], None]


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The backup to write; never overwrites a file.")],
    home: HomeOption = None,
    without_key: Annotated[bool, typer.Option("--without-key", help="Leave the bot's key file out.")] = False,
) -> int:
    """Write a whole bot, as of one moment, into one file. Works while the bot runs.

    The file holds the bot's secret key (as its key file has it) and, readable, everything that people and machines
    wrote to the bot. Keep it as safe as the key. It is complete or absent, and `nostrbot restore` finds any change to
    it.

    Example: nostrbot backup bot-2030-01-31.backup --home ./bot
    """
    from nostrbot.backup.copy import back_up

    place = home_at(home)
    platform = place.platform()
    keys = read_key_file(place.key_file, passphrase())

    async def write() -> int:
        with _shown() as progress:
            made = await back_up(
                place,
                file,
                bot=keys.pubkey,
                platform=platform,
                with_key=not without_key,
                now=int(time.time()),
                progress=progress,
            )
        _print_books([(book.key, book.entries, book.head) for book in made.books])
        holds = "It holds the bot's key and what was written to it: keep it safe" if made.has_key else "It holds no key"
        print(f"Wrote {file}. {holds}.")
        return DONE

    return run_until_done(write())


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="The backup.")],
    home: HomeOption = None,
) -> int:
    """Make a bot from a backup. Verifies every chain first; never overwrites anything.

    A home with the same key keeps its key and its relays.yaml. After the start, machines repeat the sales that nobody
    acknowledged, and relays deliver the commands of the last day again; nothing is paid twice.

    Example: nostrbot restore bot-2030-01-31.backup --home ./bot-again
    """
    from nostrbot.backup.container import opened_backup
    from nostrbot.backup.restoration import restore as restore_into
    from nostrbot.home.lock import only_bot

    place = home_at(home)
    with _shown() as progress, opened_backup(file, progress) as opened:
        try:
            place.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{place.path} cannot be made: {file_trouble(error)}") from None
        differed: dict[str, int] = {}

        async def work() -> int:
            differed.update(await restore_into(opened, place, passphrase=passphrase(), progress=progress))
            return DONE

        with only_bot(place):
            run_until_done(work())
        manifest = opened.manifest
    _print_books([(book.key, book.entries, book.head) for book in manifest.books])
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(manifest.created_at))
    print(f"Every chain is proven, and {_difference_words(differed)}.")
    print(f"Restored {npub(manifest.bot)} as of {made} UTC into {place.path}. Next: nostrbot run --home {place.path}")
    return DONE


@app.command()
def rebuild(home: HomeOption = None, json: JsonOption = False) -> int:
    """Derive all tables from the journal again and correct what differs. Stop the bot first.

    Example: nostrbot rebuild --home ./bot
    """
    from nostrbot.home.lock import only_bot
    from nostrbot.store.rebuilding import rebuild as rebuild_in
    from nostrbot.store.sqlite import database_path
    from nostrbot.store.store import Store

    place = home_at(home)
    platform = place.platform()
    keys = read_key_file(place.key_file, passphrase())
    said: dict[str, Any] = {}

    async def work() -> int:
        store = await Store.open(place.database_url())
        try:
            said["entries"] = sum(entries for _, entries, _, _ in await store.queries.heads())
            with _shown() as progress:
                said["differed"] = await rebuild_in(
                    store,
                    keys.pubkey,
                    platform,
                    progress=lambda done: progress("reading the journal", done, said["entries"]),
                )
        finally:
            await store.close()
        return DONE

    database = database_path(place.database_url())
    if not database.is_file():
        raise ConfigError(f"there is no database {database}: nothing to rebuild")
    with only_bot(place):
        run_until_done(work())
    if json:
        print(json_module.dumps(said))
    else:
        print(f"{said['entries']} entries read: {_difference_words(said['differed'])}.")
    return DONE


@app.command("clock-heal")
def clock_heal(
    home: HomeOption = None,
    json: JsonOption = False,
    trust_clock: Annotated[
        bool, typer.Option("--trust-clock", help="Trust this computer's clock even if others signed later dates.")
    ] = False,
) -> int:
    """Correct the time of books after this computer's clock ran ahead. Stop the bot first.

    Correct the computer's clock first. No entry changes: each book that is ahead gets one more entry, and its time
    continues from now.

    Example: nostrbot clock-heal --home ./bot
    """
    from nostrbot.home.lock import only_bot
    from nostrbot.runtime.healing import heal
    from nostrbot.store.sqlite import database_path
    from nostrbot.store.store import Store

    place = home_at(home)
    platform = place.platform()
    keys = read_key_file(place.key_file, passphrase())
    if not database_path(place.database_url()).is_file():
        raise ConfigError(f"there is no database in {place.path}: nothing to set right")
    healed: list[Any] = []

    async def work() -> int:
        store = await Store.open(place.database_url())
        try:
            now = int(time.time())
            healed.extend(await heal(store, keys.pubkey, platform, now, trust_clock=trust_clock))
        finally:
            await store.close()
        return DONE

    with only_bot(place):
        run_until_done(work())
    if json:
        books = [{"book": one.book, "operator": one.operator, "was": one.was, "is": one.now} for one in healed]
        print(json_module.dumps({"books": books}))
    elif not healed:
        print("No book is ahead of this computer's clock: nothing to set right.")
    for one in () if json else healed:
        print(f"book {one.book}: was {_moment(one.was)}, is {_moment(one.now)}")
    return DONE


def _moment(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _difference_words(differed: Mapping[str, int]) -> str:
    """Return what differed, table by table, or that nothing did."""
    if not differed:
        return "nothing differed"
    rows = ", ".join(f"{count} in {table}" for table, count in differed.items())
    return f"these rows differed from the journal and were put right: {rows}"


def _print_books(books: list[tuple[str, int, str]]) -> None:
    from nostrbot.core.book import ROOT

    for key, entries, head in books:
        print(f"book {key if key == ROOT else npub(key)}: {entries} entries, head {head}")


@contextmanager
def _shown() -> Iterator[Progress]:
    """Show progress on the terminal; the line disappears at the end. Elsewhere show nothing."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Display

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        TimeElapsedColumn(),
    )
    with Display(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task("", total=None)
        yield lambda what, done, total: display.update(task, description=what, completed=done, total=total)
