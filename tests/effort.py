"""Effort: how many examples a test tries whose examples cost time.

`make test` tries a third of them, `make soak` all: it sets EXAMPLES=all. What lives here: that one number. What does not: how often
fuzz tests are tried over and over (fuzz/effort.py).
"""

import os

ALL = os.environ.get("EXAMPLES", "") == "all"
SHARE = 3  # so many times fewer in `make test`


def examples(count: int) -> int:
    """How many of so many examples to try."""
    return count if ALL else -(-count // SHARE)
