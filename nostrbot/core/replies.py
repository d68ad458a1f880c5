"""Replies: the answer to a command, as one JSON object or as a few plain words.

What lives here: sentences, and the frame around data. What does not: the data (core/views.py and those beside it,
reading/), receipts (core/receipts.py) and other nouns' words (core/*_words.py). docs/protocol.md section 6. What people
typed is shown escaped, so that no name can play tricks with the reader's screen (faults.md row 45). An answer fits in one
event.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from nostrbot.core.commands import Code, Refused
from nostrbot.core.figures_words import FIGURES_WORDS
from nostrbot.core.help_words import HELP_WORDS
from nostrbot.core.json_text import json_text
from nostrbot.core.lines import escape, escape_lines, listing
from nostrbot.core.machine_words import MACHINE_WORDS
from nostrbot.core.plan_words import PLAN_WORDS
from nostrbot.core.states import Mode
from nostrbot.core.trust_words import TRUST_WORDS
from nostrbot.core.views import View
from nostrbot.nostr.giftwrap import WRAPPED_TEXT_MAX_BYTES, text_bytes
from nostrbot.nostr.sealing import Scheme

REPLY_BYTES_MAX = 40 * 1024  # plain text; encrypted and wrapped it stays under the 65,536 bytes relays take
REFUSED = "Refused: "  # how every plain refusal begins, so that a program can tell without --json

Data = View | list[View]


class Shortened(list[View]):
    """The rows of a bare list that fit in one event, when others do not: the answer says so beside them."""


def answer(verb: str, data: Data, *, json: bool, preview: bool = False) -> str:
    """The answer to a command that did, or would do, what it says."""
    if json:
        frame: dict[str, Any] = {"ok": True, "command": verb, "data": data}
        if preview:
            frame["preview"] = True
        if isinstance(data, Shortened):
            frame["more"] = True
        return json_text(frame)
    words = WORDS.get(verb, _no_words)(data)
    return f"Preview, nothing is changed:\n{words}" if preview else words


def fits(text: str, scheme: Scheme) -> bool:
    """Whether an answer fits in one event; wrapped twice, less does."""
    if scheme is Scheme.NIP17:
        return text_bytes(text) <= WRAPPED_TEXT_MAX_BYTES
    return len(text.encode()) <= REPLY_BYTES_MAX


def answer_that_fits(verb: str, text: str, *, json: bool, scheme: Scheme) -> str:
    """The answer itself, or a refusal in its place when it is too long for one event."""
    if fits(text, scheme):
        return text
    too_long = Refused(Code.TOO_LONG, "the answer is too long for one message: ask for less, by machine= or limit=")
    return refusal(verb, too_long, json=json)


def refusal(verb: str, refused: Refused, *, json: bool) -> str:
    """The answer to a command that was refused: the reason, and what can be done."""
    if json:
        error = {"code": refused.code, "message": refused.message}
        return orjson.dumps({"ok": False, "command": verb, "error": error}).decode()
    return f"{REFUSED}{escape(refused.message)} [{refused.code}]"


def is_refusal(text: str) -> bool:
    """Tell from an answer's text alone whether the command was refused."""
    if text.startswith("{"):
        try:
            return orjson.loads(text).get("ok") is False
        except orjson.JSONDecodeError:
            return False
    return text.startswith(REFUSED)


def _no_words(data: Any) -> str:
    return escape_lines(json_text(data, indented=True))


def _operator(data: View) -> str:
    operator = data["operator"]
    state = "active" if operator["active"] else "suspended"
    return f"Operator {operator['name']} ({operator['npub']}), {operator['tz']}, {state}."


def _operator_added(data: View) -> str:
    return f"{_operator(data)}\nNext: they say `help` to this bot, and enrol their machines."


def _operator_replaced(data: View) -> str:
    if data.get("unchanged"):
        return f"{_operator(data)}\nNothing changed: it had this key already. If that one was stolen, say its new one."
    return f"{_operator(data)}\nWhat any other key says in its name is a stranger's from now on."


