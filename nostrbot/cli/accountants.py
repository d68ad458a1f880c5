"""Commands of accountants: `export`.

What lives here: its arguments. What does not: the rows and their forms (exports/). docs/protocol.md section 8.
"""

from typing import Annotated

import typer

from nostrbot.cli.terminal import DONE, HomeOption, OutputOption, home_at, passphrase, public_key, run_until_done
from nostrbot.exports.request import ExportForm, ExportRequest, ExportSubject
from nostrbot.home.keyfile import read_key_file

app = typer.Typer()


@app.command("export")
def export_rows(
    subject: Annotated[ExportSubject, typer.Argument(help="What to export; oldest first.", case_sensitive=False)],
    home: HomeOption = None,
    form: Annotated[
        ExportForm,
        typer.Option("--format", help="File format; beancount always exports the whole ledger.", case_sensitive=False),
    ] = ExportForm.CSV,
    operator: Annotated[
        str | None, typer.Option("--operator", help="The operator's npub; all operators if not given.")
    ] = None,
    output: OutputOption = None,
) -> int:
    """Write settlements, legs or deposits for spreadsheets, programs and accountants. Works while the bot runs.

    csv has a row for each, with times in unix seconds and in the operator's time zone; a ' stands before text that a
    spreadsheet would run as a formula. json has the fields of the bot's answers. beancount is one operator's whole
    ledger: each entry is a transaction, and bean-check proves its balance assertions.

    Example: nostrbot export settlements --home ./bot --format csv -o settlements.csv
    """
    from nostrbot.cli.output import write_out
    from nostrbot.exports.export import export
    from nostrbot.store.store import Store

    place = home_at(home)
    wish = ExportRequest(subject, form, None if operator is None else public_key("--operator", operator))
    platform = place.platform()
    keys = read_key_file(place.key_file, passphrase())

    async def write() -> int:
        store = await Store.open_as_it_is(place.database_url())
        try:
            await write_out(export(store, wish, keys.pubkey, platform), output)
        finally:
            await store.close()
        return DONE

    return run_until_done(write())
