"""Duplicate keys: JSON that says one thing twice, which two readers may take differently.

What lives here: finding them. What does not: what is done about it (messages.py for frames,
core/atm/payloads/content.py for what a machine says: the auditor must read there what the bot read).
"""

import json

import orjson


def has_duplicate_keys(raw: bytes, decoded: object) -> bool:
    """Whether some object in JSON `raw`, decoded by orjson to `decoded`, has a key twice.

    Relays and machines write compact JSON, so it mostly equals its own re-encoding (0.2 us to see), and then no key was
    lost in decoding. Where it does not (blanks, other escapes), the slower stdlib parser shows every pair. JSON that
    either cannot take (orjson writes 254 levels, json reads numbers of 4,300 digits) is not an event and is refused
    with the duplicates.
    """
    try:
        if orjson.dumps(decoded) != raw:
            json.loads(raw, object_pairs_hook=_refuse_duplicates)
    except (orjson.JSONEncodeError, ValueError):
        return True
    return False


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("duplicate keys")
