"""Verification: a book's whole history, re-derived from its trail without trusting the bot.

What lives here: verifying a trail from an empty book. What does not: writing one (exports/trail.py); the bot, relays,
keys: verifying needs nothing but the file. docs/protocol.md section 7. A trail is JSON Lines: a header, then every entry in order.

Proven by signatures: every input, and that it was addressed to this bot. Proven by deciding again: every fact, posting
and hash. Resting on the bot's word: what an encrypted input said (only its two parties can open it), and that the trail
is not cut short at its end, nor an input left out that nothing later rests on.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from nostrbot.core.book import ROOT, Book, check_books
from nostrbot.core.daybook import local_day
from nostrbot.core.engine import RULES, apply, decide
from nostrbot.core.facts import (
    Fact,
    Leg,
    LpPaid,
    SettlementCorrected,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRetried,
    plain_fact,
)
from nostrbot.core.inputs import Input, Signed, Tick, open_signed
from nostrbot.core.states import LegStatus
from nostrbot.errors import BooksError, TrailError
from nostrbot.journal.entry import GENESIS, TRAIL_VERSION, canonical, digest
from nostrbot.nostr.event import read_event
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Refusal

AT_END = 253_370_764_800  # unix seconds: the year 9999 begins, and after it no calendar of ours goes on
_HEADER = {"trail", "bot", "book", "created_at"}
_ENTRY = {"at", "facts", "hash", "input", "postings", "prev", "rules", "seq"}
_INPUT = {"event", "plaintext", "carried", "answered"}
_KEY = re.compile("[0-9a-f]{64}")


@dataclass(slots=True)
class Summary:
    """What a verified trail holds."""

    bot: str
    book: str
    platform: str = ""
    handle: str = ""
    entries: int = 0
    head: str = GENESIS
    settlements: int = 0
    receipts: int = 0
    encrypted: int = 0
    sats_settled: int = 0


def verify_trail(lines: Iterable[bytes], *, bot: str | None = None) -> Summary:
    """Verify a trail line by line. Raises TrailError at the first difference, naming entry and field.

    `bot`: the key (hex) the trail must be of; without it the header is believed and the reader should compare.
    """
    numbered = iter(lines)
    summary, opened_at = _read_header(next(numbered, b""), bot)
    book = Book(summary.bot, summary.book, "")
    last_at, seals = 0, set[str]()
    for seq, line in enumerate(numbered, start=1):
        content = _read_line(line, seq)
        given = _check_seal(content, seq, summary.head, last_at)
        if seq == 1 and isinstance(given, Signed):
            book.platform = summary.platform = given.author
        if isinstance(given, Signed) and given.rumor is not None:
            # One signature, one message: what a seal holds rests on the bot's word, so it may hold only one thing.
            if given.event.id in seals:
                raise TrailError(seq, "input.event", "is a seal that an entry before was made of already")
            seals.add(given.event.id)
        _check_decision(book, content, given, seq, summary)
        if not book.handle and book.key != ROOT:
            raise TrailError(seq, "facts", "the book was never opened by a platform")
        if seq == 1:
            _check_time_zone(book, content["at"])
            if content["at"] != opened_at:
                raise TrailError(0, "created_at", "is not the time of the first entry")
        summary.head, last_at = content["hash"], content["at"]
        summary.entries = seq
        summary.encrypted += isinstance(given, Signed) and given.scheme is not Scheme.PLAIN
    if not summary.entries:
        raise TrailError(0, "entries", "the trail has no entries")
    try:
        check_books(book)
    except BooksError as error:
        raise TrailError(summary.entries, "balances", str(error)) from None
    summary.handle = book.handle
    return summary


def _read_header(line: bytes, bot: str | None) -> tuple[Summary, Any]:
    header = _object(line, 0)
    if set(header) != _HEADER or header["trail"] != TRAIL_VERSION:
        raise TrailError(0, "trail", "this is no trail of version 1")
    for field in ("bot", "book"):
        key = header[field]
        is_root = field == "book" and key == ROOT
        if not is_root and not (isinstance(key, str) and _KEY.fullmatch(key)):
            raise TrailError(0, field, "must be a key: 64 hex digits in lower case")
    if bot is not None and header["bot"] != bot:
        raise TrailError(0, "bot", "this trail is of another bot")
    return Summary(header["bot"], header["book"]), header["created_at"]


def _read_line(line: bytes, seq: int) -> dict[str, Any]:
    content = _object(line, seq)
    if set(content) != _ENTRY:
        missing = ", ".join(sorted(_ENTRY.symmetric_difference(content)))
        raise TrailError(seq, "entry", f"has not the fields of an entry (look at {missing})")
    return content


def _object(line: bytes, seq: int) -> dict[str, Any]:
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise TrailError(seq, "line", "is not JSON") from None
    if not isinstance(content, dict):
        raise TrailError(seq, "line", "is not a JSON object")
    return content


def _check_seal(content: dict[str, Any], seq: int, head: str, last_at: int) -> Input:
    """Check place, time, hash and signature of one entry; returns its input."""
    if type(content["seq"]) is not int or content["seq"] != seq:
        raise TrailError(seq, "seq", f"says {content['seq']}: an entry is missing, added or out of place")
    if content["prev"] != head:
        raise TrailError(seq, "prev", "is not the hash of the entry before")
    try:
        body = canonical({name: value for name, value in content.items() if name != "hash"})
    except TypeError:  # orjson reads deeper nesting than it writes
        raise TrailError(seq, "entry", "is nested too deeply") from None
    if digest(body) != content["hash"]:
        raise TrailError(seq, "hash", "is not the hash of this entry: something in it was changed")
    if type(content["at"]) is not int or content["at"] < last_at:
        raise TrailError(seq, "at", "is before the entry before")
    if content["at"] >= AT_END:
        raise TrailError(seq, "at", "is after the last day there is")
    if type(content["rules"]) is not int or content["rules"] != RULES:
        raise TrailError(seq, "rules", f"were version {content['rules']}; this program knows version {RULES}")
    return _read_input(content["input"], seq)


def _check_time_zone(book: Book, opened_at: int) -> None:
    """The days of a book are those of its operator's time zone, so this program must know it."""
    try:
        local_day(book.tz, opened_at)
    except (KeyError, ValueError, OSError):  # not there, no name of one, a folder of them
        raise TrailError(1, "facts", f"are of a time zone that is not known here: {book.tz!r}") from None


