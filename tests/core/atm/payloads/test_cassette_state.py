"""Cassette statements: exact types or a refusal that names the field (docs/protocol.md 3.4, faults.md row 67)."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.payloads.cassette_state import Stated, read_statement
from nostrbot.refusals import Reason, Refusal

NOTES = {"denomination": 100, "count": 480}


def read(positions: Any) -> tuple[Stated, ...] | Refusal:
    return read_statement(json.dumps({"positions": positions}))


def test_the_protocol_s_example_is_read() -> None:
    """Section 3.4; what a later version adds is ignored."""
    assert read({"1": NOTES, "2": {"denomination": 20, "count": 0, "jammed": False}}) == (
        Stated("1", 100, 480),
        Stated("2", 20, 0),
    )
    assert read_statement('{"positions": {"1": {"denomination": 100, "count": 480}}, "at": 5}') == (
        Stated("1", 100, 480),
    )


def test_the_fullest_statement_fits() -> None:
    """64 positions of 32 characters, each written as an escape."""
    positions = {f"{number:02d}" + "ü" * 30: NOTES for number in range(64)}
    assert len(json.dumps({"positions": positions})) > 13_000
    assert len(read(positions)) == 64


@pytest.mark.parametrize(
    ("positions", "detail"),
    [
        ({}, "positions: Dictionary should have at least 1 item after validation, not 0"),
        ([], "positions: Input should be a valid dictionary"),
        (None, "positions: Input should be a valid dictionary"),
        ({"1": 480}, "positions.…: Input should be a valid dictionary or instance of Notes"),
        ({"1": {"denomination": 100}}, "positions.….count: Field required"),
        ({"1": {"count": 100}}, "positions.….denomination: Field required"),
        ({"1": NOTES | {"denomination": 0}}, "positions.….denomination: Input should be greater than 0"),
        ({"1": NOTES | {"denomination": -5}}, "positions.….denomination: Input should be greater than 0"),
        ({"1": NOTES | {"count": -1}}, "positions.….count: Input should be greater than or equal to 0"),
        ({"1": NOTES | {"count": 1_000_001}}, "positions.….count: Input should be less than or equal to 1000000"),
        ({"1": NOTES | {"count": "480"}}, "positions.….count: Input should be a valid integer"),
        ({"1": NOTES | {"count": True}}, "positions.….count: Input should be a valid integer"),
        ({"1": NOTES | {"count": 480.0}}, "positions.….count: a JSON float: amounts are integers or decimal strings"),
        ({"": NOTES}, "positions.….…: String should have at least 1 character"),
        ({"x" * 33: NOTES}, "positions.….…: String should have at most 32 characters"),
        ({f"{n}": NOTES for n in range(65)}, "positions: Dictionary should have at most 64 items after validation, not more"),
    ],
)  # fmt: skip
def test_what_is_no_statement(positions: Any, detail: str) -> None:
    """Named by field, never by value."""
    assert read(positions) == Refusal(Reason.INVALID, detail)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "content is not JSON"),
        ("[]", "content is not a JSON object"),
        ("{}", "positions: Field required"),
        ('{"positions": {"1": {"denomination": 100, "count": NaN}}}', "content is not JSON"),
        ('{"positions": {"1": {"denomination": 1, "count": 1}, "1": {"denomination": 1, "count": 2}}}', "a key stands there twice"),
        (" " * 16_385, "content is longer than 16384 characters"),
        ('{"positions":' * 9 + "1" + "}" * 9, "nested too deeply"),
    ],
    ids=["empty", "list", "nothing", "nan", "twice", "long", "deep"],
)  # fmt: skip
def test_what_comes_through_no_door(text: str, detail: str) -> None:
    """faults.md row 28."""
    assert read_statement(text) == Refusal(Reason.INVALID, detail)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=40), json_values | st.just(NOTES), max_size=3) | json_values)
@settings(max_examples=150, deadline=None)
def test_nothing_makes_the_reader_raise(positions: Any) -> None:
    """A statement within its bounds, or a refusal."""
    found = read(positions)
    if isinstance(found, Refusal):
        assert found.reason is Reason.INVALID
    else:
        assert found
        assert all(
            1 <= len(place) <= 32 and 0 < value <= 10**6 and 0 <= notes <= 10**6 for place, value, notes in found
        )
