"""Subjects: what a machine's addressable events are about, and which of two is the newer.

What lives here: the `d` tags of machines, and the one order their events have. What does not: their contents
(beacon.py, cassette_state.py) and what comes of them (core/atm/fleet.py, core/atm/cassettes.py). docs/protocol.md
sections 3.2-3.4. https://github.com/nostr-protocol/nips/blob/master/01.md (addressable events).
"""

from enum import StrEnum

from nostrbot.nostr import kinds
from nostrbot.nostr.event import Event
from nostrbot.refusals import Reason, Refusal

# An event dated ahead would outrank every true one until its date has come. Clocks drift by minutes, not by more.
LEAD_MAX_S = 15 * 60


class Subject(StrEnum):
    """The subject of an event: its `d` tag up to the colon."""

    BEACON = "bitspire-beacon"
    TELEMETRY = "bitspire-telemetry"
    CASSETTES = "bitspire-cassettes-state"


_KINDS = {
    Subject.BEACON: kinds.MACHINE_STATE,
    Subject.TELEMETRY: kinds.TELEMETRY,
    Subject.CASSETTES: kinds.MACHINE_STATE,
}


def subject_of(event: Event) -> Subject | Refusal:
    """Return the subject of an event, or OFF_FILTER if it has none of these. A machine may speak of itself only."""
    word, _, machine = (event.tag_value("d") or "").partition(":")
    try:
        subject = Subject(word)
    except ValueError:
        return Refusal(Reason.OFF_FILTER, "no subject of ours")
    if event.kind != _KINDS[subject]:
        return Refusal(Reason.OFF_FILTER, f"{subject} is not said in kind {event.kind}")
    if machine != event.pubkey:
        return Refusal(Reason.ATTRIBUTION_MISMATCH, f"the {subject} of another key")
    return subject


def is_newer(created_at: int, event_id: str, than_at: int, than_id: str) -> bool:
    """Whether one event outranks another: the later date wins, then the lower id. No event outranks itself.

    `than_id` "": there is none yet.
    """
    if not than_id:
        return True
    return created_at > than_at or (created_at == than_at and event_id < than_id)


def is_dated_ahead(created_at: int, now: int) -> bool:
    """Whether an event claims a date that no honest clock would."""
    return created_at > now + LEAD_MAX_S
