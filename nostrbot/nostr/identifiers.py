"""Identifiers: a public key as clients give it to people (NIP-19, NIP-21), and what a pasted text is instead.

What lives here: npub, nprofile, hex, `nostr:` before them and what people paste around them. What does not: keys
themselves (keys.py). Errors never repeat the pasted text: it may be a secret.
https://github.com/nostr-protocol/nips/blob/master/19.md https://github.com/nostr-protocol/nips/blob/master/21.md
"""

import re
from typing import Final

from pynostr import bech32

from nostrbot.errors import KeyTextError
from nostrbot.nostr.keys import read_pubkey

IDENTIFIER_CHARS_MAX: Final = 1_024  # an nprofile with a dozen relays is shorter
KEY_BYTES: Final = 32
PUBKEY_TYPE: Final = 0  # of the parts of an nprofile; relays are hints, and are not needed

# Characters that nobody sees: joiners, marks of direction, soft hyphens, the mark of byte order.
INVISIBLE: Final = dict.fromkeys(
    (0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
)
SECRET: Final = re.compile(r"(?:nsec|ncryptsec)1[02-9ac-hj-np-z]{20,}", re.IGNORECASE | re.ASCII)
_AROUND: Final = " \t\r\n<>()[]{}\"'`.,;:!?"
_URI: Final = re.compile(r"(?:web\+)?nostr:(?://)?", re.IGNORECASE | re.ASCII)
_OTHERS: Final = {
    "note": "a note (note1…)",
    "nevent": "an event (nevent1…)",
    "naddr": "the address of an event (naddr1…)",
    "nrelay": "a relay (nrelay1…)",
    "lnurl": "a Lightning URL (lnurl1…)",
}


def read_identifier(text: str) -> str:
    """Return the public key (hex) of an npub, an nprofile or hex, however it was pasted. Raises KeyTextError."""
    word = text.translate(INVISIBLE).strip(_AROUND)
    word = _URI.sub("", word, count=1).removeprefix("@").strip(_AROUND)
    if len(word) > IDENTIFIER_CHARS_MAX:
        raise KeyTextError("this is longer than any key")
    word = word[:1].lower() + word[1:]  # keyboards begin a sentence with a capital
    if word[1:].isupper():
        word = word.lower()
    kind, one, _ = word.partition("1")
    if SECRET.search(word):
        raise KeyTextError("this is a secret key, which nobody else may see: its npub is wanted")
    if one and kind in _OTHERS:
        raise KeyTextError(f"this is {_OTHERS[kind]} and not a key: ask for the npub")
    if "@" in word:
        raise KeyTextError("this is an address (NIP-05) and not a key: ask for the npub")
    if one and kind == "nprofile":
        return _of_profile(word)
    try:
        return read_pubkey(word)
    except KeyTextError:
        if one and kind == "npub":
            raise KeyTextError("this npub is cut off or mistyped: copy it again") from None
        if len(word) == 2 * KEY_BYTES:
            raise
        raise KeyTextError("this is neither") from None


def _of_profile(word: str) -> str:
    found, words, encoding = bech32.bech32_decode(word)
    raw = bech32.convertbits(words, 5, 8, pad=False) if encoding is bech32.Encoding.BECH32 else None
    if found != "nprofile" or raw is None:
        raise KeyTextError("this nprofile is cut off or mistyped: copy it again")
    place = 0
    while place + 2 <= len(raw):
        kind, size = raw[place], raw[place + 1]
        value = bytes(raw[place + 2 : place + 2 + size])
        if kind == PUBKEY_TYPE and len(value) == size == KEY_BYTES:
            return read_pubkey(value.hex())
        place += 2 + size
    raise KeyTextError("this nprofile has no key in it: ask for the npub")
