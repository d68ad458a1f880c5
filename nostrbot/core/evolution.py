"""Evolution: how a book changes, fact by fact.

What lives here: evolve(), one function a fact. What does not: the state that changes (core/book.py), which accounts a fact
moves (core/atm/booking.py), what is so (core/engine.py).
"""

from functools import singledispatch
from typing import Any, NamedTuple

from nostrbot.core.atm.booking import book_fact
from nostrbot.core.atm.counter import Counter
from nostrbot.core.atm.dossier import Dossier, Later
from nostrbot.core.atm.facts import (
    AlertPlanSet,
    CassettesCounted,
    CassetteSet,
    CassettesPublished,
    CassettesStated,
    DepositChanged,
    FeesPublished,
    FixedPlanSet,
    GapsDismissed,
    LpEnrolled,
    LpPaid,
    LpSwitched,
    MachineAdded,
    MachineChanged,
    MachineCompromised,
    MachineFreed,
    PartyMoved,
    PaymentVoided,
    PlatformFeeSet,
    PreferencesCarried,
    PreferencesSet,
    SlotsKept,
    SplitsSet,
)
from nostrbot.core.atm.recall import Booked, PaidLeg
from nostrbot.core.atm.records import Deposit, Preferences
from nostrbot.core.atm.settlements.facts import (
    Leg,
    PaymentHashShared,
    SettlementCorrected,
    SettlementFact,
    SettlementFrozen,
    SettlementLifted,
    SettlementMoved,
    SettlementNoted,
    SettlementPending,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRejected,
    SettlementRetried,
)
from nostrbot.core.atm.settlements.fees import is_out_of_tolerance
from nostrbot.core.atm.states import Direction, LegStatus, SettlementStatus
from nostrbot.core.atm.till import FeesOff, Till, in_order
from nostrbot.core.book import ROOT, SCHEMES_KEPT, Book, Lp, Moved, Seat
from nostrbot.core.facts import Fact
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.core.local_time import local_day
from nostrbot.core.platform.facts import (
    BookOpened,
    BotRotated,
    ClockSetRight,
    OperatorAdded,
    OperatorReplaced,
    OperatorSwitched,
    PredecessorNamed,
)
from nostrbot.core.rules import SOUND
from nostrbot.refusals import Reason

# What one command of an LP chooses together; the newest command of each aspect tells all its preferences.
PREFERENCE_ASPECTS = {
    "joined": ("joined_at",),
    "mode": ("mode", "limit"),
    "pause": ("paused",),
    "forward": ("forward",),
    "scheme": ("scheme",),
}


class Place(NamedTuple):
    """Where a fact stands: in entry `seq`, accepted `at` (unix seconds), decided by `rules`."""

    seq: int
    at: int
    rules: int


def evolve(book: Book, fact: Fact, place: Place) -> Transaction | None:
    """Apply one fact, in place, as part of the entry at `place`; returns the transaction it was booked as.

    Raises BooksError when the fact would overdraw an LP: decide() must never let that happen.
    """
    transaction = book_fact(fact)
    if transaction is not None:
        book.balances.apply(transaction)
    _apply(fact, book, place)
    return transaction


@singledispatch
def _apply(fact: Any, book: Book, place: Place) -> None:
    raise TypeError(f"no such fact: {type(fact).__name__}")


@_apply.register
def _(fact: OperatorAdded, book: Book, place: Place) -> None:
    book.operators[fact.operator] = fact
    book.operator_of_key[fact.operator] = fact.operator


@_apply.register
def _(fact: OperatorSwitched, book: Book, place: Place) -> None:
    if book.key == ROOT:
        (book.suspended_operators.discard if fact.active else book.suspended_operators.add)(fact.operator)
    else:
        book.active = fact.active


@_apply.register
def _(fact: OperatorReplaced, book: Book, place: Place) -> None:
    if book.key == ROOT:
        book.operator_of_key[fact.pubkey] = fact.operator  # a key that was replaced stays known: it is never free again
    else:
        book.former_operators.append(book.operator)
        book.operator = fact.pubkey


