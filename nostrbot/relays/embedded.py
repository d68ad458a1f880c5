"""The embedded relay: nostr-sdk's LocalRelay, for `nostrbot relay` and `nostrbot demo`.

What lives here: starting and stopping it. What does not: our own client side (pool.py), which it knows nothing of.

Its limits cannot be set: 500 events a REQ, 65,536 bytes an event, and 6,000 messages a minute from one client, after
which it hangs up. The pool pages, refuses and reconnects accordingly.
"""

import asyncio
from pathlib import Path
from typing import Final

from nostr_sdk import LocalRelay, LocalRelayBuilder, NostrLmdb, NostrSdkError, RateLimit, uniffi_set_event_loop

# It serves one house, so its own limits should never be felt: a thousand machines fit well below.
REQS_MAX: Final = 100_000
EVENTS_PER_MINUTE_MAX: Final = 1_000_000
# A supervisor starts the next one at once, while the port may still be the last one's, or for a moment somebody's own
# end of a connection.
PORT_WAIT_S: Final = 5.0
PORT_RETRY_S: Final = 0.1
PORT_TAKEN: Final = ("address already in use", "address in use", "os error 98", "os error 48")


class EmbeddedRelay:
    """A relay in this process, on 127.0.0.1. Without `port` a free one is taken; without `data_dir` it forgets all."""

    def __init__(self, port: int | None = None, data_dir: Path | None = None) -> None:
        self._port = port
        self._data_dir = data_dir
        self._relay: LocalRelay | None = None

    async def start(self) -> str:
        """Listen; returns the url. Call it on the loop that runs the program. Raises OSError or NostrSdkError."""
        assert self._relay is None, "an embedded relay is started once"
        # Without this the database's callbacks find no loop, and the relay hangs without a word.
        uniffi_set_event_loop(asyncio.get_running_loop())
        builder = LocalRelayBuilder().addr("127.0.0.1")
        builder = builder.rate_limit(RateLimit(max_reqs=REQS_MAX, notes_per_minute=EVENTS_PER_MINUTE_MAX))
        if self._port is not None:
            builder = builder.port(self._port)
        if self._data_dir is not None:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            builder = builder.database(await NostrLmdb.open(str(self._data_dir)))
        self._relay = await self._listen(builder)
        return str(await self._relay.url())

    async def _listen(self, builder: LocalRelayBuilder) -> LocalRelay:
        """Return a relay that listens. A named port is waited for: its last user may be on the way out."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PORT_WAIT_S
        while True:
            relay = builder.build()
            try:
                await relay.run()
            except NostrSdkError as error:
                is_taken = any(words in str(error).lower() for words in PORT_TAKEN)
                if self._port is None or not is_taken or loop.time() >= deadline:
                    raise
                await asyncio.sleep(PORT_RETRY_S)
            else:
                return relay

    async def stop(self) -> None:
        """Hang up on everyone; the port is free again at once."""
        if self._relay is not None:
            self._relay.shutdown()
            self._relay = None
