"""Local days and times: when a time of day comes, whatever the clocks do (acceptance O12, faults.md row 18)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.local_time import local_day, local_minute, moment_of

ZONES = (
    "UTC",
    "America/Guatemala",
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Nuuk",
    "Africa/Cairo",
    "Asia/Kathmandu",
)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("tz", "day", "time", "moment"),
    [
        ("UTC", "2026-05-05", "08:00", "2026-05-05T08:00:00"),
        ("Asia/Kathmandu", "2026-05-05", "00:00", "2026-05-04T18:15:00"),
        ("America/New_York", "2028-02-29", "12:00", "2028-02-29T17:00:00"),  # a leap day
        # Skipped: the first moment after the gap.
        ("America/New_York", "2026-03-08", "01:59", "2026-03-08T06:59:00"),
        ("America/New_York", "2026-03-08", "02:00", "2026-03-08T07:00:00"),
        ("America/New_York", "2026-03-08", "02:59", "2026-03-08T07:00:00"),
        ("America/New_York", "2026-03-08", "03:00", "2026-03-08T07:00:00"),
        ("Europe/Berlin", "2026-03-29", "02:30", "2026-03-29T01:00:00"),
        ("Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:30:00"),  # half an hour is skipped
        ("Africa/Cairo", "2026-04-24", "00:15", "2026-04-23T22:00:00"),  # the day begins at 01:00
        # Skipped until midnight: the last minute before the gap.
        ("America/Nuuk", "2026-03-28", "22:59", "2026-03-29T00:59:00"),
        ("America/Nuuk", "2026-03-28", "23:00", "2026-03-29T00:59:00"),
        ("America/Nuuk", "2026-03-28", "23:59", "2026-03-29T00:59:00"),
        # Twice: the first one.
        ("America/New_York", "2026-11-01", "01:30", "2026-11-01T05:30:00"),
        ("Europe/Berlin", "2026-10-25", "02:00", "2026-10-25T00:00:00"),
        ("Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04T14:45:00"),
        # A zone that moved across the date line left a day out.
        ("Pacific/Apia", "2011-12-29", "12:00", "2011-12-29T22:00:00"),
        ("Pacific/Apia", "2011-12-30", "12:00", None),
    ],
)
def test_when_a_local_time_comes(tz: str, day: str, time: str, moment: str | None) -> None:
    """Once a day, on that day, whatever the clocks do; never on a day that does not exist."""
    assert moment_of(tz, day, time) == (None if moment is None else utc(moment))


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.dates(date(2026, 1, 1), date(2036, 12, 31)), st.integers(0, 1439))
def test_a_moment_lies_on_its_day(tz: str, day: date, minute: int) -> None:
    """And the wall clock then says that time, but where it skips it."""
    time = f"{minute // 60:02}:{minute % 60:02}"
    moment = moment_of(tz, day.isoformat(), time)
    assert moment is not None
    assert local_day(tz, moment) == day.isoformat()
    said = local_minute(tz, moment)
    assert said == time or local_minute(tz, moment - 1) < time < said or said == "22:59"


@settings(deadline=None)
@given(
    st.sampled_from(ZONES), st.dates(date(2026, 1, 1), date(2036, 12, 31)), st.lists(st.integers(0, 1439), min_size=2)
)
def test_later_times_come_no_earlier(tz: str, day: date, minutes: list[int]) -> None:
    """Within the first pass of a day the order of times is the order of moments, and days follow one another."""
    times = [f"{minute // 60:02}:{minute % 60:02}" for minute in sorted(minutes)]
    moments = [moment_of(tz, day.isoformat(), time) for time in times]
    assert None not in moments
    first, last = moments[0], moments[-1]
    assert first is not None
    assert last is not None
    assert first <= last
    tomorrow = moment_of(tz, (day + timedelta(days=1)).isoformat(), "00:00")
    assert tomorrow is not None
    assert last < tomorrow
