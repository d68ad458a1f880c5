"""Payouts as people and programs see them.

What lives here: one view. What does not: who may see it.
"""

from nostrbot.core.payouts.records import Payout
from nostrbot.core.payouts.states import PayoutStatus
from nostrbot.core.plain import View
from nostrbot.money import ceil_div


def payout_view(payout: Payout) -> View:
    """Return a payout as an answer shows it; what it shows of an attempt is the newest one's, or of the one that settled it."""
    paid = [one for one in payout.attempts if one.fee_msat is not None]
    newest = next(iter(paid), None) or next(reversed(payout.attempts), None)
    is_settled = payout.status is PayoutStatus.SETTLED and newest is not None
    fee_msat = newest.fee_msat if newest is not None else None
    return {
        "id": payout.id,
        "kind": payout.kind,
        "for": payout.lp or payout.payee,
        "sats": payout.sats,
        "fee_cap_sats": payout.fee_cap_sats,
        "fee_sats": None if fee_msat is None else ceil_div(fee_msat, 1_000),
        "destination": payout.destination,
        "status": payout.status,
        "why": payout.why,
        "payment_hash": newest.attempt_id if newest is not None else None,
        "preimage": newest.preimage if newest is not None else None,
        "proof": ("preimage" if newest.preimage else "wallet_word") if is_settled and newest is not None else None,
        "attempts": len(payout.attempts),
        "created_at": payout.requested_at,
        "expires_at": newest.expires_at if newest is not None else None,
    }
