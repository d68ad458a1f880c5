"""The command line: `nostrbot …`, as docs/protocol.md section 8 has it.

What lives here: the whole of it put together, and what becomes of errors. What does not: the commands, which stand in the
modules beside this one by who says them, nor anything a test would want to call without a terminal.
Exit codes: 0 done, 1 the answer is no, 2 bad usage or configuration (one line says what to change), 3 nobody answered.
"""

import os
import sys
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from nostrbot.cli import accountants, auditors, bots, clients, keeping, rotations
from nostrbot.cli.terminal import BAD_USAGE, DONE, INTERRUPTED, NO, complain
from nostrbot.errors import ConfigError, KeyTextError, NostrbotError, SealingError

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
            complain(error.format_message())
        sys.exit(BAD_USAGE)
    except (ConfigError, KeyTextError, SealingError) as error:
        complain(str(error))
        sys.exit(BAD_USAGE)
    except NostrbotError as error:
        complain(str(error))
        sys.exit(NO)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NO)
    sys.exit(outcome if isinstance(outcome, int) else DONE)


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
