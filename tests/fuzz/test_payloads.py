"""What is inside encryption, spoilt: payloads of machines, and the layers of gift wraps (faults.md rows 28, 29, 43).

A party that encrypts well may say anything at all; every reader gives a value or a named refusal, which repeats nothing of it.
"""

import hmac
from base64 import b64encode
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import assume, given
from hypothesis import strategies as st

from nostrbot.core.atm.payloads.beacon import BEACON_CHARS_MAX, TELEMETRY_BYTES_MAX, Beacon, read_beacon, read_telemetry
from nostrbot.core.atm.payloads.cassette_state import read_statement
from nostrbot.core.atm.payloads.sale import FIAT_MINOR_MAX, Sale, read_settlement
from nostrbot.money import read_denomination
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.giftwrap import make_wrap, open_seal, open_wrap, read_rumor
from nostrbot.nostr.kinds import CHAT_MESSAGE, GIFT_WRAP, SEAL
from nostrbot.nostr.sealing import Envelope, Scheme, conversation_key, message_keys, scheme_of
from nostrbot.refusals import Reason, Refusal
from tests.fuzz.effort import effort
from tests.fuzz.spoiling import Plain, spoilt_bytes, spoilt_json, spoilt_text
from tests.houses import BOT, person, sale

OPERATOR = person("operator")
BOTS, OPERATORS = Envelope(BOT), Envelope(OPERATOR)
SHARED_X = OPERATOR.shared_x(BOT.pubkey)
AT = 1_790_000_000
CANARY = "canary-7c1d"  # what no refusal may repeat

SALE = sale(
    txid=CANARY, preimage="00" * 32, bills=[{"denomination": "0.5", "count": 4}, {"denomination": 100, "count": 20}]
)
STATEMENT: Plain = {"positions": {"1": {"denomination": "0.5", "count": 480}, CANARY: {"denomination": 20, "count": 0}}}
BEACON: Plain = {
    "cash_in": True,
    "cash_out": False,
    "cash_level": CANARY,
    "fiat": "GTQ",
    "name": "Parque Central",
    "geo": "14.5589,-90.7295",
    "fees": {"cash_in": 6.0, "cash_out": {"btc": 7.77}},
    "limits": {"cash_in": {"max": 20000}},
    "denominations": {"GTQ": [100, 200]},
    "version": "1.0",
}
TELEMETRY: Plain = {"temperature": 41.5, "printer": {"paper": "low", "errors": [CANARY, None, {"code": 7}]}}
RUMOR: Plain = {
    "pubkey": OPERATOR.pubkey,
    "created_at": AT,
    "kind": CHAT_MESSAGE,
    "tags": [["p", BOT.pubkey], ["subject", CANARY]],
    "content": "whoami",
}

plaintexts = st.sampled_from([SALE, STATEMENT, BEACON, TELEMETRY, RUMOR]).flatmap(spoilt_json)
raws = plaintexts.map(str.encode).flatmap(spoilt_bytes) | st.binary(max_size=100)


def assert_says_nothing(refusal: Any, *reasons: Reason) -> None:
    """A refusal for one of these reasons that repeats nothing of what was refused."""
    assert isinstance(refusal, Refusal)
    assert refusal.reason in reasons
    assert CANARY not in refusal.detail
    assert len(refusal.detail) < 300


# --- payloads


@effort(400)
@given(text=spoilt_json(SALE))
def test_a_settlement_is_a_sale_or_invalid(text: str) -> None:
    """Of whatever was read, every number is an integer that no sum of a few takes beyond 64 bits."""
    read = read_settlement(text)
    if not isinstance(read, Sale):
        assert_says_nothing(read, Reason.INVALID)
        return
    sats = (read.wire_sats, read.principal_sats, read.fee_sats)
    notes = [*read.bills, *(note[1:] for note in read.cassettes)]
    counts = [count for _, count in notes]
    assert all(type(number) is int and abs(number) <= 2**60 for number in (*sats, *counts))
    assert all(_is_a_worth(worth) for worth, _ in notes)
    assert type(read.fiat_minor) is int
    assert abs(read.fiat_minor) <= FIAT_MINOR_MAX
    assert read.price.digits == int(read.rate.replace(".", ""))


