"""Reading: answers to questions, from the books in memory and the journal in the database.

What lives here: one function a question, giving data. What does not: commands that change a book (core/engine.py) and
sentences (core/replies.py). An operator sees its own book, an LP its own rows in every book it is in; "not yours" and
"does not exist" get the same answer (docs/protocol.md section 1; acceptance Q4). Lists are newest first.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands import FORMS, LIST_LIMIT_DEFAULT, TABLE, Code, Command, Refused, Role
from nostrbot.core.directory import Standing
from nostrbot.core.facts import (
    Leg,
    SettlementFact,
    SettlementProcessed,
    read_fact,
)
from nostrbot.core.outcomes import splits_view
from nostrbot.core.receipts import receipt_view
from nostrbot.core.registry import find_lp, find_machine
from nostrbot.core.replies import REPLY_BYTES_MAX, escape
from nostrbot.core.states import LegStatus, SettlementStatus
from nostrbot.core.views import (
    View,
    balance_rows,
    cash_view,
    deposit_view,
    leg_view,
    lp_view,
    machine_view,
    operator_view,
    platform_view,
    sats_view,
    settlement_view,
)
from nostrbot.nostr.keys import npub
from nostrbot.store.queries import Queries, StoredEntry

STUCK_AFTER_S = 30 * 60  # acceptance W2
WORKLIST_ROWS = 20  # a bucket; `settlement list status=` shows the rest
FRAME_BYTES = 512  # room for the frame around the data of an answer

NEXT_STEPS = {
    "rejected": "look into the machine; a rejected settlement is never retried",
    "errored": "look into the bot's log; nothing of it is booked",
    "stuck_pending": "it waits for a wallet to see the payment; nothing of it is booked until then",
    "stuck_processing": "look into the bot's log; nothing of it is booked",
}

Data = View | list[View]


@dataclass(frozen=True, slots=True)
class Question:
    """A command that asks, by whom, and when (unix seconds)."""

    command: Command
    author: str
    standing: Standing
    at: int

    @property
    def args(self) -> Mapping[str, Any]:
        """The command's values."""
        return self.command.args


