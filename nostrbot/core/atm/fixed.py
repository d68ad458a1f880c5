"""Fixed mode: LPs that take their sats at times of the day, out of the operator's own.

What lives here: which slots are due, what each LP gets in them, and the commands that set slots and limit. What does
not: flow mode (core/atm/settlements/dca.py), prices (core/atm/prices.py), the calendar (core/local_time.py), and who
looks at the clock (bot.py). docs/protocol.md section 5; acceptance X6-X10, O12, O13; faults.md rows 17 and 18. A slot
has its turn once in a local day, however often and whenever somebody looks: a bot that was down catches up with today,
never with yesterday.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

from nostrbot.core.atm.bounds import BOOK_SATS_MAX
from nostrbot.core.atm.facts import FixedPlanSet, LpPaid, SlotsKept
from nostrbot.core.atm.own_sats import sats_for
from nostrbot.core.atm.prices import price_in_force
from nostrbot.core.atm.settlements.facts import Leg
from nostrbot.core.atm.states import LegStatus, LegType, Mode, SkipReason
from nostrbot.core.book import Book, Lp, Seat
from nostrbot.core.commands.amounts import read_limit
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.local_time import local_day, moment_of
from nostrbot.core.platform.roles import bot_keys
from nostrbot.core.rules import SOUND
from nostrbot.money import minor_digits, parse_decimal

DAYS_AHEAD = 3  # today may be over, and a zone that moves across the date line leaves a day out
NO_RATE = "0"  # of payments at a machine that has none yet: they are all skipped


def due_slots(book: Book, at: int) -> tuple[str, ...]:
    """Return the due slots of the local day that have not had their turn."""
    day = local_day(book.tz, at)
    if not book.active or day < book.fixed_day:
        return ()
    return _come(book.tz, day, open_slots(book, day), at)


def _come(tz: str, day: str, slots: Iterable[str], at: int) -> tuple[str, ...]:
    """Return the slots of a day whose time has come."""
    moments = ((slot, moment_of(tz, day, slot)) for slot in slots)
    return tuple(slot for slot, moment in moments if moment is not None and moment <= at)


def open_slots(book: Book, day: str) -> tuple[str, ...]:
    """Return the slots that have not had their turn on a local day."""
    if day != book.fixed_day:
        return book.fixed_plan.slots
    return tuple(slot for slot in book.fixed_plan.slots if slot not in book.fixed_slots)


def next_slot_at(book: Book, at: int) -> int | None:
    """Return the next time (unix seconds) at which a slot is due, at most `at` if one is due already. None if none is
    planned.
    """
    if not book.active:
        return None
    first = date.fromisoformat(max(local_day(book.tz, at), book.fixed_day))
    days = [(first + timedelta(days=ahead)).isoformat() for ahead in range(DAYS_AHEAD)]
    moments = (moment_of(book.tz, day, slot) for day in days for slot in open_slots(book, day))
    return min((moment for moment in moments if moment is not None), default=None)


class _Payment(NamedTuple):
    """One LP's due at one machine: `sats` for `fiat_minor` of its cash. `reason`: why it gets nothing; both are 0
    then.
    """

    lp: str
    machine: str
    rate: str
    fiat_minor: int
    sats: int
    reason: SkipReason | None
    before_minor: int


class _Turn(NamedTuple):
    """One turn of fixed mode: how many of the day's remaining slots are due now, and the rules in force."""

    due: int
    remaining: int
    rules: int


def decide_slots(book: Book, at: int, rules: int) -> tuple[Fact, ...]:
    """Keep the due slots: note that they are kept, then pay LPs machine by machine. No facts if nothing is due."""
    due = due_slots(book, at)
    if not due:
        return ()
    day = local_day(book.tz, at)
    payments = list(_payments(book, day, len(due), rules))
    wanted_sats = sum(payment.sats for payment in payments)
    short_sats = max(0, wanted_sats - book.free_sats()) if wanted_sats else 0
    if rules >= SOUND:
        short_sats = min(short_sats, BOOK_SATS_MAX)  # at an absurd price the LPs are due more than an entry can say
    by_machine: dict[str, list[_Payment]] = {}
    for payment in _serve(payments, book.free_sats()):
        by_machine.setdefault(payment.machine, []).append(payment)
    facts: list[Fact] = [SlotsKept(day, due, short_sats)]
    number = book.leg_count + 1
    for machine, there in by_machine.items():
        legs = tuple(_leg(payment, n) for n, payment in enumerate(there, start=number))
        facts.append(LpPaid(machine, book.machines[machine].fiat, there[0].rate, due[-1], legs))
        number += len(legs)
    return tuple(facts)


