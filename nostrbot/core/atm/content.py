"""Content: the one door through which what a machine wrote becomes a JSON object.

What lives here: size, JSON, depth, floats, keys that stand twice, and fitting an object to a schema. What does not: the
schemas (settlement.py, statement.py, beacon.py). docs/protocol.md section 3. A refusal names the field, never the value:
it may have been encrypted, and a refusal is logged and kept as it stands.
"""

from collections.abc import Set
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from nostrbot.nostr.duplicate_keys import has_duplicate_keys
from nostrbot.refusals import Reason, Refusal

Model = TypeVar("Model", bound=BaseModel)


def read_object(text: str, *, chars_max: int, depth_max: int, floats: bool = False) -> dict[str, Any] | Refusal:
    """The JSON object that a text is; `floats`: whether it may hold some, because no money is read from it."""
    if len(text) > chars_max:
        return invalid(f"content is longer than {chars_max} characters")
    try:
        obj = orjson.loads(text)
    except orjson.JSONDecodeError:
        return invalid("content is not JSON")
    if not isinstance(obj, dict):
        return invalid("content is not a JSON object")
    trouble = _find_unacceptable(obj, depth_max, floats)
    if trouble:
        return invalid(trouble)
    if has_duplicate_keys(text.encode(), obj):
        return invalid("a key stands there twice")
    return obj


def fit(model: type[Model], obj: dict[str, Any], names: Set[str]) -> Model | Refusal:
    """The object as a schema has it. `names`: what may be repeated of a field's path, the names of the schema itself."""
    try:
        return model.model_validate(obj)
    except ValidationError as error:
        # Only the field's path and the rule: never the value.
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        path = (str(part) if isinstance(part, int) or part in names else "…" for part in first["loc"])
        return invalid(f"{'.'.join(path)}: {first['msg']}")


def invalid(detail: str) -> Refusal:
    """The refusal of a content that cannot be read."""
    return Refusal(Reason.INVALID, detail)


def _find_unacceptable(value: object, depth: int, floats: bool) -> str | None:
    """Name a float or too deep a nesting anywhere in the content (floats are refused even in unknown fields)."""
    kind = type(value)
    if kind is dict or kind is list:
        if depth == 0:
            return "nested too deeply"
        members = value.values() if isinstance(value, dict) else value
        for member in members:  # type: ignore[attr-defined]
            inner = type(member)
            if inner is str or inner is int:
                continue
            trouble = _find_unacceptable(member, depth - 1, floats)
            if trouble:
                return trouble
        return None
    # orjson reads integers beyond 64 bits as floats, so those land here too.
    is_float = kind.__name__ == "float" and not floats
    return "a JSON float: amounts are integers or decimal strings" if is_float else None
