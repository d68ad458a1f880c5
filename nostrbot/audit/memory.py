"""Memory: what a verification has to remember of a trail, on disk, so that a trail may be of any length.

What lives here: which inputs had their effect, which payment hashes are taken, every settlement with what became of it;
put away as entries are decided, and fetched into a book's Recall for the entries that need it, as the bot does from its
own database (runtime/prefetch.py). What does not: deciding (core/). This database is a private one of SQLite's: a part
of it is in memory, the rest in a file that has no name and is gone with the process.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from nostrbot.audit.examination import Needs
from nostrbot.core.atm.dossier import Dossier
from nostrbot.core.atm.evolution import recall_payment
from nostrbot.core.atm.facts import LpPaid, PaymentVoided
from nostrbot.core.atm.settlements.compromise import FREEZE_MAX, may_be_frozen
from nostrbot.core.atm.settlements.evolution import recall_settlement
from nostrbot.core.atm.settlements.facts import SettlementChange, SettlementFact, SettlementRejected
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.book import Book
from nostrbot.core.facts import Fact, read_fact
from nostrbot.core.inputs import Input, Signed
from nostrbot.journal.entry import canonical

PAST_ROWS = 200  # settlements of a machine's past that are read at once

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE effect (id BLOB PRIMARY KEY, settlement INTEGER) WITHOUT ROWID;
CREATE TABLE seal (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE payment (hash BLOB, settlement INTEGER, PRIMARY KEY (hash, settlement)) WITHOUT ROWID;
CREATE TABLE settlement (
    number INTEGER PRIMARY KEY, machine TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
    accepted INTEGER NOT NULL, birth BLOB NOT NULL
);
CREATE INDEX settlement_of_machine ON settlement (machine, at) WHERE accepted;
CREATE TABLE change (number INTEGER NOT NULL, at INTEGER NOT NULL, fact BLOB NOT NULL);
CREATE INDEX change_of_settlement ON change (number);
CREATE TABLE paid (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, fact BLOB NOT NULL);
CREATE TABLE voided (number INTEGER PRIMARY KEY);
BEGIN;
"""


class _Rows(NamedTuple):
    """Rows of each table that wait to be written."""

    effects: list[tuple[bytes, int | None]]
    seals: list[tuple[bytes]]
    payments: list[tuple[bytes, int]]
    settlements: list[tuple[int, str, int, int, bool, bytes]]
    changes: list[tuple[int, int, bytes]]
    paid: list[tuple[int, int, bytes]]
    voided: list[tuple[int]]


