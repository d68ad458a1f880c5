"""The worklist's commands: what an operator does about a settlement in trouble.

What lives here: note, release, reset and retry. What does not: partial and refund
(core/atm/settlements/corrections.py), which moves are legal (core/atm/settlements/moves.py), the first judgement
(core/atm/settlements/rules.py), freezing (core/atm/settlements/compromise.py), which settlements are in trouble
(reading/). docs/protocol.md sections 5 and 6; acceptance S8-S14, W1-W4, O8-O10; faults.md rows 36-41.
"""

from nostrbot.core.atm.bounds import outgrows_sats
from nostrbot.core.atm.dossier import Settlement
from nostrbot.core.atm.settlements.facts import (
    SettlementLifted,
    SettlementMoved,
    SettlementNoted,
    SettlementProcessed,
    SettlementRetried,
)
from nostrbot.core.atm.settlements.guards import find_hold
from nostrbot.core.atm.settlements.moves import (
    check_room,
    find_changeable,
    find_movable,
    find_named,
    next_step,
    voided_legs,
)
from nostrbot.core.atm.settlements.rules import find_broken_amount, share_out
from nostrbot.core.atm.states import (
    Direction,
    Hold,
    LegStatus,
    SettlementStatus,
)
from nostrbot.core.book import Book
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.local_time import MINUTE_S
from nostrbot.core.rules import SOUND

STUCK_AFTER_S = 30 * MINUTE_S  # acceptance W2; counted from when it came to its status, not from when it was created
RESET = "force-reset by operator (was stuck)"  # acceptance S10


def note_settlement(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Add a note: any settlement, any time (S14)."""
    settlement = find_changeable(book, order)
    if isinstance(settlement, CommandRefused):
        return settlement
    return (SettlementNoted(settlement.number, order.author, order.args["text"]),)


def release_settlement(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Share out a held settlement: a guard held it, or a wallet should have seen it.

    For a frozen settlement this only lifts the freeze: the operator says that it is true; its status does not change.
    """
    named = find_named(book, order)
    if isinstance(named, Settlement) and named.is_frozen:
        return (SettlementLifted(named.number, named.machine, order.author),)
    settlement = find_movable(book, order, SettlementStatus.PROCESSED, only=SettlementStatus.PENDING)
    if isinstance(settlement, CommandRefused):
        return settlement
    return _judge(book, settlement, order, held_again=False)


def reset_settlement(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Set a stuck settlement aside; a fresh one needs a reason (faults.md row 39)."""
    settlement = find_movable(book, order, SettlementStatus.ERRORED)
    if isinstance(settlement, Settlement):
        settlement = check_room(settlement, order)
    if isinstance(settlement, CommandRefused):
        return settlement
    reason, waited_s = order.args.get("reason", ""), order.at - settlement.since
    if waited_s < STUCK_AFTER_S and not reason:
        return CommandRefused(
            Code.NOT_STUCK,
            f"s{settlement.number} is {settlement.status} for {waited_s // MINUTE_S} minutes only: "
            f"wait for {STUCK_AFTER_S // MINUTE_S}, "
            f'or reset it now with reason="…". Otherwise: {next_step(settlement)}',
        )
    number, machine = settlement.number, settlement.machine
    return (SettlementMoved(number, machine, SettlementStatus.ERRORED, RESET, (), order.author, reason),)


def retry_settlement(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Judge an errored settlement again: completed legs stay, failed ones are made again (S8, row 40)."""
    settlement = find_movable(book, order, SettlementStatus.PENDING, only=SettlementStatus.ERRORED)
    if isinstance(settlement, CommandRefused):
        return settlement
    if settlement.legs_in_force:
        return _retry_rest(book, settlement)
    return _judge(book, settlement, order, held_again=True)


def _judge(book: Book, settlement: Settlement, order: Order, *, held_again: bool) -> tuple[Fact, ...] | CommandRefused:
    """Share out a settlement that is not booked. It was judged when it came, so a key changed since does not matter."""
    machine, number = book.machines[settlement.machine], settlement.number
    if not machine.active:
        return CommandRefused(
            Code.WRONG_STATUS,
            f"{machine.handle} is suspended: if you trust s{number} all the same, `machine resume {machine.handle}` "
            f'first; if not, settlement refund s{number} reason="…"',
        )
    broken = find_broken_amount(book, machine, settlement.sale, order.rules)
    if broken is not None:
        return CommandRefused(
            Code.WRONG_STATUS, f's{number} breaks a rule by now ({broken}): settlement refund s{number} reason="…"'
        )
    hold = find_hold(book, machine, settlement.sale, order.at, order.rules) if held_again else None
    legs = share_out(book, machine.handle, settlement.sale, settlement.platform_fee_sats, order.rules)
    fees = (settlement.platform_fee_sats, settlement.operator_fee_sats, settlement.fee_mismatch_sats)
    processed = SettlementProcessed(number, machine.handle, settlement.event_id, settlement.sale, *fees, legs)
    if held_again and hold is None and order.rules >= SOUND and outgrows_sats(book, (processed,)):
        hold = Hold.BOOK_TOTAL
    if hold is not None:
        return (SettlementMoved(number, machine.handle, SettlementStatus.PENDING, hold, (), order.author, ""),)
    return (processed,)


def _retry_rest(book: Book, settlement: Settlement) -> tuple[Fact, ...] | CommandRefused:
    """Make the failed legs again, with the same sats for the same parties; completed legs stay as they are."""
    if settlement.sale.direction is not Direction.CASH_OUT:
        return CommandRefused(Code.WRONG_STATUS, f"s{settlement.number} is a cash-in: it is booked whole or not at all")
    kept = tuple(leg for leg in settlement.legs if leg.status is LegStatus.COMPLETED)
    failed = tuple(leg for leg in settlement.legs if leg.status in (LegStatus.FAILED, LegStatus.PENDING))
    seats = {leg.number: book.lps[leg.lp].seats[settlement.machine] for leg in failed if leg.lp and leg.fiat_minor}
    short = [leg for leg in failed if leg.number in seats and seats[leg.number].remaining_minor < (leg.fiat_minor or 0)]
    if short:
        names = ", ".join(f"l{leg.number} of {leg.lp}" for leg in short)
        return CommandRefused(
            Code.NOT_ENOUGH_CASH,
            f"the cash of {names} is spent by now: deposit add and deposit confirm first, then settlement retry "
            f"s{settlement.number}",
        )
    again = tuple(
        leg._replace(number=number, status=LegStatus.COMPLETED)
        for number, leg in enumerate(failed, start=book.leg_count + 1)
    )
    return (
        SettlementRetried(settlement.number, settlement.machine, settlement.sale, kept, voided_legs(failed), again),
    )
