"""Gift wraps: against nostr-sdk both ways, who is believed, what is refused at each layer, and that making repeats itself."""

import json
from base64 import b64decode, b64encode
from typing import Any

import nostr_sdk
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.errors import KeyTextError, SealingError
from nostrbot.nostr import giftwrap
from nostrbot.nostr.event import VerifiedEvent, event_id, read_event, sign_event
from nostrbot.nostr.giftwrap import (
    BACKDATED_MAX_S,
    RUMOR_MAX_BYTES,
    WRAPPED_TEXT_MAX_BYTES,
    Rumor,
    make_wrap,
    open_seal,
    open_wrap,
    read_rumor,
    text_bytes,
)
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.kinds import DIRECT_MESSAGE, GIFT_WRAP, SEAL
from nostrbot.nostr.messages import FRAME_MAX_BYTES
from nostrbot.nostr.sealing import TEXT_MAX_BYTES, Envelope, Scheme, conversation_key, encrypt, open_with
from nostrbot.refusals import Reason, Refusal

AT = 1_795_000_000
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1, SEC 2 section 2.4.1
BOT, ANA, MALLORY, THROWAWAY = (Keys.from_secret(bytes([n]) * 32) for n in (1, 2, 3, 4))
BOT_ENVELOPE, ANA_ENVELOPE, MALLORY_ENVELOPE = Envelope(BOT), Envelope(ANA), Envelope(MALLORY)
SDK_BOT, SDK_ANA, SDK_MALLORY = (nostr_sdk.Keys.parse(f"{n:02x}" * 32) for n in (1, 2, 3))

TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)
MESSAGES = st.fixed_dictionaries(
    {
        "text": TEXTS,
        "at": st.integers(BACKDATED_MAX_S, 2**34),
        "name": st.binary(max_size=40),
        "in_reply_to": st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex),
    }
)


def from_bot(text: str = "done", **changes: Any) -> VerifiedEvent:
    """A wrap of ours, as the bot makes it."""
    return make_wrap(BOT, BOT_ENVELOPE, **({"to": ANA.pubkey, "text": text, "at": AT, "name": b"effect"} | changes))


def opened(envelope: Envelope, wrap: VerifiedEvent) -> tuple[str, Rumor] | Refusal:
    seal = open_wrap(envelope, wrap)
    found = seal if isinstance(seal, Refusal) else open_seal(envelope, seal)
    return found if isinstance(found, Refusal) else (found[0].text, found[1])


def opened_by_ana(wrap: VerifiedEvent) -> tuple[VerifiedEvent, str, Rumor]:
    seal = open_wrap(ANA_ENVELOPE, wrap)
    assert isinstance(seal, VerifiedEvent)
    found = open_seal(ANA_ENVELOPE, seal)
    assert not isinstance(found, Refusal)
    opening, rumor = found
    assert open_with(opening.keys, seal.content) == opening.text
    return seal, opening.text, rumor


def rumor_of(author: Keys, **changes: Any) -> dict[str, Any]:
    """A rumor to the bot, in the shape clients write."""
    parts = {"pubkey": author.pubkey, "created_at": AT, "kind": 14, "tags": [["p", BOT.pubkey]], "content": "balance"}
    return {"id": event_id(**parts)} | parts | changes


def written(obj: object) -> str:
    return orjson.dumps(obj).decode()


def sealed_by(author: Keys, text: str, **changes: Any) -> VerifiedEvent:
    """Whatever text, sealed to the bot and signed by its author."""
    content = Envelope(author).seal_to(BOT.pubkey, text, Scheme.NIP44, b"seal")
    return sign_event(author, **({"kind": SEAL, "tags": [], "content": content, "created_at": AT} | changes))


def wrapped(text: str, **changes: Any) -> VerifiedEvent:
    """Whatever text, wrapped for the bot: anybody can do that."""
    content = encrypt(conversation_key(THROWAWAY.shared_x(BOT.pubkey)), text, bytes(32))
    parts = {"kind": GIFT_WRAP, "tags": [["p", BOT.pubkey]], "content": content, "created_at": AT}
    return sign_event(THROWAWAY, **(parts | changes))


