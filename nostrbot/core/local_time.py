"""Local days and times: which day it is where an operator's machines stand.

What lives here: unix seconds -> local day and time of a time zone, and back. What does not: whose time zone
(core/book.py) and what is due when (core/atm/fixed.py). The tz database of the package `tzdata` decides, daylight
saving included: an auditor needs one that knows the same history. docs/protocol.md section 5; acceptance O12.
"""

from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, reset_tzpath

# From the package `tzdata` alone, which is pinned: what is sealed must not depend on the files of one host, where a
# zone may be missing, mean something else, or be there under a name of that host's (`localtime`, `posix/…`).
reset_tzpath(to=())

MINUTE_S = 60
HOUR_S = 60 * MINUTE_S
QUARTER_S = HOUR_S // 4  # every time zone there is begins its days on a quarter of an hour
DAY_S = 24 * HOUR_S  # of the clock; a local day may be an hour longer or shorter

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=256)
def _zone(tz: str) -> ZoneInfo:
    """Return a time zone, or UTC for an unknown one: its book is closed, but questions about it are answered."""
    return _found(tz) or _found("UTC") or ZoneInfo("UTC")


def _found(tz: str) -> ZoneInfo | None:
    try:
        return ZoneInfo.no_cache(tz)  # somebody may have had one of the host's before
    except (KeyError, ValueError, OSError):  # not there, no name of one, a folder of them
        return None


@lru_cache(maxsize=256)
def is_known_zone(tz: str) -> bool:
    """Whether this computer knows the days of a time zone. Without them nothing may be decided in a book."""
    return _found(tz) is not None


def local_time(tz: str, at: int) -> datetime:
    """Return the wall clock of a time zone at unix seconds `at`."""
    return datetime.fromtimestamp(at, UTC).astimezone(_zone(tz))


@lru_cache(maxsize=4096)
def _day_of_quarter(tz: str, quarter: int) -> str:
    return local_time(tz, quarter * QUARTER_S).date().isoformat()


def local_day(tz: str, at: int) -> str:
    """Return the local day, `YYYY-MM-DD`."""
    return _day_of_quarter(tz, at // QUARTER_S)


def days_before(day: str, days: int) -> str:
    """Return the day this many days before another, both `YYYY-MM-DD`."""
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()


def month_after(month: str) -> str:
    """Return the month after another, both `YYYY-MM`."""
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]), 12)
    return f"{year:04}-{number + 1:02}"


def local_minute(tz: str, at: int) -> str:
    """Return the local time of day, `HH:MM`."""
    return local_time(tz, at).strftime("%H:%M")


@lru_cache(maxsize=4096)
def moment_of(tz: str, day: str, time: str) -> int | None:
    """Return the unix seconds of a local time of day, `HH:MM`, on a local day; None if the calendar skips that day.

    A time that comes twice counts when it comes first. One that the clock skips counts at the first moment after it;
    where that is the next day's already, in the last minute before the gap.
    """
    wall = datetime.fromisoformat(f"{day}T{time}")
    at = _unix(wall, tz, fold=0)
    if _wall(tz, at) == wall:
        return at
    # In a gap fold 1 is what the clock before it would say turned back, fold 0 forth: it lies between the two.
    gap = range(_unix(wall, tz, fold=1), at)
    after = gap.start + bisect_left(gap, True, key=lambda moment: _wall(tz, moment) >= wall)
    for moment in (after, after - MINUTE_S):
        if local_day(tz, moment) == day:
            return moment
    return None


def _unix(wall: datetime, tz: str, *, fold: int) -> int:
    return (wall.replace(tzinfo=_zone(tz), fold=fold) - _EPOCH) // _SECOND


def _wall(tz: str, at: int) -> datetime:
    return local_time(tz, at).replace(tzinfo=None, fold=0)
