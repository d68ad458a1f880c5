"""Records: what a book knows of its machines, LPs, deposits and commission splits.

What lives here: plain values, one class a noun, that facts carry and books hold. What does not: the rules that change
them (core/registry.py, core/deposits.py, core/splits.py) and how people see them (core/views.py). All are immutable:
a change is a new record in a fact. Keys are 64-digit hex; money is in minor units; times are unix seconds.
Acceptance M1, L1, L3, L6, D1, X18.
"""

from dataclasses import dataclass

from nostrbot.core.states import DepositStatus, Mode, Trust


@dataclass(frozen=True, slots=True)
class Machine:
    """One Bitcoin ATM of an operator. The handle never changes; the fees are the operator's, by direction."""

    handle: str
    pubkey: str
    fiat: str
    cash_in_ppm: int
    cash_out_ppm: int
    location: str
    trust: Trust
    enforce_fee_match: bool
    active: bool
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Preferences:
    """What an LP chose for itself, the same in every operator's book (acceptance L6).

    Attributes:
        limit: decimal fiat text, a day, for mode fixed.
        paused: takes no part in sharing until it resumes; its cash stays where it is.
        forward: the Lightning address its sats should go on to.
    """

    joined_at: int
    mode: Mode
    limit: str | None
    paused: bool = False
    forward: str | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An LP at one machine. `active` is the operator's switch."""

    machine: str
    active: bool
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Deposit:
    """Cash an LP put, or is about to put, into a machine. `reversed_minor` is what was taken back of it."""

    number: int
    lp: str
    machine: str
    amount_minor: int
    currency: str
    status: DepositStatus
    note: str
    reversed_minor: int
    created_at: int
    confirmed_at: int | None


@dataclass(frozen=True, slots=True)
class Split:
    """One share of the operator's pot: to the operator itself, to one of its LPs, or to another key."""

    label: str
    ppm: int
    lp: str | None
    pubkey: str | None
