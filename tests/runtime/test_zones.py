"""Zones: names of the tz database proper, and books whose zone is not known here (review row F4)."""

import os
import zoneinfo
from datetime import UTC, datetime

import pytest

from nostrbot.core.local_time import is_known_zone, local_day, local_time
from nostrbot.runtime.zones import zone_names


@pytest.mark.parametrize(
    "name", ["UTC", "America/Guatemala", "Asia/Kolkata", "US/Eastern", "Etc/GMT+5", "Europe/Kyiv", "Europe/Kiev"]
)
def test_f4_zones_and_their_older_names(name: str) -> None:
    """Links are names as well."""
    assert name in zone_names()


@pytest.mark.parametrize(
    "name",
    ["Factory", "localtime", "posixrules", "right/UTC", "posix/UTC", "america/guatemala", "Europe/BERLIN", "America", "leapseconds",
     "tzdata.zi", "zone.tab", "../UTC", "/etc/localtime", "", "UTC ", "Mars/Olympus", "+03"],
)  # fmt: skip
def test_f4_what_is_no_zone_everywhere(name: str) -> None:
    """Placeholders, names of one host, other cases, files and folders."""
    assert name not in zone_names()


def test_f4_zones_are_read_from_the_package_and_from_no_host() -> None:
    """Each listed zone is there, whatever the system has or lacks."""
    assert zoneinfo.TZPATH == ()
    assert [name for name in sorted(zone_names()) if not is_known_zone(name)] == []
    if os.path.exists("/usr/share/zoneinfo/localtime"):  # noqa: PTH110 - the host's, only if it is there
        assert not is_known_zone("localtime")


@pytest.mark.parametrize("name", ["Mars/Olympus", "right/UTC", "America", "../UTC", "", "x" * 300, "a\0b"])
def test_f4_a_zone_that_is_not_known_raises_nowhere(name: str) -> None:
    """Its book is closed; what is shown of it is in UTC."""
    assert not is_known_zone(name)
    assert local_day(name, 86_399) == "1970-01-01"
    assert local_time(name, 0) == datetime(1970, 1, 1, tzinfo=UTC)
