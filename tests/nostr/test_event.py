"""Events: what is let through the door, and what is not (docs/protocol.md section 2, fault rows 19-22 and 28)."""

import copy
import json
import pickle
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import nostr_sdk
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.nostr.event import (
    Event,
    VerifiedEvent,
    event_id,
    expiration,
    parse,
    read_event,
    sign_event,
    verify,
)
from nostrbot.nostr.keys import Keys
from nostrbot.refusals import Reason, Refusal

KEYS = Keys.from_secret("01" * 32)
BOT = Keys.from_secret("02" * 32)
P = 2**256 - 2**32 - 977  # secp256k1: the field
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # and the order of the group
Point = tuple[int, int] | None
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)

# Everything UTF-8 can carry: control characters, U+2028, non-BMP, noncharacters. No lone surrogates.
TEXTS = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    [
        "".join(map(chr, range(0x20))) + '"\\/\x7f\x80',
        "\u2028\u2029\ufeff\ufffe",
        "\U0001f680\U0010ffff",
        "\r\n\t\b\f\0",
    ]
)


def signed(**changes: Any) -> dict[str, Any]:
    """A settlement-like event as a relay would send it."""
    fields: dict[str, Any] = {"kind": 21000, "tags": [["p", BOT.pubkey], ["e"]], "content": "x", "created_at": 1}
    return sign_event(KEYS, **(fields | changes)).plain()


def with_own_id(obj: dict[str, Any]) -> dict[str, Any]:
    """The object with the id its other fields have: only the signature can be wrong then."""
    return obj | {"id": event_id(obj["pubkey"], obj["created_at"], obj["kind"], obj["tags"], obj["content"])}


def nostr_sdk_accepts(obj: dict[str, Any]) -> bool:
    try:
        return nostr_sdk.Event.from_json(json.dumps(obj)).verify()
    except nostr_sdk.NostrSdkError:
        return False


def reference_verify(pubkey: str, digest: bytes, sig: str) -> bool:
    """BIP-340's verification as the document writes it, in plain integers; None is the point at infinity."""

    def add(a: Point, b: Point) -> Point:
        if a is None or b is None:
            return a or b
        if a[0] == b[0] and a[1] != b[1]:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P) if a == b else (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
        x = (slope * slope - a[0] - b[0]) % P
        return x, (slope * (a[0] - x) - a[1]) % P

    def multiply(point: Point, scalar: int) -> Point:
        total = None
        while scalar:
            if scalar & 1:
                total = add(total, point)
            point, scalar = add(point, point), scalar >> 1
        return total

    x, r, s = int(pubkey, 16), int(sig[:64], 16), int(sig[64:], 16)
    y_squared = (x**3 + 7) % P
    y = pow(y_squared, (P + 1) // 4, P)
    if x >= P or y * y % P != y_squared or r >= P or s >= N:
        return False
    point = (x, y if y % 2 == 0 else P - y)
    tag = sha256(b"BIP0340/challenge").digest()
    challenge = int.from_bytes(sha256(tag * 2 + bytes.fromhex(sig[:64] + pubkey) + digest).digest(), "big") % N
    nonce_point = add(multiply(G, s), multiply(point, N - challenge))
    return nonce_point is not None and nonce_point[1] % 2 == 0 and nonce_point[0] == r


# --- what is let through


def test_a_signed_event_reads_back_as_itself() -> None:
    obj = signed()
    event = read_event(obj)
    assert isinstance(event, VerifiedEvent)
    assert event.plain() == obj
    assert event.tags == (("p", BOT.pubkey), ("e",))


def test_signing_is_deterministic() -> None:
    """A receipt made again after a crash must be the same event, signature included."""
    assert signed() == signed()


@settings(max_examples=150, deadline=None)
@given(content=TEXTS, tags=st.lists(st.lists(TEXTS, min_size=1, max_size=4), max_size=4), kind=st.integers(0, 65535))
def test_ids_and_signatures_agree_with_nostr_sdk(content: str, tags: list[list[str]], kind: int) -> None:
    """Any text: what we sign nostr-sdk verifies, with the same id."""
    ours = sign_event(KEYS, kind=kind, tags=tags, content=content, created_at=1_790_000_000)
    theirs = nostr_sdk.Event.from_json(json.dumps(ours.plain()))
    assert theirs.verify()
    assert theirs.id().to_hex() == ours.id
    assert read_event(json.loads(json.dumps(ours.plain()))) == ours


@settings(max_examples=100, deadline=None)
@given(content=TEXTS, value=TEXTS)
def test_events_signed_by_nostr_sdk_verify_here(content: str, value: str) -> None:
    builder = nostr_sdk.EventBuilder(nostr_sdk.Kind(21000), content).tags([nostr_sdk.Tag.parse(["t", value])])
    theirs = builder.finalize(nostr_sdk.Keys.parse("03" * 32))
    event = read_event(json.loads(theirs.as_json()))
    assert isinstance(event, VerifiedEvent)
    assert (event.id, event.content, event.tags) == (theirs.id().to_hex(), content, (("t", value),))


@pytest.mark.parametrize("changes", [{"created_at": 0}, {"created_at": 2**53 - 1}, {"kind": 0}, {"kind": 65535}])
def test_limits_are_inclusive(changes: dict[str, int]) -> None:
    assert isinstance(read_event(signed(**changes)), VerifiedEvent)


def test_keys_that_nobody_signed_are_neither_trusted_nor_repeated() -> None:
    event = read_event(signed() | {"seen_on": ["wss://relay.example.com"]})
    assert isinstance(event, VerifiedEvent)
    assert event.plain() == signed()


# --- what is refused for its shape


@pytest.mark.parametrize("obj", [None, True, 1, "x", [], [signed()], {}])
def test_what_is_not_an_event_object_is_refused(obj: object) -> None:
    assert_refused(read_event(obj), Reason.BAD_SHAPE)


@pytest.mark.parametrize("field", ["id", "pubkey", "created_at", "kind", "tags", "content", "sig"])
def test_a_missing_or_null_field_is_refused(field: str) -> None:
    obj = signed()
    assert_refused(read_event(obj | {field: None}), Reason.BAD_SHAPE)
    del obj[field]
    assert_refused(read_event(obj), Reason.BAD_SHAPE)


NOT_INTS = [True, False, -1, 1.0, 2**53, 2**64, 1e400, float("nan"), "1", [1], {"n": 1}]
NOT_HEX = ["", "0" * 63, "0" * 65, "g" * 64, "0" * 63 + " ", "0" * 63 + "\n", "0x" + "0" * 62, "٠" * 64, 7, b"0" * 64]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("created_at", NOT_INTS),
        ("kind", [*NOT_INTS, 65536]),
        ("id", NOT_HEX),
        ("pubkey", NOT_HEX),
        ("sig", [*NOT_HEX, "0" * 127, "0" * 129, "A" * 128]),
        ("content", [1, None, ["x"], {"a": 1}, b"x", "\ud800", "a\udfff"]),
        (
            "tags",
            ["p", {"p": 1}, [[]], [["p"], []], ["p"], [[1]], [["p", None]], [["p", ["x"]]], [("p",)], [["\ud800"]]],
        ),
    ],
)
def test_a_field_of_another_shape_is_refused(field: str, values: list[Any]) -> None:
    """Exact types: True is no int, 1.0 is no int, a lone surrogate is no text (row 28)."""
    for value in values:
        assert_refused(parse(signed() | {field: value}), Reason.BAD_SHAPE, field)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8))
