"""nostr-sdk's LocalRelay: a real relay, in this process, that can be made to demand NIP-42 or to slow us down.

Known limits, not configurable: 500 events a REQ, 20 filters a REQ, 65,536 bytes an event, and 6,000 client messages
a minute on one connection, after which it hangs up without a word.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nostr_sdk import (
    LocalRelayBuilder,
    LocalRelayBuilderNip42,
    LocalRelayBuilderNip42Mode,
    NostrLmdb,
    RateLimit,
    uniffi_set_event_loop,
)


@asynccontextmanager
async def local_relay(
    *,
    port: int | None = None,
    data_dir: Path | None = None,
    auth: bool = False,
    notes_per_minute: int = 1_000_000,
) -> AsyncIterator[str]:
    """Runs a relay on 127.0.0.1 and gives its url."""
    uniffi_set_event_loop(asyncio.get_running_loop())
    limit = RateLimit(max_reqs=100_000, notes_per_minute=notes_per_minute)
    builder = LocalRelayBuilder().addr("127.0.0.1").rate_limit(limit)
    if port is not None:
        builder = builder.port(port)
    if data_dir is not None:
        builder = builder.database(await NostrLmdb.open(str(data_dir)))
    if auth:
        builder = builder.nip42(LocalRelayBuilderNip42(mode=LocalRelayBuilderNip42Mode.BOTH))
    relay = builder.build()
    await relay.run()
    try:
        yield str(await relay.url())
    finally:
        relay.shutdown()
