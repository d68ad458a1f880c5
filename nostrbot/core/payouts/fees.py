"""Fees of payouts: the cap on what a rail may take, and what of a balance can be asked for.

What lives here: integer rules. What does not: what a rail really took (observations.py beside this). Whatever is rounded is
rounded up against its owner, by less than a sat.
"""

from nostrbot.money import PPM, ceil_div

BASE_SATS, BASE_PPM = 5, 5_000


def fee_cap_sats(sats: int, *, reserve_min_sats: int = 0, reserve_ppm: int = 0) -> int:
    """Return the most that a payout pays in fees: our own rule, or what the wallet reserves if that is more."""
    base_sats = BASE_SATS + ceil_div(sats * BASE_PPM, PPM)
    return max(base_sats, reserve_min_sats, ceil_div(sats * reserve_ppm, PPM))


def most_payable_sats(free_sats: int, *, reserve_min_sats: int = 0, reserve_ppm: int = 0) -> int:
    """Return the most sats for which they and their fee cap are free; 0: there are none."""
    low, high = 0, max(0, free_sats)
    while low < high:
        middle = (low + high + 1) >> 1
        cap_sats = fee_cap_sats(middle, reserve_min_sats=reserve_min_sats, reserve_ppm=reserve_ppm)
        low, high = (middle, high) if middle + cap_sats <= free_sats else (low, middle - 1)
    return low
