"""The desk: what arrives, decided and sealed into one batch.

What lives here: the road from a verified event to a batch of entries, and the answers that need no entry. What does not:
opening and reading it (runtime/intake.py), the rules (core/), questions (reading/), relays, and when a batch is committed
(bot.py). A turn of the desk touches books in memory; when the commit behind it fails, the books are thrown away and loaded
again.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import orjson
from loguru import logger

from nostrbot.core.atm.fixed import due_slots
from nostrbot.core.atm.fleet import UNSEEN, Sighting, see_beacon, see_telemetry
from nostrbot.core.atm.parties import due_moves
from nostrbot.core.atm.payloads.sale import Sale
from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.core.atm.recall import Booked
from nostrbot.core.atm.registry import find_speaker
from nostrbot.core.atm.settlements.facts import SettlementRejected
from nostrbot.core.atm.settlements.rules import Duplicate
from nostrbot.core.atm.splits import splits_as_set
from nostrbot.core.atm.states import SettlementStatus
from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.amounts import read_limit
from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import SUSPENDED, Code, Refused, not_yours
from nostrbot.core.commands.specs import Role
from nostrbot.core.directory import Directory, Standing
from nostrbot.core.engine import (
    FREED,
    apply,
    check_fresh,
    decide,
    decide_command,
    decide_machine_state,
    decide_report,
    decide_tick,
)
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import Input, Signed, Tick
from nostrbot.core.local_time import MINUTE_S
from nostrbot.core.parsing import name_what_there_is
from nostrbot.core.plain import View
from nostrbot.core.platform.roles import GIVEN_BY, Part, keys_given, no_key, taken
from nostrbot.core.rules import RULES
from nostrbot.core.table import DISMISS
from nostrbot.errors import BooksError
from nostrbot.journal.entry import Chain, seal
from nostrbot.messages.receipts import Message, Sealed, ack, ack_text, direct_message, owes_messages
from nostrbot.messages.replies import answer, answer_that_fits, refusal
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.sealing import Envelope, Scheme
from nostrbot.reading.question import Begun, Question
from nostrbot.reading.reading import Reading
from nostrbot.refusals import Reason, Refusal
from nostrbot.runtime.freed_keys import Claims, told_before
from nostrbot.runtime.hearing import COMMANDS_PER_S, TOO_MANY_CHOICES, Heard, Hearing
from nostrbot.runtime.intake import Mailroom, Opened
from nostrbot.runtime.lp_books import books_concerned, enrolment_notice, lp_in
from nostrbot.runtime.outbox import message_body
from nostrbot.runtime.prefetch import Recollection, carried_input
from nostrbot.runtime.rate_limit import Allowance
from nostrbot.runtime.sale_log import log_settlement
from nostrbot.runtime.unread_reports import UnreadReports
from nostrbot.runtime.zones import zone_names
from nostrbot.store.batch import ArchiveRow, Batch, Owed
from nostrbot.store.queries import Queries
from nostrbot.store.store import LiveBook
from nostrbot.views.outcomes import outcome_view

ENROLLING = frozenset({"operator add", "operator replace", "machine add", "machine rotate", "machine free", "lp add"})
# Decided with much of a machine's past at hand, which must not change between looking it up and deciding.
ALONE = frozenset({"machine compromised"})
# Rejections and cassette statements of one machine: they move no money and are kept in the journal for ever, so a rogue
# key must not fill the disk with them.
RECORDS_AT_ONCE = 120
# Of one machine's beacons and telemetry, then one a minute: nobody's history crowds out another's.
ARCHIVED_AT_ONCE = 60
STORED_BEACONS_S = MINUTE_S  # relays hand on what they keep right after a start: those beacons are no sign of life
HUSHED = "From now on I answer only commands for a while, and go on hearing them"
TOO_FAST = Refused(
    Code.RATE_LIMITED, f"too many commands at once: I take {COMMANDS_PER_S} a second. Wait, then send it again"
)
SNAPSHOT_EVERY_ENTRIES = 5_000  # folding so many entries at a start takes about a second


@dataclass(slots=True)
class Turn:
    """What one turn came to: a batch to commit, and what to say and to look up once it is committed."""

    batch: Batch = field(default_factory=Batch)
    entries: dict[tuple[str, int], Sealed] = field(default_factory=dict)
    say: list[Message] = field(default_factory=list)
    questions: list[tuple[Question, Signed]] = field(default_factory=list)
    registry_changed: bool = False
    no_snapshot: dict[str, str] = field(default_factory=dict)  # books that could not be kept as one, and why


class Desk:
    """Turns arrivals into a Turn. Holds the live books; knows no relay and commits nothing."""

    def __init__(
        self,
        live: dict[str, LiveBook],
        sightings: dict[tuple[str, str], Sighting],
        envelope: Envelope,
        queries: Queries,
        next_row: int,
        *,
        next_bot: Callable[[], str | None] = no_key,
    ) -> None:
        """`sightings`: what is known of machines, by book and name. `next_row`: the first free id of the outbox.

        `next_bot`: the key (hex) that the bot's rotation is about to give it, if one is on the way.
        """
        self.live = live
        self.books: dict[str, Book] = {key: one.book for key, one in live.items()}
        self.directory = Directory(self.books.values())
        self.refusals: Counter[Reason] = Counter()
        # What must not be gone on with, and why. They are read, nothing is entered.
        self.closed_books: dict[str, str] = {key: one.flaw for key, one in live.items() if one.flaw is not None}
        self.sightings = sightings
        self._mailroom = Mailroom(envelope, self.books[ROOT].bot, self.books[ROOT].former_bots)
        self._next_bot = next_bot
        self._unread = UnreadReports(sightings)
        self.claims = Claims()
        self._queries = queries
        self._recollection = Recollection(self.books, queries, self.closed_books)
        self._next_row = next_row
        self.hearing = Hearing()
        self._records = Allowance(burst=RECORDS_AT_ONCE, tokens=1, seconds=1)
        self._archiving = Allowance(burst=ARCHIVED_AT_ONCE, tokens=1, seconds=60)
        self._heard: dict[tuple[str, str], int] = {}  # when the first beacon of each machine came since the start
        self.reading = Reading(self.books, self.sightings, queries)
        # Of the turn that goes on: the book in hand, and those that may have changed in memory.
        self.in_hand = ROOT
        self.changed: set[str] = set()

    # --- a turn ---------------------------------------------------------------------------------------------------

    async def take(self, events: Sequence[VerifiedEvent], clock: Callable[[], int]) -> Turn:
        """Decide events in order. Nothing is kept until the caller commits the turn's batch."""
        now, turn = clock(), Turn()
        self.in_hand, self.changed = ROOT, set()
        for live in self.live.values():
            live.book.recall.forget()
        answered: set[str] = set()
        waiting = deque(events)
        while waiting:
            segment = self._open_segment(waiting, now)
            answered |= await self._recollection.recall(segment)
            for one in segment:
                await self._take_one(one, answered, now, turn)
            if turn.registry_changed:
                self.directory = Directory(self.books.values())
        self._note_balances(turn)
        self._snapshot(turn)
        return turn

    def _open_segment(self, waiting: deque[VerifiedEvent], now: int) -> list[Opened]:
        """Open events up to one that may enrol somebody: who comes after it may be known only through it."""
        segment: list[Opened] = []
        while waiting:
            event = waiting.popleft()
            one = self._mailroom.open(event, self.directory, now)
            if isinstance(one, Refusal):
                self.refuse(one, event)
                continue
            self.in_hand = one.standing.book
            verb = one.said.verb if isinstance(one.said, Command) else ""
            if verb in ALONE and segment:
                waiting.appendleft(event)
                break
            segment.append(one)
            if verb in ENROLLING or verb in ALONE:
                break
        return segment

    async def _take_one(self, one: Opened, answered: set[str], now: int, turn: Turn) -> None:
        given = one.given
        self.in_hand = one.standing.book
        if isinstance(one.said, Subject):
            self._take_state(one, one.said, now, turn)
        elif not isinstance(one.said, Command | Misunderstood):
            self._take_report(one, one.said, now, turn)
        elif given.id in answered:
            self.refuse(Refusal(Reason.DUPLICATE), given.event)
        else:
            answered.add(given.id)
            await self._hear(one, one.said, now, turn)

    # --- machines -------------------------------------------------------------------------------------------------

    def _take_report(self, one: Opened, sale: Sale | Refusal, now: int, turn: Turn) -> None:
        given, event, key = one.given, one.given.event, one.standing.machine
        assert key is not None, "the mailroom lets only machines report"
        if key in self.closed_books:
            self.refuse(Refusal(Reason.BOOK_CLOSED), event)
            return
        before = told_before(self.directory, self.books, self.closed_books, given, sale)
        if before is not None:
            if isinstance(before, Refusal):
                self.refuse(before, event)
            else:
                self._ack_again(given, before._replace(number=None), now, turn)
            return
        live = self.live[key]
        given = given._replace(heard=live.heard_at(now))
        decision = decide_report(live.book, given, sale, live.chain.next_at(now), RULES)
        match decision.instead:
            case Refusal() as refused:
                self.refuse(refused, event)
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
                    self.refuse(Refusal(Reason.RATE_LIMITED), event)  # not answered: a true machine says it again
                    return
                self._seal(live, given, decision.facts, now, turn)
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

    def _take_state(self, one: Opened, subject: Subject, now: int, turn: Turn) -> None:
        """What a machine states of its cassettes is its book's; beacons and telemetry change what is known of it."""
        key = one.standing.machine
        assert key is not None, "the mailroom lets only machines through"
        refused = (
            self._take_statement(one.given, key, now, turn)
            if subject is Subject.CASSETTES
            else self._see(one.given, key, subject, now, turn)
        )
        if refused is not None:
            self.refuse(refused, one.given.event)

    def _take_statement(self, given: Signed, key: str, now: int, turn: Turn) -> Refusal | None:
        if key in self.closed_books:
            return Refusal(Reason.BOOK_CLOSED)
        live = self.live[key]
        given = given._replace(heard=live.heard_at(now))
        decision = decide_machine_state(live.book, given, live.chain.next_at(now), RULES)
        if not decision.facts:
            assert isinstance(decision.instead, Refusal), "a machine's word is refused by a reason"
            return decision.instead
        if not self._records.take(given.author, now):
            return Refusal(Reason.RATE_LIMITED)
        self._seal(live, given, decision.facts, now, turn)
        return None

    def _see(self, given: Signed, key: str, subject: Subject, now: int, turn: Turn) -> Refusal | None:
        machine = find_speaker(self.books[key], given.author)
        if isinstance(machine, Refusal):
            return machine
        place = (key, machine.handle)
        before = self.sightings.get(place, UNSEEN)
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
            self.sightings[place] = seen.sighting
            turn.batch.sightings[place] = orjson.dumps(seen.sighting.plain())
        return seen.refusal

    def books_due(self, now: int) -> list[str]:
        """The keys of the books in which something is due by the clock."""
        return [key for key, live in self.live.items() if key not in self.closed_books and _is_due(live, now)]

    def look_at_clock(self, key: str, now: int) -> Turn:
        """Decide what is due by the clock in one book: fixed mode's slots."""
        turn, live = Turn(), self.live[key]
        self.in_hand, self.changed = key, set()
        tick = Tick(live.chain.next_at(now))
        decision = decide_tick(live.book, tick, tick.at, RULES)
        if decision.facts:
            self._seal(live, tick, decision.facts, now, turn)
        self._note_balances(turn)
        return turn

    def _ack(self, given: Signed, text: str, now: int, turn: Turn) -> None:
        """Answer a machine where nothing was sealed. The time makes each such ack a message of its own."""
        event = given.event
        turn.say.append(ack(event.pubkey, event.id, given.scheme, text, f"again:{event.id}:{now}"))

    # --- people ---------------------------------------------------------------------------------------------------

    async def _hear(self, one: Opened, said: Command | Misunderstood, now: int, turn: Turn) -> None:
        """Take what a person says, or answer that it is too much, or be silent; what is silent has no effect later."""
        given = one.given
        is_fresh = check_fresh(given.created_at, now) is None
        heard = self.hearing.hear(given.author, said, now, is_fresh=is_fresh, is_unlimited=one.standing.platform)
        if heard in (Heard.TAKEN, Heard.LAST):
            await self._take_command(one, said, now, turn, is_last=heard is Heard.LAST)
            return
        self.refuse(Refusal(Reason.RATE_LIMITED), given.event)
        if heard is Heard.TOO_FAST:
            self._owe_answer(given, said, refusal(said.verb, TOO_FAST, json=said.json), now, turn)
        elif heard is Heard.IN_SILENCE:
            turn.batch.answered.append((given.id, now))

    async def _take_command(
        self, one: Opened, said: Command | Misunderstood, now: int, turn: Turn, *, is_last: bool
    ) -> None:
        refused = self._find_refusal(one, said, now)
        if refused is not None:
            if is_last:
                refused = Refused(refused.code, f"{refused.message}. {HUSHED}")
            self._owe_answer(one.given, said, refusal(said.verb, refused, json=said.json), now, turn)
            return
        assert isinstance(said, Command), "what is misunderstood is refused"
        if said.verb == DISMISS:
            text = self._unread.dismiss(self.books[one.standing.operator or ""], said, turn.batch)
            self._owe_answer(one.given, said, text, now, turn)
        elif said.form.changes:
            await self._decide_order(one, said, now, turn)
        else:
            turn.questions.append((Question(said, one.given.author, one.standing, now), one.given))

    def _find_refusal(self, one: Opened, said: Command | Misunderstood, now: int) -> Refused | None:
        """Why a command goes no further than the desk, or None: its age, its words, its author, the door."""
        standing = one.standing
        stale = check_fresh(one.given.created_at, now)
        if stale is not None:
            return stale
        if isinstance(said, Misunderstood):
            return _misunderstood(standing, said)
        if said.form.role is not Role.ANYONE and said.form.role not in standing.roles:
            return not_yours(said.verb)
        if said.form.changes:
            return self._check_door(said, standing, one.given.author)
        suspended = standing.operator is not None and not self.books[standing.operator].active
        return SUSPENDED if suspended and said.form.role is Role.OPERATOR else None

    def _check_door(self, said: Command, standing: Standing, author: str) -> Refused | None:
        """What a single book cannot know: other operators' machines, and the world's time zones."""
        keys = self._concerned(said, standing, author)
        if not self.closed_books.keys().isdisjoint(keys):
            return Refused(Code.BOOK_CLOSED, "this book is closed for repair: only questions are answered")
        if said.verb == "machine free" and said.args["npub"] not in self.directory.machines:
            return Refused(Code.NOT_FOUND, "no operator has a machine with this key")
        refused = self._find_taken(said, standing)
        if refused is not None:
            return refused
        if said.verb == "mode" and "limit" in said.args:
            # The answer is the first book's: a limit must be one in each of them, or it is entered in none.
            purses = {
                book.machines[machine].fiat
                for book in (self.books[key] for key in keys)
                for machine in book.lps[book.lp_of_key[author]].seats
            }
            limit = read_limit(Order(said, author, 0), "limit", purses)
            return limit if isinstance(limit, Refused) else None
        if said.verb == "operator add" and said.args.get("tz", "UTC") not in zone_names():
            return Refused(Code.BAD_ARGUMENT, "tz must be an IANA time zone, like America/Guatemala")
        return None

    def _find_taken(self, said: Command, standing: Standing) -> Refused | None:
        """Why a key may not get the part that a command gives it, as far as the book that is asked cannot know.

        Operators learn nothing here but that a key is a machine's somewhere: those are no secret, each signs in public.
        """
        given = set(keys_given(said))
        if given and self._next_bot() in given:
            return taken(Part.BOT)
        if not given or GIVEN_BY[said.verb] not in (Part.MACHINE, Part.OPERATOR):
            return None
        key = said.args["npub"]
        if GIVEN_BY[said.verb] is Part.OPERATOR and key in self.directory.machines:
            return taken(Part.MACHINE)
        elsewhere = self.directory.holder(key)
        if elsewhere is None or elsewhere == standing.operator:
            return None
        if standing.operator is not None and not said.preview:
            self.claims.note(key, standing.operator)
        return Refused(Code.KEY_TAKEN, "this key is already a machine's: give each machine a key of its own")

    def _concerned(self, said: Command, standing: Standing, author: str) -> list[str]:
        """The keys of the books a command concerns; the first one answers."""
        role = said.form.role
        if role is Role.OPERATOR:
            return [standing.operator or ""]
        if role is Role.LP:
            return books_concerned(self.books, standing.lp, author, said.verb)
        if said.verb == "platform fee":
            return list(self.books)
        if said.verb == "operator add":
            return [ROOT, said.args["npub"]]
        if said.verb == "machine free":
            return [self.directory.standing(said.args["npub"]).machine or ROOT, ROOT]
        handle = said.args["name"]
        return [ROOT, *(key for key, book in self.books.items() if key != ROOT and book.handle == handle)]

    async def _decide_order(self, one: Opened, said: Command, now: int, turn: Turn) -> None:
        given, author = one.given, one.given.author
        first, *others = self._concerned(said, one.standing, author)
        self.in_hand = first
        home = self.live[first]
        given, at = given._replace(heard=home.heard_at(now)), home.chain.next_at(now)
        decision = decide_command(home.book, given, said, at, RULES)
        refused = decision.instead
        if decision.facts and said.form.role is Role.LP and not (said.preview or self.hearing.may_choose(author, now)):
            refused = TOO_MANY_CHOICES
        if isinstance(refused, Refused):
            text = refusal(said.verb, refused, json=said.json)
            self._owe_answer(given, said, text, now, turn)
            return
        assert refused is None, "duplicates were sorted out before"
        view = outcome_view(home.book, author, said, decision.facts, at=at)
        if said.preview and said.verb == "splits set":
            # What is shown of the past is looked up beside the sales, as for a question.
            rules = splits_as_set(home.book, said, decision.facts)
            turn.questions.append((Question(said, author, one.standing, now, Begun(view, rules)), given))
            return
        if not said.preview and decision.facts:
            self._seal(home, given, decision.facts, now, turn)
            self._unread.forget(home.book, decision.facts[0], turn.batch)
            turn.registry_changed = turn.registry_changed or said.verb in ENROLLING
            _name_entry(home.book, view, turn)
        if not said.preview:
            if decision.facts and said.verb == "lp add":
                self._owe(enrolment_notice(self.books, home.book, said.args["npub"]), now, turn)
            if said.verb == "machine free":
                others = others if decision.facts else []
                self._owe(self.claims.answer(said.args["npub"], self.books, now), now, turn)
            for key in others:
                if said.verb == "join":
                    await self._bring_choices(given, first, key, now, turn)
                self._decide_beside(key, given, said, now, turn)
            if decision.facts and said.verb == "operator add":
                await self._carry(said, home, now, turn)
        self._owe_answer(given, said, answer(said.verb, view, json=said.json, preview=said.preview), now, turn)

    def _decide_beside(self, key: str, given: Signed, said: Command, now: int, turn: Turn) -> None:
        """Enter a command that was answered from its first book into another that it concerns."""
        if key not in self.live:
            book = Book(self.books[ROOT].bot, key, self.books[ROOT].platform)
            self.live[key], self.books[key] = LiveBook(book, Chain(key)), book
        live, self.in_hand = self.live[key], key
        beside = given._replace(answered=False, heard=live.heard_at(now))
        decision = decide_command(live.book, beside, said, live.chain.next_at(now), RULES)
        if decision.facts:
            self._seal(live, beside, decision.facts, now, turn)

    async def _carry(self, said: Command, home: LiveBook, now: int, turn: Turn) -> None:
        """Enter what an operator's book must know of before its time: the platform's fee, and the keys the bot had then."""
        root = home.book
        # The newest rotation first: each names who was before one that the book knows.
        seqs = [seq for seq in (*reversed(root.rotations), root.fee_seq) if seq]
        await self._enter_again(ROOT, seqs, said.args["npub"], now, turn)

    async def _bring_choices(self, join: Signed, known: str, key: str, now: int, turn: Turn) -> None:
        """Before an LP's `join` with an operator enter what it chose with another one; not earlier.

        Until it says so itself, nothing of an LP is any other operator's to know (review A8).
        """
        there, here = (lp_in(self.books[book], join.author) for book in (known, key))
        if there.preferences is not None and here.preferences is None:
            seqs = sorted(set(there.preference_seqs.values()))
            await self._enter_again(known, seqs, key, now, turn, but=join.id)

    async def _enter_again(
        self, key: str, seqs: list[int], other: str, now: int, turn: Turn, *, but: str | None = None
    ) -> None:
        """Enter the inputs of these entries of book `key` in another one, `but` not the one of this id."""
        into = self.live[other]
        self.in_hand = other
        for seq in seqs:
            carried = await carried_input(self._queries, turn.batch, key, seq)
            if carried.id == but:
                continue
            decision = decide(into.book, carried, into.chain.next_at(now), RULES)
            if decision.facts:
                self._seal(into, carried, decision.facts, now, turn)

    def _owe(self, message: Message | None, now: int, turn: Turn) -> None:
        if message is not None:
            turn.batch.owed.append(Owed(self.new_row(), None, None, message_body(message, now)))

    def _owe_answer(self, given: Signed, said: Command | Misunderstood, text: str, now: int, turn: Turn) -> None:
        turn.batch.answered.append((given.id, now))
        message = answer_message(given, answer_that_fits(said.verb, text, json=said.json, scheme=given.scheme))
        turn.batch.owed.append(Owed(self.new_row(), None, None, message_body(message, now)))

    # --- sealing --------------------------------------------------------------------------------------------------

    def _seal(self, live: LiveBook, given: Input, facts: tuple[Fact, ...], now: int, turn: Turn) -> Sealed:
        """Apply facts and seal them; what the entry has to say is owed from then on."""
        at = live.chain.next_at(now)
        self.in_hand = live.book.key
        self.changed.add(live.book.key)
        try:
            booked = apply(live.book, given.id, facts, seq=live.chain.seq + 1, at=at, rules=RULES)
        except BooksError as error:
            self.closed_books[live.book.key] = str(error)
            raise
        entry = seal(live.chain, given, facts, booked, at=at)
        turn.batch.entries.append(entry)
        kind, sender, scheme, heard = 0, "", Scheme.PLAIN, at
        if isinstance(given, Signed):
            kind, sender, scheme = given.event.kind, given.author, given.scheme
            heard = at if given.heard is None else given.heard
        sealed = Sealed(entry.book, entry.seq, heard, entry.hash, facts, kind, sender, scheme)
        turn.entries[entry.book, entry.seq] = sealed
        if owes_messages(facts):
            turn.batch.owed.append(Owed(self.new_row(), entry.book, entry.seq, None))
        return sealed

    def _note_balances(self, turn: Turn) -> None:
        touched = {
            (entry.book, account, unit)
            for entry in turn.batch.entries
            for transaction in entry.transactions
            for account, unit, _ in transaction.postings
        }
        for key, account, unit in sorted(touched):
            turn.batch.balances[key, account, unit] = self.books[key].balances.of(account, unit)

    def _snapshot(self, turn: Turn) -> None:
        for key in {entry.book for entry in turn.batch.entries}:
            live = self.live[key]
            if live.chain.seq - live.snapshot_seq >= SNAPSHOT_EVERY_ENTRIES:
                live.snapshot_seq = live.chain.seq
                try:
                    turn.batch.snapshots.append(live.snapshot_row())
                except Exception as error:  # noqa: BLE001 - a snapshot is a cache: without it the turn is as good
                    logger.opt(exception=True).critical("a book cannot be kept as a snapshot")
                    turn.no_snapshot[key] = type(error).__name__

    def new_row(self) -> int:
        """The next id of the outbox."""
        row = self._next_row
        self._next_row += 1
        return row

    def refuse(self, refused: Refusal, event: VerifiedEvent) -> None:
        """Count a refusal, and say so in the log at its lowest level: refusing is the normal thing."""
        self.refusals[refused.reason] += 1
        # Never the content: it may be somebody's private message.
        logger.debug("refused {} of {}: {} {}", event.id[:8], event.pubkey[:8], refused.reason, refused.detail)


def _is_due(live: LiveBook, now: int) -> bool:
    """Return whether something is due in a book. Where that cannot be said it is: deciding it shows what is wrong."""
    try:
        return bool(due_slots(live.book, live.chain.next_at(now)) or due_moves(live.book))
    except Exception:  # noqa: BLE001 - one book's fault must not keep the others from their slots
        return True


def answer_message(given: Signed, text: str) -> Message:
    """The answer to a command, the same way the command came."""
    return direct_message(given.author, f"answer:{given.id}", text, given.scheme, in_reply_to=given.id)


def _name_entry(book: Book, view: View, turn: Turn) -> None:
    """Say in the answer about a settlement born in this turn where it is sealed: that is known only now."""
    settlement = view.get("settlement")
    if isinstance(settlement, dict) and settlement["entry_hash"] is None:
        seq = book.recall.dossiers[int(settlement["id"][1:])].seq
        settlement |= {"entry": seq, "entry_hash": turn.entries[book.key, seq].hash}


def _misunderstood(standing: Standing, said: Misunderstood) -> Refused:
    if said.refused.code is Code.UNKNOWN_COMMAND:
        return name_what_there_is(said.refused, said.verb, standing.roles)
    return said.refused