@_apply.register
def _(fact: BotRotated, book: Book, place: Place) -> None:
    if not book.rotations:
        book.first_bot = fact.old  # a book that is loaded does not know it before
    book.rotations.append(place.seq)
    book.former_bots.append(fact.old)
    book.bot = fact.new


@_apply.register
def _(fact: PredecessorNamed, book: Book, place: Place) -> None:
    book.former_bots.append(fact.old)


@_apply.register
def _(fact: BookOpened, book: Book, place: Place) -> None:
    book.handle, book.tz, book.opened_at = fact.handle, fact.tz, place.at


@_apply.register
def _(fact: PlatformFeeSet, book: Book, place: Place) -> None:
    book.cash_in_ppm, book.cash_out_ppm, book.fee_seq = fact.cash_in_ppm, fact.cash_out_ppm, place.seq


@_apply.register(MachineAdded)
@_apply.register(MachineChanged)
def _(fact: MachineAdded | MachineChanged, book: Book, place: Place) -> None:
    machine = fact.machine
    before = book.machines.get(machine.handle)
    book.machines[machine.handle] = machine
    book.machine_of_key[machine.pubkey] = machine.handle  # a key rotated out stays known: what it says is rejected
    if machine.handle not in book.tills:
        book.seats[machine.handle] = []
        book.tills[machine.handle] = Till()
    elif place.rules >= SOUND and before is not None and before.pubkey != machine.pubkey:
        till = book.tills[machine.handle]
        till.volume_sats = 0  # what a key may settle is counted by key
        till.counter = Counter()  # what the old key still says is rejected: it is not waited for


@_apply.register
def _(fact: MachineFreed, book: Book, place: Place) -> None:
    if book.key != ROOT:  # which only notes that it was so
        book.freed.append(fact.pubkey)


@_apply.register
def _(fact: MachineCompromised, book: Book, place: Place) -> None:
    book.tills[fact.machine].last_rate = ""  # a thief's price must not be what the operator's own sats are given for


@_apply.register
def _(fact: LpEnrolled, book: Book, place: Place) -> None:
    lp = book.lps.setdefault(fact.lp, Lp(fact.lp, fact.pubkey))
    book.lp_of_key[fact.pubkey] = fact.lp
    seat = Seat(fact.lp, fact.enrolment)
    lp.seats[fact.enrolment.machine] = seat
    book.seats[fact.enrolment.machine].append(seat)


@_apply.register
def _(fact: LpSwitched, book: Book, place: Place) -> None:
    for enrolment in fact.enrolments:
        book.lps[fact.lp].seats[enrolment.machine].enrolment = enrolment


@_apply.register
def _(fact: PreferencesSet, book: Book, place: Place) -> None:
    lp = book.lps[fact.lp]
    before, after = lp.preferences, fact.preferences
    _note_origins(lp, before or lp.brought, after, place)
    if before is None or before.scheme is not after.scheme:
        lp.schemes.append((place.seq, after.scheme))
        del lp.schemes[:-SCHEMES_KEPT]
    lp.preferences = after


def _note_origins(lp: Lp, before: Preferences | None, after: Preferences, place: Place) -> None:
    """Note of each aspect that is chosen otherwise now in which entry that was said."""
    for aspect, names in PREFERENCE_ASPECTS.items():
        if before is None or any(getattr(before, name) != getattr(after, name) for name in names):
            lp.preference_seqs[aspect] = place.seq


@_apply.register
def _(fact: PreferencesCarried, book: Book, place: Place) -> None:
    lp = book.lps[fact.lp]
    _note_origins(lp, lp.brought, fact.preferences, place)
    lp.brought = fact.preferences


@_apply.register
def _(fact: DepositChanged, book: Book, place: Place) -> None:
    deposit = fact.deposit
    before = book.deposits.get(deposit.number)
    book.deposits[deposit.number] = deposit
    seat = book.lps[deposit.lp].seats[deposit.machine]
    counted_before = _counted_minor(before) if before else 0
    seat.deposited_minor += _counted_minor(deposit) - counted_before


def _counted_minor(deposit: Deposit) -> int:
    """What a deposit adds to its LP's balance: only cash that is really in the machine (acceptance D4, D9)."""
    return 0 if deposit.confirmed_at is None else deposit.amount_minor - deposit.reversed_minor


