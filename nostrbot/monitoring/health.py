"""Health: what is wrong with a running bot, in words.

What lives here: what "healthy" means, judged from what the bot tells of itself, for `status` and for metrics. What does
not: reading that from the database (monitoring/status.py), noticing troubles (runtime/troubles.py). docs/protocol.md
section 8; docs/operations.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nostrbot.core.book import ROOT
from nostrbot.nostr.keys import npub


def why_unhealthy(told: Mapping[str, Any]) -> list[str]:
    """Say what is not as it must be, one sentence each; nothing where all is well."""
    because = [*_relays(told), *_subscriptions(told), *_publishing(told)]
    if told.get("clock_trouble"):
        because.append(told["clock_trouble"])
    if told.get("last_failure"):
        because.append(f"the last turn failed: {told['last_failure']}")
    because += [f"book {book_name(key)} is closed" for key in told.get("closed_books", [])]
    because += [f"book {book_name(one['book'])}: {one['why']}" for one in told.get("troubles", [])]
    because += [
        f"book {book_name(key)} is {ahead_s} s ahead of the clock, which ran ahead: stop the bot and run `nostrbot "
        "clock-heal`"
        for key, ahead_s in told.get("ahead", {}).items()
    ]
    return because


def _relays(told: Mapping[str, Any]) -> Iterator[str]:
    relays: Sequence[Mapping[str, Any]] = told.get("relays", [])
    if not any(relay["connected"] for relay in relays):
        why = "; ".join(f"{relay['url']}: {relay.get('last_trouble') or 'not connected'}" for relay in relays)
        yield f"no relay is connected ({why})" if why else "no relay is connected"


def _subscriptions(told: Mapping[str, Any]) -> Iterator[str]:
    """Connected is not heard: each subscription must be in force at a relay."""
    for one in told.get("subscriptions", []):
        if one["missed"]:
            why = [f"{relay['url']}: {_how(relay, one['name'])}" for relay in told["relays"] if relay["read"]]
            yield f"no relay serves {one['name']}: the bot does not hear what is sent there ({'; '.join(why)})"


def _how(relay: Mapping[str, Any], name: str) -> str:
    if not relay["connected"]:
        return "not connected"
    service = relay["subscriptions"].get(name, {"state": "unasked", "words": ""})
    words = f", {service['words']!r}" if service["words"] else ""
    return f"{service['state']}{words}"


def _publishing(told: Mapping[str, Any]) -> Iterator[str]:
    """Check that enough relays to publish can be reached, and took something lately."""
    min_ok = told.get("min_ok")
    if min_ok is None:
        return
    writers = [relay for relay in told["relays"] if relay["write"]]
    able = [relay for relay in writers if relay["connected"] and relay["accepts"]]
    if len(able) < min_ok:
        why = "; ".join(f"{relay['url']}: {_why_not(relay)}" for relay in writers if relay not in able)
        yield f"{len(able)} relays take messages; a message counts as sent once {min_ok} take it ({why})"


def _why_not(relay: Mapping[str, Any]) -> str:
    return f"takes nothing, {relay['last_refusal']!r}" if relay["connected"] else "not connected"


def book_name(key: str) -> str:
    """Return the name of a book as people know it: by its operator's first key, or as the root book."""
    return key if key == ROOT else npub(key)
