"""The fleet: what is known of each machine outside its book, from what it says of itself.

What lives here: what one more beacon, or one more telemetry, makes of what is known. What does not: reading them
(core/atm/payloads/beacon.py), keeping what they come to, and what an operator is told when they stay away
(messages/alerts.py). docs/protocol.md sections 3.2, 3.3; acceptance T1-T4; faults.md rows 13, 14, 16. No money moves by
any of it, so none of it is a journal entry.

Two clocks meet here. A machine's own dates put its words in order, so that an older one, come late, changes nothing.
The bot's clock says when it was heard, so that a machine whose clock is slow does not count as down.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from nostrbot.core.atm.payloads.beacon import Beacon, read_beacon, read_telemetry
from nostrbot.core.atm.payloads.subject import is_dated_ahead, is_newer
from nostrbot.core.atm.unread import UnreadSale, read_unread
from nostrbot.core.inputs import Signed
from nostrbot.refusals import Reason, Refusal

NOTHING_SAID = Beacon()


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """The status of one machine, as known beside its book. Moments are unix seconds; 0 and "": there is none yet.

    Attributes:
        beacon: every field it ever named, as it named it last.
        beacon_at, beacon_id: date and id of the newest beacon applied; telemetry_at, telemetry_id likewise.
        heard_at: when a beacon came last, by the bot's clock.
        skew_s: by how much the machine's clock is ahead of the bot's (negative: behind), as measured last.
        telemetry: the newest telemetry's text, as it came.
        unread: its reports of sales that no book holds (core/atm/unread.py), the newest last.
        dealt: ids of such reports that were taken off that list, the newest last.
    """

    beacon: Beacon = NOTHING_SAID
    beacon_at: int = 0
    beacon_id: str = ""
    heard_at: int = 0
    skew_s: int | None = None
    telemetry: str = ""
    telemetry_at: int = 0
    telemetry_id: str = ""
    unread: tuple[UnreadSale, ...] = ()
    dealt: tuple[str, ...] = ()

    def told(self) -> dict[str, Any] | None:
        """Return the newest telemetry as an object, or None."""
        return orjson.loads(self.telemetry) if self.telemetry else None

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "beacon": self.beacon.said(),
            "beacon_at": self.beacon_at,
            "beacon_id": self.beacon_id,
            "heard_at": self.heard_at,
            "skew_s": self.skew_s,
            "telemetry": self.telemetry,
            "telemetry_at": self.telemetry_at,
            "telemetry_id": self.telemetry_id,
            "unread": [[*sale] for sale in self.unread],
            "dealt": self.dealt,
        }


def read_sighting(plain: dict[str, Any]) -> MachineStatus:
    """Read the status that MachineStatus.plain() wrote. Raises TypeError or ValueError on anything else."""
    unread, dealt = read_unread(plain.get("unread", ())), tuple(plain.get("dealt", ()))  # rows of before have none
    beacon = Beacon.model_validate(plain["beacon"])
    return MachineStatus(**{**plain, "beacon": beacon, "unread": unread, "dealt": dealt})


UNSEEN = MachineStatus()


class StatusChange(NamedTuple):
    """The status of a machine after one more message of it, and why that message was refused, if it was."""

    sighting: MachineStatus
    refusal: Refusal | None = None


def see_beacon(sighting: MachineStatus, given: Signed, now: int, *, may_be_stored: bool) -> StatusChange:
    """Take in a beacon that came `now`, by the bot's clock, from a machine that may speak.

    `may_be_stored`: relays keep beacons, so one that comes right after a start may be an old one. Then it was said when
    its date says, not now, and tells nothing about the machine's clock.
    """
    ahead_s = given.created_at - now
    if is_dated_ahead(given.created_at, now):
        return StatusChange(replace(sighting, skew_s=ahead_s), Refusal(Reason.DATED_AHEAD, f"dated {ahead_s} s ahead"))
    if not is_newer(given.created_at, given.id, sighting.beacon_at, sighting.beacon_id):
        return StatusChange(sighting, Refusal(Reason.STALE, "a beacon as new or newer is known"))
    beacon = read_beacon(given.text)
    if isinstance(beacon, Refusal):
        return StatusChange(sighting, beacon)
    heard_at = min(given.created_at, now) if may_be_stored else now
    return StatusChange(
        replace(
            sighting,
            beacon=sighting.beacon.followed_by(beacon),
            beacon_at=given.created_at,
            beacon_id=given.id,
            heard_at=max(heard_at, min(sighting.heard_at, now)),  # a clock that went back has it in the future
            skew_s=sighting.skew_s if may_be_stored else ahead_s,
        )
    )


def see_telemetry(sighting: MachineStatus, given: Signed, now: int) -> StatusChange:
    """Take in telemetry that came `now`; it replaces what there was, and touches nothing of the beacon's (T4)."""
    if is_dated_ahead(given.created_at, now):
        return StatusChange(sighting, Refusal(Reason.DATED_AHEAD, f"dated {given.created_at - now} s ahead"))
    if not is_newer(given.created_at, given.id, sighting.telemetry_at, sighting.telemetry_id):
        return StatusChange(sighting, Refusal(Reason.STALE, "telemetry as new or newer is known"))
    telemetry = read_telemetry(given.text)
    if isinstance(telemetry, Refusal):
        return StatusChange(sighting, telemetry)
    return StatusChange(replace(sighting, telemetry=given.text, telemetry_at=given.created_at, telemetry_id=given.id))
