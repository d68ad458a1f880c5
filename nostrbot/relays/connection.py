"""Connections: staying connected to one relay, for as long as the pool runs.

What lives here: opening a websocket, and how long to wait before the next one. What does not: what is said on it
(session.py).
"""

import asyncio
import re
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import cast

from loguru import logger
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from nostrbot.net.frames import BoundedConnection
from nostrbot.net.urls import is_loopback
from nostrbot.relays.conduct import Backoff
from nostrbot.relays.relay import Commons, Relay
from nostrbot.relays.session import Ending, Session
from nostrbot.relays.watch import Watch
from nostrbot.relays.words import plain_words


class WebsocketOpening(connect):
    """The opening of a websocket at the given address, and nowhere else.

    A relay that sends us to another one would count as two, and could send us to an address of our own network.
    """

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Say where we were sent instead of going there."""
        if not isinstance(exc, InvalidStatus) or "Location" not in exc.response.headers:
            return exc
        to = ", ".join(exc.response.headers.get_all("Location"))
        return ConnectionRefusedError(f"it redirects to {to}: if that is the relay, write its url instead")


class Connection:
    """One relay's task: connect, serve, wait, again."""

    def __init__(self, relay: Relay, commons: Commons) -> None:
        limits = commons.limits
        self._relay = relay
        self._commons = commons
        self._session: Session | None = None
        self._trouble = ""  # why the last try failed
        self._reconnects = Backoff(commons.rng, limits.reconnect_min_s, limits.reconnect_max_s)
        self._cuts = Backoff(commons.rng, limits.cut_min_s, limits.cut_max_s)

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            try:
                delay_s = await self._connect_once()
            except Exception:  # noqa: BLE001  the boundary of the relay's task: a bug of ours must not cost us the relay
                logger.exception("relay {}: the session broke", self._relay.url)
                self._relay.disconnected("an error of ours: see the log")
                delay_s = self._reconnects.next_s()
            await asyncio.sleep(delay_s)

    def rewatch(self, gone: Iterable[Watch], new: Iterable[Watch]) -> None:
        """Tell the relay at once that the subscriptions changed, if there is a connection."""
        if self._session is not None:
            self._session.rewatch(gone, new)

    def wake(self) -> None:
        """Wake the sender: there is something to send."""
        if self._session is not None:
            self._session.wake()

    async def _connect_once(self) -> float:
        """Connect and serve. Returns how many seconds to stay away."""
        loop = asyncio.get_running_loop()
        try:
            async with self._opening() as opened:
                opened_at = loop.time()
                socket = cast("BoundedConnection", opened)  # as it was asked for
                self._session = Session(self._relay, socket, self._commons)
                self._relay.connected(_ahead_s(socket, opened_at))
                ending = await self._session.run()
        except (OSError, TimeoutError, WebSocketException) as error:
            return self._not_served(error)
        except (ImportError, ValueError) as error:
            if self._session is not None:
                raise
            return self._not_served(error)  # a SOCKS proxy, which needs another package; a proxy that is not a URL
        finally:
            oks = self._session.oks if self._session is not None else 0
            self._session = None
        return self._stay_away_s(ending, loop.time() - opened_at, oks)

    def _opening(self) -> WebsocketOpening:
        limits = self._commons.limits
        return WebsocketOpening(
            self._relay.url,
            create_connection=BoundedConnection,
            compression=None,  # costs more than it saves: 11 us an event
            max_size=limits.socket_frame_max_bytes,
            max_queue=limits.socket_queue_max,
            ping_interval=None,  # the session has its own watchdog, which knows when it is us who do not read
            open_timeout=limits.open_s,
            close_timeout=limits.close_s,
            proxy=None if is_loopback(self._relay.url) else True,  # True: as the environment says
        )

    def _not_served(self, error: Exception) -> float:
        trouble = plain_words(_without_password(str(error))) or type(error).__name__
        if trouble != self._trouble:  # once, not at every try
            logger.warning("relay {} cannot be reached: {!r}; I keep trying", self._relay.url, trouble)
        self._trouble = trouble
        self._relay.disconnected(trouble)
        return self._reconnects.next_s()

    def _stay_away_s(self, ending: Ending, lasted_s: float, oks: int) -> float:
        limits = self._commons.limits
        self._trouble = ""
        self._relay.disconnected(ending, hung_up=ending is Ending.CLOSED)
        logger.info("relay {}: {}", self._relay.url, ending)
        if ending is Ending.MISBEHAVED or ending is Ending.OVERSIZED:
            self._relay.tally.cuts += 1
            if lasted_s >= limits.cut_max_s:
                self._cuts.reset()  # it behaved for longer than we ever stay away
            return self._cuts.next_s()
        if lasted_s >= limits.steady_s or oks >= limits.steady_oks:
            self._reconnects.reset()
            return self._commons.rng.uniform(0.0, limits.reconnect_first_s)
        return self._reconnects.next_s()


def _ahead_s(socket: BoundedConnection, opened_at: float) -> float | None:
    """Return the relay's clock less our running one, by the Date header of its handshake; None if it cannot be read."""
    dates = [] if socket.response is None else socket.response.headers.get_all("Date")
    try:
        return None if len(dates) != 1 else parsedate_to_datetime(dates[0]).timestamp() - opened_at
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _without_password(text: str) -> str:
    """Return the words without a password before the @ in the URL of a proxy."""
    return re.sub(r"//\S*@", "//…@", text)
