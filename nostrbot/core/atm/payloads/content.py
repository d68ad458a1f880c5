"""Content: the one door through which what a machine wrote becomes a JSON object.

What lives here: size, JSON, depth, floats, keys that stand twice, and fitting an object to a schema. What does not: the
schemas (sale.py, cassette_state.py, beacon.py). docs/protocol.md section 3. A refusal names the field, never the value:
it may have been encrypted, and a refusal is logged and kept as it stands.
"""

from collections.abc import Sequence, Set
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from nostrbot.nostr.duplicate_keys import has_duplicate_keys
from nostrbot.refusals import Reason, Refusal

_TOO_DEEP = "nested too deeply"
_ALTERNATIVES = {"int", "str", "constrained-int", "constrained-str"}  # which of two types pydantic tried

Model = TypeVar("Model", bound=BaseModel)


def read_object(
    text: str, *, chars_max: int, depth_max: int, floats: bool = False, names: Set[str] = frozenset()
) -> dict[str, Any] | Refusal:
    """Read a text as a JSON object; `floats`: whether it may hold floats, because no money is read from it.

    `names`: what may be repeated of a path, the names of the schema itself.
    """
    if len(text) > chars_max:
        return invalid(f"content is longer than {chars_max} characters")
    try:
        obj = orjson.loads(text)
    except orjson.JSONDecodeError:
        return invalid("content is not JSON")
    if not isinstance(obj, dict):
        return invalid("content is not a JSON object")
    trouble = _find_unacceptable(obj, depth_max, floats)
    if trouble is not None:
        path, what = trouble
        return invalid(f"{_shown(path, names)}: {what}" if path else what)
    if has_duplicate_keys(text.encode(), obj):
        return invalid("a key stands there twice")
    return obj


def fit(model: type[Model], obj: dict[str, Any], names: Set[str]) -> Model | Refusal:
    """Fit an object to a schema. `names`: the schema's own names, which may be repeated in a field's path."""
    try:
        return model.model_validate(obj)
    except ValidationError as error:
        # Only the field's path and the rule: never the value.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        path = [part for part in first["loc"] if part not in _ALTERNATIVES]
        return invalid(f"{_shown(path, names)}: {first['msg']}")


def _shown(path: Sequence[int | str], names: Set[str]) -> str:
    """Return a field's path, without names that its sender chose."""
    return ".".join(str(part) if isinstance(part, int) or part in names else "…" for part in path)


def invalid(detail: str) -> Refusal:
    """Return the refusal of an unreadable content."""
    return Refusal(Reason.INVALID, detail)


def _find_unacceptable(value: object, depth: int, floats: bool) -> tuple[list[int | str], str] | None:
    """Name a float or too deep a nesting anywhere in the content (floats are refused even in unknown fields), and
    where.
    """
    kind = type(value)
    if kind is dict or kind is list:
        if depth == 0:
            return [], _TOO_DEEP
        members = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
        for name, member in members:
            inner = type(member)
            if inner is str or inner is int:
                continue
            trouble = _find_unacceptable(member, depth - 1, floats)
            if trouble is not None:
                path, what = trouble
                return ([] if what is _TOO_DEEP else [name, *path]), what
        return None
    # orjson reads integers beyond 64 bits as floats, so those land here too.
    is_float = kind.__name__ == "float" and not floats
    return ([], "a JSON float: amounts are integers or decimal strings") if is_float else None
