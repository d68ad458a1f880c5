"""Words of parties: operators, machines, LPs, their cash and their shares as people read them.

What lives here: sentences, by command. What does not: their data (views/records.py, reading/), sales (settlements.py
beside this).
"""

from collections.abc import Callable, Mapping
from typing import Any

from nostrbot.core.atm.states import Mode
from nostrbot.core.plain import View
from nostrbot.views.fitting import Shortened
from nostrbot.views.lines import escape, listing


def _operator(data: View) -> str:
    operator = data["operator"]
    state = "active" if operator["active"] else "suspended"
    return f"Operator {operator['name']} ({operator['npub']}), {operator['tz']}, {state}."


def _operator_added(data: View) -> str:
    return f"{_operator(data)}\nNext: they say `help` to this bot, and enrol their machines."


def _operator_replaced(data: View) -> str:
    if data.get("unchanged"):
        return f"{_operator(data)}\nNothing changed: it had this key already. If that key was stolen, say the new key."
    return f"{_operator(data)}\nFrom now on any other key that speaks in its name is a stranger's."


def _machine_freed(data: View) -> str:
    machine = data["machine"]
    return (
        f"Freed {machine['npub']} from {machine['freed_from']}. I tell that operator, and from now on reject what "
        "this key reports there.\n"
        "Next: its owner sends `machine add`."
    )


def _operators(data: View) -> str:
    return listing(data["operators"], "No operators yet: operator add <npub> name=<name>",
                 lambda row: _operator({"operator": row}), data)  # fmt: skip


def _platform(data: View) -> str:
    fee = data["platform"]
    return f"Platform fee: {fee['cash_in']} of cash-in, {fee['cash_out']} of cash-out. Operators: {fee['operators']}."


_GUARDS = {
    "per_settlement": "above {} a sale",
    "per_day": "above {} a day",
    "rate": "with a rate more than {} off",
}


def _machine_line(machine: View) -> str:
    state = "active" if machine["active"] else "suspended"
    place = f", {escape(machine['location'])}" if machine["location"] else ""
    fees = f"fees {machine['cash_in']} in, {machine['cash_out']} out"
    strict = ", enforces fees" if machine["enforce_fee_match"] else ""
    guard = " or ".join(_GUARDS[name].format(limit) for name, limit in machine["guard"].items() if limit)
    held = f", sales are held {guard}" if guard else ""
    return f"{machine['name']}: {machine['fiat']}, {fees}, {state}, trust={machine['trust']}{strict}{held}{place}"


def _machine(data: View) -> str:
    return _machine_line(data["machine"])


def _machine_shown(data: View) -> str:
    return f"{_machine_line(data['machine'])}\nIts key: {data['machine']['npub']}"


def _machine_rotated(data: View) -> str:
    machine = data["machine"]
    if data.get("unchanged"):
        return f"Nothing changed: {machine['name']} had the key {machine['npub']} already. If that key was stolen, say the new key."
    return (
        f"{machine['name']} has the key {machine['npub']}. From now on I reject what any other key signs in its name."
    )


def _machine_added(data: View) -> str:
    name = data["machine"]["name"]
    return f"Enrolled {_machine_line(data['machine'])}\nNext: lp add <npub> machine={name} name=<name>"


def _machines(data: View) -> str:
    return listing(data["machines"], "No machines yet: `help machine add` shows how", _machine_line, data)


def _lp_line(lp: View) -> str:
    joined = f"mode {lp['mode']}{', paused' if lp['paused'] else ''}" if lp["lp_onboarded"] else "has not joined yet"
    seats = "; ".join(
        f"{seat['machine']} {seat['remaining']} {seat['currency']} left{'' if seat['active'] else ' (suspended)'}"
        for seat in lp["machines"]
    )
    more = "; there are more machines: `balances` shows all" if lp.get("more") else ""
    return f"{lp['name']}: {joined}, {lp['sats']} sats; {seats}{more}"


def _lp(data: View) -> str:
    return _lp_line(data["lp"])


def _lp_added(data: View) -> str:
    lp = data["lp"]
    if lp["lp_onboarded"]:
        machine = lp["machines"][-1]["machine"]
        return f"Enrolled {_lp_line(lp)}\nNext: deposit add {lp['name']} <amount> machine={machine}"
    return f"Enrolled {_lp_line(lp)}\nNext: they send `join` to this bot; then you can add deposits."


def _lps(data: View) -> str:
    return listing(data["lps"], "No LPs yet: `help lp add` shows how", _lp_line, data)


def _preferences(data: View) -> str:
    lp = data["lp"]
    limit = f", up to {lp['limit']} a day" if lp["limit"] else ""
    if lp["mode"] == Mode.FIXED:
        limit += ", at your operator's times"
    elif limit:
        limit = f" (your limit, {lp['limit']} a day, counts in mode fixed only)"
    paused = ", paused until you `resume`" if lp["paused"] else ""
    forward = f", sats go on to {lp['forward']} once I can pay over Lightning" if lp["forward"] else ""
    return f"You are in as {lp['name']}: mode {lp['mode']}{limit}{paused}{forward}. `balance` shows your cash and sats."


