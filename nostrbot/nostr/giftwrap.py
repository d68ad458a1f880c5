"""Gift wraps: how a private message travels (NIP-59, NIP-17), so that a relay sees neither its author nor its time.

What lives here: rumors (events without a signature), and the two layers around one: a seal, signed by the author, and a
wrap, signed by a key that is thrown away. What does not: the ciphers (sealing.py), which kinds of rumor the bot takes
and who may command it (core/).

Opening takes two steps, because between them stands the only signature that proves an author. The caller keeps the
seal, and may ask who signed it before the costly key agreement with that author. A rumor is trusted for one reason,
that the seal around it was signed by the pubkey it claims. Anybody may put a seal in a new wrap, and the author's
client may put a rumor in a new seal. So the rumor's id, which covers its author, is what can have one effect only.

Making is deterministic, as in sealing.py: the throw-away key, the dates and the nonces are derived from the message and
our secret. A wrap made again after a crash is the same event.
https://github.com/nostr-protocol/nips/blob/master/17.md https://github.com/nostr-protocol/nips/blob/master/59.md
"""

import hmac
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from nostrbot.errors import KeyTextError, SealingError
from nostrbot.nostr.duplicate_keys import has_duplicate_keys
from nostrbot.nostr.event import VerifiedEvent, event_id, parse, read_event, sign_event
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.kinds import CHAT_MESSAGE, GIFT_WRAP, SEAL
from nostrbot.nostr.sealing import TEXT_MAX_BYTES, Envelope, Opening, Scheme, scheme_of
from nostrbot.refusals import Reason, Refusal

# NIP-44 pads in steps, twice: 28,672 bytes of rumor make a frame of 55,204 bytes, one more makes it 66,128, and relays
# take 65,536 (messages.py).
RUMOR_MAX_BYTES: Final = 28_672
# All of a rumor but its text: with an `e` tag, and the 16 digits of the latest date there is.
RUMOR_FRAME_MAX_BYTES: Final = 357
# Bytes of the text as JSON writes it, see text_bytes().
WRAPPED_TEXT_MAX_BYTES: Final = RUMOR_MAX_BYTES - RUMOR_FRAME_MAX_BYTES
# NIP-59: seals and wraps are dated up to two days back, so that dates do not connect them.
BACKDATED_MAX_S: Final = 2 * 24 * 60 * 60
WRAP_PURPOSE: Final = b"nostrbot/gift-wrap/1"


@dataclass(frozen=True, slots=True)
class Rumor:
    """An event nobody signed: only the seal it came in says who wrote it. Printing it does not show what it says."""

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: tuple[tuple[str, ...], ...]
    content: str = field(repr=False)


def read_rumor(text: str) -> Rumor | Refusal:
    """Read the JSON of an unsigned event, as strictly as event.parse() reads a signed one; a `sig` is ignored.

    The id is recomputed: a claimed one must be the same (else WRONG_ID), a missing one is filled in. Refuses with
    NOT_JSON and BAD_SHAPE besides.
    """
    obj = _decoded(text)
    if isinstance(obj, Refusal):
        return obj
    # parse() wants the two fields a rumor may lack.
    shape = parse({**obj, "id": obj.get("id", "0" * 64), "sig": "0" * 128})
    if isinstance(shape, Refusal):
        return shape
    rumor_id = event_id(shape.pubkey, shape.created_at, shape.kind, shape.tags, shape.content)
    if obj.get("id", rumor_id) != rumor_id:
        return Refusal(Reason.WRONG_ID)
    return Rumor(rumor_id, shape.pubkey, shape.created_at, shape.kind, shape.tags, shape.content)


def open_wrap(envelope: Envelope, wrap: VerifiedEvent) -> VerifiedEvent | Refusal:
    """Open a gift wrap addressed to us; returns its seal, id and signature checked.

    Refuses with BAD_SHAPE an event that is not a wrap or holds no seal, and with UNDECRYPTABLE a wrap for somebody
    else. Otherwise refuses as an event from a relay is refused: NOT_JSON, WRONG_ID, BAD_SIGNATURE.
    """
    if wrap.kind != GIFT_WRAP:
        return Refusal(Reason.BAD_SHAPE, "not a gift wrap")
    text = envelope.open_once(wrap.pubkey, wrap.content)
    if isinstance(text, Refusal):
        return text
    obj = _decoded(text)
    if isinstance(obj, Refusal):
        return obj
    seal = read_event(obj)
    if isinstance(seal, VerifiedEvent) and seal.kind != SEAL:
        return Refusal(Reason.BAD_SHAPE, "a gift wrap without a seal")
    return seal


