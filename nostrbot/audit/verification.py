"""Verification: a book's whole history, re-derived from its trail without trusting the bot.

What lives here: verifying a trail from an empty book, page by page, with what is remembered of the pages before on
disk. What does not: writing one (exports/trail.py); what can be said of a page alone (examination.py); the bot, relays,
the bot's database: verifying needs nothing but the file. docs/protocol.md section 7; docs/audit.md says what it is
worth.
"""

import re
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import date, timedelta
from typing import Any

from nostrbot.audit.differences import require_same
from nostrbot.audit.evidence import Evidence, Receipt
from nostrbot.audit.examination import Depth, EntryTrouble, pages, read_object
from nostrbot.audit.memory import Memory
from nostrbot.audit.parties import Parties
from nostrbot.audit.summary import Carried, Summary
from nostrbot.audit.workers import Findings, examined_pages
from nostrbot.core.atm.counter import Counter, Gap
from nostrbot.core.atm.facts import LpEnrolled
from nostrbot.core.atm.fixed import open_slots
from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.command import Command
from nostrbot.core.desks import OBSERVERS, check_books
from nostrbot.core.engine import apply, check_fresh, decide
from nostrbot.core.facts import Fact, plain_fact
from nostrbot.core.inputs import ClockSet, Input, Observed, Signed, Tick, read_observation
from nostrbot.core.local_time import is_known_zone, local_day
from nostrbot.core.parsing import parse
from nostrbot.core.platform.facts import BookOpened
from nostrbot.core.proofs.checkpoint import Checkpoint
from nostrbot.core.rules import FIRST, RULES, SOUND, are_known
from nostrbot.errors import BooksError, ConfigError, TrailError
from nostrbot.journal.entry import TRAIL_VERSION, canonical
from nostrbot.nostr import kinds
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Scheme, scheme_of

AT_END = 253_370_764_800  # unix seconds: the year 9999 begins, and after it no calendar of ours goes on
_HEADER = {"trail", "bot", "book", "created_at"}
_KEY = re.compile("[0-9a-f]{64}")

Progress = Callable[[int], None]


