"""Freed keys: what the platform's `machine free` means across books.

What lives here: who waits for a key, and which sales a machine has told to a book that had its key before. What does
not: taking a key from a book (core/atm/registry.py), and whose it is now (core/directory.py). docs/protocol.md section
6; the review of November 2026, A12. The first operator to enrol a machine's key has it, and keys are public: so there
must be a way back.
"""

from collections.abc import Container, Mapping

from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.recall import Booked
from nostrbot.core.book import Book
from nostrbot.core.directory import Directory
from nostrbot.core.inputs import Signed
from nostrbot.messages.receipts import Message, direct_message
from nostrbot.messages.words.receipts import key_free_words
from nostrbot.nostr.keys import npub
from nostrbot.refusals import Reason, Refusal

CLAIMS_MAX = 1_000  # a key each; beyond them the oldest is forgotten, and its operator asks again by itself


class Claims:
    """The operators who were refused a machine's key because another had enrolled it: they are told when it is free."""

    def __init__(self, claims: Mapping[str, str] | None = None) -> None:
        """`claims`: keys (hex), each with the key of the book whose operator asked for it, the oldest first."""
        self.of_key: dict[str, str] = dict(claims or {})
        self.is_news = False  # since they were kept last

    def note(self, pubkey: str, book: str) -> None:
        """Remember who was refused a key."""
        self.of_key.pop(pubkey, None)
        self.of_key[pubkey] = book
        self.is_news = True
        if len(self.of_key) > CLAIMS_MAX:
            del self.of_key[next(iter(self.of_key))]

    def answer(self, pubkey: str, books: Mapping[str, Book], now: int) -> Message | None:
        """Return the message to whoever waits for a key that is now free, if somebody does; it is told once."""
        book = books.get(self.of_key.pop(pubkey, ""))
        if book is None:
            return None
        self.is_news = True
        return direct_message(
            book.operator, f"free:{pubkey}:{now}", key_free_words(npub(pubkey)), book.alert_plan.scheme
        )


def told_before(
    directory: Directory, books: Mapping[str, Book], closed: Container[str], given: Signed, sale: Sale | Refusal
) -> Booked | Refusal | None:
    """Return what became of a sale in a book that had its machine's key before: no sale may be in two books.

    The recall of those books must hold what the sale may repeat; of a closed one nothing is known, so it waits.
    """
    for key in directory.freed_from(given.author):
        if key == directory.holder(given.author):
            continue
        if key in closed:
            return Refusal(Reason.BOOK_CLOSED)
        recall = books[key].recall
        booked = recall.events.get(given.id)
        if booked is None and isinstance(sale, Sale):
            having = recall.payments.get(sale.payment_hash, {})
            booked = next((one for one in having.values() if one.sale.machine == given.author), None)
        if booked is not None:
            return booked
    return None
