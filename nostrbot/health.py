"""Health: what is not as it must be with a running bot, in words.

What lives here: what "healthy" means, judged from what the bot tells of itself, for `status` and for metrics. What does not:
reading that from the database (status.py), noticing troubles (troubles.py). docs/protocol.md section 8; docs/operations.md.
"""

from collections.abc import Mapping
from typing import Any

from nostrbot.core.book import ROOT
from nostrbot.nostr.keys import npub


def why_unhealthy(told: Mapping[str, Any]) -> list[str]:
    """Say what is not as it must be, one sentence each; nothing where all is well."""
    because = []
    if not any(relay["connected"] for relay in told.get("relays", [])):
        because.append("no relay is connected")
    if not told.get("steady", True):
        because.append("the clock leapt: nothing is decided until it is steady")
    if told.get("last_failure"):
        because.append(f"the last turn failed: {told['last_failure']}")
    because += [f"book {book_name(key)} is closed" for key in told.get("closed_books", [])]
    because += [f"book {book_name(one['book'])}: {one['why']}" for one in told.get("troubles", [])]
    return because


def book_name(key: str) -> str:
    """A book as people know it: by its operator's first key, or as the root book."""
    return key if key == ROOT else npub(key)
