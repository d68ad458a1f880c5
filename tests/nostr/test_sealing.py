"""Sealing: the official vectors, both third-party libraries, and what is refused (fault rows 42 and 43)."""

import copy
import hmac
import json
import pickle
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import nostr_sdk
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import given, settings
from hypothesis import strategies as st
from pynostr.key import PrivateKey

from nostrbot.errors import KeyTextError, SealingError
from nostrbot.nostr.event import event_id, read_event, sign_event
from nostrbot.nostr.keys import Keys, read_pubkey
from nostrbot.nostr.sealing import (
    CONTENT_MAX_CHARS,
    TEXT_MAX_BYTES,
    Envelope,
    MessageKeys,
    Opening,
    Scheme,
    conversation_key,
    decrypt,
    encrypt,
    message_keys,
    nip04_decrypt,
    nip04_encrypt,
    open_with,
    padded_length,
    read_message_keys,
    scheme_of,
)
from nostrbot.refusals import Reason, Refusal

VECTOR_FILE = Path(__file__).parents[1] / "vectors" / "nip44.vectors.json"
VECTORS = json.loads(VECTOR_FILE.read_text())["v2"]
VALID, INVALID = VECTORS["valid"], VECTORS["invalid"]

BOT, MACHINE = Keys.from_secret(b"\1" * 32), Keys.from_secret(b"\2" * 32)
BOT_ENVELOPE, MACHINE_ENVELOPE = Envelope(BOT), Envelope(MACHINE)
SHARED_X = BOT.shared_x(MACHINE.pubkey)
IV = bytes(range(16))
REFUSED = Refusal(Reason.UNDECRYPTABLE)

BOTH = pytest.mark.parametrize("scheme", [Scheme.NIP04, Scheme.NIP44])
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)


def is_on_curve(pubkey: str) -> bool:
    try:
        return bool(read_pubkey(pubkey))
    except KeyTextError:
        return False


# --- NIP-44: the official vectors


def test_the_vectors_are_the_ones_the_document_names() -> None:
    assert (
        sha256(VECTOR_FILE.read_bytes()).hexdigest()
        == "269ed0f69e4c192512cc779e78c555090cebc7c785b609e338a62afc3ce25040"
    )


@pytest.mark.parametrize("vector", VALID["get_conversation_key"])
def test_vectors_valid_get_conversation_key(vector: dict[str, str]) -> None:
    shared_x = Keys.from_secret(vector["sec1"]).shared_x(vector["pub2"])
    assert conversation_key(shared_x).hex() == vector["conversation_key"]


@pytest.mark.parametrize("vector", VALID["get_message_keys"]["keys"])
def test_vectors_valid_get_message_keys(vector: dict[str, str]) -> None:
    keys = message_keys(bytes.fromhex(VALID["get_message_keys"]["conversation_key"]), bytes.fromhex(vector["nonce"]))
    assert keys.chacha_key.hex() == vector["chacha_key"]
    assert keys.chacha_nonce.hex() == vector["chacha_nonce"]
    assert keys.hmac_key.hex() == vector["hmac_key"]


@pytest.mark.parametrize(("length", "padded"), VALID["calc_padded_len"])
def test_vectors_valid_calc_padded_len(length: int, padded: int) -> None:
    assert padded_length(length) == padded


@pytest.mark.parametrize("vector", VALID["encrypt_decrypt"])
def test_vectors_valid_encrypt_decrypt(vector: dict[str, str]) -> None:
    one, other = Keys.from_secret(vector["sec1"]), Keys.from_secret(vector["sec2"])
    key = conversation_key(one.shared_x(other.pubkey))
    assert key == conversation_key(other.shared_x(one.pubkey)) == bytes.fromhex(vector["conversation_key"])
    assert encrypt(key, vector["plaintext"], bytes.fromhex(vector["nonce"])) == vector["payload"]
    assert decrypt(key, vector["payload"]) == vector["plaintext"]
    assert Envelope(other).open_from(one.pubkey, vector["payload"])[:2] == (vector["plaintext"], Scheme.NIP44)


