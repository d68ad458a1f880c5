"""The command line: `nostrbot …`, as docs/protocol.md section 8 has it.

What lives here: arguments, printing, exit codes. What does not: anything a test would want to call without a terminal.
Exit codes: 0 done, 1 the answer is no, 2 bad usage or configuration (one line says what to change), 3 nobody answered.
"""

import asyncio
import json as json_module
import os
import secrets
import signal
import sys
import time
from collections.abc import Coroutine
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from loguru import logger

from nostrbot.config import Home, parse_relays, read_relays, relays_text
from nostrbot.errors import BooksError, ConfigError, KeyTextError, NostrbotError, SealingError, TrailError
from nostrbot.exports.wish import Form, Subject, Wish
from nostrbot.keyfile import read_key_file, write_key_file
from nostrbot.nostr.keys import Keys, npub, read_pubkey
from nostrbot.nostr.sealing import Scheme

DONE, NO, BAD_USAGE, NOBODY, INTERRUPTED = 0, 1, 2, 3, 130
READY_TIMEOUT_S = 30.0
STALE_AFTER_S = 15  # a bot that runs tells its state every two seconds
LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")

app = typer.Typer(
    name="nostrbot",
    help="Settlements of Bitcoin ATMs, signed over Nostr, made into an exact and provable ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
machine = typer.Typer(help="Speak as a machine does.", no_args_is_help=True)
audit = typer.Typer(help="Take out and verify a book's trail.", no_args_is_help=True)
app.add_typer(machine, name="machine")
app.add_typer(audit, name="audit")

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="The bot's folder (or NOSTRBOT_HOME).", envvar="NOSTRBOT_HOME")
]
KeyOption = Annotated[Path, typer.Option("--key", help="Your key file: nsec or hex, mode 0600.")]
RelayOption = Annotated[list[str], typer.Option("--relay", help="A relay's URL; may be repeated.")]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", help="File to write, whole or not at all; stdout if not given.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def main() -> NoReturn:
    """Run the command line and exit."""
    command = typer.main.get_command(app)
    os.umask(0o077)  # what a bot writes, its database first of all, is nobody else's to read
    try:
        outcome = command.main(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
            print(error.format_message(), file=sys.stderr)
        else:
            _complain(error.format_message())
        sys.exit(BAD_USAGE)
    except (ConfigError, KeyTextError, SealingError) as error:
        _complain(str(error))
        sys.exit(BAD_USAGE)
    except NostrbotError as error:
        _complain(str(error))
        sys.exit(NO)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NO)
    sys.exit(outcome if isinstance(outcome, int) else DONE)


def _complain(sentence: str) -> None:
    print(f"nostrbot: {' '.join(sentence.split())}", file=sys.stderr)


def _home(path: Path | None) -> Home:
    if path is None:
        raise ConfigError("say where the bot lives: --home DIR, or set NOSTRBOT_HOME")
    return Home(path)


def _pubkey(option: str, text: str) -> str:
    try:
        return read_pubkey(text)
    except KeyTextError:
        raise ConfigError(f"{option} must be an npub or the 64 hex digits of a public key") from None


def _passphrase() -> str | None:
    return os.environ.get("NOSTRBOT_KEY_PASSPHRASE") or None


def _log_to_stderr(default: str = "INFO") -> None:
    level = os.environ.get("NOSTRBOT_LOG_LEVEL", default).upper()
    if level not in LOG_LEVELS:
        raise ConfigError(f"NOSTRBOT_LOG_LEVEL must be one of {', '.join(LOG_LEVELS)}")
    logger.remove()
    # diagnose would print local variables in a traceback, secrets among them.
    logger.add(sys.stderr, level=level, diagnose=False, backtrace=False)


def _run(work: Coroutine[Any, Any, int]) -> int:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"nostrbot {metadata.version('nostrbot')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Settlements of Bitcoin ATMs, signed over Nostr, made into an exact and provable ledger."""


