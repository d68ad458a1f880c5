"""Bots that run in the test's own loop, by the true clock or by one that the test sets.

What lives here: starting and stopping one over an office's database and one relay, and waiting for what comes of it. What does
not: bots as processes (peers/bot_process.py, e2e/house.py).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from nostrbot.bot import Bot, unix_now
from nostrbot.store.sqlite import sqlite_url
from tests.offices import BOT, PLATFORM
from tests.peers.bot_process import settings_of
from tests.peers.pace import STOP_MAX_S


class Clock:
    """A clock that stands still until somebody sets it."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


async def eventually(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until a condition holds; fails when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def running(path: Path, url: str, clock: Callable[[], int] = unix_now) -> AsyncIterator[Bot]:
    """A bot that works until the block ends; then it is stopped, in time and without an error."""
    settings = settings_of([url])
    bot = Bot(keys=BOT, platform=PLATFORM.pubkey, database_url=sqlite_url(path), settings=settings, clock=clock)
    await bot.start()
    work = asyncio.create_task(bot.run())
    try:
        assert await bot.wait_ready(10)
        yield bot
        bot.stop()
        await asyncio.wait_for(asyncio.shield(work), STOP_MAX_S)
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
