"""Zones: the names of time zones that an operator may have.

What lives here: the names in the package `tzdata`, which every bot and every auditor reads. What does not: the days of
a zone (core/local_time.py). Names of one host (`localtime`, `posixrules`, `right/…`) are none.
"""

from functools import cache
from importlib.resources import files

PLACEHOLDERS = {"Factory"}  # in the list for computers that were never told where they are


@cache
def zone_names() -> frozenset[str]:
    """Return every name of a zone, also links from older names."""
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(listed) - PLACEHOLDERS
