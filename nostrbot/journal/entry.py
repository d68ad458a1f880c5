"""Entries: an input, what was decided from it and what was booked, sealed at its place in a book's chain.

What lives here: the canonical bytes, the hash, and sealing. What does not: deciding (core/engine.py), keeping (store/),
checking somebody else's chain (audit/). docs/protocol.md section 7.

Canonical JSON: UTF-8, keys sorted, no blanks, integers only; the hash is sha256 over all of an entry but the hash.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from nostrbot.core.facts import Fact, plain_fact
from nostrbot.core.inputs import Input
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.core.rules import RULES

TRAIL_VERSION = 1
GENESIS = "0" * 64  # the `prev` of a book's first entry


class Entry(NamedTuple):
    """One sealed entry. `body` is its canonical JSON without the hash."""

    book: str
    seq: int
    at: int
    prev: str
    given: Input
    facts: tuple[Fact, ...]
    transactions: tuple[Transaction, ...]
    body: bytes
    hash: str

    def line(self) -> bytes:
        """Return the entry as one line of a trail: its body with the hash added."""
        return trail_line(self.body, self.hash)


@dataclass(slots=True)
class Chain:
    """The end of a book's chain: where the next entry goes."""

    book: str
    seq: int = 0
    head: str = GENESIS
    at: int = 0

    def next_at(self, now: int) -> int:
        """Return the time the next entry carries: the bot's clock (it may jump back), but never before the last
        entry.
        """
        return max(now, self.at)


def canonical(value: Any) -> bytes:
    """Canonical JSON bytes of plain data."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(body: bytes) -> str:
    """Return the hash of canonical bytes, as hex."""
    return sha256(body).hexdigest()


def seal(
    chain: Chain, given: Input, facts: tuple[Fact, ...], booked: list[Transaction], *, at: int, rules: int = RULES
) -> Entry:
    """Seal the next entry, decided by `rules`, and move the chain on. `at` comes from Chain.next_at()."""
    seq = chain.seq + 1
    body = canonical(
        {
            "at": at,
            "facts": [plain_fact(fact) for fact in facts],
            "input": given.plain(),
            "postings": [posting for transaction in booked for posting in transaction.postings],
            "prev": chain.head,
            "rules": rules,
            "seq": seq,
        }
    )
    entry = Entry(chain.book, seq, at, chain.head, given, facts, tuple(booked), body, digest(body))
    chain.seq, chain.head, chain.at = seq, entry.hash, at
    return entry


def trail_line(body: bytes, entry_hash: str) -> bytes:
    """Return a body and its hash as one JSON object."""
    return body[:-1] + b',"hash":"' + entry_hash.encode() + b'"}'
