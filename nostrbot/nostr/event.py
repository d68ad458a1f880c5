"""Events: read strictly, identified, verified, signed.

What lives here: the one door through which a stranger's JSON becomes a `VerifiedEvent`. What does not: frames
(messages.py), what a kind means (core/), which clock an event is judged by (the caller's).

The type is the proof: only verify() and sign_event() make a `VerifiedEvent`, so its id was recomputed and its signature
checked. verified_elsewhere() is for callers who had another process do that.

Keys of an event object beyond the seven of NIP-01 are not signed, so nothing here looks at them: clients ignore
them, and plain() does not repeat them.

Ids follow what every implementation does (JSON.stringify-compatible escaping of control characters, which is also
how orjson writes), not the literal wording of NIP-01.
https://github.com/nostr-protocol/nips/blob/master/01.md
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol, Self

import coincurve
import orjson

from nostrbot.nostr.keys import Keys
from nostrbot.nostr.kinds import KIND_MAX
from nostrbot.refusals import Reason, Refusal

# The largest integer that every JSON implementation keeps exact (an IEEE 754 double has 53 bits).
INT_MAX: Final = 2**53 - 1
# A fleet has thousands of authors; parsing a key again costs about 4 us, an entry some 300 bytes.
PUBKEYS_CACHED_MAX: Final = 16_384
# NIP-40 wants unix seconds: INT_MAX has 16 digits. A longer text is no time, and int() of it could raise.
EXPIRATION_DIGITS_MAX: Final = 16

_is_hex_32_bytes: Final = re.compile("[0-9a-f]{64}").fullmatch
_is_hex_64_bytes: Final = re.compile("[0-9a-f]{128}").fullmatch


class Event(NamedTuple):
    """An event of the right shape whose id and signature are only claims. A tuple, because it is built per frame."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: tuple[tuple[str, ...], ...]
    content: str
    sig: str

    def plain(self) -> dict[str, Any]:
        """Return the event as NIP-01 writes it in JSON, tags as lists."""
        return {
            "id": self.id,
            "pubkey": self.pubkey,
            "created_at": self.created_at,
            "kind": self.kind,
            "tags": [list(tag) for tag in self.tags],
            "content": self.content,
            "sig": self.sig,
        }

    def tag_value(self, name: str) -> str | None:
        """Return the second item of the first tag called `name`; None without such a tag or such an item."""
        for tag in self.tags:
            if tag[0] == name:
                return tag[1] if len(tag) > 1 else None
        return None


class VerifiedEvent(Event):
    """An event whose id and signature were checked. Two are equal when their ids are."""

    __slots__ = ()

    def __new__(cls, *_: object, **__: object) -> Self:
        """Refuse: a claim becomes verified by verify(), not by saying so."""
        raise TypeError("only verify() and sign_event() make a VerifiedEvent")

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> Self:  # type: ignore[override]  # mypy gives each NamedTuple its own
        # NamedTuple's _replace() goes through here: a changed event is not a verified one.
        raise TypeError("only verify() and sign_event() make a VerifiedEvent")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifiedEvent) and self.id == other.id

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.id)


def parse(obj: object) -> Event | Refusal:
    """Check the shape of a decoded JSON value (docs/protocol.md section 2, item 2). Refuses with BAD_SHAPE."""
    if type(obj) is not dict:
        return _bad_shape("event is not an object")
    try:
        claimed_id, pubkey, sig = obj["id"], obj["pubkey"], obj["sig"]
        created_at, kind, tags, content = obj["created_at"], obj["kind"], obj["tags"], obj["content"]
    except KeyError:
        return _bad_shape("event lacks a field")
    # type() rather than isinstance(): True is an int to isinstance().
    if type(claimed_id) is not str or not _is_hex_32_bytes(claimed_id):
        return _bad_shape("id")
    if type(pubkey) is not str or not _is_hex_32_bytes(pubkey):
        return _bad_shape("pubkey")
    if type(created_at) is not int or not 0 <= created_at <= INT_MAX:
        return _bad_shape("created_at")
    if type(kind) is not int or not 0 <= kind <= KIND_MAX:
        return _bad_shape("kind")
    if type(tags) is not list or not _are_tags(tags):
        return _bad_shape("tags")
    if type(content) is not str or not _is_text(content):
        return _bad_shape("content")
    if type(sig) is not str or not _is_hex_64_bytes(sig):
        return _bad_shape("sig")
    return Event(claimed_id, pubkey, created_at, kind, tuple(map(tuple, tags)), content, sig)


