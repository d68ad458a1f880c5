"""Lines: what somebody else wrote is shown so that it can be nothing but itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.core.plain import View
from nostrbot.views.lines import escape, escape_lines, listing


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Café ₿ 100", "Café ₿ 100"),
        ("a\nb", "a\\nb"),
        ("\x1b[2J", "\\u001b[2J"),
        ("\u202eGTQ", "\\u202eGTQ"),
        ("a\u200bb", "a\\u200bb"),
        ("\U000e0041", "\\U000e0041"),
        ("", ""),
    ],
)
def test_what_cannot_be_seen_is_shown_as_its_number(typed: str, shown: str) -> None:
    """Control characters, directions, joiners, tags."""
    assert escape(typed) == shown


@given(st.text())
def test_a_line_stays_one_line_that_can_be_printed(text: str) -> None:
    """Shown twice it is shown alike: nothing is left to escape."""
    assert escape(text).isprintable()
    assert escape(escape(text)) == escape(text)


@given(st.text())
def test_lines_stay_as_many_as_they_were(text: str) -> None:
    """Of other breaks (a vertical tab, U+2028) none makes another line."""
    shown = escape_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert shown.splitlines() == shown.split("\n")[: len(shown.splitlines())]


def line(row: View) -> str:
    return f"{row['id']}: {row['sats']} sats"


def test_a_list_is_a_line_a_row_and_where_it_goes_on() -> None:
    """Of none it is said so."""
    rows: list[View] = [{"id": "l2", "sats": 5}, {"id": "l1", "sats": 7}]
    assert listing(rows, "nothing", line, {}) == "l2: 5 sats\nl1: 7 sats"
    assert listing(rows, "nothing", line, {"more": True, "before": "l1"}).endswith("\nThere is more: add before=l1")
    assert listing([], "nothing", line, {"more": True, "before": "l1"}) == "nothing"
