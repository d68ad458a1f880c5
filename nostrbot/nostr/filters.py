"""Filters: what a subscription asks a relay for, and whether an event is what was asked (NIP-01).

What lives here: the filter as a value, its JSON, and our own check of what comes back: a relay may send anything.
What does not: pagination and who is subscribed to what (relays/).
https://github.com/nostr-protocol/nips/blob/master/01.md
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from nostrbot.nostr.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A filter; None leaves a condition out, an empty collection matches nothing.

    Collections become frozensets, so a filter is hashable and matches() costs one look-up per condition. `p_tags` is
    "#p"; `since` and `until` are unix seconds, both inclusive; `limit` is a number of events and asks, never matches.
    """

    ids: Collection[str] | None = None
    authors: Collection[str] | None = None
    kinds: Collection[int] | None = None
    p_tags: Collection[str] | None = None
    since: int | None = None
    until: int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        for name in ("ids", "authors", "kinds", "p_tags"):
            values = getattr(self, name)
            if values is not None:
                assert not isinstance(values, str), f"{name} is a collection of values"
                object.__setattr__(self, name, frozenset(values))

    def plain(self) -> dict[str, Any]:
        """Return the filter as NIP-01 writes it in JSON. Lists are sorted, so equal filters are equal bytes."""
        lists = {"ids": self.ids, "authors": self.authors, "kinds": self.kinds, "#p": self.p_tags}
        numbers = {"since": self.since, "until": self.until, "limit": self.limit}
        found: dict[str, Any] = {name: sorted(values) for name, values in lists.items() if values is not None}
        return found | {name: number for name, number in numbers.items() if number is not None}

    def matches(self, event: Event) -> bool:
        """Whether this filter asks for the event."""
        return (
            (self.kinds is None or event.kind in self.kinds)
            and (self.authors is None or event.pubkey in self.authors)
            and (self.ids is None or event.id in self.ids)
            and (self.since is None or event.created_at >= self.since)
            and (self.until is None or event.created_at <= self.until)
            and (self.p_tags is None or _names_any(self.p_tags, event))
        )


def _names_any(pubkeys: Collection[str], event: Event) -> bool:
    return any(tag[0] == "p" and len(tag) > 1 and tag[1] in pubkeys for tag in event.tags)
