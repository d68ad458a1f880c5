"""Evolution by the ATM desk: how a book changes with machines, LPs, their cash and plans.

What lives here: one function a fact, and the table of them, those of settlements included. What does not: which
accounts a fact moves (core/atm/booking.py), what is so (core/engine.py and the rules beside this).
"""

from collections.abc import Mapping

from nostrbot.core.atm.counter import Counter
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
from nostrbot.core.atm.recall import PaidLeg
from nostrbot.core.atm.records import Deposit, Preferences
from nostrbot.core.atm.settlements.evolution import SETTLEMENT_EVOLUTION, number_legs, restore, spend
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.atm.till import Till, in_order
from nostrbot.core.book import ROOT, SCHEMES_KEPT, Book, Lp, Moved, Seat
from nostrbot.core.desk import Evolver, Place
from nostrbot.core.local_time import local_day
from nostrbot.core.rules import SOUND

# What one command of an LP chooses together; the newest command of each aspect tells all its preferences.
PREFERENCE_ASPECTS = {
    "joined": ("joined_at",),
    "mode": ("mode", "limit"),
    "pause": ("paused",),
    "forward": ("forward",),
    "scheme": ("scheme",),
}


def _platform_fee_set(fact: PlatformFeeSet, book: Book, place: Place) -> None:
    book.cash_in_ppm, book.cash_out_ppm, book.fee_seq = fact.cash_in_ppm, fact.cash_out_ppm, place.seq


def _machine_added(fact: MachineAdded | MachineChanged, book: Book, place: Place) -> None:
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


def _machine_freed(fact: MachineFreed, book: Book, place: Place) -> None:
    if book.key != ROOT:  # which only notes that it was so
        book.freed.append(fact.pubkey)


def _machine_compromised(fact: MachineCompromised, book: Book, place: Place) -> None:
    book.tills[fact.machine].last_rate = ""  # a thief's price must not be what the operator's own sats are given for


def _lp_enrolled(fact: LpEnrolled, book: Book, place: Place) -> None:
    lp = book.lps.setdefault(fact.lp, Lp(fact.lp, fact.pubkey))
    book.lp_of_key[fact.pubkey] = fact.lp
    seat = Seat(fact.lp, fact.enrolment)
    lp.seats[fact.enrolment.machine] = seat
    book.seats[fact.enrolment.machine].append(seat)


def _lp_switched(fact: LpSwitched, book: Book, place: Place) -> None:
    for enrolment in fact.enrolments:
        book.lps[fact.lp].seats[enrolment.machine].enrolment = enrolment


def _preferences_set(fact: PreferencesSet, book: Book, place: Place) -> None:
    lp = book.lps[fact.lp]
    before, after = lp.preferences, fact.preferences
    _note_origins(lp, before or lp.brought, after, place)
    if before is None or before.scheme is not after.scheme:
        lp.schemes.append((place.seq, after.scheme))
        del lp.schemes[:-SCHEMES_KEPT]
    lp.preferences = after


def _note_origins(lp: Lp, before: Preferences | None, after: Preferences, place: Place) -> None:
    """Note, for each aspect whose choice changed, the entry of that choice."""
    for aspect, names in PREFERENCE_ASPECTS.items():
        if before is None or any(getattr(before, name) != getattr(after, name) for name in names):
            lp.preference_seqs[aspect] = place.seq


def _preferences_carried(fact: PreferencesCarried, book: Book, place: Place) -> None:
    lp = book.lps[fact.lp]
    _note_origins(lp, lp.brought, fact.preferences, place)
    lp.brought = fact.preferences


def _deposit_changed(fact: DepositChanged, book: Book, place: Place) -> None:
    deposit = fact.deposit
    before = book.deposits.get(deposit.number)
    book.deposits[deposit.number] = deposit
    seat = book.lps[deposit.lp].seats[deposit.machine]
    counted_before = _counted_minor(before) if before else 0
    seat.deposited_minor += _counted_minor(deposit) - counted_before


def _counted_minor(deposit: Deposit) -> int:
    """Return what a deposit adds to its LP's balance: only cash that is really in the machine (acceptance D4, D9)."""
    return 0 if deposit.confirmed_at is None else deposit.amount_minor - deposit.reversed_minor


