"""Facts: what a decision found to be so, in the words the journal keeps for ever.

What lives here: one class a fact, and their plain form. What does not: the input a fact was decided from (the journal
keeps it beside the facts), the postings (core/atm/booking.py derives them), how they change a book (core/evolution.py).
A fact carries the whole record after the change, so that a reply, a projection or a book can be made from it alone.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, get_args

from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.records import AlertPlan, Cassette, Deposit, Enrolment, FixedPlan, Machine, Preferences, Split
from nostrbot.core.atm.states import Hold, LegStatus, LegType, SettlementStatus, SkipReason
from nostrbot.core.plain import plain, reader, since_rules_2
from nostrbot.core.platform.facts import (
    BookOpened,
    BotRotated,
    MachineFreed,
    OperatorAdded,
    OperatorReplaced,
    OperatorSwitched,
    PlatformFeeSet,
    PredecessorNamed,
)
from nostrbot.refusals import Reason


class Leg(NamedTuple):
    """One party's part of a settlement, or of the operator's own sats. A tuple: there are many, made on the hot path.

    Attributes:
        number: counter per book (`l1`).
        lp: handle of the LP it belongs to; label: of a commission split, "platform" or "operator", or None; pubkey: of a
            foreign party.
        fiat_minor: cash of this party that left the machine; None where no cash is involved (fees).
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
class MachineCompromised:
    """A machine's key may have been a thief's since then (unix seconds, by the bot's clock)."""

    name: ClassVar[str] = "machine_compromised"
    machine: str
    since: int


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
class PreferencesCarried:
    """What an LP chose with another operator, for the `join` with this one that follows at once; until then it joined not."""

    name: ClassVar[str] = "preferences_carried"
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
    """The machine dispensed less than it reported: the sharing is reversed and made again on what was dispensed.

    Where that is all it reported, it takes a correction back.

    Attributes:
        sale: as it was reported, `reported_at` by the bot's clock; the amounts beside it are what is in force from now on.
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
        """What it is now: all of what was reported is no correction any more."""
        is_whole = self.fiat_minor == self.sale.fiat_minor
        return SettlementStatus.PROCESSED if is_whole else SettlementStatus.PARTIAL


@dataclass(frozen=True, slots=True)
class SettlementRefunded:
    """The customer has the sats back. Of a corrected settlement what was owed; of a processed one all, and the cash
    is back in the machine and with those whose it was; of one never booked nothing moves.

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
    """Its machine's key may have been a thief's: what it paid is owed but not to be used until it was looked into.

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
    """The operator looked into a frozen settlement and found it true: it counts again, and is not frozen once more."""

    name: ClassVar[str] = "settlement_lifted"
    number: int
    machine: str
    by: str


@dataclass(frozen=True, slots=True)
class LpPaid:
    """LPs' cash turned into the operator's own sats, apart from any settlement: a fixed slot, or `settle`.

    `slot`: the local time slot it is for, or None. The cash becomes the operator's.
    """

    name: ClassVar[str] = "lp_paid"
    machine: str
    currency: str
    rate: str
    slot: str | None
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class PaymentVoided:
    """The operator took back what an LP was paid apart from any settlement: its cash is its own again.

    `slot`: the time slot it was paid for, or None; `paid_at`: when (unix seconds). `voided`: the leg as it now stands.
    """

    name: ClassVar[str] = "payment_voided"
    machine: str
    currency: str
    rate: str
    slot: str | None
    paid_at: int
    voided: tuple[Leg, ...]
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class PartyMoved:
    """Sats that waited for another key in a commission split are its LP's, or the operator's own (lp None), by now.

    Attributes:
        machine: one that the LP is at, and its currency, for its receipt; "" where there is no LP.
        sats: what moves from the party's account to the owner's; negative where a sale was undone and they go back.
        voided, legs: the LP's receipt of before, and the one in its place; or none before.
    """

    name: ClassVar[str] = "party_moved"
    pubkey: str
    lp: str | None
    machine: str
    currency: str
    sats: int
    voided: tuple[Leg, ...]
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class SlotsKept:
    """Fixed mode: the slots of a local day that have had their turn now.

    `short_sats`: how many more sats of its own the operator needed for every LP to get its due.
    """

    name: ClassVar[str] = "slots_kept"
    day: str
    slots: tuple[str, ...]
    short_sats: int


@dataclass(frozen=True, slots=True)
class FixedPlanSet:
    """When fixed LPs get their sats, and how much at most."""

    name: ClassVar[str] = "fixed_plan_set"
    plan: FixedPlan


@dataclass(frozen=True, slots=True)
class AlertPlanSet:
    """What the operator wants to be told."""

    name: ClassVar[str] = "alert_plan_set"
    plan: AlertPlan


@dataclass(frozen=True, slots=True)
class FeesPublished:
    """A machine is to be told the fees it must charge: platform's and operator's together.

    `told_at`: the date of what it is told, later than of all it was told before: relays keep the latest only.
    """

    name: ClassVar[str] = "fees_published"
    machine: str
    pubkey: str
    told_at: int
    cash_in_ppm: int
    cash_out_ppm: int


@dataclass(frozen=True, slots=True)
class CassettesStated:
    """A machine stated its cassettes: its word counts for those it names, unless it has said something newer of one."""

    name: ClassVar[str] = "cassettes_stated"
    machine: str
    cassettes: tuple[Cassette, ...]


@dataclass(frozen=True, slots=True)
class CassetteSet:
    """The operator changed what it expects in a cassette."""

    name: ClassVar[str] = "cassette_set"
    machine: str
    cassette: Cassette


@dataclass(frozen=True, slots=True)
class CassettesCounted:
    """The operator counted cassettes; what was more or less than expected is booked as a variance."""

    name: ClassVar[str] = "cassettes_counted"
    machine: str
    currency: str
    cassettes: tuple[Cassette, ...]
    variance_minor: int


@dataclass(frozen=True, slots=True)
class GapsDismissed:
    """The operator waits no longer for settlements that a machine counted and that did not come.

    Attributes:
        runs: their numbers, as (first, last).
        newest: what counting goes on from where `is_over`: the count before is; None: from whatever is heard next.
    """

    name: ClassVar[str] = "gaps_dismissed"
    machine: str
    runs: tuple[tuple[int, int], ...]
    newest: int | None
    is_over: bool


@dataclass(frozen=True, slots=True)
class CassettesPublished:
    """A machine is to be told what its cassettes hold. `told_at`: as of FeesPublished."""

    name: ClassVar[str] = "cassettes_published"
    machine: str
    pubkey: str
    told_at: int
    cassettes: tuple[Cassette, ...]


@dataclass(frozen=True, slots=True)
class ClockSetRight:
    """The book's time went back from `was` to `now` (in the journal: `is`), unix seconds, because the clock had run ahead."""

    name: ClassVar[str] = "clock_set_right"
    was: int
    now: int


