"""Keys: what people may write, and that a secret never shows (fault row 90)."""

import copy
import dataclasses
import pickle
import re
import traceback
from collections.abc import Callable
from typing import Any

import coincurve
import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynostr import bech32
from pynostr.key import PrivateKey

from nostrbot.errors import KeyTextError
from nostrbot.nostr.keys import Keys, npub, read_pubkey, read_secret

# The examples of NIP-19.
NPUB = "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg"
PUBKEY = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
NSEC = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
SECRET = "67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa"
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

scalars = st.integers(1, N - 1).map(lambda number: number.to_bytes(32, "big"))


def bech32_text(prefix: str, raw: bytes, encoding: bech32.Encoding = bech32.Encoding.BECH32) -> str:
    return bech32.bech32_encode(prefix, bech32.convertbits(raw, 8, 5), encoding)


# --- reading and writing


def test_the_examples_of_nip_19() -> None:
    keys = read_secret(NSEC)
    assert (keys.pubkey, keys.npub, keys.nsec()) == (PUBKEY, NPUB, NSEC)
    assert keys == read_secret(SECRET) == Keys.from_secret(SECRET) == Keys.from_secret(bytes.fromhex(SECRET))
    assert npub(PUBKEY) == NPUB


@pytest.mark.parametrize("text", [NPUB, NPUB.upper(), PUBKEY, PUBKEY.upper(), f" {NPUB}\r\n", f"\t{PUBKEY} "])
def test_a_public_key_may_be_npub_or_hex_of_either_case(text: str) -> None:
    assert read_pubkey(text) == PUBKEY


@settings(max_examples=50, deadline=None)
@given(secret=scalars)
def test_keys_agree_with_pynostr_and_nostr_sdk(secret: bytes) -> None:
    keys, theirs, sdk = Keys.from_secret(secret), PrivateKey(secret), nostr_sdk.Keys.parse(secret.hex())
    assert keys.pubkey == theirs.public_key.hex() == sdk.public_key().to_hex()
    assert keys.npub == theirs.public_key.npub == sdk.public_key().to_bech32()
    assert keys.nsec() == theirs.nsec == sdk.secret_key().to_bech32()
    assert read_secret(keys.nsec()) == keys
    assert read_pubkey(keys.npub) == keys.pubkey


NOT_PUBKEYS = {
    "empty": "",
    "an nsec": NSEC,
    "bad checksum": NPUB[:-1] + "q",
    "mixed case": NPUB[:10] + NPUB[10:].upper(),
    "another prefix": bech32_text("note", bytes.fromhex(PUBKEY)),
    "bech32m": bech32_text("npub", bytes.fromhex(PUBKEY), bech32.Encoding.BECH32M),
    "31 bytes": bech32_text("npub", bytes.fromhex(PUBKEY)[:-1]),
    "63 digits": PUBKEY[:-1],
    "65 digits": PUBKEY + "0",
    "blank inside": PUBKEY[:31] + "  " + PUBKEY[33:],
    "other digits": "٧" * 64,
    "off the curve": f"{5:064x}",
    "npub off the curve": bech32_text("npub", (5).to_bytes(32, "big")),
    "past the field": "f" * 64,
    "a megabyte": "npub1" + "q" * 1_000_000,
}


@pytest.mark.parametrize("case", NOT_PUBKEYS)
def test_what_is_no_public_key_is_refused_without_repeating_it(case: str) -> None:
    text = NOT_PUBKEYS[case]
    with pytest.raises(KeyTextError) as caught:
        read_pubkey(text)
    assert not text or text not in str(caught.value)


NOT_SECRETS = {
    "empty": "",
    "an npub": NPUB,
    "bad checksum": NSEC[:-1] + "q",
    "zero": "0" * 64,
    "the order": f"{N:064x}",
    "nsec of zero": bech32_text("nsec", bytes(32)),
    "63 digits": SECRET[:-1],
    "31 bytes": bech32_text("nsec", bytes.fromhex(SECRET)[:-1]),
    "with a word": f"key {SECRET}",
}


