"""The worklist's commands: what an operator does about a settlement in trouble.

What lives here: note, release, reset, retry, partial, refund, each judged by the tables of legal moves (core/states.py).
What does not: the first judgement (core/settlements.py), freezing (core/compromise.py), which settlements are in trouble
(reading/).
docs/protocol.md sections 5 and 6; acceptance S8-S14, W1-W4, O8-O10; faults.md rows 36-41. Every refusal names the reason
and the next safe step. Nothing is ever edited: a correction is a reversal and a new sharing.
"""

from dataclasses import dataclass

from nostrbot.core.amounts import read_amount
from nostrbot.core.book import Book
from nostrbot.core.bounds import outgrows_sats
from nostrbot.core.commands import Code, Refused
from nostrbot.core.daybook import MINUTE_S
from nostrbot.core.dca import Partaker
from nostrbot.core.dossier import Settlement, as_it_stands
from nostrbot.core.facts import (
    Fact,
    Leg,
    SettlementCorrected,
    SettlementLifted,
    SettlementMoved,
    SettlementNoted,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRetried,
)
from nostrbot.core.guards import find_hold
from nostrbot.core.orders import Order
from nostrbot.core.rules import SOUND
from nostrbot.core.settlements import find_broken_amount, share_among, share_out
from nostrbot.core.states import (
    MOVES_WHEN_FROZEN,
    SETTLEMENT_MOVES,
    Direction,
    Hold,
    LegStatus,
    LegType,
    SettlementStatus,
)
from nostrbot.money import format_minor

CHANGES_MAX = 200  # of one settlement: notes, corrections, resets
CORRECTIONS_MAX = 20  # of one settlement: each makes all its legs again, and receipts for them
STUCK_AFTER_S = 30 * MINUTE_S  # acceptance W2; counted from when it came to its status, not from when it was created
RESET = "force-reset by operator (was stuck)"  # acceptance S10

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
FROZEN_AND_REFUNDED = "settlement release {id} once you know that what stays of it is true"


def next_step(settlement: Settlement) -> str:
    """The next safe step for a settlement."""
    if not settlement.is_frozen:
        step = NEXT_STEPS[settlement.status]
    else:
        step = FROZEN_AND_REFUNDED if settlement.status is SettlementStatus.REFUNDED else WHEN_FROZEN
    return step.format(id=f"s{settlement.number}")


def note_settlement(book: Book, order: Order) -> tuple[Fact, ...] | Refused:
    """Add a note: any settlement, any time (S14)."""
    settlement = _find_changeable(book, order)
    if isinstance(settlement, Refused):
        return settlement
    return (SettlementNoted(settlement.number, order.author, order.args["text"]),)


def release_settlement(book: Book, order: Order) -> tuple[Fact, ...] | Refused:
    """Share out a settlement that is held: by a guard, or because a wallet should have seen it.

    Of one that is frozen the operator says that it is true, whatever its status, and no more: it stands as it stood.
    """
    named = _find(book, order)
    if isinstance(named, Settlement) and named.is_frozen:
        return (SettlementLifted(named.number, named.machine, order.author),)
    settlement = _find_movable(book, order, SettlementStatus.PROCESSED, only=SettlementStatus.PENDING)
    if isinstance(settlement, Refused):
        return settlement
    return _judge(book, settlement, order, held_again=False)


def reset_settlement(book: Book, order: Order) -> tuple[Fact, ...] | Refused:
    """Set a stuck settlement aside; one that is fresh only with a reason (faults.md row 39)."""
    settlement = _find_movable(book, order, SettlementStatus.ERRORED)
    if isinstance(settlement, Settlement):
        settlement = _check_room(settlement, order)
    if isinstance(settlement, Refused):
        return settlement
    reason, waited_s = order.args.get("reason", ""), order.at - settlement.since
    if waited_s < STUCK_AFTER_S and not reason:
        return Refused(
            Code.NOT_STUCK,
            f"s{settlement.number} is {settlement.status} for {waited_s // MINUTE_S} minutes only: "
            f"wait for {STUCK_AFTER_S // MINUTE_S}, "
            f'or reset it now with reason="…". Else: {next_step(settlement)}',
        )
    number, machine = settlement.number, settlement.machine
    return (SettlementMoved(number, machine, SettlementStatus.ERRORED, RESET, (), order.author, reason),)


def retry_settlement(book: Book, order: Order) -> tuple[Fact, ...] | Refused:
    """Judge an errored settlement again: completed legs stay, failed ones are made again (S8, row 40)."""
    settlement = _find_movable(book, order, SettlementStatus.PENDING, only=SettlementStatus.ERRORED)
    if isinstance(settlement, Refused):
        return settlement
    if settlement.legs_in_force:
        return _retry_rest(book, settlement)
    return _judge(book, settlement, order, held_again=True)


