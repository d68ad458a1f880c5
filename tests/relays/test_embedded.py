"""The embedded relay, as `nostrbot relay` and `nostrbot demo` run it."""

import asyncio
from pathlib import Path

from nostrbot.relays.embedded import EmbeddedRelay
from tests.peers.ports import free_port
from tests.relays.conftest import Author, MakePool, take, to_bot


async def test_it_keeps_its_events_and_its_port(start_pool: MakePool, author: Author, tmp_path: Path) -> None:
    """With a data directory, what was stored is there after a restart on the same port."""
    port = free_port()
    event = author.verified("kept", kind=4)
    relay = EmbeddedRelay(port, tmp_path / "relay")
    url = await relay.start()
    assert url == f"ws://127.0.0.1:{port}"
    publisher = await start_pool(url, wanted={})
    await asyncio.wait_for(publisher.publish(event), 5)
    await relay.stop()

    again = EmbeddedRelay(port, tmp_path / "relay")
    assert await again.start() == url
    pool = await start_pool(url, wanted={"messages": to_bot(4)})
    [arrival] = await take(pool, 1)
    assert arrival.event == event
    await again.stop()


async def test_without_arguments_it_takes_a_free_port(start_pool: MakePool, author: Author) -> None:
    """Two may run at once, and stopping twice is no harm."""
    first, second = EmbeddedRelay(), EmbeddedRelay()
    assert await first.start() != await second.start()
    for relay in (first, second, second):
        await relay.stop()