# How a settlement begins; what becomes of it later is told by the facts after these.
SettlementFact = SettlementProcessed | SettlementPending | SettlementRejected
SettlementChange = (
    SettlementRetried | SettlementMoved | SettlementNoted | SettlementCorrected | SettlementRefunded | SettlementFrozen
    | SettlementLifted
)  # fmt: skip

Fact = (
    OperatorAdded | OperatorSwitched | OperatorReplaced | BotRotated | PredecessorNamed | BookOpened
    | PlatformFeeSet | MachineAdded | MachineChanged | MachineFreed | MachineCompromised | LpEnrolled | LpSwitched
    | PreferencesSet | PreferencesCarried | DepositChanged | SplitsSet | SettlementFact | SettlementChange
    | PaymentHashShared | LpPaid | PaymentVoided | PartyMoved | SlotsKept | FixedPlanSet | AlertPlanSet | FeesPublished
    | CassettesStated | CassetteSet | CassettesCounted | CassettesPublished | GapsDismissed | ClockSetRight
)  # fmt: skip

_READERS = {fact.name: reader(fact) for fact in get_args(Fact)}
_IS, _NOW = "is", "now"  # a name that Python keeps for itself, and ours for it


def plain_fact(fact: Fact) -> dict[str, Any]:
    """The fact as the journal keeps it: its fields, and its name under `fact`."""
    fields: dict[str, Any] = {**plain(fact), "fact": fact.name}
    if type(fact) is ClockSetRight:
        fields[_IS] = fields.pop(_NOW)
    return fields


def read_fact(fields: dict[str, Any]) -> Fact:
    """The fact that plain_fact() described. Raises KeyError, TypeError or ValueError on anything else."""
    if fields["fact"] == ClockSetRight.name:
        fields = {**fields, _NOW: fields[_IS]}
    fact: Fact = _READERS[fields["fact"]](fields)
    return fact
