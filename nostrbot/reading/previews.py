"""Previews: what a command that changes something would have come to, where that takes looking back.

What lives here: what a set of splits would have paid over the last 30 days. What does not: what the command itself
would answer, which is decided with the others (runtime/bookkeeper.py). docs/protocol.md section 6.
"""

import asyncio
from collections.abc import Mapping

from nostrbot.core.atm.splits import share_pots
from nostrbot.core.book import Book
from nostrbot.core.local_time import DAY_S
from nostrbot.reading.question import Begun, Question
from nostrbot.store.queries import Queries
from nostrbot.views.fitting import Data

MONTH_S = 30 * DAY_S
POTS_AT_ONCE = 100  # others wait for the same event loop


async def add_last_month(books: Mapping[str, Book], queries: Queries, question: Question, begun: Begun) -> Data:
    """Add to what a set of splits comes to what it would have paid, where it is to be in force."""
    book, machine = question.own_book(books), question.args.get("machine")
    machines = [machine] if machine else [name for name in book.machines if not book.splits.get(name)]
    pots = await queries.leg_sums.pots(book.key, machines, since=question.at - MONTH_S)
    sats = [0] * len(begun.splits)
    for first in range(0, len(pots), POTS_AT_ONCE):
        parts = share_pots(begun.splits, pots[first : first + POTS_AT_ONCE])
        sats = [known + more for known, more in zip(sats, parts, strict=True)]
        await asyncio.sleep(0)
    last_month = [{"label": rule.label, "sats": sum_} for rule, sum_ in zip(begun.splits, sats, strict=True)]
    return {**begun.view, "last_month": last_month}
