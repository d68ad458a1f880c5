"""The bot: builds everything, starts it, and stops it; nothing else.

What lives here: which parts there are and how they hang together. What does not: what they do (runtime/, relays/,
store/), and deciding (core/). The bot decides what arrived, commits it in one transaction, and only then speaks of it.
A batch is whatever came during the last commit, so batches grow with the load.
"""

import asyncio
import gc
import time
from collections.abc import Callable

from nostrbot.core.platform.roles import no_key
from nostrbot.home.config import RelaySettings
from nostrbot.net.dialer import Dial, PublicDialer
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope
from nostrbot.relays.limits import Limits
from nostrbot.relays.pool import Pool
from nostrbot.relays.recipients.courier import Courier
from nostrbot.runtime.answers import Answers
from nostrbot.runtime.bookkeeper import Bookkeeper
from nostrbot.runtime.clock import ClockGuard
from nostrbot.runtime.due import DueWork
from nostrbot.runtime.figures import Figures
from nostrbot.runtime.inbox import Inbox
from nostrbot.runtime.notary import Notary
from nostrbot.runtime.notices import Notices
from nostrbot.runtime.outbox import Outbox
from nostrbot.runtime.presence import Presence
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.runtime.side_by_side import side_by_side
from nostrbot.runtime.troubles import Work
from nostrbot.runtime.turn import Turn
from nostrbot.store.store import Store

RELAYS_WAIT_S = 20.0  # what is due at a start waits so long for a relay that says the time

Clock = Callable[[], int]


def unix_now() -> int:
    """Return the bot's clock: unix seconds."""
    return int(time.time())


class Bot:
    """One bot over one home's database. `await bot.start()`, `await bot.run()` until stop() is called."""

    def __init__(
        self,
        *,
        keys: Keys,
        platform: str,
        database_url: str,
        settings: RelaySettings,
        clock: Clock = unix_now,
        limits: Limits | None = None,
        dial: Dial | None = None,
        next_key: Callable[[], str | None] = no_key,
        trust_clock: bool = False,
    ) -> None:
        """`dial`: how to connect to relays that people announced; by default to public ones only.

        `next_key`: the key (hex) that a rotation on its way is about to give the bot, if there is one. `trust_clock`:
        relays are not asked whether the clock is right.
        """
        limits = limits or Limits()
        self.keys = keys
        self._next_key = next_key
        self._platform = platform
        self._database_url = database_url
        self._clock = clock
        self._envelope = Envelope(keys)
        self._relays, self._min_ok = settings.relays, settings.min_ok
        self.inbox = Inbox(limits.inbox_max, limits.inbox_max_bytes)
        self.pool = Pool(
            settings.relays, keys, min_ok=settings.min_ok, limits=limits, wall_clock=clock, inbox=self.inbox
        )
        self.guard = ClockGuard(self.pool.health, asks_relays=not trust_clock)
        self._courier = Courier(dial or PublicDialer()) if settings.recipient_relays else None
        self._presence = Presence(keys, self.pool, self._courier, clock, settings.relays)
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Open the database, rebuild the books, connect. Raises ConfigError or BooksError."""
        store = await Store.open(self._database_url)
        self.sequencer = Sequencer(
            store,
            self._envelope,
            bot=self.keys.pubkey,
            platform=self._platform,
            clock=self._clock,
            stopping=self._stopping,
            next_bot=self._next_key,
            is_believed=self.guard.is_believed,
        )
        await self.sequencer.load()
        self.notary = Notary(self.sequencer, self.keys, self._clock)
        await self.notary.load()
        self.outbox = Outbox(
            self.bookkeeper.books,
            self.keys,
            self._envelope,
            self.pool,
            store.queries,
            closed=frozenset(self.bookkeeper.closed_books),
            also=self._presence.carry,
            failed=lambda book, why: self.sequencer.note_trouble(book, Work.MESSAGE, why),
        )
        self.sequencer.deliveries = self.outbox
        self.enquiries = Answers(self.sequencer, self.notary, self.outbox, self._clock, self._has_work)
        relays, min_ok = self._relays, self._min_ok
        self.notices = Notices(self.sequencer, self.outbox, self.pool, self._clock, relays=relays, min_ok=min_ok)
        self.due = DueWork(
            self.sequencer, self.notary, self.outbox, inbox=self.inbox, guard=self.guard, clock=self._clock
        )
        self.figures = Figures(
            self.sequencer,
            self.notary,
            self.outbox,
            self.pool,
            courier=self._courier,
            guard=self.guard,
            clock=self._clock,
            relays=relays,
            min_ok=min_ok,
        )
        await self.notices.tell_of_closed_books()
        self._presence.subscribe(self.bookkeeper.directory)
        await self.pool.start()
        # The books live as long as we do: the garbage collector need not look at them again and again.
        gc.collect()
        gc.freeze()

    @property
    def bookkeeper(self) -> Bookkeeper:
        """The live books, once started."""
        return self.sequencer.bookkeeper

    @property
    def store(self) -> Store:
        """The database, once started."""
        return self.sequencer.store

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until relays serve what the bot cannot do without; False if they did not in time."""
        return await self.pool.wait_heard(timeout_s)

    async def run(self) -> None:
        """Work until stop(). Raises FenceError if another writer took the journal."""
        if self._stopping.is_set():  # asked to stop before it began: nothing is started only to be cut short
            await self._close()
            return
        try:
            await side_by_side(
                self._stopping.wait(),
                self.sequencer.run(self.inbox, is_noted=self._presence.note_list, follow_up=self._after_commit),
                self.sequencer.keep_deliveries(),
                self.due.run(lambda: self.wait_ready(RELAYS_WAIT_S)),
                self.notices.run(),
                self.figures.run(),
                self._announce(),
                self.outbox.run(),
                self.enquiries.run(),
            )
        finally:
            await self._close()

    def stop(self) -> None:
        """Ask run() to end: what is decided is committed, what is owed stays owed for the next start."""
        self._stopping.set()

    async def _close(self) -> None:
        if self._courier is not None:
            await self._courier.stop()
        await self.pool.stop()
        await self.sequencer.note_deliveries()
        await self.store.close()

    async def _announce(self) -> None:
        await self._presence.announce(self.store.queries)
        await self._stopping.wait()

    def _after_commit(self, turn: Turn) -> None:
        """Carry out what a committed turn asks for."""
        if turn.registry_changed:
            self._presence.subscribe(self.bookkeeper.directory)
        self.outbox.owe(turn.batch.owed, turn.entries)
        now = self._clock()
        for message in turn.say:
            self.outbox.say(message, now)
        for question, given in turn.questions:
            self.enquiries.ask(question, given)

    def _has_work(self) -> bool:
        """Return whether sales or commands wait, are being decided, or have to be answered: questions stand back."""
        return self.sequencer.lock.locked() or not self.inbox.empty() or self.outbox.has_to_speak
