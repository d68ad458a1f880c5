"""LPs in several books: the books that an LP's command concerns, and its notice when another operator enrols it.

What lives here: looking across books for one LP. What does not: its choices (core/atm/registry.py), carrying them from
one book into another (carrying.py beside this). docs/protocol.md sections 6 and 7; the review of November 2026, A8. An
operator learns nothing of an LP's dealings with another one before that LP itself says `join` to it: whatever stands
here is told to LPs only.
"""

from collections.abc import Mapping, Sequence

from nostrbot.core.book import Book, Lp
from nostrbot.messages.receipts import Message, direct_message
from nostrbot.messages.words.receipts import enrolled_words


def lp_in(book: Book, pubkey: str) -> Lp:
    """Return the LP that this key is in a book."""
    return book.lps[book.lp_of_key[pubkey]]


def books_concerned(books: Mapping[str, Book], keys: Sequence[str], pubkey: str, *, also_others: bool) -> list[str]:
    """Return the books that an LP's command concerns: those it joined; `also_others`: then the others.

    Where it has not joined it has nothing to change, and that book's operator must not stand in its way in the others.
    """
    joined = [key for key in keys if lp_in(books[key], pubkey).preferences is not None]
    others = [key for key in keys if key not in joined]
    return [*joined, *others] if also_others else joined or others[:1]


def enrolment_notice(books: Mapping[str, Book], book: Book, pubkey: str) -> Message | None:
    """Tell an LP of another operator, once, that this operator enrolled it: to join here, too."""
    here = lp_in(book, pubkey)
    if here.preferences is not None or len(here.seats) > 1:
        return None
    elsewhere = [other for other in books.values() if other.key != book.key and pubkey in other.lp_of_key]
    chosen = next((lp_in(other, pubkey).preferences for other in elsewhere if lp_in(other, pubkey).preferences), None)
    if chosen is None:
        return None
    words = enrolled_words(book.handle, next(iter(here.seats)), here.handle)
    return direct_message(pubkey, f"enrolled:{book.key}:{pubkey}", words, chosen.scheme)
