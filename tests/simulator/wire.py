"""The wire: websockets that go nowhere but to a simulated relay.

What lives here: a socket with the few methods the bot's sessions use (relays/session.py), and opening one. What does not:
what a relay does with what it hears (relay.py). Frames keep their order in each direction, as on TCP, and take time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.exceptions import ConnectionClosedError

from tests.simulator.process import Process, current
from tests.simulator.relay import Relay


class Socket:
    """One connection of a process to a relay."""

    def __init__(self, process: Process, relay: Relay) -> None:
        self._process = process
        self._relay = relay
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._sending: list[bytes] = []
        self._there_at = self._here_at = 0.0
        self.is_open = True
        self.response = None  # of a handshake, with a date
        self.is_flooded = False
        self.protocol = self  # what is sent is written to the protocol,
        self.transport = self  # and what is aborted is the transport
        process.when_dead(self.abort)

    # --- the bot's side ---------------------------------------------------------------------------------------------

    async def recv(self, *, decode: bool) -> bytes:
        """The next frame."""
        while not self._arrived:
            if not self.is_open:
                raise ConnectionClosedError(None, None)
            self._wake.clear()
            await self._wake.wait()
        return self._arrived.popleft()

    async def ping(self) -> "asyncio.Future[float]":
        """A relay that is there answers."""
        pong: asyncio.Future[float] = self._loop.create_future()
        self._loop.call_later(0.05, lambda: pong.done() or pong.set_result(0.05))
        return pong

    @asynccontextmanager
    async def send_context(self) -> AsyncIterator[None]:
        """What is written within leaves at its end."""
        yield
        sending, self._sending = self._sending, []
        for frame in sending:
            self._process.live()
            if not self.is_open:
                raise ConnectionClosedError(None, None)
            self._there_at = max(self._there_at, self._loop.time() + self._relay.lag_s())
            self._loop.call_at(self._there_at, self._relay.hear, self, frame)

    def send_text(self, frame: bytes) -> None:
        """Write a frame."""
        self._sending.append(frame)

    def abort(self) -> None:
        """Both sides hear nothing more."""
        self.is_open = False
        self._relay.gone(self)
        self._wake.set()

    async def close(self) -> None:
        """Say good-bye, which relays need not."""
        self.abort()

    # --- the relay's side -------------------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """A frame on its way to the bot."""
        self._here_at = max(self._here_at, self._loop.time() + self._relay.lag_s())
        self._loop.call_at(self._here_at, self._arrive, frame)

    def _arrive(self, frame: bytes) -> None:
        if self.is_open:
            self._arrived.append(frame)
            self._wake.set()


@asynccontextmanager
async def open_socket(relay: Relay) -> AsyncIterator[Socket]:
    """Connect the current process. Raises OSError when the relay does not want to."""
    await asyncio.sleep(relay.lag_s())
    process = current.get()
    process.live()
    if relay.is_away:
        raise OSError("nobody listens there")
    socket = Socket(process, relay)
    relay.meet(socket)
    try:
        yield socket
    finally:
        socket.abort()