def _is_a_worth(worth: Any) -> bool:
    """Of a banknote: an integer, or where it has a fraction the text of it, written in one way."""
    return read_denomination(worth) == worth and (type(worth) is int or Fraction(worth).denominator > 1)


@effort(300)
@given(text=spoilt_json(STATEMENT))
def test_a_statement_is_cassettes_or_invalid(text: str) -> None:
    """Each cassette of a statement that was read has a denomination and a count that a machine can hold."""
    read = read_statement(text)
    if isinstance(read, Refusal):
        assert_says_nothing(read, Reason.INVALID)
    else:
        assert read
        assert all(
            _is_a_worth(one.denomination)
            and 0 < Fraction(one.denomination) <= 1_000_000
            and 0 <= one.notes <= 1_000_000
            for one in read
        )


@effort(300)
@given(text=spoilt_json(BEACON))
def test_a_beacon_is_read_or_invalid(text: str) -> None:
    """What is kept of a beacon is no larger than a beacon may be, and can be written again."""
    read = read_beacon(text)
    if isinstance(read, Beacon):
        assert len(orjson.dumps(read.said()).decode()) <= 2 * BEACON_CHARS_MAX
        assert Beacon().followed_by(read).said() == read.said()
    else:
        assert_says_nothing(read, Reason.INVALID)


@effort(300)
@given(text=spoilt_json(TELEMETRY))
def test_telemetry_is_kept_or_invalid(text: str) -> None:
    """What is kept of telemetry can be written again, as part of an answer."""
    read = read_telemetry(text)
    if isinstance(read, dict):
        assert len(text.encode()) <= TELEMETRY_BYTES_MAX
        assert orjson.loads(orjson.dumps({"ok": True, "data": {"telemetry": read}}))["data"]["telemetry"] == read
    else:
        assert_says_nothing(read, Reason.INVALID)


# --- ciphers


def nip44(raw: bytes) -> str:
    """Bytes under a true MAC of the operator's to the bot: length, text and padding are whatever the writer likes."""
    nonce = bytes(32)
    keys = message_keys(conversation_key(SHARED_X), nonce)
    sealed = Cipher(ChaCha20(keys.chacha_key, bytes(4) + keys.chacha_nonce), mode=None).encryptor().update(raw)
    return b64encode(b"\x02" + nonce + sealed + hmac.digest(keys.hmac_key, nonce + sealed, "sha256")).decode()


def nip04(raw: bytes, *, padding: bytes) -> str:
    """Bytes as the operator encrypts them for the bot, with this at their end; zeros fill the last block."""
    padded = raw + padding
    encryptor = Cipher(AES256(SHARED_X), CBC(bytes(16))).encryptor()
    body = encryptor.update(padded + bytes(-len(padded) % 16)) + encryptor.finalize()
    return f"{b64encode(body).decode()}?iv={b64encode(bytes(16)).decode()}"


@effort(300)
@given(raw=raws, claimed=st.sampled_from([None, 0, 1, 32, 65_535]))
def test_bytes_under_a_true_mac(raw: bytes, claimed: int | None) -> None:
    """NIP-44 proves who wrote it, not that it is text, nor that it is as long as it says."""
    length = min(len(raw), 65_535) if claimed is None else claimed
    opened = BOTS.open_from(OPERATOR.pubkey, nip44(length.to_bytes(2, "big") + raw))
    if isinstance(opened, Refusal):
        assert opened == Refusal(Reason.UNDECRYPTABLE)
    else:
        assert (opened.text, opened.scheme) == (raw[:length].decode(), Scheme.NIP44)


@effort(200)
@given(raw=raws, padding=st.sampled_from([b"", b"\x00", b"\x11" * 17, b"\xff"]))
def test_bytes_under_nip04(raw: bytes, padding: bytes) -> None:
    """NIP-04 opens to any bytes at all: they are text that was padded well, or refused like everything else (row 43)."""
    true_padding = bytes([16 - len(raw) % 16]) * (16 - len(raw) % 16)
    opened = BOTS.open_from(OPERATOR.pubkey, nip04(raw, padding=padding or true_padding))
    if isinstance(opened, Refusal):
        assert opened == Refusal(Reason.UNDECRYPTABLE)
    elif not padding:
        assert (opened.text, opened.scheme) == (raw.decode(), Scheme.NIP04)


