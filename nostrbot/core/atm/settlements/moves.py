"""Moves: which commands a settlement takes in its status, and the next safe step.

What lives here: finding the settlement a command is about, and judging it by the tables of legal moves
(core/atm/states.py). What does not: what a move does (worklist.py and corrections.py beside this). Every refusal names
the reason and the next safe step. docs/protocol.md section 5; faults.md rows 36-41.
"""

from nostrbot.core.atm.dossier import Settlement, as_it_stands
from nostrbot.core.atm.settlements.facts import Leg
from nostrbot.core.atm.states import (
    MOVES_WHEN_FROZEN,
    SETTLEMENT_MOVES,
    LegStatus,
    SettlementStatus,
)
from nostrbot.core.book import Book
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.rules import SOUND

CHANGES_MAX = 200  # of one settlement: notes, corrections, resets
CORRECTIONS_MAX = 20  # of one settlement: each makes all its legs again, and receipts for them

NEXT_STEPS = {
    SettlementStatus.REJECTED: "look into the machine: a rejected settlement is never retried",
    SettlementStatus.ERRORED: 'settlement retry {id}, or settlement refund {id} reason="…"',
    SettlementStatus.PENDING: 'settlement release {id} once you trust it, or settlement refund {id} reason="…"',
    SettlementStatus.PROCESSING: "settlement reset {id}, then settlement retry {id}",
    SettlementStatus.PARTIAL: 'settlement refund {id} reason="…" once the customer has the rest back',
    SettlementStatus.PROCESSED: "settlement show {id}",
    SettlementStatus.REFUNDED: "settlement show {id}",
}
WHEN_FROZEN = 'settlement release {id} once you know that it is true; if it is not, settlement refund {id} reason="…"'


FROZEN_AND_REFUNDED = "settlement release {id} once you know that the rest of it is true"


def next_step(settlement: Settlement) -> str:
    """Return the next safe step for a settlement."""
    if not settlement.is_frozen:
        step = NEXT_STEPS[settlement.status]
    else:
        step = FROZEN_AND_REFUNDED if settlement.status is SettlementStatus.REFUNDED else WHEN_FROZEN
    return step.format(id=f"s{settlement.number}")


def find_named(book: Book, order: Order) -> Settlement | CommandRefused:
    """Find the settlement that a command names."""
    number = order.args["settlement"]
    dossier = book.recall.dossiers.get(number)
    if dossier is None:
        return CommandRefused(Code.NOT_FOUND, f"there is no settlement s{number}: `settlement list` shows yours")
    return as_it_stands(dossier)


def find_changeable(book: Book, order: Order) -> Settlement | CommandRefused:
    """Find the settlement that a command names, if it has room for one more change."""
    settlement = find_named(book, order)
    return settlement if isinstance(settlement, CommandRefused) else check_room(settlement, order)


def check_room(settlement: Settlement, order: Order) -> Settlement | CommandRefused:
    """Refuse changes beyond a bound: each look at a settlement reads its whole life.

    The commands that end it are never refused for that: its release, its retry and its refund.
    """
    name = f"s{settlement.number}"
    if order.rules < SOUND:
        return settlement
    if order.verb == "settlement partial" and settlement.corrections >= CORRECTIONS_MAX:
        said = f"{name} was corrected {settlement.corrections} times, the most that is possible"
    elif settlement.changes >= CHANGES_MAX:
        said = f"{name} has had {settlement.changes} notes and changes, and there is no room for more"
    else:
        return settlement
    return CommandRefused(Code.TOO_MANY, f"{said}. Still possible: {next_step(settlement)}")


def find_movable(
    book: Book, order: Order, to: SettlementStatus, *, only: SettlementStatus | None = None
) -> Settlement | CommandRefused:
    """Find a settlement that the table of legal moves lets move so; `only`: from this status alone."""
    settlement = find_named(book, order)
    if isinstance(settlement, CommandRefused):
        return settlement
    status = settlement.status
    is_open = not settlement.is_frozen or to in MOVES_WHEN_FROZEN
    if is_open and to in SETTLEMENT_MOVES[status] and only in (None, status):
        return settlement
    action, how = order.verb.split()[1], "" if is_open else " and frozen"
    if status is SettlementStatus.REFUNDED and settlement.legs_in_force:
        how += ", what was owed to the customer included"
    return CommandRefused(
        Code.WRONG_STATUS, f"s{settlement.number} is {status}{how}: no {action} for it. Next: {next_step(settlement)}"
    )


def voided_legs(legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
    """Return the legs as they stand once they are reversed."""
    return tuple(leg._replace(status=LegStatus.VOIDED) for leg in legs)