@pytest.mark.parametrize("vector", VALID["encrypt_decrypt_long_msg"])
def test_vectors_valid_encrypt_decrypt_long_msg(vector: dict[str, Any]) -> None:
    key, text = bytes.fromhex(vector["conversation_key"]), vector["pattern"] * vector["repeat"]
    assert sha256(text.encode()).hexdigest() == vector["plaintext_sha256"]
    payload = encrypt(key, text, bytes.fromhex(vector["nonce"]))
    assert sha256(payload.encode()).hexdigest() == vector["payload_sha256"]
    assert decrypt(key, payload) == text


@pytest.mark.parametrize("length", INVALID["encrypt_msg_lengths"])
def test_vectors_invalid_encrypt_msg_lengths(length: int) -> None:
    """65,536 and more are invalid in the checksummed vectors, whatever the document was extended with since."""
    with pytest.raises(SealingError):
        encrypt(bytes(32), "x" * length, bytes(32))


@pytest.mark.parametrize("vector", INVALID["get_conversation_key"])
def test_vectors_invalid_get_conversation_key(vector: dict[str, str]) -> None:
    with pytest.raises(KeyTextError):
        Keys.from_secret(vector["sec1"]).shared_x(vector["pub2"])


@pytest.mark.parametrize("vector", INVALID["decrypt"])
def test_vectors_invalid_decrypt(vector: dict[str, str]) -> None:
    with pytest.raises(SealingError, match=r"^nip-44: content cannot be opened$"):
        decrypt(bytes.fromhex(vector["conversation_key"]), vector["payload"])


def test_every_group_of_the_vectors_is_used() -> None:
    """A group added to the file must not go unnoticed."""
    assert set(VALID) == {
        "get_conversation_key",
        "get_message_keys",
        "calc_padded_len",
        "encrypt_decrypt",
        "encrypt_decrypt_long_msg",
    }
    assert set(INVALID) == {"encrypt_msg_lengths", "get_conversation_key", "decrypt"}


# --- third parties


SDK_BOT, SDK_MACHINE = nostr_sdk.SecretKey.parse("01" * 32), nostr_sdk.SecretKey.parse("02" * 32)
SDK_BOT_PUBKEY, SDK_MACHINE_PUBKEY = (nostr_sdk.PublicKey.parse(keys.pubkey) for keys in (BOT, MACHINE))
PY_BOT, PY_MACHINE = PrivateKey(b"\1" * 32), PrivateKey(b"\2" * 32)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_nip04_agrees_with_nostr_sdk_both_ways(text: str) -> None:
    ours = BOT_ENVELOPE.seal_to(MACHINE.pubkey, text, Scheme.NIP04, b"seed")
    assert nostr_sdk.nip04_decrypt(SDK_MACHINE, SDK_BOT_PUBKEY, ours) == text
    theirs = nostr_sdk.nip04_encrypt(SDK_MACHINE, SDK_BOT_PUBKEY, text)
    assert BOT_ENVELOPE.open_from(MACHINE.pubkey, theirs)[:2] == (text, Scheme.NIP04)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_nip04_agrees_with_pynostr_both_ways(text: str) -> None:
    ours = BOT_ENVELOPE.seal_to(MACHINE.pubkey, text, Scheme.NIP04, b"seed")
    assert PY_MACHINE.decrypt_message(ours, BOT.pubkey) == text
    theirs = PY_MACHINE.encrypt_message(text, BOT.pubkey)
    assert BOT_ENVELOPE.open_from(MACHINE.pubkey, theirs)[:2] == (text, Scheme.NIP04)


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_nip44_agrees_with_nostr_sdk_both_ways(text: str) -> None:
    ours = BOT_ENVELOPE.seal_to(MACHINE.pubkey, text, Scheme.NIP44, b"seed")
    assert nostr_sdk.nip44_decrypt(SDK_MACHINE, SDK_BOT_PUBKEY, ours) == text
    theirs = nostr_sdk.nip44_encrypt(SDK_MACHINE, SDK_BOT_PUBKEY, text, nostr_sdk.Nip44Version.V2)
    assert BOT_ENVELOPE.open_from(MACHINE.pubkey, theirs)[:2] == (text, Scheme.NIP44)


