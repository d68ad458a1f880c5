"""Machines that speak of themselves: beacons, telemetry and cassette statements as they publish them.

What lives here: their events, opened. What does not: sales (tests/houses.py) and what comes of either.
"""

from typing import Any

import orjson

from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.core.inputs import Signed
from nostrbot.nostr import kinds
from nostrbot.nostr.event import sign_event
from nostrbot.nostr.sealing import Envelope, Scheme
from tests.houses import BOT, opened_by_bot, person

KINDS = {
    Subject.BEACON: kinds.MACHINE_STATE,
    Subject.TELEMETRY: kinds.TELEMETRY,
    Subject.CASSETTES: kinds.MACHINE_STATE,
}
SEALED = {Subject.BEACON: Scheme.PLAIN, Subject.TELEMETRY: Scheme.NIP44, Subject.CASSETTES: Scheme.NIP44}


def word(subject: Subject, payload: dict[str, Any] | str, *, at: int, by: str = "m1", of: str | None = None) -> Signed:
    """What a machine says of itself (or `of` another), dated `at`; `payload` may be any text."""
    text = payload if isinstance(payload, str) else orjson.dumps(payload).decode()
    content = Envelope(person(by)).seal_to(BOT.pubkey, text, SEALED[subject], b"word")
    tags = [["d", f"{subject}:{person(of or by).pubkey}"]]
    event = sign_event(person(by), kind=KINDS[subject], tags=tags, content=content, created_at=at)
    # A text that is no object would not be taken for plain by its shape; here it is what the scheme says it is.
    return Signed(event, text, Scheme.PLAIN) if SEALED[subject] is Scheme.PLAIN else opened_by_bot(event)


def beacon(*, at: int, by: str = "m1", **fields: Any) -> Signed:
    """A beacon with these fields."""
    return word(Subject.BEACON, fields, at=at, by=by)


def telemetry(fields: dict[str, Any] | str, *, at: int, by: str = "m1") -> Signed:
    """Telemetry of this content."""
    return word(Subject.TELEMETRY, fields, at=at, by=by)


def statement(*, at: int, by: str = "m1", **positions: tuple[int, int]) -> Signed:
    """A cassette statement; `_1=(100, 480)`: in position 1, 480 banknotes of 100."""
    notes = {p.lstrip("_"): {"denomination": value, "count": count} for p, (value, count) in positions.items()}
    return word(Subject.CASSETTES, {"positions": notes}, at=at, by=by)
