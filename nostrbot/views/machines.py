"""Views of machines: cassettes, telemetry and the fleet, as the JSON that people and programs get to see.

What lives here: one function a noun, with the exact names of docs/protocol.md section 6. What does not: their words
(messages/words/machines.py) and a machine's settings (views/records.py). Acceptance T1, T5, T12, T13.
"""

from nostrbot.core.atm.counter import Counter
from nostrbot.core.atm.dossier import as_it_stands
from nostrbot.core.atm.facts import CassettesCounted, CassetteSet, CassettesPublished
from nostrbot.core.atm.fleet import UNSEEN, MachineStatus
from nostrbot.core.atm.payments import PRICED_SHOWN_MAX, priced_since
from nostrbot.core.atm.prices import price_in_force
from nostrbot.core.atm.records import ATM_BOOTSTRAP, Cassette, Machine
from nostrbot.core.atm.settlements.facts import SettlementFrozen
from nostrbot.core.atm.till import Till
from nostrbot.core.book import Book
from nostrbot.core.facts import Fact
from nostrbot.core.local_time import local_day, local_time
from nostrbot.core.plain import View
from nostrbot.core.rules import RULES
from nostrbot.money import denomination_minor, format_minor
from nostrbot.nostr.keys import npub
from nostrbot.views.records import machine_view

FROZEN_SHOWN_MAX = 200  # of one answer; `settlement list machine= since=` shows all
_OBJECTS = ("fees", "limits", "denominations")  # as long as a machine likes: `telemetry` shows them, the fleet does not


def cassette_view(cassette: Cassette) -> View:
    """Return one cassette: what is expected beside what the machine stated; `drift` is how far apart they are."""
    by = cassette.updated_by
    return {
        "position": cassette.position,
        "denomination": cassette.denomination,
        "count": cassette.count,
        "state_denomination": cassette.state_denomination,
        "state_count": cassette.state_count,
        "state_at": cassette.state_at,
        "drift": cassette.count - cassette.state_count,
        "updated_by": by if by == ATM_BOOTSTRAP else npub(by),
        "updated_at": cassette.updated_at,
    }


def cassettes_view(book: Book, machine: str) -> View:
    """Return the data of `cassette list`: by position, ascending (T12)."""
    cassettes = book.tills[machine].cassettes.values()
    return {"cassettes": [cassette_view(cassette) for cassette in cassettes], "machine": machine}


def cassette_outcome(fact: CassetteSet | CassettesCounted | CassettesPublished) -> View:
    """Return the data of what a command on cassettes came to."""
    match fact:
        case CassetteSet():
            return {"cassette": cassette_view(fact.cassette), "machine": fact.machine}
        case CassettesCounted():
            found = {"variance": format_minor(fact.variance_minor, fact.currency), "currency": fact.currency}
        case CassettesPublished():
            found = {}
    return {"cassettes": [cassette_view(cassette) for cassette in fact.cassettes], "machine": fact.machine, **found}


def compromise_view(book: Book, machine: Machine, since: int, facts: tuple[Fact, ...]) -> View:
    """Return the data of `machine compromised`: the machine as it is then, and what was frozen by it, in sum.

    `priced`: what LPs were paid there since then, apart from settlements, at prices that a thief may have set.
    """
    frozen = [fact for fact in facts if isinstance(fact, SettlementFrozen)]
    statuses: dict[str, dict[str, int]] = {}
    for fact in frozen:
        settlement = as_it_stands(book.recall.dossiers[fact.number])
        sums = statuses.setdefault(settlement.status.value, {"count": 0, "wire_sats": 0})
        sums["count"] += 1
        sums["wire_sats"] += settlement.wire_sats
    shown = [f"s{fact.number}" for fact in reversed(frozen)][:FROZEN_SHOWN_MAX]
    view: View = {
        "since": since,
        "since_local": f"{local_time(book.tz, since):%Y-%m-%d %H:%M} ({book.tz})",
        "count": len(frozen),
        "statuses": statuses,
        "lp_sats": sum(part.sats for fact in frozen for part in fact.parts),
        "own_sats": sum(fact.own_sats for fact in frozen),
        "settlements": shown,
    }
    priced = [f"l{paid.leg.number}" for paid in priced_since(book.recall.legs.values(), machine.handle, since)]
    return {
        "machine": machine_view(machine),
        "frozen": view | ({"more": True} if len(shown) < len(frozen) else {}),
        "priced": priced[:PRICED_SHOWN_MAX],
        **({"more": True} if len(priced) > PRICED_SHOWN_MAX else {}),
    }


def telemetry_view(machine: Machine, sighting: MachineStatus | None) -> View:
    """Return the data of `telemetry`: what the machine told last, as it told it, and what its beacons said of it so
    far.
    """
    seen = sighting or UNSEEN
    return {
        "telemetry": seen.told(),
        "machine": machine.handle,
        "telemetry_at": seen.telemetry_at or None,
        "beacon": seen.beacon.said(),
        "beacon_at": seen.beacon_at or None,
    }


def fleet_row(book: Book, machine: Machine, sighting: MachineStatus | None, now: int) -> View:
    """Return one machine at a glance, `now` by the bot's clock.

    `fiat_today` is what it settled on the operator's local day so far; `cash` is what its cassettes are expected to
    hold; `rate` is the price that `settle` pays by. `missing` has the numbers of settlements that have not come, `jump`
    a count it cannot have reached by selling, `heard_s` the seconds since a beacon came.
    """
    seen, till, fiat = sighting or UNSEEN, book.tills[machine.handle], machine.fiat
    price, stray = price_in_force(book, machine.handle, RULES), till.counter.stray
    return {
        "machine": machine.handle,
        "active": machine.active,
        "fiat": fiat,
        "heard_at": seen.heard_at or None,
        "heard_s": max(0, now - seen.heard_at) if seen.heard_at else None,
        "skew_s": seen.skew_s,
        "beacon": {name: value for name, value in seen.beacon.said().items() if name not in _OBJECTS},
        "fiat_today": format_minor(till.booked_minor(local_day(book.tz, now)), fiat),
        "rate": price and price.usual,
        "notes": sum(cassette.count for cassette in till.cassettes.values()),
        "cash": format_minor(_cash_minor(till, fiat), fiat),
        "missing": [str(gap) for gap in till.counter.missing],
        "jump": stray and {"from": till.counter.newest, "to": stray.first},
    }


def missing_view(machine: str, counter: Counter) -> View:
    """Return what is missing in a machine's count."""
    return {"machine": machine, "missing": [str(gap) for gap in counter.missing]}


def _cash_minor(till: Till, fiat: str) -> int:
    return sum(each.count * (denomination_minor(each.denomination, fiat) or 0) for each in till.cassettes.values())
