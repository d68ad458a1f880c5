"""Walking back through a store, against a model of a relay."""

from hypothesis import given
from hypothesis import strategies as st

from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.relays.history import History
from tests.relays.conftest import BOT

NOW = 1_800_000_000

START = 1_000
# Signing is what takes the time, so the events are made once: three in each of thirty seconds.
EVENTS = [
    sign_event(BOT, kind=4, tags=[], content=str(n), created_at=START + second)
    for second in range(30)
    for n in range(3)
]


def walk(stored: list[VerifiedEvent], *, cap: int, until_is_inclusive: bool, since: int | None = None) -> set[str]:
    """Page through a relay that gives `cap` events, newest first; the contents seen."""
    history = History(since=since, pages_max=1_000)
    newest_first = sorted(stored, key=lambda event: (-event.created_at, event.id))
    seen: set[str] = set()
    while True:
        until = history.until
        limit = None if until is None else until if until_is_inclusive else until - 1
        found = [event for event in newest_first if limit is None or event.created_at <= limit]
        page = [event for event in found if since is None or event.created_at >= since][:cap]
        for event in page:
            history.note(event)
        seen |= {event.id for event in page}
        if not history.turn(NOW):
            return seen


@given(st.lists(st.sampled_from(EVENTS), unique_by=lambda event: event.id), st.integers(7, 12), st.booleans())
def test_every_event_is_seen(stored: list[VerifiedEvent], cap: int, until_is_inclusive: bool) -> None:
    """With at least as many events a page as two seconds hold, nothing is missed, whichever way `until` is read."""
    assert walk(stored, cap=cap, until_is_inclusive=until_is_inclusive) == {event.id for event in stored}


@given(st.lists(st.sampled_from(EVENTS), unique_by=lambda event: event.id), st.integers(1, 6), st.booleans())
def test_a_crowded_second_does_not_end_the_walk(
    stored: list[VerifiedEvent], cap: int, until_is_inclusive: bool
) -> None:
    """With a smaller cap some of a crowded second may be missed, but the walk goes on to the oldest second."""
    seen = walk(stored, cap=cap, until_is_inclusive=until_is_inclusive)
    seconds = {event.created_at for event in stored}
    assert {event.created_at for event in stored if event.id in seen} == seconds


def test_the_walk_ends_at_since() -> None:
    """Nothing older than `since` is asked for, even from a relay that does not know the word."""
    history = History(since=START + 20, pages_max=1_000)
    history.note(EVENTS[0])
    assert not history.turn(NOW)


def test_the_newest_is_remembered() -> None:
    """The newest event is what the cursor becomes once the walk is over."""
    history = History(since=None, pages_max=1_000)
    for event in EVENTS:
        history.note(event)
    assert history.turn(NOW)
    assert (history.newest, history.until) == (START + 29, START + 1)
