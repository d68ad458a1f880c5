"""The inbox: everything that waits to be decided, in one bounded queue that the runtime owns.

What lives here: what an observation is on its way, beside arrivals from relays. What does not: how much may wait, and
what goes first (relays/inbox.py), deciding (bookkeeper.py beside this).

An event that cannot be decided is set aside: its author repeats it. Nobody repeats an observation, so its source keeps
it until an entry holds it, and waits here for the word that one does.
"""

import asyncio
from typing import Any

from nostrbot.core.inputs import Observed
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.relays.dedupe import Arrival
from nostrbot.relays.inbox import ArrivalQueue, Lane


class Handed:
    """An observation that was handed in for a book. `seen` None: a look at the clock.

    `held` becomes True once an entry holds it, or an earlier entry does already. It becomes False if the observation
    could not be decided: its source has to keep it.
    """

    lane = Lane.OBSERVED
    size_bytes = 1_000

    def __init__(self, book: str, seen: Observed | None) -> None:
        self.book = book
        self.seen = seen
        self.held: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def tell(self, *, is_held: bool) -> None:
        """Tell the source what became of it."""
        if not self.held.done():
            self.held.set_result(is_held)


# What a turn decides, in order.
Item = VerifiedEvent | Handed


class Inbox(ArrivalQueue[Any]):
    """Arrivals from relays, and observations."""

    async def hand_in(self, book: str, seen: Observed | None) -> bool:
        """Wait until an entry holds an observation; False if it could not be decided. Cancelled, it may be held all
        the same.
        """
        handed = Handed(book, seen)
        await self.put(handed)
        return await handed.held


def items_of(waiting: list[Arrival | Handed]) -> list[Item]:
    """Return the items that a turn decides."""
    return [one.event if isinstance(one, Arrival) else one for one in waiting]
