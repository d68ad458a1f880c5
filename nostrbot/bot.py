"""The bot: the only place that builds things and runs them.

What lives here: start, the one writing loop, stop. What does not: deciding (desk.py, core/), sending (outbox.py), sockets
(relays/). The loop takes what has arrived, decides it, commits it in one transaction and only then speaks: a batch is
whatever came while the last commit was on its way, so the busier it is the larger the batches.
"""

import asyncio
import contextlib
import fcntl
import gc
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from enum import Enum, auto
from typing import Any

from loguru import logger
from sqlalchemy.exc import DBAPIError

from nostrbot.config import Home, RelaySettings
from nostrbot.core.commands import Code, Refused
from nostrbot.core.replies import answer, answer_that_fits, refusal
from nostrbot.desk import Desk, Turn, answer_message
from nostrbot.errors import BooksError, ConfigError, FenceError
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope
from nostrbot.outbox import Outbox
from nostrbot.reading import Question
from nostrbot.refusals import Reason, Refusal
from nostrbot.relays.limits import Limits
from nostrbot.relays.pool import Pool
from nostrbot.relays.watch import Subscription
from nostrbot.store.batch import Batch
from nostrbot.store.store import Store

TURN_EVENTS_MAX = 256  # a batch: large enough that a commit's fsync is shared, small enough that acks do not wait
COMMIT_RETRY_S = 2.0  # after a full disk or a locked database
FLUSH_S = 0.25  # how long a delivery may wait to be noted when nothing else is committed
TELL_S = 2.0  # how often `nostrbot status` hears from us
AUTHORS_PER_FILTER_MAX = 500  # relays refuse larger filters
COMMAND_LOOK_BACK_S = 24 * 60 * 60  # older commands are refused anyway

Clock = Callable[[], int]


def unix_now() -> int:
    """The bot's clock: unix seconds."""
    return int(time.time())


