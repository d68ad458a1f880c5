"""The intake: what arrives, opened and read.

What lives here: section 2 of docs/protocol.md, items 7 to 9: author, age, decryption, reading. What does not: items 1
to 6 (relays/), and what is decided (runtime/bookkeeper.py, core/). Strangers are not decrypted.
"""

from collections.abc import Iterable
from typing import NamedTuple

from nostrbot.core.atm.payloads.sale import Sale, read_settlement
from nostrbot.core.atm.payloads.subject import Subject, subject_of
from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.directory import Directory, Standing
from nostrbot.core.engine import OWN_WORD
from nostrbot.core.inputs import Signed, open_signed
from nostrbot.core.parsing import parse
from nostrbot.nostr import kinds
from nostrbot.nostr.event import Tagged, VerifiedEvent, expiration
from nostrbot.nostr.giftwrap import open_seal, open_wrap
from nostrbot.nostr.sealing import Envelope, Scheme, scheme_of
from nostrbot.refusals import Reason, Refusal

OF_MACHINES = frozenset({kinds.SETTLEMENT, kinds.MACHINE_STATE, kinds.TELEMETRY})
# A seal comes in a gift wrap or not at all: a bare one would be another message than the same one in its wrap.
TAKEN = OF_MACHINES | {kinds.DIRECT_MESSAGE, kinds.GIFT_WRAP}


class Opened(NamedTuple):
    """An arrival after decryption: what it says, or what it is about, and who its author is."""

    given: Signed
    standing: Standing
    said: Sale | Refusal | Command | Misunderstood | Subject


def has_expired(said: Tagged, at: int) -> bool:
    """Whether this layer of a message stopped being valid (NIP-40). Anybody may make a fresh wrap for an expired
    seal.
    """
    expires_at = expiration(said)
    return expires_at is not None and expires_at <= at


class Intake:
    """The opener of messages to the bot `pubkey`, by its envelope. `former`: the keys that it had before."""

    def __init__(self, envelope: Envelope, pubkey: str, former: Iterable[str] = ()) -> None:
        self._envelope = envelope
        self._pubkey = pubkey
        self._own = frozenset({pubkey, *former})

    def open(self, event: VerifiedEvent, directory: Directory, at: int) -> Opened | Refusal:
        """Check author and age, decrypt and read an event."""
        if event.kind not in TAKEN:
            return Refusal(Reason.OFF_FILTER, f"kind {event.kind}")
        seal = open_wrap(self._envelope, event) if event.kind == kinds.GIFT_WRAP else None
        if isinstance(seal, Refusal):
            return seal
        author = event.pubkey if seal is None else seal.pubkey
        if author in self._own:
            return OWN_WORD
        standing = directory.standing(author)
        is_machines = event.kind in OF_MACHINES
        if not (standing.machine if is_machines else standing.roles or standing.machine):
            return Refusal(Reason.UNKNOWN_AUTHOR)
        if has_expired(event, at) or (seal is not None and has_expired(seal, at)):
            return Refusal(Reason.EXPIRED)
        if event.kind == kinds.SETTLEMENT:
            return self._open_report(event, standing)
        if is_machines:
            return self._open_state(event, standing)
        return self._open_message(event, standing) if seal is None else self._open_private(seal, standing, at)

    def _open_report(self, event: VerifiedEvent, standing: Standing) -> Opened:
        opened = self._envelope.open_from(event.pubkey, event.content)
        if isinstance(opened, Refusal):
            unread = Refusal(Reason.INVALID, "content cannot be decrypted")
            return Opened(Signed(event, "", scheme_of(event.content)), standing, unread)
        return Opened(Signed(event, *opened), standing, read_settlement(opened.text))

    def _open_state(self, event: VerifiedEvent, standing: Standing) -> Opened | Refusal:
        subject = subject_of(event)
        if isinstance(subject, Refusal):
            return subject
        opened = self._envelope.open_from(event.pubkey, event.content)
        return opened if isinstance(opened, Refusal) else Opened(Signed(event, *opened), standing, subject)

    def _open_message(self, event: VerifiedEvent, standing: Standing) -> Opened | Refusal:
        opened = self._envelope.open_from(event.pubkey, event.content)
        if isinstance(opened, Refusal):
            return opened
        if opened.scheme is Scheme.PLAIN:
            return Refusal(Reason.UNDECRYPTABLE, "a command must be encrypted")
        return Opened(Signed(event, *opened), standing, parse(opened.text))

    def _open_private(self, seal: VerifiedEvent, standing: Standing, at: int) -> Opened | Refusal:
        """Open the seal of a gift wrap, which its author signed; a wrap around it anybody may have made."""
        opened = open_seal(self._envelope, seal)
        if isinstance(opened, Refusal):
            return opened
        opening, rumor = opened
        if has_expired(rumor, at):
            return Refusal(Reason.EXPIRED)
        if rumor.kind != kinds.CHAT_MESSAGE:
            return Refusal(Reason.OFF_FILTER, f"a private message of kind {rumor.kind}")
        given = open_signed(seal, opening.text, opening.keys)
        if isinstance(given, Refusal):
            return given
        if not given.is_to(self._pubkey):
            return Refusal(Reason.OFF_FILTER, "not addressed to this bot")
        return Opened(given, standing, parse(given.text))
