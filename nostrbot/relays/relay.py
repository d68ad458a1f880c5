"""Relays: where one is, what we use it for, and what we know of it across connections.

What lives here: `RelayConfig` (what a person writes), `RelayHealth` and `Service` (what a person reads), `Relay` (what
lasts when a connection is lost), and `Commons`, what all relays of a pool share. What does not: connecting
(connection.py).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final, NamedTuple

from nostrbot.net.urls import relay_url
from nostrbot.nostr.keys import Keys
from nostrbot.refusals import Reason
from nostrbot.relays.dedupe import Deliveries
from nostrbot.relays.grouping import Grouping
from nostrbot.relays.inbox import ArrivalQueue
from nostrbot.relays.limits import Limits
from nostrbot.relays.publication import RelayOutbox
from nostrbot.relays.watch import Force, Subscription, Watch, WatchPart


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


class Service(NamedTuple):
    """The service of one subscription by a relay."""

    force: Force
    words: str = ""  # of the relay, or ours, why it is not in force
    unread: str = ""  # why the relay's store cannot be read, although it is in force


HUNG_UP: Final = "it hung up when it was asked"
NOT_ASKED: Final = Service(Force.UNASKED, "not asked: it hangs up")


@dataclass(slots=True)
class RelayHealth:
    """The health of a relay. Moments are unix seconds on our clock, None = never; counts are since the pool was
    made.
    """

    url: str
    connected: bool = False
    since: int | None = None  # when `connected` last changed
    last_event_at: int | None = None
    last_ok_at: int | None = None
    reconnects: int = 0  # connections opened after the first
    cuts: int = 0  # times we hung up on it for misbehaving
    last_trouble: str = ""  # why the last connection ended or failed
    ahead_s: float | None = (
        None  # its clock ahead of our running one, by the date of the handshake; None if it said none
    )
    events: int = 0  # verified and matching, repeats and duplicates included
    duplicates: int = 0
    published: int = 0  # EVENT frames sent
    accepted: int = 0
    refused: int = 0  # OK false
    stray_oks: int = 0  # for ids we did not wait for
    waiting: int = 0
    outstanding: int = 0
    challenges_ignored: int = 0
    accepts: bool = True  # False: of what it was sent lately, it took nothing
    last_refusal: str = ""  # its last words when it did not take an event, or ours
    requests: int = 0  # REQs that what we want to hear is asked in
    subscriptions: dict[str, Service] = field(default_factory=dict)  # by name, where we read
    refusals: Counter[Reason] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commons:
    """The common ground of a pool's relays. `wall_clock` gives unix seconds, `monotonic` others; `progressed` is
    called when a watch may be answered.
    """

    keys: Keys
    limits: Limits
    rng: Random
    wall_clock: Callable[[], int]
    monotonic: Callable[[], float]
    inbox: ArrivalQueue[Any]
    sightings: Deliveries
    progressed: Callable[[], None]


class Relay:
    """One relay, connected or not."""

    def __init__(self, config: RelayConfig, commons: Commons) -> None:
        self.config = config
        self.url = config.url
        self.outbox = RelayOutbox(config.url, limits=commons.limits, rng=commons.rng)
        self.parts: dict[str, WatchPart] = {}  # by the subscription's name
        self.watches: dict[str, Watch] = {}  # by the REQ's
        self._grouping = Grouping(commons.limits, commons.rng)
        self._health = RelayHealth(config.url)
        self._commons = commons
        self._was_connected = False

    @property
    def tally(self) -> RelayHealth:
        """The running counts, for those who count."""
        return self._health

    def health(self) -> RelayHealth:
        """Return a copy that no longer changes."""
        return replace(
            self._health,
            refusals=Counter(self._health.refusals),
            waiting=self.outbox.waiting_count,
            outstanding=self.outbox.outstanding_count,
            accepts=self.outbox.accepts(self._commons.monotonic()),
            last_refusal=self.outbox.last_refusal,
            requests=len(self.watches),
            subscriptions=dict.fromkeys(self.parts, NOT_ASKED)
            | {part.name: _service(watch, part) for watch in self.watches.values() for part in watch.parts},
        )

    def serves(self, name: str) -> bool:
        """Whether a subscription is in force on this relay."""
        return self._health.connected and any(
            watch.is_in_force and part.name == name for watch in self.watches.values() for part in watch.parts
        )

    @property
    def is_subscribed(self) -> bool:
        """Whether the relay is connected and has answered all subscriptions."""
        return self._health.connected and all(watch.is_answered for watch in self.watches.values())

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be waited for: the relay is not connected, or has answered each subscription in some
        way.
        """
        return not self._health.connected or all(
            watch.is_answered or watch.trouble is not None for watch in self.watches.values()
        )

    @property
    def is_read(self) -> bool:
        """Whether the relay is connected and has sent all it keeps for our subscriptions."""
        return self._health.connected and all(
            watch.is_in_force and watch.is_past_eose for watch in self.watches.values()
        )

    def watch(self, wanted: Mapping[str, Subscription], sources: Mapping[str, int]) -> tuple[list[Watch], list[Watch]]:
        """Make the watches what is wanted. Returns those to close and those to open; an unchanged one is left alone."""
        parts = {}
        for name, subscription in wanted.items():
            known = self.parts.get(name)
            is_same = known is not None and known.subscription.asks_same_as(subscription)
            parts[name] = (
                known if known is not None and is_same else WatchPart(name, subscription, source=sources[name])
            )
        self.parts = parts
        return self._arrange()

    def judge(self, now: float) -> tuple[list[Watch], list[Watch]]:
        """Look how the REQs are served. Returns those to close and those to open, where another way is tried."""
        changes = self._grouping.judge(list(self.watches.values()), now)
        return self._arrange() if changes else ([], [])

    def _arrange(self) -> tuple[list[Watch], list[Watch]]:
        before, self.watches, new = self.watches, {}, []
        for name, parts in self._grouping.groups(self.parts.values()):
            known = before.get(name)
            if known is None or known.parts != parts:
                known = Watch(name, parts, limits=self._commons.limits, rng=self._commons.rng)
                new.append(known)
            self.watches[name] = known
        return [watch for name, watch in before.items() if name not in self.watches], new

    def connected(self, ahead_s: float | None = None) -> None:
        """Note an open connection. `ahead_s`: the date that the relay gave less the running clock."""
        self._health.ahead_s = ahead_s
        self._health.reconnects += self._was_connected
        self._was_connected = True
        self._health.connected = True
        self._health.since = self._commons.wall_clock()

    def disconnected(self, trouble: str, *, hung_up: bool = False) -> None:
        """Note that a connection ended, or could not be opened. `hung_up`: the relay ended it."""
        if self._health.connected or self._health.since is None:
            self._health.since = self._commons.wall_clock()
        self._health.connected = False
        self._health.last_trouble = trouble
        watches = list(self.watches.values())
        is_refusal = any(watch.force is Force.ASKED for watch in watches)
        for watch in watches:
            watch.disconnected(HUNG_UP if hung_up else "")
        if hung_up and is_refusal and self._grouping.cut(watches, self._commons.monotonic()):
            self._arrange()
        self.outbox.lost()


def _service(watch: Watch, part: WatchPart) -> Service:
    if watch.is_in_force:
        return Service(watch.force, unread=watch.past_words)
    trouble = watch.trouble or part.trouble  # in whatever REQ it was asked last
    if watch.force is Force.UNASKED or trouble is None:
        return Service(watch.force, "" if trouble is None else trouble.words)
    return Service(*trouble)
