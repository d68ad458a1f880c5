"""Commands that give a bot another key: `rotate begin`, `rotate countersign`, `rotate finish`.

What lives here: their arguments, and the files that go from one to the next. What does not: what they do
(runtime/rotation.py) and what a succession is (core/platform/succession.py). docs/protocol.md section 8.
"""

import os
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

import orjson
import typer

from nostrbot.cli.output import write_out
from nostrbot.cli.terminal import DONE, HomeOption, KeyOption, OutputOption, home_at, passphrase, run_until_done
from nostrbot.core.platform.succession import CONTENT_CHARS_MAX, countersign, read_statement, read_succession
from nostrbot.errors import ConfigError, file_trouble
from nostrbot.home.keyfile import read_key_file
from nostrbot.nostr.event import VerifiedEvent, read_event
from nostrbot.nostr.keys import npub
from nostrbot.refusals import Refusal

app = typer.Typer()
rotate = typer.Typer(
    help="Give a bot a new key: the old key names it, and the platform countersigns.", no_args_is_help=True
)
app.add_typer(rotate, name="rotate")


@rotate.command("begin")
def rotate_begin(home: HomeOption = None, output: OutputOption = None) -> int:
    """Make the bot's next key and the statement that names it, for the platform to countersign. Works while the bot
    runs.

    Example: nostrbot rotate begin --home ./bot -o statement.json
    """
    from nostrbot.runtime.rotation import begin, require_free
    from nostrbot.store.store import Store

    place = home_at(home)
    platform = place.platform()
    statement = begin(place, passphrase(), int(time.time()))

    async def write_if_free() -> int:
        if place.database_file.exists() or "NOSTRBOT_DATABASE_URL" in os.environ:
            store = await Store.open_as_it_is(place.database_url())
            try:
                await require_free(store, statement, platform)
            finally:
                await store.close()
        return await _write(statement.event, output)

    run_until_done(write_if_free())
    print(f"From {npub(statement.old)} to {npub(statement.new)}.", file=sys.stderr)
    print("Next, at the platform: nostrbot rotate countersign FILE --key KEY -o FILE", file=sys.stderr)
    return DONE


@rotate.command("countersign")
def rotate_countersign(
    file: Annotated[Path, typer.Argument(help="The bot's statement.")], key: KeyOption, output: OutputOption = None
) -> int:
    """Countersign a bot's statement with the platform's key. First ask the bot's keeper for the new npub by another
    channel.

    Example: nostrbot rotate countersign statement.json --key platform.nsec -o succession.json
    """
    statement = read_statement(_read(file))
    if isinstance(statement, Refusal):
        raise ConfigError(f"{file}: {statement.detail or statement.reason}")
    platform = read_key_file(key, passphrase())
    run_until_done(_write(countersign(platform, statement, int(time.time())), output))
    print(f"From {npub(statement.old)} to {npub(statement.new)}.", file=sys.stderr)
    print(f"Signed by {platform.npub}: it counts if that is the bot's platform.", file=sys.stderr)
    print("Next, where the bot lives, with the bot stopped: nostrbot rotate finish FILE", file=sys.stderr)
    return DONE


@rotate.command("finish")
def rotate_finish(
    file: Annotated[Path, typer.Argument(help="The statement that the platform countersigned.")],
    home: HomeOption = None,
) -> int:
    """Put the new key into every book and into the bot's home. Stop the bot first. You may run this again at any time.

    Example: nostrbot rotate finish succession.json --home ./bot
    """
    from nostrbot.home.lock import only_bot
    from nostrbot.runtime.rotation import finish
    from nostrbot.store.store import Store

    place = home_at(home)
    succession = read_succession(_read(file), place.platform())
    if isinstance(succession, Refusal):
        raise ConfigError(f"{file}: {succession.detail or succession.reason}")

    async def hand_over() -> int:
        store = await Store.open(place.database_url())
        try:
            await finish(place, store, succession, passphrase(), int(time.time()))
        finally:
            await store.close()
        return DONE

    with only_bot(place):
        code = run_until_done(hand_over())
    print(npub(succession.new))
    print(f"The bot has its new key. Next: nostrbot run --home {place.path}", file=sys.stderr)
    return code


def _read(file: Path) -> VerifiedEvent:
    try:
        with file.open("rb") as opened:
            raw = opened.read(2 * CONTENT_CHARS_MAX)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {file_trouble(error)}") from None
    try:
        event = read_event(orjson.loads(raw))
    except orjson.JSONDecodeError:
        raise ConfigError(f"{file} is not the JSON of an event") from None
    if isinstance(event, Refusal):
        raise ConfigError(f"{file} is no event that verifies: {event.reason}")
    return event


async def _write(event: VerifiedEvent, output: Path | None) -> int:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield orjson.dumps(event.plain()) + b"\n"

    await write_out(pieces(), output)
    return DONE
