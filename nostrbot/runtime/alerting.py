"""Alerting: looks at the books every few seconds and tells operators what they should know, by direct message.

What lives here: one look at all books, the morning's fleet sheet, and the message to each operator who has something to
hear. What does not: what is wrong and when it is told (messages/alerts.py), how often to look and the commit (bot.py).
The record of what was told is committed together with the message that tells it: a crash neither repeats nor forgets.
docs/protocol.md section 6; faults.md rows 17, 72.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from nostrbot.core.atm.fleet import MachineStatus
from nostrbot.core.book import ROOT, Book
from nostrbot.core.local_time import HOUR_S, MINUTE_S, days_before, local_day, moment_of
from nostrbot.messages.alerts import AlertsTold, Surroundings, find_alerts, notify, read_alerts_told
from nostrbot.messages.receipts import Message, direct_message
from nostrbot.messages.replies import answer
from nostrbot.nostr.sealing import Scheme
from nostrbot.relays.relay import RelayConfig, RelayHealth
from nostrbot.runtime.outbox import message_body
from nostrbot.store.queries import Queries
from nostrbot.views.fitting import fits
from nostrbot.views.machines import fleet_row

# Looks that are further apart than this, or go back: the clock jumped, or the machine slept. Nobody was heard
# meanwhile.
LOOKS_APART_MAX_S = MINUTE_S
SHEET_LATE_MAX_S = 3 * HOUR_S  # after that it is not a morning sheet: the next one comes tomorrow
MORE = "There is more: `fleet` and `worklist` show all."


class Reach(NamedTuple):
    """The bot's reach: whether a relay is heard, how many relays can be written to, how many must be, and whether some
    are deaf.
    """

    hears: bool
    writers: int
    min_ok: int
    is_deaf: bool = False


def reach_of(relays: Sequence[RelayConfig], health: Sequence[RelayHealth], min_ok: int, *, deaf: bool = False) -> Reach:
    """Sum up the reach over relays by their health. `deaf`: no relay lets the bot hear some machines."""
    connected = [(relay, how) for relay, how in zip(relays, health, strict=True) if how.connected]
    hears = any(relay.read for relay, _ in connected) and not deaf
    writers = sum(relay.write and how.accepts for relay, how in connected)
    return Reach(hears, writers, min_ok, is_deaf=deaf and any(relay.read for relay, _ in connected))


class AlertRound(NamedTuple):
    """The result of one look.

    Attributes:
        messages: to operators, ready for the outbox; told: by book what its operator knows once these are committed.
        failed: the books that could not be looked into, and the class of the error; well: the others.
    """

    messages: dict[str, bytes]
    told: dict[str, bytes]
    failed: dict[str, str]
    well: list[str]


class Alerting:
    """The watch over all books. `look()`, then commit what it found, then `told()`; if the commit fails, the next look
    finds the same.
    """

    def __init__(self) -> None:
        self._told: dict[str, AlertsTold] = {}
        self._is_loaded = False
        self._looked_at: int | None = None
        self._hearing_since: int | None = None
        self._short_since: int | None = None
        self._deaf_since: int | None = None

    async def look(
        self,
        books: Mapping[str, Book],
        sightings: Mapping[tuple[str, str], MachineStatus],
        queries: Queries,
        reach: Reach,
        now: int,
    ) -> AlertRound:
        """Find what operators should be told at unix second `now`. Raises DBAPIError if the database cannot be
        read.
        """
        if not self._is_loaded:
            self._told = await queries.told()
            self._is_loaded = True
        around = self._look_around(reach, now)
        tidings = AlertRound({}, {}, {}, [])
        for key, book in books.items():
            if key != ROOT and book.active:
                try:
                    self._look_into(book, sightings, around, tidings)
                    tidings.well.append(key)
                except Exception as error:  # noqa: BLE001 - one book's fault must not silence the others' alerts
                    tidings.failed[key] = type(error).__name__
        return tidings

    def told(self, told: Mapping[str, bytes]) -> None:
        """These tidings are committed."""
        for key, body in told.items():
            self._told[key] = read_alerts_told(orjson.loads(body))

    def _look_around(self, reach: Reach, now: int) -> Surroundings:
        jumped = self._looked_at is not None and not 0 <= now - self._looked_at <= LOOKS_APART_MAX_S
        self._looked_at = now
        self._hearing_since = _since(self._hearing_since, now, so=reach.hears, anew=jumped)
        self._short_since = _since(self._short_since, now, so=reach.writers < reach.min_ok, anew=jumped)
        self._deaf_since = _since(self._deaf_since, now, so=reach.is_deaf, anew=jumped)
        return Surroundings(now, self._hearing_since, reach.writers, reach.min_ok, self._short_since, self._deaf_since)

    def _look_into(
        self,
        book: Book,
        sightings: Mapping[tuple[str, str], MachineStatus],
        around: Surroundings,
        tidings: AlertRound,
    ) -> None:
        before, now = self._told.get(book.key, AlertsTold()), around.now
        alarms = find_alerts(book, sightings, around, known=before.alarms)
        lines, known = notify(before.alarms, alarms, now)
        after = replace(before, alarms=known)
        if _sheet_is_due(book, before.sheet_day, now):
            after = replace(after, sheet_day=local_day(book.tz, now))
            lines += _sheet(book, sightings, now)
        if lines:
            told = orjson.dumps(after.plain())
            tidings.messages[book.key] = message_body(_message(book, lines, now), now)
            tidings.told[book.key] = told
        else:
            self._told[book.key] = after  # nothing that a restart would not find out again


def _since(before: int | None, now: int, *, so: bool, anew: bool) -> int | None:
    """Return since when something is so; None if it is not."""
    if not so:
        return None
    return now if before is None or anew else before


def _sheet_is_due(book: Book, last_day: str, now: int) -> bool:
    """Once a local day at most: a clock that goes back finds the day of the last sheet done, unless that lies days
    ahead.
    """
    day, time = local_day(book.tz, now), book.alert_plan.sheet
    if not time or not book.machines or day <= last_day <= days_before(day, -1):
        return False
    moment = moment_of(book.tz, day, time)
    return moment is not None and 0 <= now - moment <= SHEET_LATE_MAX_S


def _sheet(book: Book, sightings: Mapping[tuple[str, str], MachineStatus], now: int) -> list[str]:
    """Return a line for each machine, as `fleet` shows it."""
    rows: list[dict[str, Any]] = [
        fleet_row(book, machine, sightings.get((book.key, machine.handle)), now) for machine in book.machines.values()
    ]
    return [f"Your fleet, {local_day(book.tz, now)}:", *answer("fleet", {"fleet": rows}, json=False).split("\n")]


def _message(book: Book, lines: Sequence[str], now: int) -> Message:
    """Return one message with all there is to tell an operator, in the scheme of its last choice of alerts."""
    scheme = book.alert_plan.scheme
    text = _as_much_as_fits(lines, scheme)
    digest = sha256(text.encode()).hexdigest()[:16]
    return direct_message(book.operator, f"alert:{book.key}:{now}:{digest}", text, scheme)


def closure_notice(book: Book, reason: str, now: int) -> Message:
    """Tell an operator, of the root book the platform, that a book is closed since the start at `now`, and why."""
    is_root = book.key == ROOT
    to, whose = (book.platform, "The root book") if is_root else (book.operator, f"Your book {book.handle}".rstrip())
    text = (
        f"{whose} is closed: {reason}. Until then I book nothing in it and take no commands that would change it. I "
        "do not answer its machines, so they keep repeating their sales. I answer questions as far as the book can be "
        "read."
    )
    return direct_message(to, f"closed:{book.key}:{now}", text, book.alert_plan.scheme)


def _as_much_as_fits(lines: Sequence[str], scheme: Scheme) -> str:
    kept, text = len(lines), "\n".join(lines)
    while not fits(text, scheme):
        kept //= 2
        text = "\n".join([*lines[:kept], MORE])
    return text
