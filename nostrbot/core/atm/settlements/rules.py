"""Settlements: the rules a machine's report must obey, and how an accepted one is shared out.

What lives here: the checks of docs/protocol.md section 3.1 in their order, the duplicate and conflict rules, and the
legs. What does not: reading the payload (core/atm/payloads/sale.py), what holds a settlement
(core/atm/settlements/guards.py), what becomes of it later (core/atm/settlements/worklist.py), booking
(core/atm/booking.py). Acceptance S2-S4, S16-S26. Pure: a decision from a book and a sale, nothing else.
"""

from hashlib import sha256

from nostrbot.core.atm.bounds import NOTES_MAX, SALE_MINOR_MAX, VOLUME_SATS_MAX, outgrows_sats
from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.recall import Duplicate
from nostrbot.core.atm.records import Machine
from nostrbot.core.atm.registry import find_speaker
from nostrbot.core.atm.settlements.dca import Candidate, flow_candidates, share_flow
from nostrbot.core.atm.settlements.facts import Leg, SettlementPending, SettlementProcessed, SettlementRejected
from nostrbot.core.atm.settlements.fees import FeeCheck, check_fee, is_out_of_tolerance, share_fee
from nostrbot.core.atm.settlements.guards import find_hold
from nostrbot.core.atm.settlements.payment_hashes import find_same_sale, is_taken, share_hash
from nostrbot.core.atm.states import Direction, Hold, LegStatus, LegType, SkipReason, Trust
from nostrbot.core.book import Book
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import Signed
from nostrbot.core.platform.roles import owner_now
from nostrbot.core.rules import SOUND
from nostrbot.money import SATS_MAX, denomination_minor, minor_digits, unit_minor
from nostrbot.refusals import Reason, Refusal


def decide_settlement(
    book: Book, given: Signed, sale: Sale, at: int, rules: int
) -> tuple[Fact, ...] | Duplicate | Refusal:
    """Judge a sale that a machine of this book reported in `given`, accepted `at`. The settlement is the first of the
    facts.

    A key that may not speak writes into no journal: its report is refused, where rules of before recorded it as
    rejected.
    """
    signer, event_id = given.author, given.id
    known = book.recall.events.get(event_id)
    if known is not None:
        return Duplicate(known)
    machine = book.machines[book.machine_of_key[signer]]
    earlier = find_same_sale(book, machine.handle, signer, sale, rules)
    if earlier is not None:
        return Duplicate(earlier)
    if rules >= SOUND and isinstance(silenced := find_speaker(book, signer), Refusal):
        return silenced
    fees = check_fees(book, machine, sale)
    reason = find_broken_rule(book, machine, signer, sale, rules)
    if reason is None and is_taken(book, machine.handle, sale, rules):
        reason = Reason.PAYMENT_HASH_CONFLICT
    if reason is None and machine.enforce_fee_match and is_out_of_tolerance(fees.mismatch_sats, sale.principal_sats):
        reason = Reason.FEE_MISMATCH
    number = book.settlement_count + 1
    common = (number, machine.handle, event_id, sale, fees.platform_sats, fees.operator_sats, fees.mismatch_sats)
    if reason is not None:
        return (SettlementRejected(*common, reason),)
    shared = share_hash(book, number, machine.handle, sale, rules)
    hold = find_hold(book, machine, sale, at, rules)
    if hold is not None:
        return (SettlementPending(*common, hold), *shared)
    processed = SettlementProcessed(*common, share_out(book, machine.handle, sale, fees.platform_sats, rules))
    if rules >= SOUND and outgrows_sats(book, (processed,)):
        return (SettlementPending(*common, Hold.BOOK_TOTAL), *shared)
    return (processed, *shared)


def check_fees(book: Book, machine: Machine, sale: Sale) -> FeeCheck:
    """Compare the fees due on a sale with the fee charged."""
    cash_in = sale.direction is Direction.CASH_IN
    operator_ppm = machine.cash_in_ppm if cash_in else machine.cash_out_ppm
    return check_fee(sale.principal_sats, sale.fee_sats, book.platform_ppm(cash_in=cash_in), operator_ppm)


def find_broken_rule(book: Book, machine: Machine, signer: str, sale: Sale, rules: int) -> Reason | None:
    """Find the first rule of section 3.1 that does not hold, in the order written there; None if all hold."""
    if sale.machine != signer:
        return Reason.ATTRIBUTION_MISMATCH
    if not (machine.active and book.active and machine.pubkey == signer):
        return Reason.MACHINE_INACTIVE
    broken = find_broken_amount(book, machine, sale, rules)
    if broken is not None:
        return broken
    if sale.preimage is None:
        return Reason.PREIMAGE_MISSING if machine.trust is Trust.PREIMAGE else None
    if sha256(bytes.fromhex(sale.preimage)).hexdigest() != sale.payment_hash:
        return Reason.PREIMAGE_MISMATCH
    return None


def find_broken_amount(book: Book, machine: Machine, sale: Sale, rules: int) -> Reason | None:
    """Find the first rule that a sale's amounts break."""
    fee = sale.fee_sats if sale.direction is Direction.CASH_OUT else -sale.fee_sats
    if sale.wire_sats != sale.principal_sats + fee:
        return Reason.AMOUNTS_INCONSISTENT
    if not _rate_holds(sale, rules):
        return Reason.RATE_INCONSISTENT
    if sale.currency != machine.fiat:
        return Reason.CURRENCY_MISMATCH
    if not _amounts_in_range(sale, rules) or book.tills[machine.handle].volume_sats + sale.wire_sats > VOLUME_SATS_MAX:
        return Reason.AMOUNT_OUT_OF_RANGE
    return None


