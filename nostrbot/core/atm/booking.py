"""Booking: which accounts a fact moves. Our accounting policy, one function a fact.

What lives here: fact -> balanced transaction. What does not: whether the fact is so (core/engine.py) and the chart of
accounts (core/ledger/accounts.py). docs/protocol.md section 5; acceptance X24.
"""

from collections.abc import Iterable, Mapping

from nostrbot.core.atm.facts import CassettesCounted, DepositChanged, LpPaid, PartyMoved, PaymentVoided
from nostrbot.core.atm.settlements.facts import (
    Leg,
    SettlementCorrected,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRetried,
)
from nostrbot.core.atm.states import DepositStatus, Direction, LegStatus, LegType
from nostrbot.core.desk import Booker
from nostrbot.core.facts import Fact
from nostrbot.core.ledger import accounts
from nostrbot.core.ledger.accounts import SAT
from nostrbot.core.ledger.transaction import Posting, Transaction


def book_fact(fact: Fact) -> Transaction | None:
    """Return the transaction a fact of this desk is booked as, or None if it moves no money."""
    booker = BOOKING.get(type(fact))
    return None if booker is None else booker(fact)


def _processed(fact: SettlementProcessed) -> Transaction:
    return _cash_out(fact) if fact.sale.direction is Direction.CASH_OUT else _cash_in(fact)


def _party_moved(fact: PartyMoved) -> Transaction:
    owner = accounts.OPERATOR if fact.lp is None else accounts.lp_sats(fact.lp)
    return Transaction(((accounts.party(fact.pubkey), SAT, fact.sats), (owner, SAT, -fact.sats)))


def _paid(fact: LpPaid) -> Transaction | None:
    return _lp_paid(fact.legs, fact)


def _cash_out(fact: SettlementProcessed) -> Transaction:
    """Book a cash-out: the legs' parties are owed the customer's sats; cash leaves the LPs' and the operator's part."""
    sale, currency = fact.sale, fact.sale.currency
    postings = [
        (accounts.SATS, SAT, sale.wire_sats),
        (accounts.machine_cash(fact.machine), currency, -sale.fiat_minor),
        *_legs_given(fact.legs, fact.machine, currency),
    ]
    return Transaction(tuple(postings))


def _legs_given(legs: Iterable[Leg], machine: str, currency: str) -> list[Posting]:
    """Return what completed legs move: their parties are owed sats, and the cash that was theirs is gone."""
    postings = []
    for leg in legs:
        if leg.status is not LegStatus.COMPLETED:
            continue
        if leg.sats:
            postings.append((_payable(leg), SAT, -leg.sats))
        if leg.fiat_minor:
            payer = accounts.OPERATOR if leg.lp is None else accounts.lp_cash(leg.lp, machine)
            postings.append((payer, currency, leg.fiat_minor))
    return postings


def _legs_taken_back(legs: Iterable[Leg], machine: str, currency: str) -> list[Posting]:
    """Return the reverse, for completed legs that are now void."""
    given = _legs_given((leg._replace(status=LegStatus.COMPLETED) for leg in legs), machine, currency)
    return [(account, unit, -amount) for account, unit, amount in given]


def _retried(fact: SettlementRetried) -> Transaction:
    """Book the rest of a sale: each completed leg was booked with its own part, so only the remainder is left."""
    sale, machine, currency = fact.sale, fact.machine, fact.sale.currency
    left_sats = sale.wire_sats - sum(leg.sats for leg in fact.kept)
    left_minor = sale.fiat_minor - sum(leg.fiat_minor or 0 for leg in fact.kept)
    postings = [
        (accounts.SATS, SAT, left_sats),
        (accounts.machine_cash(machine), currency, -left_minor),
        *_legs_given(fact.legs, machine, currency),
    ]
    return Transaction(tuple(postings))


def _corrected(fact: SettlementCorrected) -> Transaction:
    """Reverse the first sharing and book the new one; the customer's sats stay, and part of them is owed to the
    customer.
    """
    machine, currency, customer = fact.machine, fact.sale.currency, accounts.customer(fact.number)
    postings = [
        *_legs_taken_back(fact.voided, machine, currency),
        (customer, SAT, fact.was_owed_sats - fact.owed_sats),
        (accounts.machine_cash(machine), currency, fact.was_fiat_minor - fact.fiat_minor),
        *_legs_given(fact.legs, machine, currency),
    ]
    return Transaction(tuple(postings))


