"""An auditor that says how long it took: `python -m bench.trail_check TRAIL JOBS`, run by audit.py.

What lives here: one verification in a process of its own. What does not: the trail.
"""

import sys
from pathlib import Path
from time import perf_counter

import orjson

from bench.memory import peak_mb
from nostrbot.audit.verification import verify_trail

if __name__ == "__main__":
    trail, jobs = Path(sys.argv[1]), int(sys.argv[2])
    began = perf_counter()
    with trail.open("rb") as lines:
        verify_trail(lines, jobs=jobs)
    print(orjson.dumps({"verify_s": perf_counter() - began, "peak_mb": peak_mb()}).decode())
