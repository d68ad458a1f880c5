"""Cassette statements: what a machine says its cassettes hold.

What lives here: the schema and its exact types. What does not: what no content may be (content.py) and what a book
makes of a statement (core/atm/cassettes.py). docs/protocol.md section 3.4; faults.md row 67.
"""

from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from nostrbot.core.atm.payloads.content import fit, invalid, read_object
from nostrbot.core.atm.payloads.sale import CASSETTES_MAX, NoteText
from nostrbot.core.commands.arguments import NOTES_MAX, POSITION_CHARS_MAX, is_note_value
from nostrbot.money import Denomination, read_denomination
from nostrbot.refusals import Refusal

CONTENT_CHARS_MAX = 16 * 1024  # the journal keeps it for ever; the fullest statement, all of it escaped, is not longer
DEPTH_MAX = 8  # the payload needs three levels; more is an attack on the reader

Position = Annotated[str, Field(min_length=1, max_length=POSITION_CHARS_MAX)]


class Stated(NamedTuple):
    """One cassette as the machine states it: a number of banknotes of a denomination, in whole units of fiat."""

    position: str
    denomination: Denomination
    notes: int


class Notes(BaseModel):
    """A number of banknotes of one denomination, within sane bounds."""

    model_config = ConfigDict(strict=True)

    denomination: Annotated[int, Field(gt=0, le=NOTES_MAX)] | NoteText
    count: Annotated[int, Field(ge=0, le=NOTES_MAX)]


class _Payload(BaseModel):
    model_config = ConfigDict(strict=True)

    positions: Annotated[dict[Position, Notes], Field(min_length=1, max_length=CASSETTES_MAX)]


_FIELDS = {*_Payload.model_fields, *Notes.model_fields}


def read_statement(text: str) -> tuple[Stated, ...] | Refusal:
    """Read a statement's decrypted content, as it stands there. Anything unreadable is Refusal(INVALID)."""
    obj = read_object(text, chars_max=CONTENT_CHARS_MAX, depth_max=DEPTH_MAX, names=_FIELDS)
    if isinstance(obj, Refusal):
        return obj
    payload = fit(_Payload, obj, _FIELDS)
    if isinstance(payload, Refusal):
        return payload
    stated = []
    for place, notes in payload.positions.items():
        denomination = read_denomination(notes.denomination)
        if denomination is None or not is_note_value(denomination):
            return invalid("positions.denomination: not the value of a banknote")
        stated.append(Stated(place, denomination, notes.count))
    return tuple(stated)
