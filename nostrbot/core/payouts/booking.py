"""Booking of payouts: sats are held, leave or return.

What lives here: fact -> balanced transaction, and whose accounts they are. What does not: whether the fact is so. A hold is
posted when sats are asked for, so that nobody can ask for them twice.
"""

from collections.abc import Iterable, Mapping

from nostrbot.core.desk import Booker
from nostrbot.core.ledger import accounts
from nostrbot.core.ledger.accounts import SAT
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.core.payouts.facts import (
    PaymentLate,
    PayoutCancelled,
    PayoutFailed,
    PayoutRequested,
    PayoutRetried,
    PayoutSettled,
)
from nostrbot.core.payouts.records import Payout
from nostrbot.core.payouts.states import Payee


def free_account(payee: Payee, lp: str | None) -> str:
    """Return the account that owes a payee its free sats."""
    if lp is not None:
        return accounts.lp_sats(lp)
    return accounts.OPERATOR if payee is Payee.OPERATOR else accounts.PLATFORM


def held_account(payee: Payee, lp: str | None) -> str:
    """Return the account of a payee's held sats."""
    if lp is not None:
        return accounts.lp_held(lp)
    return accounts.OPERATOR_HELD if payee is Payee.OPERATOR else accounts.PLATFORM_HELD


def _transaction(postings: Iterable[tuple[str, int]]) -> Transaction:
    return Transaction(tuple((account, SAT, sats) for account, sats in postings if sats))


def _held(fact: PayoutRequested | PayoutRetried) -> Transaction:
    sats = fact.payout.held_sats
    return _transaction(((_free(fact.payout), sats), (_hold(fact.payout), -sats)))


def _returned(fact: PayoutFailed | PayoutCancelled) -> Transaction:
    sats = fact.payout.held_sats
    return _transaction(((_hold(fact.payout), sats), (_free(fact.payout), -sats)))


def _settled(fact: PayoutSettled) -> Transaction:
    """The sats and the real fee leave; what is left of the cap returns."""
    payout = fact.payout
    return _transaction(
        (
            (_hold(payout), payout.held_sats),
            (accounts.SATS, -(payout.sats + fact.fee_sats + fact.over_sats)),
            (_free(payout), -(payout.fee_cap_sats - fact.fee_sats)),
            (accounts.OPERATOR, fact.over_sats),
        )
    )


def _late(fact: PaymentLate) -> Transaction:
    sats = fact.payout.sats + fact.fee_sats
    return _transaction(((accounts.OPERATOR, sats), (accounts.SATS, -sats)))


def _free(payout: Payout) -> str:
    return free_account(payout.payee, payout.lp)


def _hold(payout: Payout) -> str:
    return held_account(payout.payee, payout.lp)


BOOKING: Mapping[type, Booker] = {
    PayoutRequested: _held,
    PayoutRetried: _held,
    PayoutFailed: _returned,
    PayoutCancelled: _returned,
    PayoutSettled: _settled,
    PaymentLate: _late,
}