def assert_refused(outcome: object, reason: Reason) -> None:
    assert isinstance(outcome, Refusal)
    assert outcome.reason is reason


# --- nostr-sdk: somebody else's library


@settings(max_examples=60, deadline=None)
@given(message=MESSAGES)
def test_nostr_sdk_opens_what_we_wrap(message: dict[str, Any]) -> None:
    """Any message: sender, text, date, recipient, what it answers and the rumor's id are what we meant."""
    wrap = from_bot(**message)
    gift = nostr_sdk.UnwrappedGift.from_gift_wrap(SDK_ANA, nostr_sdk.Event.from_json(written(wrap.plain())))
    rumor = json.loads(gift.rumor().as_json())
    answers = [] if message["in_reply_to"] is None else [["e", message["in_reply_to"]]]
    assert gift.sender().to_hex() == BOT.pubkey
    assert rumor == {
        "id": event_id(BOT.pubkey, message["at"], 14, [["p", ANA.pubkey], *answers], message["text"]),
        "pubkey": BOT.pubkey,
        "created_at": message["at"],
        "kind": 14,
        "tags": [["p", ANA.pubkey], *answers],
        "content": message["text"],
    }


@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_we_open_the_private_messages_of_nostr_sdk(text: str) -> None:
    """Any text: the author, the message and the very text that was sealed come out."""
    gift = nostr_sdk.nip17_make_private_msg(SDK_ANA, SDK_BOT.public_key(), text)
    wrap = read_event(json.loads(gift.as_json()))
    assert isinstance(wrap, VerifiedEvent)
    outcome = opened(BOT_ENVELOPE, wrap)
    assert isinstance(outcome, tuple)
    said, rumor = outcome
    assert (rumor.pubkey, rumor.kind, rumor.content) == (ANA.pubkey, 14, text)
    assert rumor.tags == (("p", BOT.pubkey),)
    assert json.loads(said) == {
        "id": rumor.id,
        "pubkey": ANA.pubkey,
        "created_at": rumor.created_at,
        "kind": 14,
        "tags": [["p", BOT.pubkey]],
        "content": text,
    }


def test_we_open_a_rumor_of_any_kind_that_nostr_sdk_wraps() -> None:
    """Which kinds are taken is decided elsewhere; here each is read as it is."""
    rumor = nostr_sdk.UnsignedEvent.from_json(written(rumor_of(ANA, kind=7, id=None) | {"tags": [["t", "a", "b"]]}))
    gift = nostr_sdk.nip59_make_gift_wrap(SDK_ANA, SDK_BOT.public_key(), rumor)
    wrap = read_event(json.loads(gift.as_json()))
    assert isinstance(wrap, VerifiedEvent)
    outcome = opened(BOT_ENVELOPE, wrap)
    assert isinstance(outcome, tuple)
    tags = (("t", "a", "b"),)
    assert outcome[1] == Rumor(event_id(ANA.pubkey, AT, 7, tags, "balance"), ANA.pubkey, AT, 7, tags, "balance")


# --- round trips


@settings(max_examples=100, deadline=None)
@given(message=MESSAGES)
def test_what_is_wrapped_opens_for_the_reader_alone(message: dict[str, Any]) -> None:
    wrap = from_bot(**message)
    seal, _, rumor = opened_by_ana(wrap)
    assert seal.pubkey == rumor.pubkey == BOT.pubkey
    assert (rumor.content, rumor.created_at) == (message["text"], message["at"])
    assert open_wrap(MALLORY_ENVELOPE, wrap) == Refusal(Reason.UNDECRYPTABLE)
    assert open_wrap(BOT_ENVELOPE, wrap) == Refusal(Reason.UNDECRYPTABLE)
    assert open_seal(MALLORY_ENVELOPE, seal) == Refusal(Reason.UNDECRYPTABLE)


def test_another_reader_cannot_open_it_with_nostr_sdk() -> None:
    with pytest.raises(nostr_sdk.NostrSdkError):
        nostr_sdk.UnwrappedGift.from_gift_wrap(SDK_MALLORY, nostr_sdk.Event.from_json(written(from_bot().plain())))


