"""Sealing: what is written to one reader only, by NIP-04 or NIP-44 v2, behind one face: seal_to() and open_from().

What lives here: both ciphers, telling them apart by shape, and deriving their nonces. What does not: who may write to
the bot (core/), gift wraps, and trust: NIP-04 does not authenticate, so content is only ever opened after
the event around it was verified, and that it opens proves nothing.

The ciphers are built on the primitives of `cryptography` rather than taken from pynostr or nostr-sdk, because those
draw their nonces at random and redo the key agreement for each message. Here a nonce is derived from the message
(synthetic, as in RFC 5297): a message made again after a crash has the same bytes and the same event id. The shared
secret of a peer is computed once. The official vectors and both libraries are the tests.
https://github.com/nostr-protocol/nips/blob/master/04.md https://github.com/nostr-protocol/nips/blob/master/44.md
"""

import hmac
import re
from base64 import b64decode, b64encode
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple, NoReturn, Self

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from nostrbot.errors import KeyTextError, SealingError
from nostrbot.nostr.keys import Keys
from nostrbot.refusals import Reason, Refusal

# NIP-44 v2 writes the length in two bytes. Its later extension for longer texts contradicts the checksummed vectors.
TEXT_MAX_BYTES: Final = 65_535
# NIP-44: the payload of the longest text; the longest NIP-04 content (87,412 characters) is a little shorter.
CONTENT_MAX_CHARS: Final = 87_472
NIP44_CONTENT_MIN_CHARS: Final = 132
NIP44_VERSION: Final = b"\x02"
NIP44_SALT: Final = b"nip44-v2"
NIP44_PAD_MIN_BYTES: Final = 32
NIP44_KEYS_BYTES: Final = 32 + 12 + 32  # of one message: cipher key, cipher nonce, MAC key
IV_BYTES: Final = 16
NONCE_BYTES: Final = 32
MAC_BYTES: Final = 32
IV_MARK: Final = "?iv="
# Every peer we talk to within a day or so; one agreement costs 60 us, one entry some 300 bytes.
PEERS_CACHED_MAX: Final = 16_384
NONCE_PURPOSE: Final = b"nostrbot/sealing-nonce/1"

_is_message_keys: Final = re.compile(f"[0-9a-f]{{{2 * NIP44_KEYS_BYTES}}}").fullmatch


class Scheme(StrEnum):
    """The scheme of a content."""

    PLAIN = "plain"
    NIP04 = "nip04"
    NIP44 = "nip44"
    NIP17 = "nip17"  # NIP-44, twice, in a gift wrap: giftwrap.py


class MessageKeys(NamedTuple):
    """The three keys NIP-44 derives for one message. They open that message and no other."""

    chacha_key: bytes
    chacha_nonce: bytes
    hmac_key: bytes

    @classmethod
    def from_bytes(cls, stream: bytes) -> Self:
        """Read the keys in the 76 bytes that HKDF-expand gives."""
        return cls(stream[:32], stream[32:44], stream[44:])

    def hex(self) -> str:
        """Return the same 76 bytes as 152 hex digits: how a journal keeps them."""
        return b"".join(self).hex()


class Opening(NamedTuple):
    """An opened content: its text, its scheme, and the message's own keys if it was NIP-44."""

    text: str
    scheme: Scheme
    keys: MessageKeys | None = None


