"""Batches: everything that one commit writes, as rows.

What lives here: the rows of entries and of their projections. What does not: writing them (writer.py). A batch is all
that came out of one turn of the bot: entries, projections, what is owed, what was delivered; one transaction.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from nostrbot.core.atm.facts import LpPaid, PartyMoved, PaymentVoided
from nostrbot.core.atm.settlements.facts import (
    Leg,
    SettlementChange,
    SettlementCorrected,
    SettlementFact,
    SettlementFrozen,
    SettlementLifted,
    SettlementMoved,
    SettlementNoted,
    SettlementPending,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRejected,
    SettlementRetried,
)
from nostrbot.core.atm.states import SettlementStatus
from nostrbot.core.atm.takings import Takings, takings_of
from nostrbot.core.facts import Fact
from nostrbot.journal.entry import Entry
from nostrbot.store.sums import Made, News, SumStep

Row = tuple[object, ...]


class Owed(NamedTuple):
    """One row of the outbox: the messages of an entry, or the one in `body`: an answer, an alert or a checkpoint."""

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
class ArchiveRow:
    """A machine's signed word that is no journal entry and told something new: a beacon, or telemetry."""

    at: int
    book: str
    machine: str
    event: bytes


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A book's state after entry `seq`."""

    book: str
    seq: int
    at: int
    hash: str
    body: bytes


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """The `number`-th checkpoint of a book, after entry `seq`: its signed event, and what proofs are made from."""

    book: str
    number: int
    seq: int
    event: bytes
    leaves: bytes