def test_a_relay_sees_neither_author_nor_text_nor_what_is_answered() -> None:
    wrap = from_bot("the balance", in_reply_to="ab" * 32)
    assert (wrap.kind, wrap.tags) == (1059, (("p", ANA.pubkey),))
    for hidden in (BOT.pubkey, "balance", "ab" * 32):
        assert hidden not in written(wrap.plain())


def test_a_seal_says_nothing_beside_its_content() -> None:
    """NIP-59: the tags of a seal are empty."""
    seal, _, _ = opened_by_ana(from_bot())
    assert (seal.kind, seal.pubkey, seal.tags) == (13, BOT.pubkey, ())


def test_the_text_of_a_rumor_comes_out_verbatim() -> None:
    """What the journal keeps is what the author wrote, down to the blanks."""
    text = json.dumps(rumor_of(ANA), indent=1)
    outcome = opened(BOT_ENVELOPE, wrapped(written(sealed_by(ANA, text).plain())))
    assert isinstance(outcome, tuple)
    assert outcome[0] == text
    assert read_rumor(text) == outcome[1]


def test_printing_a_rumor_does_not_show_what_it_says() -> None:
    """A rumor in a log must not be the plaintext."""
    assert "balance" not in repr(read_rumor(written(rumor_of(ANA))))


def test_throw_away_keys_are_not_remembered() -> None:
    """Only the peers behind them are: anybody can make wraps without end."""
    envelope = Envelope(BOT)
    for n in range(3):
        seal = sealed_by(
            ANA, written(rumor_of(ANA, content=f"{n}", id=event_id(ANA.pubkey, AT, 14, [], f"{n}"), tags=[]))
        )
        opened_seal = open_wrap(envelope, wrapped(written(seal.plain())))
        assert opened_seal == seal
        assert envelope._shared_x.cache_info().currsize == 0
    assert isinstance(open_seal(envelope, seal), tuple)
    assert envelope._shared_x.cache_info().currsize == 1


# --- made again


def test_a_wrap_made_again_is_the_same_event() -> None:
    """After a crash, with everything built anew: not two messages but one, in every later version too."""
    message: dict[str, Any] = {"to": ANA.pubkey, "text": "done", "at": AT, "name": b"effect", "in_reply_to": "ab" * 32}
    first = make_wrap(BOT, BOT_ENVELOPE, **message)
    keys = Keys.from_secret(b"\1" * 32)
    again = make_wrap(keys, Envelope(keys), **message)
    assert again.plain() == first.plain()
    assert again.id == "0df3d405e22056e273b91810a2338cef66e2ae0d8962c10f283b63e91b5dfa92"


@pytest.mark.parametrize(
    "changes",
    [{"to": MALLORY.pubkey}, {"text": "done."}, {"at": AT + 1}, {"name": b"effect2"}, {"in_reply_to": "ab" * 32}],
    ids=lambda changes: next(iter(changes)),
)
def test_another_message_has_another_throw_away_key(changes: dict[str, Any]) -> None:
    """Whatever differs: a key used for two messages would connect them."""
    assert from_bot(**changes).pubkey != from_bot().pubkey


def test_another_bot_has_other_throw_away_keys() -> None:
    """They come from the secret: who knows the whole message still cannot make its wrap."""
    theirs = make_wrap(MALLORY, MALLORY_ENVELOPE, to=ANA.pubkey, text="done", at=AT, name=b"effect")
    assert theirs.pubkey != from_bot().pubkey


@pytest.mark.parametrize("secret", [bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32])
def test_a_derived_secret_off_the_curve_is_followed_by_the_next(secret: bytes) -> None:
    keys = giftwrap._keys_from(secret)
    assert keys == giftwrap._keys_from(secret)
    assert keys.pubkey not in {BOT.pubkey, giftwrap._keys_from((1).to_bytes(32, "big")).pubkey}


def test_a_derived_secret_on_the_curve_is_the_key() -> None:
    for scalar in (1, ORDER - 1):
        assert giftwrap._keys_from(scalar.to_bytes(32, "big")) == Keys.from_secret(scalar.to_bytes(32, "big"))


# --- dates


