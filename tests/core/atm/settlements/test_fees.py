"""Fees: what was due, what was charged, whose it is (acceptance S16-S18, S21, S26)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.records import Split
from nostrbot.core.atm.settlements.fees import check_fee, is_out_of_tolerance, share_fee


def rule(label: str, percent: int) -> Split:
    return Split(label, percent * 10_000, None, None)


def parts(fee_sats: int, due_sats: int, *rules: Split) -> tuple[int, list[tuple[str, int]]]:
    shares = share_fee(fee_sats, due_sats, rules)
    return shares.platform_sats, [(split.label, sats) for split, sats in shares.pot]


def test_exact_match_is_zero() -> None:
    """1.5 % and 6.27 % of 100,000 are 7,770."""
    check = check_fee(100_000, 7_770, 15_000, 62_700)
    assert (check.platform_sats, check.operator_sats, check.mismatch_sats) == (1_500, 6_270, 0)
    assert not is_out_of_tolerance(check.mismatch_sats, 100_000)


def test_overcharged_is_positive_and_undercharged_negative() -> None:
    """The sign says who lost: positive, the customer."""
    assert check_fee(100_000, 7_771, 15_000, 62_700).mismatch_sats == 1
    assert check_fee(100_000, 7_769, 15_000, 62_700).mismatch_sats == -1
    assert check_fee(100_000, 0, 15_000, 62_700).mismatch_sats == -7_770


def test_each_fee_is_floored_by_itself() -> None:
    """1.5 % and 6.27 % of 99 are 1.48 and 6.2: 1 and 6 are due, not the 7.69 of both together rounded."""
    check = check_fee(99, 7, 15_000, 62_700)
    assert (check.platform_sats, check.operator_sats, check.mismatch_sats) == (1, 6, 0)


@pytest.mark.parametrize(
    ("principal_sats", "off_sats", "warned"),
    [
        (100_000, 100, False),  # 0.1 % of the principal is tolerated
        (100_000, 101, True),
        (100_000, -100, False),
        (100_000, -101, True),
        (100_999, 100, False),  # 0.1 % is floored
        (100_999, 101, True),
        (999, 1, False),  # the floor of 1 sat on a tiny principal
        (999, 2, True),
        (1, 1, False),
        (1, -1, False),
        (1, 2, True),
    ],
)
def test_tolerance_at_the_boundary_and_one_beyond(principal_sats: int, off_sats: int, warned: bool) -> None:
    """max(1, principal // 1000) is silent, one more warns (faults.md row 68)."""
    mismatch_sats = check_fee(principal_sats, off_sats, 0, 0).mismatch_sats
    assert is_out_of_tolerance(mismatch_sats, principal_sats) is warned


def test_the_whole_pot_is_the_operator_s_where_no_split_is_set() -> None:
    """No split means one split: all to the operator."""
    assert parts(7_770, 1_500) == (1_500, [("operator", 6_270)])


def test_the_platform_gets_its_due_but_never_more_than_was_charged() -> None:
    """What is shared is what was really charged: platform min(due, fee), the rest is the pot."""
    assert parts(7_771, 1_500) == (1_500, [("operator", 6_271)])
    assert parts(1_500, 1_500) == (1_500, [("operator", 0)])
    assert parts(1_499, 1_500) == (1_499, [("operator", 0)])
    assert parts(0, 1_500) == (0, [("operator", 0)])


def test_a_pot_goes_by_largest_remainder_and_ties_by_position() -> None:
    """100 sats over three equal thirds: 33.34 %, 33.33 %, 33.33 %, and 1 sat over two halves to the first."""
    thirds = (Split("a", 333_334, None, None), Split("b", 333_333, None, None), Split("c", 333_333, None, None))
    assert parts(100, 0, *thirds) == (0, [("a", 34), ("b", 33), ("c", 33)])
    assert parts(1, 0, rule("a", 50), rule("b", 50)) == (0, [("a", 1), ("b", 0)])
    assert parts(3, 0, rule("b", 50), rule("a", 50)) == (0, [("b", 2), ("a", 1)])


@given(
    st.integers(0, 21 * 10**14),
    st.integers(0, 21 * 10**14),
    st.lists(st.integers(1, 10**6), min_size=1, max_size=32),
)
@settings(max_examples=150, deadline=None)
def test_platform_and_pot_are_always_the_fee(fee_sats: int, due_sats: int, ppms: list[int]) -> None:
    """No sat is lost or made, whatever was charged, due or agreed."""
    shares = share_fee(fee_sats, due_sats, tuple(Split(str(n), ppm, None, None) for n, ppm in enumerate(ppms)))
    assert shares.platform_sats + sum(sats for _, sats in shares.pot) == fee_sats
    assert shares.platform_sats <= due_sats