# --- a bot ------------------------------------------------------------------------------------------------------------


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
    from nostrbot.store.database import make_engine
    from nostrbot.store.store import Store

    place = _home(home)
    pubkey = _pubkey("--platform", platform)
    relays = relays_text([*relay, *(more_relays or [])])
    for path in (place.key_file, place.relays_file, place.database_file):
        if path.exists():
            raise ConfigError(f"{path} exists already: nothing was changed; choose another --home")
    # Everything that can be wrong is looked at before the first file is written.
    parse_relays(relays.encode(), place.relays_file)
    try:
        place.path.mkdir(parents=True, exist_ok=True)
        make_engine(place.database_url())
        place.key_file.parent.mkdir(exist_ok=True)
        place.key_file.parent.chmod(0o700)
    except OSError as error:
        raise ConfigError(f"{place.path} cannot be made: {error.strerror}") from None
    keys = Keys.from_secret(secrets.token_bytes(32))
    write_key_file(place.key_file, keys, _passphrase())
    place.write_platform(pubkey)
    place.relays_file.write_text(relays)

    async def make_database() -> int:
        store = await Store.open(place.database_url())
        await store.close()
        return DONE

    _run(make_database())
    if json:
        print(json_module.dumps({"npub": keys.npub, "pubkey": keys.pubkey, "home": str(place.path)}))
    else:
        print(keys.npub)
        print(f"Made {place.path}. Next: nostrbot run --home {place.path}", file=sys.stderr)
    return DONE


@app.command()
def run(home: HomeOption = None) -> int:
    """Run the bot until SIGTERM or Ctrl-C. Prints `ready <npub>` once it is subscribed; logs go to stderr.

    Example: nostrbot run --home ./bot
    """
    from nostrbot.bot import only_bot

    _log_to_stderr()
    place = _home(home)
    platform = place.platform()
    keys = read_key_file(place.key_file, _passphrase())
    settings = read_relays(place.relays_file)
    with only_bot(place):
        return _run(_run_bot(place, keys, platform, settings))


async def _run_bot(place: Home, keys: Keys, platform: str, settings: Any) -> int:
    from nostrbot.bot import Bot

    bot = Bot(keys=keys, platform=platform, database_url=place.database_url(), settings=settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, bot.stop)
    await bot.start()
    announcing = asyncio.create_task(_announce(bot, keys))
    try:
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
    sys.stdout.write(f"ready {keys.npub}\n")
    sys.stdout.flush()


@app.command()
def demo(
    machines: Annotated[int, typer.Option(help="Simulated machines.", min=1, max=20)] = 2,
    lps: Annotated[int, typer.Option(help="Liquidity providers.", min=1, max=50)] = 3,
    settlements: Annotated[int, typer.Option(help="Sales to simulate.", min=1, max=500)] = 6,
    seed: Annotated[int, typer.Option(help="The same seed gives the same keys and sales.")] = 1,
) -> int:
    """See it work in a minute: relay, bot, machines, operator and LPs on this computer, over real websockets.

    Example: nostrbot demo --lps 5 --settlements 20
    """
    from nostrbot.demo import show

    _log_to_stderr("ERROR")
    return _run(show(machines=machines, lps=lps, settlements=settlements, seed=seed))


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
        try:
            url = await embedded.start()
        except (OSError, NostrSdkError) as error:
            given = [name for name, value in (("--port", port), ("--data", data)) if value is not None]
            _complain(f"the relay cannot start: {error}: choose another {' or '.join(given) or '--port'}")
            return BAD_USAGE
        print(url, flush=True)
        await stop.wait()
        await embedded.stop()
        return DONE

    # The embedded relay's own threads want the standard loop.
    code = asyncio.run(serve())
    # Out at once: those threads outlive the relay and, where it keeps a database, still free Python objects while the
    # interpreter is taken down, which one time in two is a segmentation fault (nostr-sdk 0.45.1). All is on disk by now.
    sys.stdout.flush()
    os._exit(code)


