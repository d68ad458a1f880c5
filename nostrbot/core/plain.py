"""Plain data: records and facts as dicts of strings, integers, booleans and lists, and back.

What lives here: the two directions, composed from the classes' own annotations. What does not: bytes
(journal/entry.py). Made for frozen dataclasses, named tuples, enums, tuples, and optional members of those.
"""

from collections.abc import Callable
from dataclasses import field, fields, is_dataclass
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

View = dict[str, Any]  # what people and programs get to see, as JSON


def plain(value: Any) -> Any:
    """Return the plain data of a value."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is tuple:
        return [plain(item) for item in value]
    names = getattr(kind, "_fields", None)
    if names is not None:  # a named tuple holds nothing but plain values
        return dict(zip(names, value, strict=True))
    if isinstance(value, Enum):
        return value.value
    found = {name: getattr(value, name) for name in value.__slots__}
    for name, member in found.items():
        if type(member) not in _AS_IT_IS:
            found[name] = plain(member)
    for name, default in _added_fields(value.__class__).items():
        if found[name] == default:
            del found[name]
    return found


def since_rules_2(default: Any) -> Any:
    """Declare a field that a class did not have under rules 1. Plain data leave it out if it has its default."""
    return field(default=default, metadata=_ADDED)


_ADDED = {"added": True}


@cache
def _added_fields(kind: Any) -> dict[str, Any]:
    """Return the fields that a class got later, with their defaults."""
    return {one.name: one.default for one in fields(kind) if "added" in one.metadata} if is_dataclass(kind) else {}


_AS_IT_IS = {str, int, bool, type(None)}


def reader(kind: Any) -> Callable[[Any], Any]:
    """Return a function that reads a `kind` from plain data. It raises KeyError, TypeError or ValueError on malformed
    data.
    """
    if kind in _KNOWN:
        return _KNOWN[kind]
    made = _KNOWN[kind] = _reader(kind)
    return made


_KNOWN: dict[Any, Callable[[Any], Any]] = {}


def _reader(kind: Any) -> Callable[[Any], Any]:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple and inner[-1] is Ellipsis:
        item = reader(inner[0])
        return lambda values: tuple([item(value) for value in values])
    if origin is tuple:
        items = tuple(reader(part) for part in inner)
        return lambda values: tuple(read(value) for read, value in zip(items, values, strict=True))
    if set(inner) == {int, str}:
        return _whole_or_text
    if origin in (Union, UnionType):
        (some,) = (reader(part) for part in inner if part is not type(None))
        return lambda value: None if value is None else some(value)
    if kind in (str, int, bool):
        return _exactly(kind)
    if issubclass(kind, Enum):
        return {member.value: member for member in kind}.__getitem__
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)] if is_dataclass(kind) else list(kind._fields)
    members = [(name, reader(hints[name])) for name in names]
    added = _added_fields(kind)

    def read(values: Any) -> Any:
        return kind(*[read_member(values[name]) for name, read_member in members])

    if added:
        return lambda values: read(added | values)

    return read


def _whole_or_text(value: Any) -> int | str:
    if type(value) not in (int, str):
        raise TypeError(f"expected int or str, found {type(value).__name__}")
    found: int | str = value
    return found


def _exactly(kind: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
        return value

    return read
