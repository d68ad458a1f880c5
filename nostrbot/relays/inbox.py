"""The inbox: what arrived from all relays and waits to be decided.

What lives here: how much may wait, in number and in bytes, and what goes first. What does not: deciding (the bot), and what
happens when it is full (session.py stops reading).

Anybody may send the bot gift wraps, under a new name each, and only opening one tells whose it is. So they stand behind
what names its author, and a flood of them keeps no sale waiting; one in a few is taken all the same.
"""

import asyncio
from collections import deque
from typing import Final

from nostrbot.nostr.event import Event
from nostrbot.nostr.kinds import GIFT_WRAP
from nostrbot.relays.dedupe import Arrival

WRAP_EVERY: Final = 8  # so many are taken before a gift wrap has its turn, where others wait
EVENT_BYTES: Final = 1_000  # what an event takes beside its texts


class Inbox(asyncio.Queue[Arrival]):
    """A queue of arrivals, oldest first, gift wraps behind the others."""

    def __init__(self, events_max: int, bytes_max: int) -> None:
        super().__init__(events_max)
        self._bytes_max = bytes_max
        self._bytes = 0
        self._named: deque[Arrival] = deque()
        self._wraps: deque[Arrival] = deque()
        self._taken_before_wraps = 0

    def qsize(self) -> int:
        """How many wait."""
        return len(self._named) + len(self._wraps)

    def empty(self) -> bool:
        """Whether none waits."""
        return not self.qsize()

    def full(self) -> bool:
        """Whether there is no room for one more."""
        return super().full() or self._bytes >= self._bytes_max

    def _put(self, item: Arrival) -> None:
        self._bytes += size_of(item.event)
        (self._wraps if item.event.kind == GIFT_WRAP else self._named).append(item)

    def _get(self) -> Arrival:
        is_wraps_turn = not self._named or self._taken_before_wraps >= WRAP_EVERY
        if self._wraps and is_wraps_turn:
            self._taken_before_wraps, taken = 0, self._wraps.popleft()
        else:
            self._taken_before_wraps, taken = self._taken_before_wraps + bool(self._wraps), self._named.popleft()
        self._bytes -= size_of(taken.event)
        return taken


def size_of(event: Event) -> int:
    """About how many bytes an event takes in memory."""
    return EVENT_BYTES + len(event.content) + sum(60 + len(item) for tag in event.tags for item in tag)