def open_seal(envelope: Envelope, seal: VerifiedEvent) -> tuple[Opening, Rumor] | Refusal:
    """Return what a seal addressed to us opens to: its text as written, and the rumor in it.

    Refuses with BAD_SHAPE an event that is not a seal, and with UNDECRYPTABLE a content that was not sealed for us by
    NIP-44. Refuses as read_rumor() does, and with SEAL_MISMATCH a rumor that claims another author than the seal's.
    """
    if seal.kind != SEAL:
        return Refusal(Reason.BAD_SHAPE, "not a seal")
    if scheme_of(seal.content) is not Scheme.NIP44:
        return Refusal(Reason.UNDECRYPTABLE)
    opened = envelope.open_from(seal.pubkey, seal.content)
    if isinstance(opened, Refusal):
        return opened
    rumor = read_rumor(opened.text)
    if isinstance(rumor, Refusal):
        return rumor
    if rumor.pubkey != seal.pubkey:
        return Refusal(Reason.SEAL_MISMATCH)
    return opened, rumor


def text_bytes(text: str) -> int:
    """Return how much of WRAPPED_TEXT_MAX_BYTES a text takes: its UTF-8 as a JSON string, without the quotes.

    A quote, a backslash or a newline counts two, most other control characters six. Raises SealingError for a lone
    surrogate.
    """
    try:
        return len(orjson.dumps(text)) - len('""')
    except TypeError:
        raise SealingError("text has a lone surrogate") from None


def make_wrap(
    keys: Keys, envelope: Envelope, *, to: str, text: str, at: int, name: bytes, in_reply_to: str | None = None
) -> VerifiedEvent:
    """Make a chat message that only `to` (64 hex digits) can read: the wrap to publish. Same arguments, same wrap.

    `envelope` is the one of `keys`. `at` is the message's date in unix seconds, later than two days after 1970; seal
    and wrap are dated up to BACKDATED_MAX_S before it. `name` names the message (an effect id), `in_reply_to` the rumor
    it answers. Raises SealingError if text_bytes(text) is above WRAPPED_TEXT_MAX_BYTES, KeyTextError for a pubkey off
    the curve.
    """
    if text_bytes(text) > WRAPPED_TEXT_MAX_BYTES:
        raise SealingError(f"text of {text_bytes(text)} bytes, as JSON, is longer than {WRAPPED_TEXT_MAX_BYTES}")
    tags = [["p", to]] if in_reply_to is None else [["p", to], ["e", in_reply_to]]
    rumor_id = event_id(keys.pubkey, at, CHAT_MESSAGE, tags, text)
    rumor = {
        "id": rumor_id,
        "pubkey": keys.pubkey,
        "created_at": at,
        "kind": CHAT_MESSAGE,
        "tags": tags,
        "content": text,
    }
    sealed = envelope.seal_to(to, orjson.dumps(rumor).decode(), Scheme.NIP44, name)
    # The rumor's id stands for all that is in it: recipient, text, date, what it answers.
    seed = hmac.digest(keys.derive(WRAP_PURPOSE), bytes.fromhex(rumor_id) + name, "sha256")
    seal = sign_event(keys, kind=SEAL, tags=[], content=sealed, created_at=at - _age_s(seed, b"seal"))
    throwaway = _keys_from(_derived(seed, b"key"))
    wrapped = Envelope(throwaway).seal_to(to, orjson.dumps(seal.plain()).decode(), Scheme.NIP44, name)
    return sign_event(
        throwaway, kind=GIFT_WRAP, tags=[["p", to]], content=wrapped, created_at=at - _age_s(seed, b"wrap")
    )


def _age_s(seed: bytes, layer: bytes) -> int:
    return int.from_bytes(_derived(seed, layer), "big") % (BACKDATED_MAX_S + 1)


def _derived(seed: bytes, purpose: bytes) -> bytes:
    return hmac.digest(seed, purpose, "sha256")


def _keys_from(secret: bytes) -> Keys:
    """Return keys from a derived secret, or from the next one if it is not a scalar of the curve (one in 2^127)."""
    while True:
        try:
            return Keys.from_secret(secret)
        except KeyTextError:
            secret = _derived(secret, b"key")


def _decoded(text: str) -> dict[str, Any] | Refusal:
    """Decode a JSON object in a text that was inside a seal or a wrap, where NIP-44 allows TEXT_MAX_BYTES."""
    if len(text) > TEXT_MAX_BYTES:  # a text has at least as many bytes as characters
        return Refusal(Reason.BAD_SHAPE, "too long")
    try:
        raw = text.encode()
        obj = orjson.loads(raw)
    except ValueError:  # both UnicodeEncodeError and JSONDecodeError
        return Refusal(Reason.NOT_JSON)
    if len(raw) > TEXT_MAX_BYTES:
        return Refusal(Reason.BAD_SHAPE, "too long")
    if type(obj) is not dict:
        return Refusal(Reason.BAD_SHAPE, "event is not an object")
    if has_duplicate_keys(raw, obj):
        return Refusal(Reason.BAD_SHAPE, "duplicate keys or too deep")
    return obj
