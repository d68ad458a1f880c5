"""Evidence: the papers people hold, checkpoints and receipts, compared with a trail.

What lives here: reading them, and comparing each with the entry it names. What does not: the trail (verification.py),
files (cli/). docs/protocol.md sections 6 and 7; faults.md row 87.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from nostrbot.audit.proof import read_paper, read_signed
from nostrbot.core.atm.facts import PartyMoved, PaymentVoided
from nostrbot.core.atm.settlements.facts import (
    Leg,
    SettlementCorrected,
    SettlementMoved,
    SettlementRefunded,
    SettlementRetried,
)
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.book import Book
from nostrbot.core.facts import Fact
from nostrbot.core.proofs.checkpoint import Checkpoint
from nostrbot.core.proofs.liabilities import liabilities_of, sums_view
from nostrbot.errors import TrailError
from nostrbot.messages.receipts import corrected_by, payment_of, receipt_view
from nostrbot.nostr.event import INT_MAX
from nostrbot.refusals import Refusal

LEG_DIGITS_MAX = 15


class EvidenceError(TrailError):
    """The error of a paper that does not fit the trail: `field` names the paper and its place, `seq` its entry, 0 if
    none.
    """

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """An LP's receipt (`receipt <leg> --json`), reduced to the place in a trail that it names; `fields` holds all of
    it.
    """

    entry: int
    leg: int
    fields: Mapping[str, Any]


def read_checkpoint_paper(raw: bytes) -> Checkpoint:
    """Read a checkpoint from the JSON of its event. Raises EvidenceError if it is another event, or does not verify."""
    checkpoint = read_signed(raw)
    if isinstance(checkpoint, Refusal):
        raise EvidenceError(0, "checkpoint", f"does not hold: {checkpoint.detail}")
    return checkpoint


def read_receipt_paper(raw: bytes) -> Receipt:
    """Read a receipt from the answer to `receipt <leg> --json`, or from its `data`. Raises EvidenceError for anything
    else.
    """
    obj = read_paper(raw)
    fields = obj.get("data", obj) if isinstance(obj, dict) else None
    if not isinstance(fields, dict):
        raise EvidenceError(0, "receipt", "is not the JSON of a receipt")
    entry, leg = fields.get("entry"), fields.get("receipt")
    if type(entry) is not int or not 1 <= entry <= INT_MAX:
        raise EvidenceError(0, "receipt.entry", "is not the number of an entry")
    digits = leg.removeprefix("l") if type(leg) is str else ""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= LEG_DIGITS_MAX):
        raise EvidenceError(entry, "receipt.receipt", "is not the id of a leg, like l3")
    return Receipt(entry, int(digits), fields)


class Evidence:
    """Papers that wait for the entries they name."""

    def __init__(self, checkpoints: Sequence[Checkpoint], receipts: Sequence[Receipt], lp: str | None) -> None:
        """`lp`: the key (hex) of the LP the receipts must belong to; None if any LP will do."""
        self._checkpoints: dict[int, list[Checkpoint]] = {}
        for checkpoint in checkpoints:
            self._checkpoints.setdefault(checkpoint.standpoint.seq, []).append(checkpoint)
        self._receipts: dict[int, list[Receipt]] = {}
        for receipt in receipts:
            self._receipts.setdefault(receipt.entry, []).append(receipt)
        self._lp = lp
        self._watched = {receipt.leg for receipt in receipts}
        self._voided: set[int] = set()
        self._said_voided: dict[int, int] = {}  # by leg, the entry of receipts that say they are void
        self.voided_since = 0

    def compare(self, book: Book, facts: tuple[Fact, ...], seq: int, entry_hash: str) -> None:
        """Compare the papers about entry `seq` with it; the book has just taken it in. Raises EvidenceError."""
        for checkpoint in self._checkpoints.pop(seq, ()):
            _compare_checkpoint(checkpoint, book, entry_hash)
        for receipt in self._receipts.pop(seq, ()):
            self._compare_receipt(receipt, book, facts, entry_hash)
        if self._watched:
            self._voided |= self._watched.intersection(_voided_by(facts))

    def settle(self, entries: int) -> None:
        """Check after the last entry that no paper is left over. Raises EvidenceError."""
        for what, left in (("checkpoint.seq", self._checkpoints), ("receipt.entry", self._receipts)):
            if left:
                seq = min(left)
                raise EvidenceError(seq, what, f"is {seq}: the trail ends with entry {entries}")
        for leg, entry in self._said_voided.items():
            if leg not in self._voided:
                raise EvidenceError(entry, "receipt.status", f"is 'voided': l{leg} is in force in this trail")
        self.voided_since = len(self._voided.difference(self._said_voided))

    def _compare_receipt(self, receipt: Receipt, book: Book, facts: tuple[Fact, ...], entry_hash: str) -> None:
        where, said = receipt.entry, receipt.fields
        true, leg = _receipt_in(receipt, book, facts, entry_hash)
        if said.get("corrects") == []:
            true["corrects"] = []  # the answer to `receipt` leaves them out; the message has them
        if said.get("status") == LegStatus.VOIDED:
            self._said_voided[receipt.leg] = where
            true["status"] = LegStatus.VOIDED.value
        for name in sorted({*true, *said}):
            if name not in true or name not in said:
                raise EvidenceError(
                    where, f"receipt.{name}", "is missing" if name in true else "is not a field of a receipt"
                )
            if (type(said[name]), said[name]) != (type(true[name]), true[name]):
                raise EvidenceError(where, f"receipt.{name}", f"is {said[name]!r}, in the trail it is {true[name]!r}")
        assert leg.lp is not None, "a receipt is an LP's"
        if self._lp not in (None, book.lps[leg.lp].pubkey):
            raise EvidenceError(where, "receipt", "is another LP's")


def _compare_checkpoint(checkpoint: Checkpoint, book: Book, head: str) -> None:
    point, owed = checkpoint.standpoint, liabilities_of(book)
    for name, said, true in (
        ("bot", point.bot, book.bot),
        ("book", point.book, book.key),
        ("head", point.head, head),
        ("liabilities", sums_view(checkpoint.liabilities), sums_view(owed)),
    ):
        if said != true:
            message = f"of entry {point.seq} is {said!r}, in this trail it is {true!r}"
            raise EvidenceError(point.seq, f"checkpoint.{name}", message)


def _receipt_in(receipt: Receipt, book: Book, facts: tuple[Fact, ...], entry_hash: str) -> tuple[dict[str, Any], Leg]:
    """Return the receipt that follows from an entry for a leg, as an LP would get it."""
    for fact in facts:
        paid = payment_of(fact)
        legs = () if paid is None else fact.legs  # type: ignore[union-attr]
        for leg in legs:
            if leg.number == receipt.leg and leg.lp is not None and leg.status is LegStatus.COMPLETED:
                assert paid is not None, "legs are part of a payment"
                view = receipt_view(book, paid, leg, entry=receipt.entry, entry_hash=entry_hash)
                view["corrects"] = corrected_by(fact, leg)
                return orjson.loads(orjson.dumps(view)), leg
    raise EvidenceError(
        receipt.entry, "receipt.receipt", f"is l{receipt.leg}: entry {receipt.entry} made no such payment"
    )


def _voided_by(facts: tuple[Fact, ...]) -> set[int]:
    reversing = (SettlementCorrected, SettlementRefunded, SettlementMoved, SettlementRetried, PaymentVoided, PartyMoved)
    return {leg.number for fact in facts if isinstance(fact, reversing) for leg in fact.voided}
