"""Facts: what a decision found to be so, in the words the journal keeps for ever.

What lives here: one class a fact, and their plain form. What does not: the input a fact was decided from (the journal
keeps it beside the facts), the postings (core/booking.py derives them), how they change a book (core/book.py).
A fact carries the whole record after the change, so that a reply, a projection or a book can be made from it alone.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, get_args

from nostrbot.core.atm.settlement import Sale
from nostrbot.core.plain import plain, reader
from nostrbot.core.records import Deposit, Enrolment, Machine, Preferences, Split
from nostrbot.core.states import LegStatus, LegType, SettlementStatus, SkipReason
from nostrbot.refusals import Reason


class Leg(NamedTuple):
    """One party's part of a settlement. A tuple, because a settlement has many and they are made on the hot path.

    Attributes:
        number: counter per book (`l1`).
        lp: handle of the LP it belongs to; label: of a commission split, "platform" or "operator", or None; pubkey: of a foreign party.
        fiat_minor: cash of this party that left the machine; None where no cash is involved (fees).
        before_minor, after_minor: the LP's remaining balance at that machine, for `dca` legs.
    """

    number: int
    type: LegType
    lp: str | None
    label: str | None
    pubkey: str | None
    sats: int
    fiat_minor: int | None
    status: LegStatus
    reason: SkipReason | None
    before_minor: int | None
    after_minor: int | None


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
class MachineAdded:
    """A machine was enrolled."""

    name: ClassVar[str] = "machine_added"
    machine: Machine


@dataclass(frozen=True, slots=True)
class MachineChanged:
    """A machine's settings or its active switch changed."""

    name: ClassVar[str] = "machine_changed"
    machine: Machine


@dataclass(frozen=True, slots=True)
class LpEnrolled:
    """An LP was enrolled at a machine."""

    name: ClassVar[str] = "lp_enrolled"
    lp: str
    pubkey: str
    enrolment: Enrolment


@dataclass(frozen=True, slots=True)
class LpSwitched:
    """The operator suspended or resumed an LP at one or more machines."""

    name: ClassVar[str] = "lp_switched"
    lp: str
    enrolments: tuple[Enrolment, ...]


@dataclass(frozen=True, slots=True)
class PreferencesSet:
    """An LP joined or changed its preferences."""

    name: ClassVar[str] = "preferences_set"
    lp: str
    preferences: Preferences


@dataclass(frozen=True, slots=True)
class DepositChanged:
    """A deposit was added, edited, confirmed, cancelled or reversed; `returned_minor` is taken back by this fact."""

    name: ClassVar[str] = "deposit_changed"
    deposit: Deposit
    reason: str
    returned_minor: int


@dataclass(frozen=True, slots=True)
class SplitsSet:
    """The commission splits of one machine, or of the operator (machine None), as a whole. Empty: cleared."""

    name: ClassVar[str] = "splits_set"
    machine: str | None
    splits: tuple[Split, ...]


@dataclass(frozen=True, slots=True)
class SettlementRejected:
    """A readable settlement that must not be booked, with the first rule it breaks. It never takes the hash."""

    name: ClassVar[str] = "settlement_rejected"
    status: ClassVar[SettlementStatus] = SettlementStatus.REJECTED
    number: int
    machine: str
    event_id: str
    sale: Sale
    platform_fee_sats: int
    operator_fee_sats: int
    fee_mismatch_sats: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class SettlementPending:
    """A settlement that waits: nothing is booked yet, but its payment hash is taken."""

    name: ClassVar[str] = "settlement_pending"
    status: ClassVar[SettlementStatus] = SettlementStatus.PENDING
    number: int
    machine: str
    event_id: str
    sale: Sale
    platform_fee_sats: int
    operator_fee_sats: int
    fee_mismatch_sats: int
    reason: str


@dataclass(frozen=True, slots=True)
class SettlementProcessed:
    """A settlement shared out to the last sat."""

    name: ClassVar[str] = "settlement_processed"
    status: ClassVar[SettlementStatus] = SettlementStatus.PROCESSED
    number: int
    machine: str
    event_id: str
    sale: Sale
    platform_fee_sats: int
    operator_fee_sats: int
    fee_mismatch_sats: int
    legs: tuple[Leg, ...]


SettlementFact = SettlementProcessed | SettlementPending | SettlementRejected

Fact = (
    OperatorAdded
    | OperatorSwitched
    | BookOpened
    | PlatformFeeSet
    | MachineAdded
    | MachineChanged
    | LpEnrolled
    | LpSwitched
    | PreferencesSet
    | DepositChanged
    | SplitsSet
    | SettlementRejected
    | SettlementPending
    | SettlementProcessed
)

_READERS = {fact.name: reader(fact) for fact in get_args(Fact)}


def plain_fact(fact: Fact) -> dict[str, Any]:
    """The fact as the journal keeps it: its fields, and its name under `fact`."""
    fields: dict[str, Any] = plain(fact)
    fields["fact"] = fact.name
    return fields


def read_fact(fields: dict[str, Any]) -> Fact:
    """The fact that plain_fact() described. Raises KeyError, TypeError or ValueError on anything else."""
    fact: Fact = _READERS[fields["fact"]](fields)
    return fact
