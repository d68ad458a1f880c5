"""The endpoint, by raw sockets: one page, for whoever may reach it, and nothing that a client does costs the bot anything."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from loguru import logger

from nostrbot.errors import ConfigError
from nostrbot.monitoring import endpoint
from nostrbot.monitoring.endpoint import Address, bind, read_address, serving
from tests.peers.ports import free_port

PAGE = b"nostrbot_inbox_events 1.0\n"
GET = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What is logged, a line each."""
    lines: list[str] = []
    number = logger.add(lambda message: lines.append(str(message)), level="DEBUG", format="{level} {message}")
    yield lines
    logger.remove(number)


@asynccontextmanager
async def served(page: Callable[[], bytes] = lambda: PAGE, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """The endpoint on a free port."""
    port = free_port()
    async with serving(bind(Address(host, port)), page):
        yield port


async def exchange(port: int, request: bytes) -> bytes:
    """All that comes back until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def is_hung_up_on(port: int, request: bytes) -> bool:
    """Whether nothing at all comes back."""
    try:
        return await exchange(port, request) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    ("text", "expected", "is_loopback"),
    [
        ("9464", Address("127.0.0.1", 9464), True),
        ("localhost:9464", Address("127.0.0.1", 9464), True),
        ("127.0.0.1:1", Address("127.0.0.1", 1), True),
        ("[::1]:9464", Address("::1", 9464), True),
        ("0.0.0.0:65535", Address("0.0.0.0", 65_535), False),
        ("[::]:9464", Address("::", 9464), False),
        (" 192.0.2.7:9464 ", Address("192.0.2.7", 9464), False),
    ],
)
def test_an_address_is_this_computer_unless_it_says_otherwise(text: str, expected: Address, is_loopback: bool) -> None:
    """A port alone is of 127.0.0.1."""
    address = read_address(text)
    assert (address, address.is_loopback) == (expected, is_loopback)


@pytest.mark.parametrize(
    "text", ["", ":9464", "yes", "0", "65536", "-1", "metrics.example.com:9464", "1.2.3:9464", "::1"]
)
def test_what_is_no_address_is_one_line(text: str) -> None:
    """Names are not looked up: which address a name has is not for the bot to guess."""
    with pytest.raises(ConfigError, match="--metrics"):
        read_address(text)


async def test_the_page_is_at_metrics(log: list[str]) -> None:
    """GET /metrics, with or without a query: 200, the page, its type and length, and the connection is closed."""
    async with served() as port:
        for request in (GET, b"GET /metrics?x=1 HTTP/1.0\r\n\r\n"):
            head, _, body = (await exchange(port, request)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\nContent-Type: text/plain; version=1.0.0; charset=utf-8\r\n" in head
            assert f"\r\nContent-Length: {len(PAGE)}\r\n".encode() in head
            assert body == PAGE
    assert log == []


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1",
        b"GET /metricsx HTTP/1.1",
        b"GET /metrics/ HTTP/1.1",
        b"POST /metrics HTTP/1.1",
        b"get /metrics HTTP/1.1",
        b"GET",
        b"\x00\xff\x16\x03\x01",
        b"",
    ],
)
async def test_there_is_nothing_else(line: bytes) -> None:
    """404, without a word about what there is in the bot."""
    async with served() as port:
        answer = await exchange(port, line + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert PAGE not in answer


async def test_a_request_that_is_too_long_is_hung_up_on() -> None:
    """No more than 8 KiB are ever kept of one."""
    async with served() as port:
        assert await is_hung_up_on(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000)
        assert PAGE in await exchange(port, GET)


async def test_a_client_that_says_nothing_or_reads_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large page that nobody reads, and a request that never ends, both end by the clock."""
    monkeypatch.setattr(endpoint, "REQUEST_MAX_S", 0.3)
    async with served(lambda: b"x" * 30_000_000) as port:
        silent = asyncio.create_task(exchange(port, b"GET /metr"))
        _reader, deaf = await asyncio.open_connection("127.0.0.1", port, limit=1)
        deaf.write(GET)
        assert await asyncio.wait_for(silent, 3) == b""
        await asyncio.sleep(0.3)
        assert len(asyncio.all_tasks()) == 1
        deaf.close()


async def test_connections_beyond_the_limit_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there are served, and when they are gone the next is."""
    monkeypatch.setattr(endpoint, "CONNECTIONS_MAX", 2)
    async with served() as port:
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert await is_hung_up_on(port, GET)
        slow[0][1].write(GET)
        assert PAGE in await asyncio.wait_for(slow[0][0].read(), 3)
        assert PAGE in await exchange(port, GET)
        for _, writer in slow:
            writer.close()


async def test_a_page_that_cannot_be_made_costs_itself_only(log: list[str]) -> None:
    """500 and a line in the log; the endpoint lives on."""
    pages = iter([None, PAGE])

    def page() -> bytes:
        made = next(pages)
        if made is None:
            raise ZeroDivisionError
        return made

    async with served(page) as port:
        assert (await exchange(port, GET)).startswith(b"HTTP/1.1 500 ")
        assert PAGE in await exchange(port, GET)
    assert [line for line in log if line.startswith("ERROR the metrics could not be put together")]


async def test_the_end_does_not_wait_for_clients() -> None:
    """A client in the middle of a request is hung up on."""
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metr")
        await asyncio.sleep(0.1)
    assert await asyncio.wait_for(reader.read(), 1) == b""
    writer.close()


def test_a_port_that_is_taken_is_one_line() -> None:
    """Said before the bot opens anything."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--metrics: port {port} of 127.0.0.1 cannot be had"):
            bind(Address("127.0.0.1", port))


def test_an_address_that_others_reach_is_warned_about(log: list[str]) -> None:
    """Only then."""
    bind(Address("127.0.0.1", free_port())).close()
    assert log == []
    bind(Address("0.0.0.0", free_port())).close()
    assert log == ["WARNING metrics are shown on 0.0.0.0: whoever reaches that port reads them\n"]
