"""Specs: what one row of the table of commands is made of.

What lives here: who may say something, its arguments, how help shows it. What does not: the rows (core/table.py,
core/atm/operator_commands.py). docs/protocol.md section 6.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nostrbot.core.commands import arguments
from nostrbot.core.commands.arguments import Wanted
from nostrbot.core.rules import FIRST


class Period(StrEnum):
    """The period of a report: the local day so far, or the days before now."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Range(StrEnum):
    """The range of an LP's statistics."""

    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"
    YEAR = "1y"
    ALL = "all"


class Role(StrEnum):
    """The roles that commands belong to."""

    PLATFORM = "platform"
    OPERATOR = "operator"
    LP = "lp"
    ANYONE = "everyone"


BY_PLATFORM = frozenset({Role.PLATFORM})
BY_OPERATOR = frozenset({Role.OPERATOR})
BY_LP = frozenset({Role.LP})
BY_ANYONE = frozenset({Role.ANYONE})


class Scope(StrEnum):
    """The books a command concerns. The first of them answers."""

    OWN = "own"  # the operator's own
    JOINED = "joined"  # those an LP has joined, or else the first that enrolled it
    ENROLLED = "enrolled"  # all that enrolled an LP, those it has joined first
    EVERY = "every"  # all there are
    OPENED = "opened"  # the root book, and one that is opened by it
    NAMED = "named"  # the root book, and that of the operator it names
    HOLDER = "holder"  # the one that holds the key it names, and the root book


class Part(StrEnum):
    """The parts a key may have in a book. A key that was replaced or rotated out keeps its part and loses its power."""

    BOT = "bot"
    PLATFORM = "platform"
    OPERATOR = "operator"
    FORMER_OPERATOR = "former_operator"
    MACHINE = "machine"
    LP = "lp"
    PARTY = "party"  # another key in a commission split, or to which sats are owed from one


class Past(StrEnum):
    """The parts of a book's past that a command is decided with; they are loaded before."""

    SETTLEMENT = "settlement"  # the settlement it names
    LEG = "leg"  # the payment it names
    PAYMENT_HASH = "payment_hash"  # settlements with the payment hash it names, or with its own id for one
    STOLEN = "stolen"  # what a stolen key may have sold


class Answerer(StrEnum):
    """The module that answers a command which changes no book."""

    READING = "reading"
    NOTARY = "notary"  # its answer is signed
    UNREAD = "unread"  # it changes what is kept beside the books


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument. `read` turns its text into a value, or says what is wanted."""

    name: str
    read: Callable[[str], Any | Wanted]
    positional: bool = False
    required: bool = False
    shown: str = ""  # as help shows the value
    many: bool = False  # it takes all words that are left, as one text with commas


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One row of the table of commands: who may say it, what it is made of, and what it needs.

    Attributes:
        rest: how help shows free key=value pairs, where the command takes them.
        weight: how much of what its author may say at once it takes: it has much of the past looked up.
        protects: it stops money from going where it should not: never passed over in silence.
        scope: which books it concerns.
        gives: the part it gives to a key.
        enrols: who is known, and what as, is another after it.
        is_alone: no other command is decided in one segment of a turn with it, so that nothing changes what was looked
            up.
        may_be_carried: a book may take it over from another one, where it was decided in time; anything else has its
            moment but once.
        one_limit: its limit must be one in each of the books it concerns, or it is entered in none.
        shows_past: its preview shows what was, which is looked up beside the sales, as for a question.
        pasts: what of the past it is decided with.
        since_rules: the number of the rules that know it.
        answerer: who answers it, where it changes no book.
    """

    verb: str
    roles: frozenset[Role]
    changes: bool
    summary: str
    args: tuple[Arg, ...] = ()
    rest: str = ""
    example: str = ""
    weight: int = 1
    protects: bool = False
    scope: Scope = Scope.OWN
    gives: Part | None = None
    enrols: bool = False
    is_alone: bool = False
    may_be_carried: bool = False
    one_limit: bool = False
    shows_past: bool = False
    pasts: frozenset[Past] = frozenset()
    since_rules: int = FIRST
    answerer: Answerer = Answerer.READING

    def is_for(self, roles: Iterable[Role]) -> bool:
        """Whether somebody with these roles may say it."""
        return Role.ANYONE in self.roles or not self.roles.isdisjoint(roles)

    @property
    def usage(self) -> str:
        """The command as help shows it."""
        words = [self.verb]
        for arg in self.args:
            if not arg.shown and not arg.positional:
                continue
            word = f"<{arg.name}>" if arg.positional else f"{arg.name}={arg.shown}"
            words.append(word if arg.required else f"[{word}]")
        return " ".join([*words, self.rest]).rstrip()


def place(name: str, read: Callable[[str], Any]) -> Arg:
    """Declare an argument that stands in its place."""
    return Arg(name, read, positional=True, required=True)


def optional(name: str, read: Callable[[str], Any]) -> Arg:
    """Declare an argument that stands in its place and may be left out."""
    return Arg(name, read, positional=True)


def several(name: str, read: Callable[[str], Any]) -> Arg:
    """Declare arguments that all stand in the last place; they may be left out."""
    return Arg(name, read, positional=True, many=True)


def must(name: str, read: Callable[[str], Any], shown: str) -> Arg:
    """Declare an argument that must be given by name."""
    return Arg(name, read, required=True, shown=shown)


def may(name: str, read: Callable[[str], Any], shown: str) -> Arg:
    """Declare an argument that may be given by name."""
    return Arg(name, read, shown=shown)


# What many commands take.
MACHINE = may("machine", arguments.handle, "<machine>")
AT_MACHINE = must("machine", arguments.handle, "<machine>")
LIMIT = may("limit", arguments.row_count, "<rows>")
BEFORE = may("before", arguments.line, "<id>")
SINCE = may("since", arguments.moment, "<unix time or YYYY-MM-DD>")
SETTLEMENT = place("settlement", arguments.numbered("s"))
FEES = (must("cash_in", arguments.percentage, "<pct>"), must("cash_out", arguments.percentage, "<pct>"))
