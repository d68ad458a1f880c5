"""The command line: `nostrbot …`, as docs/protocol.md section 8 has it.

What lives here: the whole of it put together, and what becomes of errors. What does not: the commands, which stand in
the modules beside this one by who says them, nor anything a test would want to call without a terminal. Exit codes: 0
done, 1 the answer is no, 2 bad usage or configuration (one line says what to change), 3 nobody answered.
"""

import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from nostrbot.cli import accountants, auditors, bots, clients, rotations
from nostrbot.cli import maintenance as keeping
from nostrbot.cli.terminal import BAD_USAGE, DONE, INTERRUPTED, NO, complain, discard_stdout, leave, open_streams
from nostrbot.errors import ConfigError, KeyTextError, NostrbotError, SealingError, file_trouble

app = typer.Typer(
    name="nostrbot",
    help="Settlements of Bitcoin ATMs, signed over Nostr, made into an exact and provable ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for commands in (bots, keeping, clients, accountants, auditors, rotations):
    app.add_typer(commands.app)


def main() -> NoReturn:
    """Run the command line and exit."""
    open_streams()
    os.umask(0o077)  # what a bot writes, its database first of all, is nobody else's to read
    leave(_run_command())


def _run_command() -> int:
    """Run what the command line says; returns the exit code, its trouble said."""
    command = typer.main.get_command(app)
    try:
        outcome = command.main(standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
            with suppress(OSError):
                print(error.format_message(), file=sys.stderr)
        else:
            complain(_in_plain_words(error.format_message()))
        return BAD_USAGE
    except (ConfigError, KeyTextError, SealingError) as error:
        complain(str(error))
        return BAD_USAGE
    except NostrbotError as error:
        complain(str(error))
        return NO
    except BrokenPipeError:  # whoever read it has had enough, as `head` has
        discard_stdout()
        return NO
    except OSError as error:
        if isinstance(error.filename, str | bytes):
            complain(f"{os.fsdecode(error.filename)}: {file_trouble(error)}")
        else:
            complain(f"stdout cannot be written to: {file_trouble(error)}")
            discard_stdout()
        return BAD_USAGE
    return outcome if isinstance(outcome, int) else DONE


def _in_plain_words(said: str) -> str:
    """Return what the library says of a wrong command line, without the parts that mean nothing to its author."""
    said = said.replace("Value error, ", "")
    if said.startswith("Got unexpected extra argument"):
        said += ": put text of several words in quotes; `--help` shows the options"
    return said


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        print(f"nostrbot {metadata.version('nostrbot')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Settlements of Bitcoin ATMs, signed over Nostr, made into an exact and provable ledger."""
