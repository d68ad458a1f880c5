"""Kinds of events the bot reads or writes, one a line with the document that rules it.

What lives here: numbers and the ranges they fall in. What an event of a kind means is decided in core/.
https://github.com/nostr-protocol/nips/blob/master/01.md
"""

from typing import Final

DIRECT_MESSAGE: Final = 4  # NIP-04
SETTLEMENT: Final = 21_000  # docs/protocol.md section 3.1: settlements, and their acks
RELAY_AUTH: Final = 22_242  # NIP-42

KIND_MAX: Final = 65_535  # NIP-01: a kind is an unsigned 16-bit integer
EPHEMERAL_KINDS: Final = range(20_000, 30_000)  # NIP-01


def is_ephemeral(kind: int) -> bool:
    """Whether relays pass events of this kind on without storing them."""
    return kind in EPHEMERAL_KINDS
