"""`nostrbot` on a computer whose wall clock somebody sets: the true time, and so many seconds more as a file says.

What lives here: a program to be started in a process of its own, `python -m tests.peers.moved_clock FILE run --home …`. What does
not: who writes the file. The running clock (time.monotonic) is the true one, as on any computer.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

from nostrbot.cli import main


def move_clock(file: Path) -> None:
    """From now on this process takes that for the time."""
    true_time = time.time

    def moved_time() -> float:
        ahead_s = 0
        with suppress(OSError, ValueError):  # not there yet, or just being written
            ahead_s = int(file.read_text())
        return true_time() + ahead_s

    time.time = moved_time


if __name__ == "__main__":
    move_clock(Path(sys.argv.pop(1)))
    sys.argv[0] = "nostrbot"
    main()
