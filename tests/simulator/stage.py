"""The stage: what is put in the place of threads, sockets and chance while worlds are simulated.

What lives here: every patch there is. What does not: the worlds.
"""

import gc
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from loguru import logger
from sqlalchemy import make_url
from sqlalchemy.exc import SAWarning
from sqlalchemy.ext.asyncio import AsyncEngine

import nostrbot.bot
import nostrbot.relays.connection
import nostrbot.relays.pool
import nostrbot.runtime.figures
import nostrbot.runtime.shelf
import nostrbot.store.store
import nostrbot.store.writer
from nostrbot.nostr.keys import Keys
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store
from tests.simulator.clock import VirtualLoop
from tests.simulator.house import house_file
from tests.simulator.present import present
from tests.simulator.process import Process, current, without_threads
from tests.simulator.wire import open_socket

MEMORY = Path("/dev/shm")  # a disk in memory, where there is one
SNAPSHOT_EVERY_ENTRIES = 8  # so that many a start begins from one
COMPUTERS = ("A", "B")


@contextmanager
def stage(patches: pytest.MonkeyPatch) -> Iterator[Path]:
    """Worlds may be run within. Gives the folder for their databases."""
    nowhere = MEMORY if MEMORY.is_dir() else None
    with TemporaryDirectory(dir=nowhere, ignore_cleanup_errors=True) as name, patches.context() as patch:
        folder = Path(name)
        with without_threads(patch), warnings.catch_warnings():
            # Whoever is killed gives no connection back to its pool.
            warnings.filterwarnings("ignore", "The garbage collector is trying to clean up", SAWarning)
            logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)
            # What the bot logs is long, and what matters of it is listened for.
            patch.setattr(logger._core, "handlers", {})
            patch.setattr(logger._core, "min_level", math.inf)
            house_file(folder)
            shared_x = lru_cache(maxsize=4_096)(Keys.shared_x)
            patch.setattr(Keys, "shared_x", lambda keys, pubkey: shared_x(keys, pubkey))  # noqa: PLW0108 - a method
            patch.setattr(nostrbot.store.store, "make_engine", _engines(nostrbot.store.store.make_engine))
            migrate = nostrbot.store.store.migrate
            patch.setattr(nostrbot.store.store, "migrate", lambda connection: current.get(None) or migrate(connection))
            patch.setattr(nostrbot.store.writer, "_Statements", cache(nostrbot.store.writer._Statements))
            patch.setattr(
                nostrbot.relays.connection, "WebsocketOpening", lambda url, **_: open_socket(present().relays[url])
            )
            patch.setattr(nostrbot.relays.pool, "Random", lambda: Random(present().rng.random()))
            patch.setattr(nostrbot.bot, "gc", SimpleNamespace(collect=lambda: None, freeze=lambda: None))
            patch.setattr(nostrbot.runtime.figures, "TELL_S", 30.0)
            patch.setattr(nostrbot.runtime.shelf, "SNAPSHOT_EVERY_ENTRIES", SNAPSHOT_EVERY_ENTRIES)
            _warm_up(folder)
            try:
                yield folder
            finally:
                gc.collect()
                logging.getLogger("sqlalchemy.pool").setLevel(logging.NOTSET)


def _warm_up(folder: Path) -> None:
    """An engine asks the database some things when it first connects, which no world should see."""

    async def open_once(computer: str) -> None:
        path = house_file(folder)
        process = Process(computer, 0, path, Random(0), lambda _: None, breath=0.0)
        current.set(process)
        await (await Store.open(sqlite_url(path))).close()
        process.die("warm")

    for computer in COMPUTERS:
        loop = VirtualLoop()
        loop.run_until_complete(open_once(computer))
        loop.close()


def _engines(make_engine: Callable[[str], AsyncEngine]) -> Callable[[str], AsyncEngine]:
    """An engine for each computer, used by one process after the other: what SQLAlchemy has compiled is compiled once."""
    made: dict[str, AsyncEngine] = {}

    def engine(url: str) -> AsyncEngine:
        process = current.get(None)
        if process is None:
            return make_engine(url)
        name = process.computer
        if name not in made:
            made[name] = make_engine(url)
        made[name].sync_engine.dispose(close=False)
        made[name].sync_engine.url = make_url(url)
        return made[name]

    return engine
