"""The pool: many relays as one.

What lives here: the wanted subscriptions, the one inbox, publishing until enough relays said OK. What does not: what
any event means. Every event in the inbox is verified, matches a subscription, and is not a duplicate.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random

from nostrbot.errors import ConfigError
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.keys import Keys
from nostrbot.refusals import Reason
from nostrbot.relays.connection import Connection
from nostrbot.relays.limits import Limits
from nostrbot.relays.publication import Publication
from nostrbot.relays.relay import Commons, Relay, RelayConfig, RelayHealth
from nostrbot.relays.sightings import Arrival, Sightings
from nostrbot.relays.urls import identity
from nostrbot.relays.watch import Subscription


def _unix_now() -> int:
    return int(time.time())


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
    ) -> None:
        """`min_ok`: how many relays must accept a publication. `wall_clock`: unix seconds. `rng`: for jitter only.

        Raises ConfigError when the relays cannot do it.
        """
        writers = sum(relay.write for relay in relays)
        if len({identity(relay.url) for relay in relays}) != len(relays):
            raise ConfigError("relays: one url is there twice")
        if not 1 <= min_ok <= writers:
            raise ConfigError(f"publish.min_ok is {min_ok}, but {writers} relays are written to")
        limits = limits or Limits()
        self.inbox: asyncio.Queue[Arrival] = asyncio.Queue(limits.inbox_max)
        self._min_ok = min_ok
        self._limits = limits
        self._progress = asyncio.Event()
        self._commons = Commons(
            keys=keys,
            limits=limits,
            rng=rng or Random(),  # noqa: S311  jitter is no secret
            wall_clock=wall_clock,
            inbox=self.inbox,
            sightings=Sightings(
                size_max=limits.sightings_max,
                repeat_gap_s=limits.repeat_gap_s,
                repeats_at_once=limits.repeats_at_once,
            ),
            progressed=self._progress.set,
        )
        self._relays = [Relay(config, self._commons) for config in relays]
        self._connections = [Connection(relay, self._commons) for relay in self._relays]
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
        for relay, connection in zip(self._relays, self._connections, strict=True):
            if relay.config.read:
                sources = {name: self._source(relay.url, name) for name in wanted}
                connection.rewatch(*relay.watch(wanted, sources))

    async def wait_subscribed(self, timeout_s: float) -> bool:
        """Wait until a relay has answered all subscriptions with EOSE (or was too slow to), and a moment for the others.

        False when none did within `timeout_s`.
        """
        readers = [relay for relay in self._relays if relay.config.read]
        if not await self._wait_until(lambda: any(relay.is_subscribed for relay in readers), timeout_s):
            return False
        await self._wait_until(lambda: all(relay.is_subscribed for relay in readers), self._limits.grace_s)
        return True

    async def wait_read(self, timeout_s: float) -> bool:
        """Wait until a relay has given all that it keeps for the subscriptions; the last of it may be in the inbox still."""
        readers = [relay for relay in self._relays if relay.config.read]
        return await self._wait_until(lambda: any(relay.is_read for relay in readers), timeout_s)

    def submit(self, event: VerifiedEvent) -> Publication:
        """Queue an event for all write relays and return at once. Submitting one that is not sent yet changes nothing."""
        known = self._publications.get(event.id)
        if known is not None and not known.is_abandoned and not known.is_sent:
            return known
        publication = self._publications[event.id] = Publication(event, min_ok=self._min_ok)
        publication.when_over(self._forget)
        for relay, connection in zip(self._relays, self._connections, strict=True):
            if relay.config.write:
                relay.outbox.add(publication)
                connection.wake()
        return publication

    async def publish(self, event: VerifiedEvent) -> Publication:
        """Publish and wait until `min_ok` relays accepted it, trying for ever. Cancelling gives it up.

        The other relays are served in the background, a bounded number of times.
        """
        publication = self.submit(event)
        await publication.wait_sent()
        return publication

    def health(self) -> list[RelayHealth]:
        """How each relay does, in the order they were given."""
        return [relay.health() for relay in self._relays]

    @property
    def refusals(self) -> Counter[Reason]:
        """What all relays sent that was refused, by reason."""
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
