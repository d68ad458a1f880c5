"""The metrics page, read by the parser that Prometheus' own library has."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from nostrbot.core.proofs.checkpoint import Checkpoint
from nostrbot.core.proofs.liabilities import Standpoint
from nostrbot.monitoring.commit_times import CommitTimes
from nostrbot.monitoring.exposition import BookFigures, exposition
from nostrbot.refusals import Reason

RELAY = {
    "url": 'wss://a.example/"quoted"\\',
    "connected": True,
    "last_event_at": 1_790_000_000,
    "last_ok_at": None,
    "waiting": 3,
    "events": 7,
    "published": 5,
    "accepted": 4,
    "refused": 1,
    "reconnects": 2,
    "cuts": 0,
    "accepts": True,
    "requests": 6,
    "read": True,
    "write": True,
    "last_trouble": "",
    "last_refusal": "",
    "subscriptions": {"commands": {"state": "refused", "words": "error: busy", "unread": ""}},
}


def state(**changes: Any) -> dict[str, Any]:
    """What a bot tells of itself."""
    commits = CommitTimes()
    commits.add(0.002)
    commits.add(70.0)
    return {
        "started_at": 1_790_000_000,
        "steady": True,
        "inbox": 11,
        "backlog": 12,
        "commits": commits.plain(),
        "refusals": {str(Reason.BAD_SIGNATURE): 3},
        "relays": [RELAY],
        "subscriptions": [
            {"name": "settlements-0", "in_force_at": [RELAY["url"]], "missed": False},
            {"name": "commands", "in_force_at": [], "missed": True},
        ],
        "min_ok": 1,
        "courier": {"accepted": 1, "refused": 0, "given_up": 2, "failures": 4, "waiting": 0, "connected": 0},
        **changes,
    }


def read(page: bytes) -> dict[tuple[str, str], float]:
    """Every sample by its name and the value of its only label."""
    samples = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            key = (sample.name, next(iter(sample.labels.values()), ""))
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    return samples


SIGNED = Checkpoint(
    id="c1",
    standpoint=Standpoint("b0" * 32, "0a" * 32, 118, "ff" * 32),
    root="",
    liabilities={},
    prev=None,
    at=1_790_000_500,
)
BOOKS = (
    BookFigures(handle=None, entries=2, pending=0, is_closed=False, troubles=0, checkpoint=None),
    BookFigures(handle="antigua", entries=120, pending=3, is_closed=True, troubles=2, checkpoint=SIGNED),
)


def test_every_figure_is_there_under_its_name() -> None:
    """Names and labels are what alert rules are written against: literally, and no others."""
    found = read(exposition(state(), BOOKS))
    url = RELAY["url"]
    own = {key: value for key, value in found.items() if key[0].startswith("nostrbot_") and "_bucket" not in key[0]}
    assert own == {
        ("nostrbot_build_info", "0.1.0"): 1,
        ("nostrbot_start_time_seconds", ""): 1_790_000_000,
        ("nostrbot_clock_steady", ""): 1,
        ("nostrbot_inbox_events", ""): 11,
        ("nostrbot_outbox_backlog", ""): 12,
        ("nostrbot_commit_duration_seconds_count", ""): 2,
        ("nostrbot_commit_duration_seconds_sum", ""): 70.002,
        ("nostrbot_commit_failures_total", ""): 0,
        ("nostrbot_refusals_total", "bad_signature"): 3,
        ("nostrbot_healthy", ""): 0,
        ("nostrbot_subscription_relays", "settlements-0"): 1,
        ("nostrbot_subscription_relays", "commands"): 0,
        ("nostrbot_relay_connected", url): 1,
        ("nostrbot_relay_accepts", url): 1,
        ("nostrbot_relay_requests", url): 6,
        ("nostrbot_relay_last_event_timestamp_seconds", url): 1_790_000_000,
        ("nostrbot_relay_last_ok_timestamp_seconds", url): 0,
        ("nostrbot_relay_waiting_events", url): 3,
        ("nostrbot_relay_events_total", url): 7,
        ("nostrbot_relay_published_total", url): 5,
        ("nostrbot_relay_accepted_total", url): 4,
        ("nostrbot_relay_refused_total", url): 1,
        ("nostrbot_relay_reconnects_total", url): 2,
        ("nostrbot_relay_cuts_total", url): 0,
        ("nostrbot_courier_letters_total", "accepted"): 1,
        ("nostrbot_courier_letters_total", "refused"): 0,
        ("nostrbot_courier_letters_total", "given_up"): 2,
        ("nostrbot_entries_total", "(root)"): 2,
        ("nostrbot_entries_total", "antigua"): 120,
        ("nostrbot_settlements_pending", "(root)"): 0,
        ("nostrbot_settlements_pending", "antigua"): 3,
        ("nostrbot_book_closed", "(root)"): 0,
        ("nostrbot_book_closed", "antigua"): 1,
        ("nostrbot_book_troubles", "(root)"): 0,
        ("nostrbot_book_troubles", "antigua"): 2,
        ("nostrbot_checkpoint_entry", "antigua"): 118,
        ("nostrbot_checkpoint_timestamp_seconds", "antigua"): 1_790_000_500,
    }


def test_the_histogram_counts_upward_to_all() -> None:
    """A commit of 2 ms and one of 70 s: the first in each bucket from 2.5 ms on, both in the last."""
    found = read(exposition(state(), BOOKS))
    buckets = {key[1]: value for key, value in found.items() if key[0] == "nostrbot_commit_duration_seconds_bucket"}
    assert (buckets["0.001"], buckets["0.0025"], buckets["60.0"], buckets["+Inf"]) == (0, 1, 1, 2)


def test_what_the_process_uses_is_there() -> None:
    """Memory and open files of the process, as every exporter of the library names them."""
    found = read(exposition(state(), ()))
    assert found["process_resident_memory_bytes", ""] > 1_000_000
    assert found["process_open_fds", ""] > 2


def test_an_operator_may_be_called_root() -> None:
    """Its series are not the root book's."""
    books = (BOOKS[0], BookFigures(handle="root", entries=9, pending=0, is_closed=False, troubles=0, checkpoint=None))
    found = read(exposition(state(), books))
    assert (found["nostrbot_entries_total", "(root)"], found["nostrbot_entries_total", "root"]) == (2, 9)


def test_a_bot_that_takes_nothing_to_announced_relays_tells_nothing_of_it() -> None:
    """`recipient_relays: false`."""
    assert b"courier" not in exposition(state(courier=None), BOOKS)
