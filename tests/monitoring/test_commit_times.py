"""Commits are counted, and how long they took, in classes that do not grow."""

import pytest

from nostrbot.monitoring.commit_times import BOUNDS_S, CommitTimes, took_at_most_s


def test_a_commit_counts_in_its_class_and_in_all_above() -> None:
    """A bound is kept to by what took exactly so long; what took longer than any counts in the whole only."""
    commits = CommitTimes()
    for took_s in (0.001, 0.0011, 0.3, 61.0):
        commits.add(took_s)
    commits.add_failed()
    plain = commits.plain()
    assert (plain["count"], plain["failed"], plain["sum_s"]) == (4, 1, 61.3021)
    within = dict(plain["within"])
    assert [within[bound] for bound in (0.001, 0.0025, 0.25, 0.5, 60.0)] == [1, 2, 2, 3, 3]
    assert list(within) == list(BOUNDS_S)


@pytest.mark.parametrize(("parts", "expected"), [(50, 0.005), (99, 0.005), (100, 1.0)])
def test_how_long_most_took_is_told_by_the_bound_they_kept_to(parts: int, expected: float) -> None:
    """Of 100 commits, 99 of 3 ms and one of 700 ms."""
    commits = CommitTimes()
    for took_s in (*[0.003] * 99, 0.7):
        commits.add(took_s)
    assert took_at_most_s(commits.plain(), parts, 100) == expected


def test_there_is_no_bound_without_commits_nor_beyond_the_last() -> None:
    """None, and no invented number."""
    commits = CommitTimes()
    assert took_at_most_s(commits.plain(), 50, 100) is None
    commits.add(61.0)
    assert took_at_most_s(commits.plain(), 50, 100) is None
