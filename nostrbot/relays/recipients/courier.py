"""The courier: taking messages to relays that are not the bot's own, as far as that is easily done.

What lives here: which message waits for which relay, who is visited when, and how long a relay is left alone. What does
not: where people read (relays/recipients/relay_lists.py), what may be connected to (net/dialer.py), a visit itself
(visit.py). Nothing here makes a message count as sent: the pool alone does, and the bot is never slower for what
happens here.

These relays are chosen by other people, so everything is bounded: connections, bytes that wait, time, and what a relay
may say. A relay has a task while it is visited and a timer while it is left alone; a message has neither.
https://github.com/nostr-protocol/nips/blob/master/65.md
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlsplit

from loguru import logger
from websockets.exceptions import WebSocketException

from nostrbot.net.dialer import Dial
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.messages import event_message
from nostrbot.relays.conduct import Backoff
from nostrbot.relays.recipients.letters import CourierLimits, CourierTally, Letter, Letters, Pile
from nostrbot.relays.recipients.visit import Visit, VisitError


@dataclass(slots=True, eq=False)
class _Route:
    """One relay, what waits for it, and whether we may go there."""

    url: str
    backoff: Backoff
    pile: Pile = field(default_factory=Pile)
    away_until: float = 0.0
    is_waiting: bool = False  # for its time, or for a connection
    task: asyncio.Task[None] | None = None
    visit: Visit | None = None

    @property
    def host(self) -> str:
        """The part of a URL that a log may show: the rest may be the person's secret."""
        return urlsplit(self.url).netloc

    @property
    def is_unused(self) -> bool:
        return not (self.pile or self.is_waiting or self.task)


class Courier:
    """The carrier of messages to relays. deliver() at any time, stop() at the end."""

    def __init__(self, dial: Dial, *, limits: CourierLimits | None = None, rng: Random | None = None) -> None:
        """`dial` opens a connection to a URL; `rng`: for jitter only."""
        self._dial = dial
        self._limits = limits or CourierLimits()
        self._rng = rng or Random()  # noqa: S311  jitter is no secret
        self._letters = Letters(self._limits.waiting_max_bytes)
        self._routes: OrderedDict[str, _Route] = OrderedDict()  # the least recently used first
        self._carried: OrderedDict[str, None] = OrderedDict()  # event ids, the oldest first
        self._queue: deque[_Route] = deque()  # for a connection
        self._tasks: dict[asyncio.Task[None], _Route] = {}
        self._is_stopped = False

    def deliver(self, event: VerifiedEvent, urls: Sequence[str]) -> None:
        """Take an event to the first few of these relays, once. Returns at once and promises nothing."""
        if not urls or event.id in self._carried or self._is_stopped:
            return
        self._carried[event.id] = None
        if len(self._carried) > self._limits.carried_max:
            self._carried.popitem(last=False)
        now = asyncio.get_running_loop().time()
        self._letters.give_up_late(now)
        frame = event_message(event).encode()
        for url in urls[: self._limits.relays_a_person_max]:
            self._post(url, Letter(event.id, frame, now + self._limits.deadline_s))

    def tally(self) -> CourierTally:
        """Return what was done so far, and how things stand."""
        self._letters.give_up_late(asyncio.get_running_loop().time())
        return self._letters.tally(connected=len(self._tasks))

    async def stop(self) -> None:
        """Hang up everywhere; what waits is given up."""
        self._is_stopped = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._letters.give_up_all()

    def _post(self, url: str, letter: Letter) -> None:
        self._letters.add(letter)
        route = self._route(url)
        if route is None or route.away_until >= letter.due_at:
            self._letters.give_up(letter)
            return
        route.pile.add(letter)
        while route.pile and len(route.pile) > self._limits.letters_a_relay_max:
            self._letters.give_up(route.pile.take())
        if route.visit is not None:
            route.visit.look_up()
        self._want_visit(route)

    def _route(self, url: str) -> _Route | None:
        """Return the way to a relay; None if there are too many and all of them are in use."""
        route = self._routes.get(url)
        if route is None:
            if len(self._routes) >= self._limits.routes_max:
                unused = next((one for one in self._routes.values() if one.is_unused), None)
                if unused is None:
                    return None
                del self._routes[unused.url]
            backoff = Backoff(self._rng, self._limits.away_min_s, self._limits.away_max_s)
            route = self._routes[url] = _Route(url, backoff)
        self._routes.move_to_end(url)
        return route

    # --- who is visited when ---

    def _want_visit(self, route: _Route) -> None:
        """See to it that a relay is visited when it is time, and when there is room."""
        if route.task is not None or route.is_waiting:
            return
        route.is_waiting = True
        loop = asyncio.get_running_loop()
        if route.away_until > loop.time():
            loop.call_at(route.away_until, self._queue_up, route)
        else:
            self._queue_up(route)

    def _queue_up(self, route: _Route) -> None:
        self._queue.append(route)
        self._fill()
        if self._is_crowded():
            visits = (one.visit for one in self._tasks.values())
            idle = next((visit for visit in visits if visit is not None and visit.is_idle), None)
            if idle is not None:
                idle.look_up()  # it sees that others wait

    def _is_crowded(self) -> bool:
        return bool(self._queue)

    def _fill(self) -> None:
        while self._queue and len(self._tasks) < self._limits.connections_max and not self._is_stopped:
            route = self._queue.popleft()
            route.is_waiting = False
            if route.pile:  # not all given up meanwhile
                route.task = asyncio.create_task(self._serve(route))
                self._tasks[route.task] = route
                route.task.add_done_callback(self._served)

    async def _serve(self, route: _Route) -> None:
        """Visit a relay once. The boundary of its task."""
        try:
            await self._visit(route)
        except (OSError, VisitError, WebSocketException) as error:  # a TimeoutError is an OSError
            self._stay_away(route, str(error) or type(error).__name__)
        except Exception:  # noqa: BLE001  a bug of ours must not come again at once
            logger.exception("somebody's relay {}: the visit broke", route.host)
            self._stay_away(route, "an error of ours")

    async def _visit(self, route: _Route) -> None:
        async with asyncio.timeout(self._limits.dial_s):
            socket = await self._dial(route.url)
        route.visit = Visit(
            socket,
            route.pile,
            self._letters,
            limits=self._limits,
            is_crowded=self._is_crowded,
            answered=route.backoff.reset,
        )
        await route.visit.run()

    def _stay_away(self, route: _Route, trouble: str) -> None:
        self._letters.counts.failures += 1
        route.away_until = asyncio.get_running_loop().time() + route.backoff.next_s()
        for letter in route.pile.take_late(route.away_until):
            self._letters.give_up(letter)
        logger.debug("somebody's relay {}: {!r}", route.host, trouble[:200])

    def _served(self, task: asyncio.Task[None]) -> None:
        """Note that a visit is over, however it ended: there is room for another."""
        route = self._tasks.pop(task)
        route.task = route.visit = None
        if route.pile:
            self._want_visit(route)
        self._fill()
