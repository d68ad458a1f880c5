"""Relay lists: where people read, as they announce it, and where the bot reads, as it announces itself.

What lives here: the relay lists of people (NIP-17, else NIP-65), the newest of each; and the bot's own profile and
relay lists. What does not: going there (relays/recipients/courier.py), and when the bot publishes its own (bot.py).
docs/protocol.md section 6, "To be found". https://github.com/nostr-protocol/nips/blob/master/17.md
https://github.com/nostr-protocol/nips/blob/master/65.md
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

import orjson

from nostrbot.net.addresses import public_relay
from nostrbot.net.urls import identity
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.kinds import DIRECT_MESSAGE, DM_RELAY_LIST, GIFT_WRAP, PROFILE, RELAY_LIST
from nostrbot.relays.relay import RelayConfig

LISTS: Final = frozenset({RELAY_LIST, DM_RELAY_LIST})
LETTERS: Final = frozenset({DIRECT_MESSAGE, GIFT_WRAP})  # what people read where they say; machines use our relays
PEOPLE_MAX: Final = 10_000  # remembered, some 1 KiB each; of more, who announced first is forgotten
RELAYS_A_LIST_MAX: Final = 3  # NIP-17: "clients SHOULD keep lists small (between 1-3 relays)"
TAGS_READ_MAX: Final = 100  # of one list

PROFILE_TEXT: Final = {
    "name": "nostrbot",
    "about": "I keep the books of Bitcoin ATMs for their operators and liquidity providers. Write me `help`.",
    "bot": True,  # NIP-24
}


@dataclass(frozen=True, slots=True)
class _List:
    created_at: int
    id: str
    urls: tuple[str, ...]

    def is_older_than(self, event: VerifiedEvent) -> bool:
        """Whether the event replaces this one (NIP-01): of two events of one second the lower id stays."""
        return (self.created_at, event.id) < (event.created_at, self.id)


class RelayLists:
    """The relays people read, of those that may be connected to and are not the bot's own anyway."""

    def __init__(self, own: Iterable[RelayConfig]) -> None:
        self._own = {identity(relay.url) for relay in own}
        self._lists: dict[str, dict[int, _List]] = {}  # by pubkey and kind

    def note(self, event: VerifiedEvent) -> None:
        """Somebody's list of kind RELAY_LIST or DM_RELAY_LIST. An older one than is known changes nothing."""
        assert event.kind in LISTS, "a relay list"
        lists = self._lists.setdefault(event.pubkey, {})
        known = lists.get(event.kind)
        if known is None or known.is_older_than(event):
            lists[event.kind] = _List(event.created_at, event.id, self._urls(event))
        if len(self._lists) > PEOPLE_MAX:
            del self._lists[next(iter(self._lists))]

    def urls_for(self, letter: VerifiedEvent) -> tuple[str, ...]:
        """Return where else the recipient of a message reads: relays for direct messages, or else those it reads in
        general.

        A person who lists relays for direct messages wants them there only, even if none of them can be used.
        """
        if letter.kind not in LETTERS:
            return ()
        lists = self._lists.get(letter.tag_value("p") or "", {})
        chosen = lists.get(DM_RELAY_LIST) or lists.get(RELAY_LIST)
        return chosen.urls if chosen is not None else ()

    def _urls(self, event: VerifiedEvent) -> tuple[str, ...]:
        found: dict[str, str] = {}  # by what tells relays apart
        for tag in event.tags[:TAGS_READ_MAX]:
            said = _said(event.kind, tag)
            url = public_relay(said) if said is not None else None
            if isinstance(url, str) and identity(url) not in self._own:
                found.setdefault(identity(url), url)
        return tuple(found.values())[:RELAYS_A_LIST_MAX]


def _said(kind: int, tag: tuple[str, ...]) -> str | None:
    """Return the URL in a tag of a relay list, if it is one that the author reads."""
    match tag:
        case ("relay", url, *_) if kind == DM_RELAY_LIST:
            return url
        case ("r", url) | ("r", url, "" | "read", *_) if kind == RELAY_LIST:
            return url
    return None


def own_announcements(keys: Keys, relays: Sequence[RelayConfig], at: int) -> list[VerifiedEvent]:
    """Return the bot's profile and relay lists, dated `at` (unix seconds)."""
    shown = [relay for relay in relays if _may_be_shown(relay.url)]
    general = [["r", relay.url, *_marker(relay)] for relay in shown if relay.read or relay.write]
    direct = [["relay", relay.url] for relay in shown if relay.read]
    contents: list[tuple[int, list[list[str]], str]] = [
        (PROFILE, [], orjson.dumps(PROFILE_TEXT).decode()),
        (RELAY_LIST, general, ""),
        (DM_RELAY_LIST, direct, ""),
    ]
    return [sign_event(keys, kind=kind, tags=tags, content=content, created_at=at) for kind, tags, content in contents]


def digest_of(announced: Sequence[VerifiedEvent], relays: Sequence[RelayConfig]) -> str:
    """Return a digest that changes when the announcements must be published again: by their content, or their
    relays.
    """
    contents = [[event.pubkey, event.kind, event.tags, event.content] for event in announced]
    places = [relay.url for relay in relays if relay.write]
    return sha256(orjson.dumps([contents, places])).hexdigest()


def _marker(relay: RelayConfig) -> list[str]:
    if relay.read and relay.write:
        return []
    return ["read" if relay.read else "write"]


def _may_be_shown(url: str) -> bool:
    """Whether the URL tells no secret: what a relay gives to one customer stands behind the question mark."""
    return not urlsplit(url).query
