"""Conduct: how a relay behaves, and how long we stay away from one that does not.

What lives here: growing delays with jitter, and a score that fills with misbehaviour and leaks with time. Both are
given the time and the randomness. What does not: what counts as misbehaviour (session.py).
"""

from random import Random


class Backoff:
    """Delays that double from `min_s` to `max_s`; each is shortened by up to half, so that clients do not return in
    step.
    """

    __slots__ = ("_failures", "_max_s", "_min_s", "_rng")

    def __init__(self, rng: Random, min_s: float, max_s: float) -> None:
        self._rng = rng
        self._min_s = min_s
        self._max_s = max_s
        self._failures = 0

    def next_s(self) -> float:
        """Return the delay after one more failure, in seconds."""
        self._failures += 1
        return self.delay_s(self._failures)

    def delay_s(self, failures: int) -> float:
        """Return the delay after that many failures in a row (1 = the first), in seconds."""
        # The exponent is capped: 2.0**5000 is an OverflowError, and a relay may well be away for months.
        full_s = min(self._max_s, self._min_s * 2.0 ** min(failures - 1, 32))
        return full_s * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Forget the failures: it works again."""
        self._failures = 0


class Score:
    """A leaky bucket of misbehaviour."""

    __slots__ = ("_at", "_leak_per_s", "_level", "_max")

    def __init__(self, score_max: int, leak_per_s: int, now: float) -> None:
        self._max = score_max
        self._leak_per_s = leak_per_s
        self._level = 0.0
        self._at = now

    def add(self, points: int, now: float) -> None:
        """Count misbehaviour at `now` (monotonic seconds)."""
        leaked = (now - self._at) * self._leak_per_s
        self._level = max(0.0, self._level - leaked) + points
        self._at = now

    @property
    def is_full(self) -> bool:
        """Whether the connection to the relay must end."""
        return self._level > self._max
