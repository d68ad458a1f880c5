"""Succession: a bot's key handed on to another, so that nobody can do it alone.

What lives here: the three signatures a rotation takes, as events, and reading them back. What does not: who makes them
and where they are kept (runtime/rotation.py), what a book makes of one (core/engine.py). docs/protocol.md section 7;
faults.md row 47.

Each event holds the previous event as its content. The new key accepts: nobody can be named who does not have that key.
The old key names it: a thief of the platform's key does not have the bot's. The platform countersigns: a thief of the
bot's key does not have the platform's. All three are of kind 78 and of one subject.
"""

from dataclasses import dataclass

import orjson

from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, read_event, sign_event
from nostrbot.nostr.keys import Keys
from nostrbot.refusals import Reason, Refusal

SUBJECT = "nostrbot-succession:"  # and the old key, in the `d` tag
CONTENT_CHARS_MAX = 8_192  # of the outermost; a true one has two thousand


@dataclass(frozen=True, slots=True)
class Statement:
    """The old key named the new one, which accepted (hex keys)."""

    old: str
    new: str
    event: VerifiedEvent


@dataclass(frozen=True, slots=True)
class Succession:
    """A statement that the platform countersigned: `event` is the platform's."""

    old: str
    new: str
    statement: VerifiedEvent
    event: VerifiedEvent


def make_statement(old: Keys, new: Keys, at: int) -> VerifiedEvent:
    """Make the bot's statement, signed with its old key and dated `at` (unix seconds)."""
    accepted = _sign(new, [old.pubkey, new.pubkey], "", at)
    return _sign(old, [old.pubkey, new.pubkey], _text_of(accepted), at)


def countersign(platform: Keys, statement: Statement, at: int) -> VerifiedEvent:
    """Countersign a statement with the platform's key, dated `at` (unix seconds)."""
    return _sign(platform, [statement.old, statement.new], _text_of(statement.event), at)


def _sign(keys: Keys, named: list[str], content: str, at: int) -> VerifiedEvent:
    tags = [["d", SUBJECT + named[0]], *(["p", pubkey] for pubkey in named)]
    return sign_event(keys, kind=kinds.APP_DATA, tags=tags, content=content, created_at=at)


def _text_of(event: VerifiedEvent) -> str:
    return orjson.dumps(event.plain()).decode()


def read_statement(event: VerifiedEvent) -> Statement | Refusal:
    """Read a bot's statement, if the key it names accepted."""
    named = _named_in(event)
    if named is None or event.pubkey != named[0]:
        return _no_succession("the old key has not named the new one")
    accepted = _event_in(event)
    if isinstance(accepted, Refusal):
        return accepted
    if _named_in(accepted) != named or accepted.pubkey != named[1] or accepted.content:
        return _no_succession("the new key has not accepted")
    return Statement(*named, event)


def read_succession(event: VerifiedEvent, platform: str) -> Succession | Refusal:
    """Read a succession, if all three signed it. `platform`: its key (hex)."""
    if event.pubkey != platform:
        return _no_succession("the platform has not countersigned it")
    inner = _event_in(event)
    if isinstance(inner, Refusal):
        return inner
    statement = read_statement(inner)
    if isinstance(statement, Refusal):
        return statement
    if _named_in(event) != (statement.old, statement.new):
        return _no_succession("the platform names other keys than the bot")
    return Succession(statement.old, statement.new, inner, event)


def _named_in(event: VerifiedEvent) -> tuple[str, str] | None:
    """Return the old and the new key that an event of this subject names; None if it names none."""
    match event.tags:
        case (("d", subject), ("p", old), ("p", new)) if event.kind == kinds.APP_DATA:
            return (old, new) if subject == SUBJECT + old and old != new else None
    return None


def _event_in(event: VerifiedEvent) -> VerifiedEvent | Refusal:
    """Return the event in the content of another."""
    if len(event.content) > CONTENT_CHARS_MAX:
        return _no_succession("it is too long")
    try:
        held = orjson.loads(event.content)
    except orjson.JSONDecodeError:
        return _no_succession("it holds no event")
    return read_event(held)


def _no_succession(why: str) -> Refusal:
    return Refusal(Reason.INVALID, f"this is not a succession: {why}")
