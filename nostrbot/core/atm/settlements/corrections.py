"""Corrections: a sale that was not what its machine reported, set right or undone.

What lives here: `settlement partial` and `settlement refund`. Nothing is ever edited: a correction is a reversal and a
new sharing. What does not: the other commands of the worklist (worklist.py), what waits for another key in a split
(core/atm/parties.py). docs/protocol.md sections 5 and 6; acceptance S11-S13, O8-O10.
"""

from dataclasses import dataclass

from nostrbot.core.atm.dossier import Settlement
from nostrbot.core.atm.settlements.dca import Candidate
from nostrbot.core.atm.settlements.facts import Leg, SettlementCorrected, SettlementRefunded
from nostrbot.core.atm.settlements.moves import check_room, find_movable, voided_legs
from nostrbot.core.atm.settlements.rules import share_among
from nostrbot.core.atm.states import (
    Direction,
    LegStatus,
    LegType,
    SettlementStatus,
)
from nostrbot.core.book import Book
from nostrbot.core.commands.amounts import read_amount
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.rules import SOUND
from nostrbot.money import format_minor


@dataclass(frozen=True, slots=True)
class _Dispensed:
    """A sale scaled to what was dispensed: every amount, sats by floor (acceptance S11)."""

    wire_sats: int
    principal_sats: int
    fee_sats: int
    platform_sats: int
    operator_sats: int


