"""Requests: what people decide about payouts.

What lives here: asking for sats, cancelling, trying again, saying what became of a payment that nobody knows of, stopping
all of it. What does not: rows of the table of commands (commands.py beside this), what a wallet says (observations.py). No
desk has these deciders until there is a rail: see desk.py beside this.
"""

from collections.abc import Mapping

from nostrbot.core.book import Book
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import SUSPENDED, Code, CommandRefused
from nostrbot.core.desk import Decider
from nostrbot.core.facts import Fact
from nostrbot.core.payouts.facts import (
    PayoutCancelled,
    PayoutQueued,
    PayoutRequested,
    PayoutRetried,
    PayoutsPaused,
    PayoutsResumed,
)
from nostrbot.core.payouts.fees import fee_cap_sats, most_payable_sats
from nostrbot.core.payouts.observations import failed, fits, settled
from nostrbot.core.payouts.owners import free_sats, frozen_sats, parts_of
from nostrbot.core.payouts.records import Payout
from nostrbot.core.payouts.states import (
    ATTEMPTS_MAX,
    PERSON_AFTER_S,
    WAITING,
    AttemptStatus,
    HeldWhy,
    Payee,
    PayoutKind,
    PayoutStatus,
)

OPEN_MAX = 100  # payouts of one owner that are on their way