class Reading:
    """Answers questions over live books and stored entries."""

    def __init__(self, books: Mapping[str, Book], queries: Queries) -> None:
        self._books = books
        self._queries = queries
        self._readers: dict[str, Callable[[Question], Awaitable[Data | Refused]]] = {
            "operator list": self._operators,
            "platform status": self._platform,
            "machine list": self._machines,
            "machine show": self._machine,
            "lp list": self._lps,
            "lp show": self._lp,
            "deposit list": self._deposits,
            "settlement list": self._settlements,
            "settlement show": self._settlement,
            "worklist": self._worklist,
            "balances": self._balances,
            "splits show": self._splits,
            "balance": self._balance,
            "history": self._history,
            "deposits": self._own_deposits,
            "receipt": self._receipt,
            "help": self._help,
            "whoami": self._whoami,
        }
        assert set(self._readers) == {form.verb for form in TABLE if not form.changes}

    async def answer(self, question: Question) -> Data | Refused:
        """The data of the answer, or why there is none."""
        return await self._readers[question.command.verb](question)

    def _own(self, question: Question) -> Book:
        assert question.standing.operator is not None, "only an operator gets here"
        return self._books[question.standing.operator]

    async def _operators(self, question: Question) -> Data | Refused:
        root = self._books[ROOT]
        rows = [
            (operator.handle, operator_view(operator, active=operator.operator not in root.suspended_operators))
            for operator in reversed(root.operators.values())
        ]
        return _page("operators", rows, question)

    async def _platform(self, question: Question) -> Data | Refused:
        root = self._books[ROOT]
        return {"platform": platform_view(root.cash_in_ppm, root.cash_out_ppm, len(root.operators))}

    async def _machines(self, question: Question) -> Data | Refused:
        machines = reversed(self._own(question).machines.values())
        return _page("machines", [(machine.handle, machine_view(machine)) for machine in machines], question)

    async def _machine(self, question: Question) -> Data | Refused:
        machine = find_machine(self._own(question), question.args["machine"])
        return machine if isinstance(machine, Refused) else {"machine": machine_view(machine)}

    async def _lps(self, question: Question) -> Data | Refused:
        book, at = self._own(question), question.args.get("machine")
        if at is not None and at not in book.machines:
            return Refused(Code.NOT_FOUND, f"there is no machine {at}: `machine list` shows yours")
        lps = [lp for lp in reversed(book.lps.values()) if at is None or at in lp.seats]
        return _page("lps", [(lp.handle, lp_view(book, lp.handle, lp.pubkey)) for lp in lps], question)

    async def _lp(self, question: Question) -> Data | Refused:
        book = self._own(question)
        lp = find_lp(book, question.args["lp"])
        return lp if isinstance(lp, Refused) else {"lp": lp_view(book, lp.handle, lp.pubkey)}

    async def _deposits(self, question: Question) -> Data | Refused:
        args = question.args
        rows = [
            (f"d{deposit.number}", deposit_view(deposit))
            for deposit in reversed(self._own(question).deposits.values())
            if args.get("status") in (None, deposit.status)
            and args.get("lp") in (None, deposit.lp)
            and args.get("machine") in (None, deposit.machine)
        ]
        return _page("deposits", rows, question)

    async def _settlements(self, question: Question) -> Data | Refused:
        args, limit = question.args, question.args.get("limit", LIST_LIMIT_DEFAULT)
        before = _number(args.get("before", ""), "s")
        stored = await self._queries.settlements(
            self._own(question).key,
            machine=args.get("machine"),
            status=args.get("status"),
            before=before,
            limit=limit + 1,
        )
        rows = [
            (f"s{fact.number}", _with_legs_that_fit(_view(fact, entry)))
            for entry in stored
            for fact in [settlement_of(entry)]
        ]
        return _fit("settlements", rows, limit)

    async def _settlement(self, question: Question) -> Data | Refused:
        number = question.args["settlement"]
        stored = await self._queries.settlement(self._own(question).key, number)
        if stored is None:
            return Refused(Code.NOT_FOUND, f"there is no settlement s{number}: `settlement list` shows yours")
        view = _view(settlement_of(stored), stored)
        return {"settlement": _with_legs_that_fit(view, after=question.args.get("after", 0))}

    async def _worklist(self, question: Question) -> Data | Refused:
        key = self._own(question).key
        buckets: dict[str, list[View]] = {}
        more = False
        for bucket, next_step in NEXT_STEPS.items():
            stuck = bucket.startswith("stuck_")
            stored = await self._queries.settlements(
                key,
                status=SettlementStatus(bucket.removeprefix("stuck_")),
                born_before=question.at - STUCK_AFTER_S if stuck else None,
                oldest_first=stuck,
                limit=WORKLIST_ROWS + 1,
            )
            more = more or len(stored) > WORKLIST_ROWS
            rows = [_view(settlement_of(entry), entry) for entry in stored[:WORKLIST_ROWS]]
            # A bucket is for finding what needs care: `settlement show` has the rest, and the answer must fit.
            buckets[bucket] = [
                {name: value for name, value in row.items() if name not in ("legs", "bills", "cassettes")}
                | {"next": next_step}
                for row in rows
            ]
        fitting = _trim(buckets)
        more = more or sum(map(len, fitting.values())) < sum(map(len, buckets.values()))
        return {**fitting, **({"more": True} if more else {})}

    async def _splits(self, question: Question) -> Data | Refused:
        book, machine = self._own(question), question.args.get("machine")
        if machine is not None:
            found = find_machine(book, machine)
            if isinstance(found, Refused):
                return found
        return splits_view(book, machine)

    async def _balances(self, question: Question) -> Data | Refused:
        book, at = self._own(question), question.args.get("machine")
        if at is not None and at not in book.machines:
            return Refused(Code.NOT_FOUND, f"there is no machine {at}: `machine list` shows yours")
        rows = [
            (f"{lp.handle}/{machine}", {"lp": lp.handle, "machine": machine, **cash_view(book, seat)})
            for lp in reversed(book.lps.values())
            for machine, seat in lp.seats.items()
            if at in (None, machine)
        ]
        return {**_page("balances", rows, question), "sats": sats_view(book)}

    async def _own_deposits(self, question: Question) -> Data | Refused:
        enrolled = self._enrolled(question)
        found = [
            (deposit.created_at, book.handle, deposit)
            for book, handle in enrolled
            for deposit in book.deposits.values()
            if deposit.lp == handle
        ]
        found.sort(key=lambda item: (item[0], item[1], item[2].number), reverse=True)
        rows = [
            (f"{operator}/d{deposit.number}" if len(enrolled) > 1 else f"d{deposit.number}", operator, deposit)
            for _, operator, deposit in found
        ]
        shown = [(row_id, {"operator": operator, **deposit_view(deposit)}) for row_id, operator, deposit in rows]
        return _page("deposits", shown, question)

    async def _balance(self, question: Question) -> Data | Refused:
        return [row for book, handle in self._enrolled(question) for row in balance_rows(book, book.lps[handle])]

    def _enrolled(self, question: Question) -> list[tuple[Book, str]]:
        """The books the asking LP is in, with its name there."""
        books = [self._books[key] for key in question.standing.lp]
        return [(book, book.lp_of_key[question.author]) for book in books]

    async def _history(self, question: Question) -> Data | Refused:
        """Legs of all books in one list. A page ends at an id; with several operators it names the operator too."""
        limit, before = question.args.get("limit", LIST_LIMIT_DEFAULT), question.args.get("before", "")
        enrolled = self._enrolled(question)
        operator, _, leg_id = before.rpartition("/")
        anchor = _number(leg_id, "l")
        last: tuple[int, str, int] | None = None  # where the page before ended
        for book, handle in enrolled:
            if anchor is not None and operator in ("", book.handle):
                # The nearest of its own legs gives the time; the number stays as said, so that leg itself is not lost.
                for _, stored in await self._queries.legs_of(book.key, handle, before=anchor + 1, limit=1):
                    last = (stored.at, book.handle, anchor)
        found: list[tuple[tuple[int, str, int], View]] = []
        for book, handle in enrolled:
            bound = last[2] if last and last[1] == book.handle else None
            legs = await self._queries.legs_of(
                book.key,
                handle,
                before=bound,
                since=question.args.get("since"),
                until=last[0] if last else None,
                limit=limit + 1,
            )
            for number, stored in legs:
                fact, leg = _leg_of(stored, number)
                row = {**leg_view(leg, fact), "operator": book.handle, "machine": fact.machine, "at": stored.at}
                found.append(((stored.at, book.handle, number), row))
        found.sort(key=lambda item: item[0], reverse=True)
        rows = [
            (f"{place[1]}/l{place[2]}" if len(enrolled) > 1 else f"l{place[2]}", row)
            for place, row in found
            if last is None or place < last
        ]
        return _fit("history", rows, limit)

    async def _receipt(self, question: Question) -> Data | Refused:
        number, operator = question.args["leg"], question.args.get("operator")
        receipts = []
        for book, handle in self._enrolled(question):
            if operator not in (None, book.handle):
                continue
            for found, stored in await self._queries.legs_of(book.key, handle, before=number + 1, limit=1):
                fact, leg = _leg_of(stored, found)
                if found == number and isinstance(fact, SettlementProcessed) and leg.status is LegStatus.COMPLETED:
                    receipts.append(receipt_view(book, fact, leg, entry=stored.seq, entry_hash=stored.hash))
        if not receipts:
            return Refused(Code.NOT_FOUND, f"there is no receipt l{number}: `history` shows yours")
        if len(receipts) > 1:
            names = ", ".join(receipt["operator"] for receipt in receipts)
            return Refused(Code.AMBIGUOUS, f"you have a receipt l{number} with {names}: add operator=<name>")
        return receipts[0]

    async def _help(self, question: Question) -> Data | Refused:
        topic = question.args["topic"]
        if topic in FORMS:
            form = FORMS[topic]
            return {"help": {"usage": form.usage, "summary": form.summary, "example": form.example}}
        roles = (*question.standing.roles, Role.ANYONE)
        forms = [form for form in TABLE if form.role in roles and form.verb.startswith(topic)]
        if not forms:
            return Refused(Code.NOT_FOUND, f"there is no help on {topic[:40]!r}: say `help`")
        return {"help": {"commands": [{"usage": form.usage, "summary": form.summary} for form in forms]}}

    async def _whoami(self, question: Question) -> Data | Refused:
        standing, names = question.standing, []
        if standing.platform:
            names.append("the platform")
        if standing.operator is not None:
            names.append(f"operator {self._books[standing.operator].handle}")
        names += [f"LP {handle} with {book.handle}" for book, handle in self._enrolled(question)]
        if standing.machine is not None:
            book = self._books[standing.machine]
            names.append(f"machine {book.machine_of_key[question.author]} of {book.handle}")
        return {"whoami": {"npub": npub(question.author), "roles": names}}


