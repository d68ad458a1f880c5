"""The desks there are: a tuple, and its parts joined.

What lives here: the tuple, and the tables that the engine, evolution and the table of commands look things up in. What
does not: what a desk is (core/desk.py), and what it does (its own folder). Nothing is discovered: a new desk is one
more name here. No two desks may claim the same command, event, observation or fact.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from nostrbot.core.atm.desk import ATM
from nostrbot.core.book import Book, check_ledger
from nostrbot.core.desk import Booker, Decider, Desk, Evolver, Hearer, Observer
from nostrbot.core.payouts.desk import PAYOUTS
from nostrbot.core.platform.desk import PLATFORM

Key = TypeVar("Key")
Value = TypeVar("Value")

DESKS: tuple[Desk, ...] = (PLATFORM, ATM, PAYOUTS)


def joined(tables: Iterable[Mapping[Key, Value]]) -> dict[Key, Value]:
    """Join tables that share no key. Raises ValueError if two share one."""
    whole: dict[Key, Value] = {}
    for table in tables:
        twice = whole.keys() & table.keys()
        if twice:
            raise ValueError(f"two desks claim {twice}")
        whole |= table
    return whole


DECIDERS: Mapping[str, tuple[Desk, Decider]] = joined(
    {verb: (desk, decider) for verb, decider in desk.deciders.items()} for desk in DESKS
)
HEARERS: Mapping[int, Hearer] = joined(desk.hearers for desk in DESKS)
OBSERVERS: Mapping[str, Observer] = joined(desk.observers for desk in DESKS)
EVOLUTION: Mapping[type, Evolver] = joined(desk.evolution for desk in DESKS)
BOOKING: Mapping[type, Booker] = joined(desk.booking for desk in DESKS)


def check_books(book: Book) -> None:
    """Raise BooksError unless the ledger sums to zero and agrees with what each desk keeps. Start-up and tests ask."""
    check_ledger(book)
    for desk in DESKS:
        desk.check(book)
