"""Audit: how fast a trail is verified, on one core and on two, and how much memory that takes as the trail grows.

What lives here: making trails, and timing fresh processes over them. What does not: what such a process does
(trail_check.py). The limit is bare schnorrsig verification of the same events on one core: an auditor also hashes, opens
and decides again every entry.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import orjson
from coincurve import GLOBAL_CONTEXT, PublicKeyXOnly
from coincurve._libsecp256k1 import lib  # what coincurve itself calls: the limit must not pay for a wrapper

from bench.figures import Aim, Figure
from bench.house import House, batches, open_books, run
from nostrbot.exports.trail import export_trail

LP_COUNT = 10
MEMORY_GROWTH_AIM = 1.1  # ten times the trail, and hardly more memory


def measure(*, quick: bool) -> list[Figure]:
    """Entries a second on one core and on two, and the peak memory at 10,000 and at 100,000 entries."""
    few, many = (300, 600) if quick else (10_000, 100_000)
    with tempfile.TemporaryDirectory(prefix="nostrbot-bench-") as folder:
        short, long = Path(folder) / "short.jsonl", Path(folder) / "long.jsonl"
        run(_write_trails(Path(folder), {few: short, many: long}))
        runs = 1 if quick else 3
        limit = _schnorr_rate(short, runs)
        one = [_verify(short, jobs=1) for _ in range(runs)]
        two = [_verify(short, jobs=2) for _ in range(runs)]
        long_run = _verify(long, jobs=2)
    alone, together = (few / min(told["verify_s"] for told in tellings) for tellings in (one, two))
    at_few, at_many = max(told["peak_mb"] for told in two), long_run["peak_mb"]
    return [
        Figure("libsecp256k1 schnorrsig_verify on one core: the limit", limit, "/s"),
        Figure(f"entries verified, trail of {few:,}, 10 LPs, 1 core", alone, "/s"),
        Figure(f"entries verified, trail of {few:,}, 10 LPs, 2 cores", together, "/s"),
        Figure("share of the limit, 1 core", alone / limit, ""),
        Figure("share of the limit of two cores, 2 cores", together / (2 * limit), ""),
        Figure("2 cores are faster than 1 by", together / alone, "times"),
        Figure(f"entries verified, trail of {many:,}, 2 cores", many / long_run["verify_s"], "/s"),
        Figure(f"peak memory of the deciding process, {few:,} entries", at_few, "MB"),
        Figure(f"peak memory of the deciding process, {many:,} entries", at_many, "MB"),
        Figure("peak memory, long trail against short", at_many / at_few, "times", Aim(MEMORY_GROWTH_AIM, below=True)),
    ]


async def _write_trails(folder: Path, trails: dict[int, Path]) -> None:
    """Trails of one growing book: by so many sales, the file to write."""
    house, sold = House(LP_COUNT), 0
    async with open_books(house, folder / "books.sqlite") as books:
        for count, path in trails.items():
            while sold < count:
                for batch in batches(house.sales(min(2_560, count - sold), first=sold)):
                    await books.enter(batch)
                    sold += len(batch)
            with path.open("wb") as file:
                async for line in export_trail(books.store.queries, house.bot.pubkey, house.operator.pubkey):
                    file.write(line)


def _verify(trail: Path, *, jobs: int) -> dict[str, float]:
    """One verification in a fresh process."""
    ran = subprocess.run(
        [sys.executable, "-m", "bench.trail_check", str(trail), str(jobs)], capture_output=True, check=True
    )
    told: dict[str, float] = orjson.loads(ran.stdout)
    return told


def _schnorr_rate(trail: Path, runs: int) -> float:
    claims = list(_claims(trail))
    verify, context = lib.secp256k1_schnorrsig_verify, GLOBAL_CONTEXT.ctx
    best_s = float("inf")
    for _ in range(runs):
        started = perf_counter()
        for signature, digest, pubkey in claims:
            assert verify(context, signature, digest, 32, pubkey)
        best_s = min(best_s, perf_counter() - started)
    return len(claims) / best_s


def _claims(trail: Path) -> Iterator[tuple[bytes, bytes, object]]:
    keys: dict[str, object] = {}
    with trail.open("rb") as lines:
        next(lines)
        for line in lines:
            event = orjson.loads(line)["input"]["event"]
            pubkey = event["pubkey"]
            if pubkey not in keys:
                keys[pubkey] = PublicKeyXOnly(bytes.fromhex(pubkey)).public_key
            yield bytes.fromhex(event["sig"]), bytes.fromhex(event["id"]), keys[pubkey]
