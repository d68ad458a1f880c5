"""Plan words: fixed mode, alerts, `settle` and its reversal in sentences, and notices of a slot that paid too little.

What lives here: the words of their data. What does not: the data (views/plans.py) and all other words
(messages/replies.py). Names here are handles, so nothing needs escaping. Acceptance X9, Q3.
"""

from collections.abc import Callable, Mapping
from typing import Any

from nostrbot.core.atm.facts import LpPaid, SlotsKept
from nostrbot.core.atm.states import SkipReason
from nostrbot.core.facts import Fact
from nostrbot.core.local_time import local_time
from nostrbot.core.plain import View
from nostrbot.views.lines import listing

NAMES_SHOWN_MAX = 20  # of LPs that got nothing


def shortage_notice(facts: tuple[Fact, ...]) -> str | None:
    """Tell an operator that its own sats did not reach all LPs that were due; None if they did."""
    kept = next((fact for fact in facts if isinstance(fact, SlotsKept)), None)
    if kept is None or not kept.short_sats:
        return None
    legs = [leg for fact in facts if isinstance(fact, LpPaid) for leg in fact.legs]
    names = list(dict.fromkeys(leg.lp or "" for leg in legs if leg.reason is SkipReason.SHORT_OF_SATS))
    shown = ", ".join(names[:NAMES_SHOWN_MAX])
    others = f" and {len(names) - NAMES_SHOWN_MAX} others" if len(names) > NAMES_SHOWN_MAX else ""
    return (
        f"Fixed mode {', '.join(kept.slots)}: your own sats did not reach {shown}{others}; {kept.short_sats} more "
        "were needed. The missed payments are due again at the next time today, if there is one."
    )


def unsettled_notice(facts: tuple[Fact, ...]) -> str | None:
    """Tell an operator which machines had no settled price when a slot had its turn; None if all had one."""
    kept = next((fact for fact in facts if isinstance(fact, SlotsKept)), None)
    skipped = [
        fact
        for fact in facts
        if isinstance(fact, LpPaid) and any(leg.reason is SkipReason.PRICE_UNSETTLED for leg in fact.legs)
    ]
    if kept is None or not skipped:
        return None
    shown = ", ".join(
        f"{fact.machine} (usually {fact.rate} sats per {fact.currency})" for fact in skipped[:NAMES_SHOWN_MAX]
    )
    others = f" and {len(skipped) - NAMES_SHOWN_MAX} others" if len(skipped) > NAMES_SHOWN_MAX else ""
    return (
        f"Fixed mode {', '.join(kept.slots)}: nothing was paid where the newest sale's rate is far off the usual rate: "
        f"{shown}{others}. Look at `settlement list machine={skipped[0].machine}`: if that sale is false, `settlement "
        "refund` it. If the price has moved, more sales settle it, or pay now by `settle` with rate=. The missed "
        "payments are due again at the next time today, if there is one."
    )


def _fixed_plan(fixed: View) -> str:
    if not fixed["schedule"]:
        return f"Fixed mode is off: `fixed schedule 08:00,20:00` turns it on; up to {fixed['limit']} an LP a day."
    return f"Fixed mode: at {', '.join(fixed['schedule'])} ({fixed['tz']}), up to {fixed['limit']} an LP a day."


def _fixed_set(data: View) -> str:
    return f"{_fixed_plan(data['fixed'])} `fixed show` shows what was given today."


def _fixed(data: View) -> str:
    fixed = data["fixed"]
    today = fixed["today"]
    given = ", ".join(f"{row['lp']} {row['fiat']} {row['currency']}" for row in today["given"])
    more = " and others" if today.get("more") else ""
    lines = [_fixed_plan(fixed), f"Given on {today['day']}: {given or 'nothing'}{more}."]
    if fixed["next_at"] is not None:
        lines.append(f"Next: {local_time(fixed['tz'], fixed['next_at']):%Y-%m-%d %H:%M}.")
    return "\n".join(lines)


def _alerts(data: View) -> str:
    alerts = data["alerts"]
    sheet = f"the fleet sheet comes at {alerts['sheet']}" if alerts["sheet"] else "no fleet sheet comes by itself"
    return (
        f"A machine is down after {alerts['down_s'] // 60} minutes without a beacon, stuck after "
        f"{alerts['stuck_s'] // 60}; a cassette is low under {alerts['low']} banknotes; {sheet}."
    )


def _settled(data: View) -> str:
    leg = data["leg"]
    off = f", {leg['off_pct']} off the usual price" if "off_pct" in leg else ""
    return (
        f"{leg['lp']} received {leg['sats']} of your sats for {leg['fiat']} {leg['currency']} at {leg['machine']} "
        f"({leg['rate']} sats per {leg['currency']}{off}); {leg['balance_after']} {leg['currency']} left there. "
        f"Receipt {leg['id']}."
    )


def _voided(data: View) -> str:
    leg = data["leg"]
    return (
        f"{leg['id']} is void: {leg['sats']} sats are yours again, and {leg['lp']} has its {leg['fiat']} "
        f"{leg['currency']} "
        f"back at {leg['machine']}: {leg['balance_after']} {leg['currency']} left there. {leg['lp']} is told."
    )


def _payments(data: View) -> str:
    return listing(data["payments"], "You paid no LP out of your own sats yet.", _payment_line, data)


def _payment_line(leg: View) -> str:
    how = "settle" if leg["slot"] is None else f"fixed {leg['slot']}"
    state = leg["status"] if leg["reason"] is None else f"{leg['status']}: {leg['reason']}"
    return (
        f"{leg['id']} {leg['lp']} at {leg['machine']}: {leg['sats']} sats for {leg['fiat']} {leg['currency']} "
        f"({leg['rate']} sats per {leg['currency']}), {how}, {state}"
    )


PLAN_WORDS: Mapping[str, Callable[[Any], str]] = {
    "fixed show": _fixed,
    "fixed schedule": _fixed_set,
    "fixed limit": _fixed_set,
    "alerts": _alerts,
    "settle": _settled,
    "payment list": _payments,
    "payment void": _voided,
}
