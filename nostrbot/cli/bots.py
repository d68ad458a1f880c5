"""Commands about your own bot: making it, running it, looking at it; and the demonstration.

What lives here: `init`, `run`, `status`, `key`, `demo`, `relay`. What does not: what they do (bot.py,
monitoring/status.py, demo.py). docs/protocol.md section 8.
"""

import asyncio
import json as json_module
import os
import secrets
import signal
import socket
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from loguru import logger

from nostrbot.cli.logs import log_loop_trouble, log_to_stderr
from nostrbot.cli.shutdown import end_on_signals
from nostrbot.cli.terminal import (
    BAD_USAGE,
    DONE,
    NO,
    HomeOption,
    JsonOption,
    RelayOption,
    complain,
    discard_stdout,
    home_at,
    passphrase,
    public_key,
    run_until_done,
)
from nostrbot.errors import BooksError, ConfigError, NostrbotError, file_trouble
from nostrbot.home.keyfile import read_key_file, write_key_file
from nostrbot.nostr.keys import Keys

if TYPE_CHECKING:
    from nostrbot.home.config import Home

READY_TIMEOUT_S = 30.0
STALE_AFTER_S = 15  # a bot that runs tells its state every two seconds

MetricsOption = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        help="Serve metrics to Prometheus on this port.",
        metavar="[ADDRESS:]PORT",
        envvar="NOSTRBOT_METRICS",
    ),
]
LogFormatOption = Annotated[
    str | None, typer.Option("--log-format", help="text (default), or json: one object per line.", metavar="FORMAT")
]

app = typer.Typer()


@app.command()
def init(
    platform: Annotated[str, typer.Option("--platform", help="The platform's npub.")],
    relay: RelayOption,
    home: HomeOption = None,
    more_relays: Annotated[list[str] | None, typer.Argument(help="Further relays.", metavar="[URL]...")] = None,
    json: JsonOption = False,
) -> int:
    """Make a new bot: keys, relays.yaml, database.

    Example: nostrbot init --home ./bot --platform npub1… --relay wss://relay.example.com
    """
    from nostrbot.home.config import parse_relays, relays_text
    from nostrbot.store.sqlite import make_engine
    from nostrbot.store.store import Store

    place = home_at(home)
    pubkey = public_key("--platform", platform)
    relays = relays_text([*relay, *(more_relays or [])])
    for path in (place.key_file, place.relays_file, place.database_file):
        if path.exists():
            raise ConfigError(f"{path} exists already: nothing was changed; choose another --home")
    # Everything that can be wrong is looked at before the first file is written.
    parse_relays(relays.encode(), Path("--relay"))  # which is what must be changed
    try:
        place.path.mkdir(parents=True, exist_ok=True)
        make_engine(place.database_url())
        place.key_file.parent.mkdir(exist_ok=True)
        place.key_file.parent.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"{place.path} cannot be made: {file_trouble(error)}") from None
    keys = Keys.from_secret(secrets.token_bytes(32))

    async def make_database() -> int:
        store = await Store.open(place.database_url())
        await store.close()
        return DONE

    try:
        write_key_file(place.key_file, keys, passphrase())
        place.write_platform(pubkey)
        place.relays_file.write_text(relays)
        run_until_done(make_database())
    except (NostrbotError, OSError) as error:
        for path in (place.key_file, place.platform_file, place.relays_file, place.database_file):
            with suppress(OSError):
                path.unlink(missing_ok=True)  # half a home would stand in the way of the next try
        if isinstance(error, OSError):
            raise ConfigError(f"{place.path} cannot be written to: {file_trouble(error)}") from None
        raise
    if json:
        print(json_module.dumps({"npub": keys.npub, "pubkey": keys.pubkey, "home": str(place.path)}))
    else:
        print(keys.npub)
        print(f"Made {place.path}. Next: nostrbot run --home {place.path}", file=sys.stderr)
    return DONE


@app.command()
def run(
    home: HomeOption = None,
    metrics: MetricsOption = None,
    log_format: LogFormatOption = None,
    trust_clock: Annotated[
        bool, typer.Option("--trust-clock", help="Use this computer's clock even if most relays disagree with it.")
    ] = False,
) -> int:
    """Run the bot until SIGTERM or Ctrl-C. Prints `ready <npub>` once it is subscribed; logs go to stderr.

    Example: nostrbot run --home ./bot --metrics 9464
    """
    from nostrbot.home.config import read_relays
    from nostrbot.home.lock import only_bot
    from nostrbot.monitoring.endpoint import bind, read_address

    log_to_stderr(log_format=log_format)
    place = home_at(home)
    platform = place.platform()
    keys = read_key_file(place.key_file, passphrase())
    if platform == keys.pubkey:
        raise ConfigError(f"{place.platform_file} holds the bot's own npub: it must be the platform's")
    settings = read_relays(place.relays_file)
    address = read_address(metrics) if metrics else None
    with only_bot(place):
        listener = bind(address) if address is not None else None
        try:
            return run_until_done(_run_bot(place, keys, platform, settings, listener, trust_clock))
        except NostrbotError:
            raise
        except OSError as error:
            if error.filename is None:
                logger.opt(exception=True).critical("the bot ends by its own fault")
                return NO
            raise  # a file of the home: a person must change something
        except Exception:  # noqa: BLE001 - the last boundary: of what ends the bot, the log has what may be told
            logger.opt(exception=True).critical("the bot ends by its own fault")
            return NO


