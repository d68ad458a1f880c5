"""JSON of views, with integers of any length.

What lives here: one function. What does not: canonical JSON of what is sealed (journal/entry.py), whose integers are
bounded (core/atm/bounds.py). docs/protocol.md section 6; faults.md row A1.

A view may add up what no book could owe at once: five thousand false sales of every satoshi there is, all of them
refunded. orjson refuses such a sum; an answer must not fail over it.
"""

import json
from typing import Any

import orjson


def json_text(value: Any, *, indented: bool = False) -> str:
    """Return a view as JSON, its integers whole however long they are."""
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else None).decode()
    except orjson.JSONEncodeError:
        separators = None if indented else (",", ":")
        return json.dumps(value, ensure_ascii=False, indent=2 if indented else None, separators=separators)
