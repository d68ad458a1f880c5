"""Room: how much of a list fits in one answer, which is one event.

What lives here: measuring rows and cutting lists. What does not: pages and where they go on (reading/pages.py).
docs/protocol.md section 6.
"""

from collections.abc import Iterable

from nostrbot.core.json_text import json_text
from nostrbot.core.lines import escape
from nostrbot.core.replies import REPLY_BYTES_MAX
from nostrbot.core.views import View

DATA_BYTES_MAX = REPLY_BYTES_MAX - 512  # the rest is room for the frame around the data of an answer


def row_bytes(row: View) -> int:
    """What a row takes in an answer. Escaped, as words show it: six bytes for a character of which JSON makes three."""
    return len(escape(json_text(row)).encode()) + 1


def view_bytes(view: View) -> int:
    """Return what a view takes as JSON."""
    return len(json_text(view).encode())


def rows_that_fit(rows: Iterable[View], *, used_bytes: int = 0) -> list[View]:
    """As many of the first rows as fit in one event beside what is there already; no more are made than needed."""
    fitting: list[View] = []
    room = DATA_BYTES_MAX - used_bytes
    for row in rows:
        room -= row_bytes(row)
        if room < 0:
            break
        fitting.append(row)
    return fitting
