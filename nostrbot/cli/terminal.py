"""The terminal: what every command of the command line shares.

What lives here: options, exit codes, the one line that says what is wrong, and the event loop. What does not: commands,
logs (logs.py).
"""

import asyncio
import os
import sys
from collections.abc import Coroutine
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from nostrbot.errors import ConfigError, KeyTextError, file_trouble
from nostrbot.nostr.identifiers import SECRET, read_identifier

if TYPE_CHECKING:
    from nostrbot.home.config import Home  # it brings pydantic and YAML along: not for `--help`

DONE, NO, BAD_USAGE, NOBODY, INTERRUPTED = 0, 1, 2, 3, 130

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="The bot's folder (or NOSTRBOT_HOME).", envvar="NOSTRBOT_HOME")
]
KeyOption = Annotated[Path, typer.Option("--key", help="Your key file: nsec or hex, mode 0600.")]
RelayOption = Annotated[list[str], typer.Option("--relay", help="A relay's URL; may be repeated.")]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", help="File to write, completely or not at all; stdout if not given.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def complain(sentence: str) -> None:
    """Say what is wrong, in one line on stderr."""
    line = SECRET.sub(
        "nsec1…", " ".join(sentence.split())
    )  # pasted into a wrong place, it is not to be in a log as well
    with suppress(OSError):  # nobody can be told; the exit code is left
        print(f"nostrbot: {line}", file=sys.stderr)


def open_streams() -> None:
    """Make stdin, stdout and stderr such that no command comes to harm by them: closed, or of another encoding.

    A number that is closed would be given to the next file that is opened, the database for one. In its place stands
    /dev/null: nothing to read, what is written to stdout fails and is told, and what is said on stderr nobody hears.
    """
    for number, flags in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - open as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # Characters that an encoding lacks are written as \u2026: better than not to be said.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def discard_stdout() -> None:
    """Discard whatever is still to be written to stdout: the user was told that it cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)
    with suppress(OSError):
        sys.stdout.flush()


def leave(code: int) -> NoReturn:
    """End the process: flush the output, or say that it cannot be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has had enough, as `head` has
        code = code or NO
    except OSError as error:
        complain(f"stdout cannot be written to: {file_trouble(error)}")
        code = BAD_USAGE
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # The interpreter would try again at its end, complain in its own words and change the exit code.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def home_at(path: Path | None) -> "Home":
    """Return the bot's folder. Raises ConfigError if none is named."""
    if path is None:
        raise ConfigError("say where the bot lives: --home DIR, or set NOSTRBOT_HOME")
    from nostrbot.home.config import Home

    return Home(path)


def public_key(option: str, text: str) -> str:
    """Read the key (hex) an option names. Raises ConfigError, which names the option and not the text."""
    try:
        return read_identifier(text)
    except KeyTextError as error:
        raise ConfigError(f"{option} must be an npub or the 64 hex digits of a public key; {error}") from None


def passphrase() -> str | None:
    """Return the passphrase of encrypted key files (NIP-49), if one is set."""
    return os.environ.get("NOSTRBOT_KEY_PASSPHRASE") or None


def run_until_done(work: Coroutine[Any, Any, int]) -> int:
    """Run on the fastest event loop there is; returns the exit code."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
