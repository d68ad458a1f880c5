"""Frames: what a websocket is made of, below the messages a relay says.

What lives here: a connection that a relay cannot drown with frames that carry nothing. What does not: how large a
message may be (relays/limits.py), what the messages mean, and what too many bad ones come to (relays/session.py,
relays/recipients/visit.py).

Pings, pongs and empty fragments never reach whoever reads messages: they are parsed, and answered, as soon as they
come, two bytes each. Unbounded, one relay takes the whole loop with them, and the answers it does not read take our
memory. https://www.rfc-editor.org/rfc/rfc6455#section-5
"""

import asyncio
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

# A relay pings once or twice a minute, and a proxy before it may as well.
IDLE_AT_ONCE: Final = 200
IDLE_PER_S: Final = 10
# A sender of fragments has something to say in each.
FRAGMENT_MIN_BYTES: Final = 256
# What one read from a socket (256 KiB at most) may hold. The shortest message of use, an OK, is 78 bytes long.
FRAMES_A_READ_MAX: Final = 5_000
# So much is parsed before it is counted: at two bytes a frame some 20 ms.
PIECE_BYTES: Final = 4_096


class BoundedConnection(ClientConnection):
    """A connection that ends when its other end floods it. Make it by `connect(create_connection=...)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_flooded = False
        self._idle = 0.0  # frames without anything to read in them, leaking with time
        self._idle_at = asyncio.get_running_loop().time()
        self._frames_in_read = 0

    def data_received(self, data: bytes) -> None:
        """Take in what came, piece by piece; of a flood not all of it."""
        self._frames_in_read = 0
        for start in range(0, len(data), PIECE_BYTES):
            super().data_received(data[start : start + PIECE_BYTES])
            if self._is_too_much():
                self.is_flooded = True
                self.transport.abort()
                return

    def process_event(self, event: Event) -> None:
        """Count a frame, and take it."""
        if isinstance(event, Frame):
            self._frames_in_read += 1
            self._idle += _is_idle(event)
        super().process_event(event)

    def _is_too_much(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._idle = max(0.0, self._idle - (now - self._idle_at) * IDLE_PER_S)
        self._idle_at = now
        return self._idle > IDLE_AT_ONCE or self._frames_in_read > FRAMES_A_READ_MAX


def _is_idle(frame: Frame) -> bool:
    if frame.opcode in (Opcode.PING, Opcode.PONG):
        return True
    return not frame.fin and len(frame.data) < FRAGMENT_MIN_BYTES
