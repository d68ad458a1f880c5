"""Pages: as many rows of a list as were asked for and as fit in one event, and what is needed to go on after them.

What lives here: cutting lists into pages, and reading an LP's legs a few at a time. What does not: which lists there
are and what a row shows (reading/). docs/protocol.md section 6, Pages.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nostrbot.core.book import Book
from nostrbot.core.commands.command import LIST_LIMIT_DEFAULT
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.plain import View
from nostrbot.store.queries import Queries
from nostrbot.store.stored import StoredLeg
from nostrbot.views.fitting import DATA_BYTES_MAX, row_bytes

ENTRIES_AT_ONCE = 20  # read from the journal: one of a machine with hundreds of LPs has hundreds of kB
NOT_IN_LIST = CommandRefused(Code.BAD_ARGUMENT, "before must be an id of this list")

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
        """Return how many entries to read next: those missing and one more to see that there is one, but a few at a
        time.
        """
        return min(self._limit - len(self._rows) + 1, ENTRIES_AT_ONCE)

    def take(self, row_id: str, row: View) -> bool:
        """Take a row in, unless the page is full: then there is more, and no row after it counts."""
        self._room -= row_bytes(row)
        self._more = len(self._rows) == self._limit or (self._room < 0 and self._rows != [])
        if not self._more:
            self._rows.append(row)
            self._last_id = row_id
        return not self._more

    def view(self, noun: str) -> View:
        """Return the page; with `more` and `before` when some rows were left out."""
        return {noun: self._rows, **({"more": True, "before": self._last_id} if self._more else {})}


def page_of(
    noun: str, things: Iterable[tuple[str, Thing]], show: Callable[[Thing], View | None], args: Mapping[str, Any]
) -> View | CommandRefused:
    """Return one page of a list in memory, from after `before=` on. `show` gives None for a row that nobody asked for.

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


def read_id(text: str, letter: str) -> int | None:
    """Read the number in an id like `s12`, with or without its letter."""
    digits = text.lower().removeprefix(letter)
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 16 else None


@dataclass(slots=True)
class LegsOfBook:
    """An LP's legs in one book, newest first, from after `last` on; read from the journal `at_once` at a time.

    `args`: of the question; since=, until=, type= and machine= say which legs.
    """

    queries: Queries
    book: Book
    lp: str
    args: Mapping[str, Any]
    last: Place | None
    at_once: int
    waiting: deque[tuple[Place, StoredLeg]] = field(default_factory=deque)
    before: int | None = None  # the number of the last leg that was read

    async def look(self) -> bool:
        """Whether there is another leg; it then lies in front of those waiting."""
        if self.before is None and self.last is not None and self.last[1] == self.book.handle:
            self.before = self.last[2]
        ends = [self.args["until"]] if "until" in self.args else []
        if self.last is not None:
            ends.append(self.last[0])
        while not self.waiting:
            read = await self.queries.legs_of(
                self.book.key,
                self.lp,
                before=self.before,
                since=self.args.get("since"),
                until=min(ends, default=None),
                kind=self.args.get("type"),
                machine=self.args.get("machine"),
                limit=self.at_once,
            )
            if not read:
                return False
            self.before = read[-1].number
            places = [((leg.made.at, self.book.handle, leg.number), leg) for leg in read]
            self.waiting += [(place, leg) for place, leg in places if self.last is None or place < self.last]
        return True
