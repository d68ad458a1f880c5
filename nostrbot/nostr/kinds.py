"""Kinds of events the bot reads or writes, one a line with the document that rules it.

What lives here: numbers and the ranges they fall in. What does not: what an event of a kind means (core/).
https://github.com/nostr-protocol/nips/blob/master/01.md
"""

from typing import Final

PROFILE: Final = 0  # NIP-01
DIRECT_MESSAGE: Final = 4  # NIP-04
SEAL: Final = 13  # NIP-59
CHAT_MESSAGE: Final = 14  # NIP-17: never signed, only ever inside a seal
APP_DATA: Final = 78  # NIP-78, docs/protocol.md section 7: checkpoints
GIFT_WRAP: Final = 1_059  # NIP-59
RELAY_LIST: Final = 10_002  # NIP-65
DM_RELAY_LIST: Final = 10_050  # NIP-17
SETTLEMENT: Final = 21_000  # docs/protocol.md section 3.1: settlements, and their acks
RELAY_AUTH: Final = 22_242  # NIP-42
MACHINE_STATE: Final = 30_078  # docs/protocol.md sections 3.2 beacons, 3.4 cassettes, 4 cassettes and fees to machines
TELEMETRY: Final = 30_079  # docs/protocol.md section 3.3

KIND_MAX: Final = 65_535  # NIP-01: a kind is an unsigned 16-bit integer
EPHEMERAL_KINDS: Final = range(20_000, 30_000)  # NIP-01


def is_ephemeral(kind: int) -> bool:
    """Whether relays pass events of this kind on without storing them."""
    return kind in EPHEMERAL_KINDS
