"""Batches: everything that one commit writes, as rows.

What lives here: the rows of entries and of their projections. What does not: writing them (writer.py). A batch is all
that came out of one turn of the bot: entries, projections, what is owed, what was delivered; one transaction.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from nostrbot.core.facts import Leg, SettlementFact, SettlementProcessed, SettlementRejected
from nostrbot.journal.entry import Entry

Row = tuple[object, ...]


class Owed(NamedTuple):
    """One row of the outbox: the messages of an entry, or the answer in `body`; never both."""

    id: int
    book: str | None
    seq: int | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """One line of the refusal log: what an enrolled key sent that could not be read."""

    at: int
    reason: str
    author: str
    event_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A book's state after entry `seq`."""

    book: str
    seq: int
    at: int
    hash: str
    body: bytes


@dataclass(slots=True)
class Batch:
    """What one commit writes. Books are named by key; the writer knows their numbers."""

    entries: list[Entry] = field(default_factory=list)
    balances: dict[tuple[str, str, str], int] = field(default_factory=dict)  # (book, account, unit): what they are now
    owed: list[Owed] = field(default_factory=list)
    answered: list[tuple[str, int]] = field(default_factory=list)
    refusals: list[RefusalRow] = field(default_factory=list)
    snapshots: list[SnapshotRow] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    partly_delivered: list[tuple[int, bytes]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(
            self.entries
            or self.owed
            or self.answered
            or self.refusals
            or self.snapshots
            or self.delivered
            or self.partly_delivered
        )


def entry_row(number: int, entry: Entry) -> Row:
    """The journal's row; `number` is the book's."""
    event_id = bytes.fromhex(entry.given.event.id)
    return (number, entry.seq, entry.at, bytes.fromhex(entry.hash), event_id, entry.body)


def settlement_row(number: int, fact: SettlementFact, seq: int, at: int) -> Row:
    """The projection of one settlement."""
    accepted = not isinstance(fact, SettlementRejected)
    payment_hash = bytes.fromhex(fact.sale.payment_hash)
    return (number, fact.number, fact.machine, fact.status.value, payment_hash, accepted, seq, at)


def leg_row(number: int, settlement: int, leg: Leg) -> Row:
    """The projection of one leg."""
    return (number, leg.number, settlement, leg.lp, leg.type.value, leg.status.value, leg.sats, leg.fiat_minor)


@dataclass(slots=True)
class Projections:
    """The projections' rows of a batch of entries."""

    settlements: list[Row] = field(default_factory=list)
    legs: list[Row] = field(default_factory=list)

    def add(self, number: int, entry: Entry) -> None:
        """Project one entry of book `number`."""
        for fact in entry.facts:
            if isinstance(fact, SettlementFact):
                self.settlements.append(settlement_row(number, fact, entry.seq, entry.at))
                if isinstance(fact, SettlementProcessed):
                    self.legs.extend([leg_row(number, fact.number, leg) for leg in fact.legs])
