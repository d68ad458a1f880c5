"""States: closed enums of what a payout and an attempt can be, and the one table of the legal moves.

What lives here: the words, the table, and how often something is tried. What does not: who makes a move (observations.py,
requests.py and due.py beside this). docs/protocol.md section 7.
"""

from collections.abc import Mapping
from enum import StrEnum


class PayoutStatus(StrEnum):
    """The status of a payout."""

    HELD = "held"  # something must happen first; HeldWhy says what
    QUEUED = "queued"
    RESOLVING = "resolving"  # the bot asks the destination for an instrument to pay
    SENDING = "sending"  # an instrument is committed: sats may leave at any moment
    UNKNOWN = "unknown"  # they may have left; only a look-up or a person says
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"


class PayoutKind(StrEnum):
    """The purpose of a payout."""

    WITHDRAW = "withdraw"


class Payee(StrEnum):
    """The party whose sats a payout pays."""

    LP = "lp"
    OPERATOR = "operator"
    PLATFORM = "platform"


class HeldWhy(StrEnum):
    """The reason why a payout waits."""

    PAUSED = "paused"
    FROZEN = "frozen"
    WALLET_REFUSES = "wallet_refuses"


class AttemptStatus(StrEnum):
    """The status of an attempt."""

    SENDING = "sending"
    UNKNOWN = "unknown"
    SETTLED = "settled"
    FAILED = "failed"
    UNTRIED = "untried"  # the wallet says that it never tried
    REFUSED = "refused"  # what the destination gave must not be paid: it was never sent


class PaymentOutcome(StrEnum):
    """The outcome of an attempt, as a wallet tells it."""

    SETTLED = "settled"
    FAILED = "failed"
    UNTRIED = "untried"
    UNKNOWN = "unknown"


class AttemptFlaw(StrEnum):
    """The reason why an instrument must not be paid."""

    BAD_DESTINATION = "bad_destination"  # there is none, or it is known by another hash than its own
    INVOICE_AMOUNT = "invoice_amount"
    WRONG_NETWORK = "wrong_network"
    HASH_USED = "hash_used"
    INVOICE_EXPIRED = "invoice_expired"


class Doubt(StrEnum):
    """The reason why a payment that a wallet calls settled is not taken for settled: a look-up or a person says."""

    AMOUNT_DIFFERS = "amount_differs"
    PREIMAGE_DIFFERS = "preimage_differs"
    FEE_UNKNOWN = "fee_unknown"
    FEE_UNBELIEVABLE = "fee_unbelievable"


# The legal moves. None is birth. A failed attempt returns its payout to the queue; the way out of `unknown` is a look-up or
# a person. Waiting payouts settle when an attempt that was called failed turns out to be paid: nothing is sent again; while
# it may have been paid they are unknown.
PAYOUT_MOVES: Mapping[PayoutStatus | None, frozenset[PayoutStatus]] = {
    None: frozenset({PayoutStatus.HELD, PayoutStatus.QUEUED}),
    PayoutStatus.HELD: frozenset(
        {PayoutStatus.HELD, PayoutStatus.QUEUED, PayoutStatus.UNKNOWN, PayoutStatus.SETTLED, PayoutStatus.CANCELLED}
    ),
    PayoutStatus.QUEUED: frozenset(
        {
            PayoutStatus.HELD,
            PayoutStatus.RESOLVING,
            PayoutStatus.UNKNOWN,
            PayoutStatus.SETTLED,
            PayoutStatus.FAILED,
            PayoutStatus.CANCELLED,
        }
    ),
    PayoutStatus.RESOLVING: frozenset(
        {
            PayoutStatus.HELD,
            PayoutStatus.QUEUED,
            PayoutStatus.SENDING,
            PayoutStatus.UNKNOWN,
            PayoutStatus.SETTLED,
            PayoutStatus.FAILED,
            PayoutStatus.CANCELLED,
        }
    ),
    PayoutStatus.SENDING: frozenset(
        {
            PayoutStatus.HELD,
            PayoutStatus.QUEUED,
            PayoutStatus.UNKNOWN,
            PayoutStatus.SETTLED,
            PayoutStatus.FAILED,
        }
    ),
    PayoutStatus.UNKNOWN: frozenset({PayoutStatus.QUEUED, PayoutStatus.SETTLED, PayoutStatus.FAILED}),
    PayoutStatus.FAILED: frozenset({PayoutStatus.QUEUED}),
    PayoutStatus.SETTLED: frozenset(),
    PayoutStatus.CANCELLED: frozenset(),
}

# Nothing is on its way, so a payout can be cancelled.
WAITING = frozenset({PayoutStatus.HELD, PayoutStatus.QUEUED, PayoutStatus.RESOLVING})
# Its sats and its fee cap are in an account of what is held.
HOLDING = WAITING | {PayoutStatus.SENDING, PayoutStatus.UNKNOWN}
# It may leave at any moment, or has.
IN_FLIGHT = frozenset({AttemptStatus.SENDING, AttemptStatus.UNKNOWN})

RETURN_AFTER_S = (60, 600, 3_600)  # how long a payout waits after its first, second and third failed attempt
RESOLVE_GRACE_S = 60  # an instrument can be paid until it has expired, and a little longer by another clock
LEFT_S_MIN = 60  # an instrument must live so long when it is sent
UNTRIED_AFTER_S = 600  # a wallet that refused is asked again
UNTRIED_MAX = 10
ATTEMPTS_MAX = 50  # of one payout, with all that people had tried again
PERSON_AFTER_S = 3_600  # after its expiry a person may say what became of an attempt
