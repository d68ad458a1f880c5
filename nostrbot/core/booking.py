"""Booking: which accounts a fact moves. Our accounting policy, one function a fact.

What lives here: fact -> balanced transaction. What does not: whether the fact is so (core/engine.py) and the chart of
accounts (core/ledger/accounts.py). docs/protocol.md section 5; acceptance X24.
"""

from nostrbot.core.facts import DepositChanged, Fact, Leg, SettlementProcessed
from nostrbot.core.ledger import accounts
from nostrbot.core.ledger.accounts import SAT
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.core.states import DepositStatus, Direction, LegStatus, LegType


def book_fact(fact: Fact) -> Transaction | None:
    """The transaction a fact is booked as, or None when it moves no money."""
    if isinstance(fact, SettlementProcessed):
        return _cash_out(fact) if fact.sale.direction is Direction.CASH_OUT else _cash_in(fact)
    if isinstance(fact, DepositChanged):
        return _deposit(fact)
    return None


def _cash_out(fact: SettlementProcessed) -> Transaction:
    """The customer's sats come in and are owed to the legs' parties; cash leaves the LPs' and the operator's part."""
    sale, currency = fact.sale, fact.sale.currency
    postings = [
        (accounts.SATS, SAT, sale.wire_sats),
        (accounts.machine_cash(fact.machine), currency, -sale.fiat_minor),
    ]
    for leg in fact.legs:
        if leg.status is not LegStatus.COMPLETED:
            continue
        if leg.sats:
            postings.append((_payable(leg), SAT, -leg.sats))
        if leg.fiat_minor:
            payer = accounts.OPERATOR if leg.lp is None else accounts.lp_cash(leg.lp, fact.machine)
            postings.append((payer, currency, leg.fiat_minor))
    return Transaction(tuple(postings))


def _cash_in(fact: SettlementProcessed) -> Transaction:
    """The customer's cash comes in; the operator's sats pay the wire, and its fees are shared from what it keeps."""
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
    """The account a leg's sats are owed to."""
    if leg.type is LegType.SUPER_FEE:
        return accounts.PLATFORM
    if leg.lp is not None:
        return accounts.lp_sats(leg.lp)
    if leg.pubkey is not None:
        return accounts.party(leg.pubkey)
    return accounts.OPERATOR


def _deposit(fact: DepositChanged) -> Transaction | None:
    """Cash enters a machine when a deposit is confirmed and leaves it when one is reversed; else nothing moves."""
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
