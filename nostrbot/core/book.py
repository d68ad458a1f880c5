"""Book: the live state of one operator, folded from facts.

What lives here: the state a decision may look at, evolve() which applies one fact, and check_books(). What does not:
deciding (core/engine.py), sealing (journal/), keeping (store/). A book never reads a clock and never forgets; what
would grow for ever (events and payment hashes already booked) is a Recall that its owner fills before each decision.
"""

from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any, NamedTuple

from nostrbot.core.atm.settlement import Sale
from nostrbot.core.booking import book_fact
from nostrbot.core.facts import (
    BookOpened,
    DepositChanged,
    Fact,
    LpEnrolled,
    LpSwitched,
    MachineAdded,
    MachineChanged,
    OperatorAdded,
    OperatorSwitched,
    PlatformFeeSet,
    PreferencesSet,
    SettlementFact,
    SettlementPending,
    SettlementProcessed,
    SettlementRejected,
    SplitsSet,
)
from nostrbot.core.ledger import accounts
from nostrbot.core.ledger.balances import Balances
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.core.records import Deposit, Enrolment, Machine, Preferences, Split
from nostrbot.core.states import LegStatus, LegType, SettlementStatus
from nostrbot.errors import BooksError

# What one command of an LP chooses together; the newest command of each aspect tells all its preferences.
PREFERENCE_ASPECTS = {
    "joined": ("joined_at",),
    "mode": ("mode", "limit"),
    "pause": ("paused",),
    "forward": ("forward",),
}

ROOT = "root"  # the platform's own book: operators and the platform fee


class Booked(NamedTuple):
    """A settlement this book already knows, as far as a repeat of it must be answered."""

    number: int
    status: SettlementStatus
    error: str | None
    sale: Sale


class Recall:
    """What this book already took in: event ids, and payment hashes of accepted settlements.

    The bot fills it from the database before a batch and lets it go afterwards; an auditor keeps all of it. The unique
    keys of the database stand behind it: a Recall that forgot cannot book twice, it can only fail loudly.
    """

    __slots__ = ("events", "payments")

    def __init__(self) -> None:
        self.events: dict[str, Booked | None] = {}
        self.payments: dict[str, Booked] = {}

    def forget(self) -> None:
        """Drop everything; the owner fills it again when needed."""
        self.events.clear()
        self.payments.clear()


@dataclass(slots=True)
class Seat:
    """An LP's place at one machine, with its cash there, in minor units. `deposited` is net of reversals."""

    lp: str
    enrolment: Enrolment
    deposited_minor: int = 0
    spent_minor: int = 0

    @property
    def remaining_minor(self) -> int:
        """Confirmed deposits less completed legs (docs/protocol.md section 5)."""
        return self.deposited_minor - self.spent_minor


@dataclass(slots=True)
class Lp:
    """A liquidity provider in this book. `preference_seqs`: by aspect, the entry whose command its choice came from."""

    handle: str
    pubkey: str
    preferences: Preferences | None = None
    preference_seqs: dict[str, int] = field(default_factory=dict)
    seats: dict[str, Seat] = field(default_factory=dict)


@dataclass(slots=True)
class Book:
    """One operator's book, or the root book (key ROOT), which uses the first fields and `operators` only."""

    bot: str
    key: str
    platform: str
    handle: str = ""
    tz: str = "UTC"
    active: bool = True
    opened_at: int = 0
    cash_in_ppm: int = 0
    cash_out_ppm: int = 0
    fee_seq: int = 0
    operators: dict[str, OperatorAdded] = field(default_factory=dict)
    suspended_operators: set[str] = field(default_factory=set)
    machines: dict[str, Machine] = field(default_factory=dict)
    machine_of_key: dict[str, str] = field(default_factory=dict)
    lps: dict[str, Lp] = field(default_factory=dict)
    lp_of_key: dict[str, str] = field(default_factory=dict)
    seats: dict[str, list[Seat]] = field(default_factory=dict)
    deposits: dict[int, Deposit] = field(default_factory=dict)
    splits: dict[str | None, tuple[Split, ...]] = field(default_factory=dict)
    settlement_count: int = 0
    leg_count: int = 0
    volumes_sats: dict[str, int] = field(default_factory=dict)  # by machine, everything it ever settled
    balances: Balances = field(default_factory=Balances)
    recall: Recall = field(default_factory=Recall)

    def platform_ppm(self, *, cash_in: bool) -> int:
        """The platform's fee in force for a direction."""
        return self.cash_in_ppm if cash_in else self.cash_out_ppm

    def sats_owed(self, lp: str) -> int:
        """The sats owed to an LP in this book."""
        return -self.balances.of(accounts.lp_sats(lp), accounts.SAT)

    def splits_in_force(self, machine: str) -> tuple[Split, ...]:
        """A machine's own splits if it has any, else the operator's default; never merged (acceptance X19)."""
        return self.splits.get(machine) or self.splits.get(None) or ()


def evolve(book: Book, fact: Fact, *, seq: int, at: int) -> Transaction | None:
    """Apply one fact, in place, as part of entry `seq` accepted `at`; returns the transaction it was booked as.

    Raises BooksError when the fact would overdraw an LP: decide() must never let that happen.
    """
    transaction = book_fact(fact)
    if transaction is not None:
        book.balances.apply(transaction)
    _apply(fact, book, seq, at)
    return transaction


