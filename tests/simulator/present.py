"""The present: which world there is just now, for what is patched once for all of them.

What lives here: its relays and its chance. What does not: the patches (stage.py).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import NamedTuple

from tests.simulator.relay import Relay


class Present(NamedTuple):
    """What of a world the bot's own modules come upon."""

    relays: Mapping[str, Relay]
    rng: Random


_worlds: list[Present] = []


def present() -> Present:
    """The world there is."""
    return _worlds[-1]


@contextmanager
def taking_place(relays: Mapping[str, Relay], rng: Random) -> Iterator[None]:
    """A world is there within."""
    _worlds.append(Present(relays, rng))
    try:
        yield
    finally:
        _worlds.pop()
