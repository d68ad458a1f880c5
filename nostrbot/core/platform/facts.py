"""Platform facts: what the platform decided to be so, of operators, fees, machines' keys and the bot's own key.

What lives here: one class a fact. What does not: all other facts and their plain form (core/facts.py, which has these, too).
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class OperatorAdded:
    """Root book: the platform enrolled an operator."""

    name: ClassVar[str] = "operator_added"
    operator: str
    handle: str
    tz: str


@dataclass(frozen=True, slots=True)
class OperatorSwitched:
    """Root book and the operator's own: the platform suspended or resumed an operator."""

    name: ClassVar[str] = "operator_switched"
    operator: str
    handle: str
    active: bool


@dataclass(frozen=True, slots=True)
class OperatorReplaced:
    """Root book and the operator's own: from now on another key speaks for the operator. `operator`: the book's key."""

    name: ClassVar[str] = "operator_replaced"
    operator: str
    handle: str
    pubkey: str


@dataclass(frozen=True, slots=True)
class BotRotated:
    """Every book: from now on the bot signs with, and is addressed by, another key."""

    name: ClassVar[str] = "bot_rotated"
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class PredecessorNamed:
    """A book that was opened after a rotation: whom the commands were addressed to that are carried into it."""

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
class PlatformFeeSet:
    """The platform's fee by direction, in parts per million of the principal."""

    name: ClassVar[str] = "platform_fee_set"
    cash_in_ppm: int
    cash_out_ppm: int


@dataclass(frozen=True, slots=True)
class MachineFreed:
    """The platform took a machine's key from the book it was enrolled in; another may have it. `machine`: "" in the root book."""

    name: ClassVar[str] = "machine_freed"
    machine: str
    pubkey: str
