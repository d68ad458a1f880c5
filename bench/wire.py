"""The client's end of a websocket, and the processes at the other end.

What lives here: sending, noting what comes and when, starting a Python process that says when it is ready. What does not:
what is sent and what it means (end_to_end.py, questions.py).
"""

import asyncio
import math
import re
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from bench.frames import FrameReader, Opcode, write_frame

# Generous: they end a benchmark that hangs, on any machine, and measure nothing.
START_MAX_S = 300.0
ROUND_MAX_S = 900.0

_EVENT_ID = re.compile(rb'"id":"([0-9a-f]{64})"')


class Wire(asyncio.Protocol):
    """The client's end of a websocket: keeps each message with its time and reads none, to leave the core to the bot."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, bytes]] = []
        self.opened = asyncio.get_running_loop().create_future()
        self._frames = FrameReader()
        self._watched, self._left, self._reached = b"", 0, asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        """Ask for a websocket."""
        self._transport = transport
        key = b64encode(bytes(16)).decode()
        transport.write(
            b"GET / HTTP/1.1\r\nHost: loopback\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % key.encode()
        )

    def data_received(self, data: bytes) -> None:
        """Note messages with the time they came."""
        if not self.opened.done():
            self.opened.set_result(None)  # the relay says nothing after its handshake until it is asked
            return
        now = perf_counter()
        for opcode, payload in self._frames.feed(data):
            if opcode == Opcode.TEXT:
                self.messages.append((now, payload))
                if payload.startswith(self._watched):
                    self._left -= 1
        if self._left <= 0:
            self._reached.set()

    def send(self, *messages: str) -> None:
        """Send messages in one write."""
        self._transport.write(b"".join(write_frame(message.encode(), masked=True) for message in messages))

    def watch(self, prefix: bytes, count: int) -> asyncio.Event:
        """An event set once `count` more messages came that begin with `prefix`."""
        self._watched, self._left, self._reached = prefix, count, asyncio.Event()
        return self._reached

    async def first_arrivals(self, prefix: bytes, count: int) -> dict[str, tuple[float, bytes]]:
        """Wait until so many events are among the messages; returns each by its id, with the time it came first.

        A bot publishes again what a relay was slow to say OK to, on a machine that is slow: that is no second message.
        """
        async with asyncio.timeout(ROUND_MAX_S):
            while True:
                first: dict[str, tuple[float, bytes]] = {}
                for at, message in self.messages:
                    if message.startswith(prefix):
                        first.setdefault(_id_of(message), (at, message))
                if len(first) >= count:
                    return first
                await self.watch(prefix, count - len(first)).wait()

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()


def _id_of(message: bytes) -> str:
    found = _EVENT_ID.search(message)
    assert found is not None, "an event has an id"
    return found[1].decode()


def quantile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


@asynccontextmanager
async def process(module: str, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A Python process that has printed its first line, and that line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_MAX_S)
        if not line:
            raise RuntimeError(f"python -m {module} ended at once: run it by hand to see why")
        yield process, line.decode().strip()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Wire]:
    host, _, port = urlsplit(url).netloc.partition(":")
    _, wire = await asyncio.get_running_loop().create_connection(Wire, host, int(port))
    await asyncio.wait_for(wire.opened, START_MAX_S)
    try:
        yield wire
    finally:
        wire.close()