def _judge(book: Book, settlement: Settlement, order: Order, *, held_again: bool) -> tuple[Fact, ...] | Refused:
    """Share out a settlement of which nothing is booked. It was judged when it came, so a key changed since is no matter."""
    machine, number = book.machines[settlement.machine], settlement.number
    if not machine.active:
        return Refused(
            Code.WRONG_STATUS,
            f"{machine.handle} is suspended: if you trust s{number} all the same, `machine resume {machine.handle}` "
            f'first; if not, settlement refund s{number} reason="…"',
        )
    broken = find_broken_amount(book, machine, settlement.sale, order.rules)
    if broken is not None:
        return Refused(
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


def _retry_rest(book: Book, settlement: Settlement) -> tuple[Fact, ...] | Refused:
    """Make the failed legs again, with the same sats for the same parties; what was completed is not touched."""
    if settlement.sale.direction is not Direction.CASH_OUT:
        return Refused(Code.WRONG_STATUS, f"s{settlement.number} is a cash-in: it is booked whole or not at all")
    kept = tuple(leg for leg in settlement.legs if leg.status is LegStatus.COMPLETED)
    failed = tuple(leg for leg in settlement.legs if leg.status in (LegStatus.FAILED, LegStatus.PENDING))
    seats = {leg.number: book.lps[leg.lp].seats[settlement.machine] for leg in failed if leg.lp and leg.fiat_minor}
    short = [leg for leg in failed if leg.number in seats and seats[leg.number].remaining_minor < (leg.fiat_minor or 0)]
    if short:
        names = ", ".join(f"l{leg.number} of {leg.lp}" for leg in short)
        return Refused(
            Code.NOT_ENOUGH_CASH,
            f"the cash of {names} is spent by now: deposit add and deposit confirm first, then settlement retry "
            f"s{settlement.number}",
        )
    again = tuple(
        leg._replace(number=number, status=LegStatus.COMPLETED)
        for number, leg in enumerate(failed, start=book.leg_count + 1)
    )
    return (SettlementRetried(settlement.number, settlement.machine, settlement.sale, kept, _voided(failed), again),)


@dataclass(frozen=True, slots=True)
class _Dispensed:
    """What a sale comes to when less was dispensed: every amount scaled, sats by floor (acceptance S11)."""

    wire_sats: int
    principal_sats: int
    fee_sats: int
    platform_sats: int
    operator_sats: int


def correct_settlement(book: Book, order: Order) -> tuple[Fact, ...] | Refused:
    """Less was dispensed than reported: reverse the sharing and share out what really left the machine (S11-S13).

    All that was reported takes a correction back: the sale is processed as if there had been none (rules 2).
    """
    settlement = _find_movable(book, order, SettlementStatus.PARTIAL)
    if isinstance(settlement, Settlement):
        settlement = _check_room(settlement, order)
    if isinstance(settlement, Refused):
        return settlement
    sale = settlement.sale
    fiat_minor = _read_dispensed(order, settlement)
    if isinstance(fiat_minor, Refused):
        return fiat_minor
    refused = _check_reversible(book, settlement)
    if refused is not None:
        return refused
    dispensed = _scale(settlement, fiat_minor)
    if not dispensed.principal_sats:
        return Refused(
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
            voided=_voided(in_force),
            legs=legs,
            by=order.author,
            note=order.args["note"],
            booked_at=settlement.booked_at if order.rules >= SOUND else 0,
        ),
    )