class Envelope:
    """One pair of keys that seals and opens; it remembers the shared secrets of the last PEERS_CACHED_MAX peers."""

    __slots__ = ("_conversation_key", "_nonce_key", "_shared_x")

    def __init__(self, keys: Keys) -> None:
        self._nonce_key = keys.derive(NONCE_PURPOSE)
        self._shared_x = lru_cache(maxsize=PEERS_CACHED_MAX)(keys.shared_x)
        self._conversation_key = lru_cache(maxsize=PEERS_CACHED_MAX)(self._new_conversation_key)

    def seal_to(self, pubkey: str, text: str, scheme: Scheme, nonce_seed: bytes) -> str:
        """Seal a text so that only `pubkey` (64 hex digits) can read it; Scheme.PLAIN returns the text itself.

        `nonce_seed` names the message (an effect id): the same arguments give the same content. Raises SealingError for
        a text that is empty or longer than TEXT_MAX_BYTES, KeyTextError for a pubkey off the curve.
        """
        match scheme:
            case Scheme.PLAIN:
                return text
            case Scheme.NIP04:
                iv = self._nonce(scheme, pubkey, text, nonce_seed)[:IV_BYTES]
                return nip04_encrypt(self._shared_x(pubkey), text, iv)
            case Scheme.NIP44:
                nonce = self._nonce(scheme, pubkey, text, nonce_seed)
                return encrypt(self._conversation_key(pubkey), text, nonce)
            case Scheme.NIP17:
                raise SealingError("nip-17: a gift wrap is made whole, by giftwrap.make_wrap()")

    def open_from(self, pubkey: str, content: str) -> Opening | Refusal:
        """Open a content that `pubkey` (64 hex digits) wrote: its text and scheme; plain content is its own text.

        Whatever is wrong with it, the answer is the same bare UNDECRYPTABLE: a stranger learns nothing from us.
        """
        scheme = scheme_of(content)
        try:
            match scheme:
                case Scheme.PLAIN:
                    return Opening(content, scheme)
                case Scheme.NIP04:
                    return Opening(nip04_decrypt(self._shared_x(pubkey), content), scheme)
                case _:
                    text, keys = open_keyed(self._conversation_key(pubkey), content)
                    return Opening(text, scheme, keys)
        except (SealingError, KeyTextError):
            return Refusal(Reason.UNDECRYPTABLE)

    def open_once(self, pubkey: str, content: str) -> str | Refusal:
        """Open NIP-44 content from a key that was made to be used once; its shared secret is not remembered.

        With every gift wrap remembered, a day of them would push the peers out.
        """
        try:
            return decrypt(conversation_key(self._shared_x.__wrapped__(pubkey)), content)
        except (SealingError, KeyTextError):
            return Refusal(Reason.UNDECRYPTABLE)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("an envelope holds secrets: it is neither pickled nor copied")

    def _new_conversation_key(self, pubkey: str) -> bytes:
        return conversation_key(self._shared_x(pubkey))

    def _nonce(self, scheme: Scheme, pubkey: str, text: str, nonce_seed: bytes) -> bytes:
        # Every part but the last has its length in front or a fixed one: no two messages run together to one input.
        # With the text inside, a nonce is used again only for the very same message, which gives nothing away.
        parts = [scheme.encode(), nonce_seed, bytes.fromhex(pubkey)]
        framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._nonce_key, framed + _utf8(text), "sha256")


def scheme_of(content: str) -> Scheme:
    """Return the scheme of a content, by shape alone. Base64 has no brace, so JSON that mentions "?iv=" is still
    plain.
    """
    if content.lstrip(" \t\r\n").startswith("{"):
        return Scheme.PLAIN
    return Scheme.NIP04 if IV_MARK in content else Scheme.NIP44


def nip04_encrypt(shared_x: bytes, text: str, iv: bytes) -> str:
    """Seal a text by AES-256-CBC; `iv` is 16 bytes, to be used once. Raises SealingError if the text is too long."""
    padder = PKCS7(AES256.block_size).padder()
    padded = padder.update(_utf8(text)) + padder.finalize()
    encryptor = Cipher(AES256(shared_x), CBC(iv)).encryptor()
    return _base64(encryptor.update(padded) + encryptor.finalize()) + IV_MARK + _base64(iv)


def nip04_decrypt(shared_x: bytes, content: str) -> str:
    """Open what nip04_encrypt() made. Raises SealingError with one text whatever is wrong: no padding oracle here."""
    try:
        if len(content) > CONTENT_MAX_CHARS:
            raise ValueError("too long")
        body, iv = content.split(IV_MARK)
        decryptor = Cipher(AES256(shared_x), CBC(_from_base64(iv))).decryptor()
        padded = decryptor.update(_from_base64(body)) + decryptor.finalize()
        unpadder = PKCS7(AES256.block_size).unpadder()
        return (unpadder.update(padded) + unpadder.finalize()).decode()
    except ValueError:
        raise SealingError("nip-04: content cannot be opened") from None


def conversation_key(shared_x: bytes) -> bytes:
    """Return the 32-byte key two parties share for all their NIP-44 messages (HKDF-extract)."""
    return hmac.digest(NIP44_SALT, shared_x, "sha256")


def message_keys(conversation_key: bytes, nonce: bytes) -> MessageKeys:
    """Return the keys of one message (HKDF-expand to 76 bytes, info = the 32-byte nonce)."""
    first = hmac.digest(conversation_key, nonce + b"\x01", "sha256")
    second = hmac.digest(conversation_key, first + nonce + b"\x02", "sha256")
    third = hmac.digest(conversation_key, second + nonce + b"\x03", "sha256")
    return MessageKeys.from_bytes((first + second + third)[:NIP44_KEYS_BYTES])


def read_message_keys(text: str) -> MessageKeys:
    """Read the keys that MessageKeys.hex() wrote. Raises SealingError unless they are 152 hex digits in lower case."""
    if not _is_message_keys(text):
        raise SealingError("nip-44: keys of a message are 152 hex digits in lower case")
    return MessageKeys.from_bytes(bytes.fromhex(text))


