"""Deliveries: which verified events were seen already, from where, and whether one was published again.

What lives here: the bounded memory behind step 6 of docs/protocol.md section 2, and `Arrival`, what the pool hands on.
What does not: verification (nostr/event.py). Only verified events enter, so a hostile relay cannot burn a true id with
a bad signature. An event counts as verified before only with its id recomputed and the very same signature, so a forged
event cannot hide behind a known id.

An ephemeral event is not stored by relays, so a machine publishes the same one again until it has its ack. Such a
repeat looks like the same event from one more relay. We tell them apart by sources (one subscription at one relay). A
source that brings an event a second time starts a new round, and each other source may bring it once in that round. A
relay that replays at will can start rounds early, but cannot use up those of other relays.

Each repeat costs the bot a signed ack. So after the first few of an event, every source has to leave longer and longer
pauses between the rounds it starts.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto

from nostrbot.nostr.event import Event, VerifiedEvent, event_id
from nostrbot.nostr.kinds import GIFT_WRAP, is_ephemeral
from nostrbot.relays.inbox import Lane, size_of

# The pauses between the rounds of one event that one source starts, doubling. A machine without its ack repeats every
# few seconds, and if nothing helped for minutes, once a minute is soon enough.
PAUSE_MIN_S = 1.0
PAUSE_MAX_S = 60.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A verified event for the bot. `repeat`: its author published it again. `received_at`: unix seconds, our clock."""

    event: VerifiedEvent
    relay: str
    repeat: bool
    received_at: int

    @property
    def lane(self) -> Lane:
        """The lane of it: a gift wrap names nobody."""
        return Lane.WRAPPED if self.event.kind == GIFT_WRAP else Lane.NAMED

    @property
    def size_bytes(self) -> int:
        """About how many bytes it takes in memory."""
        return size_of(self.event)


class Delivery(Enum):
    """The kinds of delivery of a verified event."""

    FIRST = auto()
    REPEAT = auto()
    DUPLICATE = auto()
    EARLY = auto()  # a repeat, but within the pause that this source has to leave
    NEEDLESS = auto()  # a duplicate that this source had brought in this round already


@dataclass(slots=True)
class _Pause:
    """The pause a source must leave until it may start the next round."""

    length_s: float
    until: float  # monotonic


@dataclass(slots=True)
class _Seen:
    sig: bytes
    sources: int  # a bit for each source that brought it in this round
    round_at: float  # monotonic
    repeat_count: int = 0
    pauses: dict[int, _Pause] | None = None  # by source; hardly any event needs it


class Deliveries:
    """A bounded memory of verified events, least recently seen forgotten first.

    The first `repeats_at_once` repeats of an event count however soon they come: an impatient author is answered too.
    After those, none does within `repeat_gap_s` of the one before, and each source has to pause.
    """

    def __init__(self, *, size_max: int, repeat_gap_s: float, repeats_at_once: int = 0) -> None:
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._size_max = size_max
        self._repeat_gap_s = repeat_gap_s
        self._repeats_at_once = repeats_at_once

    def __len__(self) -> int:
        return len(self._seen)

    def verified_before(self, event: Event) -> bool:
        """Whether this very event was verified: id recomputed now, signature equal to the verified one."""
        seen = self._seen.get(bytes.fromhex(event.id))
        return (
            seen is not None
            and seen.sig == bytes.fromhex(event.sig)
            and event.id == event_id(event.pubkey, event.created_at, event.kind, event.tags, event.content)
        )

    def record(self, event: Event, *, source: int, live: bool, now: float) -> Delivery:
        """Note one delivery of an event that was verified.

        `source` numbers the subscription at a relay, from 0. `live`: past EOSE; what comes before it is the relay's
        store, and says nothing about what the author does now. `now`: monotonic seconds.
        """
        key = bytes.fromhex(event.id)
        bit = 1 << source
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = _Seen(bytes.fromhex(event.sig), bit, now)
            if len(self._seen) > self._size_max:
                self._seen.popitem(last=False)
            return Delivery.FIRST
        self._seen.move_to_end(key)
        if not seen.sources & bit:
            seen.sources |= bit
            return Delivery.DUPLICATE
        if not live:
            return Delivery.DUPLICATE
        is_soon = now - seen.round_at < self._repeat_gap_s
        is_at_once = seen.repeat_count < self._repeats_at_once
        if not is_ephemeral(event.kind) or (is_soon and not is_at_once):
            return Delivery.NEEDLESS
        if not is_at_once and not _take_turn(seen, source, now):
            return Delivery.EARLY
        seen.sources = bit
        seen.round_at = now
        seen.repeat_count += 1
        return Delivery.REPEAT


def _take_turn(seen: _Seen, source: int, now: float) -> bool:
    """Whether a source's pause is over; if so, its next one begins, twice as long."""
    if seen.pauses is None:
        seen.pauses = {}
    pause = seen.pauses.get(source)
    if pause is None:
        seen.pauses[source] = _Pause(PAUSE_MIN_S, now + PAUSE_MIN_S)
        return True
    if now < pause.until:
        return False
    pause.length_s = min(PAUSE_MAX_S, 2 * pause.length_s)
    pause.until = now + pause.length_s
    return True