@_apply.register
def _(fact: SplitsSet, book: Book, place: Place) -> None:
    book.splits[fact.machine] = fact.splits


@_apply.register
def _(fact: SettlementRejected, book: Book, place: Place) -> None:
    till = book.tills[fact.machine]
    if fact.reason not in (Reason.ATTRIBUTION_MISMATCH, Reason.MACHINE_INACTIVE) and fact.sale.n is not None:
        till.counter.hear(fact.sale.n, place.at, place.rules)
    till.reject(fact.reason, place.at)
    _open_dossier(book, fact, place)


@_apply.register
def _(fact: SettlementPending, book: Book, place: Place) -> None:
    _report(book, fact, place)
    book.tills[fact.machine].held.append(fact.number)
    _open_dossier(book, fact, place)


@_apply.register
def _(fact: SettlementProcessed, book: Book, place: Place) -> None:
    is_new = fact.number > book.settlement_count
    if is_new:
        _report(book, fact, place)
    _settle(book, fact, place)
    if is_new:
        _open_dossier(book, fact, place)
    else:
        _let_go(book, fact.machine, fact.number)
        _follow_up(book, fact, place)


def _let_go(book: Book, machine: str, number: int) -> None:
    """A settlement waits no longer, if it did."""
    held = book.tills[machine].held
    if number in held:
        held.remove(number)


def _report(book: Book, fact: SettlementProcessed | SettlementPending, place: Place) -> None:
    """What a machine's accepted report says of the machine itself, whether it was booked or waits."""
    till = book.tills[fact.machine]
    if fact.sale.n is not None:
        till.counter.hear(fact.sale.n, place.at, place.rules)
    till.dispense(fact.sale, local_day(book.tz, place.at))
    is_off = is_out_of_tolerance(fact.fee_mismatch_sats, fact.sale.principal_sats)
    till.fees_off = FeesOff(fact.number, fact.sale.fee_sats, fact.fee_mismatch_sats) if is_off else None


def _settle(book: Book, fact: SettlementProcessed | SettlementRetried, place: Place) -> None:
    book.tills[fact.machine].settle(fact.number, fact.sale, local_day(book.tz, place.at))
    if fact.sale.direction is Direction.CASH_IN:
        book.cash_in_sats += fact.sale.principal_sats
    _number_legs(book, fact.legs)
    _spend(book, fact.machine, fact.legs)


def _drop_rate(book: Book, fact: SettlementRefunded | SettlementFrozen | SettlementLifted, place: Place) -> None:
    """What was undone, or was ever in doubt, prices nothing and is no measure for others."""
    if place.rules >= SOUND:
        book.tills[fact.machine].drop_rate(fact.number)


def _give_back(
    book: Book, fact: SettlementCorrected | SettlementRefunded, place: Place, *, wire_sats: int, fiat_minor: int
) -> None:
    """Count so much less of a settlement against its machine's limits; what its former key settled counts no more."""
    if place.rules >= SOUND and fact.booked_at:
        is_of_key = fact.sale.machine == book.machines[fact.machine].pubkey
        day = local_day(book.tz, fact.booked_at)
        book.tills[fact.machine].give_back(wire_sats if is_of_key else 0, fiat_minor, day=day)


def _number_legs(book: Book, legs: tuple[Leg, ...]) -> None:
    if legs:
        book.leg_count = legs[-1].number


def _spend(book: Book, machine: str, legs: tuple[Leg, ...]) -> None:
    """Completed legs of LPs use up their cash in the machine; a party's are noted."""
    for leg in legs:
        if leg.pubkey is not None:
            book.parties.add(leg.pubkey)
        if leg.lp is not None and leg.fiat_minor and leg.status is LegStatus.COMPLETED:
            book.lps[leg.lp].seats[machine].spent_minor += leg.fiat_minor


def _restore(book: Book, machine: str, legs: tuple[Leg, ...]) -> None:
    """Legs that are voided give it back."""
    for leg in legs:
        if leg.lp is not None and leg.fiat_minor:
            book.lps[leg.lp].seats[machine].spent_minor -= leg.fiat_minor


