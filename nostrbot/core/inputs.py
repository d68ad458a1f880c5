"""Inputs: everything that may change a book, as the journal keeps it.

What lives here: a signed event with its plaintext, and observations: a tick of the clock, a clock that was set right,
and what the bot saw of a wallet, a database or a chain. What does not: how it got here (relays/, runtime/inbox.py), how
it was opened (nostr/sealing.py, nostr/giftwrap.py), and what an observation means (the observers of core/desks.py).
docs/protocol.md section 7.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.giftwrap import Rumor, read_rumor
from nostrbot.nostr.sealing import MessageKeys, Scheme, read_message_keys, scheme_of
from nostrbot.refusals import Reason, Refusal


class Signed(NamedTuple):
    """A verified event and what it said.

    Attributes:
        event: of a gift-wrapped message the seal, which its author signed; the wrap around it proves nothing.
        plaintext: the content as opened; equal to the content where it came plain; of a seal, the rumor's JSON.
        keys: the message's own, where the content (of a seal: the seal's) is NIP-44, so that an auditor can open it;
            entries of before they were kept have none.
        rumor: the message in a seal.
        carried: a command decided earlier elsewhere, entered here so that this book stands alone; its age is no matter.
        answered: whether its author gets the answer from this book (a command that concerns several has one answer).
        heard: when it was heard by the bot's clock, unix seconds, where that is before the entry's own time: the clock
            ran ahead and went back. None: at the entry's time.
    """

    event: VerifiedEvent
    plaintext: str
    scheme: Scheme
    keys: MessageKeys | None = None
    rumor: Rumor | None = None
    carried: bool = False
    answered: bool = True
    heard: int | None = None

    @property
    def id(self) -> str:
        """The id that can have one effect only: of the event, or of the message in a seal, however often it is
        wrapped.
        """
        return self.event.id if self.rumor is None else self.rumor.id

    @property
    def author(self) -> str:
        """The key (hex) that signed it."""
        return self.event.pubkey

    @property
    def text(self) -> str:
        """The text of the message."""
        return self.plaintext if self.rumor is None else self.rumor.content

    @property
    def created_at(self) -> int:
        """The author's date of the message; seals are dated at random, on purpose."""
        return self.event.created_at if self.rumor is None else self.rumor.created_at

    def is_to(self, pubkey: str) -> bool:
        """Whether it is addressed to this key."""
        tags = self.event.tags if self.rumor is None else self.rumor.tags
        return any(tag[:2] == ("p", pubkey) for tag in tags)

    def plain(self) -> dict[str, Any]:
        """Return the input as an entry keeps it, without what follows from the rest."""
        plain: dict[str, Any] = {"event": self.event.plain()}
        if self.scheme is not Scheme.PLAIN:
            plain["plaintext"] = self.plaintext
        if self.keys is not None:
            plain["keys"] = self.keys.hex()
        if self.carried:
            plain["carried"] = True
        if not self.answered:
            plain["answered"] = False
        if self.heard is not None:
            plain["heard"] = self.heard
        return plain


class Tick(NamedTuple):
    """The bot looked at its clock, unix seconds `at`, and something was due."""

    at: int

    @property
    def id(self) -> None:
        """No other tick is the same: what was done is in the book."""
        return None

    def plain(self) -> dict[str, Any]:
        """Return the input as an entry keeps it."""
        return {"tick": self.at}


class ClockSet(NamedTuple):
    """A person set a book's time right: its last entry is dated `was`, ahead of the true time `now` (unix seconds)."""

    was: int
    now: int

    @property
    def id(self) -> None:
        """The place of it names it: no two follow the same entry."""
        return None

    def plain(self) -> dict[str, Any]:
        """Return the input as an entry keeps it."""
        return {"clock": {"was": self.was, "is": self.now}}


