"""An export: settlements, legs or deposits of one operator or all, as bytes for a file.

What lives here: how rows become a file. What does not: rows (rows.py), sheets (sheet.py), ledgers (beancount.py), and
writing it (cli/output.py). docs/protocol.md section 8; acceptance B5. Everything is read as it was at one moment,
beside a running bot.
"""

from collections.abc import AsyncGenerator, AsyncIterator

import orjson

from nostrbot.core.book import Book
from nostrbot.core.plain import View
from nostrbot.errors import ConfigError
from nostrbot.exports.beancount import ledger_lines
from nostrbot.exports.request import ExportForm, ExportRequest, ExportSubject
from nostrbot.exports.rows import Title, deposit_rows, leg_rows, read_titles, settlement_rows
from nostrbot.exports.sheet import DEPOSIT_COLUMNS, LEG_COLUMNS, SETTLEMENT_COLUMNS, header, row_line
from nostrbot.nostr.keys import npub
from nostrbot.store.queries import Queries
from nostrbot.store.store import Store

COLUMNS = {
    ExportSubject.SETTLEMENTS: SETTLEMENT_COLUMNS,
    ExportSubject.LEGS: LEG_COLUMNS,
    ExportSubject.DEPOSITS: DEPOSIT_COLUMNS,
}


async def export(store: Store, wish: ExportRequest, bot: str, platform: str) -> AsyncGenerator[bytes, None]:
    """Yield the export's bytes, piece by piece. `bot`, `platform`: keys (hex). Raises ConfigError, BooksError."""
    async with store.queries.as_of_now() as queries:
        titles = await read_titles(queries, wish.operator)
        if wish.form is ExportForm.BEANCOUNT:
            pieces = ledger_lines(queries, _only(titles), bot)
        else:
            books = await _live_books(store, bot, platform) if wish.subject is ExportSubject.DEPOSITS else {}
            rows = _rows(queries, wish.subject, titles, books)
            pieces = _sheet(rows, COLUMNS[wish.subject]) if wish.form is ExportForm.CSV else _json_array(rows)
        async for piece in pieces:
            yield piece


def _only(titles: list[Title]) -> Title:
    if not titles:
        raise ConfigError("no operator has a book here yet: there is no ledger to export")
    if len(titles) > 1:
        names = ", ".join(f"{title.handle} {npub(title.key)}" for title in titles[:10])
        raise ConfigError(f"a ledger is one operator's: add --operator, one of {names}")
    return titles[0]


async def _live_books(store: Store, bot: str, platform: str) -> dict[str, Book]:
    return {key: live.book for key, live in (await store.load_books(bot, platform)).items()}


async def _rows(
    queries: Queries, subject: ExportSubject, titles: list[Title], books: dict[str, Book]
) -> AsyncIterator[tuple[Title, View]]:
    for title in titles:
        match subject:
            case ExportSubject.SETTLEMENTS:
                rows = settlement_rows(queries, title)
            case ExportSubject.LEGS:
                rows = leg_rows(queries, title)
            case ExportSubject.DEPOSITS:
                rows = deposit_rows(title, books[title.key])
        async for row in rows:
            yield title, row


async def _sheet(rows: AsyncIterator[tuple[Title, View]], columns: tuple[str, ...]) -> AsyncIterator[bytes]:
    yield header(columns)
    async for title, view in rows:
        yield row_line(columns, view, title.tz)


async def _json_array(rows: AsyncIterator[tuple[Title, View]]) -> AsyncIterator[bytes]:
    before = b"[\n"
    async for _, view in rows:
        yield before + orjson.dumps(view)
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"