@pytest.mark.parametrize("case", NOT_SECRETS)
def test_what_is_no_secret_key_is_refused_without_repeating_it(case: str) -> None:
    """The whole traceback is searched: no cause or context may quote the text either."""
    text = NOT_SECRETS[case]
    with pytest.raises(KeyTextError) as caught:
        read_secret(text)
    shown = "".join(traceback.format_exception_only(caught.value)) + repr(caught.value.__cause__)
    assert not text or text not in shown
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "secret", [b"", b"\1" * 31, b"\1" * 33, bytes(32), b"\xff" * 32, "zz" * 32, "01" * 31, "01 " * 32]
)
def test_a_secret_is_32_bytes_within_the_order(secret: bytes | str) -> None:
    with pytest.raises(KeyTextError):
        Keys.from_secret(secret)


# --- what a secret does


def test_a_signature_is_deterministic_and_verifies() -> None:
    keys, digest = read_secret(NSEC), bytes(range(32))
    sig = keys.sign(digest)
    assert sig == keys.sign(digest)
    assert coincurve.PublicKeyXOnly(bytes.fromhex(keys.pubkey)).verify(bytes.fromhex(sig), digest)


@settings(max_examples=30, deadline=None)
@given(one=scalars, other=scalars)
def test_both_sides_share_the_same_x(one: bytes, other: bytes) -> None:
    """Unhashed, as NIP-04 and NIP-44 want it; checked against plain point multiplication."""
    mine, yours = Keys.from_secret(one), Keys.from_secret(other)
    shared = mine.shared_x(yours.pubkey)
    assert shared == yours.shared_x(mine.pubkey)
    assert shared == coincurve.PublicKey(b"\2" + bytes.fromhex(yours.pubkey)).multiply(one).format()[1:]


def test_nothing_is_shared_with_a_point_off_the_curve() -> None:
    with pytest.raises(KeyTextError):
        read_secret(NSEC).shared_x(f"{5:064x}")


def test_derived_keys_differ_by_purpose_and_by_secret() -> None:
    one, other = Keys.from_secret(b"\1" * 32), Keys.from_secret(b"\2" * 32)
    derived = [one.derive(b"a"), one.derive(b"b"), other.derive(b"a")]
    assert len(set(derived)) == 3
    assert one.derive(b"a") == derived[0]
    assert {len(key) for key in derived} == {32}


# --- a secret never shows


@dataclasses.dataclass
class Holder:
    """Any value that has keys among its fields."""

    keys: Keys


SHOWN: dict[str, Callable[[Keys], Any]] = {
    "repr": repr,
    "str": str,
    "f-string": lambda keys: f"{keys} {keys!r} {keys!s}",
    "percent": lambda keys: "%s %r" % (keys, keys),  # noqa: UP031 - what logging does
    "inside a list": lambda keys: repr([keys, {"keys": keys}]),
    "inside a dataclass": lambda keys: repr(Holder(keys)),
    "exception": lambda keys: str(ValueError(keys)) + repr(KeyTextError(keys)),
}


@pytest.mark.parametrize("way", SHOWN)
def test_however_keys_are_shown_it_is_the_npub(way: str) -> None:
    shown = SHOWN[way](read_secret(NSEC))
    assert NPUB in shown
    assert_no_secret(shown)


SERIALIZED: dict[str, Callable[[Keys], Any]] = {
    **{f"pickle {protocol}": lambda keys, p=protocol: pickle.dumps(keys, p) for protocol in range(6)},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "asdict": lambda keys: dataclasses.asdict(Holder(keys)),
    "vars": vars,
}


@pytest.mark.parametrize("way", SERIALIZED)
def test_keys_are_neither_written_nor_copied(way: str) -> None:
    with pytest.raises(TypeError) as caught:
        SERIALIZED[way](read_secret(NSEC))
    assert_no_secret(str(caught.value))


def test_misuse_does_not_show_the_secret() -> None:
    keys = read_secret(NSEC)
    for misuse in (lambda: keys.sign(b"short"), lambda: keys.shared_x(SECRET[:-1]), lambda: keys.shared_x(NSEC)):
        with pytest.raises((ValueError, KeyTextError)) as caught:
            misuse()
        assert_no_secret("".join(traceback.format_exception_only(caught.value)))


def assert_no_secret(shown: str) -> None:
    raw = bytes.fromhex(SECRET)
    for form in (SECRET, NSEC[5:], repr(raw)[2:-1], str(int(SECRET, 16)), str(list(raw))):
        assert not re.search(re.escape(form), shown, re.IGNORECASE), "the secret shows"
