"""The sequencer: has turns taken and commits them, whatever becomes of the database meanwhile.

What lives here: a turn tried together, again, or one event at a time; books thrown away and loaded again when a commit
failed; the one lock under which anything is committed. What does not: deciding (runtime/bookkeeper.py), when there is a
turn to take and what follows from it (bot.py), SQL (store/).
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from enum import Enum, auto
from functools import partial
from typing import Protocol

from loguru import logger
from sqlalchemy.exc import DBAPIError

from nostrbot.core.book import ROOT, Book
from nostrbot.core.local_time import DAY_S
from nostrbot.core.platform.roles import no_key
from nostrbot.errors import BooksError, FenceError, UnwritableError
from nostrbot.monitoring.commit_times import CommitTimes
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.sealing import Envelope
from nostrbot.refusals import Reason, Refusal
from nostrbot.relays.inbox import Lane
from nostrbot.runtime.bookkeeper import Bookkeeper
from nostrbot.runtime.freed_keys import Claims
from nostrbot.runtime.inbox import Handed, Inbox, Item, items_of
from nostrbot.runtime.outbox import Delivered
from nostrbot.runtime.troubles import Troubles, Work
from nostrbot.runtime.turn import Turn
from nostrbot.store.batch import Batch
from nostrbot.store.sqlite import damage_told
from nostrbot.store.store import Store

TURN_ITEMS_MAX = 256  # a batch: large enough that a commit's fsync is shared, small enough that acks do not wait
# Of those, gift wraps: opening one takes as long as deciding a command, and most may be strangers'.
TURN_WRAPS_MAX = 16
FLUSH_S = 0.25  # how long a delivery may wait to be noted when nothing else is committed
COMMIT_RETRY_S = 2.0  # after a full disk or a locked database
CLOCK_RETRY_S = 0.5  # a clock that leapt may be set right again at any moment
FORGET_EVERY_S = DAY_S
FORGET_AFTER_S = 3_600.0  # a clock that is believed for so long is not ahead by a mistake of a moment
# A command's effect is in the journal for ever; that it was answered need be known only while it might be read again.
ANSWERS_KEPT_S = 7 * DAY_S


class TurnTrouble(Enum):
    """The reasons why a turn was not committed."""

    DATABASE = auto()  # it cannot be written just now
    OURS = auto()  # an event we cannot decide
    CLOCK = auto()  # it is not believed just now


class DeliveryNotes(Protocol):
    """The source of deliveries since the last commit: the outbox."""

    def take_delivered(self) -> Delivered:
        """Take what the next commit must note."""

    def put_back(self, delivered: Delivered) -> None:
        """Take them back: that commit failed."""

    def books_changed(self, books: Mapping[str, Book]) -> None:
        """Take the books that were loaded again."""


class Sequencer:
    """The one writer of a store. `await sequencer.load()` comes first; then `bookkeeper` is there."""

    def __init__(
        self,
        store: Store,
        envelope: Envelope,
        *,
        bot: str,
        platform: str,
        clock: Callable[[], int],
        stopping: asyncio.Event,
        next_bot: Callable[[], str | None] = no_key,
        is_believed: Callable[[int], bool] = lambda _now: True,
    ) -> None:
        """`bot`, `platform`: their keys (hex). Nothing is tried again once `stopping` is set. `next_bot`: see
        Bookkeeper.

        `is_believed`: asked before each turn whether this is the time; by another nothing is decided.
        """
        self._next_bot = next_bot
        self.store = store
        self.lock = asyncio.Lock()  # held by whoever decides and commits
        self.deliveries: DeliveryNotes | None = None
        self.commits = CommitTimes()
        self._envelope = envelope
        self._bot = bot
        self._platform = platform
        self._clock = clock
        self._stopping = stopping
        self._is_believed = is_believed
        self._bookkeeper: Bookkeeper | None = None
        self._forgot_at = 0  # when old answers were forgotten last
        self._begun_at: float | None = None  # since when the clock is believed, by the running one
        self.turns = 0  # how many changed a book
        self.is_adrift = False  # the books in memory hold what the journal does not: a turn failed while we stop
        self.troubles = Troubles()
        self.last_failure: str | None = None  # why the last turn was not committed; None if it was
        self._failed_in, self._failed_for = ROOT, ""  # of the last turn that failed: which book, which error

    @property
    def bookkeeper(self) -> Bookkeeper:
        """The live books, once loaded; another bookkeeper after trouble with a commit."""
        assert self._bookkeeper is not None, "load() comes first"
        return self._bookkeeper

    async def load(self) -> None:
        """Load the books as they are kept. The first time all that is kept is examined, and a book with a flaw is
        closed.

        Later only the books are loaded that the failed turn may have changed in memory. Raises DBAPIError, and
        BooksError where so much is damaged that there are no books, or they are another bot's.
        """
        before = self._bookkeeper
        known = {} if before is None else {key: one for key, one in before.live.items() if key not in before.changed}
        with damage_told():
            live = await self.store.load_books(self._bot, self._platform, known)
            if self._bookkeeper is None:
                await self.store.examine(live)
            _, highest_row = await self.store.queries.outbox_state()
            sightings = await self.store.queries.sightings()
            claims = before.claims if before is not None else Claims(await self.store.queries.runtime("claims"))
        bookkeeper = Bookkeeper(
            live,
            sightings,
            self._envelope,
            self.store.queries,
            highest_row + 1,
            next_bot=self._next_bot,
            claims=claims,
            hearing=None if before is None else before.hearing,
        )
        if before is not None:
            bookkeeper.closed_books |= before.closed_books
            bookkeeper.refusals += before.refusals
        self._bookkeeper, self.is_adrift = bookkeeper, False
        if self.deliveries is not None:
            self.deliveries.books_changed(bookkeeper.books)

    async def run(
        self, inbox: Inbox, *, is_noted: Callable[[VerifiedEvent], bool], follow_up: Callable[[Turn], None]
    ) -> None:
        """Take what waits in the inbox, turn after turn, until cancelled: a turn that began is finished first.

        `is_noted`: takes what is not for any book, if an event is that. `follow_up`: told of each turn after its
        commit.
        """
        while True:
            waiting = [await inbox.get()]
            wrap_count = int(waiting[0].lane is Lane.WRAPPED)
            while len(waiting) < TURN_ITEMS_MAX and wrap_count < TURN_WRAPS_MAX and not inbox.empty():
                waiting.append(inbox.get_nowait())
                wrap_count += waiting[-1].lane is Lane.WRAPPED
            items = [item for item in items_of(waiting) if isinstance(item, Handed) or not is_noted(item)]
            if not items:
                continue
            turns = asyncio.create_task(self._take_all(items, follow_up))
            try:
                await asyncio.shield(turns)
            except asyncio.CancelledError:
                await turns  # a stop between two turns loses nothing; within one, the turn is finished first
                raise

    async def _take_all(self, items: Sequence[Item], follow_up: Callable[[Turn], None]) -> None:
        async for turn in self.take(items):
            follow_up(turn)

    async def keep_deliveries(self) -> None:
        """Note what was delivered, again and again, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.note_deliveries()

    async def take(self, items: Sequence[Item]) -> AsyncGenerator[Turn, None]:
        """Decide and commit what has arrived, in order, together if that goes well and one by one if it does not.

        Yields each turn after its commit. Raises FenceError if another writer was here, BooksError when no book is
        sound.
        """
        waiting = deque([list(items)])
        while waiting:
            group = waiting[0]
            outcome = await self._try_turn(partial(self._decide, group))
            if isinstance(outcome, Turn):
                waiting.popleft()
                self._tell_sources(group)
                yield outcome
            elif self._stopping.is_set():
                return  # what was not committed was not answered either: it will be said again
            elif outcome is TurnTrouble.DATABASE:
                await self._pause()
            elif outcome is TurnTrouble.CLOCK:  # people do not repeat themselves: what they said waits
                await self._pause(CLOCK_RETRY_S)
            elif len(group) > 1:
                waiting.popleft()
                waiting.extendleft(reversed(_smaller(group)))
            else:
                waiting.popleft()
                self._set_aside(group[0])

    def _set_aside(self, item: Item) -> None:
        """Go on without what cannot be decided. An observation stays with its source, and its book is closed: who else
        would say it?

        Work that is due by the clock is due again, later and later.
        """
        if not isinstance(item, Handed):
            self.bookkeeper.refuse(Refusal(Reason.SET_ASIDE), item)
            self.note_trouble(self._failed_in, Work.EVENT, self._failed_for)
            return
        if item.seen is None:
            self.note_trouble(item.book, Work.TICK, self._failed_for)
        else:
            self.bookkeeper.closed_books.setdefault(item.book, f"an observation cannot be decided: {self._failed_for}")
        item.tell(is_held=False)

    def _tell_sources(self, items: Sequence[Item]) -> None:
        """Tell those who handed observations in that entries hold them; of a book that is closed, or not there, none
        does.
        """
        for item in items:
            if isinstance(item, Handed):
                is_held = item.book in self.bookkeeper.live and item.book not in self.bookkeeper.closed_books
                if item.seen is None and is_held:
                    self.troubles.went_well(item.book, Work.TICK)
                item.tell(is_held=is_held)

    def note_trouble(self, key: str, work: Work, why: str) -> None:
        """Note that this work failed in a book; one that is not there (its opening failed) is the root book's
        trouble.
        """
        book = key if key in self.bookkeeper.books else ROOT
        running = asyncio.get_running_loop().time()
        self.troubles.note(book, work, why, now=self._clock(), running=running)

    def is_resting(self, key: str, work: Work) -> bool:
        """Return whether this work failed in a book a short while ago, so that it is not tried again yet."""
        return self.troubles.is_resting(key, work, asyncio.get_running_loop().time())

    async def commit(self, batch: Batch) -> None:
        """Commit a batch and, with it, what was delivered since the last one. The caller holds the lock."""
        assert self.lock.locked(), "whoever commits holds the lock"
        now = self._clock()
        delivered = Delivered([], [], []) if self.deliveries is None else self.deliveries.take_delivered()
        batch.delivered += delivered.rows
        batch.partly_delivered += delivered.partly
        batch.answered += [(event_id, now) for event_id in delivered.answered]
        running = asyncio.get_running_loop().time()
        self._begun_at = running if self._begun_at is None else self._begun_at
        is_settled = running - self._begun_at >= FORGET_AFTER_S
        if batch and is_settled and not 0 <= now - self._forgot_at < FORGET_EVERY_S:
            self._forgot_at, batch.forget_answers_before = now, now - ANSWERS_KEPT_S
        try:
            if batch:
                began_s = time.perf_counter()
                await self._write(batch)
                self.commits.add(time.perf_counter() - began_s)
        except BaseException:  # cancelled as well
            self.commits.add_failed()
            if self.deliveries is not None:
                self.deliveries.put_back(delivered)
            raise

    async def _write(self, batch: Batch) -> None:
        try:
            await self.store.writer.commit(batch)
        except UnwritableError as error:
            if not batch.snapshots:
                raise
            logger.critical("snapshots cannot be kept: {}", error)
            unkept, batch.snapshots = batch.snapshots, []
            await self.store.writer.commit(batch)  # nothing of it was written, and without them it is as good
            for row in unkept:
                self.note_trouble(row.book, Work.SNAPSHOT, type(error).__name__)
        else:
            for row in batch.snapshots:
                self.troubles.went_well(row.book, Work.SNAPSHOT)

    async def note_deliveries(self) -> None:
        """Commit what was delivered, and nothing else. Not noted is noted later, or made again under the same ids."""
        async with self.lock:
            try:
                await self.commit(Batch())
            except (DBAPIError, UnwritableError) as error:
                logger.error("deliveries cannot be noted: {}", error.orig if isinstance(error, DBAPIError) else error)

    async def _decide(self, items: Sequence[Item], now: int) -> Turn:
        return await self.bookkeeper.take(items, lambda: now)

    async def _try_turn(self, decide: Callable[[int], Awaitable[Turn]]) -> Turn | TurnTrouble:
        """Commit a turn, or leave the books as they were: they are loaded again if anything went wrong."""
        trouble = TurnTrouble.OURS
        async with self.lock:
            if self.is_adrift:  # what went on from there would leave a hole in the chain
                return TurnTrouble.DATABASE
            now = self._clock()
            if not self._is_believed(now):
                self._begun_at = None
                return TurnTrouble.CLOCK
            closed_before = len(self.bookkeeper.closed_books)
            try:
                turn = await decide(now)
                if turn.batch:
                    await self.commit(turn.batch)
                self.turns += bool(turn.batch.entries)
                for key, why in turn.no_snapshot.items():
                    self.note_trouble(key, Work.SNAPSHOT, why)
            except FenceError:
                raise
            except BooksError as error:
                if len(self.bookkeeper.closed_books) == closed_before:
                    raise
                logger.critical("a book is closed until a person has looked into it: {}", error)
                self._failed_for = type(error).__name__
                self.last_failure = "a book was closed"
            except DBAPIError as error:
                # Disk full, locked for a minute, I/O error: nothing of the turn was kept, nothing was said.
                logger.error("the database cannot be written ({}): trying again, nothing is lost", error.orig)
                trouble, self.last_failure = TurnTrouble.DATABASE, f"the database cannot be written ({error.orig})"
            except Exception as error:  # noqa: BLE001 - the boundary of the writing task
                # A fault of ours must cost one event, not the bot. No values in the log: they may be private.
                logger.opt(exception=True).critical("set aside what I could not decide")
                self._failed_for = type(error).__name__
                self.last_failure = f"something could not be decided ({self._failed_for})"
            else:
                self.last_failure = None
                return turn
            self._failed_in = self.bookkeeper.in_hand
            await self._load_again()
        return trouble

    async def _load_again(self) -> None:
        """Throw away what a failed turn left in memory; without sound books nothing may be decided, so insist."""
        self.is_adrift = True
        while not self._stopping.is_set():
            try:
                await self.load()
            except DBAPIError as error:
                logger.error("the database cannot be read ({}): trying again", error.orig)
                await self._pause()
            else:
                return

    async def _pause(self, seconds: float | None = None) -> None:
        """Give a full disk or a locked database time, or a clock, unless it is time to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), COMMIT_RETRY_S if seconds is None else seconds)


def _smaller(group: Sequence[Item]) -> list[list[Item]]:
    """Return the smaller groups in which one that failed is tried again, in the same order.

    An observation alone, and what arrived between two of them together: due work that fails in one book must not cost
    everybody else a commit for each event.
    """
    if not any(isinstance(item, Handed) for item in group):
        return [[item] for item in group]
    groups: list[list[Item]] = []
    for item in group:
        if groups and not isinstance(item, Handed) and not isinstance(groups[-1][0], Handed):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups
