"""Spoiling: valid things, damaged as attackers, bugs and bad disks damage them.

What lives here: strategies that take something valid and give it back a little wrong, as a JSON value, as the text it is
written in, or as bytes. What does not: what is valid at a door, and what that door must do (the tests).

JSON is written by hand here, because no library writes what is no JSON: keys that stand twice, NaN, 1e400, half of a
surrogate pair.
"""

import json
from typing import Any

from hypothesis import strategies as st

Plain = dict[str, Any]  # an event, or any object, as JSON has it


class Verbatim(str):
    """Text that stands in JSON as it is, without quotes."""

    __slots__ = ()


class Pairs(list[tuple[str, Any]]):
    """An object of JSON as a list, so that a key may stand in it twice."""

    __slots__ = ()


DEEP = 10_000
NUMBERS = (
    *("0.5", "1e400", "-1e400", "NaN", "Infinity", "1.0", "1e3", "-0", "-0.0", "01", "+1", "0x10", "0.1e", "1" * 400),
    *map(str, (-1, 0, 1, 2**31, 2**53 - 1, 2**53, 2**60, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**40)),
)
TEXTS = (
    *("", " ", "\0", "\n", "\r\n", "\t", "\x7f", "\x1b[2J", "\u00a0", "\u2028", "\ufeff", "\ufffd", "\U0010ffff"),
    *("\u202eevil\u202c", "\u200b", "\u0430na", "ana\u0301", "\uff11", "\u0661", "\u00b2", "\u0130", "\U0001f468\u200d\U0001f469"),
    *("'; DROP TABLE entries; --", "%s%n", "{0.__class__}", "../../etc/passwd", "$(reboot)", "null", "true", "NaN"),
    *("[//]: # (nip18)", '"', "'", "\\", "\\ud800", "=", "--json", "?iv=", "{", "[", "0", "1", "-1", "1e400", "9" * 400),
)  # fmt: skip
BROKEN = (
    *(r'"\ud800"', r'"\udc00\ud800"', r'"\u0000"', r'"\x41"', "'a'", "undefined", "{", "]", "", "[,]", '{"a":}', "/**/1"),
)  # fmt: skip

numbers = st.sampled_from(NUMBERS).map(Verbatim)
texts = st.sampled_from(TEXTS) | st.text(max_size=20)
others = st.one_of(
    st.sampled_from([None, True, False, [], {}, [[]], {"": None}, [None] * 100]),
    numbers,
    texts,
    st.sampled_from(BROKEN).map(Verbatim),
    st.sampled_from([50, 300, DEEP]).map(lambda depth: Verbatim("[" * depth + "]" * depth)),
    st.sampled_from([50, 300, DEEP]).map(lambda depth: Verbatim('{"a":' * depth + "1" + "}" * depth)),
    st.sampled_from([256, 257, 5_000, 40_000, 70_000]).map(lambda length: "x" * length),
)


