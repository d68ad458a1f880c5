"""Sheets: rows as CSV (RFC 4180, UTF-8), with columns that stay as they are.

What lives here: the columns, and cells that no spreadsheet takes for a formula. What does not: reading (rows.py).
docs/protocol.md section 8; acceptance B5, B9. Columns are named as in the JSON. `date` beside them is local time where
the operator is; other times are unix seconds, sats are whole numbers, fiat is decimal.
"""

import csv
from io import StringIO
from typing import Any

import orjson

from nostrbot.core.daybook import local_time
from nostrbot.core.views import View
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


def header(columns: tuple[str, ...]) -> bytes:
    """The first line of a sheet."""
    return _line(columns)


def row_line(columns: tuple[str, ...], view: View, tz: str) -> bytes:
    """One row. What a view does not have is an empty cell; lists and objects are JSON text."""
    flat = _flat(view)
    at = flat["at"] if "at" in flat else flat["created_at"]
    flat["date"] = local_time(tz, at).strftime("%Y-%m-%d %H:%M:%S")
    return _line(tuple(_cell(flat.get(name)) for name in columns))


def _flat(view: View) -> View:
    """The amounts as reported beside those in force, which are the same until a settlement is corrected."""
    if "wire_sats" not in view:
        return dict(view)
    names = ("wire_sats", "principal_sats", "fee_sats", "fiat_amount")
    reported = view.get("reported", view)
    return view | {f"reported_{name}": reported[name] for name in names}


def _cell(value: Any) -> str | int:
    if value is None:
        return ""
    if isinstance(value, int):
        return value
    return _guarded(value) if isinstance(value, str) else orjson.dumps(value).decode()


def _guarded(text: str) -> str:
    """Text that is only ever text: with a `'` before what would be a formula, and before a `'`, so that taking one away
    from the beginning of a cell gives back what was there. A negative number is none.
    """
    if text.startswith(_GUARD) or (text.startswith(_FORMULA_STARTS) and parse_decimal(text) is None):
        return _GUARD + text
    return text


def _line(cells: tuple[str | int, ...]) -> bytes:
    line = StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().encode()