@_apply.register
def _(fact: SettlementRetried, book: Book, place: Place) -> None:
    _settle(book, fact, place)
    _follow_up(book, fact, place)


@_apply.register
def _(fact: SettlementCorrected, book: Book, place: Place) -> None:
    _restore(book, fact.machine, fact.voided)
    _number_legs(book, fact.legs)
    _spend(book, fact.machine, fact.legs)
    if fact.was_fiat_minor > fact.fiat_minor:
        book.tills[fact.machine].put_back(fact.sale, fact.was_fiat_minor - fact.fiat_minor, fact.reported_at)
    elif place.rules >= SOUND:
        book.tills[fact.machine].take_again(fact.sale, fact.fiat_minor - fact.was_fiat_minor, fact.reported_at)
    given_back_sats = fact.owed_sats - fact.was_owed_sats
    _give_back(book, fact, place, wire_sats=given_back_sats, fiat_minor=fact.was_fiat_minor - fact.fiat_minor)
    _follow_up(book, fact, place)


@_apply.register
def _(fact: SettlementRefunded, book: Book, place: Place) -> None:
    _restore(book, fact.machine, fact.voided)
    if fact.fiat_minor or not fact.sats:  # not of a corrected one: its cash is where it should be
        book.tills[fact.machine].put_back(fact.sale, fact.sale.fiat_minor, fact.reported_at)
    if fact.fiat_minor:
        _drop_rate(book, fact, place)
        _give_back(book, fact, place, wire_sats=fact.sats, fiat_minor=fact.fiat_minor)
        if fact.sale.direction is Direction.CASH_IN:
            book.cash_in_sats -= fact.sale.principal_sats
    if place.rules >= SOUND:
        book.tills[fact.machine].forget_fee(fact.number)
    _let_go(book, fact.machine, fact.number)
    frozen = book.frozen.get(fact.number)
    if frozen is not None and (fact.voided or fact.fiat_minor or not (frozen.parts or frozen.own_sats)):
        del book.frozen[fact.number]  # of a corrected one only the rest went back: the others stay frozen
    _follow_up(book, fact, place)


@_apply.register
def _(fact: SettlementFrozen, book: Book, place: Place) -> None:
    book.frozen[fact.number] = fact
    _drop_rate(book, fact, place)
    _follow_up(book, fact, place)


@_apply.register
def _(fact: SettlementLifted, book: Book, place: Place) -> None:
    del book.frozen[fact.number]
    _drop_rate(book, fact, place)  # one that was frozen by rules 1 has it still
    _follow_up(book, fact, place)


@_apply.register
def _(fact: SettlementMoved, book: Book, place: Place) -> None:
    _let_go(book, fact.machine, fact.number)
    if fact.status is SettlementStatus.PENDING:
        book.tills[fact.machine].held.append(fact.number)
    _follow_up(book, fact, place)


@_apply.register
def _(fact: SettlementNoted, book: Book, place: Place) -> None:
    _follow_up(book, fact, place)


def _open_dossier(book: Book, fact: SettlementFact, place: Place) -> None:
    book.settlement_count = fact.number
    book.recall.dossiers[fact.number] = Dossier(fact, place.seq, place.at)
    recall_settlement(book, fact)


def _follow_up(book: Book, fact: Later, place: Place) -> None:
    """Add to a settlement's dossier, where it is at hand: at a restart it is not, and nobody asks."""
    dossier = book.recall.dossiers.get(fact.number)
    if dossier is not None:
        book.recall.dossiers[fact.number] = dossier.followed_by(fact, place.at)


def recall_settlement(book: Book, fact: SettlementFact) -> None:
    """Note that this settlement is known, so that a repeat of it is answered and not booked.

    A rejected one is known by its event only: it never takes the payment hash from a true one.
    """
    error = fact.reason if isinstance(fact, SettlementRejected) else None
    booked = Booked(fact.number, fact.status, error, fact.sale, fact.machine)
    book.recall.events[fact.event_id] = booked
    if not isinstance(fact, SettlementRejected):
        book.recall.payments.setdefault(fact.sale.payment_hash, {})[fact.number] = booked


@_apply.register
def _(fact: PaymentHashShared, book: Book, place: Place) -> None:
    pass  # it says what a person should look at, and changes nothing


