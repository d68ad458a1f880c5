"""Records: what a book knows of its machines, cassettes, LPs, deposits, commission splits and plans.

What lives here: plain values, one class a noun, that facts carry and books hold. What does not: the rules that change
them (core/atm/registry.py, core/atm/deposits.py, core/atm/splits.py) and how people see them (views/records.py). All
are immutable: a change is a new record in a fact. Keys are 64-digit hex; money is in minor units; times are unix
seconds. Acceptance M1, L1, L3, L6, D1, X18.
"""

from dataclasses import dataclass, replace

from nostrbot.core.atm.states import DepositStatus, Mode, Trust
from nostrbot.money import Denomination
from nostrbot.nostr.sealing import Scheme


@dataclass(frozen=True, slots=True)
class Guard:
    """The limits that hold a machine's settlements until the operator releases them. None: no such limit.

    Attributes:
        per_settlement_minor, per_day_minor: the most fiat of one settlement, and of a day in the operator's time zone.
        rate_ppm: how far a rate may be off the median of the machine's last ones.
    """

    per_settlement_minor: int | None = None
    per_day_minor: int | None = None
    rate_ppm: int | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """One Bitcoin ATM of an operator. The handle never changes, the key may; the fees are the operator's, by
    direction.
    """

    handle: str
    pubkey: str
    fiat: str
    cash_in_ppm: int
    cash_out_ppm: int
    location: str
    trust: Trust
    enforce_fee_match: bool
    guard: Guard
    active: bool
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Cassette:
    """One cassette of a machine, as its operator keeps it and as the machine last stated it (acceptance T5).

    Attributes:
        denomination: of its banknotes, in whole units of the machine's fiat.
        count: banknotes expected: stated or set last, less what was dispensed since.
        state_denomination, state_count, state_at, state_event_id: the machine's own last word.
        updated_by: ATM_BOOTSTRAP, or the key (hex) of whoever set or counted it.
    """

    position: str
    denomination: Denomination
    count: int
    state_denomination: Denomination
    state_count: int
    state_at: int
    state_event_id: str
    updated_by: str
    updated_at: int

    def holding(self, count: int) -> "Cassette":
        """Return the same cassette with this number of banknotes expected."""
        return replace(self, count=count)


ATM_BOOTSTRAP = "atm-bootstrap"


@dataclass(frozen=True, slots=True)
class FixedPlan:
    """The times at which an operator's fixed LPs get their sats, and their limit.

    Attributes:
        slots: local times of the operator's time zone, `HH:MM`, ascending; none: nothing is given.
        limit: decimal fiat text, an LP a day (acceptance X7).
    """

    slots: tuple[str, ...] = ()
    limit: str = "2000.00"


@dataclass(frozen=True, slots=True)
class AlertPlan:
    """The thresholds and times of an operator's alerts.

    Attributes:
        down_s, stuck_s: seconds without a beacon after which a machine is down, and stuck.
        low_notes: expected banknotes in a cassette below which it is low.
        sheet: local time of the daily fleet sheet, `HH:MM`, or "" for none.
        scheme: how the operator wrote when it last chose this: it is told the same way.
    """

    down_s: int = 180
    stuck_s: int = 420
    low_notes: int = 100
    sheet: str = "07:00"
    scheme: Scheme = Scheme.NIP04


@dataclass(frozen=True, slots=True)
class Preferences:
    """An LP's own choices, the same in every operator's book (acceptance L6).

    Attributes:
        limit: decimal fiat text, a day, for mode fixed.
        paused: takes no part in sharing until it resumes; its cash stays where it is.
        forward: the Lightning address its sats should go on to.
        scheme: how it wrote when it last chose something: its receipts come the same way.
        scheme_before: how it wrote until then: a receipt made again after a crash comes as it came the first time.
    """

    joined_at: int
    mode: Mode
    limit: str | None
    paused: bool = False
    forward: str | None = None
    scheme: Scheme = Scheme.NIP04
    scheme_before: Scheme = Scheme.NIP04


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An LP at one machine. `active` is the operator's switch."""

    machine: str
    active: bool
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Reversal:
    """A part of a deposit, taken back."""

    at: int
    minor: int


@dataclass(frozen=True, slots=True)
class Deposit:
    """Cash an LP put, or is about to put, into a machine, and what was taken back of it."""

    number: int
    lp: str
    machine: str
    amount_minor: int
    currency: str
    status: DepositStatus
    note: str
    created_at: int
    confirmed_at: int | None
    reversals: tuple[Reversal, ...] = ()

    @property
    def reversed_minor(self) -> int:
        """All that was taken back."""
        return sum(reversal.minor for reversal in self.reversals)


@dataclass(frozen=True, slots=True)
class Split:
    """One share of the operator's pot: to the operator itself, to one of its LPs, or to another key."""

    label: str
    ppm: int
    lp: str | None
    pubkey: str | None