def padded_length(text_bytes: int) -> int:
    """Return how many bytes NIP-44 pads a text to, to hide its length: 32, then steps of an eighth or more."""
    if text_bytes <= NIP44_PAD_MIN_BYTES:
        return NIP44_PAD_MIN_BYTES
    next_power = 1 << (text_bytes - 1).bit_length()
    step = max(NIP44_PAD_MIN_BYTES, next_power // 8)
    return step * ((text_bytes - 1) // step + 1)


def encrypt(conversation_key: bytes, text: str, nonce: bytes) -> str:
    """Seal a text by NIP-44 v2; `nonce` is 32 bytes, to be used once. Raises SealingError unless 1..TEXT_MAX_BYTES."""
    raw = _utf8(text)
    if not raw:
        raise SealingError("nip-44: an empty text cannot be sealed")
    keys = message_keys(conversation_key, nonce)
    padded = len(raw).to_bytes(2, "big") + raw.ljust(padded_length(len(raw)), b"\x00")
    ciphertext = _chacha20(keys, padded)
    mac = hmac.digest(keys.hmac_key, nonce + ciphertext, "sha256")
    return _base64(NIP44_VERSION + nonce + ciphertext + mac)


def decrypt(conversation_key: bytes, payload: str) -> str:
    """Open what encrypt() made. Raises SealingError with one text whatever is wrong."""
    return open_keyed(conversation_key, payload)[0]


def open_keyed(conversation_key: bytes, payload: str) -> tuple[str, MessageKeys]:
    """Open a payload and derive this one message's keys, once. Raises SealingError as decrypt() does."""
    try:
        parts = _parts_of(payload)
        keys = message_keys(conversation_key, parts.nonce)
        return _opened(keys, parts), keys
    except ValueError:
        raise SealingError(_SHUT) from None


def open_with(keys: MessageKeys, payload: str) -> str:
    """Open a payload by its own keys alone, as somebody can who has no other secret.

    The MAC must be right under the MAC key, and what the cipher key makes of the rest well formed. NIP-44 does not bind
    the one key to the other: docs/audit.md says what that is worth. Raises SealingError as decrypt() does.
    """
    try:
        return _opened(keys, _parts_of(payload))
    except ValueError:
        raise SealingError(_SHUT) from None


_SHUT: Final = "nip-44: content cannot be opened"


class _Parts(NamedTuple):
    nonce: bytes
    ciphertext: bytes
    mac: bytes


def _parts_of(payload: str) -> _Parts:
    if not NIP44_CONTENT_MIN_CHARS <= len(payload) <= CONTENT_MAX_CHARS:
        raise ValueError("payload size")
    raw = _from_base64(payload)
    if raw[:1] != NIP44_VERSION:
        raise ValueError("version")
    return _Parts(raw[1 : 1 + NONCE_BYTES], raw[1 + NONCE_BYTES : -MAC_BYTES], raw[-MAC_BYTES:])


def _opened(keys: MessageKeys, parts: _Parts) -> str:
    if not hmac.compare_digest(hmac.digest(keys.hmac_key, parts.nonce + parts.ciphertext, "sha256"), parts.mac):
        raise ValueError("mac")
    padded = _chacha20(keys, parts.ciphertext)
    text_bytes = int.from_bytes(padded[:2], "big")
    if not text_bytes or len(padded) != 2 + padded_length(text_bytes):
        raise ValueError("padding")
    if padded.count(b"\x00", 2 + text_bytes) != len(padded) - 2 - text_bytes:
        # Not asked of readers by NIP-44, but of writers: without it, open_with() would prove far less (docs/audit.md).
        raise ValueError("padding")
    return padded[2 : 2 + text_bytes].decode()


def _chacha20(keys: MessageKeys, data: bytes) -> bytes:
    # `cryptography` wants the block counter, which starts at 0, in front of the 12 bytes of RFC 8439.
    return Cipher(ChaCha20(keys.chacha_key, bytes(4) + keys.chacha_nonce), mode=None).encryptor().update(data)


def _utf8(text: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise SealingError("text has a lone surrogate") from None
    if len(raw) > TEXT_MAX_BYTES:
        raise SealingError(f"text of {len(raw)} bytes is longer than {TEXT_MAX_BYTES}")
    return raw


def _base64(raw: bytes) -> str:
    return b64encode(raw).decode()


def _from_base64(text: str) -> bytes:
    """Strictly: b64decode() skips and forgives, so what does not encode back to the same text is a ValueError."""
    raw = b64decode(text)
    if _base64(raw) != text:
        raise ValueError("not canonical base64")
    return raw
