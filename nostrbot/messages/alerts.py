"""Alerts: what an operator is told without asking, and when it is time to tell it.

What lives here: find_alerts(), what is wrong just now, and notify(), what to say of it, given what was said before.
What does not: looking every few seconds, the sheet, keeping what was told (runtime/alerting.py), the thresholds'
command (core/atm/alert_plan.py), and what a sealed entry has to say (messages/receipts.py). docs/protocol.md section 6;
acceptance B12, Q3; faults.md rows 6, 16, 17.

Quiet by default: an alert is told when it begins, then once an hour at the most, after its first day once a day, and
once more when it is over. An alert that comes and goes within the hour is told once, unless it gets worse.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from nostrbot.core.atm.counter import Gap
from nostrbot.core.atm.fleet import UNSEEN, MachineStatus
from nostrbot.core.atm.records import Machine
from nostrbot.core.atm.till import Till
from nostrbot.core.atm.unread import SIGNER
from nostrbot.core.book import Book
from nostrbot.core.local_time import DAY_S, HOUR_S, MINUTE_S, local_day, local_time
from nostrbot.core.plain import plain, reader
from nostrbot.messages.words.machines import duration
from nostrbot.views.lines import escape

REMIND_S = HOUR_S
FRESH_S = DAY_S  # an older, unchanged alert is told once in this time
CALM_S = MINUTE_S  # an alert must stay clear this long before "over" is sent
GAP_FILLS_S = 2 * MINUTE_S  # settlements may come out of order, and machines repeat what is not acknowledged
SKEW_MAX_S = 15 * MINUTE_S  # what a machine's clock may be off before somebody should look at it
RELAYS_SHORT_S = MINUTE_S  # connections break and come back
DEAF = (
    "relays: no relay lets me hear machines, so sales get no ack and machines repeat them; whoever runs this bot "
    "finds the reason in `nostrbot status`"
)
REJECTED_WITHIN_S = HOUR_S
GAPS_NAMED_MAX = 5  # parts of one gap, in one line
GAPS_TOLD_MAX = 10  # of a machine within an hour, one by one
UNREAD_NAMED_MAX = 3  # of one machine, and as many new ones within an hour

WORSE = 1  # level of an alert that has been told in a milder form


class Alert(NamedTuple):
    """Something that is wrong now. `fingerprint`: the same for the same alert; `subject`: what is over one day."""

    fingerprint: str
    subject: str
    text: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class AlertState:
    """An alert that was told. Moments are unix seconds.

    Attributes:
        raised_at: when it began; told_at: when it was told last, in these words and at this level.
        gone_at: since when it is over; None if it is not.
        is_open: its end was not told yet.
    """

    raised_at: int
    told_at: int
    level: int
    subject: str
    text: str
    gone_at: int | None = None
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class AlertsTold:
    """The record of what an operator was told: its alerts, by fingerprint, and the local day of its last fleet sheet
    ("": none yet).
    """

    sheet_day: str = ""
    alarms: Mapping[str, AlertState] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {"sheet_day": self.sheet_day, "alarms": {name: plain(rung) for name, rung in self.alarms.items()}}


_read_rung = reader(AlertState)


def read_alerts_told(state: dict[str, Any]) -> AlertsTold:
    """Read what AlertsTold.plain() wrote. Raises KeyError, TypeError or ValueError on anything else."""
    return AlertsTold(state["sheet_day"], {name: _read_rung(rung) for name, rung in state["alarms"].items()})


class Surroundings(NamedTuple):
    """The state of relays and clock beside the books, at unix second `now`.

    Attributes:
        hearing_since: since when relays are heard without a break; None if none is heard.
        writers, min_ok: relays that can be written to just now, and how many must be.
        short_since: since when there are fewer; None if there are enough.
        deaf_since: since when relays are connected, and none lets the bot hear some machines; None if it hears them.
    """

    now: int
    hearing_since: int | None
    writers: int
    min_ok: int
    short_since: int | None
    deaf_since: int | None = None


def find_alerts(
    book: Book,
    sightings: Mapping[tuple[str, str], MachineStatus],
    around: Surroundings,
    *,
    known: Mapping[str, AlertState],
) -> tuple[Alert, ...]:
    """Find what is wrong in a book now: machine by machine, then what concerns the whole book.

    `sightings`: by book and machine. `known`: what was told before: a machine that is down is so until it is heard.
    """
    alarms: list[Alert] = []
    for machine in book.machines.values():
        till = book.tills[machine.handle]
        sighting = sightings.get((book.key, machine.handle), UNSEEN)
        if machine.active:
            alarms += _silent(book, machine, sighting, around, known)
            alarms += _skewed(machine, sighting)
            alarms += _low(book, machine, till, around.now)
            alarms += _fees_off(machine, till)
        alarms += _gaps(machine, till, around.now, known)
        alarms += _strayed(machine, till, around.now, known)
        alarms += _held(machine, till)
        alarms += _rejected(machine, till, around.now)
        alarms += _unread(machine, sighting, around.now, known)
        alarms += _silenced(machine, sighting)
    if around.short_since is not None and around.now - around.short_since >= RELAYS_SHORT_S:
        text = f"relays: {around.writers} connected, {around.min_ok} must take a message before it counts as sent"
        alarms.append(Alert("relays", "too few relays", text))
    if around.deaf_since is not None and around.now - around.deaf_since >= RELAYS_SHORT_S:
        alarms.append(Alert("deaf", "machines cannot be heard", DEAF))
    return tuple(alarms)


def _silent(
    book: Book, machine: Machine, sighting: MachineStatus, around: Surroundings, known: Mapping[str, AlertState]
) -> Iterator[Alert]:
    """Find a machine that went silent. While no relay is heard, silence says nothing of machines."""
    plan, name, heard_at = book.alert_plan, machine.handle, sighting.heard_at
    if heard_at > around.now and around.hearing_since is not None:
        heard_at = around.hearing_since  # the clock went back, and hearing started again with it
    silent_s = around.now - heard_at
    if not heard_at or silent_s < plan.down_s:
        return
    fingerprint = f"silent:{name}"
    rung = known.get(fingerprint)
    standing = rung is not None and rung.is_open and rung.gone_at is None and heard_at <= rung.raised_at
    unheard_s = 0 if around.hearing_since is None else min(silent_s, around.now - around.hearing_since)
    if unheard_s < plan.down_s and not standing:
        return
    since = _clock(book, heard_at, around.now)
    if unheard_s >= plan.stuck_s or (rung is not None and standing and rung.level == WORSE):
        yield Alert(fingerprint, f"{name} stuck", f"{name} is stuck: no beacon since {since}", WORSE)
    else:
        yield Alert(fingerprint, f"{name} down", f"{name} is down: no beacon since {since}")


def _clock(book: Book, at: int, now: int) -> str:
    """Return a moment on the operator's clock, with its day if that is not today."""
    today = local_day(book.tz, at) == local_day(book.tz, now)
    return local_time(book.tz, at).strftime("%H:%M" if today else "%Y-%m-%d %H:%M")


