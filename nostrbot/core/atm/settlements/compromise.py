"""Compromise: what follows when a machine's key was stolen.

What lives here: `machine compromised`, which suspends a machine and freezes what it sold since a time; and what
freezing means for one settlement. What does not: looking into a frozen one (core/atm/settlements/worklist.py), the
machine's new key (core/atm/registry.py). docs/protocol.md section 6; faults.md row 27.

When counts the bot's own clock, never the date in an event, which a thief chooses. Frozen sats are owed as before, so
that no sum changes; they cannot be used until somebody has looked: released, they count again, refunded, they are gone.
"""

from collections import Counter
from dataclasses import replace

from nostrbot.core.atm.dossier import Dossier, Settlement, as_it_stands
from nostrbot.core.atm.facts import MachineChanged, MachineCompromised
from nostrbot.core.atm.registry import find_machine
from nostrbot.core.atm.settlements.facts import FrozenPart, SettlementFrozen
from nostrbot.core.atm.states import Direction, LegStatus, LegType, SettlementStatus
from nostrbot.core.book import Book
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.rules import SOUND

FREEZE_MAX = 1_000  # settlements of one command: some 200 bytes each, in one entry
FREEZE_PARTS_MAX = 50_000  # LPs' parts in them: some 70 bytes each


def declare_compromised(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Suspend a machine and freeze its sales since then. No facts if there is nothing to do.

    The book's recall must hold the machine's settlements since then, or more than FREEZE_MAX that could be frozen.
    """
    machine, since = find_machine(book, order.args["machine"]), order.args["since"]
    if isinstance(machine, CommandRefused):
        return machine
    if since > order.at:
        return CommandRefused(Code.BAD_ARGUMENT, "since is ahead of my clock: say when the key may have been stolen")
    found = [dossier for dossier in book.recall.dossiers.values() if may_be_frozen(dossier, machine.handle, since)]
    if len(found) > FREEZE_MAX:
        return CommandRefused(
            Code.TOO_LONG,
            f"{machine.handle} made more than {FREEZE_MAX} sales since then, the most I freeze at once: name a later "
            f"time first, then an earlier one. `machine suspend {machine.handle}` stops it meanwhile",
        )
    frozen = tuple(freeze(as_it_stands(dossier)) for dossier in sorted(found, key=lambda one: one.birth.number))
    if order.rules >= SOUND and sum(len(fact.parts) for fact in frozen) > FREEZE_PARTS_MAX:
        return CommandRefused(
            Code.TOO_LONG,
            f"what {machine.handle} sold since then has more than {FREEZE_PARTS_MAX} parts of LPs, the most I freeze "
            f"at once: name a later time first, then an earlier one. `machine suspend {machine.handle}` stops it "
            "meanwhile",
        )
    suspended = (MachineChanged(replace(machine, active=False, updated_at=order.at)),) if machine.active else ()
    return (MachineCompromised(machine.handle, since), *suspended, *frozen) if suspended or frozen else ()


def may_be_frozen(dossier: Dossier, machine: str, since: int) -> bool:
    """Whether a thief could have signed a settlement since then, and nobody has looked into it."""
    if dossier.birth.machine != machine or dossier.at < since:
        return False
    settlement = as_it_stands(dossier)
    if settlement.is_frozen or settlement.is_checked or settlement.status is SettlementStatus.REJECTED:
        return False
    return settlement.status is not SettlementStatus.REFUNDED or bool(settlement.legs_in_force)


def freeze(settlement: Settlement) -> SettlementFrozen:
    """Return the fact that freezes a settlement as it stands."""
    sats: Counter[str] = Counter()
    own_sats = 0 if settlement.sale.direction is Direction.CASH_OUT else -settlement.sale.principal_sats
    for leg in settlement.legs_in_force:
        if leg.status is not LegStatus.COMPLETED:
            continue
        if leg.lp is not None:
            sats[leg.lp] += leg.sats
        elif leg.pubkey is None and leg.type is not LegType.SUPER_FEE:
            own_sats += leg.sats
    parts = tuple(FrozenPart(lp, part) for lp, part in sats.items() if part)
    return SettlementFrozen(settlement.number, settlement.machine, parts, max(0, own_sats))
