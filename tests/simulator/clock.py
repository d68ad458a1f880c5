"""Time that does not pass by itself: an event loop that leaps to the next moment at which something is due.

What lives here: the loop, and the wall clock over it, which people and thieves may set. What does not: what happens when.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class _NobodyCalls(selectors.SelectSelector):
    """There are no sockets here, so waiting for one is only time that goes by."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing is due, and nobody will ever call"
        self.passed_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time() is how much was slept, and whose sleeps take no time."""

    def __init__(self) -> None:
        self._nobody = _NobodyCalls()
        super().__init__(self._nobody)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._nobody.passed_s

    def run_in_executor(self, _executor: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        """There are no threads either: what would be done in one is done at once."""
        done = self.create_future()
        try:
            done.set_result(function(*arguments))
        except BaseException as error:  # noqa: BLE001 - it is for whoever waits
            done.set_exception(error)
        return done


class WallClock:
    """What a computer believes the time to be, unix seconds: it runs with the loop, and `leap` sets it."""

    def __init__(self, loop: VirtualLoop, at: int) -> None:
        self._loop = loop
        self._offset = at

    def __call__(self) -> int:
        return self._offset + int(self._loop.time())

    def leap(self, by_s: int) -> None:
        """Set it ahead, or back."""
        self._offset += by_s
