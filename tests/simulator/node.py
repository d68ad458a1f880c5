"""A node: the bot as it runs on one computer, started again whenever it ends.

What lives here: one run after the other of the real bot over one file, and how each ended. What does not: the faults
(process.py) and when they happen (world.py).
"""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from random import Random

from sqlalchemy.exc import DBAPIError

from nostrbot.bot import Bot
from nostrbot.errors import ConfigError, FenceError
from nostrbot.home.config import RelaySettings
from nostrbot.relays.limits import Limits
from nostrbot.relays.relay import RelayConfig
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.store.sqlite import sqlite_url
from tests.houses import BOT, person
from tests.simulator.clock import WallClock
from tests.simulator.process import Killed, Process, current
from tests.simulator.witness import Violation

# The bot sweeps and retries as it always does, only less often: every timer that goes off is work here.
LIMITS = Limits(sweep_s=1.0, retry_max_s=5.0, reconnect_max_s=5.0, cut_min_s=5.0, cut_max_s=10.0, quiet_max_s=4.0)


class Node:
    """One computer with a bot on it. `may_be_fenced`: another one may write the same books."""

    def __init__(
        self, name: str, path: Path, urls: list[str], *, clock: WallClock, rng: Random, tell: Callable[[str], None]
    ) -> None:
        self.name = name
        self.may_be_fenced = False
        self.runs = 0
        self.bot: Bot | None = None
        self.process: Process | None = None
        self.breath = 0.0
        self._path = path
        self._settings = RelaySettings(tuple(RelayConfig(url) for url in urls), min_ok=1, recipient_relays=False)
        self._clock = clock
        self._rng = rng
        self._tell = tell
        self._task: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether a bot runs there."""
        return self._task is not None and not self._task.done() and self.process is not None and self.process.alive

    @property
    def sequencer(self) -> Sequencer | None:
        """Of a bot that runs and has its books, who keeps them."""
        sequencer = getattr(self.bot, "sequencer", None) if self.is_up and self.bot is not None else None
        return sequencer if sequencer is not None and sequencer._bookkeeper is not None else None

    def start(self) -> None:
        """Start a bot from what is in the file."""
        self.reap()
        self.runs += 1
        self.process = Process(self.name, self.runs, self._path, self._rng, self._tell, breath=self.breath)
        self._tell(f"{self.process.name} starts")
        self.process.is_with_another = self.may_be_fenced
        self.bot = Bot(
            keys=BOT,
            platform=person("platform").pubkey,
            database_url=sqlite_url(self._path),
            settings=self._settings,
            clock=self._clock,
            limits=LIMITS,
        )
        context = copy_context()
        context.run(current.set, self.process)
        self._task = asyncio.get_running_loop().create_task(_live(self.bot), context=context)

    def kill(self) -> None:
        """Between two of its steps."""
        if self.is_up:
            assert self.process is not None
            assert self._task is not None
            self.process.die("killed")
            self._task.cancel()

    async def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self.is_up:
            assert self.bot is not None
            assert self._task is not None
            self._tell(f"{self.name} is asked to stop")
            self.bot.stop()
            await asyncio.wait([self._task])
        self.reap()

    def reap(self) -> None:
        """Look at how the last run ended, once it has. Raises Violation when it should not have ended so."""
        process, task = self.process, self._task
        if process is None or task is None or (process.alive and not task.done()):
            return
        was_alive = process.alive
        process.die("its end")
        self._task = self.process = None
        if not was_alive:
            return
        error = None if task.cancelled() else task.exception()
        match error:
            case None | Killed():
                return
            case FenceError() if self.may_be_fenced:
                self._tell(f"{process.name} was fenced")
            case DBAPIError() | ConfigError() if process.had_trouble:
                self._tell(f"{process.name} could not go on: {type(error).__name__}")
            case _:
                raise Violation(f"{process.name} ended: {error!r}") from error


async def _live(bot: Bot) -> None:
    await bot.start()
    await bot.run()
