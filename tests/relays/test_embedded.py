"""The embedded relay, as `nostrbot relay` and `nostrbot demo` run it."""

import asyncio
import socket
from pathlib import Path

import nostr_sdk
import pytest

from nostrbot.relays import embedded
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
    await asyncio.wait_for(publisher.publish(event), 30)
    await relay.stop()

    again = EmbeddedRelay(port, tmp_path / "relay")
    assert await again.start() == url
    pool = await start_pool(url, wanted={"messages": to_bot(4)})
    [arrival] = await take(pool, 1, timeout_s=30)
    assert arrival.event == event
    await again.stop()


async def test_without_arguments_it_takes_a_free_port(start_pool: MakePool, author: Author) -> None:
    """Two may run at once, and stopping twice is no harm."""
    first, second = EmbeddedRelay(), EmbeddedRelay()
    assert await first.start() != await second.start()
    for relay in (first, second, second):
        await relay.stop()


def taken(port: int) -> socket.socket:
    """Somebody who has the port."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", port))
    holder.listen()
    return holder


async def test_t2_it_waits_for_its_port() -> None:
    """Whoever had it may be on the way out: a supervisor starts the next one at once."""
    port = free_port()
    holder, relay = taken(port), EmbeddedRelay(port)
    starting = asyncio.create_task(relay.start())
    await asyncio.sleep(0.5)
    assert not starting.done()
    holder.close()
    assert await asyncio.wait_for(starting, 30) == f"ws://127.0.0.1:{port}"
    await relay.stop()


async def test_t2_a_port_that_stays_taken_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """For ever is not waited."""
    monkeypatch.setattr(embedded, "PORT_WAIT_S", 0.3)
    port = free_port()
    with taken(port), pytest.raises(nostr_sdk.NostrSdkError, match="in use"):
        await EmbeddedRelay(port).start()