class Memory:
    """The memory of what was decided so far. Methods raise sqlite3.Error when the disk is full."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._settlements = 0  # the number of the newest
        self._seals: set[str] = set()  # those of this page's seals that were seen before
        self._put_by = _Rows([], [], [], [], [], [], [])

    def close(self) -> None:
        """Give the disk back."""
        self._database.close()

    def recall(self, book: Book, needs: Needs) -> None:
        """Load into the book's recall what these needs ask for, and drop what it held before."""
        self._write()
        book.recall.forget()
        effects = self._find("SELECT id, settlement FROM effect WHERE id IN ({})", map(bytes.fromhex, needs.effects))
        payments = self._find("SELECT settlement FROM payment WHERE hash IN ({})", map(bytes.fromhex, needs.payments))
        book.recall.events.update((effect.hex(), None) for effect, _ in effects)
        paid = {number for (number,) in payments}
        numbers = {number for _, number in effects if number is not None} | paid
        for _, _, _, birth in self._births(sorted(numbers)):
            recall_settlement(book, birth)
        for dossier in self._dossiers({*needs.settlements, *paid}):
            book.recall.dossiers[dossier.birth.number] = dossier
        for machine, since in needs.pasts:
            for dossier in self._freezable(machine, since):
                book.recall.dossiers.setdefault(dossier.birth.number, dossier)
        self._recall_payments(book, needs.legs)
        seals = self._find("SELECT id FROM seal WHERE id IN ({})", map(bytes.fromhex, needs.seals))
        self._seals = {seal.hex() for (seal,) in seals}

    def was_opened(self, seal: str) -> bool:
        """Whether an earlier entry was made of this seal (id); the loaded needs must name the seal."""
        return seal in self._seals

    def put_away(
        self, given: Input, facts: tuple[Fact, ...], sealed: list[dict[str, Any]], *, seq: int, at: int
    ) -> None:
        """Remember what entry `seq`, accepted `at`, decided from its input; `sealed`: the facts as plain data."""
        rows, born = self._put_by, None
        for fact, fields in zip(facts, sealed, strict=True):
            if isinstance(fact, SettlementFact) and fact.number > self._settlements:
                born = self._settlements = fact.number
                accepted = not isinstance(fact, SettlementRejected)
                rows.settlements.append((born, fact.machine, seq, at, accepted, canonical(fields)))
                if accepted:
                    rows.payments.append((bytes.fromhex(fact.sale.payment_hash), born))
            elif isinstance(fact, SettlementFact | SettlementChange):
                rows.changes.append((fact.number, at, canonical(fields)))
            elif isinstance(fact, LpPaid):
                for leg in fields["legs"]:
                    rows.paid.append((leg["number"], at, canonical(fields | {"legs": [leg]})))
            elif isinstance(fact, PaymentVoided):
                rows.voided.extend([(leg.number,) for leg in fact.voided])
        if given.id is not None:
            rows.effects.append((bytes.fromhex(given.id), born))
        if isinstance(given, Signed) and given.rumor is not None:
            rows.seals.append((bytes.fromhex(given.event.id),))
            self._seals.add(given.event.id)

    def _write(self) -> None:
        """Write what was put away since the last page; until then the book has it in its recall."""
        write, rows = self._database.executemany, self._put_by
        write("INSERT OR IGNORE INTO effect VALUES (?, ?)", rows.effects)
        write("INSERT INTO seal VALUES (?)", rows.seals)
        write("INSERT INTO payment VALUES (?, ?)", rows.payments)
        write("INSERT INTO settlement VALUES (?, ?, ?, ?, ?, ?)", rows.settlements)
        write("INSERT INTO change VALUES (?, ?, ?)", rows.changes)
        write("INSERT INTO paid VALUES (?, ?, ?)", rows.paid)
        write("INSERT INTO voided VALUES (?)", rows.voided)
        for each in rows:
            each.clear()

    def _recall_payments(self, book: Book, numbers: Iterable[int]) -> None:
        """Load payments into the recall as they stand."""
        wanted = sorted(set(numbers))
        for at, fields in self._find("SELECT at, fact FROM paid WHERE number IN ({})", wanted):
            fact = read_fact(orjson.loads(fields))
            assert isinstance(fact, LpPaid), "nothing else is put there"
            recall_payment(book, fact, at)
        for (number,) in self._find("SELECT number FROM voided WHERE number IN ({})", wanted):
            known = book.recall.legs[number]
            book.recall.legs[number] = known._replace(leg=known.leg._replace(status=LegStatus.VOIDED))

    def _dossiers(self, numbers: Iterable[int]) -> Iterator[Dossier]:
        wanted = {number for number in numbers if number <= self._settlements}
        later: dict[int, list[tuple[Any, int]]] = {number: [] for number in wanted}
        in_order = "SELECT number, at, fact FROM change WHERE number IN ({}) ORDER BY rowid"
        for number, at, fact in self._find(in_order, wanted):
            later[number].append((read_fact(orjson.loads(fact)), at))
        for number, seq, at, birth in self._births(wanted):
            yield Dossier(birth, seq, at, later=tuple(later[number]))

    def _freezable(self, machine: str, since: int) -> Iterator[Dossier]:
        """Return the sales a stolen key may have signed: all that can still be frozen, or more than may be frozen at
        once.
        """
        question = "SELECT number FROM settlement WHERE machine = ? AND at >= ? AND accepted ORDER BY number"
        found, numbers = 0, self._database.execute(question, (machine, since))
        while found <= FREEZE_MAX and (rows := numbers.fetchmany(PAST_ROWS)):
            for dossier in self._dossiers(number for (number,) in rows):
                if may_be_frozen(dossier, machine, since):
                    found += 1
                    yield dossier

    def _births(self, numbers: Iterable[int]) -> list[tuple[int, int, int, Any]]:
        rows = self._find("SELECT number, seq, at, birth FROM settlement WHERE number IN ({})", numbers)
        return [(number, seq, at, read_fact(orjson.loads(birth))) for number, seq, at, birth in rows]

    def _find(self, question: str, keys: Iterable[object]) -> Sequence[Any]:
        given = tuple(keys)
        marks = ",".join("?" * len(given))
        return self._database.execute(question.format(marks), given).fetchall() if given else ()
