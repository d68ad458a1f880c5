"""The other side of the wire: one command as a person sends it, one settlement as a machine does.

What lives here: asking and waiting, for `nostrbot dm` and `nostrbot machine settle`. What does not: the bot.
"""

import asyncio
import time

from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope, Scheme
from nostrbot.refusals import Refusal
from nostrbot.relays.pool import Pool
from nostrbot.relays.relay import RelayConfig
from nostrbot.relays.watch import Subscription

REPEAT_S = 3.0  # how often a machine says it again until it has its ack


class Client:
    """Somebody who talks with a bot over relays. Use as `async with Client(keys, bot, urls) as client`."""

    def __init__(self, keys: Keys, bot: str, urls: list[str]) -> None:
        self._keys = keys
        self._bot = bot
        self._envelope = Envelope(keys)
        self._pool = Pool([RelayConfig(url) for url in urls], keys)

    async def __aenter__(self) -> "Client":
        await self._pool.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.stop()

    async def ask(self, command: str, *, scheme: Scheme, timeout_s: float) -> str | None:
        """Send a command and wait for its answer; None when nobody answered in time."""
        return await self._talk(kinds.DIRECT_MESSAGE, command, scheme, timeout_s)

    async def settle(self, payload: str, *, scheme: Scheme, timeout_s: float) -> str | None:
        """Publish a settlement again and again until its ack is there; None when none came in time."""
        return await self._talk(kinds.SETTLEMENT, payload, scheme, timeout_s)

    async def _talk(self, kind: int, text: str, scheme: Scheme, timeout_s: float) -> str | None:
        now = int(time.time())
        # The nonce need only differ from message to message: the clock's nanoseconds do.
        seed = time.time_ns().to_bytes(8, "big")
        content = self._envelope.seal_to(self._bot, text, scheme, seed)
        event = sign_event(self._keys, kind=kind, tags=[["p", self._bot]], content=content, created_at=now)
        answers = Filter(kinds={kind}, authors={self._bot}, p_tags={self._keys.pubkey})
        stored = not kinds.is_ephemeral(kind)
        self._pool.subscribe({"answers": Subscription(filters=(answers,), stored=stored, since=now, overlap_s=60)})
        try:
            async with asyncio.timeout(timeout_s):
                await self._pool.wait_subscribed(timeout_s)
                saying = asyncio.create_task(self._say(event, repeat=not stored))
                try:
                    return await self._hear(event)
                finally:
                    saying.cancel()
                    await asyncio.gather(saying, return_exceptions=True)
        except TimeoutError:
            return None

    async def _say(self, event: VerifiedEvent, *, repeat: bool) -> None:
        await self._pool.publish(event)
        while repeat:
            await asyncio.sleep(REPEAT_S)
            await self._pool.publish(event)

    async def _hear(self, event: VerifiedEvent) -> str:
        while True:
            answer = (await self._pool.inbox.get()).event
            if answer.tag_value("e") != event.id:
                continue
            opened = self._envelope.open_from(self._bot, answer.content)
            if not isinstance(opened, Refusal):
                return opened[0]
