"""The shelf: the live books, and sealing into them.

What lives here: the books that a turn works with, which of them it has touched, and entering what was decided into a
turn's batch. What does not: deciding (core/), who works with them (bookkeeper.py, people.py, machines.py and
carrying.py beside this), committing (sequencer.py).
"""

from collections import Counter

from loguru import logger

from nostrbot.core.book import ROOT, Book
from nostrbot.core.directory import Directory
from nostrbot.core.engine import apply
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import Input, Signed
from nostrbot.core.rules import RULES
from nostrbot.errors import BooksError
from nostrbot.journal.entry import Chain, seal
from nostrbot.messages.receipts import Message, Sealed, owes_messages
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Reason, Refusal
from nostrbot.runtime.outbox import message_body
from nostrbot.runtime.turn import Turn, answer_message
from nostrbot.store.batch import Owed
from nostrbot.store.store import LiveBook

SNAPSHOT_EVERY_ENTRIES = 5_000  # folding this many entries at a start takes about a second


class Shelf:
    """The live books. A turn touches them in memory; when its commit fails they are thrown away and loaded again."""

    def __init__(self, live: dict[str, LiveBook], next_row: int) -> None:
        """`next_row`: the first free id of the outbox."""
        self.live = live
        self.books: dict[str, Book] = {key: one.book for key, one in live.items()}
        self.directory = Directory(self.books.values())
        self.refusals: Counter[Reason] = Counter()
        # What must not be gone on with, and why. They are read, nothing is entered.
        self.closed_books: dict[str, str] = {key: one.flaw for key, one in live.items() if one.flaw is not None}
        self._next_row = next_row
        # Of the turn that goes on: the book in hand, and those that may have changed in memory.
        self.in_hand = ROOT
        self.changed: set[str] = set()

    def book_opened(self, key: str) -> LiveBook:
        """Return the live book of this key; it is made empty if there is none yet."""
        if key not in self.live:
            root = self.books[ROOT]
            book = Book(root.bot, key, root.platform)
            self.live[key], self.books[key] = LiveBook(book, Chain(key)), book
        return self.live[key]

    def seal(self, live: LiveBook, given: Input, facts: tuple[Fact, ...], now: int, turn: Turn) -> Sealed:
        """Apply facts and seal them; what the entry has to say is owed from then on."""
        at = live.chain.next_at(now)
        self.in_hand = live.book.key
        self.changed.add(live.book.key)
        try:
            booked = apply(live.book, given.id, facts, seq=live.chain.seq + 1, at=at, rules=RULES)
        except BooksError as error:
            self.closed_books[live.book.key] = str(error)
            raise
        entry = seal(live.chain, given, facts, booked, at=at)
        turn.batch.entries.append(entry)
        kind, sender, scheme, heard = 0, "", Scheme.PLAIN, at
        if isinstance(given, Signed):
            kind, sender, scheme = given.event.kind, given.author, given.scheme
            heard = at if given.heard is None else given.heard
        sealed = Sealed(entry.book, entry.seq, heard, entry.hash, facts, kind, sender, scheme)
        turn.entries[entry.book, entry.seq] = sealed
        if owes_messages(facts):
            turn.batch.owed.append(Owed(self.new_row(), entry.book, entry.seq, None))
        return sealed

    def owe(self, message: Message | None, now: int, turn: Turn) -> None:
        """Owe somebody a message, if there is one."""
        if message is not None:
            turn.batch.owed.append(Owed(self.new_row(), None, None, message_body(message, now)))

    def owe_answer(self, given: Signed, text: str, now: int, turn: Turn) -> None:
        """Owe the answer to a command, which is answered from then on."""
        turn.batch.answered.append((given.id, now))
        self.owe(answer_message(given, text), now, turn)

    def finish(self, turn: Turn) -> None:
        """Put into a turn's batch what its entries leave behind: balances, and now and then a snapshot."""
        self._note_balances(turn)
        self._snapshot(turn)

    def _note_balances(self, turn: Turn) -> None:
        touched = {
            (entry.book, account, unit)
            for entry in turn.batch.entries
            for transaction in entry.transactions
            for account, unit, _ in transaction.postings
        }
        for key, account, unit in sorted(touched):
            turn.batch.balances[key, account, unit] = self.books[key].balances.of(account, unit)

    def _snapshot(self, turn: Turn) -> None:
        for key in {entry.book for entry in turn.batch.entries}:
            live = self.live[key]
            if live.chain.seq - live.snapshot_seq >= SNAPSHOT_EVERY_ENTRIES:
                live.snapshot_seq = live.chain.seq
                try:
                    turn.batch.snapshots.append(live.snapshot_row())
                except Exception as error:  # noqa: BLE001 - a snapshot is a cache: without it the turn is as good
                    logger.opt(exception=True).critical("a book cannot be kept as a snapshot")
                    turn.no_snapshot[key] = type(error).__name__

    def new_row(self) -> int:
        """Return the next id of the outbox."""
        row = self._next_row
        self._next_row += 1
        return row

    def refuse(self, refused: Refusal, event: VerifiedEvent) -> None:
        """Count a refusal, and say so in the log at its lowest level: refusing is the normal thing."""
        self.refusals[refused.reason] += 1
        # Never the content: it may be somebody's private message.
        logger.debug("refused {} of {}: {} {}", event.id[:8], event.pubkey[:8], refused.reason, refused.detail)