def written(value: Any) -> str:
    """The value as JSON, compact; Verbatim and Pairs as they say."""
    match value:
        case Verbatim():
            return str(value)
        case Pairs():
            return "{" + ",".join(f"{json.dumps(name)}:{written(member)}" for name, member in value) + "}"
        case dict():
            return written(Pairs(value.items()))
        case list():
            return "[" + ",".join(map(written, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


@st.composite
def spoilt(draw: st.DrawFn, value: Any) -> Any:
    """A value of JSON with one thing wrong in it, anywhere."""
    members = _members(value)
    if members and draw(st.integers(0, 3)):
        place = draw(st.sampled_from([place for place, _ in members]))
        return _replaced(value, place, draw(spoilt(dict(members)[place])))
    return draw(_spoilt_here(value))


@st.composite
def spoilt_json(draw: st.DrawFn, value: Any) -> str:
    """The JSON of a value with up to three things wrong in it, and sometimes in how it is written."""
    for _ in range(draw(st.integers(0, 3))):
        value = draw(spoilt(value))
    text = written(value)
    return draw(spoilt_text(text)) if draw(st.integers(0, 3)) == 0 else text


@st.composite
def spoilt_text(draw: st.DrawFn, text: str) -> str:
    """A text with up to four pieces of it left out, repeated, moved, or with something put in."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        piece = text[start:end]
        put = draw(
            st.sampled_from(["", piece * 2, piece[::-1], piece.upper(), piece.swapcase(), piece * 50, text[:40]])
            | texts
            | numbers
        )
        text = text[:start] + put + text[end:]
        if draw(st.integers(0, 9)) == 0:
            text = text[:start]
    return text


@st.composite
def spoilt_bytes(draw: st.DrawFn, raw: bytes) -> bytes:
    """Bytes with up to four bits flipped, pieces left out or repeated, or cut short."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 64)))
        match draw(st.sampled_from(["flip", "leave out", "repeat", "put in", "cut", "swap"])):
            case "flip" if start < len(raw):
                raw = raw[:start] + bytes([raw[start] ^ 1 << draw(st.integers(0, 7))]) + raw[start + 1 :]
            case "leave out":
                raw = raw[:start] + raw[end:]
            case "repeat":
                raw = raw[:end] + raw[start:end] + raw[end:]
            case "put in":
                raw = raw[:start] + draw(st.binary(min_size=1, max_size=8)) + raw[start:]
            case "cut":
                raw = raw[:start]
            case "swap":
                raw = raw[start:] + raw[:start]
    return raw


def _members(value: Any) -> list[tuple[Any, Any]]:
    """The places in a value, and what stands there."""
    match value:
        case Pairs() | list():
            return [(index, member[1] if isinstance(value, Pairs) else member) for index, member in enumerate(value)]
        case dict():
            return list(value.items())
        case _:
            return []


def _replaced(value: Any, place: Any, member: Any) -> Any:
    if isinstance(value, Pairs):
        return Pairs((name, member if index == place else old) for index, (name, old) in enumerate(value))
    if isinstance(value, list):
        return [member if index == place else old for index, old in enumerate(value)]
    return {name: member if name == place else old for name, old in value.items()}


@st.composite
def _spoilt_here(draw: st.DrawFn, value: Any) -> Any:
    """Another value in the place of this one, mostly one much like it."""
    match value:
        case Verbatim() | None:
            return draw(others)
        case bool():
            return draw(st.sampled_from([not value, int(value), str(value).lower(), None]) | others)
        case int() | float():
            near = [value + 1, value - 1, -value, value * 10, str(value), [value], Verbatim(f"{value}.0"), bool(value)]
            return draw(st.sampled_from(near) | numbers | others)
        case str():
            near = [
                value.upper(),
                value[:-1],
                value + "0",
                f" {value}",
                [value],
                {"text": value},
                value[::-1],
                value * 2,
            ]
            return draw(st.sampled_from(near) | texts | others | spoilt_text(value))
        case Pairs() | dict():
            pairs = Pairs(value if isinstance(value, Pairs) else value.items())
            return draw(_spoilt_pairs(pairs) | others)
        case _:
            return draw(_spoilt_list(value) | others)


@st.composite
def _spoilt_pairs(draw: st.DrawFn, pairs: Pairs) -> Any:
    """An object with a member less, more, twice, or under another name."""
    if not pairs:
        return Pairs([(draw(texts), draw(others))])
    index = draw(st.integers(0, len(pairs) - 1))
    name, member = pairs[index]
    match draw(st.sampled_from(["less", "twice", "renamed", "more", "shuffled", "a list"])):
        case "less":
            return Pairs(pairs[:index] + pairs[index + 1 :])
        case "twice":
            return Pairs([*pairs, (name, draw(st.just(member) | others))])
        case "renamed":
            return Pairs([*pairs[:index], (draw(texts | st.just(name.upper())), member), *pairs[index + 1 :]])
        case "more":
            return Pairs([*pairs, (draw(texts), draw(others))])
        case "shuffled":
            return Pairs(draw(st.permutations(pairs)))
        case _:
            return [list(pair) for pair in pairs]


@st.composite
def _spoilt_list(draw: st.DrawFn, items: list[Any]) -> Any:
    """A list with an item less, more, or many times."""
    if not items:
        return [draw(others)]
    index = draw(st.integers(0, len(items) - 1))
    match draw(st.sampled_from(["less", "twice", "more", "many", "the item", "nested"])):
        case "less":
            return items[:index] + items[index + 1 :]
        case "twice":
            return [*items[: index + 1], *items[index:]]
        case "more":
            return [*items[:index], draw(others), *items[index:]]
        case "many":
            return items * draw(st.sampled_from([10, 200, 2_000]))
        case "the item":
            return items[index]
        case _:
            return [items]