def _skewed(machine: Machine, sighting: MachineStatus) -> Iterator[Alert]:
    skew_s = sighting.skew_s or 0
    if abs(skew_s) > SKEW_MAX_S:
        off = f"{duration(abs(skew_s))} {'ahead' if skew_s > 0 else 'behind'}"
        yield Alert(f"skew:{machine.handle}", f"{machine.handle} clock off", f"{machine.handle}: its clock is {off}")


def _low(book: Book, machine: Machine, till: Till, now: int) -> Iterator[Alert]:
    for position, cassette in till.cassettes.items():
        if cassette.count >= book.alert_plan.low_notes:
            continue
        fingerprint, name = f"low:{machine.handle}:{position}", f"{machine.handle} cassette {escape(position)}"
        if not cassette.count:
            yield Alert(fingerprint, f"{name} empty", f"{name} is empty", WORSE)
            continue
        days = till.days_to_empty(position, local_day(book.tz, now))
        left = f"{cassette.count} x {cassette.denomination} {machine.fiat} left"
        yield Alert(fingerprint, f"{name} low", f"{name} is low: {left}{_lasting(days)}")


def _lasting(days: int | None) -> str:
    if days is None:
        return ""
    return {0: ", less than a day", 1: ", about 1 day"}.get(days, f", about {days} days")


