"""Watches: a subscription as one relay serves it.

What lives here: what the pool wants (`Subscription`), and per relay when to ask, to ask again, and from which moment on.
What does not: sockets and verification (session.py). Nothing here waits: each method returns the frames to send.
https://github.com/nostr-protocol/nips/blob/master/01.md

A watch uses two subscription ids: its name for the live REQ, and "<name>/past" for pages of history.

The cursor is the newest `created_at` up to which this relay's store is known to have been read in full. It never passes
our own clock: `created_at` is its author's claim, and one event dated 2100 would hide all others. A relay is asked
from the cursor minus an overlap, because an author may be late, or slow of clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from nostrbot.nostr.event import Event
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.messages import SUBSCRIPTION_ID_MAX_CHARS, close_message, req_message
from nostrbot.relays.conduct import Backoff
from nostrbot.relays.history import History
from nostrbot.relays.limits import Limits

PAST_SUFFIX: Final = "/past"
# An hour: four times the 15 minutes a machine's clock may be wrong. What is asked again costs a hash, no signature check.
OVERLAP_S: Final = 3_600
# LocalRelay refuses a REQ with more than 20 filters, and says "rate-limited"; others draw the line at 10.
FILTERS_MAX: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What the bot wants to hear of.

    `filters` say who and what; times and limits are added per relay. `stored`: relays keep these kinds, so history is
    read and asked for again; otherwise only what comes from now on is wanted. `since` (unix seconds) is where history
    begins on a relay not heard yet, and again whenever the filters change; None = all of it. `overlap_s`: gift wraps
    need more than two days (NIP-59).
    """

    filters: tuple[Filter, ...]
    stored: bool
    since: int | None = None
    overlap_s: int = OVERLAP_S

    def __post_init__(self) -> None:
        assert 1 <= len(self.filters) <= FILTERS_MAX, "relays take one filter to ten"
        for one in self.filters:
            assert {one.since, one.until, one.limit} == {None}, "times and limits are set per relay"

    def asks_same_as(self, other: "Subscription") -> bool:
        """Whether the REQ would be the same; another `since` alone is no reason to ask again."""
        return replace(self, since=None) == replace(other, since=None)