def _refunded(fact: SettlementRefunded) -> Transaction | None:
    """Book sats that leave for the customer: those owed, or all of them once the whole sharing is reversed."""
    if not fact.sats:
        return None
    machine, currency = fact.machine, fact.sale.currency
    if not fact.fiat_minor:
        return Transaction(((accounts.customer(fact.number), SAT, fact.sats), (accounts.SATS, SAT, -fact.sats)))
    if fact.sale.direction is Direction.CASH_IN:
        postings = [
            (accounts.SATS, SAT, fact.sats),
            (accounts.OPERATOR, SAT, -fact.sale.principal_sats),
            (accounts.machine_cash(machine), currency, -fact.fiat_minor),
            (accounts.OPERATOR, currency, fact.fiat_minor),
        ]
    else:
        postings = [
            (accounts.SATS, SAT, -fact.sats),
            (accounts.machine_cash(machine), currency, fact.fiat_minor),
        ]
    return Transaction((*postings, *_legs_taken_back(fact.voided, machine, currency)))


def _payment_voided(fact: PaymentVoided) -> Transaction | None:
    """Reverse the payment: the sats are the operator's again, the cash the LP's."""
    paid = _lp_paid(tuple(leg._replace(status=LegStatus.COMPLETED) for leg in fact.voided), fact)
    return paid and Transaction(tuple((account, unit, -amount) for account, unit, amount in paid.postings))


def _lp_paid(legs: Iterable[Leg], fact: LpPaid | PaymentVoided) -> Transaction | None:
    """Book a payment: the operator's own sats become the LP's, and the LP's cash, which stays where it is, the
    operator's.
    """
    postings: list[Posting] = []
    for leg in legs:
        if leg.status is LegStatus.COMPLETED and leg.lp is not None and leg.fiat_minor:
            postings += [
                (accounts.OPERATOR, SAT, leg.sats),
                (accounts.lp_sats(leg.lp), SAT, -leg.sats),
                (accounts.lp_cash(leg.lp, fact.machine), fact.currency, leg.fiat_minor),
                (accounts.OPERATOR, fact.currency, -leg.fiat_minor),
            ]
    return Transaction(tuple(postings)) if postings else None


def _counted(fact: CassettesCounted) -> Transaction | None:
    """Book a difference between the count and what was expected: it is a variance, not anybody's cash."""
    if not fact.variance_minor:
        return None
    return Transaction(
        (
            (accounts.machine_cash(fact.machine), fact.currency, fact.variance_minor),
            (accounts.variance(fact.machine), fact.currency, -fact.variance_minor),
        )
    )


def _cash_in(fact: SettlementProcessed) -> Transaction:
    """Book a cash-in: the customer's cash comes in, the operator's sats pay the wire, and its fees are shared."""
    sale, currency = fact.sale, fact.sale.currency
    postings = [
        (accounts.SATS, SAT, -sale.wire_sats),
        (accounts.OPERATOR, SAT, sale.principal_sats),
        (accounts.machine_cash(fact.machine), currency, sale.fiat_minor),
        (accounts.OPERATOR, currency, -sale.fiat_minor),
    ]
    postings.extend((_payable(leg), SAT, -leg.sats) for leg in fact.legs if leg.sats)
    return Transaction(tuple(postings))


def _payable(leg: Leg) -> str:
    """Return the account a leg's sats are owed to."""
    if leg.type is LegType.SUPER_FEE:
        return accounts.PLATFORM
    if leg.lp is not None:
        return accounts.lp_sats(leg.lp)
    if leg.pubkey is not None:
        return accounts.party(leg.pubkey)
    return accounts.OPERATOR


def _deposit(fact: DepositChanged) -> Transaction | None:
    """Book a deposit: cash enters a machine at its confirmation and leaves at its reversal; nothing else moves."""
    deposit = fact.deposit
    if fact.returned_minor:
        amount_minor = -fact.returned_minor
    elif deposit.status is DepositStatus.CONFIRMED:
        amount_minor = deposit.amount_minor
    else:
        return None
    return Transaction(
        (
            (accounts.machine_cash(deposit.machine), deposit.currency, amount_minor),
            (accounts.lp_cash(deposit.lp, deposit.machine), deposit.currency, -amount_minor),
        )
    )


BOOKING: Mapping[type, Booker] = {
    SettlementProcessed: _processed,
    SettlementRetried: _retried,
    SettlementCorrected: _corrected,
    SettlementRefunded: _refunded,
    DepositChanged: _deposit,
    LpPaid: _paid,
    PartyMoved: _party_moved,
    PaymentVoided: _payment_voided,
    CassettesCounted: _counted,
}
