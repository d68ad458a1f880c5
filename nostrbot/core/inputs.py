"""Inputs: everything that may change a book, as the journal keeps it.

What lives here: a signed event with its plaintext, and a tick of the clock. What does not: how it got here (relays/) and
how it was opened (nostr/sealing.py, nostr/giftwrap.py). docs/protocol.md section 7. Further observations (a payment result)
will be further kinds of input.
"""

from typing import Any, NamedTuple

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
    """

    event: VerifiedEvent
    plaintext: str
    scheme: Scheme
    keys: MessageKeys | None = None
    rumor: Rumor | None = None
    carried: bool = False
    answered: bool = True

    @property
    def id(self) -> str:
        """What can have one effect only: the event, or the message in a seal, however often it is wrapped."""
        return self.event.id if self.rumor is None else self.rumor.id

    @property
    def author(self) -> str:
        """Who signed it (hex key)."""
        return self.event.pubkey

    @property
    def text(self) -> str:
        """What was said."""
        return self.plaintext if self.rumor is None else self.rumor.content

    @property
    def created_at(self) -> int:
        """When its author says it was said; seals are dated at random, on purpose."""
        return self.event.created_at if self.rumor is None else self.rumor.created_at

    def is_to(self, pubkey: str) -> bool:
        """Whether it is addressed to this key."""
        tags = self.event.tags if self.rumor is None else self.rumor.tags
        return any(tag[:2] == ("p", pubkey) for tag in tags)

    def plain(self) -> dict[str, Any]:
        """The input as an entry keeps it; what follows from the rest is left out."""
        plain: dict[str, Any] = {"event": self.event.plain()}
        if self.scheme is not Scheme.PLAIN:
            plain["plaintext"] = self.plaintext
        if self.keys is not None:
            plain["keys"] = self.keys.hex()
        if self.carried:
            plain["carried"] = True
        if not self.answered:
            plain["answered"] = False
        return plain


class Tick(NamedTuple):
    """The bot looked at its clock, unix seconds `at`, and something was due."""

    at: int

    @property
    def id(self) -> None:
        """No other tick is the same: what was done is in the book."""
        return None

    def plain(self) -> dict[str, Any]:
        """The input as an entry keeps it."""
        return {"tick": self.at}


Input = Signed | Tick


def open_signed(
    event: VerifiedEvent,
    plaintext: str,
    keys: MessageKeys | None = None,
    *,
    carried: bool = False,
    answered: bool = True,
) -> Signed | Refusal:
    """A signed input from a verified event and what its content was opened to; a seal must hold a rumor of its author's."""
    if event.kind != kinds.SEAL:
        return Signed(event, plaintext, scheme_of(event.content), keys, None, carried, answered)
    rumor = read_rumor(plaintext)
    if isinstance(rumor, Refusal):
        return rumor
    if rumor.pubkey != event.pubkey:
        return Refusal(Reason.SEAL_MISMATCH)
    return Signed(event, plaintext, Scheme.NIP17, keys, rumor, carried, answered)


def reopen(event: VerifiedEvent, kept: dict[str, Any]) -> Signed | Refusal:
    """A signed input from a verified event and the rest of what a journal keeps of it, as plain() gave it.

    Raises SealingError for keys that are none.
    """
    keys = kept.get("keys")
    return open_signed(
        event,
        kept.get("plaintext", event.content),
        None if keys is None else read_message_keys(keys),
        carried=kept.get("carried", False),
        answered=kept.get("answered", True),
    )


def effect_id(plain_input: dict[str, Any]) -> str | None:
    """The id by which a journal's input has its one effect; a tick has none."""
    event = plain_input.get("event")
    if event is None:
        return None
    if event["kind"] != kinds.SEAL:
        found: str = event["id"]
        return found
    rumor = read_rumor(plain_input["plaintext"])
    assert not isinstance(rumor, Refusal), "only what could be read was sealed"
    return rumor.id
