"""Evolution: how a book changes, fact by fact.

What lives here: evolve(), which books a fact and folds it into a book. What does not: the state that changes
(core/book.py), how each fact changes it (the evolution of each desk), which accounts it moves (the booking of each
desk), what is so (core/engine.py).
"""

from nostrbot.core.book import Book
from nostrbot.core.desk import Place
from nostrbot.core.desks import BOOKING, EVOLUTION
from nostrbot.core.facts import Fact
from nostrbot.core.ledger.transaction import Transaction


def evolve(book: Book, fact: Fact, place: Place) -> Transaction | None:
    """Apply one fact, in place, as part of the entry at `place`; returns the transaction it was booked as.

    Raises BooksError if the fact would overdraw an LP: decide() must never let that happen.
    """
    kind = type(fact)
    booker = BOOKING.get(kind)
    transaction = None if booker is None else booker(fact)
    if transaction is not None:
        book.balances.apply(transaction)
    EVOLUTION[kind](fact, book, place)
    return transaction
