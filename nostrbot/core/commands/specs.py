"""Forms: what one row of the phrasebook is made of.

What lives here: who may say something, its arguments, how help shows it. What does not: the rows (core/table.py,
core/atm/operator_commands.py). docs/protocol.md section 6.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nostrbot.core.commands import arguments
from nostrbot.core.commands.arguments import Wanted


class Period(StrEnum):
    """What a report is about: the local day so far, or the days before now."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Range(StrEnum):
    """How far back an LP's statistics go."""

    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"
    YEAR = "1y"
    ALL = "all"


class Role(StrEnum):
    """Whose command it is."""

    PLATFORM = "platform"
    OPERATOR = "operator"
    LP = "lp"
    ANYONE = "everyone"


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
class Form:
    """One row of the phrasebook."""

    verb: str
    role: Role
    changes: bool
    summary: str
    args: tuple[Arg, ...] = ()
    rest: str = ""  # how help shows free key=value pairs, where the command takes them
    example: str = ""
    weight: int = 1  # how much of what its author may say at once it takes: it has much of the past looked up
    protects: bool = False  # it stops money from going where it should not: never passed over in silence

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
    """An argument that stands in its place."""
    return Arg(name, read, positional=True, required=True)


def optional(name: str, read: Callable[[str], Any]) -> Arg:
    """One that stands in its place and may be left out."""
    return Arg(name, read, positional=True)


def several(name: str, read: Callable[[str], Any]) -> Arg:
    """All that stand in the last place; they may be left out."""
    return Arg(name, read, positional=True, many=True)


def must(name: str, read: Callable[[str], Any], shown: str) -> Arg:
    """One that is named, and must be."""
    return Arg(name, read, required=True, shown=shown)


def may(name: str, read: Callable[[str], Any], shown: str) -> Arg:
    """One that is named, if it is there."""
    return Arg(name, read, shown=shown)


# What many commands take.
MACHINE = may("machine", arguments.handle, "<machine>")
AT_MACHINE = must("machine", arguments.handle, "<machine>")
LIMIT = may("limit", arguments.row_count, "<rows>")
BEFORE = may("before", arguments.line, "<id>")
SINCE = may("since", arguments.moment, "<unix time or YYYY-MM-DD>")
SETTLEMENT = place("settlement", arguments.numbered("s"))
FEES = (must("cash_in", arguments.percentage, "<pct>"), must("cash_out", arguments.percentage, "<pct>"))
