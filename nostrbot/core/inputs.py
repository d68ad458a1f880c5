"""Inputs: everything that may change a book, as the journal keeps it.

What lives here: a signed event with its plaintext. What does not: how it got here (relays/) and how it was opened
(nostr/sealing.py). docs/protocol.md section 7. Observations (a tick, a payment result) will be further kinds of input.
"""

from typing import Any, NamedTuple

from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.sealing import Scheme


class Signed(NamedTuple):
    """A verified event and what it said.

    Attributes:
        plaintext: the content as opened; equal to the content where it came plain.
        carried: a command decided earlier elsewhere, entered here so that this book stands alone; its age is no matter.
        answered: whether its author gets the answer from this book (a command that concerns several has one answer).
    """

    event: VerifiedEvent
    plaintext: str
    scheme: Scheme
    carried: bool = False
    answered: bool = True

    def plain(self) -> dict[str, Any]:
        """The input as an entry keeps it; what follows from the rest is left out."""
        plain: dict[str, Any] = {"event": self.event.plain()}
        if self.scheme is not Scheme.PLAIN:
            plain["plaintext"] = self.plaintext
        if self.carried:
            plain["carried"] = True
        if not self.answered:
            plain["answered"] = False
        return plain
