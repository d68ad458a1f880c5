"""What a relay may answer before there is a websocket, and what must not come of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nostrbot.relays.words import WORDS_MAX
from tests.peers.hostile_relay import hostile_relay
from tests.relays.conftest import MakePool, eventually

# In ISO-8859-1 one byte begins what a terminal obeys; in others it is no character at all.
TRICKS = b"\x9b31m\xff\x80" + b"x" * 2_000


@asynccontextmanager
async def server_that_answers(head: bytes) -> AsyncIterator[str]:
    """A server that answers each request with these lines and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_words_in_a_handshake_play_no_tricks(start_pool: MakePool) -> None:
    """What stands in the headers of an answer is shown in `status` and the log: as plain words, and few."""
    heads = [
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: " + TRICKS,
        b"HTTP/1.1 101 Switching\r\nConnection: " + TRICKS + b"\r\nUpgrade: websocket",
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + TRICKS,
        b"HTTP/1.1 302 Found\r\nLocation: ws://" + TRICKS,
        b"HTTP/1.1 200 " + TRICKS,
        TRICKS,
    ]
    for head in heads:
        async with server_that_answers(head) as url:
            pool = await start_pool(url)
            await eventually(lambda pool=pool: pool.health()[0].last_trouble)
            trouble = pool.health()[0].last_trouble
            assert len(trouble) <= WORDS_MAX
            assert trouble.isprintable()
            trouble.encode()
            await pool.stop()


async def test_f12_a_relay_that_redirects_to_another_does_not_count_as_two(start_pool: MakePool) -> None:
    """It would be one relay twice, and it could lead into the bot's own network: it is said where it leads."""
    async with hostile_relay() as other:
        head = f"HTTP/1.1 301 Moved Permanently\r\nLocation: {other.url}".encode()
        async with server_that_answers(head) as url:
            pool = await start_pool(url, other.url)
            assert await pool.wait_subscribed(5)
            await eventually(lambda: pool.health()[0].last_trouble)
            assert not pool.health()[0].connected
            assert pool.health()[0].last_trouble.startswith(f"it redirects to {other.url}")
            assert other.connection_count == 1
