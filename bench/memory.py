"""Memory: the most a process has held.

What lives here: reading it from the system. What does not: whose process it is.
"""

import resource
from pathlib import Path


def peak_mb() -> float:
    """The most memory this program has held at once.

    Linux counts the parent's memory into ru_maxrss of a child that was forked from it, so there its own account is read.
    """
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1_024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS
