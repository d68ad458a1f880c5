"""Proxies in the environment: a relay on this host never goes through one, others do (review row F14)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.peers.hostile_relay import hostile_relay
from tests.relays.conftest import MakePool, eventually


@asynccontextmanager
async def proxy(asked: list[str]) -> AsyncIterator[str]:
    """A proxy that lets nobody through and notes who wanted to go where."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode().strip())
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://me:secret@{host}:{port}"


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell sets it."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "socks_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.setenv(name, url)
        monkeypatch.setenv(name.upper(), url)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


async def test_f14_a_relay_on_this_host_is_never_reached_through_a_proxy(
    start_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says, and by whatever name of this host."""
    asked: list[str] = []
    async with proxy(asked) as url, hostile_relay() as relay:
        use(url, monkeypatch)
        pool = await start_pool(relay.url)
        assert await pool.wait_subscribed(10)
        named = await start_pool(relay.url.replace("127.0.0.1", "localhost"))
        assert await named.wait_subscribed(10)
        assert asked == []


async def test_f14_others_go_through_the_proxy(start_pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the environment says; what goes wrong there is shown without the proxy's password."""
    asked: list[str] = []
    async with proxy(asked) as url:
        use(url, monkeypatch)
        pool = await start_pool("ws://relay.invalid:7447")
        await eventually(lambda: asked)
        assert asked[0] == "CONNECT relay.invalid:7447 HTTP/1.1"
        await eventually(lambda: "403" in pool.health()[0].last_trouble)


@pytest.mark.parametrize(
    "url", ["socks5://me:secret@127.0.0.1:1", "nonsense://me:secret@proxy:1", "http://me:secret@[::"]
)
async def test_f14_a_proxy_that_cannot_be_used_is_the_relay_s_trouble(
    start_pool: MakePool, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """Told in `last_trouble`, without the password, and tried again; nothing breaks."""
    use(url, monkeypatch)
    pool = await start_pool("ws://relay.invalid:7447")
    await eventually(lambda: pool.health()[0].last_trouble)
    trouble = pool.health()[0].last_trouble
    assert "secret" not in trouble
    assert trouble != "an error of ours: see the log"
