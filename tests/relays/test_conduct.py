"""Delays and scores."""

from random import Random

from nostrbot.relays.conduct import Backoff, Score


def test_delays_double_with_jitter_up_to_a_maximum() -> None:
    """Each delay lies between half and all of the doubled one; the maximum holds for ever; a success starts anew."""
    backoff = Backoff(Random(1), 1.0, 60.0)
    full = [1, 2, 4, 8, 16, 32, 60, 60]
    for expected in full:
        assert expected / 2 <= backoff.next_s() <= expected
    assert 30 <= backoff.delay_s(100_000) <= 60
    backoff.reset()
    assert 0.5 <= backoff.next_s() <= 1


def test_two_clients_do_not_return_in_step() -> None:
    """Other randomness, other delays."""
    assert Backoff(Random(1), 1.0, 60.0).next_s() != Backoff(Random(2), 1.0, 60.0).next_s()


def test_a_score_leaks() -> None:
    """A burst fills it; the same amount spread over time does not."""
    burst, spread = Score(100, 10, 0.0), Score(100, 10, 0.0)
    for second in range(100):
        burst.add(10, 0.0)
        spread.add(10, second)
    assert burst.is_full
    assert not spread.is_full
