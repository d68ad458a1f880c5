"""The inbox: what arrived from all relays and waits to be decided.

What lives here: how much may wait, in number and in bytes, and what goes first. What does not: deciding (the bot), and
what happens when it is full (session.py stops reading).

Anybody may send the bot gift wraps, under a new name each, and only opening one tells whose it is. So they stand behind
what names its author, and a flood of them keeps no sale waiting; one in a few is taken all the same. The bot's own
observations stand before them, and one in a few is taken of the others.
"""

import asyncio
from collections import deque
from enum import Enum, auto
from typing import Final, Generic, Protocol, TypeVar

from nostrbot.nostr.event import Event


class Lane(Enum):
    """The lanes of the inbox."""

    OBSERVED = auto()  # by the bot itself
    NAMED = auto()  # it names its author
    WRAPPED = auto()  # anybody may have made it


class Waits(Protocol):
    """Anything that may wait in the inbox."""

    @property
    def lane(self) -> Lane:
        """The lane it waits in."""

    @property
    def size_bytes(self) -> int:
        """About how many bytes it takes in memory."""


# The number taken before a waiting one of the next lane has its turn.
WRAP_EVERY: Final = 8
OBSERVED_AT_ONCE: Final = 2
EVENT_BYTES: Final = 1_000  # what an event takes beside its texts

Item = TypeVar("Item", bound=Waits)


class ArrivalQueue(asyncio.Queue[Item], Generic[Item]):
    """A queue in three lanes, each oldest first."""

    def __init__(self, items_max: int, bytes_max: int) -> None:
        super().__init__(items_max)
        self._bytes_max = bytes_max
        self._bytes = 0
        self._lanes: dict[Lane, deque[Item]] = {lane: deque() for lane in Lane}
        self._taken_before_wraps = 0
        self._taken_before_others = 0

    def qsize(self) -> int:
        """Return how many events wait."""
        return sum(map(len, self._lanes.values()))

    def empty(self) -> bool:
        """Whether none waits."""
        return not any(self._lanes.values())

    def full(self) -> bool:
        """Whether there is no room for one more."""
        return super().full() or self._bytes >= self._bytes_max

    def _put(self, item: Item) -> None:
        self._bytes += item.size_bytes
        self._lanes[item.lane].append(item)

    def _get(self) -> Item:
        taken = self._next_lane().popleft()
        self._bytes -= taken.size_bytes
        return taken

    def _next_lane(self) -> deque[Item]:
        observed, named, wrapped = (self._lanes[lane] for lane in Lane)
        if observed and not ((named or wrapped) and self._taken_before_others >= OBSERVED_AT_ONCE):
            self._taken_before_others += 1
            return observed
        self._taken_before_others = 0
        if wrapped and (not named or self._taken_before_wraps >= WRAP_EVERY):
            self._taken_before_wraps = 0
            return wrapped
        self._taken_before_wraps += bool(wrapped)
        return named


def size_of(event: Event) -> int:
    """About how many bytes an event takes in memory."""
    return EVENT_BYTES + len(event.content) + sum(60 + len(item) for tag in event.tags for item in tag)
