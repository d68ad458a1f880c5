"""`python -m tests.simulator`: run seeds, or one of them again.

What lives here: the command line. What does not: running them (seeds.py), what a seed is (world.py).
"""

import argparse
import sys
import time

import pytest

from tests.simulator.seeds import run_in_parallel, run_seeds, told
from tests.simulator.stage import stage
from tests.simulator.world import run_seed


def run_one(seed: int, *, verbose: bool) -> int:
    """One seed, told as it happens or in the end."""
    with pytest.MonkeyPatch.context() as patches, stage(patches) as folder:
        outcome = run_seed(seed, folder, on_tell=print if verbose else None)
    if outcome.broken:
        print(told(outcome))
        return 1
    print(f"seed {seed}: {outcome.steps} steps, {outcome.entries} entries, trace {outcome.trace}")
    return 0


def run_many(seeds: range, jobs: int) -> int:
    """Those that went wrong are told, the others are counted."""
    began = time.monotonic()
    count = entries = runs = broken = 0
    for outcome in run_in_parallel(seeds, jobs) if jobs > 1 else run_seeds(seeds):
        count, entries, runs = count + 1, entries + outcome.entries, runs + outcome.runs
        if outcome.broken:
            broken += 1
            print(told(outcome), end="\n\n", flush=True)
    took_s = time.monotonic() - began
    print(f"{count} seeds, {entries} entries, {runs} runs of the bot, {broken} broken, {took_s:.0f} s")
    return 1 if broken else 0


def main() -> int:
    """Read the arguments and do it; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator")
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", type=int, default=1, dest="first", metavar="SEED", help="the first of them")
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--verbose", action="store_true", help="with --seed: tell all that happens")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    args = parser.parse_args()
    if args.seed is not None:
        return run_one(args.seed, verbose=args.verbose)
    return run_many(range(args.first, args.first + args.seeds), args.jobs)


if __name__ == "__main__":
    sys.exit(main())
