"""Book: the live state of one operator, folded from facts.

What lives here: the state a decision may look at, and the checks of it. What does not: how a fact changes it
(core/evolution.py), deciding (core/engine.py), sealing (journal/), keeping (store/). A book never reads a clock and
never forgets; what would grow for ever (events and payment hashes already booked) is a Recall that its owner fills
before each decision.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from nostrbot.core.atm.recall import Recall
from nostrbot.core.atm.records import AlertPlan, Deposit, Enrolment, FixedPlan, Machine, Preferences, Split
from nostrbot.core.atm.settlements.facts import SettlementFrozen
from nostrbot.core.atm.till import Till
from nostrbot.core.ledger import accounts
from nostrbot.core.ledger.balances import Balances
from nostrbot.core.payouts.records import Payouts
from nostrbot.core.platform.facts import OperatorAdded
from nostrbot.errors import BooksError
from nostrbot.nostr.sealing import Scheme

ROOT = "root"  # the platform's own book: operators and the platform fee


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


SCHEMES_KEPT = 16  # of an LP: what is owed since before that many changes of client may come twice, in two of them


@dataclass(slots=True)
class Lp:
    """A liquidity provider in this book.

    Attributes:
        brought: what it chose with other operators, carried into this book for its `join` here.
        preference_seqs: by aspect, the entry whose command its choice came from.
        schemes: how it has written, each with the entry from which on, the last SCHEMES_KEPT of them.
    """

    handle: str
    pubkey: str
    preferences: Preferences | None = None
    brought: Preferences | None = None
    preference_seqs: dict[str, int] = field(default_factory=dict)
    schemes: list[tuple[int, Scheme]] = field(default_factory=list)
    seats: dict[str, Seat] = field(default_factory=dict)

    def scheme_before(self, seq: int) -> Scheme:
        """Return how it had last written when entry `seq` was sealed: that entry's messages go out so, however late."""
        return next((scheme for since, scheme in reversed(self.schemes) if since < seq), Scheme.NIP04)


class Moved(NamedTuple):
    """An LP's share of what had waited for its key as a party: its leg, and the sats in it."""

    lp: str
    number: int
    sats: int


