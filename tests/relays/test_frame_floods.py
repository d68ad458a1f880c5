"""Frames that carry nothing: what a relay may send without a message, and that others are served meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from nostrbot.net.frames import FRAMES_A_READ_MAX, IDLE_AT_ONCE, BoundedConnection
from nostrbot.relays.session import Ending
from tests.peers.hostile_relay import hostile_relay
from tests.relays.conftest import Author, MakePool, eventually, take

# As they are on the wire: two bytes each, but for the ping with all that one may carry.
PING, PONG, FRAGMENT, TEXT = b"\x89\x00", b"\x8a\x00", b"\x00\x00", b"\x81\x00"
FULL_PING = b"\x89\x7d" + bytes(125)
FIRST_FRAGMENT = b"\x01\x00"
FLOODS = {
    "pings": PING,
    "full pings": FULL_PING,
    "pongs nobody asked for": PONG,
    "fragments of nothing": FRAGMENT,
    "texts of nothing": TEXT,
}


@asynccontextmanager
async def relay_that(acts: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that does something to whoever connects."""
    async with serve(acts, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def flooding(frame: bytes) -> Callable[[ServerConnection], Awaitable[None]]:
    """Sends one frame again and again, as fast as it goes; what is said to it is not read."""

    async def flood(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        if frame == FRAGMENT:
            socket.transport.write(FIRST_FRAGMENT)
        many = frame * (60_000 // len(frame))
        while not socket.transport.is_closing():
            if socket.transport.get_write_buffer_size() < len(many):
                socket.transport.write(many)
            await asyncio.sleep(0)

    return flood


@pytest.mark.parametrize("frame", FLOODS.values(), ids=FLOODS)
async def test_a_flood_of_frames_without_a_message_is_cut_and_others_are_served(
    start_pool: MakePool, author: Author, frame: bytes
) -> None:
    """At most some frames of it are parsed; the relay is avoided, and sales come in by another one."""
    async with relay_that(flooding(frame)) as flooder, hostile_relay() as honest:
        pool = await start_pool(flooder, honest.url, cut_min_s=30.0, cut_max_s=60.0)
        assert await pool.wait_subscribed(10)
        await eventually(lambda: pool.health()[0].cuts == 1, timeout_s=20)
        assert pool.health()[0].last_trouble == Ending.MISBEHAVED
        await honest.publish(author.sign("sale"))
        await take(pool, 1)
        assert pool.health()[1].connected


@pytest.mark.parametrize("frame", [PING, FULL_PING, PONG], ids=["pings", "full pings", "pongs"])
async def test_what_is_not_read_of_a_flood_takes_no_memory(frame: bytes) -> None:
    """The answers to pings, which a flooder does not read, do not pile up."""
    async with (
        relay_that(flooding(frame)) as url,
        connect(url, create_connection=BoundedConnection, ping_interval=None, close_timeout=0.2) as socket,
    ):
        most = 0
        with suppress(ConnectionClosed):
            async with asyncio.timeout(20):
                while not socket.transport.is_closing():
                    most = max(most, socket.transport.get_write_buffer_size())
                    await asyncio.sleep(0)
                await socket.recv()
        assert isinstance(socket, BoundedConnection)
        assert socket.is_flooded
        assert most < 1_000_000


async def test_a_relay_that_pings_as_relays_do_is_kept() -> None:
    """Pings at any usual pace, many short messages, and large ones in fragments are no flood."""

    async def talk(socket: ServerConnection) -> None:
        for _ in range(IDLE_AT_ONCE // 2):
            await socket.ping()
        await socket.send(iter(["x" * 4_000] * 50))
        for n in range(FRAMES_A_READ_MAX // 2):
            await socket.send(str(n))
        await socket.wait_closed()

    async with (
        relay_that(talk) as url,
        connect(url, create_connection=BoundedConnection, ping_interval=None, max_queue=None) as socket,
    ):
        assert await socket.recv() == "x" * 200_000
        for n in range(FRAMES_A_READ_MAX // 2):
            assert await socket.recv() == str(n)
        assert isinstance(socket, BoundedConnection)
        assert not socket.is_flooded


async def test_idle_frames_are_forgotten_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some pings for ever are borne: what counts is how many come at once."""
    monkeypatch.setattr("nostrbot.net.frames.IDLE_AT_ONCE", 5)
    monkeypatch.setattr("nostrbot.net.frames.IDLE_PER_S", 1_000)

    async def ping(socket: ServerConnection) -> None:
        for _ in range(40):
            await (await socket.ping())
            await asyncio.sleep(0.01)
        await socket.send("still here")
        await socket.wait_closed()

    async with (
        relay_that(ping) as url,
        connect(url, create_connection=BoundedConnection, ping_interval=None) as socket,
    ):
        assert await socket.recv() == "still here"
