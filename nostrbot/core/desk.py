"""A desk: what one product family brings to a book, in one place.

What lives here: the shape of a desk, and of the functions it is made of. What does not: which desks there are
(core/desks.py), and who calls them (core/engine.py, core/evolution.py, core/table.py). docs/architecture.md, "Desks".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nostrbot.core.atm.recall import Duplicate
from nostrbot.core.book import Book
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.commands.specs import CommandSpec
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import Observed, Signed
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.refusals import Refusal


class Place(NamedTuple):
    """The place of a fact: in entry `seq`, accepted `at` (unix seconds), decided by `rules`."""

    seq: int
    at: int
    rules: int


class Decision(NamedTuple):
    """The result of an input: facts to seal, or nothing to seal and the reason why.

    `facts` empty and `instead` None: a command that asks for what already is.
    """

    facts: tuple[Fact, ...] = ()
    instead: Duplicate | CommandRefused | Refusal | None = None


# What a command comes to, in a book.
Decider = Callable[[Book, Order], tuple[Fact, ...] | CommandRefused]
# The result of an event that is not a command, in a book, at a time, by rules; and what it says, where that was read
# before.
Hearer = Callable[[Book, Signed, Any, int, int], Decision]
# How a fact changes a book, and what it is booked as.
Evolver = Callable[[Any, Book, Place], None]
Booker = Callable[[Any], Transaction | None]


class Observer(NamedTuple):
    """The decider of one kind of observation.

    Attributes:
        decide: what it comes to, in a book, at a time, by rules.
        is_proven: whether what was seen proves itself; else it rests on the bot's word.
    """

    decide: Callable[[Book, Observed, int, int], tuple[Fact, ...] | Refusal]
    is_proven: Callable[[Observed], bool]


def nothing_due(book: Book, at: int, rules: int) -> tuple[Fact, ...]:
    """Return what is due by the clock at a desk that has no plans."""
    return ()


def no_bounds(book: Book, facts: tuple[Fact, ...], rules: int) -> CommandRefused | None:
    """Refuse nothing: a desk whose commands move no money."""
    return None


def nothing_to_check(book: Book) -> None:
    """Check nothing: a desk that keeps no sums."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One product family.

    Attributes:
        specs: the rows of its commands; a row says who may say it and what it needs.
        deciders: how each command that changes a book is decided, by verb.
        hearers: how signed events that are no commands are decided, by kind.
        observers: how observations are decided, by what was seen.
        due: what the clock asks for in a book; () where nothing is due.
        bound: why what a command comes to would take a book beyond its bounds, or None.
        evolution: how each of its facts changes a book.
        booking: what those facts that move money are booked as.
        check: raises BooksError if a book is not as this desk promises.
    """

    name: str
    specs: tuple[CommandSpec, ...]
    deciders: Mapping[str, Decider]
    evolution: Mapping[type, Evolver]
    hearers: Mapping[int, Hearer] = field(default_factory=dict)
    observers: Mapping[str, Observer] = field(default_factory=dict)
    booking: Mapping[type, Booker] = field(default_factory=dict)
    due: Callable[[Book, int, int], tuple[Fact, ...]] = nothing_due
    bound: Callable[[Book, tuple[Fact, ...], int], CommandRefused | None] = no_bounds
    check: Callable[[Book], None] = nothing_to_check