def _fees_off(machine: Machine, till: Till) -> Iterator[Alert]:
    off, name = till.fees_off, machine.handle
    if off is not None:
        due = off.fee_sats - off.mismatch_sats
        charged = f"s{off.number} charged {off.fee_sats} sats where {due} were due ({off.mismatch_sats:+})"
        yield Alert(f"fees:{name}", f"{name} fees off", f"{name}: fees are not those set here: {charged}")


def _held(machine: Machine, till: Till) -> Iterator[Alert]:
    if till.held:
        name, first = machine.handle, f"s{till.held[0]}"
        what = "a settlement is held" if len(till.held) == 1 else f"{len(till.held)} settlements are held"
        step = f"settlement show {first} says why" if len(till.held) == 1 else "settlement list status=pending"
        yield Alert(f"held:{name}", f"{name} holds settlements", f"{name}: {what} until you decide: {step}")


def _gaps(machine: Machine, till: Till, now: int, known: Mapping[str, AlertState]) -> Iterator[Alert]:
    """Find numbers that others overtook a while ago: an alert for each gap, and one for the parts of a parted gap.

    Once told they are missing until they come or are dismissed, whatever the clock does. The others of an hour are
    told in one line: a machine that is broken must not tell of each.
    """
    name, others, untold = machine.handle, f"gaps:{machine.handle}", 0
    parted: dict[int, list[Gap]] = {}
    for gap in till.counter.missing:
        parted.setdefault(gap.by, []).append(gap)
    told = sum(
        fingerprint.startswith(f"gap:{name}:") and now - rung.raised_at < REMIND_S
        for fingerprint, rung in known.items()
    )
    for by, gaps in parted.items():
        fingerprint = f"gap:{name}:{by}"
        if fingerprint not in known and told >= GAPS_TOLD_MAX:
            untold += _is_due(others, gaps[0], now, known)
        elif _is_due(fingerprint, gaps[0], now, known):
            told += fingerprint not in known
            lines = "; ".join(_gap(gap) for gap in gaps[-GAPS_NAMED_MAX:])
            more = "; more: `fleet`" if len(gaps) > GAPS_NAMED_MAX else ""
            yield Alert(fingerprint, f"{name} missing {gaps[0]}", f"{name}: {lines}{more}")
    if untold:
        text = f"{name}: more settlements are missing: `fleet` shows which, `gap dismiss {name}` ends the wait"
        yield Alert(others, f"{name} missing more", text)


def _is_due(fingerprint: str, gap: Gap, now: int, known: Mapping[str, AlertState]) -> bool:
    was_told = fingerprint in known and known[fingerprint].is_open
    # A gap noted more than a day ahead of now comes from a clock that went back: it is not new.
    return was_told or not -DAY_S <= now - gap.at < GAP_FILLS_S


def _gap(gap: Gap) -> str:
    return f"have {gap.first - 1} and {gap.last + 1}, missing {gap}"


def _strayed(machine: Machine, till: Till, now: int, known: Mapping[str, AlertState]) -> Iterator[Alert]:
    """Find a count that a machine cannot have reached by selling: I ask about it and do not believe it."""
    name, stray = machine.handle, till.counter.stray
    fingerprint = f"stray:{name}"
    was_told = fingerprint in known and known[fingerprint].is_open
    if stray is not None and (was_told or now - stray.at >= GAP_FILLS_S):
        text = (
            f"{name}'s counter jumped from {till.counter.newest} to {stray.first}: `gap dismiss {name}` if it was "
            "reset; "
            f"if not, look at `settlement list machine={name}`"
        )
        yield Alert(fingerprint, f"{name} counter jumped", text)


def _rejected(machine: Machine, till: Till, now: int) -> Iterator[Alert]:
    reasons = Counter(one.reason for one in till.rejections if now - one.at < REJECTED_WITHIN_S)
    if reasons:
        name, why = machine.handle, ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        yield Alert(f"rejected:{name}", f"{name} rejected settlements", f"{name}: rejected within the hour: {why}")


