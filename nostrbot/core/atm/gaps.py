"""Gaps: `gap dismiss`, by which an operator says that settlements missing in a machine's count will not come.

What lives here: the command, and what is missing then. What does not: the count itself (core/atm/counter.py).
docs/protocol.md sections 3.1 and 6; review A16.
"""

from copy import deepcopy

from nostrbot.core.atm.counter import JUMP_MAX, Counter
from nostrbot.core.atm.facts import GapsDismissed
from nostrbot.core.atm.registry import find_machine
from nostrbot.core.book import Book
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.facts import Fact


def dismiss_gaps(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """End the gaps that are named, or all. All of them: a count that strayed is the machine's count from now on."""
    machine, named = find_machine(book, order.args["machine"]), order.args.get("numbers")
    if isinstance(machine, CommandRefused):
        return machine
    counter = book.tills[machine.handle].counter
    runs = named or tuple((gap.first, gap.last) for gap in counter.missing)
    stray = counter.stray if named is None else None
    # By rules 1 a stray number was believed: what lay before it is one gap, in which nothing is counted any more.
    is_lost = named is None and any(gap.last - gap.first >= JUMP_MAX for gap in counter.gaps)
    newest = stray.newest if stray else None if is_lost else counter.newest
    fact = GapsDismissed(machine.handle, runs, newest, is_over=stray is not None or is_lost)
    after = counter_after(counter, fact)
    return () if after == counter else (fact,)


def counter_after(counter: Counter, fact: GapsDismissed) -> Counter:
    """Return the counter as it is once these gaps are dismissed."""
    after = deepcopy(counter)
    after.dismiss(fact.runs, fact.newest, is_over=fact.is_over)
    return after
