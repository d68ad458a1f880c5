"""Keys: npub and nsec as people write them, hex as the protocol does (NIP-19), and what a secret can do.

What lives here: reading keys from text and the four uses of a secret: sign, share, derive, show. What does not: key
files (home/keyfile.py), encryption (sealing.py).

pynostr supplies bech32 and the elliptic-curve Diffie-Hellman; coincurve signs. pynostr's own readers are not used:
its `from_nsec` accepts an npub, and `str()` of its private key is the secret. So a `PrivateKey` of pynostr never
leaves this file, and `Keys` shows its npub whichever way it is printed.
https://github.com/nostr-protocol/nips/blob/master/19.md
"""

import hmac
import re
from typing import Final, NoReturn, Self

import coincurve
from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT
from pynostr import bech32

from nostrbot.errors import KeyTextError

# "npub" or "nsec", the separator, 52 characters of data, 6 of checksum.
BECH32_KEY_CHARS: Final = 4 + 1 + 52 + 6
# BIP-340 allows no fresh randomness; then the same event always has the same signature, and a re-made message is
# the same message.
NO_AUX_RANDOMNESS: Final = bytes(32)

_is_hex_key: Final = re.compile("[0-9a-fA-F]{64}").fullmatch


class Keys:
    """A key pair. Printing, formatting or comparing it uses the public half; the secret leaves by nsec() alone."""

    __slots__ = ("_pair", "_private", "npub", "pubkey")

    npub: str
    pubkey: str
    _private: coincurve.PrivateKey

    def __init__(self, private: coincurve.PrivateKey) -> None:
        self._private = private
        # coincurve's own sign_schnorr() makes the pair again for each signature: a quarter of its time.
        self._pair = ffi.new("secp256k1_keypair *")
        lib.secp256k1_keypair_create(GLOBAL_CONTEXT.ctx, self._pair, private.secret)
        self.pubkey = private.public_key_xonly.format().hex()
        self.npub = npub(self.pubkey)

    @classmethod
    def from_secret(cls, secret: bytes | str) -> Self:
        """Return keys from 32 bytes or 64 hex digits. Raises KeyTextError if that is no scalar of the curve."""
        try:
            raw = _hex_bytes(secret) if isinstance(secret, str) else secret
            if len(raw) != 32:  # coincurve would pad a shorter one
                raise ValueError("not 32 bytes")
            return cls(coincurve.PrivateKey(raw))
        except ValueError:  # whatever it says is dropped: it may quote the secret
            raise KeyTextError("not a secret key: 32 bytes between 1 and the order of the curve are wanted") from None

    def sign(self, digest: bytes) -> str:
        """Sign a 32-byte digest by BIP-340: 128 hex digits; the same digest gives the same signature.

        It is verified before it leaves, as BIP-340 advises: a signature spoilt by a fault could give the key away.
        """
        signature = ffi.new("unsigned char[64]")
        context, public = GLOBAL_CONTEXT.ctx, self._private.public_key_xonly.public_key
        signed = len(digest) == 32 and lib.secp256k1_schnorrsig_sign32(
            context, signature, digest, self._pair, NO_AUX_RANDOMNESS
        )
        if not signed or not lib.secp256k1_schnorrsig_verify(context, signature, digest, len(digest), public):
            raise ValueError("a 32-byte digest is signed, and this one was not")
        return bytes(ffi.buffer(signature)).hex()

    def shared_x(self, pubkey: str) -> bytes:
        """Return the 32-byte x coordinate shared with `pubkey` (unhashed ECDH), about 60 us. KeyTextError off the
        curve.
        """
        from pynostr.key import PrivateKey  # a quarter of a second to import, which most commands need not wait for

        return bytes(PrivateKey(self._private.secret).ecdh(read_pubkey(pubkey)))

    def derive(self, purpose: bytes) -> bytes:
        """Derive a 32-byte key for one purpose, which does not reveal the secret: HMAC-SHA256(secret, purpose)."""
        return hmac.digest(self._private.secret, purpose, "sha256")

    def nsec(self) -> str:
        """Return the secret as people keep it. For key files only."""
        return _bech32_text("nsec", self._private.secret)

    def __eq__(self, other: object) -> bool:
        return self.pubkey == other.pubkey if isinstance(other, Keys) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.pubkey)

    def __repr__(self) -> str:
        return f"Keys({self.npub})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        # Covers pickle, copy and dataclasses.asdict(), each of which would write the secret somewhere.
        raise TypeError("keys are neither pickled nor copied")


def npub(pubkey: str) -> str:
    """Return the npub of a public key in hex."""
    return _bech32_text("npub", bytes.fromhex(pubkey))


def read_pubkey(text: str) -> str:
    """Return the public key, 64 lower-case hex digits, from an npub or hex of either case. Raises KeyTextError.

    Surrounding blanks are allowed: people paste. The error never repeats the text, which may be a secret.
    """
    raw = _key_bytes("npub", text.strip())
    try:
        return coincurve.PublicKeyXOnly(raw).format().hex()
    except ValueError:
        raise KeyTextError("not a public key: no point of the curve has this x coordinate") from None


def read_secret(text: str) -> Keys:
    """Return keys from an nsec or 64 hex digits. Raises KeyTextError, which never repeats the text."""
    return Keys.from_secret(_key_bytes("nsec", text.strip()))


def _key_bytes(prefix: str, text: str) -> bytes:
    if _is_hex_key(text):
        return bytes.fromhex(text)
    if len(text) == BECH32_KEY_CHARS:
        found, words, encoding = bech32.bech32_decode(text)
        raw = bech32.convertbits(words, 5, 8, pad=False) if encoding is bech32.Encoding.BECH32 else None
        if found == prefix and raw is not None and len(raw) == 32:
            return bytes(raw)
    raise KeyTextError(f"not a key: an {prefix} or 64 hex digits are wanted")


def _hex_bytes(text: str) -> bytes:
    if not _is_hex_key(text):  # bytes.fromhex() alone allows blanks
        raise ValueError("not 64 hex digits")
    return bytes.fromhex(text)


def _bech32_text(prefix: str, raw: bytes) -> str:
    words = bech32.convertbits(raw, 8, 5)
    return str(bech32.bech32_encode(prefix, words, bech32.Encoding.BECH32))
