"""Messages between a client and a relay, as frames of JSON (NIP-01, NIP-42).

What lives here: writing EVENT, REQ, CLOSE and AUTH; reading EVENT, OK, EOSE, CLOSED, NOTICE and AUTH. What does not:
the event inside a frame, which stays a decoded object until event.read_event() has judged it; sockets (relays/).

Reading is strict and never raises: size before parsing, then JSON without NaN, without lone surrogates, without
bottomless nesting (orjson refuses these) and without duplicate keys. The first items of a message decide: a text that
is missing is empty, and what stands behind the last item is ignored, for relays differ in it.
https://github.com/nostr-protocol/nips/blob/master/01.md https://github.com/nostr-protocol/nips/blob/master/42.md
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from nostrbot.nostr.duplicate_keys import has_duplicate_keys
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.filters import Filter
from nostrbot.refusals import Reason, Refusal

# An event as large as relays themselves take, and what stands around it (docs/protocol.md section 2); checked before
# parsing, so a huge frame costs nothing.
EVENT_MAX_BYTES: Final = 65_536
FRAME_MAX_BYTES: Final = EVENT_MAX_BYTES + 128
# NIP-01: a subscription id is a non-empty string of at most 64 characters.
SUBSCRIPTION_ID_MAX_CHARS: Final = 64
# NIP-01: the machine-readable words before the colon that we act upon. A duplicate is what we want: the relay has it.
ACCEPTED_AS: Final = "duplicate:"
LIMITED_AS: Final = "rate-limited"
AUTH_WANTED_AS: Final = "auth-required:"

_is_event_id: Final = re.compile("[0-9a-f]{64}").fullmatch


class EventMessage(NamedTuple):
    """A relay says: here is an event for your subscription. `obj` is whatever JSON object it sent."""

    subscription_id: str
    obj: dict[str, Any]


class Ok(NamedTuple):
    """A relay says whether it took our event. `message` begins with a machine-readable word and a colon."""

    event_id: str
    accepted: bool
    message: str


@dataclass(frozen=True, slots=True)
class Eose:
    """A relay says: that was everything stored; from here on it is live."""

    subscription_id: str


@dataclass(frozen=True, slots=True)
class Closed:
    """A relay ended our subscription."""

    subscription_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A relay says something to a person."""

    message: str


@dataclass(frozen=True, slots=True)
class AuthChallenge:
    """A relay wants to know who we are (NIP-42)."""

    challenge: str


Message = EventMessage | Ok | Eose | Closed | Notice | AuthChallenge


def event_message(event: VerifiedEvent) -> str:
    """Return the frame that publishes an event."""
    return orjson.dumps(["EVENT", event.plain()]).decode()


def req_message(subscription_id: str, filters: Sequence[Filter]) -> str:
    """Return the frame that opens a subscription, or replaces the one of that id."""
    return orjson.dumps(["REQ", subscription_id, *(one.plain() for one in filters)]).decode()


def close_message(subscription_id: str) -> str:
    """Return the frame that ends a subscription."""
    return orjson.dumps(["CLOSE", subscription_id]).decode()


def auth_message(event: VerifiedEvent) -> str:
    """Return the frame that answers an AuthChallenge; `event` is of kind RELAY_AUTH."""
    return orjson.dumps(["AUTH", event.plain()]).decode()


def read_message(frame: bytes | str) -> Message | Refusal:
    """Read one frame from a relay. Refuses with FRAME_TOO_LARGE, NOT_JSON or BAD_SHAPE."""
    if len(frame) > FRAME_MAX_BYTES:  # a text has at least as many bytes as characters
        return Refusal(Reason.FRAME_TOO_LARGE)
    try:
        raw = frame.encode() if isinstance(frame, str) else frame
        if len(raw) > FRAME_MAX_BYTES:
            return Refusal(Reason.FRAME_TOO_LARGE)
        items = orjson.loads(raw)
    except ValueError:  # both UnicodeEncodeError and JSONDecodeError
        return Refusal(Reason.NOT_JSON)
    message = _message(items)
    if isinstance(message, EventMessage) and has_duplicate_keys(raw, items):
        return Refusal(Reason.BAD_SHAPE, "duplicate keys or too deep")
    return message


def _message(items: object) -> Message | Refusal:
    """Read a message from its first items. Items that a relay adds at the end are ignored; a missing text is empty."""
    match items:
        case ["EVENT", str(subscription_id), dict(obj), *_] if _is_subscription_id(subscription_id):
            return EventMessage(subscription_id, obj)
        case ["OK", str(event_id), *rest] if _is_event_id(event_id.lower()):
            return Ok(event_id.lower(), _is_yes(rest[0] if rest else None), _text(rest[1:]))
        case ["OK", "", bool(), *rest]:  # some name no event when they take none
            return Notice(_text(rest))
        case ["EOSE", str(subscription_id), *_] if _is_subscription_id(subscription_id):
            return Eose(subscription_id)
        case ["CLOSED", str(subscription_id), *rest] if _is_subscription_id(subscription_id):
            return Closed(subscription_id, _text(rest))
        case ["NOTICE", *rest]:
            return Notice(_text(rest))
        case ["AUTH", str(challenge), *_]:
            return AuthChallenge(challenge)
    return Refusal(Reason.BAD_SHAPE, "not a relay message")


def _is_yes(said: object) -> bool:
    """Whether the third item of an OK says that the relay took the event: true, or a careless relay's word for it."""
    return said is True or (type(said) is int and said == 1) or (isinstance(said, str) and said.lower() == "true")


def _text(items: Sequence[object]) -> str:
    """Return the first of these items, if it is a text."""
    return items[0] if items and isinstance(items[0], str) else ""


def _is_subscription_id(text: str) -> bool:
    return 0 < len(text) <= SUBSCRIPTION_ID_MAX_CHARS
