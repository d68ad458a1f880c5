"""Facts of the ATM desk: machines, LPs and their cash, payments apart from sales, cassettes, plans.

What lives here: one class a fact. What does not: facts of settlements (core/atm/settlements/facts.py), the plain form
of all facts (core/facts.py).
"""

from dataclasses import dataclass
from typing import ClassVar

from nostrbot.core.atm.records import AlertPlan, Cassette, Deposit, Enrolment, FixedPlan, Machine, Preferences, Split
from nostrbot.core.atm.settlements.facts import Leg, PaymentHashShared, SettlementChange, SettlementFact


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
    """An LP's choices with another operator, carried in just before its `join` with this one; until then it has not
    joined.
    """

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
    """Sats that waited for another key in a commission split moved to its LP, or to the operator (lp None).

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
    """The slots of a local day in fixed mode have had their turn.

    `short_sats`: how many more sats the operator needed for every LP to get its due.
    """

    name: ClassVar[str] = "slots_kept"
    day: str
    slots: tuple[str, ...]
    short_sats: int


@dataclass(frozen=True, slots=True)
class FixedPlanSet:
    """The fixed plan was set: the times at which fixed LPs get their sats, and their limit."""

    name: ClassVar[str] = "fixed_plan_set"
    plan: FixedPlan


@dataclass(frozen=True, slots=True)
class AlertPlanSet:
    """The operator's alert plan was set."""

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
    """A machine stated its cassettes: for each cassette its newest statement counts."""

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
        newest: the number that counting goes on from if `is_over`; None: from whatever is heard next.
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
class PlatformFeeSet:
    """The platform's fee by direction, in parts per million of the principal."""

    name: ClassVar[str] = "platform_fee_set"
    cash_in_ppm: int
    cash_out_ppm: int


@dataclass(frozen=True, slots=True)
class MachineFreed:
    """The platform took a machine's key from the book it was enrolled in; another may have it. `machine`: "" in the
    root book.
    """

    name: ClassVar[str] = "machine_freed"
    machine: str
    pubkey: str


AtmFact = (
    PlatformFeeSet | MachineAdded | MachineChanged | MachineFreed | MachineCompromised | LpEnrolled | LpSwitched
    | PreferencesSet | PreferencesCarried | DepositChanged | SplitsSet | SettlementFact | SettlementChange
    | PaymentHashShared | LpPaid | PaymentVoided | PartyMoved | SlotsKept | FixedPlanSet | AlertPlanSet | FeesPublished
    | CassettesStated | CassetteSet | CassettesCounted | CassettesPublished | GapsDismissed
)  # fmt: skip