@settings(max_examples=100, deadline=None)
@given(message=MESSAGES)
def test_seal_and_wrap_are_dated_within_the_two_days_before_the_message(message: dict[str, Any]) -> None:
    """Never in the future: relays refuse that, and it would give the time away."""
    wrap = from_bot(**message)
    seal, _, rumor = opened_by_ana(wrap)
    assert rumor.created_at == message["at"]
    assert message["at"] - 172_800 <= seal.created_at <= message["at"]
    assert message["at"] - 172_800 <= wrap.created_at <= message["at"]


def test_dates_are_spread_over_the_two_days_and_do_not_connect_the_layers() -> None:
    """Of forty messages of one second some are in each half day, and no wrap is dated like its seal."""
    ages = []
    for n in range(40):
        wrap = from_bot(name=b"%d" % n)
        ages.append((AT - wrap.created_at, AT - opened_by_ana(wrap)[0].created_at))
    assert {wrap_age_s // 43_200 for wrap_age_s, _ in ages} == {0, 1, 2, 3}
    assert {seal_age_s // 43_200 for _, seal_age_s in ages} == {0, 1, 2, 3}
    assert all(wrap_age_s != seal_age_s for wrap_age_s, seal_age_s in ages)


# --- how long a text may be


def frame_bytes(wrap: VerifiedEvent) -> int:
    """Of the longest frame a relay may send it in."""
    return len(orjson.dumps(["EVENT", "s" * 64, wrap.plain()]))


LONGEST: dict[str, Any] = {"at": 2**53 - 1, "in_reply_to": "ab" * 32}


def test_the_longest_text_fits_in_a_frame() -> None:
    wrap = from_bot("x" * WRAPPED_TEXT_MAX_BYTES, **LONGEST)
    _, said, rumor = opened_by_ana(wrap)
    assert WRAPPED_TEXT_MAX_BYTES == 28_315
    assert len(said) == RUMOR_MAX_BYTES
    assert len(rumor.content) == WRAPPED_TEXT_MAX_BYTES
    assert frame_bytes(wrap) == 55_204
    gift = nostr_sdk.UnwrappedGift.from_gift_wrap(
        SDK_ANA, nostr_sdk.Event.from_json(written(from_bot("x" * WRAPPED_TEXT_MAX_BYTES).plain()))
    )
    assert gift.rumor().content() == "x" * WRAPPED_TEXT_MAX_BYTES


def test_one_byte_more_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is no smaller than it must be."""
    monkeypatch.setattr(giftwrap, "WRAPPED_TEXT_MAX_BYTES", WRAPPED_TEXT_MAX_BYTES + 1)
    assert frame_bytes(from_bot("x" * (WRAPPED_TEXT_MAX_BYTES + 1), **LONGEST)) == 66_128 > FRAME_MAX_BYTES


@pytest.mark.parametrize(
    ("character", "size"), [("x", 1), ("é", 2), ("₿", 3), ("😀", 4), ("\n", 2), ('"', 2), ("\1", 6)]
)
def test_a_text_counts_as_json_writes_it(character: str, size: int) -> None:
    fits = WRAPPED_TEXT_MAX_BYTES // size
    assert text_bytes(character) == size
    assert frame_bytes(from_bot(character * fits, **LONGEST)) <= FRAME_MAX_BYTES
    with pytest.raises(SealingError, match=r"^text of \d+ bytes, as JSON, is longer than 28315$"):
        from_bot(character * (fits + 1))


def test_a_text_without_utf8_is_an_error() -> None:
    with pytest.raises(SealingError, match="lone surrogate"):
        from_bot("\ud800")


def test_a_reader_off_the_curve_is_an_error() -> None:
    with pytest.raises(KeyTextError):
        from_bot(to="f" * 64)


# --- who is believed


def test_a_seal_around_somebody_elses_rumor_is_refused() -> None:
    """Mallory seals what ana is said to have written: the seal's signature is the only one there is."""
    seal = sealed_by(MALLORY, written(rumor_of(ANA)))
    wrap = wrapped(written(seal.plain()))
    assert open_wrap(BOT_ENVELOPE, wrap) == seal
    assert opened(BOT_ENVELOPE, wrap) == Refusal(Reason.SEAL_MISMATCH)
    with pytest.raises(nostr_sdk.NostrSdkError):
        nostr_sdk.UnwrappedGift.from_gift_wrap(SDK_BOT, nostr_sdk.Event.from_json(written(wrap.plain())))


def test_a_seal_signed_by_mallory_in_anas_name_is_refused() -> None:
    seal = sealed_by(MALLORY, written(rumor_of(ANA))).plain()
    forged = seal | {"pubkey": ANA.pubkey}
    assert_refused(open_wrap(BOT_ENVELOPE, wrapped(written(forged))), Reason.WRONG_ID)
    forged["id"] = event_id(ANA.pubkey, AT, SEAL, [], forged["content"])
    assert_refused(open_wrap(BOT_ENVELOPE, wrapped(written(forged))), Reason.BAD_SIGNATURE)


def test_a_seal_for_another_reader_wrapped_for_us_is_refused() -> None:
    """Mallory, to whom ana wrote, passes ana's seal on as if ana had written to the bot."""
    content = ANA_ENVELOPE.seal_to(MALLORY.pubkey, written(rumor_of(ANA)), Scheme.NIP44, b"seal")
    seal = sealed_by(ANA, "-", content=content)
    assert open_wrap(BOT_ENVELOPE, wrapped(written(seal.plain()))) == seal
    assert open_seal(BOT_ENVELOPE, seal) == Refusal(Reason.UNDECRYPTABLE)


def test_our_own_seal_sent_back_is_refused() -> None:
    """Ana wraps for the bot what the bot sealed for her: the bot has not written to itself."""
    seal, _, _ = opened_by_ana(from_bot())
    assert opened(BOT_ENVELOPE, wrapped(written(seal.plain()))) == Refusal(Reason.UNDECRYPTABLE)


def test_a_seal_in_another_wrap_is_the_same_message() -> None:
    """Anybody who saw a seal can wrap it again, so the rumor's id is what has one effect."""
    seal = written(sealed_by(ANA, written(rumor_of(ANA))).plain())
    first, second = wrapped(seal), wrapped(seal, created_at=AT + 1)
    assert first != second
    assert opened(BOT_ENVELOPE, first) == opened(BOT_ENVELOPE, second)


# --- what is refused, from the outside in


def test_only_a_gift_wrap_is_unwrapped() -> None:
    text = written(sealed_by(ANA, written(rumor_of(ANA))).plain())
    for kind in (DIRECT_MESSAGE, SEAL, 1060):
        assert_refused(open_wrap(BOT_ENVELOPE, wrapped(text, kind=kind)), Reason.BAD_SHAPE)


def test_only_a_seal_is_in_a_wrap() -> None:
    """A direct message signed by ana is no seal, and a wrap in a wrap has no author."""
    seal = sealed_by(ANA, written(rumor_of(ANA)))
    for inner in (
        sealed_by(ANA, "-", kind=DIRECT_MESSAGE),
        sealed_by(ANA, "-", kind=14),
        wrapped(written(seal.plain())),
    ):
        assert_refused(open_wrap(BOT_ENVELOPE, wrapped(written(inner.plain()))), Reason.BAD_SHAPE)
        assert_refused(open_seal(BOT_ENVELOPE, inner), Reason.BAD_SHAPE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("balance", Reason.NOT_JSON),
        ("NaN", Reason.NOT_JSON),
        ("[" * 5_000, Reason.NOT_JSON),
        ("[]", Reason.BAD_SHAPE),
        ("{}", Reason.BAD_SHAPE),
        ('{"kind":13,"kind":13}', Reason.BAD_SHAPE),
        (written(rumor_of(ANA)), Reason.BAD_SHAPE),
    ],
)
def test_what_is_no_signed_event_is_refused_in_a_wrap(text: str, reason: Reason) -> None:
    assert_refused(open_wrap(BOT_ENVELOPE, wrapped(text)), reason)


def test_a_seal_with_a_key_twice_is_refused() -> None:
    """Two readers could take it differently, each with a true signature."""
    seal = sealed_by(ANA, written(rumor_of(ANA)))
    twice = f'{{"kind":1,{written(seal.plain())[1:]}'
    assert json.loads(twice) == seal.plain()
    assert_refused(open_wrap(BOT_ENVELOPE, wrapped(twice)), Reason.BAD_SHAPE)


@pytest.mark.parametrize("scheme", [Scheme.PLAIN, Scheme.NIP04])
def test_other_ciphers_are_refused_in_both_layers(scheme: Scheme) -> None:
    """NIP-59 is NIP-44 alone: the others prove no integrity."""
    seal = sealed_by(ANA, written(rumor_of(ANA)))
    content = Envelope(THROWAWAY).seal_to(BOT.pubkey, written(seal.plain()), scheme, b"wrap")
    assert open_wrap(BOT_ENVELOPE, wrapped("-", content=content)) == Refusal(Reason.UNDECRYPTABLE)
    content = ANA_ENVELOPE.seal_to(BOT.pubkey, written(rumor_of(ANA)), scheme, b"seal")
    assert open_seal(BOT_ENVELOPE, sealed_by(ANA, "-", content=content)) == Refusal(Reason.UNDECRYPTABLE)


def with_byte_flipped(text: str, position: int, mask: int) -> str:
    raw = bytearray(text.encode())
    raw[position] ^= mask
    return raw.decode()


def payloads_flipped(content: str) -> list[str]:
    """The NIP-44 payload with each of its bytes changed, one at a time."""
    raw = b64decode(content)
    return [b64encode(raw[:n] + bytes([raw[n] ^ 1]) + raw[n + 1 :]).decode() for n in range(len(raw))]


def test_every_byte_flipped_in_a_wrap_is_refused() -> None:
    """Signed again by the throw-away key, as whoever made the wrap could."""
    wrap = wrapped(written(sealed_by(ANA, written(rumor_of(ANA))).plain()))
    for content in payloads_flipped(wrap.content):
        assert open_wrap(BOT_ENVELOPE, wrapped("-", content=content)) == Refusal(Reason.UNDECRYPTABLE)


@pytest.mark.parametrize("mask", [0x01, 0x20])
def test_every_byte_flipped_in_a_seal_is_refused(mask: int) -> None:
    """Wrapped again, as anybody who saw the seal could; 0x20 turns lower case into upper case."""
    text = written(sealed_by(ANA, written(rumor_of(ANA))).plain())
    reasons = set()
    for position in range(len(text)):
        outcome = open_wrap(BOT_ENVELOPE, wrapped(with_byte_flipped(text, position, mask)))
        assert isinstance(outcome, Refusal), position
        reasons.add(outcome.reason)
    assert {Reason.NOT_JSON, Reason.BAD_SHAPE, Reason.WRONG_ID} <= reasons


def test_every_byte_flipped_in_what_is_sealed_is_refused() -> None:
    """Signed again by ana, as only she could."""
    seal = sealed_by(ANA, written(rumor_of(ANA)))
    for content in payloads_flipped(seal.content):
        assert open_seal(BOT_ENVELOPE, sealed_by(ANA, "-", content=content)) == Refusal(Reason.UNDECRYPTABLE)


@pytest.mark.parametrize("mask", [0x01, 0x20])
def test_every_byte_flipped_in_a_rumor_is_refused(mask: int) -> None:
    """Two apart, that spell the key "id": a rumor without an id is the same rumor."""
    text = written(rumor_of(ANA))
    for position in range(len(text)):
        outcome = open_seal(BOT_ENVELOPE, sealed_by(ANA, with_byte_flipped(text, position, mask)))
        if text[2:4] == "id" and position in {2, 3}:
            assert isinstance(outcome, tuple)
            assert outcome[1] == read_rumor(text)
        else:
            assert isinstance(outcome, Refusal), position


# --- rumors


def test_a_missing_id_is_filled_in() -> None:
    """NIP-59 does not say that a rumor has one."""
    rumor = rumor_of(ANA)
    full = read_rumor(written(rumor))
    assert full == Rumor(rumor["id"], ANA.pubkey, AT, 14, (("p", BOT.pubkey),), "balance")
    del rumor["id"]
    assert read_rumor(written(rumor)) == full


@pytest.mark.parametrize("sig", [None, "", 5, "ab" * 64])
def test_a_signature_is_ignored(sig: object) -> None:
    """Nothing is believed for it, so it cannot be wrong."""
    assert read_rumor(written(rumor_of(ANA) | {"sig": sig})) == read_rumor(written(rumor_of(ANA)))


def test_another_id_than_its_own_is_refused() -> None:
    assert read_rumor(written(rumor_of(ANA, id="ab" * 32))) == Refusal(Reason.WRONG_ID)
    assert read_rumor(written(rumor_of(ANA, content="another"))) == Refusal(Reason.WRONG_ID)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": ""},
        {"id": "AB" * 32},
        {"id": 5},
        {"pubkey": None},
        {"pubkey": ANA.npub},
        {"pubkey": ANA.pubkey.upper()},
        {"created_at": float(AT)},
        {"created_at": -1},
        {"created_at": True},
        {"created_at": 2**53},
        {"kind": 14.0},
        {"kind": "14"},
        {"kind": 65_536},
        {"tags": None},
        {"tags": {}},
        {"tags": [[]]},
        {"tags": [["p", 1]]},
        {"tags": ["p"]},
        {"content": None},
        {"content": {}},
    ],
    ids=str,
)
def test_a_rumor_of_the_wrong_shape_is_refused(changes: dict[str, object]) -> None:
    assert_refused(read_rumor(written(rumor_of(ANA) | changes)), Reason.BAD_SHAPE)


