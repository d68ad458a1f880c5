"""A machine as protocol.md asks for: it says each sale again until it has its ack. Raw websockets and nostr-sdk only."""

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.signers import SETTLEMENT, Plain, Signer

AT_ONCE = 3  # sales in the air: a machine has few customers at a time
AGAIN_AFTER_S = 0.6


@dataclass
class _Sale:
    payload: Plain
    event: Plain
    told: int = 0
    told_at: float = 0.0


@dataclass
class ResendingMachine:
    """Give it sales with sell(); run() ends when it is cancelled. `acks`: every ack heard, by payment hash."""

    signer: Signer
    bot: str
    url: str
    acks: dict[str, list[Plain]] = field(default_factory=dict)
    _waiting: deque[Plain] = field(default_factory=deque)
    _open: dict[str, _Sale] = field(default_factory=dict)

    def sell(self, *payloads: Plain) -> None:
        """Sales to be told to the bot."""
        self._waiting.extend(payloads)

    @property
    def is_done(self) -> bool:
        """Whether every sale has its ack."""
        return not self._waiting and not self._open

    async def run(self) -> None:
        """Tell the bot, and listen."""
        async with connect(self.url, ping_interval=None) as socket:
            wanted = {"kinds": [SETTLEMENT], "authors": [self.bot], "#p": [self.signer.pubkey]}
            await socket.send(json.dumps(["REQ", "acks", wanted]))
            while True:
                await self._tell(socket)
                try:
                    async with asyncio.timeout(0.05):
                        self._hear(json.loads(await socket.recv()))
                except TimeoutError:
                    continue

    async def _tell(self, socket: ClientConnection) -> None:
        while self._waiting and len(self._open) < AT_ONCE:
            payload = self._waiting.popleft()
            self._open[payload["payment_hash"]] = _Sale(payload, self._report(payload))
        for sale in self._open.values():
            if time.monotonic() - sale.told_at < AGAIN_AFTER_S:
                continue
            if sale.told and sale.told % 3 == 0:
                sale.event = self._report(sale.payload)  # a fresh event with the same sale, as a machine may
            sale.told, sale.told_at = sale.told + 1, time.monotonic()
            await socket.send(json.dumps(["EVENT", sale.event]))

    def _report(self, payload: Plain) -> Plain:
        return self.signer.report(payload, to=self.bot, at=int(time.time()))

    def _hear(self, frame: list[Any]) -> None:
        if frame[0] != "EVENT":
            return
        ack = json.loads(self.signer.read(frame[2]))
        self.acks.setdefault(ack["payment_hash"], []).append(ack)
        self._open.pop(ack["payment_hash"], None)
