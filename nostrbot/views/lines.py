"""Lines: text that is safe to show, and rows as lines.

What lives here: what every answer's words are made with. What does not: the words (messages/replies.py and those beside
it). Answers show what people and machines wrote escaped, so that no name can play tricks with the reader's screen
(faults.md row 45).
"""

from collections.abc import Callable, Mapping
from typing import Any

from nostrbot.core.plain import View


def escape(text: str) -> str:
    """Make somebody's word or line safe to show: control, bidirectional and invisible characters become escapes.

    A line break as well: what a machine says of its cash must not look like a line about another one.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def escape_lines(text: str) -> str:
    """Make somebody's lines safe to show; they stay lines."""
    return "\n".join(map(escape, text.split("\n")))


def _escaped(character: str) -> str:
    code = ord(character)
    if character == "\n":
        return "\\n"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def listing(rows: list[View], empty: str, line: Callable[[View], str], more: Mapping[str, Any]) -> str:
    """Rows, a line each, and where there are more of them; `empty` when there is none."""
    if not rows:
        return empty
    lines = [line(row) for row in rows]
    if more.get("more"):
        lines.append(f"There is more: add before={more['before']}")
    return "\n".join(lines)
