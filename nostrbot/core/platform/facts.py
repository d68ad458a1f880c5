"""Facts of the platform: what it decided to be so of operators, and what became of the bot's own key and time.

What lives here: one class a fact. What does not: their plain form (core/facts.py), the fee (core/atm/facts.py).
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class OperatorAdded:
    """The platform enrolled an operator (root book)."""

    name: ClassVar[str] = "operator_added"
    operator: str
    handle: str
    tz: str


@dataclass(frozen=True, slots=True)
class OperatorSwitched:
    """The platform suspended or resumed an operator (root book and the operator's own)."""

    name: ClassVar[str] = "operator_switched"
    operator: str
    handle: str
    active: bool


@dataclass(frozen=True, slots=True)
class OperatorReplaced:
    """Another key speaks for the operator from now on (root book and its own). `operator`: the book's key."""

    name: ClassVar[str] = "operator_replaced"
    operator: str
    handle: str
    pubkey: str


@dataclass(frozen=True, slots=True)
class BotRotated:
    """The bot got another key: from now on it signs with it, and is addressed by it (every book)."""

    name: ClassVar[str] = "bot_rotated"
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class PredecessorNamed:
    """The bot's former keys, in a book opened after a rotation: carried commands were addressed to them."""

    name: ClassVar[str] = "predecessor_named"
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class BookOpened:
    """First fact of an operator's book: whose it is and who enrolled it."""

    name: ClassVar[str] = "book_opened"
    operator: str
    platform: str
    handle: str
    tz: str


@dataclass(frozen=True, slots=True)
class ClockSetRight:
    """The book's time went back from `was` to `now` (in the journal: `is`), unix seconds, because the clock had run
    ahead.
    """

    name: ClassVar[str] = "clock_set_right"
    was: int
    now: int


PlatformFact = (
    OperatorAdded | OperatorSwitched | OperatorReplaced | BotRotated | PredecessorNamed | BookOpened | ClockSetRight
)  # fmt: skip
