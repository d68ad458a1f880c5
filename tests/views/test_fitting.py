"""Fitting: what is cut to fit does fit, and no row is left out that had room."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.core.plain import View
from nostrbot.nostr.giftwrap import WRAPPED_TEXT_MAX_BYTES
from nostrbot.nostr.sealing import Scheme
from nostrbot.views.fitting import DATA_BYTES_MAX, REPLY_BYTES_MAX, fits, row_bytes, rows_that_fit, view_bytes
from nostrbot.views.json_text import json_text
from nostrbot.views.lines import escape


def row(number: int, size: int) -> View:
    """A row of so many bytes in an answer."""
    bare: View = {"id": f"s{number}", "note": ""}
    return bare | {"note": "x" * (size - row_bytes(bare))}


def test_rows_fill_an_answer_to_the_last_byte() -> None:
    """Ten of a tenth fit; with one byte used already, nine do."""
    tenth = DATA_BYTES_MAX // 10
    rows = [row(number, tenth) for number in range(10, 22)]
    assert row_bytes(rows[0]) == tenth
    assert rows_that_fit(rows) == rows[:10]
    assert rows_that_fit(rows, used_bytes=DATA_BYTES_MAX % 10 + 1) == rows[:9]
    assert rows_that_fit(rows, used_bytes=DATA_BYTES_MAX) == []


def test_a_row_after_one_that_does_not_fit_is_not_taken() -> None:
    """Pages have no holes."""
    assert rows_that_fit([row(1, 100), row(2, DATA_BYTES_MAX), row(3, 100)]) == [row(1, 100)]


def test_rows_that_do_not_fit_are_never_made() -> None:
    """Of a list of a million, no more than one too many."""
    made = 0

    def rows() -> Iterator[View]:
        nonlocal made
        while True:
            made += 1
            yield row(1, DATA_BYTES_MAX // 4)

    assert len(rows_that_fit(rows())) == 4
    assert made == 5


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers()), max_size=30))
def test_a_row_is_counted_as_it_is_shown(rows: list[View]) -> None:
    """Escaped, it is never longer than what was counted for it; data is counted as JSON."""
    for one in rows:
        assert len(escape(json_text(one)).encode()) < row_bytes(one)
        assert view_bytes(one) == len(json_text(one).encode())
    assert rows_that_fit(rows) == rows


@pytest.mark.parametrize("scheme", [Scheme.NIP04, Scheme.NIP44, Scheme.PLAIN])
def test_an_answer_fits_to_the_last_byte(scheme: Scheme) -> None:
    """Bytes, not characters."""
    assert fits("x" * REPLY_BYTES_MAX, scheme)
    assert not fits("x" * (REPLY_BYTES_MAX + 1), scheme)
    assert not fits("é" * (REPLY_BYTES_MAX // 2) + "x", scheme)


def test_a_gift_wrap_holds_less() -> None:
    """Its text is in JSON, where a quote takes two bytes, in JSON again."""
    assert fits("x" * 1_000, Scheme.NIP17)
    assert not fits("x" * (WRAPPED_TEXT_MAX_BYTES + 1), Scheme.NIP17)
    assert not fits('"' * (WRAPPED_TEXT_MAX_BYTES // 2 + 1), Scheme.NIP17)


def test_integers_stay_whole_however_long() -> None:
    """orjson takes 64 bits; what a book owes may be longer in a view of the platform."""
    assert json_text({"sats": 2**70}) == '{"sats":1180591620717411303424}'
    assert json_text({"n": [1, "é"]}) == '{"n":[1,"é"]}'
    assert json_text({"n": 1}, indented=True) == '{\n  "n": 1\n}'
    assert json_text({"n": 2**70}, indented=True) == '{\n  "n": 1180591620717411303424\n}'
