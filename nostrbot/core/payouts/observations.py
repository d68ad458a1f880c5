"""Observations of payouts: what the bot saw of a destination and of a wallet, and what it means.

What lives here: reading both strictly, and deciding everything that can be decided without the world. What does not: seeing
it (a rail), and parsing an invoice: what one says stands beside it in the observation. docs/protocol.md section 7.

An observation that cannot be read closes its book, because nobody would say it again. One that comes too late for its payout
is no such thing: a person may cancel while the bot asks. It changes nothing, or it is money that left all the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Any

from nostrbot.core.book import Book
from nostrbot.core.desk import Observer
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import Observed
from nostrbot.core.payouts.facts import (
    AttemptFailed,
    AttemptPrepared,
    OutcomeContradicted,
    PaymentLate,
    PayoutFailed,
    PayoutHeld,
    PayoutSettled,
    PayoutUnknown,
)
from nostrbot.core.payouts.owners import is_frozen_short
from nostrbot.core.payouts.records import Attempt, Payout, final
from nostrbot.core.payouts.states import (
    HOLDING,
    LEFT_S_MIN,
    RESOLVE_GRACE_S,
    RETURN_AFTER_S,
    UNTRIED_AFTER_S,
    UNTRIED_MAX,
    WAITING,
    AttemptFlaw,
    AttemptStatus,
    Doubt,
    HeldWhy,
    PaymentOutcome,
    PayoutStatus,
)
from nostrbot.money import SATS_MAX, ceil_div
from nostrbot.refusals import Reason, Refusal

MSAT = 1_000
NETWORK = "bc"  # invoices of no other network are paid
INSTRUMENT_CHARS_MAX = 8_192
WHY_CHARS_MAX = 280
NUMBER_MAX = 2**53 - 1
_is_hash = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class PreparedSeen:
    """An instrument that a destination gave when it was asked, with what it says; or "" and why there is none."""

    payout: int
    attempt: int
    attempt_id: str
    instrument: str
    amount_msat: int
    payment_hash: str
    network: str
    expires_at: int
    why: str


@dataclass(frozen=True, slots=True)
class OutcomeSeen:
    """A wallet's word on an attempt; `n` counts its words on this one.

    `is_confirmed`: a failure that the wallet's own node confirmed to the same instrument.
    """

    payout: int
    attempt: int
    attempt_id: str
    outcome: PaymentOutcome
    n: int
    asked_sats: int
    amount_msat: int
    fee_msat: int | None
    preimage: str | None
    is_confirmed: bool
    why: str


class _MalformedError(ValueError):
    """An observation that is not written as it must be."""


def _whole(seen: Mapping[str, Any], name: str, most: int = NUMBER_MAX) -> int:
    value = seen.get(name)
    if type(value) is not int or not 0 <= value <= most:
        raise _MalformedError(f"{name} is no whole number up to {most}")
    return value


def _text(seen: Mapping[str, Any], name: str, most: int) -> str:
    value = seen.get(name)
    if type(value) is not str or len(value) > most:
        raise _MalformedError(f"{name} is no text of at most {most} characters")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _MalformedError(f"{name} is no text that can be written")
    return value


def _hash(seen: Mapping[str, Any], name: str) -> str:
    value = seen.get(name)
    if type(value) is not str or not _is_hash(value):
        raise _MalformedError(f"{name} is not 64 hex digits")
    return value


def _fields(given: Observed, kind: type[PreparedSeen] | type[OutcomeSeen]) -> Mapping[str, Any]:
    names = {one.name for one in fields(kind)}
    if given.seen.keys() != names:
        raise _MalformedError(f"its fields must be {', '.join(sorted(names))}")
    return given.seen


def _keyed(given: Observed, key: str) -> None:
    if not 0 <= given.at <= NUMBER_MAX:
        raise _MalformedError("at is no time")
    if given.key != key:
        raise _MalformedError(f"its key must be {key}")


def read_prepared(given: Observed) -> PreparedSeen | Refusal:
    """Read what a destination gave; Refusal where it is not written as it must be."""
    try:
        seen = _fields(given, PreparedSeen)
        read = PreparedSeen(
            payout=_whole(seen, "payout"),
            attempt=_whole(seen, "attempt"),
            attempt_id=_text(seen, "attempt_id", 64),
            instrument=_text(seen, "instrument", INSTRUMENT_CHARS_MAX),
            amount_msat=_whole(seen, "amount_msat", MSAT * SATS_MAX),
            payment_hash=_text(seen, "payment_hash", 64),
            network=_text(seen, "network", 16),
            expires_at=_whole(seen, "expires_at"),
            why=_text(seen, "why", WHY_CHARS_MAX),
        )
        if read.instrument:
            _hash(seen, "attempt_id")
            _hash(seen, "payment_hash")
        elif not read.why:
            raise _MalformedError("there is neither an instrument nor why there is none")
        _keyed(given, f"p{read.payout}.{read.attempt}:prepared")
    except _MalformedError as error:
        return Refusal(Reason.INVALID, f"attempt_prepared: {error}")
    return read


def read_outcome(given: Observed) -> OutcomeSeen | Refusal:
    """Read what a wallet says; Refusal where it is not written as it must be."""
    try:
        seen = _fields(given, OutcomeSeen)
        outcome = _text(seen, "outcome", 16)
        if outcome not in set(PaymentOutcome):
            raise _MalformedError(f"outcome must be one of {', '.join(PaymentOutcome)}")
        if type(seen["is_confirmed"]) is not bool:
            raise _MalformedError("is_confirmed is neither true nor false")
        read = OutcomeSeen(
            payout=_whole(seen, "payout"),
            attempt=_whole(seen, "attempt"),
            attempt_id=_hash(seen, "attempt_id"),
            outcome=PaymentOutcome(outcome),
            n=_whole(seen, "n"),
            asked_sats=_whole(seen, "asked_sats", SATS_MAX),
            amount_msat=_whole(seen, "amount_msat", MSAT * SATS_MAX),
            fee_msat=None if seen["fee_msat"] is None else _whole(seen, "fee_msat", MSAT * SATS_MAX),
            preimage=None if seen["preimage"] is None else _hash(seen, "preimage"),
            is_confirmed=seen["is_confirmed"],
            why=_text(seen, "why", WHY_CHARS_MAX),
        )
        _keyed(given, f"p{read.payout}.{read.attempt}:{read.outcome}:{read.n}")
    except _MalformedError as error:
        return Refusal(Reason.INVALID, f"payment_outcome: {error}")
    return read


def fits(preimage: str, payment_hash: str) -> bool:
    """Return whether a preimage proves the payment of this hash."""
    return sha256(bytes.fromhex(preimage)).hexdigest() == payment_hash


# --- an instrument ----------------------------------------------------------------------------------------------------


def decide_prepared(book: Book, given: Observed, at: int, rules: int) -> tuple[Fact, ...] | Refusal:
    """Let an instrument be paid, or not. Where the payout no longer waits for it nothing changes: it is not sent."""
    seen = read_prepared(given)
    if isinstance(seen, Refusal):
        return seen
    payout = book.payouts.find(seen.payout)
    if payout is None:
        return Refusal(Reason.INVALID, f"attempt_prepared: there is no payout p{seen.payout}")
    if payout.status is not PayoutStatus.RESOLVING or seen.attempt != len(payout.attempts) + 1:
        return ()
    if book.payouts.is_paused:
        return (PayoutHeld(payout.moved(PayoutStatus.HELD, why=HeldWhy.PAUSED)),)
    if is_frozen_short(book, payout):
        return (PayoutHeld(payout.moved(PayoutStatus.HELD, why=HeldWhy.FROZEN)),)
    attempt = Attempt(seen.attempt, seen.attempt_id, seen.instrument, seen.expires_at, AttemptStatus.SENDING)
    flaw = _find_flaw(book, payout, seen, max(at, given.at))
    if flaw is not None:
        refused = final(attempt, AttemptStatus.REFUSED, why=seen.why or flaw.value)
        return (_returned(payout, refused, at),)
    return (AttemptPrepared(payout.moved(PayoutStatus.SENDING, attempts=payout.tried(attempt))),)


def _find_flaw(book: Book, payout: Payout, seen: PreparedSeen, at: int) -> AttemptFlaw | None:
    """Return why an instrument must not be paid."""
    if not seen.instrument or seen.attempt_id != seen.payment_hash:
        return AttemptFlaw.BAD_DESTINATION
    if seen.amount_msat != MSAT * payout.sats:
        return AttemptFlaw.INVOICE_AMOUNT
    if seen.network != NETWORK:
        return AttemptFlaw.WRONG_NETWORK
    if seen.attempt_id in book.payouts.attempt_ids:
        return AttemptFlaw.HASH_USED
    return AttemptFlaw.INVOICE_EXPIRED if seen.expires_at < at + LEFT_S_MIN else None


def _returned(payout: Payout, attempt: Attempt, at: int, *, wait_until: int = 0) -> Fact:
    """Return a payout to the queue after an attempt that failed, or give it up when that was the last.

    Not while that one can still be paid: its sats would be free, and leave twice. Then the clock gives it up.
    """
    attempts, is_last = payout.tried(attempt), payout.returned >= len(RETURN_AFTER_S)
    if is_last and wait_until <= at:
        return PayoutFailed(payout.moved(PayoutStatus.FAILED, attempts=attempts))
    next_at = wait_until if is_last else max(at + RETURN_AFTER_S[payout.returned], wait_until)
    returned = payout.moved(PayoutStatus.QUEUED, attempts=attempts, returned=payout.returned + 1, next_at=next_at)
    return AttemptFailed(returned, attempt.number)


# --- what became of it ------------------------------------------------------------------------------------------------


def decide_outcome(book: Book, given: Observed, at: int, rules: int) -> tuple[Fact, ...] | Refusal:
    """Decide what a wallet says of an attempt. It can be of one that was over: money that left is booked, once."""
    seen = read_outcome(given)
    if isinstance(seen, Refusal):
        return seen
    payout = book.payouts.find(seen.payout)
    if payout is None or not 1 <= seen.attempt <= len(payout.attempts):
        return Refusal(Reason.INVALID, f"payment_outcome: there is no attempt p{seen.payout}.{seen.attempt}")
    attempt = payout.attempts[seen.attempt - 1]
    if attempt.status is AttemptStatus.REFUSED:
        return Refusal(Reason.INVALID, f"payment_outcome: p{seen.payout}.{seen.attempt} was never to be sent")
    if attempt.attempt_id != seen.attempt_id or payout.sats != seen.asked_sats:
        return Refusal(Reason.INVALID, f"payment_outcome: p{seen.payout}.{seen.attempt} is another payment")
    if attempt.status is AttemptStatus.SETTLED:
        is_same = seen.outcome in (PaymentOutcome.SETTLED, PaymentOutcome.UNKNOWN)
        return () if is_same else (OutcomeContradicted(payout.number, attempt.number, seen.outcome),)
    if seen.outcome is PaymentOutcome.SETTLED:
        doubt = _find_doubt(payout, seen)
        if doubt is None:
            assert seen.fee_msat is not None, "else it were a doubt"
            return (settled(payout, attempt, fee_msat=seen.fee_msat, preimage=seen.preimage),)
        return _unknown(payout, attempt, doubt.value) if attempt.is_open else _doubted(payout, attempt, doubt)
    if not attempt.is_open:
        return ()
    if seen.outcome is PaymentOutcome.UNKNOWN:
        return _unknown(payout, attempt, seen.why)
    # What may have left was tried, whatever the wallet says now: the payment it did not find may come to it late.
    if seen.outcome is PaymentOutcome.UNTRIED and attempt.status is AttemptStatus.SENDING:
        return (_untried(payout, attempt, seen.why, at),)
    wait_until = 0 if seen.is_confirmed else attempt.expires_at + RESOLVE_GRACE_S
    return (failed(payout, attempt, seen.why, at, wait_until=wait_until),)


def _find_doubt(payout: Payout, seen: OutcomeSeen) -> Doubt | None:
    """Return why a payment cannot be taken for settled, though a wallet says so."""
    if seen.amount_msat != MSAT * payout.sats:
        return Doubt.AMOUNT_DIFFERS
    if seen.preimage is not None and not fits(seen.preimage, seen.attempt_id):
        return Doubt.PREIMAGE_DIFFERS
    if seen.fee_msat is None:
        return Doubt.FEE_UNKNOWN
    return Doubt.FEE_UNBELIEVABLE if seen.fee_msat > MSAT * payout.held_sats else None


def settled(payout: Payout, attempt: Attempt, *, fee_msat: int, preimage: str | None) -> Fact:
    """Return that an attempt was paid. The first of a payout that is not over settles it; the operator pays for any other."""
    paid = final(attempt, AttemptStatus.SETTLED, fee_msat=fee_msat, preimage=preimage, why="")
    attempts, fee_sats = payout.tried(paid), ceil_div(fee_msat, MSAT)
    if payout.status not in HOLDING:
        return PaymentLate(replace(payout, attempts=attempts), attempt.number, fee_sats)
    charged_sats = min(fee_sats, payout.fee_cap_sats)
    done = payout.moved(PayoutStatus.SETTLED, attempts=attempts)
    return PayoutSettled(done, attempt.number, charged_sats, fee_sats - charged_sats)


def failed(payout: Payout, attempt: Attempt, why: str, at: int, *, wait_until: int = 0) -> Fact:
    """Return that an open attempt failed. Where another one settled its payout that is all."""
    over = final(attempt, AttemptStatus.FAILED, why=why)
    if payout.status not in HOLDING:
        return AttemptFailed(replace(payout, attempts=payout.tried(over)), attempt.number)
    return _returned(payout, over, at, wait_until=wait_until)


def _untried(payout: Payout, attempt: Attempt, why: str, at: int) -> Fact:
    """Return that a wallet never tried: no attempt is used up, and the payout waits for the wallet."""
    over = final(attempt, AttemptStatus.UNTRIED, why=why)
    attempts = payout.tried(over)
    if payout.status not in HOLDING:
        return AttemptFailed(replace(payout, attempts=attempts), attempt.number)
    if sum(one.status is AttemptStatus.UNTRIED for one in attempts) % UNTRIED_MAX == 0:
        return PayoutFailed(payout.moved(PayoutStatus.FAILED, attempts=attempts))
    held = payout.moved(PayoutStatus.HELD, attempts=attempts, why=HeldWhy.WALLET_REFUSES, next_at=at + UNTRIED_AFTER_S)
    return AttemptFailed(held, attempt.number)


def _unknown(payout: Payout, attempt: Attempt, why: str) -> tuple[Fact, ...]:
    """Note, once, that an attempt may have been paid."""
    if attempt.status is not AttemptStatus.SENDING:
        return ()
    attempts = payout.tried(replace(attempt, status=AttemptStatus.UNKNOWN, why=why))
    if payout.status is PayoutStatus.SENDING:
        return (PayoutUnknown(payout.moved(PayoutStatus.UNKNOWN, attempts=attempts)),)
    return (PayoutUnknown(replace(payout, attempts=attempts)),)


def _doubted(payout: Payout, attempt: Attempt, doubt: Doubt) -> tuple[Fact, ...]:
    """Note that an attempt which was over may have been paid after all: until somebody says so, nothing is sent again.

    Where another attempt may still be paid nothing changes, for there is at most one such attempt: somebody looks.
    """
    if payout.open_attempt is not None:
        return (OutcomeContradicted(payout.number, attempt.number, PaymentOutcome.SETTLED),)
    attempts = payout.tried(replace(attempt, status=AttemptStatus.UNKNOWN, why=doubt.value))
    if payout.status in WAITING:
        return (PayoutUnknown(payout.moved(PayoutStatus.UNKNOWN, attempts=attempts)),)
    return (PayoutUnknown(replace(payout, attempts=attempts)),)


# --- what proves itself -----------------------------------------------------------------------------------------------


def is_outcome_proven(given: Observed) -> bool:
    """Return whether a fitting preimage and the amount that was asked for prove that it was paid."""
    seen = read_outcome(given)
    return (
        not isinstance(seen, Refusal)
        and seen.outcome is PaymentOutcome.SETTLED
        and seen.preimage is not None
        and fits(seen.preimage, seen.attempt_id)
        and seen.amount_msat == MSAT * seen.asked_sats
    )


def is_prepared_proven(given: Observed) -> bool:
    """Return False: that the destination gave this instrument is the bot's word."""
    return False


OBSERVERS: Mapping[str, Observer] = {
    "attempt_prepared": Observer(decide_prepared, is_prepared_proven),
    "payment_outcome": Observer(decide_outcome, is_outcome_proven),
}
