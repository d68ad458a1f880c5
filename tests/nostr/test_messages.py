"""Frames: what relays may say, and that nothing they say raises (docs/protocol.md section 2, fault row 28)."""

import json
import tracemalloc
from typing import Any

import nostr_sdk
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.nostr.event import VerifiedEvent, read_event, sign_event
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.kinds import RELAY_AUTH
from nostrbot.nostr.messages import (
    FRAME_MAX_BYTES,
    AuthChallenge,
    Closed,
    Eose,
    EventMessage,
    Message,
    Notice,
    Ok,
    auth_message,
    close_message,
    event_message,
    read_message,
    req_message,
)
from nostrbot.refusals import Reason, Refusal

KEYS = Keys.from_secret("01" * 32)
ID = "ab" * 32


def an_event(**changes: Any) -> VerifiedEvent:
    fields: dict[str, Any] = {"kind": 1, "tags": [["p", KEYS.pubkey]], "content": '{"a": "\n"}é', "created_at": 1}
    return sign_event(KEYS, **(fields | changes))


def assert_refused(result: Message | Refusal, reason: Reason) -> None:
    assert isinstance(result, Refusal), result
    assert result.reason is reason


# --- what we write


def test_what_we_write_is_the_json_of_nip_01() -> None:
    event = an_event()
    assert json.loads(event_message(event)) == ["EVENT", event.plain()]
    assert json.loads(req_message("s", [Filter(kinds=[4]), Filter(limit=1)])) == [
        "REQ",
        "s",
        {"kinds": [4]},
        {"limit": 1},
    ]
    assert json.loads(close_message("s")) == ["CLOSE", "s"]
    proof = an_event(kind=RELAY_AUTH, tags=[["relay", "wss://x"], ["challenge", "c"]], content="")
    assert json.loads(auth_message(proof)) == ["AUTH", proof.plain()]


def test_nostr_sdk_reads_what_we_write() -> None:
    event = an_event()
    assert nostr_sdk.ClientMessage.from_json(event_message(event)).as_json()
    assert nostr_sdk.ClientMessage.from_json(req_message("s", [Filter(kinds=[4], p_tags=[KEYS.pubkey])])).as_json()
    assert nostr_sdk.ClientMessage.from_json(close_message("s")).as_json()
    assert nostr_sdk.ClientMessage.from_json(auth_message(event)).as_json()


# --- what we read


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["EVENT", "s", {"id": 1}], EventMessage("s", {"id": 1})),
        (["OK", ID, True, ""], Ok(ID, accepted=True, message="")),
        (["OK", ID, False, "blocked: no"], Ok(ID, accepted=False, message="blocked: no")),
        (["EOSE", "s"], Eose("s")),
        (["CLOSED", "s", "auth-required: who?"], Closed("s", "auth-required: who?")),
        (["NOTICE", "hello"], Notice("hello")),
        (["AUTH", "challenge"], AuthChallenge("challenge")),
    ],
)
def test_each_message_reads_as_itself_as_text_and_as_bytes(items: list[Any], expected: Message) -> None:
    """Compact or spaced, escaped or not."""
    for frame in (orjson.dumps(items), orjson.dumps(items).decode(), json.dumps(items), json.dumps(items, indent=1)):
        assert read_message(frame) == expected


def test_an_event_survives_its_frame() -> None:
    event = an_event()
    for frame in (orjson.dumps(["EVENT", "s", event.plain()]), json.dumps(["EVENT", "s", event.plain()])):
        message = read_message(frame)
        assert isinstance(message, EventMessage)
        assert read_event(message.obj) == event


