"""Parties: sats that wait for another key in a commission split, and how they move when that key is somebody's here.

What lives here: what moves to the LP or the operator that a key has become, and what moves back when a sale is undone.
What does not: whose a key is (core/platform/roles.py), sharing fees (core/atm/settlements/rules.py). docs/protocol.md
section 5; the review of November 2026, A10. Nothing is lost on the way: what a party's account loses its owner's
account gets.
"""

from collections.abc import Iterable

from nostrbot.core.atm.booking import book_fact
from nostrbot.core.atm.facts import LpEnrolled, PartyMoved
from nostrbot.core.atm.registry import enrol_lp
from nostrbot.core.atm.settlements.corrections import correct_settlement, refund_settlement
from nostrbot.core.atm.settlements.facts import Leg, SettlementCorrected, SettlementRefunded
from nostrbot.core.atm.states import Direction, LegStatus, LegType
from nostrbot.core.book import ROOT, Book, Moved
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.ledger import accounts
from nostrbot.core.platform import operators as platform
from nostrbot.core.platform.roles import owner_of
from nostrbot.core.rules import SOUND


def waiting_sats(book: Book, pubkey: str) -> int:
    """Return the sats that are owed to a key as a party."""
    return -book.balances.of(accounts.party(pubkey), accounts.SAT)


def due_moves(book: Book) -> tuple[Fact, ...]:
    """Return what waits for keys that are an LP's or the operator's; in an old book the clock moves it."""
    facts: list[Fact] = []
    number = book.leg_count + 1
    for pubkey in sorted(book.parties):
        lp, is_own = owner_of(book, pubkey)
        if (lp is not None or is_own) and waiting_sats(book, pubkey) > 0:
            machine = next(iter(book.lps[lp].seats)) if lp is not None else ""
            facts.append(_moved(book, pubkey, lp, machine, number))
            number += lp is not None
    return tuple(facts)