@pytest.mark.parametrize("field", ["pubkey", "created_at", "kind", "tags", "content"])
def test_a_rumor_that_lacks_a_field_is_refused(field: str) -> None:
    rumor = rumor_of(ANA)
    del rumor[field]
    assert_refused(read_rumor(written(rumor)), Reason.BAD_SHAPE)


@pytest.mark.parametrize("field", ["id", "pubkey", "content", "sig", "else"])
def test_a_rumor_with_a_key_twice_is_refused(field: str) -> None:
    text = written({"sig": "", "else": ""} | rumor_of(ANA))
    assert isinstance(read_rumor(text), Rumor)
    assert_refused(read_rumor(f'{{"{field}":"",{text[1:]}'), Reason.BAD_SHAPE)


@pytest.mark.parametrize("text", ["", "balance", "NaN", '{"content":"\\ud800"}', '{"content":"\ud800"}', "[" * 5_000])
def test_what_is_not_json_is_no_rumor(text: str) -> None:
    assert_refused(read_rumor(text), Reason.NOT_JSON)


@pytest.mark.parametrize("text", ["null", "5", '"x"', "[]"])
def test_json_that_is_no_object_is_no_rumor(text: str) -> None:
    assert_refused(read_rumor(text), Reason.BAD_SHAPE)


