"""States: closed enums of what a settlement, a leg and a deposit can be, and one table of the legal moves.

What lives here: the words and the tables. What does not: who makes a move (core/atm/settlements/rules.py,
core/atm/settlements/worklist.py and core/atm/deposits.py). Direction words are always the customer's: cash-out = sells
bitcoin, takes cash; cash-in = buys bitcoin with cash. docs/protocol.md section 5; acceptance S4-S10, X14, X15, D3-D7.
"""

from collections.abc import Mapping
from enum import StrEnum


class Direction(StrEnum):
    """The direction of the customer's cash (acceptance S24)."""

    CASH_OUT = "cash_out"
    CASH_IN = "cash_in"


class Trust(StrEnum):
    """The evidence a machine's settlement must show before it is booked: its signature, a preimage, or a wallet's
    word.
    """

    SIGNATURE = "signature"
    PREIMAGE = "preimage"
    WALLET = "wallet"


class Mode(StrEnum):
    """The way an LP takes its sats: a part of each cash-out, or a fixed amount a day."""

    FLOW = "flow"
    FIXED = "fixed"


class SettlementStatus(StrEnum):
    """The states of a settlement."""

    PENDING = "pending"
    PROCESSING = "processing"
    PROCESSED = "processed"
    PARTIAL = "partial"
    REFUNDED = "refunded"
    ERRORED = "errored"
    REJECTED = "rejected"


class LegType(StrEnum):
    """The purposes of a leg."""

    DCA = "dca"
    SETTLEMENT = "settlement"
    AUTOFORWARD = "autoforward"
    SUPER_FEE = "super_fee"
    OPERATOR_SPLIT = "operator_split"
    OPERATOR = "operator"


class LegStatus(StrEnum):
    """The states of a leg."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    VOIDED = "voided"
    SKIPPED = "skipped"


class DepositStatus(StrEnum):
    """The states of a deposit."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    REVERSED = "reversed"


class SkipReason(StrEnum):
    """The reasons why a leg carries nothing."""

    NO_CANDIDATES = "no_lp_with_a_balance"
    ZERO_SHARE = "share_rounds_to_zero"
    NO_PRICE = "no_price_yet"  # fixed mode: the machine has not settled anything yet
    PRICE_UNSETTLED = "price_unsettled"  # fixed mode: the machine's newest rate is far off its usual one
    SHORT_OF_SATS = "operator_short_of_sats"  # fixed mode: the operator has not enough sats of its own


class Hold(StrEnum):
    """The reasons why a settlement waits: what a person, or later a wallet, must say first."""

    AWAITING_WALLET = "awaiting_wallet"  # trust=wallet: nothing moves until a wallet saw the payment
    PER_SETTLEMENT = "guard_per_settlement"
    PER_DAY = "guard_per_day"
    RATE = "guard_rate"
    BOOK_TOTAL = "guard_book_total"  # with it the book would owe more sats than there are


# The legal moves. None is birth. Anything else is refused; nothing is ever deleted (acceptance O1). A settlement is
# decided in one step, so that none stays `processing`; the moves out of it are for payouts that take time.
SETTLEMENT_MOVES: Mapping[SettlementStatus | None, frozenset[SettlementStatus]] = {
    None: frozenset({SettlementStatus.PENDING, SettlementStatus.PROCESSED, SettlementStatus.REJECTED}),
    SettlementStatus.PENDING: frozenset(
        {
            SettlementStatus.PROCESSING,
            SettlementStatus.PROCESSED,
            SettlementStatus.ERRORED,
            SettlementStatus.REFUNDED,
        }
    ),
    SettlementStatus.PROCESSING: frozenset({SettlementStatus.PROCESSED, SettlementStatus.ERRORED}),
    SettlementStatus.PROCESSED: frozenset({SettlementStatus.PARTIAL, SettlementStatus.REFUNDED}),
    SettlementStatus.PARTIAL: frozenset(
        {SettlementStatus.PARTIAL, SettlementStatus.PROCESSED, SettlementStatus.REFUNDED}
    ),
    SettlementStatus.ERRORED: frozenset(
        {SettlementStatus.PENDING, SettlementStatus.PROCESSED, SettlementStatus.REFUNDED}
    ),
    SettlementStatus.REFUNDED: frozenset(),
    SettlementStatus.REJECTED: frozenset(),
}

# What may become of a settlement while it is frozen: whatever else it is, nothing new is built on it
# (core/atm/settlements/compromise.py).
MOVES_WHEN_FROZEN: frozenset[SettlementStatus] = frozenset({SettlementStatus.REFUNDED})

DEPOSIT_MOVES: Mapping[DepositStatus | None, frozenset[DepositStatus]] = {
    None: frozenset({DepositStatus.PENDING}),
    DepositStatus.PENDING: frozenset({DepositStatus.CONFIRMED, DepositStatus.CANCELLED}),
    DepositStatus.CONFIRMED: frozenset({DepositStatus.REVERSED}),
    DepositStatus.CANCELLED: frozenset(),
    DepositStatus.REVERSED: frozenset(),
}
