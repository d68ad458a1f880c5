"""Duplicate keys: JSON that says one thing twice is found, however it is written."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.nostr.duplicate_keys import has_duplicate_keys

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"n":1,"n":2}',
        b'{"n":1,"n":1}',
        b'{"n":1, "m":2, "n":3}',
        b'[{"a":{"b":1,"b":1}}]',
        b'{"n":1,"\\u006e":2}',  # the same letter, escaped
        b'{"":1,"":2}',
    ],
)
def test_what_is_said_twice_is_found(raw: bytes) -> None:
    """At any depth, and where the two are alike."""
    assert has_duplicate_keys(raw, orjson.loads(raw))


@pytest.mark.parametrize(
    "raw",
    [b"{}", b'{"n":1,"N":2}', b'[{"n":1},{"n":2}]', b' {"n" : 1}', b'{"a":{"n":1},"n":2}', b'"n"', b'{"\\u006e":2}'],
)
def test_what_is_said_once_is_not(raw: bytes) -> None:
    """The same name in another object is another thing; blanks and escapes say nothing."""
    assert not has_duplicate_keys(raw, orjson.loads(raw))


@given(values, st.booleans())
def test_honest_json_has_none(value: object, is_wide: bool) -> None:
    """Compact or with blanks, ASCII or not."""
    raw = json.dumps(value, ensure_ascii=is_wide, indent=1 if is_wide else None).encode("utf-8", "surrogatepass")
    try:
        decoded = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return  # lone surrogates are no JSON of anybody's
    assert not has_duplicate_keys(raw, decoded)


def test_what_cannot_be_compared_is_refused_with_them() -> None:
    """300 levels: orjson reads them and does not write them."""
    raw = b"[" * 300 + b"]" * 300
    assert has_duplicate_keys(raw, orjson.loads(raw))
