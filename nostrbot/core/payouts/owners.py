"""Owners of payouts: who may be paid, and what of its sats is free.

What lives here: the parts of a key that can be paid, free and frozen sats, and the check of what is held. What does not: the
accounts (booking.py beside this), and why sats are frozen.
"""

from collections import Counter

from nostrbot.core.book import Book
from nostrbot.core.ledger import accounts
from nostrbot.core.ledger.accounts import SAT
from nostrbot.core.payouts.booking import free_account, held_account
from nostrbot.core.payouts.records import Payout
from nostrbot.core.payouts.states import HOLDING, AttemptStatus, Payee
from nostrbot.errors import BooksError


def parts_of(book: Book, pubkey: str) -> list[Payee]:
    """Return what a key is in a book, as far as it is owed sats."""
    parts = {
        Payee.LP: pubkey in book.lp_of_key,
        Payee.OPERATOR: pubkey == book.operator,
        Payee.PLATFORM: pubkey == book.platform,
    }
    return [payee for payee, is_so in parts.items() if is_so]


def free_sats(book: Book, payee: Payee, lp: str | None) -> int:
    """Return the sats that an owner can ask for: owed, not held and not frozen."""
    return -book.balances.of(free_account(payee, lp), SAT) - frozen_sats(book, payee, lp)


def frozen_sats(book: Book, payee: Payee, lp: str | None) -> int:
    """Return the sats of an owner that are frozen. Those of the platform never are."""
    if lp is not None:
        return book.frozen_sats(lp)
    return book.own_frozen_sats() if payee is Payee.OPERATOR else 0


def is_frozen_short(book: Book, payout: Payout) -> bool:
    """Return whether more of its owner's sats are frozen than are there beside what is held: what is held is frozen too."""
    if not book.frozen or not frozen_sats(book, payout.payee, payout.lp):
        return False
    return free_sats(book, payout.payee, payout.lp) < 0


def check_payouts(book: Book) -> None:
    """Raise BooksError unless what is held is what open payouts hold, and no two attempts are one."""
    held: Counter[str] = Counter()
    for payout in book.payouts.open.values():
        if payout.status in HOLDING:
            held[held_account(payout.payee, payout.lp)] += payout.held_sats
    held_accounts = {accounts.lp_held(lp) for lp in book.lps} | {accounts.OPERATOR_HELD, accounts.PLATFORM_HELD}
    for account in sorted(held_accounts | set(held)):
        in_ledger = -book.balances.of(account, SAT)
        if in_ledger != held[account]:
            raise BooksError(f"book {book.handle}: {account} says {in_ledger}, its payouts {held[account]}")
    seen: set[str] = set()
    for payout in (*book.payouts.open.values(), *book.payouts.closed.values()):
        sent = [one.attempt_id for one in payout.attempts if one.status is not AttemptStatus.REFUSED]
        if len(set(sent)) != len(sent) or not seen.isdisjoint(sent):
            raise BooksError(f"book {book.handle}: an attempt of {payout.id} was made before")
        seen.update(sent)
        if sum(attempt.is_open for attempt in payout.attempts) > 1:
            raise BooksError(f"book {book.handle}: {payout.id} has two open attempts")
