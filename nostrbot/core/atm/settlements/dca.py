"""Dollar-cost averaging: whose cash a customer took, and the sats it turns into.

What lives here: flow mode, the sharing of one cash-out's principal among the LPs with cash in that machine. What does
not: fees (core/atm/settlements/fees.py), who is a candidate's operator or what is booked. docs/protocol.md section 5;
acceptance X1-X5, X11. Fiat in minor units.
"""

from dataclasses import dataclass
from typing import NamedTuple

from nostrbot.core.atm.states import Mode
from nostrbot.core.book import Book
from nostrbot.core.platform.roles import bot_keys
from nostrbot.core.rules import SOUND
from nostrbot.money import split


class Candidate(NamedTuple):
    """An LP that may take part: its balance at the machine, and its stake, the most it can spend."""

    lp: str
    balance_minor: int
    weight_minor: int


class FlowShare(NamedTuple):
    """One LP's part of a principal: `sats` 0 means its cash is not touched (`fiat_minor` is 0 then too)."""

    partaker: Candidate
    fiat_minor: int
    sats: int


@dataclass(frozen=True, slots=True)
class FlowShares:
    """A principal shared out. The LPs' parts and the operator's sum to the whole, in fiat and in sats."""

    shares: tuple[FlowShare, ...]
    operator_fiat_minor: int
    operator_sats: int


def flow_candidates(book: Book, machine: str, rules: int) -> list[Candidate]:
    """Return a machine's LPs that take part: joined, not paused, active, in flow mode, with cash; in enrolment order.

    The bot itself is none, where an operator enrolled one of its keys before that was refused.
    """
    candidates = []
    for seat in book.seats[machine]:
        preferences = book.lps[seat.lp].preferences
        remaining_minor = seat.remaining_minor
        if (
            preferences is not None
            and preferences.mode is Mode.FLOW
            and not preferences.paused
            and seat.enrolment.active
            and remaining_minor > 0
            and (rules < SOUND or book.lps[seat.lp].pubkey not in bot_keys(book))
        ):
            candidates.append(Candidate(seat.lp, remaining_minor, remaining_minor))
    return candidates


def share_flow(partakers: list[Candidate], fiat_minor: int, principal_sats: int) -> FlowShares:
    """Share a principal over the candidates' stakes, exactly; ties go to the earlier enrolled.

    Stakes that cover the cash: everyone spends pro rata. Stakes that do not: everyone spends all and the operator's
    own cash covers the rest. A share that rounds to 0 sats is not taken: its cash falls to the operator's part.
    """
    stakes = [partaker.weight_minor for partaker in partakers]
    together = sum(stakes)
    spent = split(fiat_minor, stakes) if together >= fiat_minor else stakes
    own_minor = fiat_minor - sum(spent)
    *parts, own_sats = split(principal_sats, [*spent, own_minor])
    shares = []
    for partaker, part_minor, part_sats in zip(partakers, spent, parts, strict=True):
        if part_sats == 0:
            own_minor += part_minor
            shares.append(FlowShare(partaker, 0, 0))
        else:
            shares.append(FlowShare(partaker, part_minor, part_sats))
    return FlowShares(tuple(shares), own_minor, own_sats)
