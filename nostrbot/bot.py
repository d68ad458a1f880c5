"""The bot: the only place that builds things and runs them.

What lives here: start, the one writing loop and the tasks beside it, stop. What does not: deciding (runtime/bookkeeper.py, core/),
answering questions (runtime/answers.py, reading/), what operators are told by themselves (runtime/alerting.py), sending (runtime/outbox.py), sockets
(relays/). The loop takes what has arrived, decides it, commits it in one transaction and only then speaks: a batch is
whatever came while the last commit was on its way, so the busier it is the larger the batches.
"""

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from loguru import logger
from sqlalchemy.exc import DBAPIError

from nostrbot.core.book import ROOT
from nostrbot.core.platform.roles import no_key
from nostrbot.errors import FenceError
from nostrbot.home.config import RelaySettings
from nostrbot.monitoring.exposition import BookFigures, exposition
from nostrbot.net.dialer import Dial, PublicDialler
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.kinds import GIFT_WRAP
from nostrbot.nostr.sealing import Envelope
from nostrbot.relays.dedupe import Arrival
from nostrbot.relays.limits import Limits
from nostrbot.relays.pool import Pool
from nostrbot.relays.recipients.courier import Courier
from nostrbot.relays.recipients.relay_lists import LISTS, Announcements, digest_of, own_announcements
from nostrbot.relays.relay import RelayConfig, RelayHealth
from nostrbot.runtime.alerting import Lookout, closure_notice, reach_of
from nostrbot.runtime.answers import Enquiries
from nostrbot.runtime.bookkeeper import Desk, Turn
from nostrbot.runtime.clock import OFF_MAX_S, Steadiness, agreed_error_s
from nostrbot.runtime.freed_keys import Claims
from nostrbot.runtime.notary import Notary
from nostrbot.runtime.outbox import Outbox, message_body
from nostrbot.runtime.sequencer import Clerk, Trouble
from nostrbot.runtime.subscriptions import OF_MACHINES, wanted_subscriptions
from nostrbot.runtime.troubles import Work, trouble_notice
from nostrbot.store.batch import Batch, Owed
from nostrbot.store.store import Store

TURN_EVENTS_MAX = 256  # a batch: large enough that a commit's fsync is shared, small enough that acks do not wait
# Of those, gift wraps: opening one takes as long as deciding a command, and most may be strangers'.
TURN_WRAPS_MAX = 16
FLUSH_S = 0.25  # how long a delivery may wait to be noted when nothing else is committed
CLOCK_S = 1.0  # how often it is looked what is due
RELAYS_WAIT_S = 20.0  # what is due at a start waits so long for a relay that says the time
CLOCK_TROUBLE_S = 30.0  # after that could not be decided or committed: books were loaded again, which is work
LOOK_S = 5.0  # how soon operators hear of what is wrong; some milliseconds a look
TELL_S = 2.0  # how often `nostrbot status` hears from us

Clock = Callable[[], int]