def test_no_json_value_in_any_field_raises(value: Any) -> None:
    for field in signed():
        result = read_event(signed() | {field: value})
        assert isinstance(result, Refusal) or result.plain()[field] == value


# --- what is refused for what it claims


def test_a_wrong_id_is_refused_even_if_its_signature_matches() -> None:
    """The signature is over the stated id, and the id is not the hash of the event (row 20)."""
    stated = sha256(b"something else").digest()
    forged = signed() | {"id": stated.hex(), "sig": KEYS.sign(stated)}
    assert_refused(read_event(forged), Reason.WRONG_ID)


@pytest.mark.parametrize(
    "changes", [{"content": "y"}, {"created_at": 2}, {"kind": 21001}, {"tags": []}, {"pubkey": BOT.pubkey}]
)
def test_every_field_is_under_the_id(changes: dict[str, Any]) -> None:
    assert_refused(read_event(signed() | changes), Reason.WRONG_ID)


def test_a_known_id_does_not_vouch_for_a_forgery() -> None:
    """First the true event, then a forgery with its id, then the true one again (row 21)."""
    assert isinstance(read_event(signed()), VerifiedEvent)
    assert_refused(read_event(signed() | {"content": "forged"}), Reason.WRONG_ID)
    assert_refused(read_event(signed() | {"sig": signed(content="y")["sig"]}), Reason.BAD_SIGNATURE)
    assert isinstance(read_event(signed()), VerifiedEvent)


SIGNATURE_FAULTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "of another key": lambda obj: obj | {"sig": BOT.sign(bytes.fromhex(obj["id"]))},
    "all zeros": lambda obj: obj | {"sig": "0" * 128},
    "first bit of r": lambda obj: obj | {"sig": f"{int(obj['sig'][0], 16) ^ 8:x}" + obj["sig"][1:]},
    "last bit of s": lambda obj: obj | {"sig": obj["sig"][:-1] + f"{int(obj['sig'][-1], 16) ^ 1:x}"},
    "s negated": lambda obj: obj | {"sig": obj["sig"][:64] + f"{N - int(obj['sig'][64:], 16):064x}"},
    "s = n": lambda obj: obj | {"sig": obj["sig"][:64] + f"{N:064x}"},
    "s = 2^256 - 1": lambda obj: obj | {"sig": obj["sig"][:64] + "f" * 64},
    "r = p": lambda obj: obj | {"sig": f"{P:064x}" + obj["sig"][64:]},
    "r = 2^256 - 1": lambda obj: obj | {"sig": "f" * 64 + obj["sig"][64:]},
    "pubkey not on the curve": lambda obj: with_own_id(obj | {"pubkey": f"{5:064x}"}),
    "pubkey = p": lambda obj: with_own_id(obj | {"pubkey": f"{P:064x}"}),
    "pubkey = 2^256 - 1": lambda obj: with_own_id(obj | {"pubkey": "f" * 64}),
    "pubkey = 0": lambda obj: with_own_id(obj | {"pubkey": "0" * 64}),
}


