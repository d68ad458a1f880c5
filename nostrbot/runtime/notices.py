"""Notices: what operators are told unasked, committed together with the note that they were told.

What lives here: when alerts, troubles and closed books are looked for, and the commit of each. What does not: what is
wrong (alerting.py and troubles.py beside this) and its words (messages/alerts.py). docs/protocol.md section 6.
"""

import asyncio
from collections.abc import Callable, Sequence

from loguru import logger
from sqlalchemy.exc import DBAPIError

from nostrbot.errors import FenceError
from nostrbot.relays.pool import Pool
from nostrbot.relays.relay import RelayConfig
from nostrbot.runtime.alerting import Alerting, closure_notice, reach_of
from nostrbot.runtime.outbox import Outbox, message_body
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.runtime.subscriptions import OF_MACHINES
from nostrbot.runtime.troubles import Work, trouble_notice
from nostrbot.store.batch import Batch, Owed

LOOK_S = 5.0  # how soon operators hear of what is wrong; some milliseconds a look


class Notices:
    """The sender of notices to operators. `tell_of_closed_books()` at a start, then `run()` until it is
    cancelled.
    """

    def __init__(
        self,
        sequencer: Sequencer,
        outbox: Outbox,
        pool: Pool,
        clock: Callable[[], int],
        *,
        relays: Sequence[RelayConfig],
        min_ok: int,
    ) -> None:
        """`clock`: unix seconds; `relays`: those of the pool; `min_ok`: how many must accept a publication."""
        self._sequencer = sequencer
        self._outbox = outbox
        self._pool = pool
        self._clock = clock
        self._relays = relays
        self._min_ok = min_ok
        self._lookout = Alerting()
        self._told_closed: dict[str, str] = {}  # books that are closed, as those concerned were told
        self._told_before: dict[str, int] | None = None  # troubles, by book and work, as they were told at last

    async def tell_of_closed_books(self) -> None:
        """Tell the log, and those whose books cannot be gone on with: at a start before any work is taken.

        An operator who was told the same at the last start is not told again: a supervisor may start us every few
        seconds.
        """
        async with self._sequencer.lock:
            bookkeeper, now = self._sequencer.bookkeeper, self._clock()
            for key, reason in bookkeeper.closed_books.items() - self._told_closed.items():
                logger.critical("book {} is closed until a person has looked into it: {}", key, reason)
            try:
                told = await self._sequencer.store.queries.runtime("closed") or {}
                news = {key: reason for key, reason in bookkeeper.closed_books.items() if told.get(key) != reason}
                messages = [closure_notice(bookkeeper.books[key], reason, now) for key, reason in news.items()]
                owed = [Owed(bookkeeper.new_row(), None, None, message_body(message, now)) for message in messages]
                await self._sequencer.commit(Batch(owed=owed))
                if told != bookkeeper.closed_books:
                    await self._sequencer.store.queries.tell("closed", bookkeeper.closed_books)
                self._told_closed = dict(bookkeeper.closed_books)
                self._outbox.owe(owed, {})
            except DBAPIError as error:
                logger.error("nobody can be told of closed books: the database cannot be written ({})", error.orig)

    async def run(self) -> None:
        """Look around for what operators should be told; what could not be committed is found again by the next
        look.
        """
        while True:
            await asyncio.sleep(LOOK_S)
            for look in (self.look_out, self.tell_of_troubles):
                try:
                    await look()
                except DBAPIError as error:
                    logger.error("operators cannot be told ({}): trying again, nothing is lost", error.orig)
                except FenceError:
                    raise
                except Exception:  # noqa: BLE001 - the boundary of this task: without alerts, sales go on
                    logger.opt(exception=True).critical("could not look around")

    async def look_out(self) -> None:
        """Look around once: what there is to tell is owed from then on. Raises DBAPIError and FenceError as a commit
        does.
        """
        deaf = any(one.is_missed for one in self._pool.hearing() if one.name.startswith(OF_MACHINES))
        reach = reach_of(self._relays, self._pool.health(), self._min_ok, deaf=deaf)
        async with self._sequencer.lock:
            bookkeeper = self._sequencer.bookkeeper
            now = self._clock()
            found = await self._lookout.look(
                bookkeeper.books, bookkeeper.sightings, self._sequencer.store.queries, reach, now
            )
            for key in found.well:
                self._sequencer.troubles.went_well(key, Work.ALERT)
            for key, why in found.failed.items():
                if not self._sequencer.is_resting(key, Work.ALERT):
                    logger.critical("what the operator of a book should be told cannot be worked out: {}", why)
                    self._sequencer.note_trouble(key, Work.ALERT, why)
            if not found.messages:
                return
            owed = [Owed(bookkeeper.new_row(), None, None, body) for body in found.messages.values()]
            await self._sequencer.commit(Batch(owed=owed, alarms=found.told))
            self._lookout.told(found.told)
            self._outbox.owe(owed, {})

    async def tell_of_troubles(self) -> None:
        """Tell operators what is wrong with their books, once it began and once it is over, and which were closed."""
        if self._sequencer.bookkeeper.closed_books != self._told_closed:
            await self.tell_of_closed_books()
        async with self._sequencer.lock:
            bookkeeper, now, troubles = self._sequencer.bookkeeper, self._clock(), self._sequencer.troubles
            running = asyncio.get_running_loop().time()
            if self._told_before is None:
                self._told_before = await self._sequencer.store.queries.runtime("troubles") or {}
            troubles.remember(self._told_before, now)
            to_tell = troubles.to_tell(now, running)
            if not to_tell:
                return
            notices = [trouble_notice(bookkeeper.books[trouble.book], trouble, now) for trouble in to_tell]
            owed = [Owed(bookkeeper.new_row(), None, None, message_body(notice, now)) for notice in notices]
            await self._sequencer.commit(Batch(owed=owed))
            troubles.told(to_tell, now)
            self._outbox.owe(owed, {})
            self._told_before = troubles.told_before()
            await self._sequencer.store.queries.tell("troubles", self._told_before)
