"""Health: what is wrong in a running bot, part by part, with the words of the relays (review row F2)."""

from typing import Any

import pytest

from nostrbot.monitoring.health import why_unhealthy

URL = "wss://a.example"
SERVED = {"state": "in_force", "words": "", "unread": ""}


def relay(**changes: Any) -> dict[str, Any]:
    """A relay that does all it should."""
    well = {"url": URL, "connected": True, "read": True, "write": True, "accepts": True}
    words = {"last_trouble": "", "last_refusal": "", "subscriptions": {"commands": SERVED}}
    return well | words | changes


def state(*relays: dict[str, Any], missed: bool = False, **changes: Any) -> dict[str, Any]:
    """What a bot tells that misses its commands, or not."""
    subscription = {"name": "commands", "missed": missed}
    return {"relays": list(relays), "subscriptions": [subscription], "min_ok": 1, "closed_books": []} | changes


def refused(words: str) -> dict[str, Any]:
    return {"commands": {"state": "refused", "words": words, "unread": ""}}


WELL = state(relay())
NOT_WELL = {
    "no relay": (state(), ["no relay is connected", "0 relays take messages"]),
    "none connected": (
        state(relay(connected=False, last_trouble="refused"), missed=True),
        [
            f"no relay is connected ({URL}: refused)",
            f"no relay serves commands: the bot does not hear what is sent there ({URL}: not connected)",
            f"({URL}: not connected)",
        ],
    ),
    "connected and not heard": (
        state(relay(subscriptions=refused("ERROR: bad req: too many subscriptions")), missed=True),
        [f"({URL}: refused, 'ERROR: bad req: too many subscriptions')"],
    ),
    "silent": (
        state(relay(subscriptions={"commands": {"state": "silent", "words": "", "unread": ""}}), missed=True),
        [f"({URL}: silent)"],
    ),
    "not asked for": (state(relay(subscriptions={}), missed=True), [f"({URL}: unasked)"]),
    "a relay that is not read": (
        state(relay(read=False), missed=True),
        ["the bot does not hear what is sent there ()"],
    ),
    "takes nothing": (
        state(relay(accepts=False, last_refusal="blocked: who are you?")),
        [
            f"0 relays take messages; a message counts as sent once 1 take it ({URL}: takes nothing, 'blocked: who are you?')"
        ],
    ),
    "too few": (state(relay(), min_ok=2), ["1 relays take messages; a message counts as sent once 2 take it"]),
    "not written to": (state(relay(write=False)), ["0 relays take messages"]),
    "a closed book": (state(relay(), closed_books=["root"]), ["book root is closed"]),
}


def test_a_bot_that_is_well_has_no_troubles() -> None:
    """Nor one that misses for a moment what a relay will serve again."""
    assert why_unhealthy(WELL) == []
    assert why_unhealthy(state(relay(subscriptions=refused("error: busy")))) == []


@pytest.mark.parametrize("case", NOT_WELL)
def test_f2_what_is_wrong_is_said_with_the_relay_s_words(case: str) -> None:
    """In words that say where to look."""
    told, expected = NOT_WELL[case]
    because = why_unhealthy(told)
    assert len(because) == len(expected)
    for said, words in zip(because, expected, strict=True):
        assert words in said


def test_what_a_bot_does_not_tell_is_not_held_against_it() -> None:
    """But a relay must be."""
    assert why_unhealthy({"relays": [{"connected": True}]}) == []
    assert why_unhealthy({}) == ["no relay is connected"]
