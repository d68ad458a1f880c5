"""Allowances: one who floods is slowed down, everybody else is served as before (faults.md row 46)."""

from hypothesis import given
from hypothesis import strategies as st

from nostrbot.runtime.rate_limit import KEYS_MAX, TokenBucket


def test_a_burst_then_so_many_a_second() -> None:
    """Three at once, then one a second; another key has its own."""
    allowance = TokenBucket(burst=3, tokens=1, seconds=1)
    assert [allowance.take("ana", 100) for _ in range(5)] == [True, True, True, False, False]
    assert allowance.take("ben", 100)
    assert [allowance.take("ana", 101), allowance.take("ana", 101)] == [True, False]
    assert [allowance.take("ana", 200) for _ in range(4)] == [True, True, True, False]


def test_one_in_ten_seconds() -> None:
    """Time waited for a full bucket is not saved up."""
    allowance = TokenBucket(burst=1, tokens=1, seconds=10)
    assert [allowance.take("ana", at) for at in (0, 9, 10, 11, 19, 20, 39, 40)] == [
        True, False, True, False, False, True, True, False,
    ]  # fmt: skip


def test_a_clock_that_steps_back_gives_nothing() -> None:
    """Nor does it take anything away: a second later there is a token, however far ahead the clock had been."""
    allowance = TokenBucket(burst=1, tokens=1, seconds=1)
    assert [allowance.take("ana", at) for at in (100_000, 50, 50, 51, 51)] == [True, False, False, True, False]


def test_the_oldest_keys_are_forgotten() -> None:
    """Memory is bounded; a key not heard for so long starts anew."""
    allowance = TokenBucket(burst=1, tokens=1, seconds=10**6)
    for number in range(KEYS_MAX + 1):
        assert allowance.take(f"key {number}", 0)
    assert allowance.take("key 0", 0)
    assert not allowance.take(f"key {KEYS_MAX}", 0)


@given(st.lists(st.integers(0, 5), max_size=200))
def test_never_more_than_the_rate_in_the_long_run(pauses_s: list[int]) -> None:
    """Over any stretch from the start: at most the burst and so many a second."""
    allowance, now, taken = TokenBucket(burst=5, tokens=2, seconds=1), 0, 0
    for pause_s in pauses_s:
        now += pause_s
        taken += allowance.take("ana", now)
        assert taken <= 5 + 2 * now


def test_what_weighs_more_takes_more() -> None:
    """Tokens that are too few for it stay for what weighs less."""
    allowance = TokenBucket(burst=10, tokens=1, seconds=1)
    assert [allowance.take("ana", 0, 4) for _ in range(3)] == [True, True, False]
    assert [allowance.take("ana", 0) for _ in range(3)] == [True, True, False]


def test_a_token_given_back() -> None:
    """One more may be done, but never more than at once."""
    allowance = TokenBucket(burst=1, tokens=1, seconds=10**6)
    allowance.give("ana")
    assert allowance.has_left("ana")
    assert [allowance.take("ana", 0), allowance.take("ana", 0)] == [True, False]
    assert not allowance.has_left("ana")
    allowance.give("ana")
    allowance.give("ana")
    assert [allowance.take("ana", 0), allowance.take("ana", 0)] == [True, False]
