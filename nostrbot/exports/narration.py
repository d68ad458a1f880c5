"""Narrations: what an entry says to somebody who reads a ledger.

What lives here: facts -> whom a transaction is with, a sentence, a tag and links. What does not: how a ledger file is
written (beancount.py). Links are the ids people see (`s12`, `d3`), so that a correction is found beside its sale.
"""

from collections.abc import Iterable
from typing import NamedTuple

from nostrbot.core.atm.facts import CassettesCounted, DepositChanged, LpPaid, PartyMoved, PaymentVoided
from nostrbot.core.atm.settlements.facts import (
    SettlementCorrected,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRetried,
)
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.facts import Fact
from nostrbot.money import format_minor


class Narration(NamedTuple):
    """A transaction in words. `payee`: a machine or an LP, by its handle; `links`: ids."""

    payee: str
    text: str
    tag: str
    links: tuple[str, ...] = ()


def narrate(facts: Iterable[Fact]) -> list[Narration]:
    """Narrate the facts of one entry that move money."""
    return [told for fact in facts if (told := _narration(fact))]


def _narration(fact: Fact) -> Narration | None:
    match fact:
        case SettlementProcessed() | SettlementRetried():
            kind = fact.sale.direction.replace("_", "-")
            amount = _money(fact.sale.fiat_minor, fact.sale.currency)
            text = f"{kind} s{fact.number}: {amount}, {fact.sale.wire_sats} sats at {fact.sale.rate}"
            return Narration(fact.machine, text, kind, (f"s{fact.number}",))
        case SettlementCorrected():
            dispensed = _money(fact.fiat_minor, fact.sale.currency)
            text = f"correction of s{fact.number}: {dispensed} dispensed{_because(fact.note)}"
            return Narration(fact.machine, text, "correction", (f"s{fact.number}",))
        case SettlementRefunded():
            text = f"refund of s{fact.number}{_because(fact.note)}"
            return Narration(fact.machine, text, "refund", (f"s{fact.number}",))
        case DepositChanged():
            return _deposit(fact)
        case LpPaid():
            paid = [leg for leg in fact.legs if leg.status is LegStatus.COMPLETED]
            kind = "settle" if fact.slot is None else "fixed"
            when = "" if fact.slot is None else f" {fact.slot}"
            text = f"{kind}{when} at {fact.machine}: sats for cash at {fact.rate}"
            return Narration(
                ", ".join(leg.lp or "" for leg in paid), text, kind, tuple(f"l{leg.number}" for leg in paid)
            )
        case PartyMoved():
            who = "the operator" if fact.lp is None else fact.lp
            way = f"to {who}" if fact.sats > 0 else f"back from {who}"
            return Narration(who, f"{abs(fact.sats)} sats that waited for a key move {way}", "party")
        case PaymentVoided():
            links = tuple(f"l{leg.number}" for leg in fact.voided)
            text = f"payment {', '.join(links)} at {fact.machine} voided{_because(fact.reason)}"
            return Narration(", ".join(leg.lp or "" for leg in fact.voided), text, "void", links)
        case CassettesCounted():
            found = _money(fact.variance_minor, fact.currency)
            return Narration(fact.machine, f"cassettes counted: {found} beyond what was expected", "count")
        case _:
            return None


def _deposit(fact: DepositChanged) -> Narration:
    deposit = fact.deposit
    links = (f"d{deposit.number}",)
    if fact.returned_minor:
        returned = _money(fact.returned_minor, deposit.currency)
        text = f"reversal of d{deposit.number} at {deposit.machine}: {returned}{_because(fact.reason)}"
        return Narration(deposit.lp, text, "reversal", links)
    return Narration(
        deposit.lp, f"deposit d{deposit.number} at {deposit.machine}{_because(deposit.note)}", "deposit", links
    )


def _money(amount_minor: int, currency: str) -> str:
    return f"{format_minor(amount_minor, currency)} {currency}"


def _because(note: str) -> str:
    return f": {note}" if note else ""
