"""Presence: how the bot is found by others, and where it takes messages to.

What lives here: publishing the bot's profile and relay lists, asking for what it wants to hear of, and noting where
people read. What does not: what is asked for (subscriptions.py beside this), whose lists say what, and going there
(relays/recipients/).
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from loguru import logger
from sqlalchemy.exc import DBAPIError

from nostrbot.core.directory import Directory
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.keys import Keys
from nostrbot.relays.pool import Pool
from nostrbot.relays.recipients.courier import Courier
from nostrbot.relays.recipients.relay_lists import LISTS, RelayLists, digest_of, own_announcements
from nostrbot.relays.relay import RelayConfig
from nostrbot.runtime.subscriptions import wanted_subscriptions
from nostrbot.store.queries import Queries


class Presence:
    """The bot's profile and relay lists, and the relay lists of others."""

    def __init__(
        self, keys: Keys, pool: Pool, courier: Courier | None, clock: Callable[[], int], relays: Sequence[RelayConfig]
    ) -> None:
        """`courier`: who carries messages to relays that people chose, if that is wanted; `clock`: unix seconds."""
        self._keys = keys
        self._pool = pool
        self._courier = courier
        self._clock = clock
        self._relays = relays
        self._announcements = RelayLists(relays)

    def subscribe(self, directory: Directory) -> None:
        """Ask for what is wanted of those who are enrolled now."""
        people = directory.people if self._courier is not None else ()
        self._pool.subscribe(
            wanted_subscriptions(self._keys.pubkey, machines=directory.machines, people=people, now=self._clock())
        )

    def note_list(self, event: VerifiedEvent) -> bool:
        """Note where people read; False for an event that does not say. It has no other effect."""
        if event.kind not in LISTS:
            return False
        self._announcements.note(event)
        return True

    def carry(self, message: VerifiedEvent) -> None:
        """Take a message that goes to our write relays to its recipient's relays, too."""
        if self._courier is not None:
            self._courier.deliver(message, self._announcements.urls_for(message))

    async def announce(self, queries: Queries) -> None:
        """Publish our profile and relay lists unless they are what relays accepted last."""
        last = None
        with contextlib.suppress(DBAPIError):
            last = await queries.runtime("announced")
        # Relays may keep the older of two lists of one second.
        at = self._clock() if last is None else max(self._clock(), last["at"] + 1)
        announced = own_announcements(self._keys, self._relays, at)
        digest = digest_of(announced, self._relays)
        if last is None or last["digest"] != digest:
            await asyncio.gather(*(self._pool.publish(event, is_vital=False) for event in announced))
            logger.info("relays have our profile and our relay lists")
            with contextlib.suppress(DBAPIError):  # not noted: published again at the next start
                await queries.tell("announced", {"digest": digest, "at": at})