class _Trouble(Enum):
    """Why a turn was not committed."""

    DATABASE = auto()  # it cannot be written just now
    OURS = auto()  # an event we cannot decide


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
    ) -> None:
        self.keys = keys
        self._platform = platform
        self._database_url = database_url
        self._clock = clock
        self._envelope = Envelope(keys)
        self.pool = Pool(settings.relays, keys, min_ok=settings.min_ok, limits=limits, wall_clock=clock)
        self._store: Store | None = None
        self._desk: Desk | None = None
        self._outbox: Outbox | None = None
        self._commit_lock = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._started_at = clock()

    @property
    def desk(self) -> Desk:
        """The live books, once started."""
        assert self._desk is not None, "start() comes first"
        return self._desk

    @property
    def store(self) -> Store:
        """The database, once started."""
        assert self._store is not None, "start() comes first"
        return self._store

    @property
    def outbox(self) -> Outbox:
        """What is owed, once started."""
        assert self._outbox is not None, "start() comes first"
        return self._outbox

    async def start(self) -> None:
        """Open the database, rebuild the books, connect. Raises ConfigError or BooksError."""
        self._store = await Store.open(self._database_url)
        await self._load_books()
        self._outbox = Outbox(self.desk.books, self.keys, self._envelope, self.pool, self.store.queries)
        self._subscribe()
        await self.pool.start()
        # The books live as long as we do: the garbage collector need not look at them again and again.
        gc.collect()
        gc.freeze()

    async def _load_books(self) -> None:
        live = await self.store.load_books(self.keys.pubkey, self._platform)
        _, highest_row = await self.store.queries.outbox_state()
        desk = Desk(live, self._envelope, self.store.queries, highest_row + 1)
        if self._desk is not None:
            desk.closed_books |= self._desk.closed_books
            desk.refusals += self._desk.refusals
        self._desk = desk
        if self._outbox is not None:
            self._outbox.books_changed(self._desk.books)

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until subscribed on a relay; False when none answered in time."""
        return await self.pool.wait_subscribed(timeout_s)

    async def run(self) -> None:
        """Work until stop(). Raises FenceError when another writer took the journal."""
        jobs: list[Coroutine[Any, Any, None]] = [self._work(), self._flush(), self._tell(), self.outbox.run()]
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
        await self.pool.stop()
        async with self._commit_lock:
            try:
                await self._commit(Batch())
            except DBAPIError as error:
                logger.error("deliveries cannot be noted: {}", error.orig)
        await self.store.close()

    # --- working --------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        inbox = self.pool.inbox
        while True:
            arrivals = [await inbox.get()]
            while len(arrivals) < TURN_EVENTS_MAX and not inbox.empty():
                arrivals.append(inbox.get_nowait())
            turn = asyncio.create_task(self._turn([arrival.event for arrival in arrivals]))
            try:
                await asyncio.shield(turn)
            except asyncio.CancelledError:
                await turn  # a stop between two turns loses nothing; within one, the turn is finished first
                raise

    async def _turn(self, events: Sequence[VerifiedEvent]) -> None:
        """Decide and commit events, in order, together if that goes well and one by one if it does not."""
        waiting = deque([list(events)])
        while waiting:
            group = waiting[0]
            outcome = await self._try_turn(group)
            if isinstance(outcome, Turn):
                waiting.popleft()
                await self._after_commit(outcome)
            elif self._stopping.is_set():
                return  # what was not committed was not answered either: it will be said again
            elif outcome is _Trouble.DATABASE:
                await self._pause()
            elif len(group) > 1:
                waiting.popleft()
                waiting.extendleft([event] for event in reversed(group))
            else:
                waiting.popleft()
                self.desk.refuse(Refusal(Reason.SET_ASIDE), group[0])

    async def _try_turn(self, events: Sequence[VerifiedEvent]) -> "Turn | _Trouble":
        """One commit, or none and the books as they were: they are loaded again whenever something went wrong."""
        trouble = _Trouble.OURS
        async with self._commit_lock:
            try:
                turn = await self.desk.take(events, self._clock)
                if turn.batch:
                    await self._commit(turn.batch)
            except FenceError:
                raise
            except BooksError as error:
                if not self.desk.closed_books:
                    raise
                logger.critical("a book is closed until a person has looked into it: {}", error)
            except DBAPIError as error:
                # Disk full, locked for a minute, I/O error: nothing of the turn was kept, nothing was said.
                logger.error("the database cannot be written ({}): trying again, nothing is lost", error.orig)
                trouble = _Trouble.DATABASE
            except Exception:  # noqa: BLE001 - the boundary of the writing task
                # A fault of ours must cost one event, not the bot. No values in the log: they may be private.
                logger.opt(exception=True).critical("set aside what I could not decide")
            else:
                return turn
            await self._load_books_again()
        return trouble

    async def _load_books_again(self) -> None:
        """Throw away what a failed turn left in memory; without sound books nothing may be decided, so insist."""
        while not self._stopping.is_set():
            try:
                await self._load_books()
            except DBAPIError as error:
                logger.error("the database cannot be read ({}): trying again", error.orig)
                await self._pause()
            else:
                return

    async def _pause(self) -> None:
        """Give a full disk or a locked database time, unless it is time to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), COMMIT_RETRY_S)

    async def _after_commit(self, turn: Turn) -> None:
        if turn.registry_changed:
            self._subscribe()
        self.outbox.owe(turn.batch.owed, turn.entries)
        now = self._clock()
        for message in turn.say:
            self.outbox.say(message, now)
        for question, given in turn.questions:
            self.outbox.say(answer_message(given, await self._answer(question)), now, answers=given.event.id)

    async def _answer(self, question: Question) -> str:
        command = question.command
        try:
            data = await self.desk.reading.answer(question)
        except Exception:  # noqa: BLE001 - the same boundary, for questions
            logger.opt(exception=True).error("could not answer {}", command.verb)
            data = Refused(Code.OUR_FAULT, "I could not answer that: the operator of this bot finds why in its log")
        if isinstance(data, Refused):
            return refusal(command.verb, data, json=command.json)
        text = answer(command.verb, data, json=command.json, preview=command.preview)
        return answer_that_fits(command.verb, text, json=command.json)

    async def _commit(self, batch: Batch) -> None:
        """Commit a batch and, with it, what was delivered since the last one."""
        delivered = self.outbox.take_delivered()
        batch.delivered += delivered.rows
        batch.partly_delivered += delivered.partly
        batch.answered += [(event_id, self._clock()) for event_id in delivered.answered]
        try:
            if batch:
                await self.store.writer.commit(batch)
        except BaseException:  # cancelled as well
            self.outbox.put_back(delivered)
            raise

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            async with self._commit_lock:
                try:
                    await self._commit(Batch())
                except DBAPIError as error:
                    # Not noted is noted later; after a restart, made again under the same ids: harmless.
                    logger.error("deliveries cannot be noted: {}", error.orig)

    # --- being heard and seen -------------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        """Ask for commands from anyone (a stranger is counted) and for settlements of the machines there are."""
        bot = frozenset({self.keys.pubkey})
        commands = Filter(kinds={kinds.DIRECT_MESSAGE}, p_tags=bot)
        wanted = {
            "commands": Subscription(
                filters=(commands,), stored=True, since=self._clock() - COMMAND_LOOK_BACK_S, overlap_s=3600
            ),
            # Without `since`: a command that comes today with an older date is told that it is too old.
            "misdated": Subscription(filters=(commands,), stored=False),
        }
        machines = sorted(self.desk.directory.machines)
        for start in range(0, len(machines), AUTHORS_PER_FILTER_MAX):
            authors = machines[start : start + AUTHORS_PER_FILTER_MAX]
            reports = Filter(kinds={kinds.SETTLEMENT}, authors=authors, p_tags=bot)
            wanted[f"settlements-{start}"] = Subscription(filters=(reports,), stored=False)
        self.pool.subscribe(wanted)

    async def _tell(self) -> None:
        while True:
            with contextlib.suppress(DBAPIError):
                await self.store.queries.tell("bot", self.state())
            await asyncio.sleep(TELL_S)

    def state(self) -> dict[str, Any]:
        """What `nostrbot status` shows of a running bot."""
        refusals = self.desk.refusals + self.pool.refusals
        return {
            "pid": os.getpid(),
            "at": self._clock(),
            "started_at": self._started_at,
            "backlog": self.outbox.backlog,
            "refusals": {str(reason): count for reason, count in sorted(refusals.items())},
            "closed_books": sorted(self.desk.closed_books),
            "relays": [_health(health) for health in self.pool.health()],
        }


def _health(health: Any) -> dict[str, Any]:
    fields = {name: getattr(health, name) for name in health.__slots__}
    fields["refusals"] = {str(reason): count for reason, count in sorted(health.refusals.items())}
    return fields


@contextlib.contextmanager
def only_bot(home: Home) -> Iterator[None]:
    """Hold the home's lock while the block runs; the kernel lets it go when the process dies.

    Two bots on one home would only hit the journal's fence. Raises ConfigError when another runs there.
    """
    path = home.lock_file
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"a bot is already running in {path.parent}: stop it first") from None
        yield
    finally:
        os.close(descriptor)
