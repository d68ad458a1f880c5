"""Dollar-cost averaging: whose cash a customer took, and the sats it turns into.

What lives here: flow mode, the sharing of one cash-out's principal among the LPs with cash in that machine. What does
not: fees (core/fees.py), who is a candidate's operator or what is booked. docs/protocol.md section 5; acceptance X1-X5,
X11. Fiat in minor units.
"""

from dataclasses import dataclass
from typing import NamedTuple

from nostrbot.core.book import Book, Seat
from nostrbot.core.states import Mode
from nostrbot.money import split


class FlowShare(NamedTuple):
    """One LP's part of a principal: `sats` 0 means its cash is not touched (`fiat_minor` is 0 then too)."""

    seat: Seat
    fiat_minor: int
    sats: int


@dataclass(frozen=True, slots=True)
class FlowShares:
    """A principal shared out. The LPs' parts and the operator's sum to the whole, in fiat and in sats."""

    shares: tuple[FlowShare, ...]
    operator_fiat_minor: int
    operator_sats: int


def flow_candidates(book: Book, machine: str) -> list[Seat]:
    """LPs of a machine that take part: joined, not paused, active there, in flow mode, with cash left; in enrolment order."""
    candidates = []
    for seat in book.seats[machine]:
        preferences = book.lps[seat.lp].preferences
        if (
            preferences is not None
            and preferences.mode is Mode.FLOW
            and not preferences.paused
            and seat.enrolment.active
            and seat.deposited_minor > seat.spent_minor
        ):
            candidates.append(seat)
    return candidates


def share_flow(candidates: list[Seat], fiat_minor: int, principal_sats: int) -> FlowShares:
    """Share a principal over the candidates' balances, exactly; ties go to the earlier enrolled.

    Balances that cover the cash: everyone spends pro rata. Balances that do not: everyone spends all and the operator's
    own cash covers the rest. A share that rounds to 0 sats is not taken: its cash falls to the operator's part.
    """
    balances = [seat.remaining_minor for seat in candidates]
    together = sum(balances)
    spent = split(fiat_minor, balances) if together >= fiat_minor else balances
    own_minor = fiat_minor - sum(spent)
    *parts, own_sats = split(principal_sats, [*spent, own_minor])
    shares = []
    for seat, part_minor, part_sats in zip(candidates, spent, parts, strict=True):
        if part_sats == 0:
            own_minor += part_minor
            shares.append(FlowShare(seat, 0, 0))
        else:
            shares.append(FlowShare(seat, part_minor, part_sats))
    return FlowShares(tuple(shares), own_minor, own_sats)
