"""The workplace: a folder beside a database or a backup, to make something in that must be whole before it is put in
place.

What lives here: making one, and doing away with it, also with those of processes that were killed in theirs: a copy of
the books, even of a key, must not lie about for ever. What does not: what is made in it (rebuilding.py, backup/).

Its owner holds the kernel's lock on it, which ends with the process however it ends: a folder without a lock is
left over.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

PREFIX = ".nostrbot-work-"


@contextmanager
def workplace(beside: Path) -> Iterator[Path]:
    """Make a new folder in `beside`, 0700 and gone with the block; others' remains are removed. Raises OSError."""
    for left in beside.glob(f"{PREFIX}*"):
        _clear_away(left)
    folder, descriptor = _make(beside)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _make(beside: Path) -> tuple[Path, int]:
    while True:
        folder = Path(mkdtemp(prefix=PREFIX, dir=beside))
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)
        # Somebody took it for one left over, in the moment before it was held.


def _clear_away(folder: Path) -> None:
    """Remove a workplace that nobody holds; one of another user's stays."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(descriptor)