@pytest.mark.parametrize(
    "items",
    [
        None,
        1,
        "EOSE",
        {"EOSE": "s"},
        [],
        [[]],
        ["EOSE"],
        ["EOSE", 1],
        ["EOSE", None],
        ["EOSE", ""],
        ["EOSE", "s" * 65],
        ["eose", "s"],
        ["COUNT", "s", {"count": 1}],
        ["EVENT", "s"],
        ["EVENT", {"id": 1}],
        ["EVENT", "s", []],
        ["EVENT", "s", "{}"],
        ["EVENT", "", {}],
        ["OK"],
        ["OK", None, True, ""],
        ["OK", ID[:-1], True, ""],
        ["CLOSED"],
        ["CLOSED", ["s"], "error: what?"],
        ["AUTH"],
        ["AUTH", {}],
    ],
)
def test_what_lacks_an_item_that_decides_is_no_message(items: object) -> None:
    assert_refused(read_message(orjson.dumps(items)), Reason.BAD_SHAPE)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (["OK", ID, True], Ok(ID, accepted=True, message="")),
        (["OK", ID, True, None], Ok(ID, accepted=True, message="")),
        (["OK", ID, True, 7], Ok(ID, accepted=True, message="")),
        (["OK", ID, True, "", 1], Ok(ID, accepted=True, message="")),
        (["OK", ID.upper(), True, ""], Ok(ID, accepted=True, message="")),
        (["OK", ID, "true", ""], Ok(ID, accepted=True, message="")),
        (["OK", ID, 1, ""], Ok(ID, accepted=True, message="")),
        # Whether it was taken is what an OK is for: where that cannot be read, it was not.
        (["OK", ID], Ok(ID, accepted=False, message="")),
        (["OK", ID, None, "error: busy"], Ok(ID, accepted=False, message="error: busy")),
        (["OK", ID, "false", ""], Ok(ID, accepted=False, message="")),
        (["OK", ID, 0, ""], Ok(ID, accepted=False, message="")),
        (["OK", ID, 1.0, ""], Ok(ID, accepted=False, message="")),
        (["OK", ID, [], "", ""], Ok(ID, accepted=False, message="")),
        (["OK", ID, False, "blocked: no", {"more": 1}], Ok(ID, accepted=False, message="blocked: no")),
        (["OK", "", False, "invalid: what the PyPI relay says"], Notice("invalid: what the PyPI relay says")),
        (["EOSE", "s", "s"], Eose("s")),
        (["EOSE", "s", 1, None], Eose("s")),
        (["CLOSED", "s"], Closed("s", "")),
        (["CLOSED", "s", 1], Closed("s", "")),
        (["CLOSED", "s", "error: no", "more"], Closed("s", "error: no")),
        (["NOTICE"], Notice("")),
        (["NOTICE", ["x"]], Notice("")),
        (["NOTICE", None], Notice("")),
        (["NOTICE", "x", "y"], Notice("x")),
        (["AUTH", "c", "c"], AuthChallenge("c")),
        (["EVENT", "s", {"id": 1}, {}], EventMessage("s", {"id": 1})),
    ],
)
def test_f5_the_first_items_decide(items: list[Any], expected: Message) -> None:
    """A text that is missing, or none, is empty; what stands behind the last item is ignored."""
    assert read_message(orjson.dumps(items)) == expected


@pytest.mark.parametrize(
    "frame",
    [
        "",
        " ",
        "[",
        '["EOSE","s"]x',
        '["EOSE","s",]',
        "['EOSE','s']",
        '["NOTICE",NaN]',
        '["NOTICE",Infinity]',
        '["NOTICE",1e400]',
        '["NOTICE","\\ud800"]',
        '["NOTICE","\ud800"]',
        '["NOTICE","a\x00b"]',
        '["NOTICE","a\nb"]',
        '\ufeff["EOSE","s"]',
        b"\xff\xfe",
        b'["NOTICE","\xed\xa0\x80"]',
        b'["NOTICE","\xc0\x80"]',
        b"\x00" * 1000,
        "[" * 30_000,
        "[" * 30_000 + "]" * 30_000,
        '{"a":' * 10_000,
    ],
)
def test_what_is_not_json_is_refused(frame: bytes | str) -> None:
    """NaN, 1e400, lone surrogates, raw control characters, a depth of 30,000 (row 28)."""
    assert_refused(read_message(frame), Reason.NOT_JSON)


