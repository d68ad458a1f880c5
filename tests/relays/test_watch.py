"""One subscription at one relay: when to ask, and from which moment on."""

import json
from random import Random

from nostrbot.nostr.event import Event, sign_event
from nostrbot.relays.limits import Limits
from nostrbot.relays.watch import OVERLAP_S, Watch, WatchPart
from tests.relays.conftest import BOT, to_bot

NOW = 1_790_000_000


def message(created_at: int, content: str = "") -> Event:
    tags = [["p", BOT.pubkey]]
    return sign_event(BOT, kind=4, tags=tags, content=content, created_at=created_at)


def watching(since: int | None = None) -> Watch:
    part = WatchPart("messages", to_bot(4, since=since), source=0)
    return Watch("messages", [part], limits=Limits(), rng=Random(1))


def caught_up() -> Watch:
    """A watch whose relay had nothing stored."""
    watch = watching(since=NOW - 50_000)
    watch.open(0.0)
    assert watch.eose("messages", 0.0, NOW) == []
    assert watch.is_past_eose
    return watch


def asked(frame: str) -> dict[str, int]:
    """The only filter of a REQ."""
    request = json.loads(frame)
    assert request[0] == "REQ"
    found: dict[str, int] = request[2]
    return found


def test_live_events_move_the_cursor_but_never_past_our_clock() -> None:
    """An author's claim moves the cursor only forwards, and only up to now."""
    watch = caught_up()
    for created_at, expected in [(NOW - 100, NOW - 100), (NOW - 500, NOW - 100), (4_102_444_800, NOW)]:
        watch.note("messages", message(created_at), 0.0, NOW)
        assert watch.parts[0].cursor == expected
    assert asked(watch.open(1.0))["since"] == NOW - OVERLAP_S


def test_the_cursor_waits_for_the_end_of_the_history() -> None:
    """While pages are read, nothing moves the cursor; an empty page ends the walk, and then it is the newest seen."""
    watch = watching(since=NOW - 50_000)
    watch.open(0.0)
    watch.note("messages", message(NOW - 10), 0.0, NOW)
    [page] = watch.eose("messages", 0.0, NOW)
    assert asked(page)["until"] == NOW - 9
    assert watch.parts[0].cursor == NOW - 50_000
    assert json.loads(watch.eose("messages/past", 0.0, NOW)[0]) == ["CLOSE", "messages/past"]
    assert watch.parts[0].cursor == NOW - 10


def test_only_events_of_the_page_that_was_asked_for_are_counted() -> None:
    """A backdated live event must not lead the walk past what is stored in between."""
    watch = watching(since=NOW - 50_000)
    watch.open(0.0)
    watch.note("messages", message(NOW - 10), 0.0, NOW)
    watch.eose("messages", 0.0, NOW)
    watch.note("messages", message(NOW - 40_000), 0.0, NOW)
    watch.note("messages/past", message(NOW - 20), 0.0, NOW)
    [page] = watch.eose("messages/past", 0.0, NOW)
    assert asked(page)["until"] == NOW - 19


def test_an_eose_counts_once_and_only_for_what_was_asked() -> None:
    """EOSE for another id, or again, changes nothing."""
    watch = watching()
    watch.open(0.0)
    assert watch.eose("messages/past", 0.0, NOW) == []
    assert not watch.is_answered
    watch.eose("messages", 0.0, NOW)
    assert watch.is_answered
    assert watch.eose("messages", 0.0, NOW) == []


def test_history_is_closed_when_another_watch_takes_the_name() -> None:
    """Only when a page is open."""
    watch = watching()
    watch.open(0.0)
    assert watch.close_past() == []
    watch.note("messages", message(NOW), 0.0, NOW)
    watch.eose("messages", 0.0, NOW)
    assert [json.loads(frame) for frame in watch.close_past()] == [["CLOSE", "messages/past"]]
    assert [json.loads(frame) for frame in watch.close()] == [["CLOSE", "messages"], ["CLOSE", "messages/past"]]


def test_a_closed_page_is_asked_again_and_a_closed_subscription_begins_anew() -> None:
    """CLOSED for a page costs a pause; CLOSED for the live REQ also takes back that it was answered."""
    watch = watching()
    watch.open(0.0)
    watch.note("messages", message(NOW), 0.0, NOW)
    watch.eose("messages", 0.0, NOW)
    watch.closed("messages/past", "error: no", for_auth=False, now=0.0)
    assert watch.sweep(0.1, NOW) == []
    assert asked(watch.sweep(10.0, NOW)[0])["until"] == NOW + 1
    watch.closed("messages", "error: no", for_auth=False, now=10.0)
    assert not watch.is_answered
    assert "until" not in asked(watch.sweep(20.0, NOW)[0])


def test_what_was_refused_is_due_once_we_are_known_but_for_what_came_too_often() -> None:
    """Relays refuse strangers as `auth-required`, `restricted` or otherwise; a pause they ask for is not shortened."""
    watch = watching()
    watch.open(0.0)
    watch.closed("messages", "rate-limited: slow down", for_auth=False, now=0.0)
    watch.authenticated(0.0)
    assert watch.sweep(0.0, NOW) == []
    watch.open(1.0)
    watch.closed("messages", "restricted: who are you?", for_auth=False, now=0.0)
    watch.authenticated(0.0)
    assert len(watch.sweep(0.0, NOW)) == 1
