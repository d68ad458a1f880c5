"""The outbox: performing after the commit what the commit owes.

What lives here: making messages of entries, sealing and signing them, publishing, and noting what is delivered. What
does not: what is owed (messages/receipts.py, committed by the bot) and sockets (relays/). Messages that were not
confirmed before a crash are made again at the next start. Names, times and nonces are derived, so each is the same
event with the same id, and relays and readers drop the second copy (faults.md rows 49, 50).

A message that relays refuse must not hold up those they would take. So an answered message that is not sent does not
count as in flight. The pool goes on trying a bounded number of such messages. The rows of the others are set down (they
stay owed, in the database only) and are taken up again page by page.
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson
from loguru import logger
from sqlalchemy.exc import DBAPIError

from nostrbot.core.book import ROOT, Book
from nostrbot.core.facts import read_fact
from nostrbot.errors import KeyTextError, SealingError
from nostrbot.messages.receipts import Message, Sealed, entry_messages
from nostrbot.nostr.event import VerifiedEvent, read_event, sign_event
from nostrbot.nostr.giftwrap import make_wrap
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope, Scheme, scheme_of
from nostrbot.refusals import Refusal
from nostrbot.relays.pool import Pool
from nostrbot.relays.publication import Publication
from nostrbot.store.batch import Owed
from nostrbot.store.queries import Queries
from nostrbot.store.stored import StillOwed

QUEUE_ROWS_MAX = 5_000  # rows held in memory; beyond them the database is read again when there is room
PAGE_ROWS = 500
IN_FLIGHT_MAX = 2_000  # publications handed to the pool that no relay has answered
STUCK_MAX = 3_000  # publications answered but not sent that the pool keeps trying, some 3 KiB each
SAID_MAX = 1_000  # of what nothing is owed for: machines repeat, and questions are asked again
SIFT_S = 0.25  # how often those in flight are looked through for answered ones, when there is no room for more
LOOK_BACK_S = 10.0  # one page of what was set down is tried again this often: 3 % of a core
READ_RETRY_S = 1.0  # a locked database or a sick disk gets this much time
MESSAGES_PER_TURN = 8  # sealing and signing take 0.1 ms each: then the loop serves the others


@dataclass(slots=True)
class _Item:
    """One row on its way: its messages, by position, and which of them relays accepted."""

    row: int
    entry: Sealed | None
    body: bytes | None
    delivered: set[int] = field(default_factory=set)
    count: int = 0
    pending: dict[int, Publication] = field(default_factory=dict)

    @property
    def is_stuck(self) -> bool:
        """Whether the pool has all of it, and relays answered all that is not sent."""
        is_handed_over = len(self.delivered) + len(self.pending) >= self.count
        return is_handed_over and all(publication.is_stuck for publication in self.pending.values())


class Delivered(NamedTuple):
    """Outbox rows that are done, rows that are partly so (with the positions accepted), questions answered."""

    rows: list[int]
    partly: list[tuple[int, bytes]]
    answered: list[str]


class Outbox:
    """The follower of the outbox table. `owe()` after each commit; `take_delivered()` before the next."""

    def __init__(
        self,
        books: Mapping[str, Book],
        keys: Keys,
        envelope: Envelope,
        pool: Pool,
        queries: Queries,
        *,
        closed: Collection[str] = (),
        also: Callable[[VerifiedEvent], None] | None = None,
        failed: Callable[[str, str], None] = lambda _book, _why: None,
    ) -> None:
        """`failed` is called with the book and the class of the error where an entry's messages cannot be made.

        `closed`: books whose entries are not spoken of, because they may be damaged: what they owe stays owed.

        `also` is called with each message handed to the pool; a message may come more than once.
        """
        self._books = books
        self._own = _own_keys(keys, books)
        self._keys = keys
        self._envelope = envelope
        self._pool = pool
        self._queries = queries
        self._closed = closed
        self._also = also
        self._failed = failed
        self._unmade: set[int] = set()  # rows whose messages could not be made: they stay owed until the next start
        self._waiting: deque[_Item] = deque()
        self._read_up_to = 0  # rows up to this id are in memory or done
        self._behind = True  # the database holds rows that are not in memory
        self._missed = False  # a commit landed while the database was being read
        self._subjects: dict[tuple[str, str | None], tuple[_Item, int]] = {}  # the newest of each that was handed over
        self._sending: dict[int, _Item] = {}
        self._pending_count = 0  # publications of those
        self._in_flight: dict[Publication, _Item] = {}  # the ones among them that we count on
        self._sift_at = 0.0
        self._said: dict[Publication, None] = {}  # oldest first
        self._done: list[int] = []
        self._progressed: dict[int, _Item] = {}  # rows with deliveries to be noted that are not done
        self._answered: list[str] = []
        self._noting_done: list[int] = []  # taken for the commit that goes on, or just went well
        self._noting_progressed: dict[int, _Item] = {}
        self._was_set_down = False  # rows were, since looking back began
        self._looked_up_to = 0  # looking back goes on after this row
        self._look_back_at = math.inf
        self._made_count = 0
        self._wake = asyncio.Event()

    @property
    def backlog(self) -> int:
        """Rows in memory that are not delivered. Those that were set down are in the database only."""
        return len(self._waiting) + len(self._sending)

    @property
    def has_to_speak(self) -> bool:
        """Return whether messages wait to be made."""
        return bool(self._waiting)

    def owe(self, owed: list[Owed], entries: Mapping[tuple[str, int], Sealed]) -> None:
        """Take on rows that were just committed."""
        for row in owed:
            if row.id <= self._read_up_to:
                # The table was read after the commit and before we were told; or we were told of a later commit first.
                self._look_back_at = -math.inf
                continue
            if self._behind or len(self._waiting) >= QUEUE_ROWS_MAX:
                self._behind = self._missed = True
                break
            entry = entries[row.book, row.seq] if row.book is not None and row.seq is not None else None
            self._waiting.append(_Item(row.id, entry, row.body))
            self._read_up_to = row.id
        self._wake.set()

    def books_changed(self, books: Mapping[str, Book]) -> None:
        """Take the books that were loaded again."""
        self._books = books
        self._own = _own_keys(self._keys, books)

    def say(self, message: Message, at: int, *, answers: str | None = None) -> None:
        """Publish a message that nothing is owed for: an ack to a repeat, or the answer to question `answers`.

        A question is noted as answered only then: one that a crash cut short is answered when it comes again. So is
        one whose answer is given up because too many newer messages wait.
        """

        def over(publication: Publication) -> None:
            self._said.pop(publication, None)
            if answers is not None and publication.is_sent:
                self._answered.append(answers)

        publication = self._submit(self._make(message, at))
        self._said[publication] = None
        publication.when_over(over)
        if len(self._said) > SAID_MAX:
            oldest = next(iter(self._said))
            del self._said[oldest]
            oldest.abandon()

    def take_delivered(self) -> Delivered:
        """Take what was delivered since the last call; the next commit notes it."""
        self._noting_done, self._noting_progressed = self._done, self._progressed
        partly = [(row, orjson.dumps(sorted(item.delivered))) for row, item in self._progressed.items()]
        taken = Delivered(self._done, partly, self._answered)
        self._done, self._progressed, self._answered = [], {}, []
        return taken

    def put_back(self, delivered: Delivered) -> None:
        """Put back these, the last ones taken, because their commit failed: they are to be noted with the next
        one.
        """
        self._done = delivered.rows + self._done
        self._answered = delivered.answered + self._answered
        self._progressed = self._noting_progressed | self._progressed

    async def run(self) -> None:
        """Make and publish what is owed, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            if loop.time() >= self._look_back_at:
                await self._look_back()
            elif self._waiting:
                await self._start_if_made(self._waiting.popleft())
            elif self._behind:
                await self._read_more()
            elif self._look_back_at < math.inf and self._pending_count <= STUCK_MAX // 2:
                await self._look_back()  # there is room: relays take again what they refused
            else:
                await self._sleep(self._look_back_at - loop.time())

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                await self._wake.wait()

    async def _read_more(self) -> None:
        self._missed = False
        page = await self._page(self._read_up_to)
        self._behind = self._missed or len(page) == PAGE_ROWS
        for row in page:
            if not self._is_withheld(row):
                self._take_up(row)
            self._read_up_to = row.id

    def _take_up(self, row: StillOwed, progressed: "_Item | None" = None) -> None:
        try:
            item = _item(row)
        except Exception as error:  # noqa: BLE001 - one row's fault must not hold up what is owed to others
            self._set_aside(row.id, None if row.entry is None else row.entry.book, error)
            return
        if progressed is not None:
            item.delivered |= progressed.delivered
        self._waiting.append(item)

    async def _start_if_made(self, item: _Item) -> None:
        try:
            await self._start(item)
        except Exception as error:  # noqa: BLE001 - as above: what else is owed goes on
            self._set_down(item)
            self._set_aside(item.row, None if item.entry is None else item.entry.book, error)

    def _set_aside(self, row: int, book: str | None, error: Exception) -> None:
        """Leave a row owed whose messages cannot be made; the next start tries it again."""
        logger.opt(exception=error).critical("what outbox row {} owes cannot be made: it waits for the next start", row)
        self._unmade.add(row)
        self._failed(book or ROOT, type(error).__name__)

    def _is_withheld(self, row: StillOwed) -> bool:
        """Whether a row belongs to a missing entry or a closed book, or could not be made."""
        if row.id in self._unmade:
            return True
        return row.body is None and (row.entry is None or row.entry.book in self._closed)

    async def _look_back(self) -> None:
        """Take up a page of what was set down. The table also has rows that are in memory, or done but not yet
        noted.
        """
        if not self._looked_up_to:
            self._was_set_down = False
        end = self._read_up_to
        known = {*self._sending, *(item.row for item in self._waiting), *self._done, *self._noting_done}
        progressed = self._noting_progressed | self._progressed
        page = await self._page(self._looked_up_to)
        for row in page:
            if row.id <= end and row.id not in known and not self._is_withheld(row):
                self._take_up(row, progressed.get(row.id))
        is_through = len(page) < PAGE_ROWS or page[-1].id >= end
        self._looked_up_to = 0 if is_through else page[-1].id
        goes_on = self._was_set_down or not is_through
        self._look_back_at = asyncio.get_running_loop().time() + LOOK_BACK_S if goes_on else math.inf

    async def _page(self, after: int) -> list[StillOwed]:
        """Owed rows after this one, from the database, however long it takes to be readable."""
        while True:
            try:
                return await self._queries.outbox(after=after, limit=PAGE_ROWS)
            except DBAPIError as error:
                logger.error("what is owed cannot be read ({}): trying again, nothing is lost", error.orig)
                await asyncio.sleep(READ_RETRY_S)

    async def _start(self, item: _Item) -> None:
        fields = {} if item.body is None else orjson.loads(item.body)
        if "event" in fields:
            await self._start_signed(read_event(fields["event"]), item)
            return
        messages = self._messages(item)
        item.count = len(messages)
        self._sending[item.row] = item
        for position, (message, at) in enumerate(messages):
            if message.outdated or message.to in self._own:
                item.delivered.add(position)
            if position in item.delivered:
                continue
            await self._wait_for_room()
            if item.row not in self._sending:
                return  # set down meanwhile
            try:
                event = self._make(message, at)
            except (SealingError, KeyTextError) as error:
                # It can never be sent; holding everything behind it would help nobody.
                logger.error("message {} cannot be sealed and is dropped: {}", message.name, error)
                item.delivered.add(position)
                continue
            self._publish(event, item, position)
            if message.subject is not None:
                self._supersede(message, item, position)
            self._made_count += 1
            if self._made_count % MESSAGES_PER_TURN == 0:
                await asyncio.sleep(0)
        self._finish_if_done(item)

    async def _start_signed(self, event: VerifiedEvent | Refusal, item: _Item) -> None:
        """Publish one event as it was signed."""
        item.count = 1
        self._sending[item.row] = item
        if isinstance(event, Refusal):
            logger.error("outbox row {} is damaged and is dropped: {}", item.row, event.reason)
            item.delivered.add(0)
            self._finish_if_done(item)
            return
        await self._wait_for_room()
        if item.row in self._sending:
            self._publish(event, item, 0)

    def _messages(self, item: _Item) -> list[tuple[Message, int]]:
        if item.body is not None:
            fields = orjson.loads(item.body)
            at = fields.pop("at")
            return [(Message(**fields | {"scheme": Scheme(fields["scheme"])}), at)]
        entry = item.entry
        assert entry is not None, "a row without a body belongs to an entry"
        return [
            (message, entry.at if message.dated is None else message.dated)
            for message in entry_messages(self._books[entry.book], entry)
        ]

    def _make(self, message: Message, at: int) -> VerifiedEvent:
        name = message.name.encode()
        if message.scheme is Scheme.NIP17:
            return make_wrap(
                self._keys,
                self._envelope,
                to=message.to,
                text=message.text,
                at=at,
                name=name,
                in_reply_to=message.in_reply_to,
            )
        content = self._envelope.seal_to(message.to, message.text, message.scheme, name)
        tags = [["p", message.to]]
        if message.subject is not None:
            tags.append(["d", message.subject])
        if message.in_reply_to is not None:
            tags.append(["e", message.in_reply_to])
        return sign_event(self._keys, kind=message.kind, tags=tags, content=content, created_at=at)

    async def _wait_for_room(self) -> None:
        loop = asyncio.get_running_loop()
        while len(self._in_flight) >= IN_FLIGHT_MAX:
            if loop.time() >= self._sift_at:
                self._sift()
                self._sift_at = loop.time() + SIFT_S
            else:
                await self._sleep(SIFT_S)

    def _sift(self) -> None:
        """Count no longer on what was answered and is not sent."""
        stuck = [(publication, item) for publication, item in self._in_flight.items() if publication.is_stuck]
        for publication, item in stuck:
            self._in_flight.pop(publication, None)
            self._set_down_if_too_many(item)

    def _publish(self, event: VerifiedEvent, item: _Item, position: int) -> None:
        publication = self._submit(event)
        item.pending[position] = publication
        self._pending_count += 1
        self._in_flight[publication] = item
        publication.when_over(lambda publication: self._over(publication, item, position))

    def _supersede(self, message: Message, item: _Item, position: int) -> None:
        """Drop older messages on a subject: relays keep the newest only, and refuse an older one."""
        place = (message.to, message.subject)
        older = self._subjects.get(place)
        self._subjects[place] = (item, position)
        if older is not None and older[1] in older[0].pending:
            self._drop(*older)

    def _drop(self, item: _Item, position: int) -> None:
        """Count a publication on its way as delivered, and stop trying."""
        publication = item.pending[position]
        self._note_delivered(publication, item, position)
        publication.abandon()

    def _submit(self, event: VerifiedEvent) -> Publication:
        if self._also is not None:
            self._also(event)
        return self._pool.submit(event)

    def _over(self, publication: Publication, item: _Item, position: int) -> None:
        if position not in item.pending:
            return  # its row was set down
        if not publication.is_sent:  # the pool stops
            self._set_down(item)
            return
        self._note_delivered(publication, item, position)
        self._wake.set()
        self._set_down_if_too_many(item)

    def _note_delivered(self, publication: Publication, item: _Item, position: int) -> None:
        del item.pending[position]
        self._pending_count -= 1
        self._in_flight.pop(publication, None)
        item.delivered.add(position)
        self._progressed[item.row] = item
        self._finish_if_done(item)

    def _set_down_if_too_many(self, item: _Item) -> None:
        if self._pending_count - len(self._in_flight) > STUCK_MAX and item.pending and item.is_stuck:
            self._set_down(item)

    def _set_down(self, item: _Item) -> None:
        """Forget a row for now: it stays owed, and looking back finds it."""
        self._sending.pop(item.row, None)
        pending = list(item.pending.values())
        item.pending.clear()
        self._pending_count -= len(pending)
        for publication in pending:
            self._in_flight.pop(publication, None)
            publication.abandon()
        self._was_set_down = True
        self._look_back_at = min(self._look_back_at, asyncio.get_running_loop().time() + LOOK_BACK_S)
        self._wake.set()

    def _finish_if_done(self, item: _Item) -> None:
        if len(item.delivered) >= item.count and item.row in self._sending:
            del self._sending[item.row]
            self._progressed.pop(item.row, None)
            self._done.append(item.row)
            logger.debug("outbox row {} is delivered", item.row)


