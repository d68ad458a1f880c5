"""Commands of auditors: `audit export`, `audit verify`.

What lives here: their arguments, and a verdict in words. What does not: verifying (audit.py). docs/protocol.md section 8.
"""

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

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
from nostrbot.errors import ConfigError, TrailError
from nostrbot.keyfile import read_key_file
from nostrbot.nostr.keys import npub

app = typer.Typer()
audit = typer.Typer(help="Take out and verify a book's trail.", no_args_is_help=True)
app.add_typer(audit, name="audit")


@audit.command("export")
def audit_export(
    operator: Annotated[str, typer.Option("--operator", help="The operator's npub.")],
    home: HomeOption = None,
    output: OutputOption = None,
) -> int:
    """Write an operator's trail: every signed input and what was decided from it. Works while the bot runs.

    Example: nostrbot audit export --home ./bot --operator npub1… -o trail.jsonl
    """
    from nostrbot.exports.trail import export_trail
    from nostrbot.output import write_out
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
    file: Annotated[Path, typer.Argument(help="The trail.")],
    bot: Annotated[str | None, typer.Option("--bot", help="The npub of the bot it must be of.")] = None,
    json: JsonOption = False,
) -> int:
    """Verify a trail: signatures, chain, and every decision made again. Exit 1 names the first difference.

    Example: nostrbot audit verify trail.jsonl --bot npub1…
    """
    from nostrbot.audit.verification import verify_trail
    from nostrbot.core.book import ROOT

    pubkey = None if bot is None else public_key("--bot", bot)
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
