"""Pages: as many rows of a list as were asked for and as fit in one event, and what is needed to go on after them.

What lives here: cutting lists into pages, and reading an LP's legs a few at a time. What does not: which lists there are
and what a row shows (reading.py). docs/protocol.md section 6, Pages.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

from nostrbot.core.book import Book
from nostrbot.core.commands import LIST_LIMIT_DEFAULT, Code, Refused
from nostrbot.core.replies import REPLY_BYTES_MAX, escape
from nostrbot.core.views import View
from nostrbot.store.queries import Queries, StoredEntry

DATA_BYTES_MAX = REPLY_BYTES_MAX - 512  # the rest is room for the frame around the data of an answer
ENTRIES_AT_ONCE = 20  # read from the journal: one of a machine with hundreds of LPs has hundreds of kB
NOT_IN_LIST = Refused(Code.BAD_ARGUMENT, "before must be an id of this list")

Thing = TypeVar("Thing")
Place = tuple[int, str, int]  # of a leg in a history: when (unix seconds), the operator's name, the leg's number


class Page:
    """Rows of a list as they come: at most as many as asked for, and as fit in one event."""

    def __init__(self, args: Mapping[str, Any]) -> None:
        self._limit: int = args.get("limit", LIST_LIMIT_DEFAULT)
        self._room = DATA_BYTES_MAX
        self._rows: list[View] = []
        self._last_id = ""
        self._more = False

    @property
    def entries_wanted(self) -> int:
        """How many entries to read next: what is missing and one to see that there is more, but a few at a time."""
        return min(self._limit - len(self._rows) + 1, ENTRIES_AT_ONCE)

    def take(self, row_id: str, row: View) -> bool:
        """Take a row in, unless the page is full: then there is more, and no row after it counts."""
        self._room -= _bytes(row)
        self._more = len(self._rows) == self._limit or (self._room < 0 and self._rows != [])
        if not self._more:
            self._rows.append(row)
            self._last_id = row_id
        return not self._more

    def view(self, noun: str) -> View:
        """The page; with `more` and `before` when some rows were left out."""
        return {noun: self._rows, **({"more": True, "before": self._last_id} if self._more else {})}


def page_of(
    noun: str, things: Iterable[tuple[str, Thing]], show: Callable[[Thing], View | None], args: Mapping[str, Any]
) -> View | Refused:
    """One page of a list held in memory, from after `before=` on. `show` gives None for what was not asked for.

    `before=` may name what was not asked for: a deposit may have changed its status since the page that ended with it.
    """
    before = args.get("before", "").lower()
    is_reached = "before" not in args
    page = Page(args)
    for thing_id, thing in things:
        if not is_reached:
            is_reached = thing_id == before
            continue
        row = show(thing)
        if row is not None and not page.take(thing_id, row):
            break
    return page.view(noun) if is_reached else NOT_IN_LIST


def _bytes(row: View) -> int:
    """What a row takes in an answer. Escaped, as words show it: six bytes for a character of which JSON makes three."""
    return len(escape(orjson.dumps(row).decode()).encode()) + 1


def rows_that_fit(rows: Iterable[View], *, used_bytes: int = 0) -> list[View]:
    """As many of the first rows as fit in one event beside what is there already; no more are made than needed."""
    fitting: list[View] = []
    room = DATA_BYTES_MAX - used_bytes
    for row in rows:
        room -= _bytes(row)
        if room < 0:
            break
        fitting.append(row)
    return fitting


@dataclass(slots=True)
class LegsOfBook:
    """An LP's legs in one book, newest first, from after `last` on; read from the journal `at_once` at a time."""

    queries: Queries
    book: Book
    lp: str
    since: int | None
    last: Place | None
    at_once: int
    waiting: deque[tuple[Place, StoredEntry]] = field(default_factory=deque)
    before: int | None = None  # the number of the last leg that was read

    async def look(self) -> bool:
        """Whether there is another leg; it then lies in front of those waiting."""
        if self.before is None and self.last is not None and self.last[1] == self.book.handle:
            self.before = self.last[2]
        until = None if self.last is None else self.last[0]
        while not self.waiting:
            read = await self.queries.legs_of(
                self.book.key, self.lp, before=self.before, since=self.since, until=until, limit=self.at_once
            )
            if not read:
                return False
            self.before = read[-1][0]
            places = [((stored.at, self.book.handle, number), stored) for number, stored in read]
            self.waiting += [(place, stored) for place, stored in places if self.last is None or place < self.last]
        return True
