"""Recall: what a book already took in, as far as the next decisions must know it.

What lives here: the memory and what is in it. What does not: filling it, which the bot does from the database before a
turn (runtime/prefetch.py) and an auditor from what it reads (audit/memory.py).
"""

from dataclasses import dataclass
from typing import NamedTuple

from nostrbot.core.atm.dossier import Dossier
from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.settlements.facts import Leg
from nostrbot.core.atm.states import SettlementStatus


class Booked(NamedTuple):
    """A settlement this book already knows, as far as a repeat of it must be answered."""

    number: int | None
    status: SettlementStatus
    error: str | None
    sale: Sale
    machine: str


class PaidLeg(NamedTuple):
    """A leg as it stands, and what it is part of: a settlement, or what an LP was paid apart from any.

    Attributes:
        slot: the time slot it was paid for, if any; at: when it was paid (unix seconds).
        settlement: number of the settlement it is part of; None if of none.
    """

    leg: Leg
    machine: str
    currency: str
    rate: str
    slot: str | None
    at: int
    settlement: int | None = None


class Recall:
    """The past inputs of a book: event ids, accepted settlements by payment hash, settlements and legs by number.

    `payments`: of each payment hash every settlement that was accepted with it, by number, whatever became of it. Where
    another content came with the same hash, each of them must be among the `dossiers`, which say what became of it.

    The bot fills it from the database before a batch and lets it go afterwards; an auditor keeps all of it. The unique
    keys of the database stand behind it: a Recall that forgot cannot book twice, it can only fail loudly.
    """

    __slots__ = ("dossiers", "events", "legs", "payments")

    def __init__(self) -> None:
        self.events: dict[str, Booked | None] = {}
        self.payments: dict[str, dict[int, Booked]] = {}
        self.dossiers: dict[int, Dossier] = {}
        self.legs: dict[int, PaidLeg] = {}

    def forget(self) -> None:
        """Drop everything; the owner fills it again when needed."""
        self.events.clear()
        self.payments.clear()
        self.dossiers.clear()
        self.legs.clear()


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A settlement this book has already accepted, or this very event again: nothing changes, it is answered again."""

    booked: Booked
