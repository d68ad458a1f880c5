"""Facts of settlements: how one begins, and what becomes of it.

What lives here: one class a fact, and a leg, which is one party's part. What does not: the other facts of the ATM desk
(core/atm/facts.py), their plain form (core/facts.py). A fact carries the whole record after the change, so that a
reply, a projection or a book can be made from it alone.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.states import Hold, LegStatus, LegType, SettlementStatus, SkipReason
from nostrbot.core.plain import since_rules_2
from nostrbot.refusals import Reason


class Leg(NamedTuple):
    """One party's part of a settlement, or of the operator's own sats. A tuple: there are many, made on the hot path.

    Attributes:
        number: counter per book (`l1`).
        lp: handle of the LP it belongs to; label: of a commission split, "platform" or "operator", or None; pubkey: of
            a foreign party.
        fiat_minor: cash of this party that left the machine; None if no cash is involved (fees).
        before_minor, after_minor: the LP's remaining balance at that machine, for `dca` and `settlement` legs.
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
    reason: Hold


@dataclass(frozen=True, slots=True)
class SettlementProcessed:
    """A settlement shared out to the last sat: at once, or after it had to wait."""

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


@dataclass(frozen=True, slots=True)
class SettlementRetried:
    """An errored settlement shared out after all: what was completed stays, what failed is made again.

    Attributes:
        kept: legs completed, and booked, before.
        voided: legs that failed, as they now stand.
        legs: the new ones, for the part that was not paid.
    """

    name: ClassVar[str] = "settlement_retried"
    number: int
    machine: str
    sale: Sale
    kept: tuple[Leg, ...]
    voided: tuple[Leg, ...]
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class SettlementMoved:
    """A settlement waits or is set aside, without money moving: reset, or held once more."""

    name: ClassVar[str] = "settlement_moved"
    number: int
    machine: str
    status: SettlementStatus
    error: str
    voided: tuple[Leg, ...]
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class SettlementNoted:
    """The operator's word on a settlement; notes are only ever added."""

    name: ClassVar[str] = "settlement_noted"
    number: int
    by: str
    note: str


@dataclass(frozen=True, slots=True)
class SettlementCorrected:
    """The machine dispensed less than it reported: the sharing was reversed, and made again on the dispensed amount.

    Where that is all it reported, it takes a correction back.

    Attributes:
        sale: as it was reported, `reported_at` by the bot's clock; the amounts beside it are what is in force from now
            on.
        was_owed_sats: what the customer was owed by an earlier correction, reversed too.
        owed_sats: received above the new wire, owed to the customer until it is refunded.
        voided: the legs of the sharing before, as they now stand; legs: the new ones.
        booked_at: when the sharing before all corrections was made; 0 in an entry of rules 1.
    """

    name: ClassVar[str] = "settlement_corrected"
    number: int
    machine: str
    event_id: str
    sale: Sale
    reported_at: int
    wire_sats: int
    principal_sats: int
    fee_sats: int
    fiat_minor: int
    was_fiat_minor: int
    platform_fee_sats: int
    operator_fee_sats: int
    fee_mismatch_sats: int
    was_owed_sats: int
    owed_sats: int
    voided: tuple[Leg, ...]
    legs: tuple[Leg, ...]
    by: str
    note: str
    booked_at: int = since_rules_2(0)

    @property
    def status(self) -> SettlementStatus:
        """Return the status after it: a sale corrected back to its report is not a corrected sale any more."""
        is_whole = self.fiat_minor == self.sale.fiat_minor
        return SettlementStatus.PROCESSED if is_whole else SettlementStatus.PARTIAL


@dataclass(frozen=True, slots=True)
class SettlementRefunded:
    """The customer has the sats back. A corrected settlement returns the sats owed. A processed one returns all, and
    the cash goes back to its owners in the machine. An unbooked one moves nothing.

    Attributes:
        voided: the legs that are reversed, as they now stand.
        sats: what leaves (cash-out) or comes back (cash-in); fiat_minor: the cash that moves the other way.
        booked_at: when it was shared out; 0 for one never booked, and in an entry of rules 1.
    """

    name: ClassVar[str] = "settlement_refunded"
    number: int
    machine: str
    sale: Sale
    reported_at: int
    voided: tuple[Leg, ...]
    sats: int
    fiat_minor: int
    by: str
    note: str
    booked_at: int = since_rules_2(0)


class FrozenPart(NamedTuple):
    """The sats of one LP in a frozen settlement."""

    lp: str
    sats: int


@dataclass(frozen=True, slots=True)
class SettlementFrozen:
    """A settlement was frozen: a thief may have had its machine's key. Its sats are owed but cannot be used until
    checked.

    `own_sats`: what it gave the operator; a cash-in gives it none.
    """

    name: ClassVar[str] = "settlement_frozen"
    number: int
    machine: str
    parts: tuple[FrozenPart, ...]
    own_sats: int


@dataclass(frozen=True, slots=True)
class PaymentHashShared:
    """A settlement was accepted with the payment hash of `others`. `is_proven`: by its preimage, so they are frozen."""

    name: ClassVar[str] = "payment_hash_shared"
    number: int
    machine: str
    others: tuple[int, ...]
    is_proven: bool


@dataclass(frozen=True, slots=True)
class SettlementLifted:
    """The operator checked a frozen settlement and found it true: it counts again, and is never frozen again."""

    name: ClassVar[str] = "settlement_lifted"
    number: int
    machine: str
    by: str


# How a settlement begins; what becomes of it later is told by the facts after these.
SettlementFact = SettlementProcessed | SettlementPending | SettlementRejected


SettlementChange = (
    SettlementRetried | SettlementMoved | SettlementNoted | SettlementCorrected | SettlementRefunded | SettlementFrozen
    | SettlementLifted
)  # fmt: skip
