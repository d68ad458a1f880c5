"""Words of figures: stats, statements and reports as people read them on a phone.

What lives here: sentences. What does not: the figures (reading/), all other answers (messages/replies.py). Names in
figures are handles and closed words: nothing in them was typed freely.
"""

from collections.abc import Callable, Mapping
from typing import Any

from nostrbot.core.atm.states import Mode
from nostrbot.core.local_time import local_day, local_minute
from nostrbot.core.plain import View

_RANGES = {
    "7d": "The last 7 days",
    "30d": "The last 30 days",
    "90d": "The last 90 days",
    "1y": "The last year",
    "all": "In all",
}
_STATUSES = {
    "active": "active",
    "paused": "paused until you `resume`",
    "suspended": "suspended by your operator",
    "not_joined": "not joined yet: say `join`",
}
_PERIODS = {"day": "Today so far", "week": "The last 7 days", "month": "The last 30 days"}
_RECEIVED = {"dca": "from sales and fixed times", "settlement": "settled", "operator_split": "commission"}
_DIRECTIONS = {"cash_out": "cash-out", "cash_in": "cash-in"}


def _times(count: int, one: str) -> str:
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def _stats(data: View) -> str:
    stats = data["stats"]
    mode = f"mode {stats['mode']}, " if stats["mode"] else ""
    lines = [f"{stats['sats']} sats in all, {_times(stats['purchases_ever'], 'purchase')}; "
             f"{mode}{_STATUSES[stats['status']]}."]  # fmt: skip
    if stats["sats_in_range"]:
        commission = f", {stats['commission_sats']} of them commission" if stats["commission_sats"] else ""
        lines.append(
            f"{_RANGES[stats['range']]}: {stats['sats_in_range']} sats{commission}, "
            f"{_times(stats['purchases'], 'purchase')}, {stats['per_week']} a week."
        )
    elif stats["sats"]:
        lines.append(f"{_RANGES[stats['range']]}: nothing. Say `stats range=all` for all there is.")
    else:
        comes = "at your operator's times" if stats["mode"] == Mode.FIXED else "with the next sale"
        lines.append(f"Nothing bought yet: sats come {comes} once your cash is in a machine.")
    lines += [_holding(row) for row in stats["currencies"]]
    lines += _milestones(stats["milestones"])
    for row in stats["accumulation"]:
        cost = f" for {row['fiat']} {row['currency']}" if row["fiat"].strip("0.") else " of commission"
        lines.append(f"{row.get('day') or row['month']}: {row['sats']} sats{cost}")
    if stats.get("more"):
        lines.append("There is more: ask for a shorter range.")
    return "\n".join(lines)


def _holding(row: View) -> str:
    currency = row["currency"]
    bought = ""
    if row["rate"]:
        bought = (
            f" {row['sats']} sats for {row['spent']}, on average {row['rate']} a bitcoin "
            f"({row['cost_basis']} sats per {currency});"
        )
    pending = f", {row['pending']} pending" if row["pending"].strip("0.") else ""
    worth = f"; all you bought is worth {row['worth']} by the last sale" if row["worth"] else ""
    return f"{currency}:{bought} {row['invested']} put in{pending}, {row['remaining']} left{worth}."


def _milestones(milestones: View) -> list[str]:
    lines = []
    if milestones["reached"]:
        last = milestones["reached"][-1]
        lines.append(f"Milestone reached: {last['sats']} sats on {last['day']}.")
    if milestones["next"]:
        lines.append(f"Next milestone: {milestones['next']} sats, {milestones['progress_pct']}% there.")
    return lines