def _read_dispensed(order: Order, settlement: Settlement) -> int | Refused:
    sale = settlement.sale
    if sale.direction is not Direction.CASH_OUT:
        return Refused(Code.BAD_ARGUMENT, f"s{settlement.number} is a cash-in: it dispensed nothing")
    fiat_minor = read_amount(order, "fiat", sale.currency)
    if isinstance(fiat_minor, Refused):
        return fiat_minor
    reported = format_minor(sale.fiat_minor, sale.currency)
    is_corrected = settlement.status is SettlementStatus.PARTIAL and order.rules >= SOUND
    if fiat_minor == sale.fiat_minor and is_corrected:
        return fiat_minor
    if fiat_minor >= sale.fiat_minor:
        return Refused(
            Code.BAD_ARGUMENT,
            f"fiat must be what was dispensed, less than the {reported} {sale.currency} reported; nothing at all: "
            f'settlement refund s{settlement.number} reason="…"',
        )
    if fiat_minor == settlement.fiat_minor:
        return Refused(
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
    """The new legs: among the LPs of the first sharing, by the cash each had then, as far as it has it still.

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
        partakers.append(Partaker(lp, left_minor, min(first[lp].before_minor or 0, left_minor)))
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


def refund_settlement(book: Book, order: Order) -> tuple[Fact, ...] | Refused:
    """The customer has the sats back: what a correction owes, or all of them and the cash never left (O9)."""
    settlement = _find_movable(book, order, SettlementStatus.REFUNDED)
    if isinstance(settlement, Refused):
        return settlement
    if settlement.status is SettlementStatus.ERRORED and settlement.legs_in_force:
        return Refused(
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
        voided, sats, fiat_minor = _voided(settlement.legs_in_force), settlement.wire_sats, settlement.fiat_minor
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


def _voided(legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
    return tuple(leg._replace(status=LegStatus.VOIDED) for leg in legs)


def _check_reversible(book: Book, settlement: Settlement) -> Refused | None:
    """A sharing can be reversed only while its sats are still here (faults.md row 37)."""
    gone = [f"l{leg.number}" for leg in settlement.legs if leg.type is LegType.AUTOFORWARD]
    taken: dict[str, int] = {}
    for leg in settlement.legs_in_force:
        if leg.lp is not None and leg.status is LegStatus.COMPLETED:
            taken[leg.lp] = taken.get(leg.lp, 0) + leg.sats
    gone += [
        f"l{leg.number}" for leg in settlement.legs_in_force if leg.lp and book.sats_owed(leg.lp) < taken.get(leg.lp, 0)
    ]
    if not gone:
        return None
    return Refused(
        Code.ALREADY_PAID_OUT,
        f"sats of s{settlement.number} have left already ({', '.join(gone)}): they cannot be called back. "
        f'Settle it with the customer and say so: settlement note s{settlement.number} "…"',
    )


def _check_own_part(book: Book, settlement: Settlement, legs: tuple[Leg, ...], rules: int) -> Refused | None:
    """What the operator paid LPs out of its part of a sale has left as well (review A11).

    Its own sats may be below zero all the same: cash-ins are paid from elsewhere.
    """
    lost_sats = _own_sats(settlement.legs_in_force) - _own_sats(legs)
    short_sats = lost_sats - (book.own_sats() + book.cash_in_sats)
    if rules < SOUND or lost_sats <= 0 or short_sats <= 0:
        return None
    return Refused(
        Code.ALREADY_PAID_OUT,
        f"you paid LPs out of your part of s{settlement.number}: {short_sats} sats of it have left. `payment list` shows "
        f'what you paid: `payment void <leg> reason="…"` first, or wait until other sales have brought as much',
    )


def _own_sats(legs: tuple[Leg, ...]) -> int:
    """What these legs give the operator."""
    return sum(
        leg.sats
        for leg in legs
        if leg.status is LegStatus.COMPLETED
        and leg.lp is None
        and leg.pubkey is None
        and leg.type is not LegType.SUPER_FEE
    )


def _find(book: Book, order: Order) -> Settlement | Refused:
    number = order.args["settlement"]
    dossier = book.recall.dossiers.get(number)
    if dossier is None:
        return Refused(Code.NOT_FOUND, f"there is no settlement s{number}: `settlement list` shows yours")
    return as_it_stands(dossier)


def _find_changeable(book: Book, order: Order) -> Settlement | Refused:
    settlement = _find(book, order)
    return settlement if isinstance(settlement, Refused) else _check_room(settlement, order)


def _check_room(settlement: Settlement, order: Order) -> Settlement | Refused:
    """Refuse what could go on for ever: all of a settlement's life is read each time that somebody names it.

    What ends it is never refused for that: its release, its retry and its refund.
    """
    name = f"s{settlement.number}"
    if order.rules < SOUND:
        return settlement
    if order.verb == "settlement partial" and settlement.corrections >= CORRECTIONS_MAX:
        said = f"{name} was corrected {settlement.corrections} times, and that is as often as it can be"
    elif settlement.changes >= CHANGES_MAX:
        said = f"{name} has had {settlement.changes} notes and changes, and there is no room for more"
    else:
        return settlement
    return Refused(Code.TOO_MANY, f"{said}. What is possible still: {next_step(settlement)}")


def _find_movable(
    book: Book, order: Order, to: SettlementStatus, *, only: SettlementStatus | None = None
) -> Settlement | Refused:
    """A settlement that may be moved so, by the table of legal moves; `only`: from this status alone."""
    settlement = _find(book, order)
    if isinstance(settlement, Refused):
        return settlement
    status = settlement.status
    is_open = not settlement.is_frozen or to in MOVES_WHEN_FROZEN
    if is_open and to in SETTLEMENT_MOVES[status] and only in (None, status):
        return settlement
    action, how = order.verb.split()[1], "" if is_open else " and frozen"
    if status is SettlementStatus.REFUNDED and settlement.legs_in_force:
        how += ", what was owed to the customer included"
    return Refused(
        Code.WRONG_STATUS, f"s{settlement.number} is {status}{how}: no {action} for it. Next: {next_step(settlement)}"
    )
