"""Relays: where one is, what we use it for, and what we know of it across connections.

What lives here: `RelayConfig` (what a person writes), `RelayHealth` (what a person reads), `Relay` (what lasts when a
connection is lost), and `Commons`, what all relays of a pool share. What does not: connecting (connection.py).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from nostrbot.nostr.keys import Keys
from nostrbot.refusals import Reason
from nostrbot.relays.limits import Limits
from nostrbot.relays.publication import Outbox
from nostrbot.relays.sightings import Arrival, Sightings
from nostrbot.relays.urls import relay_url
from nostrbot.relays.watch import Subscription, Watch


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """One relay: `read` = subscribe there, `write` = publish there. `url` is kept in its normal form.

    Raises ConfigError for what is no relay's url.
    """

    url: str
    read: bool = True
    write: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", relay_url(self.url))


@dataclass(slots=True)
class RelayHealth:
    """How a relay does. Moments are unix seconds on our clock, None = never; counts are since the pool was made."""

    url: str
    connected: bool = False
    since: int | None = None  # when `connected` last changed
    last_event_at: int | None = None
    last_ok_at: int | None = None
    reconnects: int = 0  # connections opened after the first
    cuts: int = 0  # times we hung up on it for misbehaving
    last_trouble: str = ""  # why the last connection ended or failed
    events: int = 0  # verified and matching, repeats and duplicates included
    duplicates: int = 0
    published: int = 0  # EVENT frames sent
    accepted: int = 0
    refused: int = 0  # OK false
    stray_oks: int = 0  # for ids we did not wait for
    waiting: int = 0
    outstanding: int = 0
    challenges_ignored: int = 0
    refusals: Counter[Reason] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commons:
    """What all relays of a pool share. `wall_clock` gives unix seconds; `progressed` is called when a watch may be answered."""

    keys: Keys
    limits: Limits
    rng: Random
    wall_clock: Callable[[], int]
    inbox: asyncio.Queue[Arrival]
    sightings: Sightings
    progressed: Callable[[], None]


class Relay:
    """One relay, connected or not."""

    def __init__(self, config: RelayConfig, commons: Commons) -> None:
        self.config = config
        self.url = config.url
        self.outbox = Outbox(config.url, limits=commons.limits, rng=commons.rng)
        self.watches: dict[str, Watch] = {}
        self._health = RelayHealth(config.url)
        self._commons = commons
        self._was_connected = False

    @property
    def tally(self) -> RelayHealth:
        """The running counts, for those who count."""
        return self._health

    def health(self) -> RelayHealth:
        """A copy that no longer changes."""
        return replace(
            self._health,
            refusals=Counter(self._health.refusals),
            waiting=self.outbox.waiting_count,
            outstanding=self.outbox.outstanding_count,
        )

    @property
    def is_subscribed(self) -> bool:
        """Whether it is connected and has answered all subscriptions."""
        return self._health.connected and all(watch.is_answered for watch in self.watches.values())

    @property
    def is_read(self) -> bool:
        """Whether it is connected and has given all that it keeps for our subscriptions."""
        return self._health.connected and all(watch.is_past_eose for watch in self.watches.values())

    def watch(self, wanted: Mapping[str, Subscription], sources: Mapping[str, int]) -> tuple[list[Watch], list[Watch]]:
        """Make the watches what is wanted. Returns those to close and those to open; an unchanged one is left alone."""
        gone = [watch for name, watch in self.watches.items() if name not in wanted]
        for watch in gone:
            del self.watches[watch.name]
        new = []
        for name, subscription in wanted.items():
            known = self.watches.get(name)
            if known is None or not known.subscription.asks_same_as(subscription):
                limits, rng = self._commons.limits, self._commons.rng
                self.watches[name] = Watch(name, subscription, source=sources[name], limits=limits, rng=rng)
                new.append(self.watches[name])
        return gone, new

    def connected(self) -> None:
        """A connection was opened."""
        self._health.reconnects += self._was_connected
        self._was_connected = True
        self._health.connected = True
        self._health.since = self._commons.wall_clock()

    def disconnected(self, trouble: str) -> None:
        """It ended, or could not be opened."""
        if self._health.connected or self._health.since is None:
            self._health.since = self._commons.wall_clock()
        self._health.connected = False
        self._health.last_trouble = trouble
        self.outbox.lost()
