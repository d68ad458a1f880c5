"""Bounds: how far the money of a book may grow, so that whatever is sealed, kept, signed or shown has room for it.

What lives here: the largest amounts, and telling what would pass them. What does not: rejecting or holding a sale
(core/atm/settlements/rules.py, core/atm/settlements/guards.py) and the tree that must hold what is owed
(core/proofs/liabilities.py). docs/protocol.md section 5; faults.md rows A1, A4, A14, A17.

Journals and databases have 64 bits for an integer, and other people's JSON has 53. Every amount in a fact is within the
bounds of this file; a sum of many is text wherever it is kept.
"""

from collections.abc import Iterable

from nostrbot.core.atm.booking import book_fact
from nostrbot.core.book import Book
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.ledger.accounts import LP_PREFIX, OPERATOR, SAT, SATS
from nostrbot.core.rules import SOUND
from nostrbot.money import SATS_MAX

SALE_MINOR_MAX = 10**13  # minor units in one sale
DAY_MINOR_MAX = 10**15  # what a machine books on a local day before its sales are held
SEAT_MINOR_MAX = 10**15  # an LP's cash at one machine
NOTES_MAX = 10**9  # the value of a banknote, and how many of them, in what a machine reports: far above any true one
BOOK_SATS_MAX = SATS_MAX  # what a book may owe: every satoshi there is
# All that a machine's key can settle: a hundred times every satoshi there is. Past it the key is rogue.
VOLUME_SATS_MAX = 100 * SATS_MAX

_TOO_MANY_SATS = (
    f"this would make your book owe more than {BOOK_SATS_MAX} sats, which is all there are, or take your own sats as "
    "far below zero: some of its sales cannot be true. Find them by `settlement list`, `settlement refund` them "
    "first, then say this again"
)


def owed_sats(book: Book) -> int:
    """Return the sats that a book owes: to LPs, the platform, other parties and customers, and what is the operator's
    own.
    """
    return book.balances.of(SATS, SAT) + max(0, -book.own_sats())


def outgrows_sats(book: Book, facts: Iterable[Fact]) -> bool:
    """Return whether facts would lift what a book owes above all bounds, or take the operator's own sats as far below
    zero.

    A book that is beyond them already may do whatever leads back.
    """
    held, own = book.balances.of(SATS, SAT), book.own_sats()
    for fact in facts:
        transaction = book_fact(fact)
        for account, unit, amount in transaction.postings if transaction else ():
            if unit == SAT and account == SATS:
                held += amount
            elif unit == SAT and account == OPERATOR:
                own -= amount
    owed = held + max(0, -own)
    return owed > max(BOOK_SATS_MAX, owed_sats(book)) or own < min(-BOOK_SATS_MAX, book.own_sats())


def refuse_outgrown(book: Book, facts: Iterable[Fact], rules: int) -> CommandRefused | None:
    """Refuse a command whose facts would take a book past its bounds."""
    if rules < SOUND:
        return None
    known = tuple(facts)
    if outgrows_sats(book, known):
        return CommandRefused(Code.TOO_MUCH, _TOO_MANY_SATS)
    full = _find_full_seat(book, known)
    if full is not None:
        return CommandRefused(
            Code.TOO_MUCH,
            f"this would give {full} more cash at one machine than any machine holds: take some of it back first "
            '(`deposit reverse <deposit> reason="…"`), then say this again',
        )
    return None


def _find_full_seat(book: Book, facts: Iterable[Fact]) -> str | None:
    """Return an LP whose cash at a machine would grow beyond all bounds."""
    cash: dict[tuple[str, str], int] = {}
    for fact in facts:
        transaction = book_fact(fact)
        for account, unit, amount in transaction.postings if transaction else ():
            if unit != SAT and account.startswith(LP_PREFIX):
                cash[account, unit] = cash.get((account, unit), -book.balances.of(account, unit)) - amount
    for (account, unit), minor in cash.items():
        if minor > max(SEAT_MINOR_MAX, -book.balances.of(account, unit)):
            return account.removeprefix(LP_PREFIX).split(":", maxsplit=1)[0]
    return None
