"""Plain data: records become dicts and come back as what they were, or not at all."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.core.plain import plain, reader, since_rules_2


class Way(StrEnum):
    IN = "cash_in"
    OUT = "cash_out"


class Note(NamedTuple):
    value: int
    count: int


@dataclass(frozen=True, slots=True)
class Record:
    """One member of each kind that facts are made of."""

    name: str
    sats: int
    active: bool
    way: Way
    notes: tuple[Note, ...]
    pair: tuple[str, int]
    label: str | None
    number: int | str
    booked_at: int | None = since_rules_2(None)


records = st.builds(
    Record,
    name=st.text(),
    sats=st.integers(-(2**63), 2**63 - 1),
    active=st.booleans(),
    way=st.sampled_from(Way),
    notes=st.lists(st.builds(Note, st.integers(0, 100), st.integers(0, 100))).map(tuple),
    pair=st.tuples(st.text(), st.integers(0, 9)),
    label=st.none() | st.text(),
    number=st.integers(0, 9) | st.text(),
    booked_at=st.none() | st.integers(0, 2**31),
)
ONE = Record("ana", 250, True, Way.OUT, (Note(100, 2),), ("a", 1), None, "7")


def test_a_record_as_the_journal_has_it() -> None:
    """Enums by their value, named tuples by name, plain tuples as lists; a later field only where it says something."""
    assert plain(ONE) == {
        "name": "ana",
        "sats": 250,
        "active": True,
        "way": "cash_out",
        "notes": [{"value": 100, "count": 2}],
        "pair": ["a", 1],
        "label": None,
        "number": "7",
    }


@given(records)
def test_a_record_reads_back_from_its_bytes(record: Record) -> None:
    """Of the same types all the way down: True is no 1."""
    read = reader(Record)(orjson.loads(orjson.dumps(plain(record))))
    assert read == record
    assert repr(read) == repr(record)


@given(records)
def test_a_later_field_is_left_out_exactly_where_it_has_its_default(record: Record) -> None:
    """So that facts of rules 1 keep their bytes."""
    assert ("booked_at" in plain(record)) == (record.booked_at is not None)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", 1),
        ("sats", True),
        ("sats", 1.0),
        ("active", 1),
        ("way", "sideways"),
        ("notes", [{"value": 100}]),
        ("notes", [{"value": 100, "count": "2"}]),
        ("pair", ["a"]),
        ("pair", ["a", 1, 2]),
        ("label", 5),
        ("number", None),
        ("number", True),
        ("booked_at", "soon"),
    ],
)
def test_a_member_of_another_kind_does_not_read(member: str, value: Any) -> None:
    """A named error, never a record that is nearly right."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        reader(Record)(plain(ONE) | {member: value})


def test_a_member_that_is_missing_does_not_read_unless_it_came_later() -> None:
    """Only `booked_at` may be missing."""
    fields = plain(ONE)
    for name in fields:
        with pytest.raises(KeyError):
            reader(Record)({key: value for key, value in fields.items() if key != name})
    assert reader(Record)(fields) == ONE
