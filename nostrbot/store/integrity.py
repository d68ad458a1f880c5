"""Integrity: what a start looks at before it believes what is kept.

What lives here: finding damage, in the file, in the chains, and between the chains and what was made from them. What
does not: what becomes of a book with a flaw (store.py, runtime/bookkeeper.py), and making projections again
(rebuilding.py).

All of it is one walk over the database, before any work is taken: some two seconds for a hundred thousand settlements
of ten LPs. A sample, or a look after the start, would ack sales that a damaged book cannot be trusted with. The content
of entries is read only for the keys that repeats are known by; deciding them again is the auditor's work (audit/).
"""

import re
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from nostrbot.core.book import ROOT, Book
from nostrbot.core.inputs import effect_id
from nostrbot.core.proofs.checkpoint import read_checkpoint
from nostrbot.core.rules import are_known
from nostrbot.errors import BooksError, FenceError
from nostrbot.journal.entry import GENESIS
from nostrbot.nostr.event import read_event
from nostrbot.refusals import Refusal
from nostrbot.store.sqlite import ALONE, NEWER, RESTORE, connect_plainly

REBUILD = "stop the bot and run `nostrbot rebuild`"

_END = re.compile(rb',"prev":"([0-9a-f]{64})","rules":([0-9]+),"seq":([0-9]+)\}\Z')
_END_BYTES_MAX = 160
_TABLES = (
    "entry",
    "settlement",
    "settlement_change",
    "leg",
    "leg_quarter",
    "leg_month",
    "sale_quarter",
    "sale_month",
    "balance",
    "snapshot",
    "checkpoint",
    "outbox",
)
# Numbered from 1 on, without gaps: how many there are, the highest number, and how many point to what is not there.
_NUMBERED = """
SELECT count(*), coalesce(max(number), 0), coalesce(sum({orphan}), 0) FROM {table} WHERE book = :book
"""
_SETTLEMENTS = _NUMBERED.format(table="settlement", orphan="seq NOT BETWEEN 1 AND :entries")
_LEGS = _NUMBERED.format(
    table="leg",
    orphan="seq NOT BETWEEN 1 AND :entries OR coalesce(reversed_seq, 1) NOT BETWEEN 1 AND :entries"
    " OR coalesce(settlement, 1) NOT BETWEEN 1 AND max(:settlements, 1)",
)
_BIRTHS = "SELECT seq, at, machine, payment_hash, accepted FROM settlement WHERE book = ? ORDER BY number"
_CHANGES = "SELECT seq, number FROM settlement_change WHERE book = ?"
_NAMED = b'"fact":"'
_OF_SETTLEMENT, _REJECTED, _FROZEN = (
    _NAMED + name for name in (b"settlement_", b'settlement_rejected"', b'settlement_frozen"')
)
# Sums are compared with what they are sums of: how many, and how much in halves (sums.py).
_IN_FORCE = "status = 'completed' AND sats > 0"
_RECEIVED = "lp IS NOT NULL AND sats > 0 AND type IN ('dca', 'settlement', 'operator_split')"
_COUNTED = {
    "made": f"{_RECEIVED} AND (status = 'completed' OR reversed_seq IS NOT NULL)",
    "taken": f"{_RECEIVED} AND reversed_seq IS NOT NULL",
    "reversed": f"{_RECEIVED} AND reversed_seq IS NOT NULL",
    "apart": f"{_IN_FORCE} AND settlement IS NULL",
    "pot": f"{_IN_FORCE} AND type = 'operator_split'",
}
_OF_LEGS = """
SELECT count(*), sum(sats >> 32), sum(sats & 4294967295), sum(coalesce(fiat_minor, 0) >> 32),
  sum(coalesce(fiat_minor, 0) & 4294967295) FROM leg WHERE book = ? AND {}
"""
_LEG_SUMS = """
SELECT what, sum(count), sum(sats_high), sum(sats_low), sum(fiat_high), sum(fiat_low) FROM {} WHERE book = ? GROUP BY what
"""
_SALES = (
    "SELECT machine, status, count(*) FROM settlement WHERE book = ? AND figures IS NOT NULL GROUP BY machine, status"
)
_SALE_SUMS = "SELECT machine, status, sum(count) FROM {} WHERE book = ? GROUP BY machine, status HAVING sum(count) <> 0"
_BALANCES = "SELECT account, unit, amount FROM balance WHERE book = ?"
_NEWEST_CHECKPOINT = "SELECT seq, event FROM checkpoint WHERE book = ? ORDER BY number DESC LIMIT 1"
_HASH = "SELECT hash FROM entry WHERE book = ? AND seq = ?"
# Promises and copies of an entry that is gone: the end of the chain is gone.
_HIGHEST = """
SELECT max(seq) FROM (
SELECT max(seq) AS seq FROM snapshot WHERE book = :book UNION ALL SELECT max(seq) FROM checkpoint WHERE book = :book
UNION ALL SELECT max(seq) FROM outbox WHERE book = :book)
"""


