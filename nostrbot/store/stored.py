"""Stored rows, as they are read: entries, settlements, legs, snapshots and messages still owed.

What lives here: the values that queries answer with, and reading an entry that must follow another. What does not: asking for
them (store/queries.py), writing them (store/batch.py).
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from nostrbot.core.atm.dossier import Dossier
from nostrbot.core.atm.facts import LpPaid
from nostrbot.core.atm.recall import PaidLeg
from nostrbot.core.atm.settlements.facts import Leg, SettlementChange, SettlementFact
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.facts import read_fact
from nostrbot.core.rules import are_known
from nostrbot.errors import BooksError
from nostrbot.messages.receipts import payment_of
from nostrbot.store.sqlite import NEWER

NOT_AS_WRITTEN = (AttributeError, KeyError, TypeError, ValueError)  # what reading a damaged row of no entry raises


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as it lies in the journal."""

    book: str
    seq: int
    at: int
    hash: str
    body: bytes

    def plain(self) -> dict[str, Any]:
        """Return the entry's content."""
        content: dict[str, Any] = orjson.loads(self.body)
        return content


@dataclass(frozen=True, slots=True)
class StoredSettlement:
    """A settlement's entries: the one it was born in, and those in which something became of it, oldest first."""

    number: int
    birth: StoredEntry
    changes: tuple[StoredEntry, ...]

    def dossier(self) -> Dossier:
        """Read all that is known of it."""
        born = next(fact for fact in _facts_about(self.number, self.birth) if isinstance(fact, SettlementFact))
        dossier = Dossier(born, self.birth.seq, self.birth.at, self.birth.hash)
        facts = [
            (fact, stored.at) for stored in (self.birth, *self.changes) for fact in _facts_about(self.number, stored)
        ]
        return dossier.followed_by_all((fact, at) for fact, at in facts if fact != born)


def _facts_about(number: int, stored: StoredEntry) -> list[Any]:
    facts = [read_fact(fields) for fields in stored.plain()["facts"] if fields.get("number") == number]
    return [fact for fact in facts if isinstance(fact, SettlementFact | SettlementChange)]


class StoredLeg(NamedTuple):
    """A leg: its number, how it stands now, and the entry it was made in."""

    number: int
    status: LegStatus
    made: StoredEntry

    def paid(self) -> PaidLeg:
        """Return the leg as it stands, and what it is part of; the legs beside it are not read."""
        for fields in self.made.plain()["facts"]:
            mine = [leg for leg in fields.get("legs", ()) if leg["number"] == self.number]
            if mine:
                fact = read_fact(fields | {"legs": mine})
                paid = payment_of(fact)
                assert paid is not None, "only a payment has legs"
                leg: Leg = fact.legs[0]  # type: ignore[union-attr]
                slot = fact.slot if isinstance(fact, LpPaid) else None
                leg = leg._replace(status=self.status)
                return PaidLeg(leg, paid.machine, paid.currency, paid.rate, slot, self.made.at, paid.number)
        raise AssertionError("a leg lies in the entry it was made in")


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A book's state after entry `seq`, whose bytes are what was written."""

    seq: int
    at: int
    hash: str
    body: bytes


@dataclass(frozen=True, slots=True)
class StillOwed:
    """An outbox row with the entry it belongs to, if any."""

    id: int
    entry: StoredEntry | None
    body: bytes | None
    delivered: bytes | None


def read_linked(stored: StoredEntry, prev: str) -> dict[str, Any]:
    """Read an entry's content. Raises BooksError unless its bytes fit its hash, it follows `prev` and its rules are
    known.
    """
    if sha256(stored.body).hexdigest() == stored.hash:
        content = stored.plain()
        if (content["prev"], content["seq"], content["at"]) == (prev, stored.seq, stored.at):
            if not are_known(content["rules"]):
                raise BooksError(f"book {stored.book}: entry {stored.seq} was decided by newer rules: {NEWER}")
            return content
    raise BooksError(f"book {stored.book}: the journal is damaged at entry {stored.seq}: restore a backup")
