"""A clock that leaps, or that relays contradict, decides nothing (faults.md rows 17, A2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.runtime.clock import STEADY_AFTER_S, Steadiness, agreed_error_s

YEAR_S = 365 * 86_400


def test_a_clock_in_step_is_steady() -> None:
    """Seconds are whole on one side only; small corrections are no leap."""
    steadiness = Steadiness()
    assert all(steadiness.is_steady(1_000 + second + second // 10, 5.5 + second) for second in range(40))


def test_a_leap_is_waited_out() -> None:
    """A clock that stays where it leapt to is believed after a minute."""
    steadiness = Steadiness()
    assert steadiness.is_steady(1_000, 0.0)
    assert not steadiness.is_steady(1_001 + 86_400, 1.0)
    assert not steadiness.is_steady(1_060 + 86_400, 60.0)
    assert steadiness.is_steady(1_061 + 86_400, 61.0)
    assert steadiness.is_steady(1_062 + 86_400, 62.0)


def test_a_clock_that_is_back_is_believed_at_once() -> None:
    """Ahead, and right again: it is where it should be by the clock that never leaps."""
    steadiness = Steadiness()
    assert steadiness.is_steady(1_000, 0.0)
    assert not steadiness.is_steady(1_001 + 86_400, 1.0)
    assert steadiness.is_steady(1_002, 2.0)


def test_a2_a_false_time_that_was_believed_for_a_while_gives_way_at_once() -> None:
    """Ten minutes right, two minutes 40 days ahead, and right again: nobody waits for another minute. A clock that goes to and
    fro gains nothing by it: each time it is away it waits."""
    steadiness, ahead_s = Steadiness(), 40 * 86_400
    assert all(steadiness.is_steady(second, float(second)) for second in range(600))
    away = [steadiness.is_steady(second + ahead_s, float(second)) for second in range(600, 720)]
    assert away == [False] * 60 + [True] * 60
    assert steadiness.is_steady(720, 720.0)
    assert not steadiness.is_steady(721 + ahead_s, 721.0)


def test_each_further_leap_begins_the_minute_again() -> None:
    """However many there are."""
    steadiness = Steadiness()
    assert steadiness.is_steady(0, 0.0)
    for n in range(1, 10):
        assert not steadiness.is_steady(n * 86_400, 30.0 * n)


def test_a_computer_that_slept_leaps_too() -> None:
    """The running clock may stop meanwhile: what is due then waits a minute."""
    steadiness = Steadiness()
    assert steadiness.is_steady(1_000, 0.0)
    assert not steadiness.is_steady(5_000, 1.0)
    assert steadiness.is_steady(5_060, 61.0)


@given(st.lists(st.integers(-5 * YEAR_S, 5 * YEAR_S), max_size=8), st.integers(50 * YEAR_S, 60 * YEAR_S))
def test_no_leap_is_believed_within_its_minute_and_each_after_it(leaps: list[int], last: int) -> None:
    """Of any size, either way, several: a minute after the last one it is steady, and not a second before."""
    steadiness, wall, running = Steadiness(), 2_000_000_000, 0.0
    assert steadiness.is_steady(wall, running)
    for by_s in leaps:
        wall, running = wall + by_s + 1, running + 1
        steadiness.is_steady(wall, running)
    wall, running = wall + 61, running + 61
    assert steadiness.is_steady(wall, running) or steadiness.is_steady(wall + 60, running + 60)
    wall, running = wall + 60, running + 60
    assert steadiness.is_steady(wall, running)
    wall += last
    for _ in range(int(STEADY_AFTER_S)):
        wall, running = wall + 1, running + 1
        assert not steadiness.is_steady(wall, running)
    assert steadiness.is_steady(wall + 1, running + 1)


@pytest.mark.parametrize(
    ("errors", "agreed"),
    [
        ([], None),
        ([0], None),
        ([900], None),
        ([901], 901),
        ([-86_400], -86_400),
        ([0, 86_400], None),
        ([0, 1, 86_400], None),
        ([0, 86_400, 86_401], 86_401),
        ([86_400, 86_400], 86_400),
        ([86_400, -86_400], None),
        ([86_400, -86_400, 5 * YEAR_S], None),
        ([3_456_000, 3_456_010, 0, 3_456_005], 3_456_005),
    ],
)
def test_a2_a_majority_of_relays_that_agree_decides(errors: list[int], agreed: int | None) -> None:
    """One that lies among several does not; those that contradict each other do not; a single one is believed."""
    assert agreed_error_s(errors) == agreed