@pytest.mark.parametrize("character", ["x", "é"])
def test_a_rumor_longer_than_nip44_carries_is_refused(character: str) -> None:
    """The journal's texts are read by the same door, where no cipher has bounded them."""
    rumor = {"pubkey": ANA.pubkey, "created_at": AT, "kind": 14, "tags": []}
    room = TEXT_MAX_BYTES - len(written({**rumor, "content": ""}))
    count = room // len(character.encode())
    padding = " " * (room - count * len(character.encode()))
    longest = written({**rumor, "content": character * count}) + padding
    assert len(longest.encode()) == TEXT_MAX_BYTES
    assert isinstance(read_rumor(longest), Rumor)
    assert read_rumor(longest + " ") == Refusal(Reason.BAD_SHAPE, "too long")


@settings(max_examples=200, deadline=None)
@given(text=TEXTS.filter(bool) | st.recursive(st.none() | st.integers() | TEXTS, st.lists).map(json.dumps))
def test_no_text_raises_in_any_layer(text: str) -> None:
    assert isinstance(open_wrap(BOT_ENVELOPE, wrapped(text)), Refusal)
    assert isinstance(open_seal(BOT_ENVELOPE, sealed_by(ANA, text)), Refusal)
    assert isinstance(read_rumor(text), Refusal)
