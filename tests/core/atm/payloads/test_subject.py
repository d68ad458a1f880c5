"""Subjects: what a machine's addressable events are about, and which is the newer (docs/protocol.md 3.2-3.4)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.payloads.subject import Subject, is_dated_ahead, is_newer, subject_of
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.refusals import Reason, Refusal
from tests.houses import DAWN, person
from tests.machines import word

M1 = person("m1").pubkey


def event(kind: int, tags: list[list[str]]) -> VerifiedEvent:
    return sign_event(person("m1"), kind=kind, tags=tags, content="", created_at=DAWN)


@pytest.mark.parametrize(
    ("kind", "word", "subject"),
    [
        (30_078, "bitspire-beacon", Subject.BEACON),
        (30_079, "bitspire-telemetry", Subject.TELEMETRY),
        (30_078, "bitspire-cassettes-state", Subject.CASSETTES),
    ],
)
def test_the_d_tag_says_what_it_is_about(kind: int, word: str, subject: Subject) -> None:
    """A word, a colon, and the machine's own key."""
    assert subject_of(event(kind, [["p", M1], ["d", f"{word}:{M1}"], ["d", "another"]])) is subject


@pytest.mark.parametrize(
    ("kind", "tags"),
    [
        (30_078, []),
        (30_078, [["d"]]),
        (30_078, [["d", ""]]),
        (30_078, [["d", "bitspire-fees:" + M1]]),
        (30_078, [["d", "bitspire-cassettes:" + M1]]),  # what the bot says to machines
        (30_078, [["d", "Bitspire-Beacon:" + M1]]),
        (30_078, [["d", "another"], ["d", "bitspire-beacon:" + M1]]),  # an event is addressed by its first d tag
        (30_078, [["d", "bitspire-telemetry:" + M1]]),
        (30_079, [["d", "bitspire-beacon:" + M1]]),
        (30_079, [["d", "bitspire-cassettes-state:" + M1]]),
    ],
)
def test_other_applications_events_are_none_of_ours(kind: int, tags: list[list[str]]) -> None:
    """Kind 30078 is anybody's to use."""
    found = subject_of(event(kind, tags))
    assert isinstance(found, Refusal)
    assert found.reason is Reason.OFF_FILTER


@pytest.mark.parametrize("machine", ["", M1[:-1], M1 + ":", M1.upper(), person("m2").pubkey])
@pytest.mark.parametrize("subject", ["bitspire-beacon", "bitspire-cassettes-state"])
def test_a_machine_speaks_of_itself_only(subject: str, machine: str) -> None:
    """faults.md row 24: whoever signs is whom it is about."""
    found = subject_of(event(30_078, [["d", f"{subject}:{machine}"]]))
    assert found == Refusal(Reason.ATTRIBUTION_MISMATCH, f"the {subject} of another key")


def test_another_machine_s_beacon_is_refused_as_published() -> None:
    """m2 signs a beacon of m1."""
    found = subject_of(word(Subject.BEACON, {}, at=DAWN, by="m2", of="m1").event)
    assert found == Refusal(Reason.ATTRIBUTION_MISMATCH, "the bitspire-beacon of another key")


@pytest.mark.parametrize(
    ("one", "other", "newer"),
    [
        ((5, "b"), (4, "a"), True),
        ((4, "a"), (5, "b"), False),
        ((5, "a"), (5, "b"), True),  # of equal dates the lowest id
        ((5, "b"), (5, "a"), False),
        ((5, "a"), (5, "a"), False),  # a repeat is nothing new
        ((0, "f"), (0, ""), True),  # the first of all, whatever its date
    ],
)
def test_newest_by_date_then_lowest_id(one: tuple[int, str], other: tuple[int, str], newer: bool) -> None:
    """faults.md rows 11, 12."""
    assert is_newer(*one, *other) is newer


words = st.tuples(st.integers(0, 3), st.sampled_from("abc"))


@given(words, words, words)
@settings(max_examples=100)
def test_the_order_is_one(a: tuple[int, str], b: tuple[int, str], c: tuple[int, str]) -> None:
    """Of two different words exactly one is the newer, and newer than the newer is newer still."""
    assert is_newer(*a, *b) + is_newer(*b, *a) == (a != b)
    if is_newer(*a, *b) and is_newer(*b, *c):
        assert is_newer(*a, *c)


def test_a_quarter_of_an_hour_ahead_is_a_clock_and_more_is_a_trick() -> None:
    """faults.md row 14."""
    assert not is_dated_ahead(DAWN + 900, DAWN)
    assert is_dated_ahead(DAWN + 901, DAWN)
