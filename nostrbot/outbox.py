"""The outbox: performing after the commit what the commit owes.

What lives here: making messages of entries, sealing and signing them, publishing, and noting what is delivered. What
does not: what is owed (core/receipts.py, committed by the bot) and sockets (relays/). Whatever was not confirmed before
a crash is made again at the next start; names, times and nonces are derived, so it is the same event with the same id,
and relays and readers drop the second copy (faults.md rows 49, 50).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson
from loguru import logger

from nostrbot.core.book import Book
from nostrbot.core.facts import (
    Fact,
    SettlementFact,
    read_fact,
)
from nostrbot.core.receipts import Message, settlement_messages
from nostrbot.errors import KeyTextError, SealingError
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope, Scheme, scheme_of
from nostrbot.relays.pool import Pool
from nostrbot.relays.publication import Publication
from nostrbot.store.batch import Owed
from nostrbot.store.queries import Queries, StillOwed

QUEUE_ROWS_MAX = 5_000  # rows held in memory; beyond them the database is read again when there is room
PAGE_ROWS = 500
IN_FLIGHT_MAX = 2_000  # publications handed to the pool and not yet accepted
MESSAGES_PER_TURN = 8  # sealing and signing take 0.1 ms each: then the loop serves the others


class Sealed(NamedTuple):
    """What the outbox must know of an entry to make its messages."""

    book: str
    seq: int
    at: int
    hash: str
    facts: tuple[Fact, ...]
    sender: str
    scheme: Scheme


@dataclass(slots=True)
class _Item:
    """One row on its way: its messages and which of them relays accepted."""

    row: int
    entry: Sealed | None
    body: bytes | None
    delivered: set[int] = field(default_factory=set)
    count: int = 0
    noted: int = 0  # how many of `delivered` are already in the database


class Delivered(NamedTuple):
    """Outbox rows that are done, rows that are partly so (with the positions accepted), questions answered."""

    rows: list[int]
    partly: list[tuple[int, bytes]]
    answered: list[str]


class Outbox:
    """Follows the outbox table. `owe()` after each commit; `take_delivered()` before the next."""

    def __init__(self, books: Mapping[str, Book], keys: Keys, envelope: Envelope, pool: Pool, queries: Queries) -> None:
        self._books = books
        self._keys = keys
        self._envelope = envelope
        self._pool = pool
        self._queries = queries
        self._waiting: deque[_Item] = deque()
        self._read_up_to = 0  # rows up to this id are in memory or done
        self._behind = True  # the database holds rows that are not in memory
        self._missed = False  # a commit landed while the database was being read
        self._sending: dict[int, _Item] = {}
        self._done: list[int] = []
        self._answered: list[str] = []
        self._in_flight = 0
        self._made_count = 0
        self._wake = asyncio.Event()

    @property
    def backlog(self) -> int:
        """Rows in memory that are not delivered."""
        return len(self._waiting) + len(self._sending)

    def owe(self, owed: list[Owed], entries: Mapping[tuple[str, int], Sealed]) -> None:
        """Take on rows that were just committed."""
        for row in owed:
            if row.id <= self._read_up_to:
                continue  # the table was read after the commit and before we were told
            if self._behind or len(self._waiting) >= QUEUE_ROWS_MAX:
                self._behind = self._missed = True
                break
            entry = entries[row.book, row.seq] if row.book is not None and row.seq is not None else None
            self._waiting.append(_Item(row.id, entry, row.body))
            self._read_up_to = row.id
        self._wake.set()

    def books_changed(self, books: Mapping[str, Book]) -> None:
        """The books were loaded again."""
        self._books = books

    def say(self, message: Message, at: int, *, answers: str | None = None) -> None:
        """Publish a message that nothing is owed for: an ack to a repeat, or the answer to question `answers`.

        A question is noted as answered only then: one that a crash cut short is answered when it comes again.
        """

        def note(publication: Publication) -> None:
            if answers is not None and publication.is_sent:
                self._answered.append(answers)

        self._publish(self._make(message, at), note)

    def take_delivered(self) -> Delivered:
        """What was delivered since the last call, to be noted with the next commit."""
        taken = Delivered(self._done, [], self._answered)
        self._done, self._answered = [], []
        for item in self._sending.values():
            if item.noted < len(item.delivered):
                item.noted = len(item.delivered)
                taken.partly.append((item.row, orjson.dumps(sorted(item.delivered))))
        return taken

    def put_back(self, delivered: Delivered) -> None:
        """The commit that should have noted these failed: they are to be noted with the next one."""
        self._done = delivered.rows + self._done
        self._answered = delivered.answered + self._answered
        for row, _ in delivered.partly:
            if row in self._sending:
                self._sending[row].noted = 0

    async def run(self) -> None:
        """Make and publish what is owed, for ever."""
        while True:
            if self._waiting:
                await self._start(self._waiting.popleft())
            elif self._behind:
                await self._read_more()
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _read_more(self) -> None:
        self._missed = False
        page = await self._queries.outbox(after=self._read_up_to, limit=PAGE_ROWS)
        self._behind = self._missed or len(page) == PAGE_ROWS
        for row in page:
            delivered = set(orjson.loads(row.delivered)) if row.delivered else set()
            self._waiting.append(_Item(row.id, _sealed(row), row.body, delivered, noted=len(delivered)))
            self._read_up_to = row.id

    async def _start(self, item: _Item) -> None:
        messages = self._messages(item)
        item.count = len(messages)
        self._sending[item.row] = item
        for position, (message, at) in enumerate(messages):
            if position in item.delivered:
                continue
            while self._in_flight >= IN_FLIGHT_MAX:
                self._wake.clear()
                await self._wake.wait()
            try:
                event = self._make(message, at)
            except (SealingError, KeyTextError) as error:
                # It can never be sent; holding everything behind it would help nobody.
                logger.error("message {} cannot be sealed and is dropped: {}", message.name, error)
                item.delivered.add(position)
                continue
            self._publish(event, self._noting(item, position))
            self._made_count += 1
            if self._made_count % MESSAGES_PER_TURN == 0:
                await asyncio.sleep(0)
        self._finish_if_done(item)

    def _messages(self, item: _Item) -> list[tuple[Message, int]]:
        if item.body is not None:
            fields = orjson.loads(item.body)
            at = fields.pop("at")
            return [(Message(**fields | {"scheme": Scheme(fields["scheme"])}), at)]
        entry = item.entry
        assert entry is not None, "a row without a body belongs to an entry"
        messages: list[tuple[Message, int]] = []
        for fact in entry.facts:
            if isinstance(fact, SettlementFact):
                owed = settlement_messages(
                    self._books[entry.book],
                    fact,
                    sender=entry.sender,
                    scheme=entry.scheme,
                    entry=entry.seq,
                    entry_hash=entry.hash,
                )
                messages += [(message, entry.at) for message in owed]
        return messages

    def _make(self, message: Message, at: int) -> VerifiedEvent:
        content = self._envelope.seal_to(message.to, message.text, message.scheme, message.name.encode())
        tags = [["p", message.to]]
        if message.in_reply_to is not None:
            tags.append(["e", message.in_reply_to])
        return sign_event(self._keys, kind=message.kind, tags=tags, content=content, created_at=at)

    def _publish(self, event: VerifiedEvent, over: Callable[[Publication], None]) -> None:
        self._in_flight += 1
        self._pool.submit(event).when_over(lambda publication: self._over(publication, over))

    def _over(self, publication: Publication, tell: Callable[[Publication], None]) -> None:
        self._in_flight -= 1
        self._wake.set()
        tell(publication)

    def _noting(self, item: _Item, position: int) -> Callable[[Publication], None]:
        def note(publication: Publication) -> None:
            if publication.is_sent:
                item.delivered.add(position)
                self._finish_if_done(item)

        return note

    def _finish_if_done(self, item: _Item) -> None:
        if len(item.delivered) >= item.count and item.row in self._sending:
            del self._sending[item.row]
            self._done.append(item.row)
            logger.debug("outbox row {} is delivered", item.row)


def _sealed(row: StillOwed) -> Sealed | None:
    if row.entry is None:
        return None
    content = row.entry.plain()
    event = content["input"]["event"]
    return Sealed(
        book=row.entry.book,
        seq=row.entry.seq,
        at=row.entry.at,
        hash=row.entry.hash,
        facts=tuple(read_fact(fields) for fields in content["facts"]),
        sender=event["pubkey"],
        scheme=scheme_of(event["content"]),
    )


def answer_body(message: Message, at: int) -> bytes:
    """An answer as an outbox row keeps it until relays have it."""
    return orjson.dumps(
        {
            "name": message.name,
            "kind": message.kind,
            "to": message.to,
            "text": message.text,
            "scheme": message.scheme,
            "in_reply_to": message.in_reply_to,
            "at": at,
        }
    )
