"""What every test may rely on, and in which order they are run.

A program that was started with Ctrl-C ignored, as a shell does with what it puts into the background, leaves that to its
children: tests that interrupt one of theirs would wait in vain.
"""

import signal
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# Files that take longest. They are begun first, so that no core is left without work while another is at one of them.
LONG = (
    "test_simulator.py",
    "e2e/test_places.py",
    "test_readme.py",
    "core/test_whole_table.py",
    "cli/test_maintenance.py",
    "cli/test_shutdown.py",
    "reading/test_reading.py",
    "audit/test_workers.py",
    "fuzz/test_desk.py",
    "test_bench.py",
)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files change places; within one the order stays."""
    first = {TESTS / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: first.get(item.path, len(first)))
