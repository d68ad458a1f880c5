"""Start-up: how long a bot with a long journal takes until its books are ready, and how much memory it needs.

What lives here: making the journal, and timing a fresh process over it. What does not: what that process does
(cold_start.py). The journal ends where the most entries lie behind the newest snapshot, the worst place to start from.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import orjson

from bench.figures import Aim, Figure
from bench.house import Books, House, open_books, run
from nostrbot.home.config import Home, relays_text
from nostrbot.home.keyfile import write_key_file
from nostrbot.runtime.sequencer import TURN_ITEMS_MAX
from nostrbot.runtime.shelf import SNAPSHOT_EVERY_ENTRIES

LP_COUNT = 10
START_AIM_S = 5
MEMORY_AIM_MB = 300
NOBODY_LISTENS_URL = "ws://127.0.0.1:9"  # a start does not wait for relays


def measure(*, quick: bool) -> list[Figure]:
    """Start-up time and peak memory with 100,000 settlements in the journal."""
    with tempfile.TemporaryDirectory(prefix="nostrbot-bench-") as folder:
        home = Home(Path(folder) / "home")
        settlements, tail = run(_make_journal(home, 500 if quick else 100_000, fill=not quick))
        size_mb = home.database_file.stat().st_size / 1e6
        starts = [_start(home) for _ in range(1 if quick else 3)]
    fastest = min(starts, key=lambda one: one["wall_s"])
    return [
        Figure("settlements in the journal, 10 LPs", settlements, ""),
        Figure("entries after the newest snapshot", tail, ""),
        Figure("database file", size_mb, "MB"),
        Figure(
            "process started -> books ready",
            fastest["wall_s"],
            "s",
            Aim(START_AIM_S, below=True),
        ),
        Figure("of it the interpreter and imports", fastest["imports_s"], "s"),
        Figure("of it opening, books and outbox", fastest["books_s"], "s"),
        Figure("peak memory", max(one["peak_mb"] for one in starts), "MB", Aim(MEMORY_AIM_MB, below=True)),
    ]


async def _make_journal(home: Home, at_least: int, *, fill: bool) -> tuple[int, int]:
    """A home with so many settlements; the number of them, and of entries behind the newest snapshot.

    `fill`: and some more, until another batch would bring the next snapshot.
    """
    house = House(LP_COUNT)
    home.key_file.parent.mkdir(parents=True)
    write_key_file(home.key_file, house.bot, None)
    home.write_platform(house.platform.pubkey)
    home.relays_file.write_text(relays_text([NOBODY_LISTENS_URL]))
    sold = 0
    async with open_books(house, home.database_file) as books:
        while sold < at_least or (fill and _entries_to_snapshot(books, house) > TURN_ITEMS_MAX):
            count = min(TURN_ITEMS_MAX, at_least - sold) if sold < at_least else TURN_ITEMS_MAX
            await books.enter(house.sales(count, first=sold))
            sold += count
        live = books.bookkeeper.live[house.operator.pubkey]
        return sold, live.chain.seq - live.snapshot_seq


def _entries_to_snapshot(books: Books, house: House) -> int:
    live = books.bookkeeper.live[house.operator.pubkey]
    return SNAPSHOT_EVERY_ENTRIES - (live.chain.seq - live.snapshot_seq)


def _start(home: Home) -> dict[str, float]:
    """One start in a fresh process."""
    started = perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.cold_start", str(home.path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    told = orjson.loads(process.stdout.readline())
    wall_s = perf_counter() - started
    process.communicate()
    return {"wall_s": wall_s, "imports_s": wall_s - told["books_s"], **told}