def _serve(payments: list[_Payment], own_sats: int) -> Iterator[_Payment]:
    """Pay in order while the operator's sats last. An LP whose amount is too large is skipped; a later, smaller one
    may be paid.
    """
    for payment in payments:
        if payment.sats and payment.sats > own_sats:
            yield payment._replace(fiat_minor=0, sats=0, reason=SkipReason.SHORT_OF_SATS)
        else:
            own_sats -= payment.sats
            yield payment


def _payments(book: Book, day: str, due: int, rules: int) -> Iterator[_Payment]:
    """Return what fixed LPs are due for this number of the day's slots, in enrolment order."""
    given_minor = book.fixed_given_minor if day == book.fixed_day else {}
    remaining = len(open_slots(book, day))
    for lp in book.lps.values():
        chosen = lp.preferences
        if chosen is None or chosen.mode is not Mode.FIXED or chosen.paused:
            continue
        if rules >= SOUND and lp.pubkey in bot_keys(book):
            continue
        for currency, seats in _purses(book, lp).items():
            limits = (book.fixed_plan.limit, chosen.limit)
            allowed_minor = min(floor_minor(limit, currency) for limit in limits if limit is not None)
            left_minor = max(0, allowed_minor - given_minor.get((lp.handle, currency), 0))
            if left_minor:
                yield from _due_to(book, currency, seats, left_minor, _Turn(due, remaining, rules))


def _purses(book: Book, lp: Lp) -> Mapping[str, list[Seat]]:
    """Return the machines at which an LP has cash and is active, by currency, in the order of its enrolments."""
    purses: dict[str, list[Seat]] = {}
    for seat in lp.seats.values():
        if seat.enrolment.active and seat.remaining_minor > 0:
            purses.setdefault(book.machines[seat.enrolment.machine].fiat, []).append(seat)
    return purses


def _due_to(book: Book, currency: str, seats: list[Seat], left_minor: int, turn: _Turn) -> Iterator[_Payment]:
    """Return one LP's due in one currency: `turn.due` parts of `turn.remaining` of the rest of its limit and its
    cash.
    """
    prices = {seat.enrolment.machine: price_in_force(book, seat.enrolment.machine, turn.rules) for seat in seats}
    settled = {machine for machine, price in prices.items() if price is not None and price.is_settled}
    payable_minor = sum(seat.remaining_minor for seat in seats if seat.enrolment.machine in settled)
    due_minor = min(left_minor, payable_minor) * turn.due // turn.remaining
    for seat in seats:
        machine, before_minor = seat.enrolment.machine, seat.remaining_minor
        price = prices[machine]
        rate = NO_RATE if price is None else price.usual
        if machine not in settled:
            reason = SkipReason.NO_PRICE if price is None else SkipReason.PRICE_UNSETTLED
            yield _Payment(seat.lp, machine, rate, 0, 0, reason, before_minor)
            continue
        fiat_minor = min(due_minor, before_minor)
        sats = sats_for(fiat_minor, currency, rate)
        if sats:
            due_minor -= fiat_minor
            yield _Payment(seat.lp, machine, rate, fiat_minor, sats, None, before_minor)
        elif fiat_minor:
            yield _Payment(seat.lp, machine, rate, 0, 0, SkipReason.ZERO_SHARE, before_minor)


def floor_minor(limit: str, currency: str) -> int:
    """Return a limit in a currency's minor units; finer decimals do not count."""
    value = parse_decimal(limit)
    assert value is not None, "a limit was read before it came here"
    places = minor_digits(currency) - value.places
    return int(value.digits * 10**places if places >= 0 else value.digits // 10**-places)


def _leg(payment: _Payment, number: int) -> Leg:
    return Leg(
        number=number,
        type=LegType.DCA,
        lp=payment.lp,
        label=None,
        pubkey=None,
        sats=payment.sats,
        fiat_minor=payment.fiat_minor,
        status=LegStatus.SKIPPED if payment.reason else LegStatus.COMPLETED,
        reason=payment.reason,
        before_minor=payment.before_minor,
        after_minor=payment.before_minor - payment.fiat_minor,
    )


def set_schedule(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Set the slots of every day, or none. A new one whose time has passed today has its first turn tomorrow."""
    plan = replace(book.fixed_plan, slots=order.args["times"])
    if plan == book.fixed_plan:
        return ()
    day = local_day(book.tz, order.at)
    passed = _come(book.tz, day, [slot for slot in plan.slots if slot not in book.fixed_plan.slots], order.at)
    fact = FixedPlanSet(plan)
    return (fact, SlotsKept(day, passed, 0)) if passed and day >= book.fixed_day else (fact,)


def set_limit(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Set how much fiat an LP in fixed mode turns into sats a day at the most, in whatever currency its cash is."""
    limit = read_limit(order, "amount", [machine.fiat for machine in book.machines.values()])
    if isinstance(limit, CommandRefused):
        return limit
    plan = replace(book.fixed_plan, limit=limit)
    return () if plan == book.fixed_plan else (FixedPlanSet(plan),)