class Watch:
    """One subscription at one relay. Times passed in as `now` are monotonic seconds."""

    def __init__(self, name: str, subscription: Subscription, *, source: int, limits: Limits, rng: Random) -> None:
        assert len(name) + len(PAST_SUFFIX) <= SUBSCRIPTION_ID_MAX_CHARS
        self.name = name
        self.past_id = name + PAST_SUFFIX
        self.subscription = subscription
        self.source = source
        self.cursor = subscription.since
        self._limits = limits
        self._patience = Backoff(rng, limits.quiet_min_s, limits.quiet_max_s)
        self._rng = rng
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Nothing is open, and what was half read counts as unread."""
        self.is_answered = False  # EOSE came, or its deadline passed
        self._history: History | None = None
        self._eose_due_at: float | None = None
        self._retry_at: float | None = None
        self._requery_at: float | None = None
        self._refused_for_auth = False

    def open(self, now: float) -> str:
        """The live REQ: on a new connection, or after the relay closed the last one."""
        self._begin_anew()
        self._eose_due_at = now + self._limits.eose_s
        if self.subscription.stored:
            self._history = History(since=self._since(), pages_max=self._limits.pages_max)
            return req_message(self.name, self._filters(until=None))
        # Relays that know `limit: 0` send nothing stored; the others replay, which sightings.py tells apart. No
        # `since`: it would hide a machine whose clock is slow.
        return req_message(self.name, [replace(one, limit=0) for one in self.subscription.filters])

    def close(self) -> list[str]:
        """The frames that end it."""
        return [close_message(self.name), *self.close_past()]

    def close_past(self) -> list[str]:
        """The frames that end reading history, when another watch takes the name."""
        return [close_message(self.past_id)] if self.is_answered and self._history is not None else []

    def matches(self, event: Event) -> bool:
        """Whether the event is what was asked for."""
        return any(one.matches(event) for one in self.subscription.filters)

    def note(self, subscription_id: str, event: Event, unix_now: int) -> None:
        """A verified, matching event came on either id."""
        if self._history is None:
            if self.subscription.stored:
                self._advance(min(event.created_at, unix_now))
        elif subscription_id == self._page_id:
            self._history.note(event)

    def eose(self, subscription_id: str, now: float, unix_now: int) -> list[str]:
        """EOSE for one of the two ids: a page is over."""
        if subscription_id != self._page_id or self._eose_due_at is None:
            return []
        return self._page_over(now, unix_now)

    def closed(self, subscription_id: str, *, for_auth: bool, now: float) -> None:
        """The relay ended one of the two: ask again later, or once we are known to it."""
        if subscription_id == self.name:
            self._begin_anew()
        elif self._history is None:
            return  # an answer to our own CLOSE
        self._eose_due_at = None
        self._refused_for_auth = for_auth
        self._retry_at = now + self._patience.next_s()

    def authenticated(self, now: float) -> None:
        """The relay knows us now: what it refused for want of that is due at once."""
        if self._refused_for_auth:
            self._refused_for_auth = False
            self._retry_at = now

    def ignored(self, now: float) -> None:
        """The relay says it ignores us ("rate-limited" in a NOTICE): an unanswered REQ was probably dropped."""
        if self._eose_due_at is not None:
            self._eose_due_at = None
            self._retry_at = now + self._patience.next_s()

    def sweep(self, now: float, unix_now: int) -> list[str]:
        """The frames that are due."""
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            return [self._ask_page(now)] if self.is_answered else [self.open(now)]
        if self._eose_due_at is not None and now >= self._eose_due_at:
            return self._page_over(now, unix_now)
        if self._requery_at is not None and now >= self._requery_at:
            self._requery_at = None
            self._history = History(since=self._since(), pages_max=self._limits.pages_max)
            return [self._ask_page(now)]
        return []

    @property
    def _page_id(self) -> str:
        return self.past_id if self.is_answered else self.name

    def reads_past(self, subscription_id: str) -> bool:
        """Whether events on this id are the relay's store being read, newest first."""
        return self._history is not None and subscription_id == self._page_id

    @property
    def is_reading_past(self) -> bool:
        """Whether the relay's store is being read."""
        return self._history is not None

    @property
    def is_past_eose(self) -> bool:
        """Whether the relay's store has been read, so that what comes now is live."""
        return self.is_answered and self._history is None

    def _page_over(self, now: float, unix_now: int) -> list[str]:
        walking, self._eose_due_at = self.is_answered, None
        self.is_answered = True
        self._patience.reset()
        if self._history is None:
            return []
        if self._history.turn():
            return [self._ask_page(now)]
        if self._history.newest is not None:
            self._advance(min(self._history.newest, unix_now))
        self._history = None
        self._requery_at = now + self._limits.requery_s * self._rng.uniform(0.75, 1.0)
        return [close_message(self.past_id)] if walking else []

    def _ask_page(self, now: float) -> str:
        assert self._history is not None, "pages belong to a history"
        self._eose_due_at = now + self._limits.eose_s
        return req_message(self.past_id, self._filters(until=self._history.until))

    def _filters(self, until: int | None) -> Sequence[Filter]:
        since, limit = self._since(), self._limits.page_events
        return [replace(one, since=since, until=until, limit=limit) for one in self.subscription.filters]

    def _since(self) -> int | None:
        # The bot's own `since` is a cursor as well, so the overlap applies to it too.
        return None if self.cursor is None else max(0, self.cursor - self.subscription.overlap_s)

    def _advance(self, to: int) -> None:
        if self.cursor is None or to > self.cursor:
            self.cursor = to