# --- one face


@settings(deadline=None)
@given(text=TEXTS, scheme=st.sampled_from([Scheme.NIP04, Scheme.NIP44]), seed=st.binary(max_size=40))
def test_what_is_sealed_opens_for_the_reader_alone(text: str, scheme: Scheme, seed: bytes) -> None:
    content = BOT_ENVELOPE.seal_to(MACHINE.pubkey, text, scheme, seed)
    assert MACHINE_ENVELOPE.open_from(BOT.pubkey, content)[:2] == (text, scheme)
    opened = Envelope(Keys.from_secret(b"\3" * 32)).open_from(BOT.pubkey, content)
    assert isinstance(opened, Refusal) or opened[0] != text


def test_plain_content_is_its_own_text() -> None:
    text = ' {"type": "settlement", "url": "https://x/?iv=1"}'
    assert BOT_ENVELOPE.seal_to(MACHINE.pubkey, text, Scheme.PLAIN, b"seed") == text
    assert BOT_ENVELOPE.open_from(MACHINE.pubkey, text)[:2] == (text, Scheme.PLAIN)


@pytest.mark.parametrize(
    ("content", "scheme"),
    [
        ("{}", Scheme.PLAIN),
        (' \r\n\t{"a": "?iv="}', Scheme.PLAIN),
        ("abcd?iv=efgh", Scheme.NIP04),
        ("?iv=", Scheme.NIP04),
        ("AgAA", Scheme.NIP44),
        ("", Scheme.NIP44),
        ("hello", Scheme.NIP44),
    ],
)
def test_the_scheme_shows_in_the_shape(content: str, scheme: Scheme) -> None:
    assert scheme_of(content) is scheme


@BOTH
def test_a_message_made_again_is_the_same_bytes(scheme: Scheme) -> None:
    """Also by another process, whose caches are empty: then its event has the same id (row 50)."""
    first = BOT_ENVELOPE.seal_to(MACHINE.pubkey, "text", scheme, b"effect 1")
    assert first == Envelope(Keys.from_secret(b"\1" * 32)).seal_to(MACHINE.pubkey, "text", scheme, b"effect 1")


def test_no_two_messages_share_a_nonce() -> None:
    """Seed, reader, text, author and scheme each change it; parts that run together to the same bytes do too."""
    reader = Keys.from_secret(b"\3" * 32).pubkey
    messages = [
        (BOT_ENVELOPE, MACHINE.pubkey, "text", b"seed"),
        (BOT_ENVELOPE, MACHINE.pubkey, "text", b"seed2"),
        (BOT_ENVELOPE, MACHINE.pubkey, "Text", b"seed"),
        (BOT_ENVELOPE, reader, "text", b"seed"),
        (MACHINE_ENVELOPE, reader, "text", b"seed"),
        (BOT_ENVELOPE, MACHINE.pubkey, MACHINE.pubkey, b"seed"),
        (BOT_ENVELOPE, MACHINE.pubkey, "text", b"seed" + bytes.fromhex(MACHINE.pubkey)),
    ]
    nip04 = {envelope.seal_to(to, text, Scheme.NIP04, seed).split("?iv=")[1] for envelope, to, text, seed in messages}
    nip44 = {envelope.seal_to(to, text, Scheme.NIP44, seed)[:44] for envelope, to, text, seed in messages}
    assert len(nip04) == len(nip44) == len(messages)


def test_the_two_schemes_do_not_share_a_nonce() -> None:
    nip04 = BOT_ENVELOPE.seal_to(MACHINE.pubkey, "text", Scheme.NIP04, b"seed")
    nip44 = BOT_ENVELOPE.seal_to(MACHINE.pubkey, "text", Scheme.NIP44, b"seed")
    assert b64decode(nip04.split("?iv=")[1]) != b64decode(nip44)[1:17]