@singledispatch
def _apply(fact: Any, book: Book, seq: int, at: int) -> None:
    raise TypeError(f"no such fact: {type(fact).__name__}")


@_apply.register
def _(fact: OperatorAdded, book: Book, seq: int, at: int) -> None:
    book.operators[fact.operator] = fact


@_apply.register
def _(fact: OperatorSwitched, book: Book, seq: int, at: int) -> None:
    if book.key == ROOT:
        (book.suspended_operators.discard if fact.active else book.suspended_operators.add)(fact.operator)
    else:
        book.active = fact.active


@_apply.register
def _(fact: BookOpened, book: Book, seq: int, at: int) -> None:
    book.handle, book.tz, book.opened_at = fact.handle, fact.tz, at


@_apply.register
def _(fact: PlatformFeeSet, book: Book, seq: int, at: int) -> None:
    book.cash_in_ppm, book.cash_out_ppm, book.fee_seq = fact.cash_in_ppm, fact.cash_out_ppm, seq


@_apply.register(MachineAdded)
@_apply.register(MachineChanged)
def _(fact: MachineAdded | MachineChanged, book: Book, seq: int, at: int) -> None:
    machine = fact.machine
    book.machines[machine.handle] = machine
    book.machine_of_key[machine.pubkey] = machine.handle
    book.seats.setdefault(machine.handle, [])


@_apply.register
def _(fact: LpEnrolled, book: Book, seq: int, at: int) -> None:
    lp = book.lps.setdefault(fact.lp, Lp(fact.lp, fact.pubkey))
    book.lp_of_key[fact.pubkey] = fact.lp
    seat = Seat(fact.lp, fact.enrolment)
    lp.seats[fact.enrolment.machine] = seat
    book.seats[fact.enrolment.machine].append(seat)


@_apply.register
def _(fact: LpSwitched, book: Book, seq: int, at: int) -> None:
    for enrolment in fact.enrolments:
        book.lps[fact.lp].seats[enrolment.machine].enrolment = enrolment


@_apply.register
def _(fact: PreferencesSet, book: Book, seq: int, at: int) -> None:
    lp = book.lps[fact.lp]
    before, after = lp.preferences, fact.preferences
    for aspect, names in PREFERENCE_ASPECTS.items():
        if before is None or any(getattr(before, name) != getattr(after, name) for name in names):
            lp.preference_seqs[aspect] = seq
    lp.preferences = after


@_apply.register
def _(fact: DepositChanged, book: Book, seq: int, at: int) -> None:
    deposit = fact.deposit
    before = book.deposits.get(deposit.number)
    book.deposits[deposit.number] = deposit
    seat = book.lps[deposit.lp].seats[deposit.machine]
    counted_before = _counted_minor(before) if before else 0
    seat.deposited_minor += _counted_minor(deposit) - counted_before


def _counted_minor(deposit: Deposit) -> int:
    """What a deposit adds to its LP's balance: only cash that is really in the machine (acceptance D4, D9)."""
    return 0 if deposit.confirmed_at is None else deposit.amount_minor - deposit.reversed_minor


@_apply.register
def _(fact: SplitsSet, book: Book, seq: int, at: int) -> None:
    book.splits[fact.machine] = fact.splits


@_apply.register(SettlementRejected)
@_apply.register(SettlementPending)
def _(fact: SettlementRejected | SettlementPending, book: Book, seq: int, at: int) -> None:
    book.settlement_count = fact.number
    recall_settlement(book, fact)


@_apply.register
def _(fact: SettlementProcessed, book: Book, seq: int, at: int) -> None:
    book.settlement_count = fact.number
    book.leg_count += len(fact.legs)
    book.volumes_sats[fact.machine] = book.volumes_sats.get(fact.machine, 0) + fact.sale.wire_sats
    for leg in fact.legs:
        if leg.type is LegType.DCA and leg.status is LegStatus.COMPLETED and leg.lp is not None:
            book.lps[leg.lp].seats[fact.machine].spent_minor += leg.fiat_minor or 0
    recall_settlement(book, fact)


def recall_settlement(book: Book, fact: SettlementFact) -> None:
    """Note that this settlement is known, so that a repeat of it is answered and not booked.

    A rejected one is known by its event only: it never takes the payment hash from a true one.
    """
    error = fact.reason if isinstance(fact, SettlementRejected) else None
    booked = Booked(fact.number, fact.status, error, fact.sale)
    book.recall.events[fact.event_id] = booked
    if not isinstance(fact, SettlementRejected):
        book.recall.payments[fact.sale.payment_hash] = booked


def check_books(book: Book) -> None:
    """Raise BooksError unless the ledger sums to zero and agrees with every LP's balance. Start-up and tests ask."""
    off = {unit: total for unit, total in book.balances.trial().items() if total}
    if off:
        raise BooksError(f"book {book.handle}: the trial balance is off by {off}")
    for lp in book.lps.values():
        for machine, seat in lp.seats.items():
            account = accounts.lp_cash(lp.handle, machine)
            in_ledger = -book.balances.of(account, book.machines[machine].fiat)
            if in_ledger != seat.remaining_minor or in_ledger < 0:
                raise BooksError(f"book {book.handle}: {account} says {in_ledger}, the LP {seat.remaining_minor}")