def _unread(machine: Machine, sighting: MachineStatus, now: int, known: Mapping[str, AlertState]) -> Iterator[Alert]:
    """Find sales that the machine reports and no book holds: the cash may be out. Each is told, a flood of them
    once.
    """
    name, named, others = machine.handle, 0, 0
    told = sum(
        fingerprint.startswith(f"unread:{name}:") and now - rung.raised_at < REMIND_S
        for fingerprint, rung in known.items()
    )
    for sale in (sale for sale in sighting.unread if sale.field != SIGNER):
        fingerprint = f"unread:{name}:{sale.event_id}"
        is_new = fingerprint not in known
        if named >= UNREAD_NAMED_MAX or (is_new and told >= UNREAD_NAMED_MAX):
            others += 1
            continue
        named, told = named + 1, told + is_new
        text = (
            f"{name} reported a sale that I cannot book: {sale.detail} (event {sale.event_id[:8]}…): `worklist` has it"
        )
        yield Alert(fingerprint, f"{name} reported a sale that I could not book", text)
    if others:
        text = f"{name} reported {others} more that I cannot book: `worklist` has them"
        yield Alert(f"unread:{name}", f"{name} reported sales that I could not book", text)


def _silenced(machine: Machine, sighting: MachineStatus) -> Iterator[Alert]:
    """Find the same by keys without standing, in one alert: the thief of an old key must not drown the truth."""
    name, silenced = machine.handle, [sale for sale in sighting.unread if sale.field == SIGNER]
    if silenced:
        more = f", and {len(silenced) - 1} before" if len(silenced) > 1 else ""
        text = (
            f"{name}: a key that may not speak (suspended, or rotated out) reported a sale that I do not book: "
            f"{silenced[-1].detail} (event {silenced[-1].event_id[:8]}…){more}: `worklist` has it"
        )
        yield Alert(f"silenced:{name}", f"{name} reported sales by a key that may not speak", text)


def notify(
    known: Mapping[str, AlertState], alarms: Iterable[Alert], now: int
) -> tuple[list[str], dict[str, AlertState]]:
    """Return the lines to tell at unix second `now`, safe to show, and what is known once they are told.

    An alert, at its level, is told once an hour at the most however often it comes and goes, and its end once for each
    time it was told.
    """
    lines: list[str] = []
    after: dict[str, AlertState] = {}
    for alarm in alarms:
        line, after[alarm.fingerprint] = _raise(known.get(alarm.fingerprint), alarm, now)
        lines += [line] if line else []
    for fingerprint, rung in known.items():
        if fingerprint in after:
            continue
        gone_at = now if rung.gone_at is None else min(rung.gone_at, now)
        gone = replace(rung, told_at=min(rung.told_at, now), gone_at=gone_at)
        if gone.is_open and now - gone_at >= CALM_S:
            lines.append(f"Over: {gone.subject}")
            gone = replace(gone, is_open=False)
        if gone.is_open or now - gone.told_at < REMIND_S:
            after[fingerprint] = gone
    return [escape(line) for line in lines], after


def _raise(rung: AlertState | None, alarm: Alert, now: int) -> tuple[str | None, AlertState]:
    """Return the line for an alert that holds now, if one is due, and what is known of it then."""
    first = AlertState(now, now, alarm.level, alarm.subject, alarm.text)
    if rung is None:
        return alarm.text, first
    # After the clock went back, an alert told in its future counts as told now. `raised_at` stays: beacons are compared
    # with it.
    told_at = min(rung.told_at, now)
    as_it_was = rung.is_open and alarm.text == rung.text and now - rung.raised_at >= FRESH_S
    is_worse = alarm.level > rung.level
    if not is_worse and now - told_at < (FRESH_S if as_it_was else REMIND_S):
        return None, replace(rung, told_at=told_at, gone_at=None)
    again = rung.is_open and not is_worse
    return f"Still: {alarm.text}" if again else alarm.text, replace(first, raised_at=rung.raised_at) if again else first