@pytest.mark.parametrize("fault", SIGNATURE_FAULTS)
def test_bad_signatures_are_refused_by_every_verifier(fault: str) -> None:
    """Rows 19 and 22: ours, nostr-sdk's and the document's own say no to the same events."""
    obj = SIGNATURE_FAULTS[fault](signed())
    assert_refused(read_event(obj), Reason.BAD_SIGNATURE)
    assert not nostr_sdk_accepts(obj)
    assert not reference_verify(obj["pubkey"], bytes.fromhex(obj["id"]), obj["sig"])


def test_a_good_signature_is_good_to_every_verifier() -> None:
    """The opposite of the rows above: the verifiers compared there do say yes."""
    obj = signed()
    assert isinstance(read_event(obj), VerifiedEvent)
    assert nostr_sdk_accepts(obj)
    assert reference_verify(obj["pubkey"], bytes.fromhex(obj["id"]), obj["sig"])


@settings(max_examples=200, deadline=None)
@given(bit=st.integers(0, 511))
def test_any_flipped_bit_of_a_signature_is_refused_here_and_by_nostr_sdk(bit: int) -> None:
    obj = signed()
    obj["sig"] = f"{int(obj['sig'], 16) ^ (1 << bit):0128x}"
    assert_refused(read_event(obj), Reason.BAD_SIGNATURE)
    assert not nostr_sdk_accepts(obj)


@pytest.mark.parametrize("field", ["id", "pubkey", "sig"])
def test_upper_case_hex_is_refused(field: str) -> None:
    """Row 22. nostr-sdk folds the case before it looks; our contract takes lower case only, so ids have one form."""
    obj = signed()
    assert_refused(read_event(obj | {field: obj[field].upper()}), Reason.BAD_SHAPE, field)


def assert_refused(result: object, reason: Reason, detail: str | None = None) -> None:
    assert isinstance(result, Refusal), result
    assert result.reason is reason
    assert detail is None or result.detail == detail


# --- the type is the proof


def test_nothing_but_verification_makes_a_verified_event() -> None:
    """Not the class, not changing a verified one, not a pickle of it."""
    event = read_event(signed())
    assert isinstance(event, VerifiedEvent)
    with pytest.raises(TypeError, match="only verify"):
        VerifiedEvent(*event)
    with pytest.raises(TypeError, match="only verify"):
        event._replace(content="y")
    with pytest.raises(TypeError, match="only verify"):
        pickle.loads(pickle.dumps(event))
    with pytest.raises(AttributeError):
        event.content = "y"  # type: ignore[misc]


def test_a_changed_claim_is_only_a_claim() -> None:
    claim = parse(signed())
    assert isinstance(claim, Event)
    assert not isinstance(claim, VerifiedEvent)
    assert_refused(verify(claim._replace(content="y")), Reason.WRONG_ID)


def test_verified_events_are_equal_by_id() -> None:
    first, again, other = read_event(signed()), read_event(copy.deepcopy(signed())), read_event(signed(content="y"))
    assert first == again
    assert first != other
    assert len({first, again, other}) == 2
    assert first != parse(signed()), "a claim is not equal to what was verified"


def test_an_event_we_would_refuse_is_not_signed() -> None:
    for wrong in ({"tags": [[]]}, {"kind": 65536}, {"created_at": -1}, {"content": "\ud800"}, {"kind": True}):
        with pytest.raises(ValueError, match="not an event to sign"):
            signed(**wrong)


# --- tags


def test_tag_value_is_the_second_item_of_the_first_tag_of_that_name() -> None:
    event = parse(signed(tags=[["e"], ["p", "1"], ["p", "2"], ["e", "3"]]))
    assert isinstance(event, Event)
    assert [event.tag_value(name) for name in ("p", "e", "d")] == ["1", None, None]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (["expiration", "1790000000"], 1_790_000_000),
        (["expiration", "0"], 0),
        (["expiration"], None),
        (["expiration", ""], None),
        (["expiration", "-1"], None),
        (["expiration", "1e9"], None),
        (["expiration", "1_000"], None),
        (["expiration", "١٢"], None),
        (["expiration", "²"], None),
        (["expiration", "9" * 5000], None),
    ],
)
def test_expiration_is_plain_digits_or_absent(tag: list[str], expected: int | None) -> None:
    """NIP-40; a number of thousands of digits must not raise (row 28)."""
    event = parse(signed(tags=[tag]))
    assert isinstance(event, Event)
    assert expiration(event) == expected
