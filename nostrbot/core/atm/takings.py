"""Takings: what one settlement adds to its operator's figures, as it stands.

What lives here: the figures of a settlement from its birth on, folded fact by fact. What does not: sums of them
(store/sums.py) and what a report shows (reading/reports.py). Amounts are of what is booked: of a corrected settlement
what is in force, of a refunded one nothing. docs/protocol.md section 6, `report`.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.settlements.facts import (
    Leg,
    SettlementChange,
    SettlementCorrected,
    SettlementFact,
    SettlementMoved,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRejected,
    SettlementRetried,
)
from nostrbot.core.atm.states import LegStatus, LegType, SettlementStatus


class Shares(NamedTuple):
    """The sums of completed legs: fees by owner, the LPs' part and the operator's own; `count`: of legs."""

    platform_sats: int = 0
    yours_sats: int = 0
    lps_sats: int = 0
    others_sats: int = 0
    to_lps_count: int = 0
    to_lps_sats: int = 0
    to_lps_minor: int = 0
    own_count: int = 0
    own_sats: int = 0
    own_minor: int = 0


class Amounts(NamedTuple):
    """The amounts added up of settlements. `booked`: 1 if its sats and cash are in the ledger; if not, all amounts are
    0.
    """

    booked: int = 0
    wire_sats: int = 0
    fiat_minor: int = 0
    principal_sats: int = 0
    mismatch_sats: int = 0
    owed_sats: int = 0
    platform_sats: int = 0
    yours_sats: int = 0
    lps_sats: int = 0
    others_sats: int = 0
    to_lps_count: int = 0
    to_lps_sats: int = 0
    to_lps_minor: int = 0
    own_count: int = 0
    own_sats: int = 0
    own_minor: int = 0


NOTHING = Amounts()


class Takings(NamedTuple):
    """The figures of one settlement: `reason` if it was rejected, else ""; amounts as they stand, booked or not.

    `has_legs`: 1 where some are in force.
    """

    direction: str
    status: str
    reason: str
    has_legs: int
    amounts: Amounts

    @property
    def counted(self) -> Amounts:
        """The amounts that it adds to sums."""
        return self.amounts if self.amounts.booked else NOTHING

    @property
    def kind(self) -> tuple[str, str, str]:
        """The key it is counted under."""
        return self.direction, self.status, self.reason

    def body(self) -> bytes:
        """Return the figures as JSON of any numbers: an old book may have larger numbers than orjson writes."""
        return json.dumps([*self[:-1], *self.amounts], separators=(",", ":")).encode()


def read_takings(body: bytes) -> Takings:
    """Read what Takings.body() wrote."""
    direction, status, reason, has_legs, *amounts = json.loads(body)
    return Takings(direction, status, reason, has_legs, Amounts(*amounts))


def takings_of(fact: SettlementFact) -> Takings:
    """Return the figures of a settlement at its birth, or at its sharing after a wait."""
    legs = fact.legs if isinstance(fact, SettlementProcessed) else ()
    reason = str(fact.reason) if isinstance(fact, SettlementRejected) else ""
    booked = int(isinstance(fact, SettlementProcessed))
    amounts = _amounts(booked, fact.sale, fact.fee_mismatch_sats, legs)
    return Takings(fact.sale.direction.value, fact.status.value, reason, int(bool(legs)), amounts)


def follow(before: Takings, fact: SettlementFact | SettlementChange) -> Takings:
    """Return the figures after one more fact."""
    amounts = before.amounts
    match fact:
        case SettlementProcessed():
            return takings_of(fact)
        case SettlementRetried():
            amounts = _amounts(1, fact.sale, amounts.mismatch_sats, (*fact.kept, *fact.legs))
            return _now(before, SettlementStatus.PROCESSED, amounts, has_legs=bool(fact.kept or fact.legs))
        case SettlementMoved():
            return _now(before, fact.status, amounts._replace(booked=0), has_legs=bool(before.has_legs))
        case SettlementCorrected():
            in_force = (fact.wire_sats, fact.fiat_minor, fact.principal_sats, fact.fee_mismatch_sats, fact.owed_sats)
            amounts = Amounts(1, *in_force, *_shares(fact.legs))
            return _now(before, fact.status, amounts, has_legs=bool(fact.legs))
        case SettlementRefunded():
            # A corrected settlement gives back only the sats owed: what was dispensed stays booked.
            has_legs = bool(before.has_legs) and not fact.voided
            amounts = amounts._replace(booked=int(has_legs), owed_sats=0)
            return _now(before, SettlementStatus.REFUNDED, amounts, has_legs=has_legs)
        case _:
            return before


def _now(before: Takings, status: SettlementStatus, amounts: Amounts, *, has_legs: bool) -> Takings:
    return before._replace(status=status.value, amounts=amounts, has_legs=int(has_legs))


def _amounts(booked: int, sale: Sale, mismatch_sats: int, legs: Iterable[Leg]) -> Amounts:
    amounts = (sale.wire_sats, sale.fiat_minor, sale.principal_sats, mismatch_sats, 0)
    return Amounts(booked, *amounts, *_shares(legs))


def _shares(legs: Iterable[Leg]) -> Shares:
    platform = yours = to_splits = others = 0
    lps_count = lps_sats = lps_minor = own_count = own_sats = own_minor = 0
    for _, kind, lp, _, pubkey, sats, minor, status, *_ in legs:
        if status is not LegStatus.COMPLETED:
            continue
        match kind:
            case LegType.SUPER_FEE:
                platform += sats
            case LegType.OPERATOR_SPLIT if lp:
                to_splits += sats
            case LegType.OPERATOR_SPLIT if pubkey:
                others += sats
            case LegType.OPERATOR_SPLIT:
                yours += sats
            case LegType.OPERATOR:
                own_count, own_sats, own_minor = own_count + 1, own_sats + sats, own_minor + (minor or 0)
            case _:
                lps_count, lps_sats, lps_minor = lps_count + 1, lps_sats + sats, lps_minor + (minor or 0)
    return Shares(platform, yours, to_splits, others, lps_count, lps_sats, lps_minor, own_count, own_sats, own_minor)