def test_seed_reader_and_text_do_not_run_together() -> None:
    """A reader whose key is also text: a part moved from the text to the seed is another message, another nonce."""
    letters = next(text for text in (letter * 32 for letter in "abcdef") if is_on_curve(text.encode().hex()))
    reader = letters.encode().hex()
    one = BOT_ENVELOPE.seal_to(reader, letters + "text", Scheme.NIP44, b"seed")
    other = BOT_ENVELOPE.seal_to(reader, "text", Scheme.NIP44, b"seed" + letters.encode())
    assert b64decode(one)[1:33] != b64decode(other)[1:33]


@BOTH
def test_the_longest_text_fits_and_one_byte_more_does_not(scheme: Scheme) -> None:
    """The limit counts bytes, not characters."""
    longest = "é" * (TEXT_MAX_BYTES // 2) + "x"
    content = BOT_ENVELOPE.seal_to(MACHINE.pubkey, longest, scheme, b"seed")
    assert len(content) <= CONTENT_MAX_CHARS
    assert MACHINE_ENVELOPE.open_from(BOT.pubkey, content)[:2] == (longest, scheme)
    with pytest.raises(SealingError, match="65536 bytes"):
        BOT_ENVELOPE.seal_to(MACHINE.pubkey, longest + "x", scheme, b"seed")


def test_what_cannot_be_sealed_is_an_error_that_does_not_quote_it() -> None:
    with pytest.raises(SealingError):
        BOT_ENVELOPE.seal_to(MACHINE.pubkey, "", Scheme.NIP44, b"seed")
    for scheme in (Scheme.NIP04, Scheme.NIP44):
        with pytest.raises(SealingError) as caught:
            BOT_ENVELOPE.seal_to(MACHINE.pubkey, "private\ud800", scheme, b"seed")
        assert "private" not in str(caught.value)
        with pytest.raises(KeyTextError):
            BOT_ENVELOPE.seal_to(f"{5:064x}", "text", scheme, b"seed")


def test_an_envelope_is_neither_written_nor_copied() -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, vars):
        with pytest.raises(TypeError):
            attempt(BOT_ENVELOPE)
    assert "01" * 32 not in repr(BOT_ENVELOPE)
    assert SHARED_X.hex() not in repr(BOT_ENVELOPE)


# --- what is refused


def nip04_of(raw: bytes, iv: bytes = IV) -> str:
    """NIP-04 content of bytes that are already padded, or not."""
    encryptor = Cipher(AES256(SHARED_X), CBC(iv)).encryptor()
    return f"{b64encode(encryptor.update(raw)).decode()}?iv={b64encode(iv).decode()}"


GOOD = nip04_encrypt(SHARED_X, "twelve bytes", IV)
BODY, IV_TEXT = GOOD.split("?iv=")
NIP04_FAULTS = {
    "no iv": BODY + "?iv=",
    "no body": "?iv=" + IV_TEXT,
    "only the mark": "?iv=",
    "two ivs": f"{GOOD}?iv={IV_TEXT}",
    "other parameters": f"{GOOD}&x=1",
    "iv of 15 bytes": f"{BODY}?iv={b64encode(IV[:15]).decode()}",
    "iv of 17 bytes": f"{BODY}?iv={b64encode(IV + IV[:1]).decode()}",
    "iv of 32 bytes": f"{BODY}?iv={b64encode(IV + IV).decode()}",
    "iv in hex": f"{BODY}?iv={IV.hex()}",
    "unpadded base64": f"{BODY}?iv={IV_TEXT.rstrip('=')}",
    "too much padding": f"{BODY}?iv={IV_TEXT}==",
    "url-safe base64": f"{BODY.replace('+', '-').replace('/', '_')}-_?iv={IV_TEXT}",
    "blank inside": f"{BODY[:4]} {BODY[4:]}?iv={IV_TEXT}",
    "newline at the end": GOOD + "\n",
    "garbage between": f"{BODY[:4]}!!{BODY[4:]}?iv={IV_TEXT}",
    "not ascii": f"é{BODY}?iv={IV_TEXT}",
    "trailing bits": f"{BODY}?iv={IV_TEXT[:-3]}{'x' if IV_TEXT[-3] == 'w' else 'w'}==",
    "half a block": f"{b64encode(bytes(8)).decode()}?iv={IV_TEXT}",
    "padding of 0": nip04_of(b"x" * 15 + b"\x00"),
    "padding of 17": nip04_of(b"x" * 15 + b"\x11"),
    "padding not all alike": nip04_of(b"x" * 14 + b"\x03\x02"),
    "not utf-8": nip04_of(b"\xff" * 15 + b"\x01"),
    "utf-8 of a surrogate": nip04_of(b"\xed\xa0\x80".rjust(15, b"x") + b"\x01"),
    "too long": nip04_of(b"x" * 65_599 + b"\x01"),
}


