"""Words about machines: the answers on cassettes, telemetry and the fleet as people read them.

What lives here: sentences, by command. What does not: their data (views/machines.py) and the frame of an answer
(messages/replies.py). docs/protocol.md section 6.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from nostrbot.core.atm.settlements.facts import PaymentHashShared
from nostrbot.core.facts import Fact
from nostrbot.core.local_time import DAY_S, HOUR_S, MINUTE_S
from nostrbot.core.plain import View
from nostrbot.views.lines import escape, listing

SKEW_SHOWN_S = MINUTE_S  # less is the network's, or a clock good enough


def shared_hash_notice(facts: tuple[Fact, ...]) -> str | None:
    """Tell an operator that a payment hash came a second time; None if it did not."""
    shared = next((fact for fact in facts if isinstance(fact, PaymentHashShared)), None)
    if shared is None:
        return None
    others = ", ".join(f"s{number}" for number in shared.others)
    if shared.is_proven:
        return (
            f"s{shared.number} of {shared.machine} has the preimage of its payment hash. The same hash came without "
            f"the preimage in {others}: this cannot be true and is frozen. Look at {others}, then say `settlement "
            "refund <id> reason=…`."
        )
    return (
        f"s{shared.number} of {shared.machine} has the same payment hash as {others}: one sale was reported twice, or "
        "one is false. "
        "Both count. Look at both with `settlement show <id>`, then say `settlement refund <id> reason=…` for the "
        "false sale."
    )


def duration(seconds: int) -> str:
    """Return a length of time in its largest whole unit: `45 s`, `7 min`, `3 h`, `2 days`."""
    if seconds < MINUTE_S:
        return f"{seconds} s"
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S} min"
    if seconds < 2 * DAY_S:
        return f"{seconds // HOUR_S} h"
    return f"{seconds // DAY_S} days"


def _cassette_line(cassette: View) -> str:
    stated = f"{cassette['state_count']} x {cassette['state_denomination']}"
    as_stated = cassette["denomination"] == cassette["state_denomination"] and not cassette["drift"]
    difference = "as the machine stated" if as_stated else f"the machine stated {stated}"
    return f"{escape(cassette['position'])}: {cassette['count']} x {cassette['denomination']}, {difference}"


def _cassettes(data: View) -> str:
    nothing = f"{data['machine']} has not stated its cassettes yet: it does so by itself."
    return listing(data["cassettes"], nothing, _cassette_line, data)


def _cassette(data: View) -> str:
    machine = data["machine"]
    return f"Expected now at {machine}: {_cassette_line(data['cassette'])}\nNext: cassette publish {machine}"


def _counted(data: View) -> str:
    variance, currency, machine = data["variance"], data["currency"], data["machine"]
    if not variance.strip("-0."):
        found = "just what was expected"
    elif variance.startswith("-"):
        found = f"{variance.removeprefix('-')} {currency} less than expected; booked as a variance"
    else:
        found = f"{variance} {currency} more than expected; booked as a variance"
    lines = [_cassette_line(cassette) for cassette in data["cassettes"]]
    return "\n".join([f"Counted at {machine}: {found}.", *lines, f"Next: cassette publish {machine}"])


def _published(data: View) -> str:
    lines = [f"{escape(row['position'])}: {row['count']} x {row['denomination']}" for row in data["cassettes"]]
    return "\n".join([f"{data['machine']} will be told that its cassettes hold:", *lines])


def _telemetry(data: View) -> str:
    machine, lines = data["machine"], []
    if data["beacon"]:
        lines.append(f"{machine} says of itself: {_fields(data['beacon'])}")
    if data["telemetry"] is not None:
        lines.append(f"Its telemetry: {_fields(data['telemetry'])}")
    return "\n".join(lines) or f"{machine} has told nothing about itself yet."


def _fields(told: View) -> str:
    return ", ".join(f"{escape(name)} {escape(_shown(value))}" for name, value in told.items()) or "nothing"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else orjson.dumps(value).decode()


def _fleet(data: View) -> str:
    return listing(data["fleet"], "No machines yet: `help machine add` shows how", _fleet_line, data)


def _fleet_line(row: View) -> str:
    parts = ["" if row["active"] else "suspended", _heard(row), _services(row["beacon"])]
    parts.append(f"today {row['fiat_today']} {row['fiat']}")
    if row["notes"]:
        parts.append(f"{row['notes']} notes, {row['cash']} {row['fiat']} in its cassettes")
    if row["missing"]:
        parts.append(f"missing settlements {', '.join(row['missing'])}")
    if row["jump"]:
        parts.append(f"its counter jumped from {row['jump']['from']} to {row['jump']['to']}")
    return f"{row['machine']}: {'; '.join(part for part in parts if part)}"


def _heard(row: View) -> str:
    heard = "no beacon yet" if row["heard_s"] is None else f"heard {duration(row['heard_s'])} ago"
    skew = row["skew_s"] or 0
    if abs(skew) < SKEW_SHOWN_S:
        return heard
    return f"{heard}, its clock is {duration(abs(skew))} {'ahead' if skew > 0 else 'behind'}"


def _services(beacon: View) -> str:
    """Return what the machine can do now, as its beacon says."""
    said = [
        f"{name.replace('_', '-')} {'on' if beacon[name] else 'off'}"
        for name in ("cash_in", "cash_out")
        if name in beacon
    ]
    if "cash_level" in beacon:
        said.append(f"cash level {escape(beacon['cash_level'])}")
    return ", ".join(said)


def _compromised(data: View) -> str:
    machine, frozen = data["machine"], data["frozen"]
    name = machine["name"]
    state = "is active" if machine["active"] else "is suspended"
    priced = _priced(data)
    if not frozen["count"]:
        return f"{name} {state}; none of its sales since {frozen['since_local']} is left to freeze.{priced}"
    sums = ", ".join(f"{one['count']} {status} ({one['wire_sats']} sats)" for status, one in frozen["statuses"].items())
    more = ", …" if frozen.get("more") else ""
    return (
        f"{name} {state}. Frozen since {frozen['since_local']}: {sums}. Of that {frozen['lp_sats']} sats are LPs', "
        f"{frozen['own_sats']} yours.\n"
        f"{', '.join(frozen['settlements'])}{more}: `settlement list machine={name} since={frozen['since']}` shows "
        "all.\n"
        f'Next, for each: settlement release <s> if it is true, settlement refund <s> reason="…" if it is not; then '
        f"machine rotate {name} <new npub> and machine resume {name}{priced}"
    )


def _priced(data: View) -> str:
    """List the payments to LPs at rates that may be a thief's, and how to take them back."""
    if not data["priced"]:
        return ""
    more = ", …" if data.get("more") else ""
    return (
        "\nPaid there since then in fixed mode or by settle, at rates that may be false: "
        f"{', '.join(data['priced'])}{more}"
        f': payment void <leg> reason="…" takes a payment back; `payment list machine={data["machine"]["name"]}` '
        "shows all"
    )


def _missing(data: View) -> str:
    missing = ", ".join(data["missing"])
    if missing:
        return f"{data['machine']}: still missing {missing}."
    return f"{data['machine']}: no settlement is missing; counting goes on with the next one."


MACHINE_WORDS: Mapping[str, Callable[[Any], str]] = {
    "machine compromised": _compromised,
    "cassette list": _cassettes,
    "cassette set": _cassette,
    "cassette count": _counted,
    "cassette publish": _published,
    "telemetry": _telemetry,
    "fleet": _fleet,
    "gap dismiss": _missing,
}