CONTENTS = [OPERATORS.seal_to(BOT.pubkey, "whoami", scheme, b"x") for scheme in (Scheme.NIP04, Scheme.NIP44)]


@effort(400)
@given(content=st.sampled_from(CONTENTS).flatmap(spoilt_text))
def test_a_spoilt_content_is_opened_or_not(content: str) -> None:
    """Whatever is wrong with a content, the refusal is the same; NIP-44 opens to what was written, or not at all."""
    opened = BOTS.open_from(OPERATOR.pubkey, content)
    if isinstance(opened, Refusal):
        assert opened == Refusal(Reason.UNDECRYPTABLE)
    else:
        assert opened.scheme is scheme_of(content)
        assert opened.scheme is not Scheme.NIP44 or opened.text == "whoami"


# --- gift wraps


def sealed(text: str) -> VerifiedEvent:
    """A seal of the operator's around any text."""
    content = OPERATORS.seal_to(BOT.pubkey, text, Scheme.NIP44, b"x")
    return sign_event(OPERATOR, kind=SEAL, tags=[], content=content, created_at=AT)


def wrapped(text: str) -> VerifiedEvent:
    """A gift wrap around any text, by a key that nobody knows."""
    thrown_away = person("thrown away")
    content = Envelope(thrown_away).seal_to(BOT.pubkey, text, Scheme.NIP44, b"x")
    return sign_event(thrown_away, kind=GIFT_WRAP, tags=[["p", BOT.pubkey]], content=content, created_at=AT)


LAYER_REASONS = (
    *(Reason.NOT_JSON, Reason.BAD_SHAPE, Reason.WRONG_ID, Reason.BAD_SIGNATURE),
    *(Reason.UNDECRYPTABLE, Reason.SEAL_MISMATCH),
)


def sealable(text: str) -> bool:
    return 0 < len(text.encode()) < 65_536


@effort(300)
@given(text=spoilt_json(RUMOR) | spoilt_json(RUMOR | {"id": "0" * 64, "sig": "0" * 128}))
def test_a_rumor_in_a_true_seal(text: str) -> None:
    """The seal's author may put anything in it; a rumor that is taken claims no other author."""
    assume(sealable(text))
    opened = open_seal(BOTS, sealed(text))
    if isinstance(opened, Refusal):
        assert_says_nothing(opened, *LAYER_REASONS)
    else:
        assert opened[1] == read_rumor(text)
        assert opened[1].pubkey == OPERATOR.pubkey


A_WRAP = make_wrap(OPERATOR, OPERATORS, to=BOT.pubkey, text="whoami", at=AT, name=b"x")
A_SEAL = open_wrap(BOTS, A_WRAP)
assert isinstance(A_SEAL, VerifiedEvent)


@effort(300)
@given(text=spoilt_json(A_SEAL.plain()))
def test_a_seal_in_a_wrap(text: str) -> None:
    """Anybody may wrap anything; what comes out as a seal was signed, and as it was signed."""
    assume(sealable(text))
    seal = open_wrap(BOTS, wrapped(text))
    if isinstance(seal, VerifiedEvent):
        assert seal.plain() == A_SEAL.plain()
    else:
        assert_says_nothing(seal, *LAYER_REASONS)


@effort(100)
@given(content=st.sampled_from([A_WRAP.content, A_SEAL.content]).flatmap(spoilt_text), layer=st.booleans())
def test_a_layer_that_is_no_cipher(content: str, layer: bool) -> None:
    """A signed seal or wrap whose content is garbage is refused; what opens is the one that was wrapped."""
    open_layer: Callable[[Envelope, VerifiedEvent], Any] = open_seal if layer else open_wrap
    event = sign_event(OPERATOR, kind=SEAL if layer else GIFT_WRAP, tags=[], content=content, created_at=AT)
    opened = open_layer(BOTS, event)
    if isinstance(opened, Refusal):
        assert_says_nothing(opened, *LAYER_REASONS)
    else:
        assert content in {A_WRAP.content, A_SEAL.content}