@app.command()
def status(
    home: HomeOption = None,
    json: JsonOption = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 unless the bot runs and hears a relay.")] = False,
) -> int:
    """Show books, entries, heads, backlog and relays; works while the bot runs.

    Example: nostrbot status --home ./bot --json
    """
    from nostrbot.status import read_status, status_words

    place = _home(home)
    place.platform()
    keys = read_key_file(place.key_file, _passphrase())
    state: dict[str, Any] = {}

    async def read() -> int:
        state.update(await read_status(place, keys.npub, int(time.time()), STALE_AFTER_S))
        return DONE

    _run(read())
    print(json_module.dumps(state) if json else status_words(state))
    return NO if check and not state["healthy"] else DONE


@app.command()
def key(
    file: Annotated[Path, typer.Argument(help="The key file.")],
    new: Annotated[bool, typer.Option("--new", help="Make a new key there; never overwrites.")] = False,
    hex_digits: Annotated[bool, typer.Option("--hex", help="Print it as machines write it.")] = False,
) -> int:
    """Print the npub of a key file; with --new, make the file first (nsec, mode 0600).

    Example: nostrbot key operator.nsec --new
    """
    if new:
        write_key_file(file, Keys.from_secret(secrets.token_bytes(32)), _passphrase())
    keys = read_key_file(file, _passphrase())
    print(keys.pubkey if hex_digits else keys.npub)
    return DONE


# --- clients ----------------------------------------------------------------------------------------------------------

SchemeOption = Annotated[
    Scheme, typer.Option("--scheme", help="How to encrypt (plain only where the bot allows it).", case_sensitive=False)
]


@app.command()
def dm(
    command: Annotated[str, typer.Argument(help="What to say, in quotes.")],
    key: KeyOption,
    to: Annotated[str, typer.Option("--to", help="The bot's npub.")],
    relay: RelayOption,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for the answer.", min=0.1)] = 10.0,
    scheme: SchemeOption = Scheme.NIP04,
) -> int:
    """Send one command to a bot, as an operator or LP, and print its answer.

    Example: nostrbot dm --key ana.nsec --to npub1… --relay wss://relay.example.com "balance --json"
    """
    from nostrbot.client import Client
    from nostrbot.core.replies import is_refusal

    _log_to_stderr("ERROR")
    keys, bot = read_key_file(key, _passphrase()), _pubkey("--to", to)
    if scheme is Scheme.PLAIN:
        raise ConfigError("--scheme must be nip04, nip44 or nip17: a bot takes no command that anyone could read")

    async def ask() -> int:
        async with Client(keys, bot, relay) as client:
            answer = await client.ask(command, scheme=scheme, timeout_s=timeout)
        if answer is None:
            _complain(f"no answer within {timeout:g} s: is the bot running, on this relay, and does it know you?")
            return NOBODY
        print(answer)
        return NO if is_refusal(answer) else DONE

    return _run(ask())


@machine.command("settle")
def machine_settle(
    key: KeyOption,
    bot: Annotated[str, typer.Option("--bot", help="The bot's npub.")],
    relay: RelayOption,
    payload: Annotated[Path, typer.Option("--payload", help="File with the settlement's JSON, sent as it is.")],
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for the ack.", min=0.1)] = 30.0,
    scheme: SchemeOption = Scheme.NIP44,
) -> int:
    """Publish one settlement as a machine would, repeat it until the bot acknowledges it, print the ack.

    Example: nostrbot machine settle --key m1.nsec --bot npub1… --relay wss://relay.example.com --payload sale.json
    """
    from nostrbot.client import Client

    _log_to_stderr("ERROR")
    keys, pubkey = read_key_file(key, _passphrase()), _pubkey("--bot", bot)
    if scheme is Scheme.NIP17:
        raise ConfigError("--scheme nip17 is for what people say: a machine takes nip44, nip04 or plain")
    try:
        text = payload.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{payload} cannot be read: {error}") from None

    async def settle() -> int:
        async with Client(keys, pubkey, relay) as client:
            ack = await client.settle(text, scheme=scheme, timeout_s=timeout)
        if ack is None:
            _complain(f"no ack within {timeout:g} s: is the bot running, on this relay, and does it know this machine?")
            return NOBODY
        print(ack)
        return NO if json_module.loads(ack)["status"] in ("rejected", "invalid") else DONE

    return _run(settle())


# --- accountants ---------------------------------------------------------------------------------------------------------


