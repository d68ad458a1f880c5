"""Beacons and telemetry: what a machine says of itself, which moves no money.

What lives here: the fields of a beacon, and that telemetry is any object. What does not: what no content may be
(content.py) and what is known of a machine from all it said (core/atm/fleet.py). docs/protocol.md sections 3.2, 3.3.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from nostrbot.core.atm.payloads.content import fit, invalid, read_object
from nostrbot.refusals import Refusal

BEACON_CHARS_MAX = 8 * 1024  # kept in memory for each machine; a beacon that says everything is a quarter of this
BEACON_DEPTH_MAX = 8  # fees and limits by direction and by coin need three levels
TELEMETRY_BYTES_MAX = 32 * 1024
TELEMETRY_DEPTH_MAX = 200  # any JSON object, as deep as our own writer of JSON can repeat it inside an answer

Text = Annotated[str, Field(max_length=256)]
Anything = dict[str, Any]  # floats among it: coordinates, limits; no money is read from here


class Beacon(BaseModel):
    """A machine's word about itself, of one beacon or of many; None if it has not said."""

    model_config = ConfigDict(strict=True, frozen=True)

    cash_in: bool | None = None
    cash_out: bool | None = None
    cash_level: Text | None = None
    fiat: Text | None = None
    model: Text | None = None
    name: Text | None = None
    location: Text | None = None
    geo: Text | None = None
    fees: Anything | None = None
    limits: Anything | None = None
    denominations: Anything | None = None
    version: Text | None = None

    def said(self) -> dict[str, Any]:
        """Return the fields there are, by their names."""
        return {name: value for name, value in self if value is not None}

    def followed_by(self, newer: "Beacon") -> "Beacon":
        """Return this beacon after a newer one: a field that the newer one does not name stays (acceptance T2)."""
        return self.model_copy(update=newer.said())


_FIELDS = {*Beacon.model_fields}


def read_beacon(text: str) -> Beacon | Refusal:
    """Read a beacon's content; null is as good as missing. Anything unreadable is Refusal(INVALID)."""
    obj = read_object(text, chars_max=BEACON_CHARS_MAX, depth_max=BEACON_DEPTH_MAX, floats=True)
    return obj if isinstance(obj, Refusal) else fit(Beacon, obj, _FIELDS)


def read_telemetry(text: str) -> dict[str, Any] | Refusal:
    """Read telemetry's decrypted content: any JSON object. Anything else is Refusal(INVALID)."""
    obj = read_object(text, chars_max=TELEMETRY_BYTES_MAX, depth_max=TELEMETRY_DEPTH_MAX, floats=True)
    if not isinstance(obj, Refusal) and len(text.encode()) > TELEMETRY_BYTES_MAX:
        return invalid(f"content is longer than {TELEMETRY_BYTES_MAX} bytes")
    return obj
