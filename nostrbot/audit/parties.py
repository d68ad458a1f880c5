"""Parties: people who hold a key and open with it what was said to or by them.

What lives here: comparing a plaintext in a trail with what a party's own key opens. What does not: key files
(home/keyfile.py). NIP-04 has no keys of one message that could be shown to an auditor: only the two parties can tell
what was said.
"""

from collections.abc import Iterable

from nostrbot.core.book import Book
from nostrbot.core.inputs import Signed
from nostrbot.errors import TrailError
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope
from nostrbot.refusals import Refusal


class Parties:
    """The people who gave a key. Nothing here shows a key."""

    def __init__(self, keys: Iterable[Keys]) -> None:
        self._envelopes = {one.pubkey: Envelope(one) for one in keys}

    def check(self, given: Signed, book: Book, seq: int) -> bool:
        """Open the encrypted input of entry `seq`, the next of a book, by a party's key; False if none gave one.

        Raises TrailError if it says something else than the trail does.
        """
        # An event without a named reader, such as a statement of cassettes, is addressed to the bot of its time.
        bot = next((key for key in (book.bot, *book.former_bots) if given.is_to(key)), book.bot)
        for own, other in ((given.author, bot), (bot, given.author)):
            envelope = self._envelopes.get(own)
            if envelope is not None:
                opened = envelope.open_from(other, given.event.content)
                if isinstance(opened, Refusal):
                    raise TrailError(
                        seq, "input.plaintext", "belongs to a message that the key of a party does not open"
                    )
                if opened.text != given.plaintext:
                    raise TrailError(seq, "input.plaintext", "differs from what the parties read in the message")
                return True
        return False
