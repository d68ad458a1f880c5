"""The monitor: a bot's checkpoints, read from relays by somebody who trusts neither.

What lives here: asking every relay for itself, so that it shows which one keeps something back. What does not: what the
checkpoints prove (equivocation.py), words and files (cli/followers.py).
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress

from nostrbot.audit.equivocation import CheckpointLog, CheckpointSeen
from nostrbot.core.platform.succession import Succession
from nostrbot.nostr import kinds
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.keys import Keys
from nostrbot.relays.limits import Limits
from nostrbot.relays.pool import Pool
from nostrbot.relays.relay import RelayConfig
from nostrbot.relays.watch import Subscription

SEEN_MAX = 1_000  # taken in and not yet told, some 2 kB each


class Monitor:
    """A checkpoint log that is filled from relays. Use as `async with Monitor(log, urls) as monitor`."""

    def __init__(self, chronicle: CheckpointLog, urls: Sequence[str], limits: Limits | None = None) -> None:
        # A relay, and what it was first to show. While it is full, relays are not read.
        self.seen: asyncio.Queue[tuple[str, CheckpointSeen | Succession]] = asyncio.Queue(SEEN_MAX)
        self._chronicle = chronicle
        keys = Keys.from_secret(os.urandom(32))  # nobody's: for relays that want to be told a key (NIP-42)
        self._pools = {url: Pool([RelayConfig(url)], keys, limits=limits) for url in urls}
        self._readers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Monitor":
        self._subscribe()
        for url, pool in self._pools.items():
            await pool.start()
            self._readers.append(asyncio.create_task(self._read(url, pool)))
        return self

    async def __aexit__(self, *_: object) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await asyncio.gather(*(pool.stop() for pool in self._pools.values()))

    async def read_what_is_kept(self, timeout_s: float) -> list[str]:
        """Wait until the relays have given all they keep, while another takes from `seen`; returns those that did in
        time.
        """
        while True:
            bots = len(self._chronicle.bots)
            answers = await asyncio.gather(*(pool.wait_read(timeout_s) for pool in self._pools.values()))
            answered = [url for url, has_answered in zip(self._pools, answers, strict=True) if has_answered]
            with suppress(TimeoutError):  # one that goes on and on does not hold up the others
                async with asyncio.timeout(timeout_s):
                    await asyncio.gather(*(self._pools[url].inbox.join() for url in answered))
            if bots == len(self._chronicle.bots):
                return answered

    def _subscribe(self) -> None:
        """Ask for what the bot signed with any key it had, and for what is said of its keys."""
        bots = frozenset(self._chronicle.bots)
        signed = Filter(kinds={kinds.APP_DATA}, authors=bots)
        about = Filter(kinds={kinds.APP_DATA}, p_tags=bots)
        for pool in self._pools.values():
            pool.subscribe({"checkpoints": Subscription(filters=(signed, about), stored=True)})

    async def _read(self, url: str, pool: Pool) -> None:
        while True:
            event = (await pool.inbox.get()).event
            seen = self._chronicle.note(event, url)
            if isinstance(seen, Succession):
                self._subscribe()
            if seen is not None:
                await self.seen.put((url, seen))
            pool.inbox.task_done()