def _read_input(given: Any, seq: int) -> Input:
    if isinstance(given, dict) and set(given) == {"tick"} and type(given["tick"]) is int:
        return Tick(given["tick"])
    if not isinstance(given, dict) or not set(given) <= _INPUT:
        raise TrailError(seq, "input", "is not an input this program knows")
    event = read_event(given.get("event"))
    if isinstance(event, Refusal):
        raise TrailError(seq, "input.event", f"does not verify: {event.reason}")
    text = given.get("plaintext", event.content)
    carried, answered = given.get("carried", False), given.get("answered", True)
    if not isinstance(text, str) or type(carried) is not bool or type(answered) is not bool:
        raise TrailError(seq, "input", "has a field of a wrong type")
    signed = open_signed(event, text, carried=carried, answered=answered)
    if isinstance(signed, Refusal):
        raise TrailError(seq, "input.plaintext", f"is not what a seal holds: {signed.reason}")
    # Without this a plain content, which is signed, could be given another plaintext, which is not.
    difference = _first_difference(signed.plain(), given, "input")
    if difference:
        raise TrailError(seq, *difference)
    return signed


def _check_decision(book: Book, content: dict[str, Any], given: Input, seq: int, summary: Summary) -> None:
    """Decide the input again and compare; then let the book go on."""
    decision = decide(book, given, content["at"])
    if not decision.facts:
        raise TrailError(seq, "facts", f"there should be no entry: decided again, this input is {decision.instead}")
    difference = _first_difference([plain_fact(fact) for fact in decision.facts], content["facts"], "facts")
    if difference:
        raise TrailError(seq, *difference)
    try:
        booked = apply(book, given.id, decision.facts, seq=seq, at=content["at"])
    except BooksError as error:
        raise TrailError(seq, "postings", str(error)) from None
    postings = [list(posting) for transaction in booked for posting in transaction.postings]
    difference = _first_difference(postings, content["postings"], "postings")
    if difference:
        raise TrailError(seq, *difference)
    _count(decision.facts, summary)


def _count(facts: tuple[Fact, ...], summary: Summary) -> None:
    """What the summary says: settlements that were booked, the sats of them in force, receipts that LPs may keep."""
    for fact in facts:
        if isinstance(fact, SettlementProcessed | SettlementRetried):
            summary.settlements += 1
            summary.sats_settled += fact.sale.wire_sats
        if isinstance(fact, SettlementProcessed | SettlementRetried | SettlementCorrected | LpPaid):
            summary.receipts += _receipts(fact.legs, LegStatus.COMPLETED)
        if isinstance(fact, SettlementCorrected):
            summary.sats_settled += fact.wire_sats - sum(leg.sats for leg in fact.voided)
        if isinstance(fact, SettlementRefunded) and fact.fiat_minor:
            summary.sats_settled -= fact.sats
        if isinstance(fact, SettlementCorrected | SettlementRefunded):
            summary.receipts -= _receipts(fact.voided, LegStatus.VOIDED)


def _receipts(legs: tuple[Leg, ...], status: LegStatus) -> int:
    return sum(1 for leg in legs if leg.lp is not None and leg.sats and leg.status is status)


def _first_difference(derived: Any, sealed: Any, place: str) -> tuple[str, str] | None:
    """Where two plain values first differ, and how."""
    derived, sealed = orjson.loads(canonical(derived)), orjson.loads(canonical(sealed))
    return next(_differences(derived, sealed, place), None)


def _differences(derived: Any, sealed: Any, place: str) -> Iterator[tuple[str, str]]:
    if type(derived) is not type(sealed):
        yield place, f"is {sealed!r}, decided again it is {derived!r}"
    elif isinstance(derived, dict):
        for name in sorted({*derived, *sealed}):
            if name not in derived or name not in sealed:
                yield f"{place}.{name}", "is " + ("missing" if name not in sealed else "not part of what was decided")
            else:
                yield from _differences(derived[name], sealed[name], f"{place}.{name}")
    elif isinstance(derived, list):
        for index, (one, other) in enumerate(zip(derived, sealed, strict=False)):
            yield from _differences(one, other, f"{place}[{index}]")
        if len(derived) != len(sealed):
            yield place, f"has {len(sealed)} members, decided again it has {len(derived)}"
    elif derived != sealed:
        yield place, f"is {sealed!r}, decided again it is {derived!r}"
