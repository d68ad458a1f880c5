"""The endpoint: where Prometheus fetches the exposition. Off by default, and by default on this computer only.

What lives here: an address as a person writes it, and just enough HTTP: GET /metrics, one request a connection, all of
it bounded. What does not: what is told there (exposition.py). It runs on the bot's own loop, so what it reads stands
still.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address

from loguru import logger

from nostrbot.errors import ConfigError
from nostrbot.monitoring.exposition import CONTENT_TYPE

LOOPBACK = "127.0.0.1"
REQUEST_MAX_BYTES = 8_192  # a scraper's request line and headers are some 300 bytes
REQUEST_MAX_S = 5.0  # from the connection to the last byte of the answer
CONNECTIONS_MAX = 16  # at once: a scraper needs one


@dataclass(frozen=True, slots=True)
class Address:
    """The address to listen on."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this computer can reach it."""
        return ip_address(self.host).is_loopback


def read_address(text: str) -> Address:
    """Read `9464`, `0.0.0.0:9464` or `[::1]:9464`. Raises ConfigError for anything else."""
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else LOOPBACK
    try:
        address = Address(str(ip_address(LOOPBACK if host == "localhost" else host)), int(port))
    except ValueError:
        raise ConfigError("--metrics must be PORT or ADDRESS:PORT, as in 9464 or 127.0.0.1:9464") from None
    if not 1 <= address.port <= 65_535:
        raise ConfigError("--metrics: a port is a number from 1 to 65535")
    return address


def bind(address: Address) -> socket.socket:
    """Take the address; nobody is answered there yet. Raises ConfigError if it cannot be had."""
    bound = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address.host, address.port))
    except OSError as error:
        bound.close()
        raise ConfigError(f"--metrics: port {address.port} of {address.host} cannot be had: {error.strerror}") from None
    if not address.is_loopback:
        logger.warning("metrics are shown on {}: whoever reaches that port reads them", address.host)
    return bound


@asynccontextmanager
async def serving(bound: socket.socket, page: Callable[[], bytes]) -> AsyncIterator[None]:
    """Serve `page()` at /metrics while the block runs."""
    scrapes = _Scrapes(page)
    server = await asyncio.start_server(scrapes.serve, sock=bound, limit=REQUEST_MAX_BYTES)
    try:
        yield
    finally:
        server.close()
        await scrapes.hang_up()


class _Scrapes:
    """The connections there are."""

    def __init__(self, page: Callable[[], bytes]) -> None:
        self._page = page
        self._tasks: set[asyncio.Task[None]] = set()

    async def hang_up(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and hang up."""
        task = asyncio.current_task()
        assert task is not None, "a connection has its own task"
        if len(self._tasks) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._tasks.add(task)
        try:
            async with asyncio.timeout(REQUEST_MAX_S):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(request))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):  # a TimeoutError is one
            logger.debug("a scrape was not finished")
        finally:
            self._tasks.discard(task)
            writer.transport.abort()  # does nothing to one that is closed

    def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        if method != b"GET" or re.split(rb"[ ?]", rest, maxsplit=1)[0] != b"/metrics":
            return _response(HTTPStatus.NOT_FOUND, "text/plain", b"there is only GET /metrics\n")
        try:
            page = self._page()
        except Exception:  # noqa: BLE001 - the boundary of this task: nobody's scrape may cost the bot anything
            logger.opt(exception=True).error("the metrics could not be put together")
            return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", b"look into the log\n")
        return _response(HTTPStatus.OK, CONTENT_TYPE, page)


def _response(status: HTTPStatus, content_type: str, body: bytes) -> bytes:
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body