@dataclass(slots=True)
class Book:
    """One operator's book, or the root book (key ROOT), which uses the first fields and those about operators only.

    A book keeps its name for ever: `key`, the first key of its operator. Who speaks for it, and to whom, may change.

    Attributes:
        bot: the bot's key in force; first_bot: the one the book was opened with; former_bots: all before, by which
            commands carried into it were addressed; rotations: the entries in which this book changed from one to
            another.
        operator: the operator's key in force; former_operators: those it had before, in its own book; operator_of_key:
            in the root book, every key an operator has or had, each with its book; the last of a book is in force.
        parties: keys that got a share as a party; moved: what of it their LPs have by now.
        freed: machines' keys that the platform took from this book.
        frozen: settlements that a thief may have signed, by number.
        payouts: sats on their way out.
    """

    bot: str
    key: str
    platform: str
    first_bot: str = ""
    former_bots: list[str] = field(default_factory=list)
    rotations: list[int] = field(default_factory=list)
    operator: str = ""
    former_operators: list[str] = field(default_factory=list)
    handle: str = ""
    tz: str = "UTC"
    active: bool = True
    opened_at: int = 0
    cash_in_ppm: int = 0
    cash_out_ppm: int = 0
    fee_seq: int = 0
    operators: dict[str, OperatorAdded] = field(default_factory=dict)
    suspended_operators: set[str] = field(default_factory=set)
    operator_of_key: dict[str, str] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    machine_of_key: dict[str, str] = field(default_factory=dict)
    parties: set[str] = field(default_factory=set)
    moved: dict[str, Moved] = field(default_factory=dict)
    freed: list[str] = field(default_factory=list)
    lps: dict[str, Lp] = field(default_factory=dict)
    lp_of_key: dict[str, str] = field(default_factory=dict)
    seats: dict[str, list[Seat]] = field(default_factory=dict)
    deposits: dict[int, Deposit] = field(default_factory=dict)
    splits: dict[str | None, tuple[Split, ...]] = field(default_factory=dict)
    settlement_count: int = 0
    leg_count: int = 0
    cash_in_sats: int = 0  # principals of cash-ins: what customers were paid, which need not come from here
    frozen: dict[int, SettlementFrozen] = field(default_factory=dict)
    tills: dict[str, Till] = field(default_factory=dict)
    fixed_plan: FixedPlan = field(default_factory=FixedPlan)
    fixed_day: str = ""  # the last local day with a slot, with its slots kept and the fiat given by (LP, currency)
    fixed_slots: set[str] = field(default_factory=set)
    fixed_given_minor: dict[tuple[str, str], int] = field(default_factory=dict)
    alert_plan: AlertPlan = field(default_factory=AlertPlan)
    payouts: Payouts = field(default_factory=Payouts)
    balances: Balances = field(default_factory=Balances)
    recall: Recall = field(default_factory=Recall)

    def __post_init__(self) -> None:
        self.first_bot = self.first_bot or self.bot
        self.operator = self.operator or self.key

    def platform_ppm(self, *, cash_in: bool) -> int:
        """Return the platform's fee in force for a direction."""
        return self.cash_in_ppm if cash_in else self.cash_out_ppm

    def sats_owed(self, lp: str) -> int:
        """Return the sats owed to an LP in this book that are not on their way out."""
        return -self.balances.of(accounts.lp_sats(lp), accounts.SAT)

    def held_sats(self, lp: str) -> int:
        """Return the sats held for an LP's open payouts: owed as well, and not free."""
        return -self.balances.of(accounts.lp_held(lp), accounts.SAT)

    def frozen_sats(self, lp: str) -> int:
        """Return the frozen sats owed to an LP: they cannot leave."""
        return sum(part.sats for fact in self.frozen.values() for part in fact.parts if part.lp == lp)

    def lps_frozen_sats(self) -> int:
        """Return the frozen sats owed to all LPs together."""
        return sum(part.sats for fact in self.frozen.values() for part in fact.parts)

    def own_sats(self) -> int:
        """Return the operator's own sats."""
        return -self.balances.of(accounts.OPERATOR, accounts.SAT)

    def platform_sats(self) -> int:
        """Return the sats owed to the platform that are not on their way out."""
        return -self.balances.of(accounts.PLATFORM, accounts.SAT)

    def own_frozen_sats(self) -> int:
        """Return the sats that frozen settlements gave the operator."""
        return sum(fact.own_sats for fact in self.frozen.values())

    def free_sats(self) -> int:
        """Return the operator's own unfrozen sats: those it may pay LPs with."""
        return self.own_sats() - self.own_frozen_sats()

    def key_in_force(self, operator: str) -> str:
        """Return, in the root book, the key that speaks for the operator of a book."""
        return {book: pubkey for pubkey, book in self.operator_of_key.items()}[operator]

    def splits_in_force(self, machine: str) -> tuple[Split, ...]:
        """Return a machine's own splits if it has any, else the operator's default; never merged (acceptance X19)."""
        return self.splits.get(machine) or self.splits.get(None) or ()


def check_ledger(book: Book) -> None:
    """Raise BooksError unless the ledger sums to zero."""
    off = {unit: total for unit, total in book.balances.trial().items() if total}
    if off:
        raise BooksError(f"book {book.handle}: the trial balance is off by {off}")


def check_seats(book: Book) -> None:
    """Raise BooksError unless the ledger agrees with every LP's cash."""
    for lp in book.lps.values():
        for machine, seat in lp.seats.items():
            account = accounts.lp_cash(lp.handle, machine)
            in_ledger = -book.balances.of(account, book.machines[machine].fiat)
            if in_ledger != seat.remaining_minor or in_ledger < 0:
                raise BooksError(f"book {book.handle}: {account} says {in_ledger}, the LP {seat.remaining_minor}")
