"""Payments: taking back what an LP was paid apart from any settlement.

What lives here: `payment void`, for legs of fixed mode and of `settle`, and which of them a stolen key may have priced.
What does not: paying (core/atm/fixed.py, core/atm/own_sats.py), and legs of a settlement, which are corrected and
refunded with it (core/atm/settlements/worklist.py). docs/protocol.md sections 5 and 6; review A3. The payment stays in
the journal; voiding it is another entry.
"""

from collections.abc import Iterable

from nostrbot.core.atm.facts import PaymentVoided
from nostrbot.core.atm.recall import PaidLeg
from nostrbot.core.atm.states import LegStatus, LegType
from nostrbot.core.book import Book
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact

PRICED_SHOWN_MAX = 100  # legs named in the answer to `machine compromised`; `payment list` shows all


def void_payment(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Reverse a payment while its sats are still here: they are the operator's again, the cash is the LP's.

    The book's recall must hold the leg that is named.
    """
    number = order.args["leg"]
    paid = book.recall.legs.get(number)
    # Sats that had waited for a key are a commission, not a payment.
    if paid is None or (paid.settlement is None and paid.leg.type is LegType.OPERATOR_SPLIT):
        return CommandRefused(Code.NOT_FOUND, f"there is no leg l{number}: `payment list` shows what you paid LPs")
    if paid.settlement is not None:
        s = f"s{paid.settlement}"
        return CommandRefused(
            Code.WRONG_STATUS,
            f'l{number} is part of {s}: say `settlement refund {s} reason="…"` if all of that sale is false, or '
            f"`settlement partial {s} fiat=<dispensed>` if less was dispensed",
        )
    leg = paid.leg
    if leg.status is not LegStatus.COMPLETED or leg.lp is None:
        return CommandRefused(Code.WRONG_STATUS, f"l{number} is {leg.status}: there is nothing to take back")
    there_sats = book.sats_owed(leg.lp) - book.frozen_sats(leg.lp)
    if there_sats < leg.sats:
        return CommandRefused(
            Code.ALREADY_PAID_OUT,
            f"l{number} gave {leg.lp} {leg.sats} sats, and only {there_sats} unfrozen sats are still here: the rest "
            f"cannot be called back. Settle it with {leg.lp}",
        )
    voided = leg._replace(status=LegStatus.VOIDED)
    return (
        PaymentVoided(
            paid.machine,
            paid.currency,
            paid.rate,
            paid.slot,
            paid.at,
            (voided,),
            order.author,
            order.args["reason"],
        ),
    )


def priced_since(legs: Iterable[PaidLeg], machine: str, since: int) -> list[PaidLeg]:
    """Return what was paid at a machine since then and is in force, newest first: a stolen key may have set its
    price.
    """
    found = [
        paid
        for paid in legs
        if paid.settlement is None
        and paid.machine == machine
        and paid.at >= since
        and paid.leg.status is LegStatus.COMPLETED
    ]
    return sorted(found, key=lambda paid: -paid.leg.number)
