"""Engine and store: settlements decided, sealed and committed durably, beside sqlite3 writing the same rows.

What lives here: bookkeeper and writer over a real file (WAL, synchronous=FULL), in the batches a busy bot makes, and the
replay of what the writer wrote by a bare executemany. What does not: relays and signatures (events are verified
before the clock starts; decrypting them is part of the work, as in the bot).
"""

import gc
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import aiosqlite

from bench.figures import Aim, Figure
from bench.house import Books, House, batches, open_books, run
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.sealing import Scheme

RATE_AIM = 4_000
SHARE_AIM = 0.25
# As nostrbot/store/sqlite.py opens its own: the peer gives no weaker promise.
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536", "journal_size_limit=67108864")

Statement = tuple[str, Sequence[Any]]


@dataclass(slots=True)
class Round:
    """Seconds of one round: deciding and sealing, committing, and the peer's writing of the same rows."""

    settlements: int
    deciding_s: float = 0.0
    committing_s: float = 0.0
    peer_s: float = 0.0
    rows: int = 0

    @property
    def total_s(self) -> float:
        """Seconds from verified events to their commit."""
        return self.deciding_s + self.committing_s

    def each_us(self, seconds: float) -> float:
        """Microseconds a settlement."""
        return seconds / self.settlements * 1e6


def measure(*, quick: bool) -> list[Figure]:
    """Rates with 10 LPs, sealed and plain, and what a settlement costs with 10, 100 and 1,000 LPs."""
    # A round is long enough to pay for the checkpoints of the log, and short enough that some are left in peace.
    count, rounds = (64, 1) if quick else (1_024, 12)
    sealed = _best(10, count, rounds, Scheme.NIP44)
    plain = _best(10, count, rounds, Scheme.PLAIN)
    rate, peer_rate = sealed.settlements / sealed.total_s, sealed.settlements / sealed.peer_s
    figures = [
        Figure("settlements, 10 LPs, NIP-44 content", rate, "/s", Aim(RATE_AIM)),
        Figure("settlements, 10 LPs, plain content", plain.settlements / plain.total_s, "/s"),
        Figure("rows written for each", sealed.rows / sealed.settlements, "rows"),
        Figure("sqlite3 executemany of the same rows: the peer", peer_rate, "/s"),
        Figure("share of the peer, NIP-44 content", rate / peer_rate, "", Aim(SHARE_AIM)),
        Figure("share of the peer, plain content", plain.peer_s / plain.total_s, ""),
        Figure("of it deciding and sealing", sealed.each_us(sealed.deciding_s), "us each"),
        Figure("of it committing", sealed.each_us(sealed.committing_s), "us each"),
    ]
    for lp_count, many in ((10, count), (100, 512), (1_000, 256)) if not quick else ((10, 64), (20, 64)):
        best = sealed if lp_count == 10 else _best(lp_count, many, min(rounds, 3), Scheme.NIP44)
        figures.append(Figure(f"cost of a settlement, {lp_count:,} LPs", best.each_us(best.total_s), "us each"))
        figures.append(Figure(f"the peer's cost, {lp_count:,} LPs", best.each_us(best.peer_s), "us each"))
    return figures


def _best(lp_count: int, count: int, rounds: int, scheme: Scheme) -> Round:
    """The best times of each kind, over some rounds on one growing journal."""
    measured = run(_measure_rounds(lp_count, count, rounds, scheme))
    fastest = min(measured, key=lambda one: one.total_s)
    fastest.peer_s = min(one.peer_s for one in measured)
    return fastest


async def _measure_rounds(lp_count: int, count: int, rounds: int, scheme: Scheme) -> list[Round]:
    house = House(lp_count)
    measured = []
    with tempfile.TemporaryDirectory(prefix="nostrbot-bench-") as folder, _recorded_statements() as recorded:
        path = Path(folder)
        async with open_books(house, path / "books.sqlite") as books:
            with closing(_copy(path / "books.sqlite", path / "peer.sqlite")) as peer:
                for number in range(rounds):
                    events = house.sales(count, first=number * count, scheme=scheme)
                    gc.collect()
                    gc.freeze()  # as the bot does once it has loaded its books
                    measured.append(await _measure_round(books, peer, events, recorded))
    return measured


async def _measure_round(
    books: Books, peer: sqlite3.Connection, events: Sequence[VerifiedEvent], recorded: list[Statement]
) -> Round:
    """One batch by the bot, the same rows by the peer, and so on: the two share whatever else the computer does."""
    timed = Round(len(events))
    for batch in batches(events):
        recorded.clear()
        started = perf_counter()
        turn = await books.take(batch)
        decided = perf_counter()
        await books.store.writer.commit(turn.batch)
        timed.deciding_s += decided - started
        timed.committing_s += perf_counter() - decided
        assert len(turn.batch.entries) == len(batch), "a sale was refused"
        timed.rows += sum(len(rows) for _, rows in recorded)
        timed.peer_s += _replay(peer, recorded)
    return timed


@contextmanager
def _recorded_statements() -> Iterator[list[Statement]]:
    """Every statement for many rows, as the driver gets it."""
    recorded: list[Statement] = []
    executemany = aiosqlite.Connection.executemany

    async def note(connection: aiosqlite.Connection, sql: str, rows: Any) -> aiosqlite.Cursor:
        recorded.append((sql, rows))
        return await executemany(connection, sql, rows)

    aiosqlite.Connection.executemany = note
    try:
        yield recorded
    finally:
        aiosqlite.Connection.executemany = executemany


def _copy(database: Path, to: Path) -> sqlite3.Connection:
    """A second database, the same so far."""
    connection = sqlite3.connect(to, isolation_level=None)
    with closing(sqlite3.connect(database)) as source:
        source.backup(connection)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _replay(peer: sqlite3.Connection, writes: Sequence[Statement]) -> float:
    """The seconds bare sqlite3 needs for one batch, in one transaction."""
    started = perf_counter()
    peer.execute("BEGIN")
    for sql, rows in writes:
        peer.executemany(sql, rows)
    peer.execute("COMMIT")
    return perf_counter() - started
