"""Fees of payouts: the cap, and the most that it leaves room for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.core.payouts.fees import fee_cap_sats, most_payable_sats
from nostrbot.money import SATS_MAX, ceil_div

amounts = st.integers(0, SATS_MAX)
reserves = st.fixed_dictionaries({"reserve_min_sats": st.integers(0, 1_000), "reserve_ppm": st.integers(0, 100_000)})


@pytest.mark.parametrize(
    ("sats", "reserve", "cap_sats"),
    [(1, {}, 6), (1_000, {}, 10), (1_001, {}, 11), (100_000, {}, 505), (100_000, {"reserve_ppm": 10_000}, 1_000),
     (1, {"reserve_min_sats": 9}, 9), (100_001, {"reserve_min_sats": 2, "reserve_ppm": 10_000}, 1_001)],
)  # fmt: skip
def test_the_cap_is_the_larger_of_ours_and_the_wallet_s(sats: int, reserve: dict[str, int], cap_sats: int) -> None:
    """5 sats and 5,000 ppm, rounded up."""
    assert fee_cap_sats(sats, **reserve) == cap_sats


@given(amounts, reserves)
def test_the_most_fits_and_one_sat_more_does_not(free: int, reserve: dict[str, int]) -> None:
    """Whatever is free."""
    sats = most_payable_sats(free, **reserve)
    assert not sats or sats + fee_cap_sats(sats, **reserve) <= free
    assert sats + 1 + fee_cap_sats(sats + 1, **reserve) > free


@given(st.integers(0, 10**30), st.integers(1, 10**12))
def test_rounding_up_is_by_less_than_one(whole: int, parts: int) -> None:
    """And never down."""
    assert whole <= ceil_div(whole, parts) * parts < whole + parts