def _rate_holds(sale: Sale, rules: int) -> bool:
    """Whether fiat x rate equals the principal within 0.1 %, one minor unit's worth of sats, or one sat.

    The sat came with rules 2: machines floor what they sell. Exact integers.

    Everything is multiplied by 10**(minor digits + rate places), so nothing is divided.
    """
    scale = int(10 ** (minor_digits(sale.currency) + sale.price.places))
    expected = sale.fiat_minor * sale.price.digits
    off = abs(sale.principal_sats * scale - expected)
    return off * 1000 <= abs(expected) or off <= abs(sale.price.digits) or (rules >= SOUND and off <= scale)


def _amounts_in_range(sale: Sale, rules: int) -> bool:
    if rules >= SOUND and not _is_within_bounds(sale):
        return False
    notes = [*sale.bills, *((denomination, count) for _, denomination, count in sale.cassettes)]
    return (
        1 <= sale.wire_sats <= SATS_MAX
        and 1 <= sale.principal_sats <= SATS_MAX
        and 0 <= sale.fee_sats <= SATS_MAX
        and sale.fiat_minor > 0
        and sale.price.digits > 0
        and all((denomination_minor(value, sale.currency) or 0) > 0 and count >= 0 for value, count in notes)
    )


def _is_within_bounds(sale: Sale) -> bool:
    notes = (*sale.bills, *((denomination, count) for _, denomination, count in sale.cassettes))
    note_minor_max = NOTES_MAX * unit_minor(sale.currency)
    return sale.fiat_minor <= SALE_MINOR_MAX and all(
        (denomination_minor(value, sale.currency) or 0) <= note_minor_max and count <= NOTES_MAX
        for value, count in notes
    )


_TAKEN = (LegStatus.COMPLETED, None)
_TOO_SMALL = (LegStatus.SKIPPED, SkipReason.ZERO_SHARE)


def share_out(book: Book, machine: str, sale: Sale, platform_sats: int, rules: int) -> tuple[Leg, ...]:
    """Return the legs of a settlement: platform, commission splits, LPs in enrolment order, the operator's part.

    `platform_sats`: the platform's fee that was due.
    """
    legs = _share_fee(book, machine, sale.fee_sats, platform_sats, rules)
    if sale.direction is Direction.CASH_OUT:
        _share_principal(book, legs, flow_candidates(book, machine, rules), sale.fiat_minor, sale.principal_sats)
    return tuple(legs)


def share_among(
    book: Book,
    machine: str,
    partakers: list[Candidate],
    *,
    fiat_minor: int,
    principal_sats: int,
    fee_sats: int,
    platform_sats: int,
    rules: int,
) -> tuple[Leg, ...]:
    """Return the legs of a cash-out whose LPs and stakes are known already."""
    legs = _share_fee(book, machine, fee_sats, platform_sats, rules)
    _share_principal(book, legs, partakers, fiat_minor, principal_sats)
    return tuple(legs)


def _share_fee(book: Book, machine: str, fee_sats: int, platform_sats: int, rules: int) -> list[Leg]:
    legs: list[Leg] = []
    splits = book.splits_in_force(machine)
    if rules >= SOUND:
        splits = tuple(owner_now(book, rule) for rule in splits)
    shares = share_fee(fee_sats, platform_sats, splits)
    if shares.platform_sats:
        _add(book, legs, LegType.SUPER_FEE, shares.platform_sats, label="platform")
    for rule, sats in shares.pot:
        if sats:
            _add(book, legs, LegType.OPERATOR_SPLIT, sats, lp=rule.lp, label=rule.label, pubkey=rule.pubkey)
    return legs


def _share_principal(
    book: Book, legs: list[Leg], partakers: list[Candidate], fiat_minor: int, principal_sats: int
) -> None:
    """Add the legs of a principal to those of its fee."""
    if not partakers:
        _add(book, legs, LegType.DCA, 0, fiat_minor=0, skipped=SkipReason.NO_CANDIDATES)
        _add(book, legs, LegType.OPERATOR, principal_sats, label="operator", fiat_minor=fiat_minor)
        return
    flow = share_flow(partakers, fiat_minor, principal_sats)
    for number, (partaker, part_minor, sats) in enumerate(flow.shares, start=book.leg_count + 1 + len(legs)):
        lp, before_minor, _ = partaker
        status, reason = _TAKEN if sats else _TOO_SMALL
        after_minor = before_minor - part_minor
        legs.append(
            Leg(number, LegType.DCA, lp, None, None, sats, part_minor, status, reason, before_minor, after_minor)
        )
    if flow.operator_sats or flow.operator_fiat_minor:
        _add(book, legs, LegType.OPERATOR, flow.operator_sats, label="operator", fiat_minor=flow.operator_fiat_minor)


def _add(
    book: Book,
    legs: list[Leg],
    kind: LegType,
    sats: int,
    *,
    lp: str | None = None,
    label: str | None = None,
    pubkey: str | None = None,
    fiat_minor: int | None = None,
    skipped: SkipReason | None = None,
) -> None:
    status = LegStatus.SKIPPED if skipped else LegStatus.COMPLETED
    number = book.leg_count + 1 + len(legs)
    legs.append(Leg(number, kind, lp, label, pubkey, sats, fiat_minor, status, skipped, None, None))
