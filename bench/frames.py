"""WebSocket frames over a bare transport: the load generator's share of RFC 6455.

What lives here: whole text messages, pings and closing, for both sides of a loopback connection. What does not: the
handshake and what messages say. The bot under measurement uses the real library; relay and generator use this, because
they run on the same few cores, and what they burn the bot cannot have.
https://www.rfc-editor.org/rfc/rfc6455#section-5
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from websockets.utils import apply_mask

FINAL: Final = 0x80
MASKED: Final = 0x80
# A client must mask; with this key masking changes nothing and costs nothing.
NO_MASK: Final = bytes(4)


class Opcode(IntEnum):
    """What a frame is. Messages in several frames are not understood here: nobody on this loopback sends any."""

    TEXT = 1
    CLOSE = 8
    PING = 9
    PONG = 10


def write_frame(payload: bytes, opcode: Opcode = Opcode.TEXT, *, masked: bool = False) -> bytes:
    """One whole message; `masked` is for clients."""
    mask_bit, mask = (MASKED, NO_MASK) if masked else (0, b"")
    size = len(payload)
    if size < 126:
        header = bytes((FINAL | opcode, mask_bit | size))
    elif size < 65_536:
        header = bytes((FINAL | opcode, mask_bit | 126)) + size.to_bytes(2, "big")
    else:
        header = bytes((FINAL | opcode, mask_bit | 127)) + size.to_bytes(8, "big")
    return header + mask + payload


class FrameReader:
    """Cuts what arrives into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames that are complete now, as opcode and payload."""
        buffer = self._rest + data if self._rest else data
        at, end = 0, len(buffer)
        while end - at >= 2:
            size, start = buffer[at + 1] & 0x7F, at + 2
            if size >= 126:
                width = 2 if size == 126 else 8
                size, start = int.from_bytes(buffer[start : start + width], "big"), start + width
            is_masked = buffer[at + 1] & MASKED
            mask, start = (buffer[start : start + 4], start + 4) if is_masked else (NO_MASK, start)
            if start + size > end:
                break
            payload = buffer[start : start + size]
            yield buffer[at] & 0x0F, payload if mask == NO_MASK else apply_mask(payload, mask)
            at = start + size
        self._rest = buffer[at:]