async def _run_bot(
    place: "Home", keys: Keys, platform: str, settings: Any, listener: socket.socket | None, trust_clock: bool
) -> int:
    from nostrbot.bot import Bot
    from nostrbot.monitoring.endpoint import serving
    from nostrbot.runtime.rotation import NextKey

    bot = Bot(
        keys=keys,
        platform=platform,
        database_url=place.database_url(),
        settings=settings,
        next_key=NextKey(place, passphrase()),
        trust_clock=trust_clock,
    )
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_trouble)
    end_on_signals(loop, bot.stop)
    await bot.start()
    announcing = asyncio.create_task(_announce(bot, keys))
    try:
        async with serving(listener, bot.figures.metrics) if listener is not None else nullcontext():
            await bot.run()
    except BooksError as error:
        logger.critical("{}", error)
        return NO
    finally:
        announcing.cancel()
    logger.info("stopped")
    return DONE


async def _announce(bot: Any, keys: Keys) -> None:
    while not await bot.wait_ready(READY_TIMEOUT_S):
        logger.warning("no relay has answered yet: look at relays.yaml and the network; I keep trying")
    # One write, so that nothing of another process comes between the word and the end of its line.
    try:
        sys.stdout.write(f"ready {keys.npub}\n")
        sys.stdout.flush()
    except OSError as error:
        logger.warning("`ready` cannot be written to stdout ({}); I go on", file_trouble(error))
        discard_stdout()


@app.command()
def demo(
    machines: Annotated[int, typer.Option(help="Simulated machines.", min=1, max=20)] = 2,
    lps: Annotated[int, typer.Option(help="Liquidity providers.", min=1, max=50)] = 3,
    settlements: Annotated[int, typer.Option(help="Sales to simulate.", min=1, max=500)] = 6,
    seed: Annotated[int, typer.Option(help="The same seed gives the same keys and sales.")] = 1,
) -> int:
    """Show everything in a minute: relay, bot, machines, operator and LPs on this computer, over real websockets.

    Example: nostrbot demo --lps 5 --settlements 20
    """
    from nostrbot.demo import show

    log_to_stderr("ERROR")
    return run_until_done(show(machines=machines, lps=lps, settlements=settlements, seed=seed))


@app.command()
def relay(
    port: Annotated[
        int | None, typer.Option(help="Port on 127.0.0.1; a free one if not given.", min=1, max=65535)
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder to keep events in; in memory if not given.")] = None,
) -> int:
    """Run the embedded relay alone, on this computer only. Prints its URL.

    Example: nostrbot relay --port 7447 --data ./relay
    """

    async def serve() -> int:
        from nostr_sdk import NostrSdkError

        from nostrbot.relays.embedded import EmbeddedRelay

        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        embedded = EmbeddedRelay(port, data)
        starting, stopped = asyncio.create_task(embedded.start()), asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return DONE  # told to stop while it waited for its port
        try:
            url = await starting
        except (OSError, NostrSdkError) as error:
            given = [name for name, value in (("--port", port), ("--data", data)) if value is not None]
            complain(f"the relay cannot start: {error}: choose another {' or '.join(given) or '--port'}")
            return BAD_USAGE
        print(url, flush=True)
        await stop.wait()
        await embedded.stop()
        return DONE

    # The embedded relay's own threads want the standard loop.
    code = asyncio.run(serve())
    # Out at once: those threads outlive the relay and, where it keeps a database, still free Python objects while the
    # interpreter is taken down, which one time in two is a segmentation fault (nostr-sdk 0.45.1). All is on disk by
    # now.
    sys.stdout.flush()
    os._exit(code)


@app.command()
def status(
    home: HomeOption = None,
    json: JsonOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 unless the bot is healthy; the status says why.")
    ] = False,
) -> int:
    """Show books, entries, heads, backlog and relays; works while the bot runs.

    Example: nostrbot status --home ./bot --json
    """
    from nostrbot.monitoring.status import read_status, status_words

    place = home_at(home)
    place.platform()
    keys = read_key_file(place.key_file, passphrase())
    state: dict[str, Any] = {}

    async def read() -> int:
        state.update(await read_status(place, keys.npub, int(time.time()), STALE_AFTER_S))
        return DONE

    run_until_done(read())
    print(json_module.dumps(state) if json else status_words(state))
    return NO if check and not state["healthy"] else DONE


@app.command()
def key(
    file: Annotated[Path, typer.Argument(help="The key file.")],
    new: Annotated[bool, typer.Option("--new", help="Make a new key in FILE; never overwrite one.")] = False,
    hex_digits: Annotated[
        bool, typer.Option("--hex", help="Print the public key in hex, as machines write it.")
    ] = False,
) -> int:
    """Print the npub of a key file; with --new, make the file first (nsec, mode 0600).

    Example: nostrbot key operator.nsec --new
    """
    if new:
        write_key_file(file, Keys.from_secret(secrets.token_bytes(32)), passphrase())
    keys = read_key_file(file, passphrase())
    print(keys.pubkey if hex_digits else keys.npub)
    return DONE
