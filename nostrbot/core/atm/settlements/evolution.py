"""Evolution by settlements: how a book changes with a sale and with what becomes of it.

What lives here: one function a fact, and the table of them. What does not: which accounts a fact moves
(core/atm/booking.py), the other facts of the ATM desk (core/atm/evolution.py), what is so (the rules beside this).
"""

from collections.abc import Mapping

from nostrbot.core.atm.dossier import Dossier, Later
from nostrbot.core.atm.recall import Booked
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
from nostrbot.core.atm.till import FeesOff
from nostrbot.core.book import Book
from nostrbot.core.desk import Evolver, Place
from nostrbot.core.local_time import local_day
from nostrbot.core.rules import SOUND
from nostrbot.refusals import Reason


def _settlement_rejected(fact: SettlementRejected, book: Book, place: Place) -> None:
    till = book.tills[fact.machine]
    if fact.reason not in (Reason.ATTRIBUTION_MISMATCH, Reason.MACHINE_INACTIVE) and fact.sale.n is not None:
        till.counter.hear(fact.sale.n, place.at, place.rules)
    till.reject(fact.reason, place.at)
    _open_dossier(book, fact, place)


def _settlement_pending(fact: SettlementPending, book: Book, place: Place) -> None:
    _report(book, fact, place)
    book.tills[fact.machine].held.append(fact.number)
    _open_dossier(book, fact, place)


def _settlement_processed(fact: SettlementProcessed, book: Book, place: Place) -> None:
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
    """Note that a settlement no longer waits, if it did."""
    held = book.tills[machine].held
    if number in held:
        held.remove(number)


def _report(book: Book, fact: SettlementProcessed | SettlementPending, place: Place) -> None:
    """Note what a machine's accepted report says of the machine itself, whether it was booked or waits."""
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
    number_legs(book, fact.legs)
    spend(book, fact.machine, fact.legs)


def _drop_rate(book: Book, fact: SettlementRefunded | SettlementFrozen | SettlementLifted, place: Place) -> None:
    """Drop the rate of a sale that was undone or ever in doubt: it prices nothing and measures no other rate."""
    if place.rules >= SOUND:
        book.tills[fact.machine].drop_rate(fact.number)


def _give_back(
    book: Book, fact: SettlementCorrected | SettlementRefunded, place: Place, *, wire_sats: int, fiat_minor: int
) -> None:
    """Take an amount of a settlement off its machine's limits; settlements of its former key do not count any more."""
    if place.rules >= SOUND and fact.booked_at:
        is_of_key = fact.sale.machine == book.machines[fact.machine].pubkey
        day = local_day(book.tz, fact.booked_at)
        book.tills[fact.machine].give_back(wire_sats if is_of_key else 0, fiat_minor, day=day)


def number_legs(book: Book, legs: tuple[Leg, ...]) -> None:
    """Count legs: the next leg has the next number."""
    if legs:
        book.leg_count = legs[-1].number


def spend(book: Book, machine: str, legs: tuple[Leg, ...]) -> None:
    """Use up LPs' cash in the machine by their completed legs; note the legs of parties."""
    for leg in legs:
        if leg.pubkey is not None:
            book.parties.add(leg.pubkey)
        if leg.lp is not None and leg.fiat_minor and leg.status is LegStatus.COMPLETED:
            book.lps[leg.lp].seats[machine].spent_minor += leg.fiat_minor


def restore(book: Book, machine: str, legs: tuple[Leg, ...]) -> None:
    """Give back the cash of legs that are now void."""
    for leg in legs:
        if leg.lp is not None and leg.fiat_minor:
            book.lps[leg.lp].seats[machine].spent_minor -= leg.fiat_minor


def _settlement_retried(fact: SettlementRetried, book: Book, place: Place) -> None:
    _settle(book, fact, place)
    _follow_up(book, fact, place)


def _settlement_corrected(fact: SettlementCorrected, book: Book, place: Place) -> None:
    restore(book, fact.machine, fact.voided)
    number_legs(book, fact.legs)
    spend(book, fact.machine, fact.legs)
    if fact.was_fiat_minor > fact.fiat_minor:
        book.tills[fact.machine].put_back(fact.sale, fact.was_fiat_minor - fact.fiat_minor, fact.reported_at)
    elif place.rules >= SOUND:
        book.tills[fact.machine].take_again(fact.sale, fact.fiat_minor - fact.was_fiat_minor, fact.reported_at)
    given_back_sats = fact.owed_sats - fact.was_owed_sats
    _give_back(book, fact, place, wire_sats=given_back_sats, fiat_minor=fact.was_fiat_minor - fact.fiat_minor)
    _follow_up(book, fact, place)


def _settlement_refunded(fact: SettlementRefunded, book: Book, place: Place) -> None:
    restore(book, fact.machine, fact.voided)
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


def _settlement_frozen(fact: SettlementFrozen, book: Book, place: Place) -> None:
    book.frozen[fact.number] = fact
    _drop_rate(book, fact, place)
    _follow_up(book, fact, place)


def _settlement_lifted(fact: SettlementLifted, book: Book, place: Place) -> None:
    del book.frozen[fact.number]
    _drop_rate(book, fact, place)  # one that was frozen by rules 1 has it still
    _follow_up(book, fact, place)


def _settlement_moved(fact: SettlementMoved, book: Book, place: Place) -> None:
    _let_go(book, fact.machine, fact.number)
    if fact.status is SettlementStatus.PENDING:
        book.tills[fact.machine].held.append(fact.number)
    _follow_up(book, fact, place)


def _settlement_noted(fact: SettlementNoted, book: Book, place: Place) -> None:
    _follow_up(book, fact, place)


def _open_dossier(book: Book, fact: SettlementFact, place: Place) -> None:
    book.settlement_count = fact.number
    book.recall.dossiers[fact.number] = Dossier(fact, place.seq, place.at)
    recall_settlement(book, fact)


def _follow_up(book: Book, fact: Later, place: Place) -> None:
    """Append to the settlement's dossier if it is loaded. During replay it is not, and is not needed."""
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


def _payment_hash_shared(fact: PaymentHashShared, book: Book, place: Place) -> None:
    pass  # it says what a person should look at, and changes nothing


SETTLEMENT_EVOLUTION: Mapping[type, Evolver] = {
    SettlementRejected: _settlement_rejected,
    SettlementPending: _settlement_pending,
    SettlementProcessed: _settlement_processed,
    SettlementRetried: _settlement_retried,
    SettlementCorrected: _settlement_corrected,
    SettlementRefunded: _settlement_refunded,
    SettlementFrozen: _settlement_frozen,
    SettlementLifted: _settlement_lifted,
    SettlementMoved: _settlement_moved,
    SettlementNoted: _settlement_noted,
    PaymentHashShared: _payment_hash_shared,
}
