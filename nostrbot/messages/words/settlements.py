"""Words of settlements: sales, their legs, the worklist and an LP's history as people read them.

What lives here: sentences, by command. What does not: their data (views/records.py, reading/).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from nostrbot.core.plain import View
from nostrbot.views.lines import escape, escape_lines, listing


def _settlement_line(row: View) -> str:
    error = f" ({row['error']})" if row["error"] else ""
    fiat = f"{row['fiat_amount']} {escape(row['fiat_code'])}"  # as the machine said it: of a rejected one it may be anything
    frozen = ", frozen" if row["frozen"] else ""
    sold = f"{row['machine']} {row['tx_type']} {fiat}, {row['wire_sats']} sats"
    return f"{row['id']}: {sold}, {row['status']}{error}{frozen}"


def _leg_line(leg: View) -> str:
    who = leg.get("lp") or leg.get("label") or "nobody"
    cash = f" for {leg['fiat']} {leg['currency']}" if leg["fiat"] is not None else ""
    why = f" ({leg['reason']})" if leg["reason"] else ""
    return f"  {leg['id']} {leg['type']} {escape(who)}: {leg['sats']} sats{cash}, {leg['status']}{why}"


def _settlement(data: View) -> str:
    row = data["settlement"]
    fees = (
        f"principal {row['principal_sats']}, fee {row['fee_sats']} "
        f"(expected {row['platform_fee_sats']} + {row['operator_fee_sats']}, mismatch {row['fee_mismatch_sats']})"
    )
    lines = [_settlement_line(row), fees]
    if "off_pct" in row:
        rate = f"{row['exchange_rate']} sats per {escape(row['fiat_code'])}"
        lines.append(f"Look again: {rate} is {row['off_pct']} off this machine's usual rate")
    lines += [_leg_line(leg) for leg in row["legs"]]
    if row.get("more"):
        lines.append(f"  more legs: settlement show {row['id']} after={row['after']}")
    if row.get("reported"):
        reported = row["reported"]
        lines.append(f"reported as {reported['fiat_amount']} {row['fiat_code']}, {reported['wire_sats']} sats")
    if row["owed_to_customer_sats"]:
        lines.append(f"{row['owed_to_customer_sats']} sats are owed to the customer")
    if row["notes"]:
        lines.append(escape_lines(row["notes"]))
    if row["entry"] is not None:
        lines.append(f"entry {row['entry']} {row['entry_hash']}")
    if row.get("next"):
        lines.append(f"Next: {row['next']}")
    return "\n".join(lines)


def _settlements(data: View) -> str:
    return listing(
        data["settlements"], "No such settlements: machines report them by themselves.", _settlement_line, data
    )


_NO_WORK = (
    "Nothing needs you. Held settlements show here after 30 minutes, and at once in `settlement list status=pending`."
)


def _worklist(data: View) -> str:
    lines = []
    for bucket, rows in data.items():
        if isinstance(rows, list) and rows:
            lines.append(f"{bucket.replace('_', ' ')}:")
            if bucket == "unreadable":
                lines += [f"  {line}" for line in _unreadable_lines(rows)]
            else:
                lines += [f"  {_settlement_line(row)}: {row['next']}" for row in rows]
    if data.get("more"):
        lines.append("There is more: `settlement list status=…` shows all.")
    return "\n".join(lines) or _NO_WORK


def _unreadable(data: View) -> str:
    lines = [f"still there: {line}" for line in _unreadable_lines(data["unreadable"])]
    return "\n".join(["The report is off your worklist.", *lines])


def _unreadable_lines(rows: list[View]) -> list[str]:
    return [
        f"{escape(row['machine'])} {datetime.fromtimestamp(row['at'], UTC):%Y-%m-%d %H:%M} UTC: "
        f"{escape(row['detail'])}: ask the machine what it sold, book it by "
        f"`settlement add`, then `unreadable dismiss {row['event_id']}`"
        for row in rows
    ]


def _history_line(row: View) -> str:
    cash = f" for {row['fiat']} {row['currency']}" if row["fiat"] is not None else ""
    why = f" ({row['reason']})" if row["reason"] else ""
    source = row["settlement"] or "apart from any sale"
    where = f"{row['machine']} {source}, {row['operator']}"
    return f"{row['id']}: {row['sats']} sats{cash}, {row['status']}{why}, {where}"


def _history(data: View) -> str:
    return listing(data["history"], "Nothing yet.", _history_line, data)


SETTLEMENT_WORDS: Mapping[str, Callable[[Any], str]] = {
    "settlement list": _settlements,
    "settlement show": _settlement,
    "settlement note": _settlement,
    "settlement release": _settlement,
    "settlement reset": _settlement,
    "settlement retry": _settlement,
    "settlement partial": _settlement,
    "settlement refund": _settlement,
    "settlement add": _settlement,
    "worklist": _worklist,
    "unreadable dismiss": _unreadable,
    "history": _history,
}