def unix_now() -> int:
    """The bot's clock: unix seconds."""
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

        `next_key`: the key (hex) that a rotation on its way is about to give the bot, if there is one. `trust_clock`: relays
        are not asked whether the clock is right.
        """
        self._next_key = next_key
        self.keys = keys
        self._platform = platform
        self._database_url = database_url
        self._clock = clock
        self._envelope = Envelope(keys)
        self.pool = Pool(settings.relays, keys, min_ok=settings.min_ok, limits=limits, wall_clock=clock)
        self._relays = settings.relays
        self._min_ok = settings.min_ok
        self._lookout = Lookout()
        self._announcements = Announcements(settings.relays)
        self._courier = Courier(dial or PublicDialler()) if settings.recipient_relays else None
        self._clerk: Clerk | None = None
        self._notary: Notary | None = None
        self._outbox: Outbox | None = None
        self._enquiries: Enquiries | None = None
        self._stopping = asyncio.Event()
        self._started_at = clock()
        self._steadiness = Steadiness()
        self._trust_clock = trust_clock
        self._clock_trouble: str | None = None  # why nothing is decided by the clock just now
        self._clock_told = ""  # which of its troubles the log was told
        self._told_closed: dict[str, str] = {}  # books that are closed, as those concerned were told
        self._told_before: dict[str, int] | None = None  # troubles, by book and work, as they were told at last

    @property
    def clerk(self) -> Clerk:
        """Who decides and commits, once started."""
        assert self._clerk is not None, "start() comes first"
        return self._clerk

    @property
    def desk(self) -> Desk:
        """The live books, once started."""
        return self.clerk.desk

    @property
    def store(self) -> Store:
        """The database, once started."""
        return self.clerk.store

    @property
    def notary(self) -> Notary:
        """Who signs checkpoints, once started."""
        assert self._notary is not None, "start() comes first"
        return self._notary

    @property
    def outbox(self) -> Outbox:
        """What is owed, once started."""
        assert self._outbox is not None, "start() comes first"
        return self._outbox

    @property
    def enquiries(self) -> Enquiries:
        """Who answers questions, once started."""
        assert self._enquiries is not None, "start() comes first"
        return self._enquiries

    async def start(self) -> None:
        """Open the database, rebuild the books, connect. Raises ConfigError or BooksError."""
        store = await Store.open(self._database_url)
        self._clerk = Clerk(
            store,
            self._envelope,
            bot=self.keys.pubkey,
            platform=self._platform,
            clock=self._clock,
            stopping=self._stopping,
            next_bot=self._next_key,
            is_believed=self._is_believed,
        )
        await self.clerk.load()
        self.desk.claims = Claims(await store.queries.runtime("claims"))
        self._notary = Notary(self.clerk, self.keys, self._clock)
        await self.notary.load()
        self._outbox = Outbox(
            self.desk.books,
            self.keys,
            self._envelope,
            self.pool,
            store.queries,
            closed=frozenset(self.desk.closed_books),
            also=self._carry,
            failed=lambda book, why: self.clerk.note_trouble(book, Work.MESSAGE, why),
        )
        self.clerk.deliveries = self._outbox
        self._enquiries = Enquiries(self.clerk, self.notary, self._outbox, self._clock, self._has_work)
        await self._tell_of_closed_books()
        self._subscribe()
        await self.pool.start()
        # The books live as long as we do: the garbage collector need not look at them again and again.
        gc.collect()
        gc.freeze()

    async def _tell_of_closed_books(self) -> None:
        """Tell the log, and those whose books cannot be gone on with: at a start before any work is taken.

        Whoever was told the same at the last start is not told again: a supervisor may start us every few seconds.
        """
        async with self.clerk.lock:
            desk, now = self.desk, self._clock()
            for key, reason in desk.closed_books.items() - self._told_closed.items():
                logger.critical("book {} is closed until a person has looked into it: {}", key, reason)
            try:
                told = await self.store.queries.runtime("closed") or {}
                news = {key: reason for key, reason in desk.closed_books.items() if told.get(key) != reason}
                messages = [closure_notice(desk.books[key], reason, now) for key, reason in news.items()]
                owed = [Owed(desk.new_row(), None, None, message_body(message, now)) for message in messages]
                await self.clerk.commit(Batch(owed=owed))
                if told != desk.closed_books:
                    await self.store.queries.tell("closed", desk.closed_books)
                self._told_closed = dict(desk.closed_books)
                self.outbox.owe(owed, {})
            except DBAPIError as error:
                logger.error("nobody can be told of closed books: the database cannot be written ({})", error.orig)

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until relays serve what the bot cannot do without; False when they did not in time."""
        return await self.pool.wait_heard(timeout_s)

    async def run(self) -> None:
        """Work until stop(). Raises FenceError when another writer took the journal."""
        if self._stopping.is_set():  # asked to stop before it began: nothing is started only to be cut short
            await self._close()
            return
        jobs: list[Coroutine[Any, Any, None]] = [
            self._work(),
            self._watch_clock(),
            self._look_out(),
            self._flush(),
            self._tell(),
            self._announce(),
            self.outbox.run(),
            self.enquiries.run(),
        ]
        tasks = [asyncio.create_task(job) for job in jobs]
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in [stopping, *tasks]:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome

    def stop(self) -> None:
        """Ask run() to end: what is decided is committed, what is owed stays owed for the next start."""
        self._stopping.set()

    async def _close(self) -> None:
        if self._courier is not None:
            await self._courier.stop()
        await self.pool.stop()
        await self.clerk.note_deliveries()
        await self.store.close()

    # --- working --------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        inbox = self.pool.inbox
        while True:
            arrivals = [await inbox.get()]
            wrap_count = int(arrivals[0].event.kind == GIFT_WRAP)
            while len(arrivals) < TURN_EVENTS_MAX and wrap_count < TURN_WRAPS_MAX and not inbox.empty():
                arrivals.append(inbox.get_nowait())
                wrap_count += arrivals[-1].event.kind == GIFT_WRAP
            events = self._without_lists(arrivals)
            if not events:
                continue
            turn = asyncio.create_task(self._take(events))
            try:
                await asyncio.shield(turn)
            except asyncio.CancelledError:
                await turn  # a stop between two turns loses nothing; within one, the turn is finished first
                raise

    def _without_lists(self, arrivals: Iterable[Arrival]) -> list[VerifiedEvent]:
        """What the desk has to decide. Where people read is noted, and no more comes of it."""
        events = []
        for arrival in arrivals:
            if arrival.event.kind in LISTS:
                self._announcements.note(arrival.event)
            else:
                events.append(arrival.event)
        return events

    async def _take(self, events: Sequence[VerifiedEvent]) -> None:
        async for turn in self.clerk.take(events):
            await self._after_commit(turn)

    async def _watch_clock(self) -> None:
        """Decide what is due by the clock; what could not be committed is still due the next time.

        First a relay may say what time it is.
        """
        await self.wait_ready(RELAYS_WAIT_S)
        while True:
            if self._is_believed(self._clock()):
                turns = asyncio.create_task(self._clock_turns())
                try:
                    went_well = await asyncio.shield(turns)
                except asyncio.CancelledError:
                    await turns
                    raise
                if not went_well:
                    await asyncio.sleep(CLOCK_TROUBLE_S)
            await asyncio.sleep(CLOCK_S)

    def _is_believed(self, now: int) -> bool:
        """Return whether this is the time, as far as the running clock and the relays can tell."""
        running = asyncio.get_running_loop().time()
        kind, trouble = "", None
        if not self._steadiness.is_steady(now, running):
            kind = "leap"
            trouble = "the clock leapt: nothing is decided until it is back, or has been steady for a minute"
        elif not self._trust_clock:
            said = [relay.ahead_s for relay in self.pool.health() if relay.connected and relay.ahead_s is not None]
            error_s = agreed_error_s([int(now - (running + ahead_s)) for ahead_s in said])
            if error_s is not None:
                kind, way = "relays", "ahead" if error_s > 0 else "behind"
                trouble = (
                    f"the clock is {abs(error_s)} s {way} of most relays' dates: nothing is decided until they agree;"
                    " set it right, or insist with `nostrbot run --trust-clock`"
                )
        if trouble is not None and kind != self._clock_told:
            logger.error("{}", trouble)
        self._clock_told, self._clock_trouble = kind, trouble
        return trouble is None

    async def _clock_turns(self) -> bool:
        """Do what is due, a book at a time; False when the database cannot be written, so that nothing else can be done.

        What fails in one book is tried again later and later, and keeps no other from its turn.
        """
        for key in self.desk.books_due(self._clock()):
            if self.clerk.is_resting(key, Work.TICK):
                continue
            turn = await self.clerk.look_at_clock(key)
            if turn is Trouble.CLOCK:
                return True
            if turn is Trouble.DATABASE:
                return False
            if isinstance(turn, Turn):
                await self._after_commit(turn)
        for key in self.notary.books_due(self._clock()):
            signed = await self.notary.sign_daily(key)
            if signed is not None:
                self.outbox.owe(signed, {})
            elif not self.clerk.is_resting(key, Work.CHECKPOINT):
                return False
        return True

    async def _look_out(self) -> None:
        """Look around for what operators should be told; what could not be committed is found again by the next look."""
        while True:
            await asyncio.sleep(LOOK_S)
            for look in (self.look_out, self.tell_of_troubles):
                try:
                    await look()
                except DBAPIError as error:
                    logger.error("operators cannot be told ({}): trying again, nothing is lost", error.orig)
                except FenceError:
                    raise
                except Exception:  # noqa: BLE001 - the boundary of this task: without alarms, sales go on
                    logger.opt(exception=True).critical("could not look around")

    async def look_out(self) -> None:
        """Look around once: what there is to tell is owed from then on. Raises DBAPIError and FenceError as a commit does."""
        deaf = any(one.is_missed for one in self.pool.hearing() if one.name.startswith(OF_MACHINES))
        reach = reach_of(self._relays, self.pool.health(), self._min_ok, deaf=deaf)
        async with self.clerk.lock:
            desk = self.desk
            now = self._clock()
            found = await self._lookout.look(desk.books, desk.sightings, self.store.queries, reach, now)
            for key in found.well:
                self.clerk.troubles.went_well(key, Work.ALERT)
            for key, why in found.failed.items():
                if not self.clerk.is_resting(key, Work.ALERT):
                    logger.critical("what the operator of a book should be told cannot be worked out: {}", why)
                    self.clerk.note_trouble(key, Work.ALERT, why)
            if not found.messages:
                return
            owed = [Owed(desk.new_row(), None, None, body) for body in found.messages.values()]
            await self.clerk.commit(Batch(owed=owed, alarms=found.told))
            self._lookout.told(found.told)
            self.outbox.owe(owed, {})

    async def tell_of_troubles(self) -> None:
        """Tell operators what is wrong with their books, once it began and once it is over, and which were closed."""
        if self.desk.closed_books != self._told_closed:
            await self._tell_of_closed_books()
        async with self.clerk.lock:
            desk, now, troubles = self.desk, self._clock(), self.clerk.troubles
            running = asyncio.get_running_loop().time()
            if self._told_before is None:
                self._told_before = await self.store.queries.runtime("troubles") or {}
            troubles.remember(self._told_before, now)
            to_tell = troubles.to_tell(now, running)
            if not to_tell:
                return
            notices = [trouble_notice(desk.books[trouble.book], trouble, now) for trouble in to_tell]
            owed = [Owed(desk.new_row(), None, None, message_body(notice, now)) for notice in notices]
            await self.clerk.commit(Batch(owed=owed))
            troubles.told(to_tell, now)
            self.outbox.owe(owed, {})
            self._told_before = troubles.told_before()
            await self.store.queries.tell("troubles", self._told_before)

    async def _after_commit(self, turn: Turn) -> None:
        if turn.registry_changed:
            self._subscribe()
        self.outbox.owe(turn.batch.owed, turn.entries)
        now = self._clock()
        for message in turn.say:
            self.outbox.say(message, now)
        for question, given in turn.questions:
            self.enquiries.ask(question, given)

    def _has_work(self) -> bool:
        """Return whether sales or commands wait, are being decided, or have to be answered: questions stand back."""
        return self.clerk.lock.locked() or not self.pool.inbox.empty() or self.outbox.has_to_speak

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.clerk.note_deliveries()

    # --- being heard and seen -------------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        """Ask for what is wanted of those who are enrolled now."""
        directory = self.desk.directory
        people = directory.people if self._courier is not None else ()
        self.pool.subscribe(
            wanted_subscriptions(self.keys.pubkey, machines=directory.machines, people=people, now=self._clock())
        )

    def _carry(self, message: VerifiedEvent) -> None:
        """A message goes to our write relays: take it to where its recipient reads, too."""
        if self._courier is not None:
            self._courier.deliver(message, self._announcements.urls_for(message))

    async def _announce(self) -> None:
        """Publish our profile and relay lists unless they are what relays accepted last, then rest until stop()."""
        queries, last = self.store.queries, None
        with contextlib.suppress(DBAPIError):
            last = await queries.runtime("announced")
        # Of two lists of one second relays may keep the old one.
        at = self._clock() if last is None else max(self._clock(), last["at"] + 1)
        announced = own_announcements(self.keys, self._relays, at)
        digest = digest_of(announced, self._relays)
        if last is None or last["digest"] != digest:
            await asyncio.gather(*(self.pool.publish(event, is_vital=False) for event in announced))
            logger.info("relays have our profile and our relay lists")
            with contextlib.suppress(DBAPIError):  # not noted: published again at the next start
                await queries.tell("announced", {"digest": digest, "at": at})
        await self._stopping.wait()

    async def _tell(self) -> None:
        while True:
            try:
                await self.store.queries.tell("bot", self.state())
                claims = self.desk.claims
                if claims.is_news:
                    claims.is_news = False
                    await self.store.queries.tell("claims", claims.of_key)
            except DBAPIError as error:
                logger.debug("status cannot be kept: {}", error.orig)  # whoever commits says so louder
            except Exception:  # noqa: BLE001 - the boundary of this task: a figure that cannot be shown ends no bot
                logger.opt(exception=True).error("could not say how I am")
            await asyncio.sleep(TELL_S)

    def state(self) -> dict[str, Any]:
        """What `nostrbot status` shows of a running bot."""
        refusals, now = self.desk.refusals + self.pool.refusals, self._clock()
        return {
            "pid": os.getpid(),
            "at": now,
            "started_at": self._started_at,
            "steady": self._clock_trouble is None,
            "clock_trouble": self._clock_trouble,
            "ahead": {
                key: live.chain.at - now for key, live in self.desk.live.items() if live.chain.at - now > OFF_MAX_S
            },
            "inbox": self.pool.inbox.qsize(),
            "backlog": self.outbox.backlog,
            "commits": self.clerk.commits.plain(),
            "refusals": {str(reason): count for reason, count in sorted(refusals.items())},
            "closed_books": sorted(self.desk.closed_books),
            "closed_because": dict(self.desk.closed_books),
            "troubles": self._troubles(),
            "last_failure": self.clerk.last_failure,
            "relays": [_relay(*one) for one in zip(self._relays, self.pool.health(), strict=True)],
            "subscriptions": [
                {
                    "name": one.name,
                    "essential": one.is_essential,
                    "in_force_at": list(one.served_by),
                    "unheard_since": one.unheard_since,
                    "missed": one.is_missed,
                }
                for one in self.pool.hearing()
            ],
            "min_ok": self._min_ok,
            "courier": asdict(self._courier.tally()) if self._courier is not None else None,
        }

    def _troubles(self) -> list[dict[str, Any]]:
        return [
            {"book": one.book, "work": one.work, "why": one.words(), "since": one.since, "count": one.count}
            for one in self.clerk.troubles.current(asyncio.get_running_loop().time())
        ]

    def metrics(self) -> bytes:
        """What Prometheus is shown of a running bot."""
        state = self.state()
        books = [
            BookFigures(
                # A damaged book may not know its name; two of them must not be one.
                handle=None if key == ROOT else live.book.handle or f"({key[:8]})",
                entries=live.chain.seq,
                pending=sum(len(till.held) for till in live.book.tills.values()),
                is_closed=key in self.desk.closed_books,
                troubles=sum(one["book"] == key for one in state["troubles"]),
                checkpoint=self.notary.newest(key),
            )
            for key, live in self.desk.live.items()
        ]
        return exposition(state, books)


def _relay(config: RelayConfig, health: RelayHealth) -> dict[str, Any]:
    fields = {name: getattr(health, name) for name in health.__slots__}
    fields["refusals"] = {str(reason): count for reason, count in sorted(health.refusals.items())}
    fields["subscriptions"] = {
        name: {"state": str(service.force), "words": service.words, "unread": service.unread}
        for name, service in health.subscriptions.items()
    }
    return fields | {"read": config.read, "write": config.write}
