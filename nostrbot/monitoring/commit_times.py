"""Commit times: how many commits there were, how long they took, how many failed.

What lives here: counting. What does not: committing (runtime/sequencer.py), telling (monitoring/status.py,
monitoring/exposition.py). Lengths are counted in classes, as Prometheus has its histograms, so what is kept does not
grow.
"""

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

# From a good disk's fsync to the patience of a database that somebody else holds.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class CommitTimes:
    """The commits since the start."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0
        self._failed_count = 0

    def add(self, took_s: float) -> None:
        """Count a commit that went well."""
        self._counts[bisect_left(BOUNDS_S, took_s)] += 1
        self._sum_s += took_s

    def add_failed(self) -> None:
        """Count a commit that failed: nothing of it was kept."""
        self._failed_count += 1

    def plain(self) -> dict[str, Any]:
        """Return the times as the bot tells them: `within` counts, for each bound in seconds, the faster commits;
        `count` all.
        """
        within = list(accumulate(self._counts))
        return {
            "count": within[-1],
            "failed": self._failed_count,
            "sum_s": round(self._sum_s, 6),
            "within": [list(pair) for pair in zip(BOUNDS_S, within[:-1], strict=True)],
        }


def took_at_most_s(commits: Mapping[str, Any], parts: int, whole: int) -> float | None:
    """Return the least bound that `parts` of `whole` of these commits kept to; None if there is none."""
    for bound_s, count in commits["within"]:
        if 0 < commits["count"] * parts <= count * whole:
            return float(bound_s)
    return None