def settlement_of(stored: StoredEntry) -> SettlementFact:
    """The settlement that was born in an entry."""
    fact = read_fact(stored.plain()["facts"][0])
    assert isinstance(fact, SettlementFact)
    return fact


def _view(fact: SettlementFact, stored: StoredEntry) -> View:
    return settlement_view(fact, entry=stored.seq, entry_hash=stored.hash, at=stored.at)


def _with_legs_that_fit(view: View, *, after: int = 0) -> View:
    """A settlement with its legs after leg number `after`, as many as fit in one answer; `more` and `after` for the rest."""
    legs = [leg for leg in view["legs"] if int(leg["id"][1:]) > after]
    kept = _count_that_fits(legs, len(orjson.dumps(view | {"legs": []})))
    page = view | {"legs": legs[:kept]}
    return page if kept == len(legs) else page | {"more": True, "after": legs[kept - 1]["id"]}


def _leg_of(stored: StoredEntry, number: int) -> tuple[SettlementFact, Leg]:
    fact = settlement_of(stored)
    assert isinstance(fact, SettlementProcessed), "only a processed settlement has legs"
    return fact, next(leg for leg in fact.legs if leg.number == number)


def _number(text: str, letter: str) -> int | None:
    digits = text.lower().removeprefix(letter)
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 16 else None


