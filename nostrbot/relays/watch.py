"""Watches: a REQ as one relay serves it, for one subscription of the bot's or for several at once.

What lives here: what the pool wants (`Subscription`), how far each is read at one relay (`WatchPart`), and when that
relay is asked, asked again, and from which moment on (`Watch`). What does not: which subscriptions share a REQ
(grouping.py), sockets and verification (session.py). Nothing here waits: each method returns the frames to send.
https://github.com/nostr-protocol/nips/blob/master/01.md

A watch uses two subscription ids: its name for the live REQ, and "<name>/past" for pages of history. If a relay
takes no second id, pages are asked under the name, with the live filters beside them.

A REQ that was sent is not yet in force. It is from its EOSE on, or from the first event on that it asked for; a relay
that answers neither within the deadline is silent, and one that ends it has refused it. Either way it is asked again,
with growing pauses, and from time to time so is what is in force: a relay may have dropped it without a word.

The cursor is the newest `created_at` up to which this relay's store is known to have been read in full. It never passes
our own clock: `created_at` is its author's claim, and one event dated 2100 would hide all others. A relay is asked
from the cursor minus an overlap, because an author may be late, or slow of clock.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Final, NamedTuple

from nostrbot.nostr.event import Event
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.messages import AUTH_WANTED_AS, LIMITED_AS, SUBSCRIPTION_ID_MAX_CHARS, close_message, req_message
from nostrbot.relays.conduct import Backoff
from nostrbot.relays.history import History
from nostrbot.relays.limits import Limits

PAST_SUFFIX: Final = "/past"
# An hour: four times the 15 minutes a machine's clock may be wrong. An event that comes again costs a hash, not
# a signature check.
OVERLAP_S: Final = 3_600
# LocalRelay refuses a REQ with more than 20 filters, and says "rate-limited"; others draw the line at 10.
FILTERS_MAX: Final = 10
# Some relays take `limit: 0` for no limit, some refuse it or never answer it: after a refusal the other one is tried.
LIVE_LIMITS: Final = (0, 1)
PAGE_CUTS: Final = 2  # a relay hangs up so often when it is asked for a page before that counts as a refusal of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription: what the bot wants to hear.

    `filters` say who and what; times and limits are added per relay. `stored`: relays keep these kinds, so history is
    read and asked for again; otherwise only what comes from now on is wanted. `since` (unix seconds) is where history
    begins on a relay not heard yet, and again whenever the filters change; None = all of it. `overlap_s`: gift wraps
    need more than two days (NIP-59). `essential`: asked first, and without it the bot is not ready.
    """

    filters: tuple[Filter, ...]
    stored: bool
    since: int | None = None
    overlap_s: int = OVERLAP_S
    essential: bool = True

    def __post_init__(self) -> None:
        assert 1 <= len(self.filters) <= FILTERS_MAX, "relays take one filter to ten"
        for one in self.filters:
            assert {one.since, one.until, one.limit} == {None}, "times and limits are set per relay"

    def asks_same_as(self, other: "Subscription") -> bool:
        """Whether the REQ would be the same; another `since` alone does not justify a new REQ."""
        return replace(self, since=None) == replace(other, since=None)


class Force(StrEnum):
    """The state of a REQ on the present connection."""

    UNASKED = "unasked"
    ASKED = "asked"
    IN_FORCE = "in_force"
    REFUSED = "refused"
    SILENT = "silent"  # neither EOSE nor event nor CLOSED in time


class RequestTrouble(NamedTuple):
    """The trouble with a REQ that is not in force: refused or silent, and what the relay said."""

    force: Force
    words: str


class WatchPart:
    """One subscription at one relay: where its history is read up to, whichever REQ it is asked in."""

    __slots__ = ("cursor", "name", "source", "subscription", "trouble")

    def __init__(self, name: str, subscription: Subscription, *, source: int) -> None:
        """`source`: its number among all (dedupe.py)."""
        self.name = name
        self.subscription = subscription
        self.source = source
        self.cursor = subscription.since
        self.trouble: RequestTrouble | None = None  # of the last REQ it was asked in, until one is in force

    def matches(self, event: Event) -> bool:
        """Whether the subscription asks for the event."""
        return any(one.matches(event) for one in self.subscription.filters)

    @property
    def since(self) -> int | None:
        """Return where the next page begins. The bot's own `since` is a cursor as well, so the overlap applies to it
        too.
        """
        return None if self.cursor is None else max(0, self.cursor - self.subscription.overlap_s)

    def advance(self, to: int) -> None:
        """Note that all up to this second is read."""
        if self.cursor is None or to > self.cursor:
            self.cursor = to

    def page(self, *, until: int | None, limit: int) -> list[Filter]:
        """Return the filters that ask for a page of history."""
        return [replace(one, since=self.since, until=until, limit=limit) for one in self.subscription.filters]


