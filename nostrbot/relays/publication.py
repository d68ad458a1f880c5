"""Publications: an event on its way to enough relays.

What lives here: the publication, and per relay the outbox that sends it, waits for the OK and tries again. What does
not: sockets (session.py), which relays there are (pool.py). Nothing here waits, except those who wait for a
publication. https://github.com/nostr-protocol/nips/blob/master/01.md

An outbox keeps order: what was sent but not answered when a connection is lost is sent first on the next one. There is
no task and no timer per event: unanswered ones lie in sending order, so a sweep looks at the oldest only.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from itertools import count
from random import Random

from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.messages import ACCEPTED_AS, AUTH_WANTED_AS, LIMITED_AS, Ok, event_message
from nostrbot.relays.conduct import Backoff
from nostrbot.relays.limits import Limits
from nostrbot.relays.words import plain_words


class Publication:
    """One event, and which relays accepted it. It counts as sent when `min_ok` did."""

    __slots__ = ("_done", "_waiting_count", "accepted_by", "event", "frame", "is_vital", "min_ok", "refused_by")

    def __init__(self, event: VerifiedEvent, *, min_ok: int, is_vital: bool = True) -> None:
        """`is_vital`: a relay that does not take it is of no use to us."""
        self.is_vital = is_vital
        self.event = event
        self.frame = event_message(event).encode()
        self.min_ok = min_ok
        self.accepted_by: set[str] = set()
        self.refused_by: dict[str, str] = {}  # url -> the relay's last words
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting_count = 0

    @property
    def is_sent(self) -> bool:
        """Whether enough relays accepted it."""
        return len(self.accepted_by) >= self.min_ok

    @property
    def is_stuck(self) -> bool:
        """Whether a relay answered it, or was too slow to answer, and it is still not sent."""
        return not self.is_sent and bool(self.accepted_by or self.refused_by)

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody wants it sent any more."""
        return self._done.cancelled()

    def accept(self, url: str) -> None:
        """Note that the relay has the event."""
        self.accepted_by.add(url)
        self.refused_by.pop(url, None)
        if self.is_sent and not self._done.done():
            self._done.set_result(None)

    def when_over(self, tell: "Callable[[Publication], None]") -> None:
        """Have `tell` called once it is sent or abandoned."""
        self._done.add_done_callback(lambda _: tell(self))

    def abandon(self) -> None:
        """Stop trying."""
        self._done.cancel()

    async def wait_sent(self) -> None:
        """Wait until enough relays accepted it, for ever if need be. When the last one to wait is cancelled, it is
        abandoned.
        """
        self._waiting_count += 1
        try:
            await asyncio.shield(self._done)
        finally:
            self._waiting_count -= 1
            if not self._waiting_count:
                self._done.cancel()  # does nothing to one that was sent


@dataclass(slots=True)
class _Delivery:
    publication: Publication
    failures: int = 0
    ok_due_at: float = 0.0


@dataclass(slots=True)
class _Failing:
    """Events of one kind that a relay did not take, since it last took one."""

    since: float
    last: float = 0.0
    count: int = 0
    words: str = ""


class Answer(Enum):
    """The meaning of an OK."""

    ACCEPTED = auto()
    REFUSED = auto()
    RATE_LIMITED = auto()
    AUTH_WANTED = auto()
    STRAY = auto()  # for an id we do not wait for