def verify_trail(
    lines: Iterable[bytes],
    *,
    bot: str | None = None,
    platform: str | None = None,
    jobs: int = 1,
    keys: Iterable[Keys] = (),
    checkpoints: Sequence[Checkpoint] = (),
    receipts: Sequence[Receipt] = (),
    lp: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Verify a trail line by line. Raises TrailError at the first difference, naming entry and field.

    `bot`, `platform`: the keys (hex) the trail must be of, and must be opened by; without them what the trail says of
    itself is believed, and the reader should compare. `jobs`: how many processes may work. `keys`: of parties, who
    check with them what was said to and by them. `lp`: the key (hex) of the LP the receipts must belong to. `progress`
    is called now and then with how many entries are verified.
    """
    numbered = iter(lines)
    summary, opened_at, is_canonical = _read_header(next(numbered, b""))
    papers = Evidence(checkpoints, receipts, lp)
    book = Book(summary.bot, summary.book, "")
    try:
        with closing(Memory()) as memory, closing(examined_pages(pages(numbered), jobs)) as found:
            parties = Parties(keys)
            verifying = Verifying(summary, book, opened_at=opened_at, memory=memory, parties=parties, papers=papers)
            for findings in found:
                verifying.take(findings)
                if progress is not None:
                    progress(summary.entries)
    except sqlite3.Error as error:
        raise ConfigError(f"no room for the temporary index of the trail ({error}): set TMPDIR") from None
    _check_end(summary, book, bot, platform)
    papers.settle(summary.entries)
    crooked = verifying.crooked if is_canonical else 0
    if crooked is not None:
        # A reader who takes the first of two equal keys would see another entry than one who takes the last.
        raise TrailError(
            crooked,
            "line",
            "is not canonical: it needs sorted keys, each key once, no blanks, and an entry's hash last",
        )
    summary.handle, summary.bot_now = book.handle, book.bot
    missing = {machine: _missing(till.counter) for machine, till in book.tills.items()}
    summary.numbers_missing = {machine: numbers for machine, numbers in missing.items() if numbers}
    summary.checkpoints_checked, summary.receipts_checked = len(checkpoints), len(receipts)
    summary.receipts_voided = papers.voided_since
    return summary


def _read_header(line: bytes) -> tuple[Summary, Any, bool]:
    """Return the header's content, and whether it is canonical."""
    header = read_object(line, 0)
    if set(header) != _HEADER or (type(header["trail"]), header["trail"]) != (int, TRAIL_VERSION):
        raise TrailError(0, "trail", "this is not a trail of version 1")
    for name in ("bot", "book"):
        key = header[name]
        is_root = name == "book" and key == ROOT
        if not is_root and not (isinstance(key, str) and _KEY.fullmatch(key)):
            raise TrailError(0, name, "must be a key: 64 hex digits in lower case")
    return Summary(header["bot"], header["book"]), header["created_at"], canonical(header) == line.rstrip(b"\r\n")


def _check_end(summary: Summary, book: Book, bot: str | None, platform: str | None) -> None:
    if bot not in (None, summary.bot, book.bot):
        raise TrailError(0, "bot", "this trail belongs to another bot")
    if not summary.entries:
        raise TrailError(0, "entries", "the trail has no entries")
    if platform not in (None, summary.platform):
        raise TrailError(1, "input.event", "is signed by another platform")
    try:
        check_books(book)
    except BooksError as error:
        raise TrailError(summary.entries, "balances", str(error)) from None


class Verifying:
    """A verification on its way: the book so far, and what is expected of the next entry."""

    def __init__(
        self, summary: Summary, book: Book, *, opened_at: object, memory: Memory, parties: Parties, papers: Evidence
    ) -> None:
        """`opened_at`: when the header says that the book was opened."""
        self._summary = summary
        self._book = book
        self._opened_at = opened_at
        self._memory = memory
        self._parties = parties
        self._papers = papers
        self._last_at = 0
        self.crooked: int | None = None  # the first line that is not canonical, the header's as 0
        self._rules = FIRST  # of the entry before
        self._has_keys = False  # whether an entry before kept a message's own keys
        self._announced: str | None = None  # whose earlier choices were just carried in (hex key)
        self._newcomer: str | None = None  # whose earlier commands may be carried into the book now (hex key)

    def take(self, findings: Findings) -> None:
        """Verify the entries of the next page, in order."""
        page, (contents, inputs, trouble, crooked), needs = findings
        if crooked is not None and self.crooked is None:
            self.crooked = crooked
        self._memory.recall(self._book, needs)
        for place, content in enumerate(contents):
            seq = page.first + place
            self._check_place(content, seq)
            _raise(trouble, Depth.HASH, seq)
            self._check_time(content, seq)
            self._check_rules(content, seq)
            _raise(trouble, Depth.INPUT, seq)
            self._take_entry(content, inputs[place], seq)
        if trouble is not None:
            raise trouble.error()

    def _check_place(self, content: dict[str, Any], seq: int) -> None:
        if type(content["seq"]) is not int or content["seq"] != seq:
            raise TrailError(seq, "seq", f"says {content['seq']}: an entry is missing, added or out of place")
        if content["prev"] != self._summary.head:
            raise TrailError(seq, "prev", "is not the hash of the previous entry")

    def _check_time(self, content: dict[str, Any], seq: int) -> None:
        if type(content["at"]) is not int:
            raise TrailError(seq, "at", "is no time")
        observed = read_observation(content["input"])
        if isinstance(observed, ClockSet):
            if observed.was != self._last_at:
                raise TrailError(seq, "input.clock.was", "is not the time of the previous entry")
        elif content["at"] < self._last_at:
            raise TrailError(seq, "at", "is earlier than the previous entry")
        if content["at"] >= AT_END:
            raise TrailError(seq, "at", "is after the last day there is")

    def _check_rules(self, content: dict[str, Any], seq: int) -> None:
        """Check the rules number: a bot may not return to older rules once it decided by newer ones."""
        rules = content["rules"]
        if not are_known(rules):
            raise TrailError(seq, "rules", f"are number {rules}; this program knows numbers up to {RULES}")
        if rules < self._rules:
            raise TrailError(seq, "rules", f"are number {rules}, after an entry decided by number {self._rules}")
        self._rules = rules
        self._summary.count_rules(rules, content["at"])

    def _take_entry(self, content: dict[str, Any], given: Input, seq: int) -> None:
        book, summary = self._book, self._summary
        if seq == 1 and isinstance(given, Signed):
            book.platform = summary.platform = given.author
        if isinstance(given, Signed) and given.rumor is not None and self._memory.was_opened(given.event.id):
            # One signature, one message: without keys, what a seal holds rests on the bot's word.
            raise TrailError(seq, "input.event", "is a seal that an earlier entry used already")
        if isinstance(given, Signed) and given.heard is not None and content["at"] != self._last_at:
            # A book's time waits while the clock is behind it. Where it went on, the clock says the same as the entry:
            # another `heard` would make an old command fresh again.
            raise TrailError(seq, "input.heard", "is there, although the book's time went on since the previous entry")
        self._check_carried(given, seq)
        self._check_keyed(given, seq)
        self._count_input(given, seq, content["at"])
        self._count_missed_slots(content["at"])
        facts = self._decide_again(content, given, seq)
        if not book.handle and book.key != ROOT:
            raise TrailError(seq, "facts", "the book was never opened by a platform")
        if seq == 1:
            _check_time_zone(book)
            if (type(self._opened_at), self._opened_at) != (int, content["at"]):
                raise TrailError(0, "created_at", "is not the time of the first entry")
        summary.head, summary.entries, self._last_at = content["hash"], seq, content["at"]
        self._memory.put_away(given, facts, content["facts"], seq=seq, at=content["at"])
        self._papers.compare(book, facts, seq, content["hash"])
        if not (isinstance(given, Signed) and given.carried):
            self._newcomer = _newcomer(book, facts)
        summary.count(facts)

    def _check_carried(self, given: Input, seq: int) -> None:
        """Check that a carried command stands beside the entry it belongs to: elsewhere it would be an old command
        obeyed again.

        The entry that brings somebody into the book stands before it; by the rules since 2, the `join` of an LP stands
        after it.
        """
        author = given.author if isinstance(given, Signed) else None
        if self._announced is not None and author != self._announced:
            raise TrailError(seq, "input", "is not the join of the LP whose earlier choices precede it")
        is_carried = isinstance(given, Signed) and given.carried
        lp = self._book.lps.get(self._book.lp_of_key.get(author or "", ""))
        is_of_lp = is_carried and self._rules >= SOUND and lp is not None and lp.preferences is None
        self._announced = author if is_of_lp else None
        if is_carried and not is_of_lp and author != self._newcomer:
            raise TrailError(
                seq, "input.carried", "is true, but the previous entry did not bring in the author of this command"
            )

    def _check_keyed(self, given: Input, seq: int) -> None:
        """Check for message keys: once a bot keeps them, a message without keys hides its text. An older one may be
        carried in.
        """
        if not isinstance(given, Signed) or scheme_of(given.event.content) is not Scheme.NIP44:
            return
        if given.keys is None and not given.carried and (self._has_keys or self._rules >= SOUND):
            raise TrailError(
                seq, "input.keys", "are missing: since an earlier entry, the trail has the keys of each NIP-44 message"
            )
        self._has_keys = self._has_keys or given.keys is not None

    def _count_missed_slots(self, at: int) -> None:
        """Count the slots of the local days that ended since the entry before and that never had their turn."""
        book, summary = self._book, self._summary
        if not (book.fixed_plan.slots and book.active):
            return
        today = local_day(book.tz, at)
        first = max(local_day(book.tz, self._last_at), book.fixed_day)
        if first < today:
            whole_days = (date.fromisoformat(today) - date.fromisoformat(first)).days - 1
            missed = len(open_slots(book, first)) + whole_days * len(book.fixed_plan.slots)
            if missed:
                summary.slots_missed += missed
                last = date.fromisoformat(today) - timedelta(days=1)
                summary.slot_missed_on = last.isoformat() if whole_days else first

    def _count_input(self, given: Input, seq: int, at: int) -> None:
        """Count what the input rests on, and have a party with a key check it."""
        summary = self._summary
        if isinstance(given, Tick):
            summary.ticks += 1
            return
        if isinstance(given, ClockSet):
            summary.clocks_set += 1
            return
        if isinstance(given, Observed):
            observer = OBSERVERS.get(given.saw)
            summary.count_observation(given.source, is_proven=observer is not None and observer.is_proven(given))
            return
        summary.signed += 1
        summary.heard_before += given.heard is not None
        if given.carried:
            summary.name_carried(Carried(seq, _verb(given), given.author, given.created_at))
        elif given.heard is not None and _is_command(given) and check_fresh(given.created_at, at) is not None:
            summary.name_aged(Carried(seq, _verb(given), given.author, given.created_at))
        if given.scheme is Scheme.PLAIN:
            summary.plain += 1
            return
        summary.encrypted += 1
        is_checked = self._parties.check(given, self._book, seq)  # also where there are keys: a party knows for certain
        if given.keys is not None:
            summary.opened_by_keys += 1
        elif is_checked:
            summary.opened_by_parties += 1
        else:
            summary.on_bots_word += 1

    def _decide_again(self, content: dict[str, Any], given: Input, seq: int) -> tuple[Fact, ...]:
        """Decide the input again and compare; then apply its facts to the book."""
        book = self._book
        decision = decide(book, given, content["at"], content["rules"])
        if not decision.facts:
            raise TrailError(seq, "facts", f"there should be no entry: decided again, this input is {decision.instead}")
        require_same([plain_fact(fact) for fact in decision.facts], content["facts"], "facts", seq)
        try:
            booked = apply(book, given.id, decision.facts, seq=seq, at=content["at"], rules=content["rules"])
        except BooksError as error:
            raise TrailError(seq, "postings", str(error)) from None
        postings = [posting for transaction in booked for posting in transaction.postings]
        require_same(postings, content["postings"], "postings", seq)
        return decision.facts


def _missing(counter: Counter) -> list[str]:
    """Return the numbers that a machine's count lacks. A count that jumped lacks all numbers between, as far as a
    trail shows.
    """
    newest, stray = counter.newest, counter.stray
    jumped = stray is not None and newest is not None and stray.first > newest + 1
    between = [str(Gap(newest + 1, stray.first - 1, 0, 0))] if jumped and stray and newest is not None else []
    return [*map(str, counter.gaps), *between, *map(str, stray.gaps if stray else ())]


def _is_command(given: Signed) -> bool:
    return given.event.kind in (kinds.DIRECT_MESSAGE, kinds.SEAL)


def _verb(given: Signed) -> str:
    """Return the verb of a carried input: a person's command, or the bot's own succession."""
    said = parse(given.text) if given.event.kind != kinds.APP_DATA else None
    return said.verb if isinstance(said, Command) else "succession"


def _raise(trouble: EntryTrouble | None, step: Depth, seq: int) -> None:
    """Raise the trouble of this entry, once verification has come that far."""
    if trouble is not None and (trouble.seq, trouble.step) == (seq, step):
        raise trouble.error()


def _newcomer(book: Book, facts: tuple[Fact, ...]) -> str | None:
    """Return the key that an entry brought into the book: its platform at the opening, or an enrolled LP."""
    for fact in facts:
        if isinstance(fact, BookOpened):
            return book.platform
        if isinstance(fact, LpEnrolled):
            return fact.pubkey
    return None


def _check_time_zone(book: Book) -> None:
    """Check that this program knows the operator's time zone: the days of the book depend on it."""
    if not is_known_zone(book.tz):
        raise TrailError(1, "facts", f"use a time zone that this computer does not know: {book.tz!r}; upgrade tzdata")
