"""Prefetch: the parts of their past that books must know before a turn is decided.

What lives here: looking up exactly what inputs may repeat or are about, and filling each book's Recall with it. What
does not: deciding (runtime/bookkeeper.py, core/), SQL (store/). An auditor, who reads everything, remembers by itself
(audit/memory.py).
"""

from collections.abc import Container, Mapping, Sequence

from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.payments import PRICED_SHOWN_MAX
from nostrbot.core.atm.settlements.compromise import FREEZE_MAX, may_be_frozen
from nostrbot.core.atm.settlements.evolution import recall_settlement
from nostrbot.core.atm.settlements.facts import SettlementFact
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.book import Book
from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.commands.specs import Past
from nostrbot.core.facts import read_fact
from nostrbot.core.inputs import Observed, Signed, effect_id, reopen
from nostrbot.errors import BooksError
from nostrbot.nostr.event import read_event
from nostrbot.refusals import Refusal
from nostrbot.runtime.intake import Opened
from nostrbot.store.batch import Batch
from nostrbot.store.queries import Queries
from nostrbot.store.stored import StoredEntry

PAST_ROWS = 200  # settlements of a machine's past that are read at once


class Prefetch:
    """The loader of books' recalls, from what is stored of them."""

    def __init__(self, books: Mapping[str, Book], queries: Queries, closed: Container[str]) -> None:
        """`closed`: books in which nothing is decided; their entries may be damaged, so they are not looked into."""
        self._books = books
        self._queries = queries
        self._closed = closed

    async def recall(self, opened: Sequence[Opened]) -> set[str]:
        """Fill the books' recall with what these inputs may repeat or are about; returns the commands already
        answered.
        """
        reports = [one for one in opened if isinstance(one.said, Sale | Refusal)]
        commands = [one for one in opened if isinstance(one.said, Command | Misunderstood)]
        hashes = [one.said.payment_hash for one in reports if isinstance(one.said, Sale)]
        stored = await self._queries.entries_of_events([one.given.id for one in (*reports, *commands)])
        for one in commands:
            operator = one.standing.operator
            if isinstance(one.said, Command) and operator is not None and operator not in self._closed:
                await self._recall_settlement(self._books[operator], one.said)
                await self._recall_past(self._books[operator], one.said)
                await self._recall_leg(self._books[operator], one.said)
                if Past.PAYMENT_HASH in one.said.spec.pasts:
                    hashes.append(one.said.args.get("payment_hash", one.given.id))
        paid = await self._queries.entries_of_payments(hashes)
        for entry in [*stored, *paid]:
            if entry.book not in self._closed:
                _remember(self._books[entry.book], entry)
        await self._recall_dossiers(paid)
        if not commands:
            return set()
        # An input that had an effect is in the journal for ever; of the others it is noted for a while that they were
        # answered.
        done = {event_id for entry in stored if (event_id := effect_id(entry.plain()["input"])) is not None}
        asked = [one.given.id for one in commands]
        return await self._queries.answered(asked) | done.intersection(asked)

    async def recall_observed(self, book: Book, seen: Observed) -> None:
        """Have at hand whether an observation has had its effect."""
        for entry in await self._queries.entries_of_events([seen.id]):
            if entry.book == book.key:
                book.recall.events[seen.id] = None

    async def _recall_settlement(self, book: Book, said: Command) -> None:
        """Have the settlement at hand that a command is about; one this turn has changed already stays as it is."""
        if Past.SETTLEMENT not in said.spec.pasts:
            return
        number = said.args["settlement"]
        if number not in book.recall.dossiers:
            stored = await self._queries.settlement(book.key, number)
            if stored is not None:
                book.recall.dossiers[number] = stored.dossier()

    async def _recall_leg(self, book: Book, said: Command) -> None:
        """Have the payment at hand that a command is about."""
        if Past.LEG not in said.spec.pasts:
            return
        number = said.args["leg"]
        if number not in book.recall.legs:
            stored = await self._queries.leg(book.key, number)
            if stored is not None:
                book.recall.legs[number] = stored.paid()

    async def _recall_dossiers(self, paid: Sequence[StoredEntry]) -> None:
        """Have at hand what became of settlements whose payment hashes came again; it may be with other content."""
        wanted: dict[str, list[int]] = {}
        for born in paid:
            if born.book in self._closed:
                continue
            number = born.plain()["facts"][0]["number"]
            if number not in self._books[born.book].recall.dossiers:
                wanted.setdefault(born.book, []).append(number)
        for key, numbers in wanted.items():
            for stored in await self._queries.settlements(key, numbers=numbers, limit=len(numbers)):
                self._books[key].recall.dossiers[stored.number] = stored.dossier()

    async def _recall_past(self, book: Book, said: Command) -> None:
        """Have at hand what a stolen key may have sold: all of it, or more than may be frozen at once; and priced."""
        if Past.STOLEN not in said.spec.pasts:
            return
        machine, since = said.args["machine"], said.args["since"]
        paid = await self._queries.payments(
            book.key, machine=machine, status=LegStatus.COMPLETED, since=since, limit=PRICED_SHOWN_MAX + 1
        )
        for leg in paid:
            book.recall.legs.setdefault(leg.number, leg.paid())
        found, before = 0, None
        while found <= FREEZE_MAX:
            page = await self._queries.settlements(
                book.key, machine=machine, since=since, before=before, limit=PAST_ROWS
            )
            for stored in page:
                dossier = book.recall.dossiers.setdefault(stored.number, stored.dossier())
                found += may_be_frozen(dossier, machine, since)
                before = stored.number
            if len(page) < PAST_ROWS:
                return


def _remember(book: Book, stored: StoredEntry) -> None:
    """Put a settlement's entry back into its book's recall, by applying nothing."""
    fact = read_fact(stored.plain()["facts"][0])
    if isinstance(fact, SettlementFact):
        recall_settlement(book, fact)


async def carried_input(queries: Queries, batch: Batch, key: str, seq: int) -> Signed:
    """Return the input of an entry, of this batch or of the journal, to be carried into another book."""
    for entry in batch.entries:
        if (entry.book, entry.seq) == (key, seq):
            assert isinstance(entry.given, Signed), "a preference and a fee are commands"
            return entry.given._replace(carried=True, answered=False, heard=None)
    stored = (await queries.entries_at(key, [seq]))[seq].plain()["input"]
    event = read_event(stored["event"])
    if isinstance(event, Refusal):
        raise BooksError(f"book {key}: the event of entry {seq} does not verify")
    given = reopen(event, stored)
    assert isinstance(given, Signed), "what was sealed could be read"
    return given._replace(carried=True, answered=False, heard=None)
