"""Commands of auditors: `audit export`, `audit verify`.

What lives here: their arguments. What does not: verifying, and what is said of it (audit/). docs/protocol.md section 8.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from nostrbot.cli import followers
from nostrbot.cli.terminal import (
    DONE,
    NO,
    HomeOption,
    JsonOption,
    OutputOption,
    home_at,
    passphrase,
    public_key,
    run_until_done,
)
from nostrbot.home.keyfile import read_key_file

app = typer.Typer()
audit = typer.Typer(help="Export and verify a book's trail.", no_args_is_help=True)
audit.add_typer(followers.app)
app.add_typer(audit, name="audit")


@audit.command("export")
def audit_export(
    operator: Annotated[str, typer.Option("--operator", help="The operator's npub.")],
    home: HomeOption = None,
    output: OutputOption = None,
) -> int:
    """Write an operator's trail: every signed input and every decision. Works while the bot runs.

    Example: nostrbot audit export --home ./bot --operator npub1… -o trail.jsonl
    """
    from nostrbot.cli.output import write_out
    from nostrbot.exports.trail import export_trail
    from nostrbot.store.store import Store

    place, book = home_at(home), public_key("--operator", operator)
    place.platform()
    keys = read_key_file(place.key_file, passphrase())

    async def export() -> int:
        store = await Store.open_as_it_is(place.database_url())
        try:
            await write_out(export_trail(store.queries, keys.pubkey, book), output)
        finally:
            await store.close()
        return DONE

    return run_until_done(export())


@audit.command("verify")
def audit_verify(
    file: Annotated[Path, typer.Argument(help="The trail; - reads it from stdin.")],
    bot: Annotated[str | None, typer.Option("--bot", help="The npub of the bot this must come from.")] = None,
    platform: Annotated[
        str | None, typer.Option("--platform", help="The npub of the platform that must have opened the book.")
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", help="Your key file: checks messages to and from you. May be repeated."),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A checkpoint's event; the trail must match it. May be repeated."),
    ] = None,
    receipt: Annotated[
        list[Path] | None,
        typer.Option(
            "--receipt", help="The answer to `receipt <leg> --json`; the trail must match it. May be repeated."
        ),
    ] = None,
    lp: Annotated[str | None, typer.Option("--lp", help="The npub of the LP the receipts must belong to.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Number of processes; all cores if not given.", min=1, max=64)
    ] = None,
    json: JsonOption = False,
) -> int:
    """Verify a trail: signatures, chain, and every decision made again. Exit 1 names the first difference.

    Example: nostrbot audit verify trail.jsonl --bot npub1…
    """
    from nostrbot.audit.verdicts import TrailCase, cores, judge_trail

    case = TrailCase(
        file,
        bot=None if bot is None else public_key("--bot", bot),
        platform=None if platform is None else public_key("--platform", platform),
        lp=None if lp is None else public_key("--lp", lp),
        jobs=jobs or cores(),
        keys=key or (),
        checkpoints=checkpoint or (),
        receipts=receipt or (),
        passphrase=passphrase(),
    )
    with _progress_shown() as progress:
        verdict = judge_trail(case, json=json, progress=progress)
    print(verdict.text)
    return DONE if verdict.holds else NO


@contextmanager
def _progress_shown() -> Iterator[Callable[[int], None] | None]:
    """Show progress on the terminal, if somebody looks at one; the line disappears at the end."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed} entries verified"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda entries: shown.update(task, completed=entries)
