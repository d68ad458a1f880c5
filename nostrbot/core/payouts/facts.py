"""Facts of payouts: what was decided to be so of sats on their way out.

What lives here: one class a fact; each that changes a payout carries all of it as it is then. What does not: their plain form
(core/facts.py), what they are booked as (booking.py beside this).
"""

from dataclasses import dataclass
from typing import ClassVar

from nostrbot.core.payouts.records import Payout
from nostrbot.core.payouts.states import PaymentOutcome


@dataclass(frozen=True, slots=True)
class PayoutRequested:
    """Somebody asked for sats; they and the fee cap are held from now on."""

    name: ClassVar[str] = "payout_requested"
    payout: Payout


@dataclass(frozen=True, slots=True)
class PayoutHeld:
    """A payout waits until something has happened."""

    name: ClassVar[str] = "payout_held"
    payout: Payout


@dataclass(frozen=True, slots=True)
class PayoutQueued:
    """A payout that was held goes on."""

    name: ClassVar[str] = "payout_queued"
    payout: Payout


@dataclass(frozen=True, slots=True)
class PayoutResolving:
    """It is a payout's turn: the bot asks its destination for an instrument."""

    name: ClassVar[str] = "payout_resolving"
    payout: Payout


@dataclass(frozen=True, slots=True)
class AttemptPrepared:
    """An instrument may be paid from now on, and no other until this one is final."""

    name: ClassVar[str] = "attempt_prepared"
    payout: Payout


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt failed; its payout returns to the queue, is held, or was settled by another attempt."""

    name: ClassVar[str] = "attempt_failed"
    payout: Payout
    attempt: int


@dataclass(frozen=True, slots=True)
class PayoutUnknown:
    """The sats may have left."""

    name: ClassVar[str] = "payout_unknown"
    payout: Payout


@dataclass(frozen=True, slots=True)
class PayoutSettled:
    """The sats have left by this attempt. `over_sats`: what the real fee is above the cap, which the operator pays."""

    name: ClassVar[str] = "payout_settled"
    payout: Payout
    attempt: int
    fee_sats: int
    over_sats: int


@dataclass(frozen=True, slots=True)
class PayoutFailed:
    """Nothing is tried any more; all that was held returns."""

    name: ClassVar[str] = "payout_failed"
    payout: Payout


@dataclass(frozen=True, slots=True)
class PayoutCancelled:
    """Somebody called a payout off before anything could leave; all that was held returns."""

    name: ClassVar[str] = "payout_cancelled"
    payout: Payout
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class PayoutRetried:
    """The operator has a failed payout tried again; its sats are held again."""

    name: ClassVar[str] = "payout_retried"
    payout: Payout


@dataclass(frozen=True, slots=True)
class PaymentLate:
    """An attempt of a payout that is over was paid all the same: the operator pays for it."""

    name: ClassVar[str] = "payment_late"
    payout: Payout
    attempt: int
    fee_sats: int


@dataclass(frozen=True, slots=True)
class OutcomeContradicted:
    """A wallet now says otherwise of an attempt that is over; nothing changes."""

    name: ClassVar[str] = "outcome_contradicted"
    number: int
    attempt: int
    outcome: PaymentOutcome


@dataclass(frozen=True, slots=True)
class PayoutsPaused:
    """The operator stopped all payouts."""

    name: ClassVar[str] = "payouts_paused"


@dataclass(frozen=True, slots=True)
class PayoutsResumed:
    """The operator lets payouts go on."""

    name: ClassVar[str] = "payouts_resumed"


PayoutChange = (
    PayoutRequested
    | PayoutHeld
    | PayoutQueued
    | PayoutResolving
    | AttemptPrepared
    | AttemptFailed
    | PayoutUnknown
    | PayoutSettled
    | PayoutFailed
    | PayoutCancelled
    | PayoutRetried
    | PaymentLate
)
PayoutFact = PayoutChange | OutcomeContradicted | PayoutsPaused | PayoutsResumed
