"""Seeds: many worlds, one after the other or on several cores.

What lives here: running them, and the words for one that went wrong. What does not: what a seed is (world.py).
"""

from collections.abc import Iterator
from multiprocessing import get_context

import pytest

from tests.simulator.stage import stage
from tests.simulator.world import Outcome, run_seed

REPLAY = "python -m tests.simulator --seed {} --verbose"
PART = 50  # seeds that a process is given at once


def run_seeds(seeds: range) -> Iterator[Outcome]:
    """Live through these seeds in this process."""
    with pytest.MonkeyPatch.context() as patches, stage(patches) as folder:
        for seed in seeds:
            yield run_seed(seed, folder)


def run_in_parallel(seeds: range, jobs: int) -> Iterator[Outcome]:
    """The same in so many processes, in no order."""
    parts = [seeds[start : start + PART] for start in range(0, len(seeds), PART)]
    with get_context("spawn").Pool(jobs) as pool:
        for outcomes in pool.imap_unordered(_run_part, parts):
            yield from outcomes


def _run_part(seeds: range) -> list[Outcome]:
    return list(run_seeds(seeds))


def told(outcome: Outcome) -> str:
    """What a person must know of a seed that went wrong."""
    return "\n".join(
        (
            *outcome.tale,
            f"seed {outcome.seed}, step {outcome.steps}: {outcome.broken}",
            f"again: {REPLAY.format(outcome.seed)}",
        )
    )
