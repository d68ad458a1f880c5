"""Machines: what they report, taken into a turn.

What lives here: sales and cassettes on their way into a book, beacons and telemetry on theirs into what is known of a
machine, and the acks of what needs no entry. What does not: opening and reading it (intake.py beside this), the rules
(core/atm/reports.py), and the acks of entries (messages/receipts.py). docs/protocol.md section 3.
"""

import orjson

from nostrbot.core.atm.fleet import UNSEEN, MachineStatus, see_beacon, see_telemetry
from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.core.atm.recall import Booked, Duplicate
from nostrbot.core.atm.registry import find_speaker
from nostrbot.core.atm.reports import FREED
from nostrbot.core.atm.settlements.facts import SettlementRejected
from nostrbot.core.atm.states import SettlementStatus
from nostrbot.core.engine import decide
from nostrbot.core.inputs import Signed
from nostrbot.core.local_time import MINUTE_S
from nostrbot.core.rules import RULES
from nostrbot.messages.receipts import ack, ack_text
from nostrbot.refusals import Reason, Refusal
from nostrbot.runtime.freed_keys import told_before
from nostrbot.runtime.intake import Opened
from nostrbot.runtime.rate_limit import TokenBucket
from nostrbot.runtime.sale_log import log_settlement
from nostrbot.runtime.shelf import Shelf
from nostrbot.runtime.turn import Turn
from nostrbot.runtime.unread_reports import UnreadReports
from nostrbot.store.batch import ArchiveRow

# Rejections and cassette statements of one machine: they move no money and are kept in the journal for ever, so a rogue
# key must not fill the disk with them.
RECORDS_AT_ONCE = 120
# The beacons and telemetry of one machine taken at once, then one a minute: nobody's history crowds out another's.
ARCHIVED_AT_ONCE = 60
STORED_BEACONS_S = MINUTE_S  # relays hand on what they keep right after a start: those beacons are not a sign of life


class Machines:
    """The taker of machines' reports. `sightings`: machines' status, by book and name."""

    def __init__(self, shelf: Shelf, sightings: dict[tuple[str, str], MachineStatus], unread: UnreadReports) -> None:
        self._shelf = shelf
        self._sightings = sightings
        self._unread = unread
        self._records = TokenBucket(burst=RECORDS_AT_ONCE, tokens=1, seconds=1)
        self._archiving = TokenBucket(burst=ARCHIVED_AT_ONCE, tokens=1, seconds=60)
        self._heard: dict[tuple[str, str], int] = {}  # when the first beacon of each machine came since the start

    def take_report(self, one: Opened, sale: Sale | Refusal, now: int, turn: Turn) -> None:
        """Take a sale: seal it, or answer why not."""
        given, event, key = one.given, one.given.event, one.standing.machine
        assert key is not None, "the intake lets only machines report"
        if key in self._shelf.closed_books:
            self._shelf.refuse(Refusal(Reason.BOOK_CLOSED), event)
            return
        before = told_before(self._shelf.directory, self._shelf.books, self._shelf.closed_books, given, sale)
        if before is not None:
            if isinstance(before, Refusal):
                self._shelf.refuse(before, event)
            else:
                self._ack_again(given, before._replace(number=None), now, turn)
            return
        live = self._shelf.live[key]
        given = given._replace(heard=live.heard_at(now))
        decision = decide(live.book, given, live.chain.next_at(now), RULES, sale)
        match decision.instead:
            case Refusal() as refused:
                self._shelf.refuse(refused, event)
                if refused is FREED:
                    self._reject_unseen(given, sale, now, turn)
                elif self._records.take(given.author, now):  # beyond that not answered: a true machine says it again
                    self._ack(
                        given, self._unread.note(live.book, given, sale, refused, now=now, batch=turn.batch), now, turn
                    )
            case Duplicate(booked):
                self._ack_again(given, booked, now, turn)
            case _:
                if isinstance(decision.facts[0], SettlementRejected) and not self._records.take(given.author, now):
                    self._shelf.refuse(
                        Refusal(Reason.RATE_LIMITED), event
                    )  # not answered: a true machine says it again
                    return
                self._shelf.seal(live, given, decision.facts, now, turn)
                self._unread.forget(live.book, decision.facts[0], turn.batch)
                log_settlement(live.book, event, decision.facts[0], now)

    def _ack_again(self, given: Signed, booked: Booked, now: int, turn: Turn) -> None:
        """Answer a sale that was told before, as it was answered then."""
        status = "rejected" if booked.status is SettlementStatus.REJECTED else "duplicate"
        text = ack_text(given.event.id, booked.sale.payment_hash, status, booked.number, booked.error)
        self._ack(given, text, now, turn)

    def _reject_unseen(self, given: Signed, sale: Sale | Refusal, now: int, turn: Turn) -> None:
        """Answer a machine whose key was freed and not enrolled since; who had it learns nothing of the sale."""
        if self._records.take(given.author, now):
            payment_hash = sale.payment_hash if isinstance(sale, Sale) else None
            self._ack(given, ack_text(given.id, payment_hash, "rejected", None, FREED.reason), now, turn)

    def take_state(self, one: Opened, subject: Subject, now: int, turn: Turn) -> None:
        """Take a machine's state: its cassettes concern its book; beacons and telemetry change its status."""
        key = one.standing.machine
        assert key is not None, "the intake lets only machines through"
        refused = (
            self._take_statement(one.given, key, now, turn)
            if subject is Subject.CASSETTES
            else self._see(one.given, key, subject, now, turn)
        )
        if refused is not None:
            self._shelf.refuse(refused, one.given.event)

    def _take_statement(self, given: Signed, key: str, now: int, turn: Turn) -> Refusal | None:
        if key in self._shelf.closed_books:
            return Refusal(Reason.BOOK_CLOSED)
        live = self._shelf.live[key]
        given = given._replace(heard=live.heard_at(now))
        decision = decide(live.book, given, live.chain.next_at(now), RULES, Subject.CASSETTES)
        if not decision.facts:
            assert isinstance(decision.instead, Refusal), "a machine's word is refused by a reason"
            return decision.instead
        if not self._records.take(given.author, now):
            return Refusal(Reason.RATE_LIMITED)
        self._shelf.seal(live, given, decision.facts, now, turn)
        return None

    def _see(self, given: Signed, key: str, subject: Subject, now: int, turn: Turn) -> Refusal | None:
        machine = find_speaker(self._shelf.books[key], given.author)
        if isinstance(machine, Refusal):
            return machine
        place = (key, machine.handle)
        before = self._sightings.get(place, UNSEEN)
        if subject is Subject.BEACON:
            since_s = now - self._heard.setdefault(place, now)
            seen = see_beacon(before, given, now, may_be_stored=since_s < STORED_BEACONS_S)
        else:
            seen = see_telemetry(before, given, now)
        is_news = (seen.sighting.beacon, seen.sighting.telemetry) != (before.beacon, before.telemetry)
        if is_news and self._archiving.take(given.author, now):
            # Each event that told something new is kept as it was signed; one that repeats itself is a heartbeat.
            turn.batch.archived.append(ArchiveRow(now, key, machine.handle, orjson.dumps(given.event.plain())))
        if seen.sighting != before:
            self._sightings[place] = seen.sighting
            turn.batch.sightings[place] = orjson.dumps(seen.sighting.plain())
        return seen.refusal

    def _ack(self, given: Signed, text: str, now: int, turn: Turn) -> None:
        """Answer a machine if nothing was sealed. The time makes each such ack a separate message."""
        event = given.event
        turn.say.append(ack(event.pubkey, event.id, given.scheme, text, f"again:{event.id}:{now}"))
