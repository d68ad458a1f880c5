"""Fitting: how much of a list fits in one answer, which is one event.

What lives here: measuring rows and cutting lists. What does not: pages and where they go on (reading/pages.py).
docs/protocol.md section 6.
"""

from collections.abc import Iterable

from nostrbot.core.plain import View
from nostrbot.nostr.giftwrap import WRAPPED_TEXT_MAX_BYTES, text_bytes
from nostrbot.nostr.sealing import Scheme
from nostrbot.views.json_text import json_text
from nostrbot.views.lines import escape

REPLY_BYTES_MAX = 40 * 1024  # plain text; encrypted and wrapped it stays under the 65,536 bytes relays take
DATA_BYTES_MAX = REPLY_BYTES_MAX - 512  # the rest is room for the frame around the data of an answer

Data = View | list[View]


class Shortened(list[View]):
    """The rows of a bare list that fit in one event, when others do not: the answer says so beside them."""


def fits(text: str, scheme: Scheme) -> bool:
    """Whether an answer fits in one event; a gift wrap holds less."""
    if scheme is Scheme.NIP17:
        return text_bytes(text) <= WRAPPED_TEXT_MAX_BYTES
    return len(text.encode()) <= REPLY_BYTES_MAX


def row_bytes(row: View) -> int:
    """Return the bytes a row takes in an answer. Words show it escaped: six bytes for a character of which JSON makes
    three.
    """
    return len(escape(json_text(row)).encode()) + 1


def view_bytes(view: View) -> int:
    """Return what a view takes as JSON."""
    return len(json_text(view).encode())


def rows_that_fit(rows: Iterable[View], *, used_bytes: int = 0) -> list[View]:
    """Return as many of the first rows as fit in one event beside what is there already; the rest is never made."""
    fitting: list[View] = []
    room = DATA_BYTES_MAX - used_bytes
    for row in rows:
        room -= row_bytes(row)
        if room < 0:
            break
        fitting.append(row)
    return fitting