def _own_keys(keys: Keys, books: Mapping[str, Book]) -> frozenset[str]:
    """Return the bot's key and its former keys. A message to itself would come back, and nobody reads it."""
    return frozenset({keys.pubkey}.union(*(book.former_bots for book in books.values())))


def _item(row: StillOwed) -> _Item:
    return _Item(row.id, _sealed(row), row.body, set(orjson.loads(row.delivered)) if row.delivered else set())


def _sealed(row: StillOwed) -> Sealed | None:
    if row.entry is None:
        return None
    content = row.entry.plain()
    event = content["input"].get("event", {"kind": 0, "pubkey": "", "content": ""})
    return Sealed(
        book=row.entry.book,
        seq=row.entry.seq,
        at=content["input"].get("heard", row.entry.at),
        hash=row.entry.hash,
        facts=tuple(read_fact(fields) for fields in content["facts"]),
        kind=event["kind"],
        sender=event["pubkey"],
        scheme=scheme_of(event["content"]),
    )


def signed_body(event: VerifiedEvent) -> bytes:
    """Return a signed event as an outbox row keeps it until relays have it."""
    return orjson.dumps({"event": event.plain()})


def message_body(message: Message, at: int) -> bytes:
    """Return a message without an entry, an answer or an alert, as an outbox row keeps it until relays have it."""
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
