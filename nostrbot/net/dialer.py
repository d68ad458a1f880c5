"""The dialler: opening a connection to a relay that somebody else chose.

What lives here: looking its name up, and connecting to the very address that was judged. What does not: the rules
(addresses.py), and what is said on the connection (relays/recipients/visit.py).

A name may stand for another address a moment later (DNS rebinding). So it is looked up once, and the socket goes to the
address that was found fit. TLS and the relay are still told the name.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Final

from websockets.asyncio.client import ClientConnection, connect

from nostrbot.net.addresses import LookUp, Unfit, place_of, resolve_public
from nostrbot.net.frames import BoundedConnection
from nostrbot.nostr.messages import FRAME_MAX_BYTES

LOOK_UP_S: Final = 5.0
OPEN_S: Final = 5.0  # TCP, TLS and the handshake
CLOSE_S: Final = 1.0
TRIES_MAX: Final = 2  # addresses of one relay: two dead ones, and it is away
FRAMES_MAX: Final = 4  # read ahead of us: with FRAME_MAX_BYTES, 256 KiB a connection at the worst
# A name server that never answers holds a thread for up to half a minute.
LOOK_UPS_MAX: Final = 8

Dial = Callable[[str], Awaitable[ClientConnection]]  # raises OSError, TimeoutError, WebSocketException


class Resolver:
    """A LookUp that asks the system's resolver.

    The resolver runs in separate threads, which nobody waits for. In the loop's threads a silent name server would keep
    the bot from looking up its own relays, and from stopping.
    """

    def __init__(self) -> None:
        self._look_up_count = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        """Resolve a name. Raises OSError if it has no address, TimeoutError if that takes too long."""
        if self._look_up_count >= LOOK_UPS_MAX:
            raise TimeoutError("too many names are being looked up")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str] | OSError] = loop.create_future()

        def over(outcome: list[str] | OSError) -> None:
            self._look_up_count -= 1
            if not answer.done():
                answer.set_result(outcome)

        def look_up() -> None:
            outcome: list[str] | OSError
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                outcome = [str(one[4][0]) for one in found]
            except OSError as error:
                outcome = error
            except UnicodeError:
                outcome = OSError("not a name")
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(over, outcome)

        self._look_up_count += 1
        threading.Thread(target=look_up, name="resolver", daemon=True).start()
        async with asyncio.timeout(LOOK_UP_S):
            outcome = await answer
        if isinstance(outcome, OSError):
            raise outcome
        return outcome


class PublicDialer:
    """A Dial that connects to public relays only. Call it with a URL that public_relay() gave."""

    def __init__(self, look_up: LookUp | None = None) -> None:
        self._look_up = look_up or Resolver()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Reading the system's certificates takes some 20 ms: once, and only by a bot that needs them.
        return ssl.create_default_context()

    async def __call__(self, url: str) -> ClientConnection:
        """Open a connection. Raises OSError, TimeoutError or WebSocketException."""
        addresses = await resolve_public(place_of(url), self._look_up)
        if isinstance(addresses, Unfit):
            raise ConnectionRefusedError(addresses.why)
        trouble: OSError | None = None
        for address in addresses[:TRIES_MAX]:
            try:
                return await connect_at(url, address, self._tls)
            except OSError as error:  # a TimeoutError is one
                trouble = error
        assert trouble is not None, "a name that is fit has an address"
        raise trouble


async def connect_at(url: str, address: str, tls: ssl.SSLContext) -> ClientConnection:
    """Connect to a relay at this address and no other. Raises OSError, TimeoutError or WebSocketException."""
    host, port = place_of(url)
    opening = connect(
        url,
        create_connection=BoundedConnection,
        host=address,
        port=port,
        ssl=tls,
        server_hostname=host,
        proxy=None,  # it would look the name up by itself
        compression=None,
        max_size=FRAME_MAX_BYTES,
        max_queue=FRAMES_MAX,
        ping_interval=None,  # connections are short, and an OK that does not come tells as much
        open_timeout=OPEN_S,
        close_timeout=CLOSE_S,
    )
    try:
        return await opening
    except OSError:
        raise  # a certificate that does not fit is a ValueError as well
    except ValueError:  # what websockets says when a relay redirects to elsewhere: with `host` given it does not follow
        raise ConnectionRefusedError("a redirect to elsewhere") from None