def verify(event: Event) -> VerifiedEvent | Refusal:
    """Recompute the id (else WRONG_ID), then check the Schnorr signature over it (else BAD_SIGNATURE).

    Takes what parse() returned. Nothing is remembered by id: a forged event cannot pass as one seen before.
    """
    digest = sha256(_canonical(event.pubkey, event.created_at, event.kind, event.tags, event.content))
    if digest.hexdigest() != event.id:
        return Refusal(Reason.WRONG_ID)
    pubkey = _parsed_pubkey(event.pubkey)
    if pubkey is None or not pubkey.verify(bytes.fromhex(event.sig), digest.digest()):
        return Refusal(Reason.BAD_SIGNATURE)
    return tuple.__new__(VerifiedEvent, event)


def verified_elsewhere(event: Event) -> VerifiedEvent:
    """Return the event as verified, because another process of ours called verify() on the same bytes.

    The one way past verify(). For audit/workers.py, whose processes share out the signatures of a trail; nobody else
    calls it.
    """
    return tuple.__new__(VerifiedEvent, event)


def read_event(obj: object) -> VerifiedEvent | Refusal:
    """Parse, then verify."""
    event = parse(obj)
    return event if isinstance(event, Refusal) else verify(event)


def event_id(pubkey: str, created_at: int, kind: int, tags: Sequence[Sequence[str]], content: str) -> str:
    """Return the id of an event, 64 hex digits. Takes checked values; a lone surrogate raises TypeError."""
    return sha256(_canonical(pubkey, created_at, kind, tags, content)).hexdigest()


class Tagged(Protocol):
    """An event, or the rumor in a gift wrap."""

    @property
    def tags(self) -> tuple[tuple[str, ...], ...]:
        """Its tags."""


def expiration(event: Tagged) -> int | None:
    """Return when the event expires, in unix seconds (NIP-40): the earliest moment that a tag names in digits.

    None if no tag does: what is not in digits says nothing.
    """
    said = [tag[1] for tag in event.tags if len(tag) > 1 and tag[0] == "expiration"]
    moments = [int(text) for text in said if len(text) <= EXPIRATION_DIGITS_MAX and text.isascii() and text.isdigit()]
    return min(moments, default=None)


def sign_event(keys: Keys, *, kind: int, tags: Sequence[Sequence[str]], content: str, created_at: int) -> VerifiedEvent:
    """Sign an event of ours; `created_at` in unix seconds. The same arguments give the same bytes, signature included.

    Raises ValueError if the event is one that parse() would refuse.
    """
    tag_lists = [list(tag) for tag in tags]
    draft = {"pubkey": keys.pubkey, "created_at": created_at, "kind": kind, "tags": tag_lists, "content": content}
    shape = parse({**draft, "id": "0" * 64, "sig": "0" * 128})
    if isinstance(shape, Refusal):
        raise ValueError(f"not an event to sign: {shape.detail}")
    digest = sha256(_canonical(shape.pubkey, created_at, kind, shape.tags, content)).digest()
    # coincurve verifies what it has just signed, so the claim this type makes holds here as well.
    signed = shape._replace(id=digest.hex(), sig=keys.sign(digest))
    return tuple.__new__(VerifiedEvent, signed)


def _canonical(pubkey: str, created_at: int, kind: int, tags: Sequence[Sequence[str]], content: str) -> bytes:
    return orjson.dumps([0, pubkey, created_at, kind, tags, content])


@lru_cache(maxsize=PUBKEYS_CACHED_MAX)
def _parsed_pubkey(pubkey: str) -> coincurve.PublicKeyXOnly | None:
    try:
        return coincurve.PublicKeyXOnly(bytes.fromhex(pubkey))
    except ValueError:  # no point of the curve has this x
        return None


def _are_tags(tags: list[object]) -> bool:
    for tag in tags:
        if type(tag) is not list or not tag:
            return False
        for item in tag:
            if type(item) is not str or not _is_text(item):
                return False
    return True


def _is_text(text: str) -> bool:
    """Whether UTF-8 can carry the text: a lone surrogate cannot be encoded, so an event with one has no id."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bad_shape(detail: str) -> Refusal:
    return Refusal(Reason.BAD_SHAPE, detail)