@dataclass(slots=True)
class Batch:
    """The writes of one commit. Books are named by key; the writer knows their numbers."""

    entries: list[Entry] = field(default_factory=list)
    balances: dict[tuple[str, str, str], int] = field(default_factory=dict)  # (book, account, unit): what they are now
    owed: list[Owed] = field(default_factory=list)
    answered: list[tuple[str, int]] = field(default_factory=list)
    forget_answers_before: int | None = None  # commands so old would be refused for their age
    refusals: list[RefusalRow] = field(default_factory=list)
    sightings: dict[tuple[str, str], bytes] = field(default_factory=dict)  # (book, machine): what is known of it
    alarms: dict[str, bytes] = field(default_factory=dict)  # by book: what its operator was told by itself
    archived: list[ArchiveRow] = field(default_factory=list)
    snapshots: list[SnapshotRow] = field(default_factory=list)
    checkpoints: list[CheckpointRow] = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)
    partly_delivered: list[tuple[int, bytes]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(
            self.entries
            or self.owed
            or self.answered
            or self.refusals
            or self.sightings
            or self.alarms
            or self.archived
            or self.snapshots
            or self.checkpoints
            or self.delivered
            or self.partly_delivered
        )


def entry_row(number: int, entry: Entry) -> Row:
    """Return the journal's row; `number` is the book's."""
    given = entry.given
    event_id = None if given.id is None else bytes.fromhex(given.id)
    return (number, entry.seq, entry.at, bytes.fromhex(entry.hash), event_id, entry.body)


def settlement_row(number: int, fact: SettlementFact, takings: Takings, seq: int, at: int) -> Row:
    """Return the projection of one settlement, at its birth, with its figures."""
    accepted = not isinstance(fact, SettlementRejected)
    payment_hash = bytes.fromhex(fact.sale.payment_hash)
    figures = takings.body()
    return (number, fact.number, fact.machine, fact.status.value, payment_hash, accepted, seq, at, at, figures)


def leg_row(number: int, settlement: int | None, machine: str, leg: Leg, seq: int) -> Row:
    """Return the projection of one leg, as it is made."""
    kind, status = leg.type.value, leg.status.value
    return (number, leg.number, settlement, machine, leg.lp, kind, status, leg.sats, leg.fiat_minor, seq, None)


class Outcome(NamedTuple):
    """The source of an entry's projections: the id its event is known by, and what was decided."""

    seq: int
    at: int
    event_id: str | None
    facts: tuple[Fact, ...]


@dataclass(slots=True)
class Projections:
    """The projections' rows of a batch of entries. `moved` and `voided` change rows that are there already."""

    settlements: list[Row] = field(default_factory=list)
    changes: list[Row] = field(default_factory=list)
    legs: list[Row] = field(default_factory=list)
    moved: list[Row] = field(default_factory=list)  # (status, since, book, number)
    voided: list[Row] = field(default_factory=list)  # (the entry its booking was reversed in or None, book, number)
    news: News = field(default_factory=News)  # what changes in sums

    def add(self, number: int, entry: Entry) -> None:
        """Project one entry of book `number`. Rows go in before others are changed, so that one batch may do both."""
        self.add_facts(number, Outcome(entry.seq, entry.at, entry.given.id, entry.facts))

    def add_facts(self, number: int, entry: Outcome) -> None:
        """Project what was decided in an entry."""
        for fact in entry.facts:
            match fact:
                case SettlementProcessed() | SettlementPending() | SettlementRejected():
                    self._add_settlement(number, fact, entry)
                case SettlementRetried():
                    self._move(number, fact, SettlementStatus.PROCESSED, entry)
                    self._void(number, fact.voided, None, entry.at)
                    self._add_legs(number, fact, entry)
                case SettlementMoved():
                    self._move(number, fact, fact.status, entry)
                    self._void(number, fact.voided, None, entry.at)
                case SettlementCorrected():
                    self._move(number, fact, fact.status, entry)
                    self._void(number, fact.voided, entry.seq, entry.at)
                    self._add_legs(number, fact, entry)
                case SettlementRefunded():
                    self._move(number, fact, SettlementStatus.REFUNDED, entry)
                    self._void(number, fact.voided, entry.seq, entry.at)
                case SettlementNoted() if len(entry.facts) == 1:  # one that is born with a note has it in its birth
                    self.changes.append((number, fact.number, entry.seq))
                case SettlementFrozen() | SettlementLifted():
                    self.changes.append((number, fact.number, entry.seq))
                case PartyMoved():
                    self._void(number, fact.voided, entry.seq, entry.at)
                    self._add_made(number, None, fact.machine, fact.legs, entry)
                case PaymentVoided():
                    self._void(number, fact.voided, entry.seq, entry.at)
                case LpPaid():
                    self._add_made(number, None, fact.machine, fact.legs, entry)

    def _add_settlement(self, number: int, fact: SettlementFact, entry: Outcome) -> None:
        if fact.event_id == entry.event_id:
            takings = takings_of(fact)
            self.settlements.append(settlement_row(number, fact, takings, entry.seq, entry.at))
            self.news.steps.append(SumStep(number, fact.number, fact.machine, entry.at, fact, takings))
        else:
            self._move(number, fact, fact.status, entry)
        if isinstance(fact, SettlementProcessed):
            self._add_legs(number, fact, entry)

    def _move(
        self, number: int, fact: SettlementChange | SettlementFact, status: SettlementStatus, entry: Outcome
    ) -> None:
        self.changes.append((number, fact.number, entry.seq))
        self.moved.append((status.value, entry.at, number, fact.number))
        assert not isinstance(fact, SettlementNoted), "a note moves nothing"
        self.news.steps.append(SumStep(number, fact.number, fact.machine, entry.at, fact))

    def _add_legs(
        self, number: int, fact: SettlementProcessed | SettlementRetried | SettlementCorrected, entry: Outcome
    ) -> None:
        self._add_made(number, fact.number, fact.machine, fact.legs, entry)

    def _add_made(
        self, number: int, settlement: int | None, machine: str, legs: tuple[Leg, ...], entry: Outcome
    ) -> None:
        self.legs.extend([leg_row(number, settlement, machine, leg, entry.seq) for leg in legs])
        self.news.made.extend([Made(number, machine, settlement is None, leg, entry.at) for leg in legs])

    def _void(self, number: int, legs: tuple[Leg, ...], reversed_seq: int | None, at: int) -> None:
        """`reversed_seq`: the entry the legs' booking was reversed in; None for legs that were never booked."""
        self.voided.extend([(reversed_seq, number, leg.number) for leg in legs])
        if reversed_seq is not None:
            self.news.reversed.extend([(number, leg.number, at) for leg in legs])
