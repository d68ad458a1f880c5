"""What the relay tests share: a third party that signs, short times, and a pool that is always stopped."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import nostr_sdk
import pytest

from nostrbot.nostr.event import VerifiedEvent, read_event
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.keys import Keys
from nostrbot.relays.dedupe import Arrival
from nostrbot.relays.limits import Limits
from nostrbot.relays.pool import Pool
from nostrbot.relays.relay import RelayConfig
from nostrbot.relays.watch import Subscription
from tests.peers.hostile_relay import Plain
from tests.peers.independent_relay import independent_relay, relay_python
from tests.peers.local_relay import local_relay

# Short enough for tests, long enough for a busy machine with two cores.
QUICK = {
    "eose_s": 1.0,
    "ok_s": 1.0,
    "grace_s": 0.3,
    "retry_min_s": 0.05,
    "retry_max_s": 0.2,
    "sweep_s": 0.02,
    "ping_after_s": 0.3,
    "ping_s": 0.3,
    "reconnect_min_s": 0.05,
    "reconnect_max_s": 0.2,
    "quiet_min_s": 0.1,
    "quiet_max_s": 0.4,
    "cut_min_s": 0.4,
    "cut_max_s": 0.8,
    "repeat_gap_s": 0.05,
    "close_s": 0.2,
}

BOT = Keys.from_secret("b0" * 32)


class Author:
    """Somebody else, who signs with somebody else's library."""

    def __init__(self) -> None:
        self._keys = nostr_sdk.Keys.generate()
        self.pubkey = self._keys.public_key().to_hex()

    def sign(
        self, content: str = "", *, kind: int = 21_000, created_at: int | None = None, to: str = BOT.pubkey
    ) -> Plain:
        """An event as JSON has it, with a `p` tag."""
        moment = nostr_sdk.Timestamp.from_secs(int(time.time()) if created_at is None else created_at)
        builder = nostr_sdk.EventBuilder(nostr_sdk.Kind(kind), content).tags([nostr_sdk.Tag.parse(["p", to])])
        plain: Plain = json.loads(builder.custom_created_at(moment).finalize(self._keys).as_json())
        return plain

    def verified(self, content: str = "", **options: Any) -> VerifiedEvent:
        """The same, read and verified by us."""
        event = read_event(self.sign(content, **options))
        assert isinstance(event, VerifiedEvent)
        return event


def to_bot(kind: int, **options: Any) -> Subscription:
    """A subscription to one kind addressed to the bot; ephemeral kinds are not stored."""
    return Subscription(filters=(Filter(kinds=[kind], p_tags=[BOT.pubkey]),), stored=kind < 20_000, **options)


async def eventually(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Wait until a condition holds; fails when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.01)


async def take(pool: Pool, count: int, timeout_s: float = 5.0) -> list[Arrival]:
    """The next `count` arrivals."""
    async with asyncio.timeout(timeout_s):
        return [await pool.inbox.get() for _ in range(count)]


async def nothing_more(pool: Pool, for_s: float = 0.2) -> None:
    """Nothing else arrives."""
    await asyncio.sleep(for_s)
    assert pool.inbox.empty(), pool.inbox.get_nowait()


MakePool = Callable[..., Awaitable[Pool]]


@pytest.fixture
def author() -> Author:
    return Author()


@pytest.fixture
async def start_pool() -> AsyncIterator[MakePool]:
    """Makes and starts a pool on some urls, subscribed to settlements unless told otherwise; stopped afterwards."""
    pools: list[Pool] = []

    async def start(*urls: str, wanted: dict[str, Subscription] | None = None, min_ok: int = 1, **limits: Any) -> Pool:
        pool = Pool(
            [RelayConfig(url) for url in urls], BOT, min_ok=min_ok, limits=Limits(**QUICK | limits), rng=Random(7)
        )
        pools.append(pool)
        pool.subscribe({"machines": to_bot(21_000)} if wanted is None else wanted)
        await pool.start()
        return pool

    yield start
    for pool in pools:
        await pool.stop()


@pytest.fixture(params=["LocalRelay", "nostr-relay"])
async def real_relay(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Each of the two relays written by other people."""
    if request.param == "LocalRelay":
        async with local_relay() as url:
            yield url
        return
    python = relay_python()
    if python is None:
        pytest.skip("nostr-relay is not installed: `make test` does that")
    async with independent_relay(python, tmp_path) as url:
        yield url