# --- the cap


def test_the_cap_is_inclusive_and_counts_bytes() -> None:
    envelope = len(orjson.dumps(["NOTICE", ""]))
    fits = json.dumps(["NOTICE", "x" * (FRAME_MAX_BYTES - envelope)], separators=(",", ":"))
    assert len(fits) == FRAME_MAX_BYTES
    assert isinstance(read_message(fits), Notice)
    assert isinstance(read_message(fits.encode()), Notice)
    assert_refused(read_message(fits + " "), Reason.FRAME_TOO_LARGE)
    assert_refused(read_message(fits.encode() + b" "), Reason.FRAME_TOO_LARGE)
    assert_refused(read_message(fits.replace("x", "é", 1)), Reason.FRAME_TOO_LARGE)


@pytest.mark.parametrize(
    "frame", ["x" * 10_000_000, b"[" * 10_000_000, '["EVENT","s",{"tags":[' + '["t"],' * 1_000_000]
)
def test_a_huge_frame_is_refused_with_constant_memory(frame: bytes | str) -> None:
    """10 MB, a million tags: the cap comes before parsing (row 28)."""
    tracemalloc.start()
    result = read_message(frame)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert_refused(result, Reason.FRAME_TOO_LARGE)
    assert peak_bytes < 10_000


# --- duplicate keys


GOOD = orjson.dumps(an_event(content="x").plain()).decode()


@pytest.mark.parametrize(
    "obj",
    [
        GOOD[:-1] + ',"content":"x"}',
        GOOD[:-1] + ',"content":"y"}',
        '{"content":"y",' + GOOD[1:],
        GOOD[:-1] + ',"conten\\u0074":"x"}',
        GOOD[:-1] + ', "content" : "x"}',
        GOOD[:-1] + ',"x":{"a":1,"a":1}}',
        GOOD[:-1] + ',"x":1,"x":1}',
    ],
)
def test_duplicate_keys_are_refused(obj: str) -> None:
    """Two readers may take different ones of the two. Without the duplicate each of these is a good event (row 28)."""
    assert_refused(read_message(f'["EVENT","s",{obj}]'), Reason.BAD_SHAPE)


@pytest.mark.parametrize(
    "content", ['"content":"x"', '\\"id\\":', ":", '{"a":1,"a":2}', "\u2028é\U0001f680", "\x00\x1f\x7f"]
)
def test_content_that_looks_like_duplicate_keys_is_only_content(content: str) -> None:
    event = an_event(content=content, tags=[["id", content], ["id", content]])
    for frame in (json.dumps(["EVENT", "s", event.plain()]), orjson.dumps(["EVENT", "s", event.plain()])):
        message = read_message(frame)
        assert isinstance(message, EventMessage)
        assert read_event(message.obj) == event


@pytest.mark.parametrize("value", ["[" * 1000 + "]" * 1000, "[" * 1010 + "]" * 1010, "9" * 5000, "1e308", "-0.0"])
def test_odd_values_inside_an_event_object_never_raise(value: str) -> None:
    """Nesting near the parsers' limits and numbers past them, with a blank that asks for the slower look (row 28)."""
    message = read_message(f'["EVENT", "s", {{"kind": {value}}}]')
    result = message if isinstance(message, Refusal) else read_event(message.obj)
    assert isinstance(result, Refusal)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_frame_raises(frame: bytes | str) -> None:
    result = read_message(frame)
    assert isinstance(result, Message | Refusal)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)


@given(st.sampled_from(["EVENT", "OK", "EOSE", "CLOSED", "NOTICE", "AUTH"]), st.lists(json_values, max_size=4))
def test_no_json_under_a_known_word_raises(word: str, items: list[Any]) -> None:
    result = read_message(json.dumps([word, *items]))
    assert isinstance(result, Message | Refusal)
