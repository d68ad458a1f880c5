"""Sheets: rows as CSV (RFC 4180, UTF-8), with columns that stay as they are.

What lives here: the columns, and cells that no spreadsheet takes for a formula. What does not: reading (rows.py).
docs/protocol.md section 8; acceptance B5, B9. Columns are named as in the JSON. `date` beside them is local time where
the operator is; other times are unix seconds, sats are whole numbers, fiat is decimal.
"""

import codecs
import csv
import re
from io import StringIO
from typing import Any

import orjson

from nostrbot.core.local_time import local_time
from nostrbot.core.plain import View
from nostrbot.money import parse_decimal

SETTLEMENT_COLUMNS = (
    *("operator", "date", "id", "machine", "status", "error", "tx_type", "wire_sats", "principal_sats", "fee_sats"),
    *("fiat_amount", "fiat_code", "exchange_rate", "platform_fee_sats", "operator_fee_sats", "fee_mismatch_sats"),
    *("owed_to_customer_sats", "reported_wire_sats", "reported_principal_sats", "reported_fee_sats"),
    *("reported_fiat_amount", "n", "txid", "payment_hash", "preimage", "bills", "cassettes", "occurred_at"),
    *("created_at", "since", "processed_at", "event_id", "entry", "entry_hash", "notes"),
)
LEG_COLUMNS = (
    *("operator", "date", "id", "settlement", "type", "lp", "label", "party", "machine", "sats", "fiat", "currency"),
    *("rate", "status", "reason", "at", "entry", "entry_hash"),
)
DEPOSIT_COLUMNS = (
    *("operator", "date", "id", "lp", "machine", "amount", "currency", "status", "reversed", "note", "created_at"),
    *("confirmed_at",),
)

# What makes a spreadsheet read a cell as a formula; the wide forms count in East Asian settings.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_GUARD = "'"
# What a spreadsheet, in English or in Spanish, would make a number, a date or a truth of, and show otherwise than it
# stands.
_MONTH = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?|ene(?:ro)?|febrero|marzo|abr(?:il)?|mayo|junio|julio|ago(?:sto)?|set|sep?tiembre"
    "|octubre|noviembre|dic(?:iembre)?)"
)
_CURRENCY = "[$\u20ac\u00a3\u00a5\uffe5]"
_MISTAKEN = re.compile(
    rf"\s*(?:{_CURRENCY}\s*)?\u2212?[0-9.,][0-9.,:/\s-]*(?:e[+-]?[0-9]+|[ap]m?|%|{_CURRENCY})?\s*|true|false|verdadero|falso"
    rf"|[0-9]{{1,4}}(?:[-/. ]*| de ){_MONTH}(?:(?:[-/. ,]*| de )[0-9]{{1,4}})?"
    rf"|{_MONTH}[-/. ]*[0-9]{{1,4}}(?:[-/. ,]+[0-9]{{1,4}})?",
    re.IGNORECASE | re.ASCII,
)
_TEXT_COLUMNS = frozenset(
    {
        *("operator", "machine", "lp", "label", "party", "txid", "payment_hash", "preimage", "event_id", "entry_hash"),
        *("note", "fiat_code", "currency"),
    }
)


def header(columns: tuple[str, ...]) -> bytes:
    """Return the first line of a sheet, after the mark by which Excel knows UTF-8."""
    return codecs.BOM_UTF8 + _line(columns)


def row_line(columns: tuple[str, ...], view: View, tz: str) -> bytes:
    """Return one row. A field that a view lacks is an empty cell; lists and objects are JSON text."""
    flat = _flat(view)
    at = flat["at"] if "at" in flat else flat["created_at"]
    flat["date"] = local_time(tz, at).strftime("%Y-%m-%d %H:%M:%S")
    return _line(tuple(_cell(flat.get(name), is_text=name in _TEXT_COLUMNS) for name in columns))


def _flat(view: View) -> View:
    """Return the reported amounts beside those in force: they are the same until a settlement is corrected."""
    if "wire_sats" not in view:
        return dict(view)
    names = ("wire_sats", "principal_sats", "fee_sats", "fiat_amount")
    reported = view.get("reported", view)
    return view | {f"reported_{name}": reported[name] for name in names}


def _cell(value: Any, *, is_text: bool) -> str | int:
    if value is None:
        return ""
    if isinstance(value, int):
        return value
    return _guarded(value, is_text=is_text) if isinstance(value, str) else orjson.dumps(value).decode()


def _guarded(text: str, *, is_text: bool) -> str:
    """Make text that is only ever text: a `'` stands before a would-be formula, and before a `'`. Taking one `'` away
    from the beginning of a cell gives the text back. A negative number is none. In columns of text a number, a date or
    a truth is text as well: `00123` is a txid, `3-4` a machine, `may1` an LP.
    """
    is_formula = text.startswith(_FORMULA_STARTS) and (is_text or parse_decimal(text) is None)
    if text.startswith(_GUARD) or is_formula or (is_text and _MISTAKEN.fullmatch(text)):
        return _GUARD + text
    return text


def _line(cells: tuple[str | int, ...]) -> bytes:
    line = StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode()