class Observed(NamedTuple):
    """An observation of a thing that signs no events: a wallet, a database, a chain.

    Attributes:
        source: the connection it was seen through, as its operator named it.
        identity: the thing itself: a wallet's id or public key, a chain's id; two connections may lead to one thing.
        key: the natural key of what was seen. One identity and one key have one effect.
        at: when it was seen, unix seconds on the bot's clock.
        saw: which observer it is for.
        seen: all that was seen, so that an auditor decides it again.
    """

    source: str
    identity: str
    key: str
    at: int
    saw: str
    seen: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The id that can have one effect only."""
        return observed_id(self.identity, self.key)

    def plain(self) -> dict[str, Any]:
        """Return the input as an entry keeps it."""
        frame = {name: getattr(self, name) for name in _OBSERVED}
        return {"observed": {**self.seen, **frame}}


_OBSERVED = ("source", "identity", "key", "at", "saw")

Observation = Tick | ClockSet | Observed
Input = Signed | Observation


def observed_id(identity: str, key: str) -> str:
    """Return the id (hex) by which an observation has its one effect."""
    return hashlib.sha256(orjson.dumps(["nostrbot/observed", identity, key])).hexdigest()


def read_observation(kept: Any) -> Observation | None:
    """Read an unsigned input that plain() wrote; None if it is malformed."""
    if not isinstance(kept, dict) or len(kept) != 1:
        return None
    observed = kept.get("observed")
    if isinstance(observed, dict):
        return _read_observed(observed)
    if type(kept.get("tick")) is int:
        return Tick(kept["tick"])
    clock = kept.get("clock")
    if isinstance(clock, dict) and clock.keys() == {"was", "is"} and all(type(at) is int for at in clock.values()):
        return ClockSet(clock["was"], clock["is"])
    return None


def _read_observed(kept: dict[str, Any]) -> Observed | None:
    at, texts = kept.get("at"), [kept.get(name) for name in _OBSERVED if name != "at"]
    if type(at) is not int or not all(type(text) is str for text in texts):
        return None
    seen = {name: value for name, value in kept.items() if name not in _OBSERVED}
    return Observed(kept["source"], kept["identity"], kept["key"], at, kept["saw"], seen)


def open_signed(
    event: VerifiedEvent,
    plaintext: str,
    keys: MessageKeys | None = None,
    *,
    carried: bool = False,
    answered: bool = True,
    heard: int | None = None,
) -> Signed | Refusal:
    """Build a signed input from a verified event and its opened content; a seal must hold a rumor of its author."""
    if event.kind != kinds.SEAL:
        return Signed(event, plaintext, scheme_of(event.content), keys, None, carried, answered, heard)
    rumor = read_rumor(plaintext)
    if isinstance(rumor, Refusal):
        return rumor
    if rumor.pubkey != event.pubkey:
        return Refusal(Reason.SEAL_MISMATCH)
    return Signed(event, plaintext, Scheme.NIP17, keys, rumor, carried, answered, heard)


def reopen(event: VerifiedEvent, kept: dict[str, Any]) -> Signed | Refusal:
    """Build a signed input from a verified event and the rest of what a journal keeps of it, as plain() wrote it.

    Raises SealingError for keys that are none.
    """
    keys = kept.get("keys")
    return open_signed(
        event,
        kept.get("plaintext", event.content),
        None if keys is None else read_message_keys(keys),
        carried=kept.get("carried", False),
        answered=kept.get("answered", True),
        heard=kept.get("heard"),
    )


def effect_id(plain_input: dict[str, Any]) -> str | None:
    """Return the id by which a journal's input has its one effect; a tick has none, nor has a clock that was set
    right.
    """
    observed = plain_input.get("observed")
    if observed is not None:
        return observed_id(observed["identity"], observed["key"])
    event = plain_input.get("event")
    if event is None:
        return None
    if event["kind"] != kinds.SEAL:
        found: str = event["id"]
        return found
    rumor = read_rumor(plain_input["plaintext"])
    assert not isinstance(rumor, Refusal), "only what could be read was sealed"
    return rumor.id