def _statement(data: View) -> str:
    statement = data["statement"]
    so_far = " so far" if statement["so_far"] else ""
    lines = [f"Statement of {statement['month']}{so_far}"]
    for row in statement["cash"]:
        lines.append(f"{row['operator']} {row['machine']}, {row['currency']}:")
        lines.append(f"  opening {row['opening']}")
        lines += [
            f"  {sign} {what} {row[what]}"
            for sign, what in (("+", "deposits"), ("-", "reversals"), ("-", "payouts"), ("+", "corrections"))
            if row[what].strip("0.")
        ]
        lines.append(f"  = closing {row['closing']}")
        for part in row["received"]:
            cost = f" for {part['fiat']}" if part["fiat"].strip("0.") else ""
            lines.append(f"  {_RECEIVED[part['type']]}: {part['count']} x, {part['sats']} sats{cost}")
    if not statement["cash"]:
        lines.append("No cash in any machine.")
    for row in statement["sats"]:
        corrections = f" - corrections {row['corrections']}" if row["corrections"] else ""
        lines.append(
            f"Sats with {row['operator']}: opening {row['opening']} + received {row['received']}{corrections} "
            f"= closing {row['closing']}"
        )
    lines += [_statement_line(line) for line in statement["lines"]]
    if not statement["lines"]:
        lines.append("Nothing happened in this month: `statement month=YYYY-MM` shows another month.")
    if statement.get("more"):
        lines.append("There is more: add operator=<operator> or machine=<machine>. The sums are whole.")
    return "\n".join(lines)


def _statement_line(line: View) -> str:
    amounts = [f"{line['fiat']} {line['currency']}"] if line["fiat"] is not None else []
    if "sats" in line:
        amounts.append(f"{line['sats']} sats")
    void = " void" if line["what"] == "correction" else ""
    return (
        f"{line['day']} {line['what']} {line['id']}{void}, {line['operator']} {line['machine']}: {', '.join(amounts)}"
    )


def _report(data: View) -> str:
    report = data["report"]
    tz, since, until = report["tz"], report["since"], report["until"]
    first, last = (f"{local_day(tz, at)} {local_minute(tz, at)}" for at in (since, until))
    lines = [f"{_PERIODS[report['period']]}, {first} to {last} ({tz}):"]
    if not report["totals"]:
        return f"{lines[0]} nothing yet."
    for row in report["totals"]:
        lines += _takings(f"All in {row['currency']}", row)
    if len(report["machines"]) > len(report["totals"]) or report.get("more"):
        for row in report["machines"]:
            lines += _takings(row["machine"], row)
    if report.get("more"):
        lines.append("There are more machines: add machine=<machine>. The totals are whole.")
    if any(row["held"] or row["errored"] for row in report["totals"]):
        lines.append("Say `worklist` for what needs you.")
    return "\n".join(lines)


def _takings(title: str, row: View) -> list[str]:
    currency, lines = row["currency"], [f"{title}:"]
    for direction, name in _DIRECTIONS.items():
        statuses = ", ".join(f"{count} {status}" for status, count in row["settlements"].get(direction, {}).items())
        if statuses:
            sales = row[direction]
            lines.append(
                f"  {name}: {statuses}; {sales['fiat']} {currency}, {sales['wire_sats']} sats "
                f"(principal {sales['principal_sats']}, fee {sales['fee_sats']})"
            )
    fees = row["fees"]
    parts = [f"{fees['platform']} platform", f"{fees['yours']} yours"]
    parts += [f"{fees[whose]} to {whose}" for whose in ("lps", "others") if fees[whose]]
    off = f"; off the fees due by {row['mismatch_sats']}" if row["mismatch_sats"] else ""
    lines.append(f"  fees in sats: {', '.join(parts)}{off}")
    lines += [
        f"  {name}: {row[part]['sats']} sats for {row[part]['fiat']} {currency}"
        for part, name in (("to_lps", "to LPs"), ("own_part", "your own part"))
        if row[part]["count"]
    ]
    lines += [
        f"  {name}: {_times(paid['count'], 'payout')}, {paid['sats']} of your sats for {paid['fiat']} {currency}"
        for what, name in (("fixed", "fixed mode"), ("settle", "settled by hand"))
        if (paid := row["payouts"][what])["count"]
    ]
    if row["owed_to_customers_sats"]:
        lines.append(f"  owed to customers: {row['owed_to_customers_sats']} sats")
    if row["rejected"]:
        lines.append("  rejected: " + ", ".join(f"{count} {reason}" for reason, count in row["rejected"].items()))
    if row["held"] or row["errored"]:
        lines.append(f"  now: {row['held']} held, {row['errored']} errored")
    return lines


FIGURES_WORDS: Mapping[str, Callable[[Any], str]] = {
    "stats": _stats,
    "statement": _statement,
    "report": _report,
}
