"""An event loop in a thread of its own, so that an asyncio relay can run beside tests that wait the plain way."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

CALL_MAX_S = 30.0


class SideLoop:
    """The loop; `call` runs something on it and waits for the outcome."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="side loop")
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_MAX_S)

    @contextmanager
    def holding(self, thing: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """An async context, entered and left on this loop."""

        async def enter() -> T:
            return await thing.__aenter__()

        async def leave() -> None:
            await thing.__aexit__(None, None, None)

        held = self.call(enter())
        try:
            yield held
        finally:
            self.call(leave())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_MAX_S)
        self._loop.close()


@contextmanager
def side_loop() -> Iterator[SideLoop]:
    """A side loop for the length of a block."""
    loop = SideLoop()
    try:
        yield loop
    finally:
        loop.close()
