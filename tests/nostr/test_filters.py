"""Filters: what we ask a relay for, and what we take from it (fault row 8)."""

from typing import Any

import pytest

from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.keys import Keys

MACHINE, BOT, STRANGER = (Keys.from_secret(bytes([n]) * 32) for n in (1, 2, 3))


def settlement(**changes: Any) -> VerifiedEvent:
    fields: dict[str, Any] = {"kind": 21000, "tags": [["p", BOT.pubkey]], "content": "", "created_at": 100}
    return sign_event(MACHINE, **(fields | changes))


def test_an_empty_filter_asks_for_everything() -> None:
    assert Filter().matches(settlement())
    assert Filter().plain() == {}


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (Filter(kinds=[4, 21000]), True),
        (Filter(kinds=[4]), False),
        (Filter(kinds=[]), False),
        (Filter(authors=[MACHINE.pubkey, STRANGER.pubkey]), True),
        (Filter(authors=[STRANGER.pubkey]), False),
        (Filter(authors=[]), False),
        (Filter(ids=[settlement().id]), True),
        (Filter(ids=[settlement(content="other").id]), False),
        (Filter(p_tags=[BOT.pubkey]), True),
        (Filter(p_tags=[MACHINE.pubkey]), False),
        (Filter(since=100), True),
        (Filter(since=101), False),
        (Filter(until=100), True),
        (Filter(until=99), False),
        (Filter(limit=0), True),
        (Filter(kinds=[21000], authors=[MACHINE.pubkey], p_tags=[BOT.pubkey], since=100, until=100), True),
        (Filter(kinds=[21000], authors=[MACHINE.pubkey], p_tags=[STRANGER.pubkey]), False),
    ],
)
def test_every_condition_must_hold(filter_: Filter, expected: bool) -> None:
    """since and until include their second; limit asks a relay and never matches."""
    assert filter_.matches(settlement()) is expected


def test_any_p_tag_counts_but_only_its_second_item() -> None:
    ours = Filter(p_tags=[BOT.pubkey])
    assert ours.matches(settlement(tags=[["p"], ["p", STRANGER.pubkey], ["p", BOT.pubkey, "wss://x"]]))
    assert not ours.matches(settlement(tags=[["p"], ["p", STRANGER.pubkey, BOT.pubkey], ["e", BOT.pubkey]]))


def test_plain_is_the_json_of_nip_01_in_sorted_order() -> None:
    asked = Filter(ids={"b", "a"}, authors={"d", "c"}, kinds={30078, 4}, p_tags={"f", "e"}, since=1, until=2, limit=3)
    assert asked.plain() == {
        "ids": ["a", "b"],
        "authors": ["c", "d"],
        "kinds": [4, 30078],
        "#p": ["e", "f"],
        "since": 1,
        "until": 2,
        "limit": 3,
    }


def test_an_empty_condition_is_sent_and_zero_is_a_number() -> None:
    """Leaving either out would ask for everything."""
    assert Filter(authors=[], since=0, limit=0).plain() == {"authors": [], "since": 0, "limit": 0}


def test_filters_are_values() -> None:
    assert Filter(kinds=[4, 5]) == Filter(kinds=(5, 4))
    assert len({Filter(kinds=[4]), Filter(kinds={4})}) == 1


def test_one_pubkey_is_not_a_collection_of_letters() -> None:
    with pytest.raises(AssertionError):
        Filter(authors=BOT.pubkey)