def _machine_freed(data: View) -> str:
    machine = data["machine"]
    return (
        f"Freed {machine['npub']} from {machine['freed_from']}, which is told: what it reports is rejected there.\n"
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
        return f"Nothing changed: {machine['name']} had the key {machine['npub']} already. If that one was stolen, say its new one."
    return f"{machine['name']} has the key {machine['npub']}: what any other signs in its name is rejected from now on."


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
        limit = f" (its limit, {lp['limit']} a day, counts in mode fixed only)"
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


_NO_WORK = "Nothing needs you. What is held shows here after 30 minutes; at once in `settlement list status=pending`."


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
    return "\n".join(["It is off your worklist.", *lines])


def _unreadable_lines(rows: list[View]) -> list[str]:
    return [
        f"{escape(row['machine'])} {datetime.fromtimestamp(row['at'], UTC):%Y-%m-%d %H:%M} UTC: {escape(row['detail'])}: ask the machine what it sold, book it by "
        f"`settlement add`, then `unreadable dismiss {row['event_id']}`"
        for row in rows
    ]


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
    return f", {row['frozen_sats']} of them frozen until it has looked into them" if "frozen_sats" in row else ""


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


def _history_line(row: View) -> str:
    cash = f" for {row['fiat']} {row['currency']}" if row["fiat"] is not None else ""
    why = f" ({row['reason']})" if row["reason"] else ""
    source = row["settlement"] or "apart from any sale"
    where = f"{row['machine']} {source}, {row['operator']}"
    return f"{row['id']}: {row['sats']} sats{cash}, {row['status']}{why}, {where}"


def _history(data: View) -> str:
    return listing(data["history"], "Nothing yet.", _history_line, data)


def receipt_words(receipt: View) -> str:
    """A receipt as people read it, in answer to `receipt` and by itself when a leg is completed."""
    if receipt["status"] == "voided":
        return f"Receipt {receipt['receipt']} of {receipt['sats']} sats is void: `history` shows what replaced it."
    if receipt["fiat"] is None:
        bought = f"You received {receipt['sats']} sats of commission"
    else:
        bought = f"You received {receipt['sats']} sats for {receipt['fiat']} {receipt['currency']}"
        bought += f" ({receipt['rate']} sats per {receipt['currency']})"
    lines = [f"{bought} at {receipt['machine']}, {receipt['operator']}."]
    if receipt["corrects"]:
        lines.insert(
            0, f"Corrected, in place of {', '.join(receipt['corrects'])}: your operator set right what was dispensed."
        )
    if receipt["balance_after"] is not None:
        lines.append(f"Left in the machine: {receipt['balance_after']} {receipt['currency']}.")
    apart = "out of the operator's own sats" if receipt["fiat"] else "what had waited for your key in commission splits"
    what = f"settlement {receipt['settlement']}" if receipt["settlement"] else apart
    lines.append(f"Receipt {receipt['receipt']}, {what}, tag {receipt['tag']}.")
    lines.append(f"Journal entry {receipt['entry']} {receipt['entry_hash']}")
    return "\n".join(lines)


def void_words(where: str, number: int, legs: list[int], *, entry: int, entry_hash: str) -> str:
    """What an LP is told when receipts of it are void and nothing comes in their place; `where`: machine, operator."""
    which = ", ".join(f"l{leg}" for leg in legs)
    return (
        f"Void: receipt {which} of settlement s{number} at {where}. The sale did not take place as "
        f"reported; your cash is as it was before. `balance` shows it.\nJournal entry {entry} {entry_hash}"
    )


def payment_void_words(where: str, leg: int, given_back: str, *, entry: int, entry_hash: str) -> str:
    """What an LP is told when what it was paid apart from any sale is taken back; `where`: machine, operator."""
    return (
        f"Void: receipt l{leg} at {where}. Your operator took this payment back: {given_back}. "
        f"`balance` shows it.\nJournal entry {entry} {entry_hash}"
    )


def frozen_words(where: str, sats: int, sales: int, *, entry: int, entry_hash: str) -> str:
    """What an LP is told when sats of it are frozen; `where`: machine, operator."""
    what = "a sale" if sales == 1 else f"{sales} sales"
    return (
        f"Frozen: {sats} sats of {what} at {where}. The machine's key may have been stolen, so your operator looks into "
        f"each sale; until then these sats are kept and cannot leave. `balance` shows them.\n"
        f"Journal entry {entry} {entry_hash}"
    )


def moved_void_words(where: str, legs: list[int], *, entry: int, entry_hash: str) -> str:
    """What an LP is told when all that had waited for its key is gone, because its sales were undone."""
    which = ", ".join(f"l{leg}" for leg in legs)
    return (
        f"Void: receipt {which} of commission at {where}. The sales it came from did not take place as reported. "
        f"`balance` shows what is yours.\nJournal entry {entry} {entry_hash}"
    )


def enrolled_words(operator: str, machine: str, name: str) -> str:
    """What an LP is told that takes part with another operator when this one enrolled it."""
    return (
        f"{operator} enrolled you as {name} at {machine}. It knows nothing of what you chose with other operators, and you "
        f"take no part there, until you send `join`. If you do not know {operator}, do nothing."
    )


def freed_words(key: str, machine: str) -> str:
    """What an operator is told when the platform took a machine's key from it."""
    return (
        f"The platform took the key {key} of {machine} from your book: what it reports is rejected here from now on, and "
        f"another operator may enrol it. To go on with {machine}, give it another key: machine rotate {machine} <npub>. "
        "If it is your machine, ask the platform."
    )


def key_free_words(key: str) -> str:
    """What an operator is told that was refused a machine's key which the platform has freed since."""
    return f"The key {key}, which you wanted to enrol, is free now: send your `machine add` or `machine rotate` again."


def rotated_words(old: str, new: str) -> str:
    """What people are told when the bot has another key; both are npubs."""
    return (
        f"I have a new key: {new}. Write to it from now on; what is sent to {old} is not read any more. The old key "
        f"named the new one and the platform countersigned it, for everybody to see. Your balances are as they were."
    )


def _whoami(data: View) -> str:
    who = data["whoami"]
    return f"You are {who['npub']}: {', '.join(who['roles'])}."


WORDS: Mapping[str, Callable[[Any], str]] = {
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
    "settlement list": _settlements,
    "settlement show": _settlement,
    "settlement note": _settlement,
    "settlement release": _settlement,
    "settlement reset": _settlement,
    "settlement retry": _settlement,
    "settlement partial": _settlement,
    "settlement refund": _settlement,
    "settlement add": _settlement,
    "machine rotate": _machine_rotated,
    "guard": _machine,
    "worklist": _worklist,
    "unreadable dismiss": _unreadable,
    "splits show": _splits,
    "splits set": _splits,
    "splits clear": _splits,
    "balance": _balance,
    "history": _history,
    "receipt": receipt_words,
    "whoami": _whoami,
    **MACHINE_WORDS,
    **PLAN_WORDS,
    **FIGURES_WORDS,
    **TRUST_WORDS,
    **HELP_WORDS,
}
