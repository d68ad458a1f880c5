"""Steadiness: whether the computer's clock can be trusted to say what is due.

What lives here: comparing the wall clock with the one that only ever runs on. What does not: the clocks themselves
(bot.py). faults.md row 17. A wall clock that leaps is often set right again within a minute; what was paid meanwhile, and
dated, could not be taken back.
"""

LEAP_S = 5  # more than any correction of a clock that is kept in time
STEADY_AFTER_S = 60.0


class Steadiness:
    """Told both clocks again and again, it says whether the wall clock has not leapt for a minute."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None
        self._leapt_at: float | None = None

    def is_steady(self, wall: int, running: float) -> bool:
        """`wall`: unix seconds; `running`: seconds of a clock that never leaps. The first look finds it steady."""
        if self._last is not None:
            last_wall, last_running = self._last
            if abs((wall - last_wall) - (running - last_running)) > LEAP_S:
                self._leapt_at = running
        self._last = (wall, running)
        return self._leapt_at is None or running - self._leapt_at >= STEADY_AFTER_S
