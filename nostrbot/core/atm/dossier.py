"""Dossiers: all that is known of one settlement, from its birth on, and how it stands now.

What lives here: the facts about one settlement in order, folded into a Settlement. What does not: what may be done to
it (core/atm/settlements/worklist.py) and where its facts are found again (store/). docs/protocol.md section 5;
acceptance S1, S6, S14.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.settlements.facts import (
    Leg,
    SettlementChange,
    SettlementCorrected,
    SettlementFact,
    SettlementFrozen,
    SettlementLifted,
    SettlementMoved,
    SettlementNoted,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRetried,
)
from nostrbot.core.atm.states import LegStatus, SettlementStatus

# What may follow a settlement's birth: a change, or the sharing out of one that had to wait.
Later = SettlementChange | SettlementProcessed


@dataclass(frozen=True, slots=True)
class Dossier:
    """A settlement's facts: the one it was born by, in entry `seq` accepted `at`, and (fact, at) of what came later.

    `hash`: of the entry it was born in, where it is known: an entry is applied before it is sealed.
    """

    birth: SettlementFact
    seq: int
    at: int
    hash: str | None = None
    later: tuple[tuple[Later, int], ...] = ()

    def followed_by(self, fact: Later, at: int) -> "Dossier":
        """Return the dossier with one more fact."""
        return self.followed_by_all([(fact, at)])

    def followed_by_all(self, facts: Iterable[tuple[Later, int]]) -> "Dossier":
        """Return the dossier with more facts, each with its time."""
        return replace(self, later=(*self.later, *facts))


class Note(NamedTuple):
    """A note on a settlement: when (unix seconds), by which key (hex), what."""

    at: int
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """A settlement as it stands.

    Attributes:
        sale: as it was reported. The amounts beside it are those in force: a correction changes them, never the sale
            nor the reported fees, which were due on the sale as it was reported.
        error: why it was rejected, waits, or was set aside.
        legs: all there ever were, in order; those that a correction or a retry replaced are `voided`.
        owed_sats: what the customer of a corrected settlement is owed.
        notes: newest first.
        since: when it came to its status.
        booked_at: when it was shared out the first time, 0 before that; a correction does not change it.
        changes, corrections: how many facts came after its birth, and how many of them were corrections.
        is_frozen: its machine's key may have been a thief's when it was signed; is_checked: the operator found it true.
    """

    number: int
    machine: str
    event_id: str
    sale: Sale
    status: SettlementStatus
    error: str | None
    wire_sats: int
    principal_sats: int
    fee_sats: int
    fiat_minor: int
    platform_fee_sats: int
    operator_fee_sats: int
    fee_mismatch_sats: int
    reported_platform_fee_sats: int
    reported_operator_fee_sats: int
    legs: tuple[Leg, ...]
    owed_sats: int
    notes: tuple[Note, ...]
    created_at: int
    since: int
    processed_at: int | None
    booked_at: int = 0
    is_frozen: bool = False
    is_checked: bool = False
    changes: int = 0
    corrections: int = 0

    @property
    def legs_in_force(self) -> tuple[Leg, ...]:
        """The legs that were not replaced."""
        return tuple(filter(_is_in_force, self.legs))


def as_it_stands(dossier: Dossier) -> Settlement:
    """Fold a dossier into the settlement of now. The time it takes grows with the dossier's length only."""
    settlement = _newborn(dossier.birth, dossier.at)
    legs, notes = {leg.number: leg for leg in settlement.legs}, list[Note]()
    for fact, at in dossier.later:
        legs |= {leg.number: leg for leg in _changed(fact)}
        settlement = _follow(settlement, fact, at, legs)
        note = _note_of(fact, at)
        if note is not None:
            notes.append(note)
    corrections = sum(isinstance(fact, SettlementCorrected) for fact, _ in dossier.later)
    return replace(
        settlement,
        legs=tuple(legs.values()),
        notes=tuple(reversed(notes)),
        changes=len(dossier.later),
        corrections=corrections,
    )


def _newborn(fact: SettlementFact, at: int) -> Settlement:
    sale = fact.sale
    return Settlement(
        number=fact.number,
        machine=fact.machine,
        event_id=fact.event_id,
        sale=sale,
        status=fact.status,
        error=None if isinstance(fact, SettlementProcessed) else fact.reason,
        wire_sats=sale.wire_sats,
        principal_sats=sale.principal_sats,
        fee_sats=sale.fee_sats,
        fiat_minor=sale.fiat_minor,
        platform_fee_sats=fact.platform_fee_sats,
        operator_fee_sats=fact.operator_fee_sats,
        fee_mismatch_sats=fact.fee_mismatch_sats,
        reported_platform_fee_sats=fact.platform_fee_sats,
        reported_operator_fee_sats=fact.operator_fee_sats,
        legs=fact.legs if isinstance(fact, SettlementProcessed) else (),
        owed_sats=0,
        notes=(),
        created_at=at,
        since=at,
        processed_at=at if isinstance(fact, SettlementProcessed) else None,
        booked_at=at if isinstance(fact, SettlementProcessed) else 0,
    )


def _changed(fact: Later) -> tuple[Leg, ...]:
    """Return the legs that a fact adds, or replaces by how they stand now."""
    match fact:
        case SettlementProcessed():
            return fact.legs
        case SettlementRetried() | SettlementCorrected():
            return (*fact.voided, *fact.legs)
        case SettlementMoved() | SettlementRefunded():
            return fact.voided
        case _:
            return ()


def _follow(now: Settlement, fact: Later, at: int, legs: Mapping[int, Leg]) -> Settlement:
    """Return the settlement after one more fact, but for its legs and notes."""
    match fact:
        case SettlementProcessed():
            return replace(now, status=fact.status, error=None, since=at, processed_at=at, booked_at=at)
        case SettlementRetried():
            booked = replace(now, status=SettlementStatus.PROCESSED, error=None)
            return replace(booked, since=at, processed_at=at, booked_at=at)
        case SettlementMoved():
            return replace(now, status=fact.status, error=fact.error, since=at)
        case SettlementCorrected():
            return replace(
                now,
                status=fact.status,
                error=None,
                wire_sats=fact.wire_sats,
                principal_sats=fact.principal_sats,
                fee_sats=fact.fee_sats,
                fiat_minor=fact.fiat_minor,
                platform_fee_sats=fact.platform_fee_sats,
                operator_fee_sats=fact.operator_fee_sats,
                fee_mismatch_sats=fact.fee_mismatch_sats,
                owed_sats=fact.owed_sats,
                since=at,
                processed_at=at,
            )
        case SettlementRefunded():
            refunded = replace(
                now, status=SettlementStatus.REFUNDED, error=None, owed_sats=0, since=at, processed_at=at
            )
            # A corrected settlement gives only the rest back: what was shared out is there still, and as doubtful as
            # before.
            return replace(refunded, is_frozen=now.is_frozen and any(map(_is_in_force, legs.values())))
        case SettlementFrozen():
            return replace(now, is_frozen=True)
        case SettlementLifted():
            return replace(now, is_frozen=False, is_checked=True)
        case SettlementNoted():
            return now


def _is_in_force(leg: Leg) -> bool:
    return leg.status is not LegStatus.VOIDED


def _note_of(fact: Later, at: int) -> Note | None:
    """Return the operator's word that came with a fact."""
    match fact:
        case SettlementMoved() | SettlementCorrected() | SettlementRefunded() | SettlementNoted() if fact.note:
            return Note(at, fact.by, fact.note)
        case _:
            return None