def enrol(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Decide `lp add`, and move what waits for that key; nothing waits for the operator's own key."""
    facts = enrol_lp(book, order)
    if isinstance(facts, CommandRefused) or order.rules < SOUND:
        return facts
    enrolled = facts[0]
    assert isinstance(enrolled, LpEnrolled), "nothing else comes of it"
    if enrolled.pubkey == book.operator or waiting_sats(book, enrolled.pubkey) <= 0:
        return facts
    return (*facts, _moved(book, enrolled.pubkey, enrolled.lp, enrolled.enrolment.machine, book.leg_count + 1))


def replace_operator(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Decide `operator replace`, and move in the operator's book what waits for its new key."""
    facts = platform.replace_operator(book, order)
    if isinstance(facts, CommandRefused) or not facts or order.rules < SOUND or book.key == ROOT:
        return facts
    pubkey = order.args["npub"]
    return (*facts, _moved(book, pubkey, None, "", 0)) if waiting_sats(book, pubkey) > 0 else facts


def _moved(book: Book, pubkey: str, lp: str | None, machine: str, number: int) -> PartyMoved:
    sats = waiting_sats(book, pubkey)
    legs = () if lp is None else (_leg(number, lp, sats),)
    return PartyMoved(pubkey, lp, machine, book.machines[machine].fiat if machine else "", sats, (), legs)


def _leg(number: int, lp: str, sats: int, status: LegStatus = LegStatus.COMPLETED) -> Leg:
    return Leg(number, LegType.OPERATOR_SPLIT, lp, None, None, sats, None, status, None, None, None)


def correct(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Decide `settlement partial`, and take back its part of what was moved."""
    return _with_what_moves_back(book, order, correct_settlement(book, order))


def refund(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Decide `settlement refund`, and take back its part of what was moved."""
    return _with_what_moves_back(book, order, refund_settlement(book, order))


def _with_what_moves_back(
    book: Book, order: Order, facts: tuple[Fact, ...] | CommandRefused
) -> tuple[Fact, ...] | CommandRefused:
    if isinstance(facts, CommandRefused) or order.rules < SOUND:
        return facts
    back: list[Fact] = []
    for fact in facts:
        if isinstance(fact, SettlementCorrected | SettlementRefunded):
            legs = fact.legs if isinstance(fact, SettlementCorrected) else ()
            back += _moves_back(book, fact.voided, legs)
    gone = _find_gone(book, (*facts, *back))
    if gone is not None:
        lp, gone_sats = gone
        return CommandRefused(
            Code.ALREADY_PAID_OUT,
            f"{lp} got what a party's key brought, and {gone_sats} sats of it have left or are on their way out: they "
            f"cannot be called back. Settle it with {lp}, or have its payout cancelled first",
        )
    short_sats = -_own_part_after(book, (*facts, *back))
    if short_sats > 0 and any(isinstance(fact, PartyMoved) and fact.lp is None for fact in back):
        return CommandRefused(
            Code.ALREADY_PAID_OUT,
            f"you paid LPs with what a former party's key brought you, so {short_sats} sats of it have left. `payment "
            "list` "
            'shows what you paid: `payment void <leg> reason="…"` first, or wait until other sales have brought as '
            "much",
        )
    return (*facts, *back)


def _find_gone(book: Book, facts: Iterable[Fact]) -> tuple[str, int] | None:
    """Return an LP that no longer has what these facts take from it, and how many sats are missing."""
    taken: dict[str, int] = {}
    for fact in facts:
        booked = book_fact(fact)
        for account, unit, amount in booked.postings if booked else ():
            if unit == accounts.SAT:
                taken[account] = taken.get(account, 0) + amount
    short = {lp: taken.get(accounts.lp_sats(lp), 0) - book.sats_owed(lp) for lp in book.lps}
    return next(((lp, sats) for lp, sats in short.items() if sats > 0), None)


def _own_part_after(book: Book, facts: Iterable[Fact]) -> int:
    """Return what the operator will have brought in and not paid out: cash-ins are paid from elsewhere (review A11)."""
    left = book.own_sats() + book.cash_in_sats
    for fact in facts:
        booked = book_fact(fact)
        for account, unit, amount in booked.postings if booked else ():
            left -= amount if (account, unit) == (accounts.OPERATOR, accounts.SAT) else 0
        if isinstance(fact, SettlementRefunded) and fact.fiat_minor and fact.sale.direction is Direction.CASH_IN:
            left -= fact.sale.principal_sats
    return left


def _moves_back(book: Book, voided: Iterable[Leg], legs: tuple[Leg, ...]) -> list[Fact]:
    """Return what a party's account lacks once these legs are void: from its LP first, then from the operator."""
    short: dict[str, int] = {}
    for leg in voided:
        if leg.pubkey is not None:
            short[leg.pubkey] = short.get(leg.pubkey, 0) + leg.sats
    for leg in legs:
        if leg.pubkey is not None and leg.pubkey in short:
            short[leg.pubkey] -= leg.sats
    facts: list[Fact] = []
    number = legs[-1].number + 1 if legs else book.leg_count + 1
    for pubkey, sats in short.items():
        left = max(0, sats - waiting_sats(book, pubkey))
        moved = book.moved.get(pubkey)
        if moved is not None and left:
            taken = min(left, moved.sats)
            facts.append(_less(book, pubkey, moved, taken, number))
            number, left = number + (taken < moved.sats), left - taken
        if left:
            facts.append(PartyMoved(pubkey, None, "", "", -left, (), ()))
    return facts


def _less(book: Book, pubkey: str, moved: Moved, taken: int, number: int) -> PartyMoved:
    """Return the move to an LP made again, with less."""
    machine = next(iter(book.lps[moved.lp].seats))
    voided = (_leg(moved.number, moved.lp, moved.sats, LegStatus.VOIDED),)
    legs = (_leg(number, moved.lp, moved.sats - taken),) if taken < moved.sats else ()
    return PartyMoved(pubkey, moved.lp, machine, book.machines[machine].fiat, -taken, voided, legs)
