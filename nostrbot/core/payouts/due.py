"""Due payouts: what the clock asks for of sats that wait.

What lives here: the queue's turn, what is held going on by itself, and giving up. What does not: asking destinations and paying (a
rail), which follows what is decided here.
"""

from nostrbot.core.book import Book
from nostrbot.core.facts import Fact
from nostrbot.core.payouts.facts import PayoutFailed, PayoutHeld, PayoutQueued, PayoutResolving
from nostrbot.core.payouts.owners import is_frozen_short
from nostrbot.core.payouts.records import Payout
from nostrbot.core.payouts.states import RETURN_AFTER_S, WAITING, HeldWhy, PayoutStatus

DUE_MAX = 100  # in one entry; the others are due a moment later


def decide_due(book: Book, at: int, rules: int) -> tuple[Fact, ...]:
    """Return what is due of payouts."""
    if book.payouts.is_paused:
        return ()
    found: list[Fact] = []
    for payout in book.payouts.open.values():
        fact = _find_due(book, payout, at)
        if fact is not None:
            found.append(fact)
            if len(found) == DUE_MAX:
                break
    return tuple(found)


def _find_due(book: Book, payout: Payout, at: int) -> Fact | None:
    if payout.status not in WAITING:
        return None
    if is_frozen_short(book, payout):
        return None if payout.why is HeldWhy.FROZEN else PayoutHeld(payout.moved(PayoutStatus.HELD, why=HeldWhy.FROZEN))
    if payout.status is PayoutStatus.HELD:
        is_waiting = payout.why is HeldWhy.WALLET_REFUSES and at < payout.next_at
        return None if is_waiting else PayoutQueued(payout.moved(PayoutStatus.QUEUED))
    if payout.status is PayoutStatus.QUEUED and at >= payout.next_at:
        if payout.returned > len(RETURN_AFTER_S):
            return PayoutFailed(payout.moved(PayoutStatus.FAILED))
        return PayoutResolving(payout.moved(PayoutStatus.RESOLVING))
    return None