class Watch:
    """One REQ at one relay, for one part or several. Times passed in as `now` are monotonic seconds."""

    def __init__(self, name: str, parts: Sequence[WatchPart], *, limits: Limits, rng: Random) -> None:
        assert len(name) + len(PAST_SUFFIX) <= SUBSCRIPTION_ID_MAX_CHARS
        assert parts
        self.name = name
        self.past_id = name + PAST_SUFFIX
        self.parts = tuple(parts)
        self.failures = 0  # refusals and silences in a row, without being in force for long in between
        self.trouble: RequestTrouble | None = None  # the last of them, until it is in force
        self.past_words = ""  # why a page of history was refused
        self._limits = limits
        self._patience = Backoff(rng, limits.quiet_min_s, limits.quiet_max_s)
        self._rng = rng
        self._live_limit = 0  # which of LIVE_LIMITS
        self._pages_share_id = False
        self._pages_may_share_id = True
        self._page_cuts = 0  # times the relay hung up when it was asked for a page
        self.was_served = False  # on this connection
        self._gave_up = False  # waiting for an answer on this connection
        self._words = ""  # of a NOTICE while it waited for an answer
        self.force = Force.UNASKED
        self._begin_anew()

    def disconnected(self, words: str = "") -> None:
        """Note the end of the connection. `words`: why, if the relay ended it and that may have been the answer."""
        if words and self.force is Force.ASKED:
            self._note(RequestTrouble(Force.REFUSED, words))
        elif words and self._page_due_at is not None and self._page_id == self.past_id:
            self._page_cuts += 1
            if self._page_cuts >= PAGE_CUTS:
                self.past_words, self._pages_share_id = words, self._pages_may_share_id
        self.force, self._gave_up, self.was_served = Force.UNASKED, False, False
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Start again: nothing is open, and a half-read page counts as unread."""
        self._in_force_since: float | None = None
        self._has_eose = False  # on this REQ
        self._due_at: float | None = None  # when the live REQ must have been answered
        self._retry_at: float | None = None
        self._renew_at: float | None = None
        self._is_renewing = False
        self._stop_reading()

    def _stop_reading(self) -> None:
        self._reading: WatchPart | None = None
        self._history: History | None = None
        self._to_read: deque[WatchPart] = deque()
        self._page_id = self.name
        self._page_due_at: float | None = None
        self._page_retry_at: float | None = None

    # --- asking ---

    def open(self, now: float) -> str:
        """Return the live REQ: on a new connection, or after the relay closed the last one."""
        self._begin_anew()
        self.force, self._words = Force.ASKED, ""
        self._due_at = now + self._limits.eose_s
        self._to_read.extend(part for part in self.parts if part.subscription.stored)
        if len(self.parts) == 1 and self._to_read:
            self._begin_reading(self._to_read.popleft(), self.name)
            self._page_due_at = self._due_at
            return req_message(self.name, self._page())
        return req_message(self.name, self._live())

    def _live(self) -> list[Filter]:
        # Relays that know `limit: 0` send nothing stored; the others replay, which dedupe.py tells apart. No
        # `since`: it would hide a machine whose clock is slow. Two parts that ask the same ask it once.
        limit = LIVE_LIMITS[self._live_limit]
        return [replace(one, limit=limit) for one in dict.fromkeys(self._filters())]

    def _filters(self) -> Iterator[Filter]:
        for part in self.parts:
            yield from part.subscription.filters

    def _page(self) -> list[Filter]:
        assert self._reading is not None, "pages belong to a part"
        assert self._history is not None
        return self._reading.page(until=self._history.until, limit=self._limits.page_events)

    def _begin_reading(self, part: WatchPart, page_id: str) -> None:
        self._reading, self._page_id = part, page_id
        self._history = History(since=part.since, pages_max=self._limits.pages_max)

    def _ask_page(self, now: float) -> str:
        self._page_id = self.name if self._pages_share_id else self.past_id
        self._page_due_at, self._page_retry_at = now + self._limits.eose_s, None
        return req_message(self._page_id, [*self._page(), *(self._live() if self._pages_share_id else ())])

    def _read_next(self, now: float) -> list[str]:
        """Ask for the first page of the part whose turn it is; with none, close the id of pages and set renewal."""
        if self._to_read:
            self._begin_reading(self._to_read.popleft(), self.past_id)
            return [self._ask_page(now)]
        used_past_id = self._page_id == self.past_id
        self._stop_reading()
        self._renew_at = now + self._limits.requery_s * self._rng.uniform(0.75, 1.0)
        return [close_message(self.past_id)] if used_past_id else []

    def close(self) -> list[str]:
        """Return the frames that end it."""
        return [close_message(self.name), *self.close_past()]

    def close_past(self) -> list[str]:
        """Return the frames that end reading history, when another watch takes the name."""
        return [close_message(self.past_id)] if self._history is not None and self._page_id == self.past_id else []

    # --- what arrives ---

    def part_of(self, event: Event) -> WatchPart | None:
        """Return the part that asked for the event; None if none did."""
        return next((part for part in self.parts if part.matches(event)), None)

    def is_live(self, subscription_id: str, event: Event) -> bool:
        """Whether the event shows what its author does now: it came on the live REQ, past all stored events."""
        return (
            subscription_id == self.name
            and self.is_answered
            and not self._is_renewing
            and not self.reads_past(subscription_id, event)
        )

    def note(self, subscription_id: str, event: Event, now: float, unix_now: int) -> None:
        """Note a verified event on either id that a part asked for."""
        if subscription_id == self.name:
            self._serves(now)
        if self._history is not None and self.reads_past(subscription_id, event):
            self._history.note(event)
        elif self.is_past_eose:
            for part in self.parts:
                if part.subscription.stored and part.matches(event):
                    part.advance(min(event.created_at, unix_now))

    def note_unreadable(self, subscription_id: str) -> None:
        """Note a frame on either id that is not an event to us."""
        if self._history is not None and subscription_id == self._page_id:
            self._history.note_unreadable()

    def eose(self, subscription_id: str, now: float, unix_now: int) -> list[str]:
        """EOSE for one of the two ids: it is in force, or a page is over."""
        is_page = self._page_due_at is not None and subscription_id == self._page_id
        if subscription_id == self.name and self.force is not Force.UNASKED and (is_page or self._expects_eose):
            self._has_eose = True
            self._due_at, self._is_renewing = None, False
            self._serves(now)
            if not is_page:
                return self._read_next(now) if self._history is None else []
        return self._page_over(now, unix_now) if is_page else []

    @property
    def _expects_eose(self) -> bool:
        return self._due_at is not None or self._is_renewing or self.force is Force.SILENT

    def closed(self, subscription_id: str, words: str, *, for_auth: bool, now: float) -> None:
        """Note that the relay ended one of the two: ask again later, or once it knows us."""
        if subscription_id == self.name:
            if self.force is Force.REFUSED or self.force is Force.UNASKED:
                return  # it says the same once more
            if self._pages_share_id and self._page_due_at is not None:
                self._pages_share_id = self._pages_may_share_id = False
            # Before we are known to it, a relay that wants that has not refused yet; if it goes on wanting it, it has.
            is_first = self.trouble is None or not self.trouble.words.startswith(AUTH_WANTED_AS)
            self._fails(Force.REFUSED, words, now, counts=not (for_auth and is_first))
        elif self._history is not None and self._page_id == self.past_id and self._page_due_at is not None:
            self._page_fails(words, now)

    def heard_notice(self, words: str, now: float) -> None:
        """Note words of the relay that name no REQ. If this one stays unanswered, that was why; soon we shall
        know.
        """
        if self._due_at is not None:
            self._words = words
            self._due_at = min(self._due_at, now + self._limits.notice_s)

    def ignored(self, now: float) -> None:
        """Note that the relay ignores us ("rate-limited" in a NOTICE): it probably dropped an unanswered REQ."""
        if self.force is Force.ASKED:
            self._fails(Force.REFUSED, self._words, now)
        elif self._page_due_at is not None:
            self._page_fails(self._words, now)

    def authenticated(self, now: float) -> None:
        """Note that the relay knows us now: refused REQs are due at once, and history it may have held back is read
        again.
        """
        if self._retry_at is not None and self.trouble is not None:
            if not self.trouble.words.startswith(LIMITED_AS):
                self._retry_at = now
        elif self._renew_at is not None and any(part.subscription.stored for part in self.parts):
            self._renew_at = now

    def doubt(self, now: float) -> None:
        """Ask whether it is still in force: the relay may have dropped it."""
        if self._renew_at is not None:
            self._renew_at = now

    def sweep(self, now: float, unix_now: int) -> list[str]:
        """Return the frames that are due."""
        if self._retry_at is not None and now >= self._retry_at:
            return [self.open(now)]
        if self._due_at is not None and now >= self._due_at:
            frames = self._deadline(now, unix_now)
            if frames is not None:
                return frames
        if self._page_retry_at is not None and now >= self._page_retry_at:
            return [self._ask_page(now)]
        if self._page_due_at is not None and now >= self._page_due_at:
            return self._page_late(now, unix_now)
        if self._renew_at is not None and now >= self._renew_at:
            return self._renew(now)
        return []

    def _deadline(self, now: float, unix_now: int) -> list[str] | None:
        """Handle a live REQ that was not answered in time. None if it is in force all the same, for events came."""
        self._due_at = None
        if self._is_renewing or self.force is not Force.IN_FORCE:
            self._fails(Force.REFUSED if self._words else Force.SILENT, self._words, now)
            return []
        if self._history is not None:
            return self._page_over(now, unix_now)
        return self._read_next(now)

    def _renew(self, now: float) -> list[str]:
        """Ask again for what is in force, and for what is stored since: in one REQ each."""
        self._renew_at = None
        self._to_read = deque(part for part in self.parts if part.subscription.stored)
        if not self._has_eose:  # a relay that says EOSE to nothing could not tell that it still serves this
            return self._read_next(now) if self._to_read else []
        self._is_renewing, self._due_at = True, now + self._limits.eose_s
        return [req_message(self.name, self._live())]

    # --- what became of it ---

    def _serves(self, now: float) -> None:
        if self.force is Force.IN_FORCE or self.force is Force.UNASKED:
            return
        if self.force is not Force.ASKED:  # late, but it is there: all that was given up is asked for after all
            self._to_read = deque(part for part in self.parts if part.subscription.stored)
            self._renew_at = now
        self.force, self._retry_at = Force.IN_FORCE, None
        self._note(None)
        self._in_force_since = now
        self.was_served = True

    def _fails(self, force: Force, words: str, now: float, *, counts: bool = True) -> None:
        self._forget_failures(now)
        self._begin_anew()
        self.force = force
        self._note(RequestTrouble(force, words))
        self.failures += counts
        self._live_limit = (self._live_limit + counts) % len(LIVE_LIMITS)
        self._gave_up = force is Force.SILENT
        self._retry_at = now + self._patience.next_s()

    def _note(self, trouble: RequestTrouble | None) -> None:
        self.trouble = trouble
        for part in self.parts:
            part.trouble = trouble

    def _forget_failures(self, now: float) -> None:
        """Forget earlier failures: it was in force for long, so a failure now is new."""
        if self._in_force_since is not None and now - self._in_force_since >= self._limits.steady_s:
            self._patience.reset()
            self.failures = 0

    def _page_over(self, now: float, unix_now: int) -> list[str]:
        assert self._history is not None, "pages belong to a history"
        assert self._reading is not None
        self._page_due_at, self.past_words, self._page_cuts = None, "", 0
        if self._history.turn(unix_now):
            return [self._ask_page(now)]
        if self._history.newest is not None:
            self._reading.advance(min(self._history.newest, unix_now))
        self._history = None
        return self._read_next(now)

    def _page_late(self, now: float, unix_now: int) -> list[str]:
        assert self._history is not None
        # A relay that says EOSE elsewhere and nothing at all to this does not serve it; one that never does is done.
        if self._has_eose and self._history.is_page_empty:
            self._page_fails("", now)
            return []
        return self._page_over(now, unix_now)

    def _page_fails(self, words: str, now: float) -> None:
        """Give up a second REQ beside the live one: the next page goes with it, if that helps."""
        self._forget_failures(now)
        self._page_due_at = None
        self.past_words = words or "no answer"
        self._pages_share_id = self._pages_may_share_id and not self._pages_share_id
        self._page_retry_at = now + self._patience.next_s()

    # --- how it stands ---

    @property
    def is_answered(self) -> bool:
        """Whether it is in force, or the relay was too slow to answer."""
        return self._gave_up or (self.force is Force.IN_FORCE and (self._has_eose or self._due_at is None))

    @property
    def is_waiting(self) -> bool:
        """Whether a REQ is not answered yet."""
        return self._due_at is not None or self._page_due_at is not None

    @property
    def is_in_force(self) -> bool:
        """Whether the relay serves it."""
        return self.force is Force.IN_FORCE

    def reads_past(self, subscription_id: str, event: Event) -> bool:
        """Whether an event on this id comes from the relay's store being read, newest first."""
        return self._reading is not None and subscription_id == self._page_id and self._reading.matches(event)

    @property
    def is_reading_past(self) -> bool:
        """Whether the relay's store is being read: not while a refused page waits to be asked for again."""
        return self._history is not None and self._page_retry_at is None

    @property
    def is_past_eose(self) -> bool:
        """Whether the relay's store has been read, so that what comes now is live."""
        return self.is_answered and self._history is None and not self._to_read
