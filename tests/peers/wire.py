"""One raw websocket to a relay: what somebody says there, and what the bot answers them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect

from tests.signers import DIRECT_MESSAGE, SETTLEMENT, Plain, Signer

PATIENCE_S = 10.0


class Wire:
    """Publishes and listens. `heard`: everything the bot sent to the signers listened for, in order of arrival."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._oks: dict[str, list[object]] = {}
        self._news = asyncio.Condition()
        self.heard: list[Plain] = []

    async def publish(self, *events: Plain) -> None:
        """Publish and wait until the relay has them."""
        for event in events:
            await self._socket.send(json.dumps(["EVENT", event]))
        await self._until(lambda: all(event["id"] in self._oks for event in events))
        for event in events:
            assert self._oks.pop(event["id"])[0] is True

    async def answer_to(self, event: Plain) -> Plain:
        """The bot's next event about this one; it is then taken from `heard`."""

        def find() -> Plain | None:
            return next((one for one in self.heard if ["e", event["id"]] in one["tags"]), None)

        await self._until(lambda: find() is not None)
        found = find()
        assert found is not None
        self.heard.remove(found)
        return found

    async def ask(self, who: Signer, event: Plain) -> str:
        """Publish a command and read the answer."""
        await self.publish(event)
        return who.read(await self.answer_to(event))

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with self._news, asyncio.timeout(PATIENCE_S):
            await self._news.wait_for(condition)

    async def listen(self) -> None:
        """Take in what the relay says, for ever."""
        async for frame in self._socket:
            word, *rest = json.loads(frame)
            async with self._news:
                if word == "OK":
                    self._oks[rest[0]] = rest[1:]
                elif word == "EVENT":
                    self.heard.append(rest[1])
                self._news.notify_all()


@asynccontextmanager
async def wire(url: str, bot: str, *listeners: Signer) -> AsyncIterator[Wire]:
    """A connection that listens for what the bot sends to these signers."""
    async with connect(url, close_timeout=0.5) as socket:
        line = Wire(socket)
        to = [signer.pubkey for signer in listeners]
        wanted = {"kinds": [DIRECT_MESSAGE, SETTLEMENT], "authors": [bot], "#p": to}
        await socket.send(json.dumps(["REQ", "mine", wanted]))
        listening = asyncio.create_task(line.listen())
        try:
            yield line
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
