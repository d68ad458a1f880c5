"""Rate limits: how much one key may ask of the bot before it must wait.

What lives here: a bucket of tokens per key, in whole tokens and whole seconds. What does not: what a token is for
(runtime/hearing.py, runtime/bookkeeper.py). faults.md row 46: one who floods is slowed down, everybody else is served
as before.
"""

from collections import OrderedDict

KEYS_MAX = 10_000  # buckets remembered; a key not heard for so long has a full one again


class TokenBucket:
    """A limit for each key: `burst` things at once, and then `tokens` more every `seconds`."""

    def __init__(self, *, burst: int, tokens: int, seconds: int) -> None:
        self._burst = burst
        self._tokens = tokens
        self._seconds = seconds
        self._buckets: OrderedDict[str, tuple[int, int]] = OrderedDict()  # key -> tokens left, as of which second

    def take(self, key: str, now: int, count: int = 1) -> bool:
        """Take this many tokens of a key at unix seconds `now`; False, and none is taken, if there are fewer.

        A clock that steps back gives none; time is counted on from there.
        """
        left, at = self._buckets.pop(key, (self._burst, now))
        at = min(at, now)
        periods = (now - at) // self._seconds
        left = min(self._burst, left + periods * self._tokens)
        at = now if left == self._burst else at + periods * self._seconds
        is_enough = left >= count
        self._buckets[key] = (left - count if is_enough else left, at)
        if len(self._buckets) > KEYS_MAX:
            self._buckets.popitem(last=False)
        return is_enough

    def give(self, key: str) -> None:
        """Give a key one token back; a full bucket stays as it is."""
        if key in self._buckets:
            left, at = self._buckets[key]
            self._buckets[key] = (min(self._burst, left + 1), at)

    def has_left(self, key: str) -> bool:
        """Return whether a key had a token left when it took its last one."""
        return key not in self._buckets or self._buckets[key][0] > 0
