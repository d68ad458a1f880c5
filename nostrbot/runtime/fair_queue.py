"""The fair queue: what waits for its turn by key, and how much work each key has had.

What lives here: whose turn it is. What does not: what the work is (runtime/answers.py). Keys take turns, one thing at a
time each. Work is time that was taken, not a number of things: a key that had its share waits, and the others go on.
"""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

WAITING_MAX = 10_000  # of all keys
WAITING_PER_KEY_MAX = 100
WORK_AT_ONCE_S = 2.0  # of one key; then a quarter of the time
SHARE = 0.25
DEBT_MAX_S = 10.0  # one thing that took very long is not held against its key for longer
KEYS_REMEMBERED = 10_000

Thing = TypeVar("Thing")


class FairQueue(Generic[Thing]):
    """Things by key, oldest first, round robin. Times are seconds of one clock that only goes forward."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Thing]] = OrderedDict()  # keys in the order in which it is their turn
        self._count = 0
        self._busy: set[str] = set()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> work it may have, as of when

    def __len__(self) -> int:
        return self._count

    def put(self, key: str, thing: Thing) -> bool:
        """Let something wait; False if too much waits already, of this key or of all."""
        of_key = self._waiting.get(key, ())
        if len(of_key) >= WAITING_PER_KEY_MAX or self._count >= WAITING_MAX:
            return False
        self._waiting.setdefault(key, deque()).append(thing)
        self._count += 1
        return True

    def take(self, now: float) -> tuple[str, Thing] | None:
        """Take the next item and its key, which gets no other until done(); None if no key may have its turn."""
        for key, things in self._waiting.items():
            if key not in self._busy and self._work_left(key, now) > 0:
                thing = things.popleft()
                self._count -= 1
                self._busy.add(key)
                self._waiting.move_to_end(key)
                if not things:
                    del self._waiting[key]
                return key, thing
        return None

    def done(self, key: str, work_s: float, now: float) -> None:
        """Say that a thing of a key's is done, and how long it took."""
        self._busy.discard(key)
        self._left[key] = (max(self._work_left(key, now) - work_s, -DEBT_MAX_S), now)
        self._left.move_to_end(key)
        if len(self._left) > KEYS_REMEMBERED:
            self._left.popitem(last=False)

    def rest_s(self, now: float) -> float | None:
        """Return the seconds until a key that waits only for its share may have its turn; None if none will."""
        rests = [-self._work_left(key, now) / SHARE for key in self._waiting if key not in self._busy]
        return max(min(rests), 0.0) if rests else None

    def _work_left(self, key: str, now: float) -> float:
        left, at = self._left.get(key, (WORK_AT_ONCE_S, now))
        return min(WORK_AT_ONCE_S, left + (now - at) * SHARE)
