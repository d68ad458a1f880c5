"""Authentication: telling a relay who we are when it asks (NIP-42).

What lives here: answering challenges, a bounded number of them on one connection, and knowing the relay's verdict. What
does not: asking again for what was refused before (session.py).
https://github.com/nostr-protocol/nips/blob/master/42.md
"""

from nostrbot.nostr.event import sign_event
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.kinds import RELAY_AUTH
from nostrbot.nostr.messages import auth_message


class Authentication:
    """The exchange on one connection."""

    def __init__(self, url: str, keys: Keys, *, answers_max: int) -> None:
        self._url = url
        self._keys = keys
        self._answers_left = answers_max
        self._challenge: str | None = None
        self._pending_ids: set[str] = set()  # no more of them than answers

    def answer(self, challenge: str, unix_now: int) -> str | None:
        """Return the AUTH frame for a challenge; None if it was answered already, or too many were."""
        if challenge == self._challenge or self._answers_left <= 0:
            return None
        self._answers_left -= 1
        self._challenge = challenge
        tags = [["relay", self._url], ["challenge", challenge]]
        event = sign_event(self._keys, kind=RELAY_AUTH, tags=tags, content="", created_at=unix_now)
        self._pending_ids.add(event.id)
        return auth_message(event)

    def is_verdict(self, event_id: str) -> bool:
        """Whether an OK with this id is about one of our AUTH events; each is answered once."""
        if event_id in self._pending_ids:
            self._pending_ids.remove(event_id)
            return True
        return False