def _splits_set(fact: SplitsSet, book: Book, place: Place) -> None:
    book.splits[fact.machine] = fact.splits


def _lp_paid(fact: LpPaid, book: Book, place: Place) -> None:
    number_legs(book, fact.legs)
    spend(book, fact.machine, fact.legs)
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


def _party_moved(fact: PartyMoved, book: Book, place: Place) -> None:
    number_legs(book, fact.legs)
    if fact.lp is not None:
        book.moved.pop(fact.pubkey, None)
        for leg in fact.legs:
            book.moved[fact.pubkey] = Moved(fact.lp, leg.number, leg.sats)


def _payment_voided(fact: PaymentVoided, book: Book, place: Place) -> None:
    restore(book, fact.machine, fact.voided)
    for leg in fact.voided:
        known = book.recall.legs.get(leg.number)
        if known is not None:
            book.recall.legs[leg.number] = known._replace(leg=leg)
        key = (leg.lp or "", fact.currency)
        if fact.slot is not None and local_day(book.tz, fact.paid_at) == book.fixed_day:  # it is due again that day
            left_minor = book.fixed_given_minor.pop(key, 0) - (leg.fiat_minor or 0)
            if left_minor > 0:
                book.fixed_given_minor[key] = left_minor


def _slots_kept(fact: SlotsKept, book: Book, place: Place) -> None:
    if fact.day != book.fixed_day:
        book.fixed_day, book.fixed_slots, book.fixed_given_minor = fact.day, set(), {}
    book.fixed_slots.update(fact.slots)


def _fixed_plan_set(fact: FixedPlanSet, book: Book, place: Place) -> None:
    book.fixed_plan = fact.plan


def _alert_plan_set(fact: AlertPlanSet, book: Book, place: Place) -> None:
    book.alert_plan = fact.plan


def _fees_published(fact: FeesPublished, book: Book, place: Place) -> None:
    book.tills[fact.machine].fees_told_at = fact.told_at


def _cassettes_published(fact: CassettesPublished, book: Book, place: Place) -> None:
    book.tills[fact.machine].cassettes_told_at = fact.told_at


def _gaps_dismissed(fact: GapsDismissed, book: Book, place: Place) -> None:
    book.tills[fact.machine].counter.dismiss(fact.runs, fact.newest, is_over=fact.is_over)


def _cassettes_stated(fact: CassettesStated, book: Book, place: Place) -> None:
    till = book.tills[fact.machine]
    stated = till.cassettes | {cassette.position: cassette for cassette in fact.cassettes}
    till.cassettes = {position: stated[position] for position in sorted(stated, key=in_order)}


def _cassette_set(fact: CassetteSet, book: Book, place: Place) -> None:
    book.tills[fact.machine].cassettes[fact.cassette.position] = fact.cassette


def _cassettes_counted(fact: CassettesCounted, book: Book, place: Place) -> None:
    book.tills[fact.machine].cassettes |= {cassette.position: cassette for cassette in fact.cassettes}


EVOLUTION: Mapping[type, Evolver] = {
    **SETTLEMENT_EVOLUTION,
    PlatformFeeSet: _platform_fee_set,
    MachineAdded: _machine_added,
    MachineChanged: _machine_added,
    MachineFreed: _machine_freed,
    MachineCompromised: _machine_compromised,
    LpEnrolled: _lp_enrolled,
    LpSwitched: _lp_switched,
    PreferencesSet: _preferences_set,
    PreferencesCarried: _preferences_carried,
    DepositChanged: _deposit_changed,
    SplitsSet: _splits_set,
    LpPaid: _lp_paid,
    PartyMoved: _party_moved,
    PaymentVoided: _payment_voided,
    SlotsKept: _slots_kept,
    FixedPlanSet: _fixed_plan_set,
    AlertPlanSet: _alert_plan_set,
    FeesPublished: _fees_published,
    CassettesPublished: _cassettes_published,
    GapsDismissed: _gaps_dismissed,
    CassettesStated: _cassettes_stated,
    CassetteSet: _cassette_set,
    CassettesCounted: _cassettes_counted,
}
