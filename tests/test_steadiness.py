"""A wall clock that leaps decides nothing for a minute (faults.md row 17)."""

from nostrbot.steadiness import Steadiness


def test_a_clock_in_step_is_steady() -> None:
    """Seconds are whole on one side only; small corrections are no leap."""
    steadiness = Steadiness()
    assert all(steadiness.is_steady(1_000 + second + second // 10, 5.5 + second) for second in range(40))


def test_a_leap_is_waited_out() -> None:
    """Ahead, and back again: a minute from the last leap on."""
    steadiness = Steadiness()
    assert steadiness.is_steady(1_000, 0.0)
    assert not steadiness.is_steady(1_000 + 86_400, 1.0)
    assert not steadiness.is_steady(1_002, 2.0)
    assert not steadiness.is_steady(1_061, 61.0)
    assert steadiness.is_steady(1_062, 62.0)


def test_a_computer_that_slept_leaps_too() -> None:
    """The running clock may stop meanwhile: what is due then waits a minute."""
    steadiness = Steadiness()
    assert steadiness.is_steady(1_000, 0.0)
    assert not steadiness.is_steady(5_000, 1.0)
    assert steadiness.is_steady(5_060, 61.0)
