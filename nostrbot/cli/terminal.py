"""The terminal: what every command of the command line shares.

What lives here: options, exit codes, the one line that says what is wrong, and the event loop. What does not: commands,
logs (logs.py).
"""

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from nostrbot.config import Home
from nostrbot.errors import ConfigError, KeyTextError
from nostrbot.nostr.keys import read_pubkey

DONE, NO, BAD_USAGE, NOBODY, INTERRUPTED = 0, 1, 2, 3, 130

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="The bot's folder (or NOSTRBOT_HOME).", envvar="NOSTRBOT_HOME")
]
KeyOption = Annotated[Path, typer.Option("--key", help="Your key file: nsec or hex, mode 0600.")]
RelayOption = Annotated[list[str], typer.Option("--relay", help="A relay's URL; may be repeated.")]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", help="File to write, whole or not at all; stdout if not given.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def complain(sentence: str) -> None:
    """Say what is wrong, in one line on stderr."""
    print(f"nostrbot: {' '.join(sentence.split())}", file=sys.stderr)


def home_at(path: Path | None) -> Home:
    """The bot's folder. Raises ConfigError when none is named."""
    if path is None:
        raise ConfigError("say where the bot lives: --home DIR, or set NOSTRBOT_HOME")
    return Home(path)


def public_key(option: str, text: str) -> str:
    """The key (hex) an option names. Raises ConfigError that names the option and not the text."""
    try:
        return read_pubkey(text)
    except KeyTextError:
        raise ConfigError(f"{option} must be an npub or the 64 hex digits of a public key") from None


def passphrase() -> str | None:
    """What key files are encrypted with, if they are (NIP-49)."""
    return os.environ.get("NOSTRBOT_KEY_PASSPHRASE") or None


def run_until_done(work: Coroutine[Any, Any, int]) -> int:
    """Run on the fastest event loop there is; returns the exit code."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