_DEPOSIT_NEXT = {
    "pending": "\nNext, when the cash is in the machine: deposit confirm {id}",
    "confirmed": "",
    "cancelled": "",
    "reversed": "",
}


def _deposit_line(deposit: View) -> str:
    note = f" ({escape(deposit['note'])})" if deposit["note"] else ""
    back = f", {deposit['reversed']} taken back" if deposit["reversed"].strip("0.") else ""
    amount = f"{deposit['amount']} {deposit['currency']}"
    return f"{deposit['id']}: {deposit['lp']} {amount} at {deposit['machine']}, {deposit['status']}{back}{note}"


def _deposit(data: View) -> str:
    deposit = data["deposit"]
    return f"Deposit {_deposit_line(deposit)}{_DEPOSIT_NEXT[deposit['status']].format(id=deposit['id'])}"


def _deposits(data: View) -> str:
    return listing(data["deposits"], "No such deposits: `help deposit add` shows how.", _deposit_line, data)


def _splits(data: View) -> str:
    where = f"machine {data['machine']}" if data["machine"] else "default"
    parts = ", ".join(f"{escape(rule['label'])} {rule['pct']} to {rule['to']}" for rule in data["splits"])
    source = "" if data["source"] == "own" else f" (follows the {data['source']})"
    words = f"Splits, {where}{source}: {parts or 'all to you'}."
    if "last_month" in data:
        paid = ", ".join(f"{escape(rule['label'])} {rule['sats']} sats" for rule in data["last_month"])
        words += f"\nThe last 30 days would have paid {paid}."
    if not parts:
        words += " `help splits set` shows how to share it."
    return words


def _balance(rows: Any) -> str:
    lines = [
        f"{row['operator']} {row['machine']}: {row['remaining']} {row['currency']} left of {row['deposited']} "
        f"deposited; {row['sats']} sats with this operator{_frozen(row)}"
        for row in rows
    ]
    if isinstance(rows, Shortened):
        lines.append("There is more: add operator=<operator> or machine=<machine>")
    return "\n".join(lines) or "Nothing yet."


def _frozen(row: View) -> str:
    return (
        f", {row['frozen_sats']} of them frozen until the operator has looked into them" if "frozen_sats" in row else ""
    )


def _own_deposits(data: View) -> str:
    return listing(data["deposits"], "None yet.", lambda row: f"{row['operator']} {_deposit_line(row)}", data)


def _balances(data: View) -> str:
    def line(row: View) -> str:
        return f"{row['lp']} {row['machine']}: {row['remaining']} of {row['deposited']} {row['currency']} left"

    held = data["sats"]
    lines = [
        listing(data["balances"], "No LPs yet: `help lp add` shows how", line, data),
        f"Sats: {held['held']} held; {held['lps']} owed to LPs, {held['platform']} to the platform, "
        f"{held['others']} to others, {held['operator']} yours.",
    ]
    if "frozen_sats" in data:
        frozen = data["frozen_sats"]
        lines.append(
            f"Frozen: {frozen['lps']} of what LPs are owed, {frozen['operator']} of yours. `worklist` says why."
        )
    return "\n".join(lines)


def _whoami(data: View) -> str:
    who = data["whoami"]
    return f"You are {who['npub']}: {', '.join(who['roles'])}."


PARTY_WORDS: Mapping[str, Callable[[Any], str]] = {
    "operator add": _operator_added,
    "operator list": _operators,
    "operator suspend": _operator,
    "operator resume": _operator,
    "operator replace": _operator_replaced,
    "machine free": _machine_freed,
    "platform fee": _platform,
    "platform status": _platform,
    "machine add": _machine_added,
    "machine list": _machines,
    "machine show": _machine_shown,
    "machine set": _machine,
    "machine suspend": _machine,
    "machine resume": _machine,
    "lp add": _lp_added,
    "lp list": _lps,
    "lp show": _lp,
    "lp suspend": _lp,
    "lp resume": _lp,
    "join": _preferences,
    "mode": _preferences,
    "pause": _preferences,
    "resume": _preferences,
    "forward": _preferences,
    "deposits": _own_deposits,
    "balances": _balances,
    "deposit add": _deposit,
    "deposit edit": _deposit,
    "deposit confirm": _deposit,
    "deposit cancel": _deposit,
    "deposit reverse": _deposit,
    "deposit list": _deposits,
    "machine rotate": _machine_rotated,
    "guard": _machine,
    "splits show": _splits,
    "splits set": _splits,
    "splits clear": _splits,
    "balance": _balance,
    "whoami": _whoami,
}
