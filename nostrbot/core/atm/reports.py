"""Reports: what machines sign, as far as it is a matter of a book.

What lives here: whose report it is, and to which rule it goes: a sale to the settlement rules, cassettes to theirs.
What does not: those rules (core/atm/settlements/rules.py, core/atm/cassettes.py), reading payloads
(core/atm/payloads/), and beacons, which move nothing (core/atm/fleet.py). docs/protocol.md section 3.
"""

from typing import Any

from nostrbot.core.atm.cassettes import decide_statement
from nostrbot.core.atm.payloads.sale import Sale, read_settlement
from nostrbot.core.atm.payloads.subject import Subject, subject_of
from nostrbot.core.atm.recall import Duplicate
from nostrbot.core.atm.settlements.rules import decide_settlement
from nostrbot.core.book import Book
from nostrbot.core.desk import Decision
from nostrbot.core.inputs import Signed
from nostrbot.refusals import Reason, Refusal

# No entry: an operator who lost a machine's key to the platform may not see what that machine sells.
FREED = Refusal(Reason.MACHINE_INACTIVE, "the platform took this key from this book")


def decide_report(book: Book, given: Signed, said: Sale | Refusal | None, at: int, rules: int) -> Decision:
    """Decide a sale. `said`: its content, if it was read before (the bot reads it once, to recall what it may
    repeat).
    """
    sale = read_settlement(given.text) if said is None else said
    if given.author not in book.machine_of_key:
        return Decision(instead=Refusal(Reason.UNKNOWN_AUTHOR, "no machine of this book"))
    if given.author in book.freed:
        return Decision(instead=FREED)
    if isinstance(sale, Refusal):
        return Decision(instead=sale)
    verdict = decide_settlement(book, given, sale, at, rules)
    return Decision(instead=verdict) if isinstance(verdict, Duplicate | Refusal) else Decision(verdict)


def decide_machine_state(book: Book, given: Signed, said: Any, at: int, rules: int) -> Decision:
    """Decide a machine's statement of its cassettes; a beacon is no input of a book (core/atm/fleet.py)."""
    subject = subject_of(given.event) if said is None else said
    if isinstance(subject, Refusal):
        return Decision(instead=subject)
    if subject is not Subject.CASSETTES:
        return Decision(instead=Refusal(Reason.OFF_FILTER, f"a {subject} is none this book takes"))
    decided = decide_statement(book, given, at, rules)
    return Decision(instead=decided) if isinstance(decided, Refusal) else Decision(decided)