def _page(noun: str, rows: Sequence[tuple[str, View]], question: Question) -> View:
    """One page of a list held in memory: from after `before=` on, as many as asked for and as fit."""
    before = question.args.get("before", "").lower()
    ids = [row_id for row_id, _ in rows]
    start = ids.index(before) + 1 if before in ids else 0
    return _fit(noun, rows[start:], question.args.get("limit", LIST_LIMIT_DEFAULT))


def _fit(noun: str, rows: Sequence[tuple[str, View]], limit: int) -> View:
    """At most `limit` rows and at most what fits in one event; `more` and `before` when some were left out."""
    kept = max(1, _count_that_fits([row for _, row in rows[:limit]], 0)) if rows else 0
    page: View = {noun: [row for _, row in rows[:kept]]}
    if kept < len(rows):
        page |= {"more": True, "before": rows[kept - 1][0]}
    return page


def _count_that_fits(rows: Sequence[View], used_bytes: int) -> int:
    left = REPLY_BYTES_MAX - FRAME_BYTES - used_bytes
    for count, row in enumerate(rows):
        # Escaped, as words show it: six bytes for a character of which JSON makes three.
        left -= len(escape(orjson.dumps(row).decode()).encode()) + 1
        if left < 0:
            return count
    return len(rows)


def _trim(buckets: dict[str, list[View]]) -> dict[str, list[View]]:
    """The buckets, the longest of them shortened until all fit in one event."""
    fitting = {bucket: list(rows) for bucket, rows in buckets.items()}
    while len(orjson.dumps(fitting)) > REPLY_BYTES_MAX - FRAME_BYTES:
        max(fitting.values(), key=len).pop()
    return fitting