def correct_settlement(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Correct a sale that dispensed less than it reported: reverse the sharing, share out what left the machine
    (S11-S13).

    All that was reported takes a correction back: the sale is processed as if there had been none (rules 2).
    """
    settlement = find_movable(book, order, SettlementStatus.PARTIAL)
    if isinstance(settlement, Settlement):
        settlement = check_room(settlement, order)
    if isinstance(settlement, CommandRefused):
        return settlement
    sale = settlement.sale
    fiat_minor = _read_dispensed(order, settlement)
    if isinstance(fiat_minor, CommandRefused):
        return fiat_minor
    refused = _check_reversible(book, settlement)
    if refused is not None:
        return refused
    dispensed = _scale(settlement, fiat_minor)
    if not dispensed.principal_sats:
        return CommandRefused(
            Code.BAD_ARGUMENT, f'that is less than a sat: say `settlement refund s{settlement.number} reason="…"`'
        )
    in_force, legs = settlement.legs_in_force, _share_anew(book, settlement, fiat_minor, dispensed, order.rules)
    refused = _check_own_part(book, settlement, legs, order.rules)
    if refused is not None:
        return refused
    return (
        SettlementCorrected(
            number=settlement.number,
            machine=settlement.machine,
            event_id=settlement.event_id,
            sale=sale,
            reported_at=settlement.created_at,
            wire_sats=dispensed.wire_sats,
            principal_sats=dispensed.principal_sats,
            fee_sats=dispensed.fee_sats,
            fiat_minor=fiat_minor,
            was_fiat_minor=settlement.fiat_minor,
            platform_fee_sats=dispensed.platform_sats,
            operator_fee_sats=dispensed.operator_sats,
            fee_mismatch_sats=dispensed.fee_sats - dispensed.platform_sats - dispensed.operator_sats,
            was_owed_sats=settlement.owed_sats,
            owed_sats=sale.wire_sats - dispensed.wire_sats,
            voided=voided_legs(in_force),
            legs=legs,
            by=order.author,
            note=order.args["note"],
            booked_at=settlement.booked_at if order.rules >= SOUND else 0,
        ),
    )


def _read_dispensed(order: Order, settlement: Settlement) -> int | CommandRefused:
    sale = settlement.sale
    if sale.direction is not Direction.CASH_OUT:
        return CommandRefused(Code.BAD_ARGUMENT, f"s{settlement.number} is a cash-in: it dispensed nothing")
    fiat_minor = read_amount(order, "fiat", sale.currency)
    if isinstance(fiat_minor, CommandRefused):
        return fiat_minor
    reported = format_minor(sale.fiat_minor, sale.currency)
    is_corrected = settlement.status is SettlementStatus.PARTIAL and order.rules >= SOUND
    if fiat_minor == sale.fiat_minor and is_corrected:
        return fiat_minor
    if fiat_minor >= sale.fiat_minor:
        return CommandRefused(
            Code.BAD_ARGUMENT,
            f"fiat must be what was dispensed, less than the {reported} {sale.currency} reported; nothing at all: "
            f'settlement refund s{settlement.number} reason="…"',
        )
    if fiat_minor == settlement.fiat_minor:
        return CommandRefused(
            Code.WRONG_STATUS,
            f"s{settlement.number} is corrected to {format_minor(fiat_minor, sale.currency)} {sale.currency} already",
        )
    return fiat_minor


def _scale(settlement: Settlement, fiat_minor: int) -> _Dispensed:
    """Scale the machine's report to what was dispensed. The fees due are scaled from those of the report, too."""
    sale = settlement.sale

    def scaled(sats: int, whole_minor: int) -> int:
        return sats * fiat_minor // whole_minor

    principal, fee = scaled(sale.principal_sats, sale.fiat_minor), scaled(sale.fee_sats, sale.fiat_minor)
    platform = scaled(settlement.reported_platform_fee_sats, sale.fiat_minor)
    operator = scaled(settlement.reported_operator_fee_sats, sale.fiat_minor)
    return _Dispensed(principal + fee, principal, fee, platform, operator)


def _share_anew(
    book: Book, settlement: Settlement, fiat_minor: int, dispensed: _Dispensed, rules: int
) -> tuple[Leg, ...]:
    """Return the new legs: among the LPs of the first sharing, by the cash each had then and still has.

    So nobody pays for a sale that was over before its cash came, and a correction at once shares exactly as if the
    machine had reported right. The commission goes by the splits in force now.
    """
    partakers = []
    given = {leg.lp: leg for leg in settlement.legs_in_force if leg.type is LegType.DCA and leg.lp is not None}
    first = {leg.lp: leg for leg in reversed(settlement.legs) if leg.type is LegType.DCA and leg.lp is not None}
    for lp in reversed(first):
        assert lp is not None
        back_minor = given[lp].fiat_minor or 0 if lp in given else 0
        left_minor = book.lps[lp].seats[settlement.machine].remaining_minor + back_minor
        partakers.append(Candidate(lp, left_minor, min(first[lp].before_minor or 0, left_minor)))
    return share_among(
        book,
        settlement.machine,
        partakers,
        fiat_minor=fiat_minor,
        principal_sats=dispensed.principal_sats,
        fee_sats=dispensed.fee_sats,
        platform_sats=dispensed.platform_sats,
        rules=rules,
    )


def refund_settlement(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Note that the customer has the sats back: those a correction owes, or all of them if no cash left (O9)."""
    settlement = find_movable(book, order, SettlementStatus.REFUNDED)
    if isinstance(settlement, CommandRefused):
        return settlement
    if settlement.status is SettlementStatus.ERRORED and settlement.legs_in_force:
        return CommandRefused(
            Code.WRONG_STATUS,
            f"s{settlement.number} is shared out in part: settlement retry s{settlement.number} first, then refund all",
        )
    voided: tuple[Leg, ...] = ()
    sats = fiat_minor = 0
    if settlement.status is SettlementStatus.PARTIAL:
        sats = settlement.owed_sats
    elif settlement.status is SettlementStatus.PROCESSED:
        refused = _check_reversible(book, settlement) or _check_own_part(book, settlement, (), order.rules)
        if refused is not None:
            return refused
        voided, sats, fiat_minor = voided_legs(settlement.legs_in_force), settlement.wire_sats, settlement.fiat_minor
    return (
        SettlementRefunded(
            settlement.number,
            settlement.machine,
            settlement.sale,
            settlement.created_at,
            voided,
            sats,
            fiat_minor,
            order.author,
            order.args["reason"],
            settlement.booked_at if order.rules >= SOUND else 0,
        ),
    )


def _check_reversible(book: Book, settlement: Settlement) -> CommandRefused | None:
    """Check that the sats of a sharing are still here: only then can it be reversed (faults.md row 37)."""
    gone = [f"l{leg.number}" for leg in settlement.legs if leg.type is LegType.AUTOFORWARD]
    taken: dict[str, int] = {}
    for leg in settlement.legs_in_force:
        if leg.lp is not None and leg.status is LegStatus.COMPLETED:
            taken[leg.lp] = taken.get(leg.lp, 0) + leg.sats
    gone += [
        f"l{leg.number}" for leg in settlement.legs_in_force if leg.lp and book.sats_owed(leg.lp) < taken.get(leg.lp, 0)
    ]
    gone += [
        f"l{leg.number}"
        for leg in settlement.legs_in_force
        if leg.type is LegType.SUPER_FEE and book.platform_sats() < leg.sats
    ]
    if not gone:
        return None
    return CommandRefused(
        Code.ALREADY_PAID_OUT,
        f"sats of s{settlement.number} have left already ({', '.join(gone)}): they cannot be called back. "
        f'Settle it with the customer and say so: settlement note s{settlement.number} "…"',
    )


def _check_own_part(book: Book, settlement: Settlement, legs: tuple[Leg, ...], rules: int) -> CommandRefused | None:
    """Check that the operator has not paid LPs with its part of a sale: those sats have left as well (review A11).

    Its own sats may be below zero all the same: cash-ins are paid from elsewhere.
    """
    lost_sats = _own_sats(settlement.legs_in_force) - _own_sats(legs)
    short_sats = lost_sats - (book.own_sats() + book.cash_in_sats)
    if rules < SOUND or lost_sats <= 0 or short_sats <= 0:
        return None
    return CommandRefused(
        Code.ALREADY_PAID_OUT,
        f"you paid LPs out of your part of s{settlement.number}, so {short_sats} sats of it have left. `payment list` "
        "shows "
        f'what you paid: `payment void <leg> reason="…"` first, or wait until other sales have brought as much',
    )


def _own_sats(legs: tuple[Leg, ...]) -> int:
    """Return the sats that these legs give the operator."""
    return sum(
        leg.sats
        for leg in legs
        if leg.status is LegStatus.COMPLETED
        and leg.lp is None
        and leg.pubkey is None
        and leg.type is not LegType.SUPER_FEE
    )