def find_flaws(path: Path, books: Mapping[str, Book]) -> dict[str, str]:
    """Find the flaws of a database, by the key of the book that must not go on: why, and what to do.

    `books`: as they were folded from it. Damage that is no single book's is every book's. Raises sqlite3.Error when not
    even the names of the books can be read, FenceError when another bot has opened a book since they were folded.
    """
    # Reading pages and hashing let go of the interpreter: each has a core of its own.
    with ThreadPoolExecutor(max_workers=1) as beside:
        pages = beside.submit(_page_damage, path)
        flaws = _book_flaws(path, books)
        damage = pages.result()
    return flaws if damage is None else dict.fromkeys(books, damage)


def check_journal(path: Path) -> None:
    """Raise BooksError at the first thing that is wrong with the file, or with a chain in it."""
    damage = _page_damage(path)
    if damage is not None:
        raise BooksError(damage)
    with closing(_reading(path)) as connection:
        for number in _check_books(connection).values():
            _check_chain(connection, number)


def _page_damage(path: Path) -> str | None:
    """Return what is wrong with the file's pages."""
    with closing(_reading(path)) as connection:
        try:
            [(found,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            found = str(error)
    return None if found == "ok" else f"the database file is damaged ({' '.join(found.split())}): {RESTORE}"


def _book_flaws(path: Path, books: Mapping[str, Book]) -> dict[str, str]:
    flaws: dict[str, str] = {}
    with closing(_reading(path)) as connection:
        try:
            numbers = _check_books(connection)
        except BooksError as error:
            return dict.fromkeys(books, str(error))
        if not numbers.keys() <= books.keys():
            raise FenceError(f"the journal's fence was hit: a book was opened while the others were examined: {ALONE}")
        for key, number in numbers.items():
            try:
                index = _Index(connection, number)
                entries = _check_chain(connection, number, index.compare)
                _check_end(connection, number, entries)
                _check_projections(connection, number, entries, books[key])
                index.check()
                _check_sums(connection, number)
            except BooksError as error:
                flaws[key] = str(error)
            except sqlite3.DatabaseError as error:
                flaws[key] = f"the database cannot be read ({error}): {RESTORE}"
    if ROOT not in flaws and books[ROOT].operators.keys() != books.keys() - {ROOT}:
        return dict.fromkeys(books, f"the books do not match the operators: {RESTORE}")
    return flaws


def _reading(path: Path) -> sqlite3.Connection:
    connection = connect_plainly(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _check_books(connection: sqlite3.Connection) -> dict[str, int]:
    """Return every book's number. Raises BooksError if one is missing, or rows belong to unknown books."""
    numbers: dict[str, int] = dict(connection.execute("SELECT key, id FROM book").fetchall())
    named = all(isinstance(key, str) for key in numbers) and (not numbers or ROOT in numbers)
    if not named or sorted(numbers.values()) != list(range(1, len(numbers) + 1)):
        raise BooksError(f"a book is missing from the database: {RESTORE}")
    for table in _TABLES:
        sql = f"SELECT EXISTS (SELECT 1 FROM {table} WHERE book NOT BETWEEN 1 AND ?)"  # noqa: S608 - names of ours
        if connection.execute(sql, (len(numbers),)).fetchone() != (0,):
            raise BooksError(f"the database has rows in {table} of a book that is not there: {RESTORE}")
    return numbers


def _check_chain(
    connection: sqlite3.Connection,
    number: int,
    look: Callable[[int, int, object, bytes], None] = lambda _seq, _at, _event_id, _body: None,
) -> int:
    """Check every entry's place, time, hash and link; returns how many there are. Raises BooksError at the first flaw.

    `look` is shown each sound entry: number, time, the event id it is found by, content.
    """
    count, head = 0, GENESIS
    rows = connection.execute("SELECT seq, at, hash, event_id, body FROM entry WHERE book = ? ORDER BY seq", (number,))
    try:
        for seq, at, digest, event_id, body in rows:
            if seq != count + 1:
                raise BooksError(f"the journal has no entry {count + 1}: {RESTORE}")
            is_raw = isinstance(body, bytes) and isinstance(at, int)  # columns take values of any type
            if not is_raw or sha256(body).digest() != digest or not _is_linked(body, seq, at, head):
                raise BooksError(f"the journal is damaged at entry {seq}: {RESTORE}")
            if not _has_known_rules(body):
                raise BooksError(f"entry {seq} was decided by newer rules: {NEWER}")
            look(seq, at, event_id, body)
            count, head = seq, digest.hex()
    except sqlite3.Error as error:
        raise BooksError(f"the journal cannot be read after entry {count} ({error}): {RESTORE}") from None
    if not count:
        raise BooksError(f"the journal has no entry 1: {RESTORE}")
    return count


def _is_linked(body: bytes, seq: int, at: int, prev: str) -> bool:
    """Whether an entry follows `prev`. Canonical bytes begin with the time and end with both hashes: the rest is not
    read.
    """
    end = _END.search(body, max(0, len(body) - _END_BYTES_MAX))
    return end is not None and end.group(1, 3) == (prev.encode(), b"%d" % seq) and body.startswith(b'{"at":%d,' % at)


def _has_known_rules(body: bytes) -> bool:
    """Return whether this program can decide a linked entry again."""
    end = _END.search(body, max(0, len(body) - _END_BYTES_MAX))
    return end is not None and are_known(int(end.group(2)))


def _check_end(connection: sqlite3.Connection, number: int, entries: int) -> None:
    """Raise BooksError if the chain ends before what was kept or signed of it, or went another way."""
    [(highest,)] = connection.execute(_HIGHEST, {"book": number})
    if isinstance(highest, int) and highest > entries:
        raise BooksError(f"the journal ends at entry {entries}, and there was an entry {highest}: {RESTORE}")
    for seq, signed in connection.execute(_NEWEST_CHECKPOINT, (number,)):
        if _head_signed(signed) != connection.execute(_HASH, (number, seq)).fetchone():
            raise BooksError(f"entry {seq} is not the one that the newest checkpoint was signed for: {RESTORE}")


def _head_signed(signed: bytes) -> tuple[bytes] | None:
    """Return the hash that a checkpoint names; None if it is damaged."""
    try:
        event = read_event(orjson.loads(signed))
    except orjson.JSONDecodeError:
        return None
    checkpoint = event if isinstance(event, Refusal) else read_checkpoint(event)
    return None if isinstance(checkpoint, Refusal) else (bytes.fromhex(checkpoint.standpoint.head),)


class _Index:
    """The indexes that a turn's past is looked up by: events, payment hashes, what became of a settlement.

    Compared with the entries it was made from, as they are read: were it wrong, a sale would be paid twice or refunded
    twice, and no sum would show it.
    """

    def __init__(self, connection: sqlite3.Connection, number: int) -> None:
        self._births = connection.execute(_BIRTHS, (number,))
        self._birth = self._births.fetchone()
        self._changes = set(connection.execute(_CHANGES, (number,)))
        self._flaw: str | None = None

    def compare(self, seq: int, at: int, event_id: object, body: bytes) -> None:
        """Compare what is known of one entry; they come in order, and so settlements were born."""
        if not (isinstance(event_id, bytes) and b'"id":"%s"' % event_id.hex().encode() in body):
            # Ticks have no event; of a gift wrap it is the rumor's id, which must be computed.
            expected = effect_id(orjson.loads(body)["input"])
            if event_id != (None if expected is None else bytes.fromhex(expected)):
                self._flaw = "the index of events"
        if self._birth is not None and self._birth[0] == seq:
            if not _is_born_so(self._birth[1:], at, body):
                self._flaw = "the table of settlements"
            self._birth = self._births.fetchone()
            self._compare_changes(seq, body, _FROZEN)  # of others; what it is born with is no change
        elif _OF_SETTLEMENT in body:
            self._compare_changes(seq, body, _OF_SETTLEMENT)

    def _compare_changes(self, seq: int, body: bytes, kind: bytes) -> None:
        """Compare what an entry says of settlements that were born before, in facts whose name begins so."""
        if kind in body:
            facts, name = orjson.loads(body)["facts"], kind.removeprefix(_NAMED).rstrip(b'"').decode()
            changed = {(seq, fact["number"]) for fact in facts if fact["fact"].startswith(name)}
            if not changed <= self._changes:
                self._flaw = "the table of settlements' changes"
            self._changes -= changed

    def check(self) -> None:
        """Raise BooksError unless all of it followed from the entries."""
        if self._birth is not None:
            self._flaw = "the table of settlements"
        elif self._changes:
            self._flaw = "the table of settlements' changes"
        if self._flaw is not None:
            raise BooksError(f"{self._flaw} does not fit the journal: {REBUILD}")


def _is_born_so(row: tuple[Any, ...], at: int, body: bytes) -> bool:
    """Whether a settlement's row agrees with the entry of its birth, the first fact of its kind."""
    born_at, machine, payment_hash, accepted = row
    return (
        isinstance(payment_hash, bytes)
        and isinstance(machine, str)
        and born_at == at
        and accepted == (not body.startswith(_REJECTED, body.find(_OF_SETTLEMENT)))
        and b'"payment_hash":"%s"' % payment_hash.hex().encode() in body
        and b'"machine":%s' % orjson.dumps(machine) in body
    )


def _check_projections(connection: sqlite3.Connection, number: int, entries: int, book: Book) -> None:
    """Raise BooksError unless the tables beside the journal are as long as they must be and say what the book says."""
    known = {"book": number, "entries": entries, "settlements": book.settlement_count}
    for name, sql, count in (
        ("settlements", _SETTLEMENTS, book.settlement_count),
        ("legs", _LEGS, book.leg_count),
    ):
        if connection.execute(sql, known).fetchone() != (count, count, 0):
            raise BooksError(f"the table of {name} does not fit the journal: {REBUILD}")
    kept = {(account, unit): amount for account, unit, amount in connection.execute(_BALANCES, (number,))}
    if kept != {place: str(amount) for place, amount in book.balances.items()}:
        raise BooksError(f"the table of balances does not fit the journal: {REBUILD}")


def _check_sums(connection: sqlite3.Connection, number: int) -> None:
    """Raise BooksError unless the sums come to what they are sums of. Which quarter each is in, only rebuilding looks
    at.
    """
    expected = {}
    for what, which in _COUNTED.items():  # one narrow walk each: all at once takes five times as long
        [(count, *halves)] = connection.execute(_OF_LEGS.format(which), (number,))
        if count:
            expected[what] = (count, *halves)
    for table in ("leg_quarter", "leg_month"):
        kept = {what: tuple(sums) for what, *sums in connection.execute(_LEG_SUMS.format(table), (number,))}
        if {what: sums for what, sums in kept.items() if any(sums)} != expected:
            raise BooksError(f"the sums of legs do not fit the journal: {REBUILD}")
    sales = set(connection.execute(_SALES, (number,)))
    for table in ("sale_quarter", "sale_month"):
        if set(connection.execute(_SALE_SUMS.format(table), (number,))) != sales:
            raise BooksError(f"the sums of settlements do not fit the journal: {REBUILD}")
