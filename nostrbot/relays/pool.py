"""The pool: many relays as one.

What lives here: the wanted subscriptions, the one inbox, publishing until enough relays said OK. What does not: what
any event means. Every event in the inbox is verified, matches a subscription, and is not a duplicate.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from loguru import logger

from nostrbot.errors import ConfigError
from nostrbot.net.urls import identity
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.keys import Keys
from nostrbot.refusals import Reason
from nostrbot.relays.connection import Connection
from nostrbot.relays.dedupe import Arrival, Deliveries
from nostrbot.relays.inbox import ArrivalQueue
from nostrbot.relays.limits import Limits
from nostrbot.relays.publication import Publication
from nostrbot.relays.relay import Commons, Relay, RelayConfig, RelayHealth
from nostrbot.relays.watch import Subscription


def _unix_now() -> int:
    return int(time.time())


def _loop_now() -> float:
    return asyncio.get_running_loop().time()


class SubscriptionHealth(NamedTuple):
    """One subscription over all relays that are read. `unheard_since`: unix seconds, None while one serves it."""

    name: str
    is_essential: bool
    served_by: tuple[str, ...]
    unheard_since: int | None
    is_missed: bool  # unheard for longer than a reconnection takes; before all essential ones were heard, at once


@dataclass(slots=True)
class _Unheard:
    """The time since which no relay serves a subscription."""

    since: float  # monotonic
    unix_since: int
    is_told: bool = False


class Pool:
    """The relays a bot uses. Make it, subscribe(), start(), read `inbox`, publish(), stop()."""

    def __init__(
        self,
        relays: Sequence[RelayConfig],
        keys: Keys,
        *,
        min_ok: int = 1,
        limits: Limits | None = None,
        rng: Random | None = None,
        wall_clock: Callable[[], int] = _unix_now,
        inbox: ArrivalQueue[Any] | None = None,
    ) -> None:
        """`inbox`: where arrivals wait, beside what others put there; by default the pool makes its own. `min_ok`:
        how many relays must accept a publication. `wall_clock`: unix seconds. `rng`: for jitter only.

        Raises ConfigError if the relays cannot do it.
        """
        writers = sum(relay.write for relay in relays)
        if len({identity(relay.url) for relay in relays}) != len(relays):
            raise ConfigError("relays: one url is there twice")
        if not 1 <= min_ok <= writers:
            raise ConfigError(f"publish.min_ok is {min_ok}, but {writers} relays are written to")
        limits = limits or Limits()
        self.inbox: ArrivalQueue[Any] = inbox or ArrivalQueue[Arrival](limits.inbox_max, limits.inbox_max_bytes)
        self._min_ok = min_ok
        self._limits = limits
        self._progress = asyncio.Event()
        self._commons = Commons(
            keys=keys,
            limits=limits,
            rng=rng or Random(),  # noqa: S311  jitter is no secret
            wall_clock=wall_clock,
            monotonic=_loop_now,
            inbox=self.inbox,
            sightings=Deliveries(
                size_max=limits.sightings_max,
                repeat_gap_s=limits.repeat_gap_s,
                repeats_at_once=limits.repeats_at_once,
            ),
            progressed=self._progress.set,
        )
        self._relays = [Relay(config, self._commons) for config in relays]
        self._connections = [Connection(relay, self._commons) for relay in self._relays]
        self._wanted: dict[str, Subscription] = {}
        self._unheard: dict[str, _Unheard] = {}  # by subscription
        self._was_ready = False  # each essential subscription was in force somewhere at once
        self._sources: dict[tuple[str, str], int] = {}  # (url, subscription name) -> its number in sightings
        self._publications: dict[str, Publication] = {}  # not yet sent, by event id
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        assert not self._tasks, "a pool is started once"
        self._tasks = [asyncio.create_task(connection.run()) for connection in self._connections]

    async def stop(self) -> None:
        """Hang up everywhere. Publications that wait are abandoned, and those who wait for them are cancelled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for publication in list(self._publications.values()):
            publication.abandon()
        self._publications.clear()

    def subscribe(self, wanted: Mapping[str, Subscription]) -> None:
        """Replace what is subscribed to, by name. New and changed ones are asked for at once; the others go on."""
        self._wanted = dict(wanted)
        for relay, connection in zip(self._relays, self._connections, strict=True):
            if relay.config.read:
                sources = {name: self._source(relay.url, name) for name in wanted}
                connection.rewatch(*relay.watch(wanted, sources))

    async def wait_subscribed(self, timeout_s: float) -> bool:
        """Wait until a relay has answered all subscriptions with EOSE (or was too slow to), and a moment for the
        others.

        False if none did within `timeout_s`.
        """
        readers = [relay for relay in self._relays if relay.config.read]
        if not await self._wait_until(lambda: any(relay.is_subscribed for relay in readers), timeout_s):
            return False
        await self._wait_until(lambda: all(relay.is_subscribed for relay in readers), self._limits.grace_s)
        return True

    async def wait_heard(self, timeout_s: float) -> bool:
        """Wait until each essential subscription is in force at a relay, and a moment for the others.

        False if one is not within `timeout_s`.
        """
        names = [name for name, subscription in self._wanted.items() if subscription.essential]
        readers = [relay for relay in self._relays if relay.config.read]
        if not await self._wait_until(
            lambda: (
                all(any(relay.serves(name) for relay in readers) for name in names)
                and any(relay.tally.connected for relay in readers)
            ),
            timeout_s,
        ):
            return False
        await self._wait_until(lambda: all(relay.is_settled for relay in readers), self._limits.grace_s)
        return True

    def hearing(self) -> list[SubscriptionHealth]:
        """Return how each subscription is served. Call it from time to time: it counts a deaf subscription from the
        first call on.
        """
        now, unix_now = _loop_now(), self._commons.wall_clock()
        readers = [relay for relay in self._relays if relay.config.read]
        self._unheard = {name: one for name, one in self._unheard.items() if name in self._wanted}
        essential = [name for name, subscription in self._wanted.items() if subscription.essential]
        self._was_ready |= all(any(relay.serves(name) for relay in readers) for name in essential)
        found = []
        for name, subscription in self._wanted.items():
            served_by = tuple(relay.url for relay in readers if relay.serves(name))
            unheard = self._unheard.setdefault(name, _Unheard(now, unix_now))
            if served_by:
                unheard.since, unheard.unix_since = now, unix_now
            is_missed = not served_by and (not self._was_ready or now - unheard.since > self._limits.unheard_s)
            self._tell(name, unheard, is_missed=is_missed and self._was_ready)
            since = None if served_by else unheard.unix_since
            found.append(SubscriptionHealth(name, subscription.essential, served_by, since, is_missed))
        return found

    @staticmethod
    def _tell(name: str, unheard: "_Unheard", *, is_missed: bool) -> None:
        """Have the log say once that something is not heard anywhere, and when it is again."""
        if is_missed and not unheard.is_told:
            logger.error("no relay serves {}: what is sent there is not heard; I go on asking", name)
            unheard.is_told = True
        elif not is_missed and unheard.is_told:
            logger.info("a relay serves {} again", name)
            unheard.is_told = False

    async def wait_read(self, timeout_s: float) -> bool:
        """Wait until a relay has given all that it keeps for the subscriptions; the last of it may be in the inbox
        still.
        """
        readers = [relay for relay in self._relays if relay.config.read]
        return await self._wait_until(lambda: any(relay.is_read for relay in readers), timeout_s)

    def submit(self, event: VerifiedEvent, *, is_vital: bool = True) -> Publication:
        """Queue an event for all write relays and return at once. Submitting one that is not sent yet changes nothing.

        A relay that does not take what `is_vital` counts as one that cannot be published to.
        """
        known = self._publications.get(event.id)
        if known is not None and not known.is_abandoned and not known.is_sent:
            return known
        publication = self._publications[event.id] = Publication(event, min_ok=self._min_ok, is_vital=is_vital)
        publication.when_over(self._forget)
        for relay, connection in zip(self._relays, self._connections, strict=True):
            if relay.config.write:
                relay.outbox.add(publication)
                connection.wake()
        return publication

    async def publish(self, event: VerifiedEvent, *, is_vital: bool = True) -> Publication:
        """Publish and wait until `min_ok` relays accepted it, trying for ever. Cancelling gives it up.

        The other relays are served in the background, a bounded number of times.
        """
        publication = self.submit(event, is_vital=is_vital)
        await publication.wait_sent()
        return publication

    def health(self) -> list[RelayHealth]:
        """Return the health of each relay, in the order they were given."""
        return [relay.health() for relay in self._relays]

    @property
    def refusals(self) -> Counter[Reason]:
        """Return the refused frames and events of all relays, counted by reason."""
        return sum((relay.tally.refusals for relay in self._relays), Counter())

    def _source(self, url: str, name: str) -> int:
        return self._sources.setdefault((url, name), len(self._sources))

    def _forget(self, publication: Publication) -> None:
        if self._publications.get(publication.event.id) is publication:
            del self._publications[publication.event.id]

    async def _wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            return False
        return True