@pytest.mark.parametrize("fault", NIP04_FAULTS)
def test_nip04_faults_all_get_the_same_answer(fault: str) -> None:
    """Row 43, and row 42's uniform silence: no detail tells padding from base64 from UTF-8."""
    content = NIP04_FAULTS[fault]
    assert content != GOOD
    assert BOT_ENVELOPE.open_from(MACHINE.pubkey, content) == REFUSED
    with pytest.raises(SealingError, match=r"^nip-04: content cannot be opened$") as caught:
        nip04_decrypt(SHARED_X, content)
    assert caught.value.__suppress_context__


def test_a_flipped_bit_fails_at_the_signature_before_anything_is_opened() -> None:
    """Row 42: a NIP-04 content has no authentication of its own; the event around it has."""
    content = MACHINE_ENVELOPE.seal_to(BOT.pubkey, "deposit confirm d1", Scheme.NIP04, b"seed")
    obj = sign_event(MACHINE, kind=4, tags=[["p", BOT.pubkey]], content=content, created_at=1).plain()
    flipped = obj | {"content": ("A" if content[0] != "A" else "B") + content[1:]}
    assert read_event(flipped) == Refusal(Reason.WRONG_ID)
    own_id = event_id(MACHINE.pubkey, 1, 4, obj["tags"], flipped["content"])
    assert read_event(flipped | {"id": own_id}) == Refusal(Reason.BAD_SIGNATURE)


@settings(max_examples=300, deadline=None)
@given(bit=st.integers(0, 16 * 8 - 1))
def test_opening_a_malleated_nip04_content_never_raises(bit: int) -> None:
    raw = bytearray(b"x" * 16)
    raw[bit // 8] ^= 1 << bit % 8
    result = BOT_ENVELOPE.open_from(MACHINE.pubkey, f"{b64encode(raw).decode()}?iv={IV_TEXT}")
    assert result == REFUSED or (isinstance(result, tuple) and result[1] is Scheme.NIP04)


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, 131), letter=st.sampled_from("ABCxyz019+/=-_ "))
def test_any_changed_letter_of_a_nip44_payload_is_refused(position: int, letter: str) -> None:
    payload = MACHINE_ENVELOPE.seal_to(BOT.pubkey, "x", Scheme.NIP44, b"seed")
    changed = payload[:position] + letter + payload[position + 1 :]
    opened = BOT_ENVELOPE.open_from(MACHINE.pubkey, changed)
    if changed == payload:
        assert isinstance(opened, Opening)
        assert (opened.text, opened.scheme) == ("x", Scheme.NIP44)
    else:
        assert opened == REFUSED


@pytest.mark.parametrize(
    "padded",
    [
        bytes(2 + 32),  # an empty text
        b"\x00\x21" + b"x" * 32,  # longer than what is there
        b"\x00\x01" + b"x" * 64,  # padded more than the rule says
        b"\x00\x01\xff" + bytes(31),  # not UTF-8
        b"\x00\x01" + b"x" + bytes(30) + b"y",  # padded with something
    ],
)
def test_nip44_faults_under_a_good_mac_get_the_same_answer(padded: bytes) -> None:
    """The sender holds the keys too: what it authenticates may still be wrong."""
    key, nonce = conversation_key(SHARED_X), bytes(32)
    keys = message_keys(key, nonce)
    stream = ChaCha20(keys.chacha_key, bytes(4) + keys.chacha_nonce)
    ciphertext = Cipher(stream, mode=None).encryptor().update(padded)
    mac = hmac.digest(keys.hmac_key, nonce + ciphertext, "sha256")
    payload = b64encode(b"\x02" + nonce + ciphertext + mac).decode()
    assert BOT_ENVELOPE.open_from(MACHINE.pubkey, payload) == REFUSED
    with pytest.raises(SealingError, match="cannot be opened"):
        open_with(keys, payload)