class RelayOutbox:
    """The events to publish on one relay. Times passed in as `now` are monotonic seconds."""

    def __init__(self, url: str, *, limits: Limits, rng: Random) -> None:
        self._url = url
        self._limits = limits
        self._backoff = Backoff(rng, limits.retry_min_s, limits.retry_max_s)
        self._waiting: deque[_Delivery] = deque()
        self._sieve_at = limits.backlog_max + limits.backlog_max // 4
        self._outstanding: dict[str, _Delivery] = {}  # by event id, in order of sending
        self._retries: list[tuple[float, int, _Delivery]] = []  # a heap by due time
        self._last_refusal = ""
        self._failing: dict[int, _Failing] = {}  # by kind, of those that it did not take lately
        self._numbers = count()  # they keep equal times, and deliveries refused together, in order

    @property
    def waiting_count(self) -> int:
        """Publications not sent yet, or to be sent again."""
        return len(self._waiting) + len(self._retries)

    @property
    def outstanding_count(self) -> int:
        """Publications sent on this connection and not answered."""
        return len(self._outstanding)

    def accepts(self, now: float) -> bool:
        """Whether the relay takes events, as far as is known: False after failures without a success for a while.

        By kind: there are relays that take direct messages and no acks.
        """
        return not any(
            one.count >= self._limits.failing_min
            and now - one.since >= self._limits.failing_s
            and now - one.last <= self._limits.failing_forgotten_s
            for one in self._failing.values()
        )

    @property
    def last_refusal(self) -> str:
        """Its words, or ours, about the kind that it has not taken for longest; else the last of all."""
        longest = min(self._failing.values(), key=lambda one: one.since, default=None)
        return self._last_refusal if longest is None else longest.words

    def _note_failure(self, delivery: _Delivery, words: str, now: float) -> None:
        self._last_refusal = words
        publication = delivery.publication
        if publication.is_vital:
            failing = self._failing.setdefault(publication.event.kind, _Failing(now))
            failing.count += 1
            failing.words, failing.last = words, now

    def add(self, publication: Publication) -> None:
        """Queue an event behind the others."""
        self._waiting.append(_Delivery(publication))
        while len(self._waiting) > self._limits.backlog_max and self._is_let_go(self._waiting[0].publication):
            self._waiting.popleft()
        if len(self._waiting) > self._sieve_at:
            self._sieve()

    def next_frame(self, now: float) -> bytes | None:
        """Return the next EVENT frame, now counted as sent; None if there is none or too many are unanswered."""
        if len(self._outstanding) >= self._limits.outstanding_max:
            return None
        while self._waiting:
            delivery = self._waiting.popleft()
            publication = delivery.publication
            if publication.is_abandoned:
                continue
            if publication.event.id in self._outstanding:  # published once more before this relay answered
                self._retry_at(now + self._limits.retry_min_s, delivery)
                continue
            delivery.ok_due_at = now + self._limits.ok_s
            self._outstanding[publication.event.id] = delivery
            return publication.frame
        return None

    def answer(self, ok: Ok, now: float) -> Answer:
        """Take in a relay's answer. An answer for an id that is not outstanding changes nothing."""
        delivery = self._outstanding.pop(ok.event_id, None)
        if delivery is None:
            return Answer.STRAY
        if ok.accepted or ok.message.startswith(ACCEPTED_AS):
            delivery.publication.accept(self._url)
            self._failing.pop(delivery.publication.event.kind, None)
            return Answer.ACCEPTED
        self._note_failure(delivery, plain_words(ok.message) or "OK false", now)
        delivery.publication.refused_by[self._url] = ok.message
        if ok.message.startswith(LIMITED_AS):
            self._waiting.appendleft(delivery)
            return Answer.RATE_LIMITED
        self._retry_later(delivery, now)
        return Answer.AUTH_WANTED if ok.message.startswith(AUTH_WANTED_AS) else Answer.REFUSED

    def authenticated(self) -> None:
        """Send at once what the relay refused before it knew us; now it knows us."""
        refused = [entry for entry in self._retries if self._wanted_auth(entry[2])]
        if refused:
            self._retries = [entry for entry in self._retries if not self._wanted_auth(entry[2])]
            heapq.heapify(self._retries)
            refused.sort(key=lambda entry: entry[1], reverse=True)  # the order of the answers is that of sending
            self._waiting.extendleft(delivery for _, _, delivery in refused)

    def lost(self) -> None:
        """Note that the connection is gone: unanswered events go first on the next one, in their order."""
        self._waiting.extendleft(reversed(self._outstanding.values()))
        self._outstanding.clear()

    def sweep(self, now: float) -> None:
        """Take back what was not answered in time, and queue what is to be tried again."""
        for delivery in list(self._overdue(now)):
            del self._outstanding[delivery.publication.event.id]
            words = delivery.publication.refused_by[self._url] = f"no OK within {self._limits.ok_s:g} s"
            self._note_failure(delivery, words, now)
            self._retry_later(delivery, now)
        while self._retries and self._retries[0][0] <= now:
            self._waiting.append(heapq.heappop(self._retries)[2])

    def _sieve(self) -> None:
        """Let go what lies behind one that still has to be sent: seldom, for it looks at all of them."""
        surplus = len(self._waiting) - self._limits.backlog_max
        kept: deque[_Delivery] = deque()
        for delivery in self._waiting:
            if surplus and self._is_let_go(delivery.publication):
                surplus -= 1
            else:
                kept.append(delivery)
        self._waiting = kept
        self._sieve_at = len(kept) + self._limits.backlog_max // 4

    def _overdue(self, now: float) -> Iterator[_Delivery]:
        for delivery in self._outstanding.values():
            if delivery.ok_due_at > now:
                return
            yield delivery

    def _retry_later(self, delivery: _Delivery, now: float) -> None:
        delivery.failures += 1
        publication = delivery.publication
        if publication.is_abandoned or (publication.is_sent and delivery.failures >= self._limits.surplus_attempts_max):
            return
        self._retry_at(now + self._backoff.delay_s(delivery.failures), delivery)

    def _retry_at(self, due_at: float, delivery: _Delivery) -> None:
        heapq.heappush(self._retries, (due_at, next(self._numbers), delivery))

    def _wanted_auth(self, delivery: _Delivery) -> bool:
        return delivery.publication.refused_by.get(self._url, "").startswith(AUTH_WANTED_AS)

    @staticmethod
    def _is_let_go(publication: Publication) -> bool:
        return publication.is_sent or publication.is_abandoned
