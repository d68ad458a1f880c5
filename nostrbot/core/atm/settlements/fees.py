"""Fees: what was expected, what was charged, and whose it is.

What lives here: expected platform and operator fees, the mismatch and when it is worth a warning, and the sharing of
the operator's pot over commission splits. What does not: the principal (core/atm/settlements/dca.py). docs/protocol.md
section 5; acceptance C3, M9, S16-S18, S21, S26, X18-X21. All amounts in sats; rates in ppm of the principal.
"""

from dataclasses import dataclass

from nostrbot.core.atm.records import Split
from nostrbot.money import share_of, split


@dataclass(frozen=True, slots=True)
class FeeCheck:
    """Expected fees beside the charged one. `mismatch_sats` > 0: the machine charged more than it should."""

    platform_sats: int
    operator_sats: int
    mismatch_sats: int


def check_fee(principal_sats: int, fee_sats: int, platform_ppm: int, operator_ppm: int) -> FeeCheck:
    """Compare a charged fee with floor(principal x ppm) of platform and operator."""
    platform = share_of(principal_sats, platform_ppm)
    operator = share_of(principal_sats, operator_ppm)
    return FeeCheck(platform, operator, fee_sats - (platform + operator))


def tolerance_sats(principal_sats: int) -> int:
    """Return how far a charged fee may be off: 0.1 % of the principal, at least 1 sat (acceptance S17)."""
    return max(1, principal_sats // 1000)


def is_out_of_tolerance(mismatch_sats: int, principal_sats: int) -> bool:
    """Whether a mismatch is worth a warning, or a rejection if the machine enforces its fees."""
    return abs(mismatch_sats) > tolerance_sats(principal_sats)


@dataclass(frozen=True, slots=True)
class FeeShares:
    """The charged fee shared out: the platform's part, then one part per split in its order."""

    platform_sats: int
    pot: tuple[tuple[Split, int], ...]


# Where no split is set the whole pot is the operator's own.
ALL_TO_OPERATOR = Split(label="operator", ppm=1_000_000, lp=None, pubkey=None)


def share_fee(fee_sats: int, expected_platform_sats: int, splits: tuple[Split, ...]) -> FeeShares:
    """Share the fee really charged: the platform first, up to its due; the rest over the splits, to the last sat."""
    platform = min(expected_platform_sats, fee_sats)
    rules = splits or (ALL_TO_OPERATOR,)
    parts = split(fee_sats - platform, [rule.ppm for rule in rules])
    return FeeShares(platform, tuple(zip(rules, parts, strict=True)))