def request_payout(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Hold an owner's sats and their fee cap, and queue them for their destination."""
    payee = _find_payee(book, order)
    if isinstance(payee, CommandRefused):
        return payee
    lp = book.lp_of_key[order.author] if payee is Payee.LP else None
    free = free_sats(book, payee, lp)
    sats = most_payable_sats(free) if order.args["sats"] is None else order.args["sats"]
    cap_sats = fee_cap_sats(sats)
    if not sats or sats + cap_sats > free:
        return _not_enough(free, frozen_sats(book, payee, lp))
    if _open_of(book, payee, lp) >= OPEN_MAX:
        return CommandRefused(Code.TOO_MANY, f"{OPEN_MAX} payouts of yours are on their way: wait, or cancel some")
    is_paused = book.payouts.is_paused
    return (
        PayoutRequested(
            Payout(
                number=book.payouts.count + 1,
                kind=PayoutKind.WITHDRAW,
                payee=payee,
                lp=lp,
                sats=sats,
                fee_cap_sats=cap_sats,
                destination=order.args["destination"],
                status=PayoutStatus.HELD if is_paused else PayoutStatus.QUEUED,
                why=HeldWhy.PAUSED if is_paused else None,
                returned=0,
                next_at=order.at,
                requested_at=order.at,
            )
        ),
    )


def _find_payee(book: Book, order: Order) -> Payee | CommandRefused:
    parts, named = parts_of(book, order.author), order.args.get("from")
    if named is not None and named not in parts:
        return CommandRefused(Code.NOT_ALLOWED, f"you are no {named} here: say `from={parts[0]}`")
    if named is None and len(parts) > 1:
        said = " or ".join(f"`from={part}`" for part in parts)
        return CommandRefused(Code.AMBIGUOUS, f"you are owed sats as {' and as '.join(parts)}: say {said}")
    payee = parts[0] if named is None else Payee(named)
    return SUSPENDED if payee is Payee.OPERATOR and not book.active else payee


def _open_of(book: Book, payee: Payee, lp: str | None) -> int:
    return sum((payout.payee, payout.lp) == (payee, lp) for payout in book.payouts.open.values())


def _not_enough(free: int, frozen: int) -> CommandRefused:
    frozen_too = f"; {frozen} more are frozen" if frozen else ""
    most = most_payable_sats(free)
    advice = f"ask for at most {most}, so that the fee is covered" if most else "there is nothing to ask for"
    return CommandRefused(Code.NOT_ENOUGH_SATS, f"{max(0, free)} sats are free{frozen_too}: {advice}")


def _find_payout(book: Book, order: Order) -> Payout | CommandRefused:
    payout = book.payouts.find(order.args["payout"])
    return payout or CommandRefused(Code.NOT_FOUND, f"there is no payout p{order.args['payout']}")


def cancel_own(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Call off a payout of one's own, once no attempt that was called failed can still be paid."""
    payout = _find_payout(book, order)
    if isinstance(payout, CommandRefused):
        return payout
    owner = book.lps[payout.lp].pubkey if payout.lp is not None else None
    keys = {Payee.OPERATOR: book.operator, Payee.PLATFORM: book.platform}
    if order.author != (owner or keys.get(payout.payee)):
        return CommandRefused(Code.NOT_FOUND, f"you have no payout {payout.id}")
    if payout.status in WAITING and order.at < payout.payable_until:  # else its owner could be paid twice
        return CommandRefused(
            Code.WRONG_STATUS,
            f"an attempt of {payout.id} failed, but its invoice can still be paid: cancel once that has expired",
        )
    return _cancelled(payout, order)


def cancel_payout(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Call off anybody's payout, as the operator, who pays if a failed attempt of it is paid all the same."""
    payout = _find_payout(book, order)
    return payout if isinstance(payout, CommandRefused) else _cancelled(payout, order)


def _cancelled(payout: Payout, order: Order) -> tuple[Fact, ...] | CommandRefused:
    if payout.status not in WAITING:
        return CommandRefused(
            Code.WRONG_STATUS, f"{payout.id} is {payout.status}: only what has not been sent can be cancelled"
        )
    cancelled = payout.moved(PayoutStatus.CANCELLED)
    return (PayoutCancelled(cancelled, order.author, order.args.get("reason") or ""),)


def retry_payout(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Hold the sats of a failed payout again and try again. An older attempt may still turn out to be paid."""
    payout = _find_payout(book, order)
    if isinstance(payout, CommandRefused):
        return payout
    if payout.status is not PayoutStatus.FAILED:
        return CommandRefused(Code.WRONG_STATUS, f"{payout.id} is {payout.status}: only a failed payout is tried again")
    if any(attempt.status is AttemptStatus.SETTLED for attempt in payout.attempts):
        return CommandRefused(Code.ALREADY_PAID_OUT, f"{payout.id} was paid after it had failed: its sats have left")
    if payout.open_attempt is not None:
        return CommandRefused(
            Code.WRONG_STATUS,
            f"{payout.id} may have been paid after it had failed: say what became of it by `payout resolve` first",
        )
    if book.payouts.is_paused:
        return CommandRefused(Code.WRONG_STATUS, "payouts are paused: say `payout resume` first")
    if len(payout.attempts) >= ATTEMPTS_MAX:
        return CommandRefused(Code.WRONG_STATUS, f"{payout.id} was tried {len(payout.attempts)} times: ask for another")
    free = free_sats(book, payout.payee, payout.lp)
    if payout.held_sats > free:
        return _not_enough(free, frozen_sats(book, payout.payee, payout.lp))
    next_at = max(order.at, payout.payable_until)
    return (PayoutRetried(payout.moved(PayoutStatus.QUEUED, returned=0, next_at=next_at)),)


def resolve_payout(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Say what became of a payment that no look-up knows of. The real fee stays unknown: none is charged."""
    payout = _find_payout(book, order)
    if isinstance(payout, CommandRefused):
        return payout
    attempt = payout.open_attempt
    if attempt is None or attempt.status is not AttemptStatus.UNKNOWN:
        return CommandRefused(Code.WRONG_STATUS, f"{payout.id} is {payout.status}: nobody need say what became of it")
    if order.at < attempt.expires_at + PERSON_AFTER_S:
        return CommandRefused(
            Code.WRONG_STATUS, f"{payout.id} may still be paid: wait an hour after its invoice expired"
        )
    if order.args["outcome"] == PayoutStatus.FAILED:
        reason = order.args.get("reason")
        if not reason:
            return CommandRefused(Code.MISSING_ARGUMENT, 'say why: payout resolve <payout> failed reason="…"')
        return (failed(payout, attempt, reason, order.at),)
    preimage = order.args.get("preimage")
    if preimage is not None and not fits(preimage, attempt.attempt_id):
        return CommandRefused(Code.BAD_ARGUMENT, f"this preimage is not that of {payout.id}")
    if preimage is None and not order.args.get("confirm"):
        return CommandRefused(
            Code.MISSING_ARGUMENT, "give its preimage, or say `confirm=yes` if you know that it was paid"
        )
    return (settled(payout, attempt, fee_msat=0, preimage=preimage),)


def pause_payouts(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Stop all payouts that have not been sent."""
    return () if book.payouts.is_paused else (PayoutsPaused(),)


def resume_payouts(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Let payouts go on, those first that were held because of it."""
    if not book.payouts.is_paused:
        return ()
    held = [payout for payout in book.payouts.open.values() if payout.why is HeldWhy.PAUSED]
    return (PayoutsResumed(), *(PayoutQueued(payout.moved(PayoutStatus.QUEUED)) for payout in held))


REQUEST_DECIDERS: Mapping[str, Decider] = {
    "withdraw": request_payout,
    "cancel": cancel_own,
    "payout cancel": cancel_payout,
    "payout retry": retry_payout,
    "payout resolve": resolve_payout,
    "payout pause": pause_payouts,
    "payout resume": resume_payouts,
}
