"""Differences: where two plain values first part, said by the path of the place.

What lives here: the comparison. What does not: what is compared (examination.py, verification.py).
"""

from collections.abc import Iterator
from typing import Any

import orjson

from nostrbot.errors import TrailError
from nostrbot.journal.entry import canonical


def require_same(derived: Any, sealed: Any, place: str, seq: int) -> None:
    """Raise TrailError at the first place where a value of entry `seq` is not what was derived, byte for byte."""
    ours, theirs = canonical(derived), canonical(sealed)
    if ours == theirs:
        return
    field, message = next(_differences(orjson.loads(ours), orjson.loads(theirs), place))
    raise TrailError(seq, field, message)


def _differences(derived: Any, sealed: Any, place: str) -> Iterator[tuple[str, str]]:
    if type(derived) is not type(sealed):
        yield place, f"is {sealed!r}, decided again it is {derived!r}"
    elif isinstance(derived, dict):
        for name in sorted({*derived, *sealed}):
            if name not in derived or name not in sealed:
                yield f"{place}.{name}", "is " + ("missing" if name not in sealed else "not part of what was decided")
            else:
                yield from _differences(derived[name], sealed[name], f"{place}.{name}")
    elif isinstance(derived, list):
        for index, (one, other) in enumerate(zip(derived, sealed, strict=False)):
            yield from _differences(one, other, f"{place}[{index}]")
        if len(derived) != len(sealed):
            yield place, f"has {len(sealed)} members, decided again it has {len(derived)}"
    elif derived != sealed:
        yield place, f"is {sealed!r}, decided again it is {derived!r}"
