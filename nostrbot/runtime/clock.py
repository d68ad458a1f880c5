"""The clock: whether the computer's clock can be trusted to decide by it.

What lives here: comparing the wall clock with the one that only ever runs on, before each turn, and with what relays
say the time is. What does not: the clocks themselves, what is due by them (due.py beside this), and whose dates these
are (relays/). faults.md rows 17, A2. A wall clock that leaps is often set right again within a minute; what was paid
meanwhile, and dated, could not be taken back.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from loguru import logger

from nostrbot.relays.relay import RelayHealth

LEAP_S = 5  # more than any correction of a clock that is kept in time
STEADY_AFTER_S = 60.0
OFF_MAX_S = 15 * 60  # more than this, and commands would be refused for their age by a clock that is right


class _Held(NamedTuple):
    """The wall clock's lead over the running clock: how much, since when believed, and when last so."""

    offset: float
    since: float
    until: float


class Steadiness:
    """The judge of the wall clock: told both clocks again and again, it says whether to believe it.

    The wall clock is ahead of the running one by an offset. After a leap the new offset is believed once it has held
    for a minute. It is believed at once if it is the offset before the leap, or the one believed for the longest time.
    """

    def __init__(self) -> None:
        self._held: _Held | None = None
        self._longest: _Held | None = None
        self._leapt: tuple[float, float] | None = None  # the new offset, and since when by the running clock

    def is_steady(self, wall: int, running: float) -> bool:
        """`wall`: unix seconds; `running`: seconds of a clock that never leaps. The first look finds it steady."""
        offset, held = wall - running, self._held
        if held is not None and abs(offset - held.offset) <= LEAP_S:
            self._held, self._leapt = _Held(offset, held.since, running), None
            return True
        if held is not None and not self._is_back(offset):
            if self._leapt is None or abs(offset - self._leapt[0]) > LEAP_S:
                self._leapt = (offset, running)
            since = self._leapt[1]
            self._leapt = (offset, since)
            if running - since < STEADY_AFTER_S:
                return False
        self._longest = max(filter(None, (self._longest, held)), key=lambda one: one.until - one.since, default=None)
        self._held, self._leapt = _Held(offset, running, running), None
        return True

    def _is_back(self, offset: float) -> bool:
        return self._longest is not None and abs(offset - self._longest.offset) <= LEAP_S


def agreed_error_s(errors: Sequence[int]) -> int | None:
    """Return the wall clock's lead (negative: lag), if a majority agrees that it is off; else None.

    `errors`: what that is by each relay that says the time. One that lies among several decides nothing. A relay that
    is the only one is believed: it could withhold everything anyway, and a false date is worse than a pause.
    """
    off = [error for error in errors if abs(error) > OFF_MAX_S]
    agreeing = max(([one for one in off if abs(one - error) <= OFF_MAX_S] for error in off), key=len, default=[])
    if 2 * len(agreeing) <= len(errors):
        return None
    return sorted(agreeing)[len(agreeing) // 2]


class ClockGuard:
    """The judge of the computer's clock, by the running clock and by relays' dates."""

    def __init__(self, health: Callable[[], Sequence[RelayHealth]], *, asks_relays: bool = True) -> None:
        """`health`: how relays are just now; `asks_relays`: whether their dates count."""
        self._health = health
        self._asks_relays = asks_relays
        self._steadiness = Steadiness()
        self.trouble: str | None = None  # why nothing is decided by the clock just now
        self._told = ""  # which of its troubles the log was told

    def is_believed(self, now: int) -> bool:
        """Return whether `now` (unix seconds) is the time, as far as the running clock and the relays can tell."""
        running = asyncio.get_running_loop().time()
        kind, trouble = "", None
        if not self._steadiness.is_steady(now, running):
            kind = "leap"
            trouble = "the clock leapt: nothing is decided until it is back, or has been steady for a minute"
        elif self._asks_relays:
            said = [relay.ahead_s for relay in self._health() if relay.connected and relay.ahead_s is not None]
            error_s = agreed_error_s([int(now - (running + ahead_s)) for ahead_s in said])
            if error_s is not None:
                kind, way = "relays", "ahead" if error_s > 0 else "behind"
                trouble = (
                    f"the clock is {abs(error_s)} s {way} of most relays' dates: nothing is decided until they agree;"
                    " set it right, or insist with `nostrbot run --trust-clock`"
                )
        if trouble is not None and kind != self._told:
            logger.error("{}", trouble)
        self._told, self.trouble = kind, trouble
        return trouble is None