@app.command("export")
def export_rows(
    subject: Annotated[Subject, typer.Argument(help="What to export; oldest first.", case_sensitive=False)],
    home: HomeOption = None,
    form: Annotated[
        Form,
        typer.Option(
            "--format", help="A ledger (beancount) is always whole, whatever the subject.", case_sensitive=False
        ),
    ] = Form.CSV,
    operator: Annotated[
        str | None, typer.Option("--operator", help="The operator's npub; all operators if not given.")
    ] = None,
    output: OutputOption = None,
) -> int:
    """Write settlements, legs or deposits for spreadsheets, programs and accountants. Works while the bot runs.

    csv has one row each, its times in the operator's time zone beside unix seconds; text that a spreadsheet would run as a
    formula has a ' before it. json has the fields of the bot's answers. beancount is one operator's whole ledger, every
    entry a transaction, with balance assertions: bean-check proves it.

    Example: nostrbot export settlements --home ./bot --format csv -o settlements.csv
    """
    from nostrbot.exports.export import export
    from nostrbot.output import write_out
    from nostrbot.store.store import Store

    place = _home(home)
    wish = Wish(subject, form, None if operator is None else _pubkey("--operator", operator))
    platform = place.platform()
    keys = read_key_file(place.key_file, _passphrase())

    async def write() -> int:
        store = await Store.open_as_it_is(place.database_url())
        try:
            await write_out(export(store, wish, keys.pubkey, platform), output)
        finally:
            await store.close()
        return DONE

    return _run(write())


# --- auditors ---------------------------------------------------------------------------------------------------------


@audit.command("export")
def audit_export(
    operator: Annotated[str, typer.Option("--operator", help="The operator's npub.")],
    home: HomeOption = None,
    output: OutputOption = None,
) -> int:
    """Write an operator's trail: every signed input and what was decided from it. Works while the bot runs.

    Example: nostrbot audit export --home ./bot --operator npub1… -o trail.jsonl
    """
    from nostrbot.audit import export_trail
    from nostrbot.output import write_out
    from nostrbot.store.store import Store

    place, book = _home(home), _pubkey("--operator", operator)
    place.platform()
    keys = read_key_file(place.key_file, _passphrase())

    async def export() -> int:
        store = await Store.open_as_it_is(place.database_url())
        try:
            await write_out(export_trail(store.queries, keys.pubkey, book), output)
        finally:
            await store.close()
        return DONE

    return _run(export())


@audit.command("verify")
def audit_verify(
    file: Annotated[Path, typer.Argument(help="The trail.")],
    bot: Annotated[str | None, typer.Option("--bot", help="The npub of the bot it must be of.")] = None,
    json: JsonOption = False,
) -> int:
    """Verify a trail: signatures, chain, and every decision made again. Exit 1 names the first difference.

    Example: nostrbot audit verify trail.jsonl --bot npub1…
    """
    from nostrbot.audit import verify_trail
    from nostrbot.core.book import ROOT

    pubkey = None if bot is None else _pubkey("--bot", bot)
    try:
        with file.open("rb") as lines:
            summary = verify_trail(lines, bot=pubkey)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except TrailError as error:
        if json:
            difference = {"ok": False, "entry": error.seq, "field": error.field, "message": error.message}
            print(json_module.dumps(difference))
        else:
            print(f"NOT verified. First difference: {error}")
        return NO
    if json:
        fields = {name: getattr(summary, name) for name in summary.__slots__}
        print(json_module.dumps({"ok": True, **fields}))
    else:
        whose = "the root book" if summary.book == ROOT else f"{summary.handle} ({npub(summary.book)})"
        print(f"Verified: the trail of {whose}, kept by bot {npub(summary.bot)}")
        print(f"for platform {npub(summary.platform)}.")
        print(f"{summary.entries} entries: each signed, each decided again to the same facts, postings and hash.")
        print(f"{summary.settlements} settlements, {summary.sats_settled} sats, {summary.receipts} receipts.")
        print(f"{summary.encrypted} inputs were encrypted: what they said rests on the bot's word.")
        print(f"Head {summary.head}")
    return DONE
