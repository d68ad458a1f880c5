"""Counters: what a machine's own count of settlements tells of those that did not come.

What lives here: the newest number, the gaps before it, a count that strayed, and ending them. What does not: which
settlements are heard (core/evolution.py), `gap dismiss` (core/atm/gaps.py), what an operator is told
(messages/alerts.py). docs/protocol.md section 3.1; review A16. A counter starts again with each key of its machine.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from nostrbot.core.rules import SOUND

GAPS_KEPT = 50  # runs of missing numbers; a counter that jumps about more than that is broken
JUMP_MAX = 10_000  # no machine sells so often between two settlements that are heard
BACK_MAX = 100  # what comes so late was overtaken; what is further back is another count


@dataclass(slots=True)
class Gap:
    """Settlements `first`..`last` of a machine's counter that have not come, noticed `at` by number `by`.

    A number that comes later may part a gap: its parts have `by` in common.
    """

    first: int
    last: int
    at: int
    by: int

    def __str__(self) -> str:
        """Return the numbers that are missing: `42`, or `42-44`."""
        return f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(slots=True)
class Stray:
    """A count that no machine can have come to by selling: `first` was heard `at`, and went on to `newest`.

    It is asked about, not believed: the machine may have been reset, or may have said something false once.
    """

    first: int
    newest: int
    at: int
    gaps: list[Gap] = field(default_factory=list)


@dataclass(slots=True)
class Counter:
    """A machine's own counter of settlements, as far as it was heard. `newest` None: nothing heard yet."""

    newest: int | None = None
    gaps: list[Gap] = field(default_factory=list)
    stray: Stray | None = None

    @property
    def missing(self) -> list[Gap]:
        """All gaps, those of a stray count last."""
        return [*self.gaps, *(self.stray.gaps if self.stray else ())]

    def hear(self, n: int, at: int, rules: int) -> None:
        """Note one number. Counting begins at the first number heard; numbers before it were never ours."""
        if self.newest is None or n == self.newest + 1:
            self.newest, self.stray = n, None
        elif n > self.newest and (n - self.newest <= JUMP_MAX or rules < SOUND):
            _add(self.gaps, Gap(self.newest + 1, n - 1, at, n))
            self.newest, self.stray = n, None
        elif not _take_out(self.gaps, n, n) and rules >= SOUND:
            self._hear_stray(n, at, self.newest)

    def set_back(self, now: int) -> None:
        """Move what was noticed later than `now` to now: the clock had run ahead and was set right."""
        for gap in self.missing:
            gap.at = min(gap.at, now)
        if self.stray is not None:
            self.stray.at = min(self.stray.at, now)

    def _hear_stray(self, n: int, at: int, newest: int) -> None:
        stray = self.stray
        if stray is not None and stray.first <= n <= stray.newest + JUMP_MAX:
            if n > stray.newest + 1:
                _add(stray.gaps, Gap(stray.newest + 1, n - 1, at, n))
            _take_out(stray.gaps, n, n)
            stray.newest = max(stray.newest, n)
        elif n > newest or n < newest - BACK_MAX:
            # As old as the first: one that strays again and again is told all the same.
            self.stray = Stray(n, n, stray.at if stray else at)

    def dismiss(self, runs: Iterable[tuple[int, int]], newest: int | None, *, is_over: bool) -> None:
        """Stop waiting for these numbers; `is_over`: counting goes on from `newest`, or from the next number heard."""
        for first, last in runs:
            for gaps in (self.gaps, self.stray.gaps if self.stray else []):
                _take_out(gaps, first, last)
        if is_over:
            self.newest, self.stray = newest, None


def _add(gaps: list[Gap], gap: Gap) -> None:
    gaps.append(gap)
    del gaps[:-GAPS_KEPT]


def _take_out(gaps: list[Gap], first: int, last: int) -> bool:
    """Take numbers out of gaps, which may part them; returns whether any was missing."""
    left = list[Gap]()
    for gap in gaps:
        if gap.last < first or last < gap.first:
            left.append(gap)
            continue
        parts = (Gap(gap.first, first - 1, gap.at, gap.by), Gap(last + 1, gap.last, gap.at, gap.by))
        left += [part for part in parts if part.first <= part.last]
    is_changed = left != gaps
    gaps[:] = left[-GAPS_KEPT:]
    return is_changed