@_apply.register
def _(fact: LpPaid, book: Book, place: Place) -> None:
    _number_legs(book, fact.legs)
    _spend(book, fact.machine, fact.legs)
    recall_payment(book, fact, place.at)
    if fact.slot is not None:
        for leg in fact.legs:
            if leg.lp is not None and leg.status is LegStatus.COMPLETED:
                key = (leg.lp, fact.currency)
                book.fixed_given_minor[key] = book.fixed_given_minor.get(key, 0) + (leg.fiat_minor or 0)


def recall_payment(book: Book, fact: LpPaid, at: int) -> None:
    """Note what was paid apart from any settlement, so that it can be voided."""
    for leg in fact.legs:
        book.recall.legs[leg.number] = PaidLeg(leg, fact.machine, fact.currency, fact.rate, fact.slot, at)


@_apply.register
def _(fact: PartyMoved, book: Book, place: Place) -> None:
    _number_legs(book, fact.legs)
    if fact.lp is not None:
        book.moved.pop(fact.pubkey, None)
        for leg in fact.legs:
            book.moved[fact.pubkey] = Moved(fact.lp, leg.number, leg.sats)


@_apply.register
def _(fact: PaymentVoided, book: Book, place: Place) -> None:
    _restore(book, fact.machine, fact.voided)
    for leg in fact.voided:
        known = book.recall.legs.get(leg.number)
        if known is not None:
            book.recall.legs[leg.number] = known._replace(leg=leg)
        key = (leg.lp or "", fact.currency)
        if fact.slot is not None and local_day(book.tz, fact.paid_at) == book.fixed_day:  # it is due again that day
            left_minor = book.fixed_given_minor.pop(key, 0) - (leg.fiat_minor or 0)
            if left_minor > 0:
                book.fixed_given_minor[key] = left_minor


@_apply.register
def _(fact: SlotsKept, book: Book, place: Place) -> None:
    if fact.day != book.fixed_day:
        book.fixed_day, book.fixed_slots, book.fixed_given_minor = fact.day, set(), {}
    book.fixed_slots.update(fact.slots)


@_apply.register
def _(fact: FixedPlanSet, book: Book, place: Place) -> None:
    book.fixed_plan = fact.plan


@_apply.register
def _(fact: AlertPlanSet, book: Book, place: Place) -> None:
    book.alert_plan = fact.plan


@_apply.register
def _(fact: FeesPublished, book: Book, place: Place) -> None:
    book.tills[fact.machine].fees_told_at = fact.told_at


@_apply.register
def _(fact: CassettesPublished, book: Book, place: Place) -> None:
    book.tills[fact.machine].cassettes_told_at = fact.told_at


@_apply.register
def _(fact: GapsDismissed, book: Book, place: Place) -> None:
    book.tills[fact.machine].counter.dismiss(fact.runs, fact.newest, is_over=fact.is_over)


@_apply.register
def _(fact: CassettesStated, book: Book, place: Place) -> None:
    till = book.tills[fact.machine]
    stated = till.cassettes | {cassette.position: cassette for cassette in fact.cassettes}
    till.cassettes = {position: stated[position] for position in sorted(stated, key=in_order)}


@_apply.register
def _(fact: CassetteSet, book: Book, place: Place) -> None:
    book.tills[fact.machine].cassettes[fact.cassette.position] = fact.cassette


@_apply.register
def _(fact: CassettesCounted, book: Book, place: Place) -> None:
    book.tills[fact.machine].cassettes |= {cassette.position: cassette for cassette in fact.cassettes}


@_apply.register
def _(fact: ClockSetRight, book: Book, place: Place) -> None:
    """What was noted ahead of the true time would be in force until it comes: it counts as noted now.

    Slots of the local day that it is now count as kept: whether they were is no longer known, and none is paid twice.
    """
    now, today = fact.now, local_day(book.tz, fact.now)
    book.opened_at = min(book.opened_at, now)
    if book.fixed_day > today:
        book.fixed_day, book.fixed_slots = today, set(book.fixed_plan.slots)
    for till in book.tills.values():
        till.set_back(now, today)
