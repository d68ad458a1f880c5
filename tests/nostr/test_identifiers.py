"""Identifiers: however a key was pasted, it is that key or it is told what it is instead; a secret is never repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynostr import bech32

from nostrbot.errors import KeyTextError
from nostrbot.nostr.identifiers import IDENTIFIER_CHARS_MAX, read_identifier
from tests.signers import Signer

ANA = Signer("ana")
HEX, NPUB = ANA.pubkey, ANA.npub


def nprofile(*parts: tuple[int, bytes], size: int | None = None) -> str:
    """An nprofile of these parts; `size` lies about the length of each."""
    raw = b"".join(bytes([kind, len(value) if size is None else size]) + value for kind, value in parts)
    words = bech32.convertbits(raw, 8, 5)
    return str(bech32.bech32_encode("nprofile", words, bech32.Encoding.BECH32))


RELAY = (1, b"wss://relay.example.com")
KEY = (0, bytes.fromhex(HEX))


@pytest.mark.parametrize(
    "pasted",
    [
        HEX,
        HEX.upper(),
        NPUB,
        NPUB.upper(),
        NPUB.capitalize(),
        f"nostr:{NPUB}",
        f"NOSTR:{NPUB}",
        f"web+nostr://{NPUB}",
        f"@{NPUB}",
        f"<{NPUB}>,",
        f"  \u200b{NPUB[:9]}\u00ad{NPUB[9:]}\ufeff\n",
        nprofile(KEY),
        nprofile(RELAY, KEY, RELAY),
        f"nostr:{nprofile(KEY, RELAY)}.",
    ],
)
def test_the_same_key_in_every_form(pasted: str) -> None:
    """Clients write it differently, keyboards and chats add to it."""
    assert read_identifier(pasted) == HEX


@pytest.mark.parametrize(
    ("pasted", "told"),
    [
        ("note1qqqqqq", r"a note \(note1…\)"),
        ("nevent1qqq", "an event"),
        ("naddr1qqq", "the address of an event"),
        ("nrelay1qqq", "a relay"),
        ("lnurl1qqq", "a Lightning URL"),
        ("ana@example.com", "an address"),
        (NPUB[:-1], "cut off or mistyped"),
        (NPUB[:-1] + ("q" if NPUB[-1] != "q" else "p"), "cut off or mistyped"),
        (nprofile(KEY)[:-3], "cut off or mistyped"),
        (nprofile(RELAY), "has no key in it"),
        (nprofile((0, bytes(31))), "has no key in it"),
        (nprofile(KEY, size=33), "has no key in it"),
        ("a" * (IDENTIFIER_CHARS_MAX + 1), "longer than any key"),
        ("ana", "neither"),
        ("", "neither"),
    ],
)
def test_what_is_no_key_is_told_what_it_is(pasted: str, told: str) -> None:
    """In words that say what to ask for."""
    with pytest.raises(KeyTextError, match=told):
        read_identifier(pasted)


@pytest.mark.parametrize("kind", ["nsec", "NSEC", "ncryptsec"])
@pytest.mark.parametrize("around", ["{}", "nostr:{}", "my key is {} keep it"])
def test_a_secret_is_refused_and_not_repeated(kind: str, around: str) -> None:
    """Wherever it stands in what was pasted."""
    secret = f"{kind}1" + "q0p2z9xy8wg" * 5
    with pytest.raises(KeyTextError, match="secret key") as refused:
        read_identifier(around.format(secret))
    assert secret.lower() not in str(refused.value).lower()


@given(st.text() | st.text(alphabet="npub1nsecrofile@:qpzry9x8gf2tvdw0"))
def test_any_text_is_a_key_or_a_named_error(text: str) -> None:
    """Never another exception: it is what people type."""
    try:
        found = read_identifier(text)
    except KeyTextError:
        return
    assert len(bytes.fromhex(found)) == 32
