"""Due work: what the clock asks for, book by book.

What lives here: when it is looked for, handing it in like any observation, and the checkpoint of the day. What does
not: what is due (core/engine.py), deciding it (bookkeeper.py beside this), signing (notary.py beside this).
"""

import asyncio
from collections.abc import Awaitable, Callable

from nostrbot.runtime.clock import ClockGuard
from nostrbot.runtime.inbox import Inbox
from nostrbot.runtime.notary import Notary
from nostrbot.runtime.outbox import Outbox
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.runtime.troubles import Work

CLOCK_S = 1.0  # how often due work is checked
CLOCK_TROUBLE_S = 30.0  # after what could not be committed: books were loaded again, which is work


class DueWork:
    """The source of due work. `run()` until it is cancelled."""

    def __init__(
        self,
        sequencer: Sequencer,
        notary: Notary,
        outbox: Outbox,
        *,
        inbox: Inbox,
        guard: ClockGuard,
        clock: Callable[[], int],
    ) -> None:
        """`clock`: unix seconds."""
        self._sequencer = sequencer
        self._notary = notary
        self._outbox = outbox
        self._inbox = inbox
        self._guard = guard
        self._clock = clock

    async def run(self, ready: Callable[[], Awaitable[object]]) -> None:
        """Look at the clock every second. First `ready`: a relay may say what time it is."""
        await ready()
        while True:
            if self._guard.is_believed(self._clock()) and not await self._take_turns():
                await asyncio.sleep(CLOCK_TROUBLE_S)
            await asyncio.sleep(CLOCK_S)

    async def _take_turns(self) -> bool:
        """Do what is due, a book at a time; False if the database cannot be written, so that nothing else can be
        done.

        Work that fails in one book is tried again later and later, and keeps no other book from its turn.
        """
        for key in list(self._sequencer.bookkeeper.live):
            is_resting = self._sequencer.is_resting(key, Work.TICK)
            if not is_resting and self._sequencer.bookkeeper.is_due(key, self._clock()):
                await self._inbox.hand_in(key, None)
        for key in self._notary.books_due(self._clock()):
            signing = asyncio.create_task(self._sign(key))
            try:
                is_signed = await asyncio.shield(signing)
            except asyncio.CancelledError:
                await signing
                raise
            if not is_signed and not self._sequencer.is_resting(key, Work.CHECKPOINT):
                return False
        return True

    async def _sign(self, key: str) -> bool:
        """Sign a book's checkpoint of the day and owe it at once, before any later commit is told of."""
        signed = await self._notary.sign_daily(key)
        if signed is not None:
            self._outbox.owe(signed, {})
        return signed is not None
