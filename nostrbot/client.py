"""The other side of the wire: one command as a person sends it, one settlement as a machine does.

What lives here: asking and waiting, for `nostrbot dm` and `nostrbot machine settle`. What does not: the bot.
"""

import asyncio
import time

from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, event_id, sign_event
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.giftwrap import BACKDATED_MAX_S, make_wrap, open_seal, open_wrap
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
        """Send a command and wait for its answer; None if nobody answered in time."""
        now = int(time.time())
        if scheme is not Scheme.NIP17:
            return await self._talk(self._sealed(kinds.DIRECT_MESSAGE, command, scheme, now), timeout_s)
        name = time.time_ns().to_bytes(8, "big")
        wrap = make_wrap(self._keys, self._envelope, to=self._bot, text=command, at=now, name=name)
        rumor_id = event_id(self._keys.pubkey, now, kinds.CHAT_MESSAGE, [["p", self._bot]], command)
        return await self._talk(wrap, timeout_s, rumor_id=rumor_id)

    async def settle(self, payload: str, *, scheme: Scheme, timeout_s: float) -> str | None:
        """Publish a settlement again and again until its ack arrives; None if none came in time."""
        return await self._talk(self._sealed(kinds.SETTLEMENT, payload, scheme, int(time.time())), timeout_s)

    def _sealed(self, kind: int, text: str, scheme: Scheme, now: int) -> VerifiedEvent:
        # The nonce need only differ from message to message: the clock's nanoseconds do.
        content = self._envelope.seal_to(self._bot, text, scheme, time.time_ns().to_bytes(8, "big"))
        return sign_event(self._keys, kind=kind, tags=[["p", self._bot]], content=content, created_at=now)

    async def _talk(self, event: VerifiedEvent, timeout_s: float, *, rumor_id: str | None = None) -> str | None:
        """Say it and wait for the answer that names it: the event, or the message in the gift wrap."""
        # The author of a gift wrap is a key nobody knows.
        authors = None if rumor_id else {self._bot}
        answers = Filter(kinds={event.kind}, authors=authors, p_tags={self._keys.pubkey})
        stored = not kinds.is_ephemeral(event.kind)
        since, overlap_s = int(time.time()), 60
        if rumor_id:
            since, overlap_s = since - BACKDATED_MAX_S, BACKDATED_MAX_S
        self._pool.subscribe(
            {"answers": Subscription(filters=(answers,), stored=stored, since=since, overlap_s=overlap_s)}
        )
        try:
            async with asyncio.timeout(timeout_s):
                await self._pool.wait_subscribed(timeout_s)
                saying = asyncio.create_task(self._say(event, repeat=not stored))
                try:
                    return await self._hear(rumor_id or event.id)
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

    async def _hear(self, asked_id: str) -> str:
        while True:
            answer = (await self._pool.inbox.get()).event
            said = self._open_wrap(answer) if answer.kind == kinds.GIFT_WRAP else self._open(answer)
            if said is not None and said[0] == asked_id:
                return said[1]

    def _open(self, answer: VerifiedEvent) -> tuple[str | None, str] | None:
        """Return which event an answer is about, and its text; None if it cannot be read."""
        opened = self._envelope.open_from(self._bot, answer.content)
        return None if isinstance(opened, Refusal) else (answer.tag_value("e"), opened[0])

    def _open_wrap(self, answer: VerifiedEvent) -> tuple[str | None, str] | None:
        seal = open_wrap(self._envelope, answer)
        if isinstance(seal, Refusal) or seal.pubkey != self._bot:
            return None
        opened = open_seal(self._envelope, seal)
        if isinstance(opened, Refusal):
            return None
        _, rumor = opened
        return next((tag[1] for tag in rumor.tags if tag[0] == "e"), None), rumor.content