# --- one message's own keys -------------------------------------------------------------------------------------------


def test_the_keys_of_one_message_open_it_and_no_other() -> None:
    """What an auditor is given for a message: neither the conversation's key nor anything that opens the next message."""
    first, second = (MACHINE_ENVELOPE.seal_to(BOT.pubkey, text, Scheme.NIP44, b"seed") for text in ("first", "second"))
    opened = BOT_ENVELOPE.open_from(MACHINE.pubkey, first)
    assert isinstance(opened, Opening)
    assert opened.keys == message_keys(conversation_key(SHARED_X), b64decode(first)[1:33])
    assert open_with(opened.keys, first) == "first"
    with pytest.raises(SealingError, match="cannot be opened"):
        open_with(opened.keys, second)


def test_a_scheme_without_keys_of_its_own_has_none() -> None:
    """NIP-04 has one key for all messages of two people: it is given to nobody."""
    for scheme in (Scheme.PLAIN, Scheme.NIP04):
        content = MACHINE_ENVELOPE.seal_to(BOT.pubkey, "{}", scheme, b"seed")
        assert BOT_ENVELOPE.open_from(MACHINE.pubkey, content) == Opening("{}", scheme, None)


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 75), mask=st.integers(1, 255))
def test_any_changed_byte_of_the_keys_opens_nothing(position: int, mask: int) -> None:
    """A wrong MAC key fails at the MAC; a wrong cipher key makes noise, which fits neither the length nor the padding."""
    payload = MACHINE_ENVELOPE.seal_to(BOT.pubkey, "deposit confirm d1", Scheme.NIP44, b"seed")
    opened = BOT_ENVELOPE.open_from(MACHINE.pubkey, payload)
    assert isinstance(opened, Opening)
    assert opened.keys is not None
    stream = bytearray(b"".join(opened.keys))
    stream[position] ^= mask
    with pytest.raises(SealingError, match="cannot be opened"):
        open_with(MessageKeys.from_bytes(bytes(stream)), payload)


def test_keys_are_written_as_hex_and_read_back() -> None:
    """152 digits: cipher key, cipher nonce, MAC key, as HKDF-expand gave them; the official vector's own."""
    vector = VALID["get_message_keys"]["keys"][0]
    text = vector["chacha_key"] + vector["chacha_nonce"] + vector["hmac_key"]
    keys = message_keys(bytes.fromhex(VALID["get_message_keys"]["conversation_key"]), bytes.fromhex(vector["nonce"]))
    assert keys.hex() == text
    assert read_message_keys(text) == keys


@pytest.mark.parametrize("text", ["", "00" * 75, "00" * 77, "AB" * 76, "zz" * 76, "00" * 76 + "\n", " " + "00" * 76])
def test_what_is_no_keys_of_a_message(text: str) -> None:
    """One way of writing them, so that an entry has one form."""
    with pytest.raises(SealingError, match="152 hex digits"):
        read_message_keys(text)


@pytest.mark.parametrize("content", ["", "hello", "A" * 131, "A" * 132, "A" * (CONTENT_MAX_CHARS + 4), "é" * 132])
def test_what_is_no_payload_is_refused(content: str) -> None:
    assert BOT_ENVELOPE.open_from(MACHINE.pubkey, content) == REFUSED


def test_content_from_a_point_off_the_curve_is_refused() -> None:
    assert BOT_ENVELOPE.open_from(f"{5:064x}", GOOD) == REFUSED


@given(content=st.text(max_size=200))
def test_no_content_raises(content: str) -> None:
    result = BOT_ENVELOPE.open_from(MACHINE.pubkey, content)
    assert result in (REFUSED, Opening(content, Scheme.PLAIN))
