"""Reading: answers to questions, from the books in memory and the journal in the database.

What lives here: one function a question, giving data. What does not: commands that change a book (core/engine.py) and
sentences (core/replies.py). An operator sees its own book, an LP its own rows in every book it is in; "not yours" and
"does not exist" get the same answer (docs/protocol.md section 1; acceptance Q4). Lists are newest first. The journal is
read a few entries at a time and only as far as an answer has room: others wait for the same event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from nostrbot.core.book import ROOT, Book, Seat
from nostrbot.core.commands import FORMS, TABLE, Code, Command, Refused, Role
from nostrbot.core.directory import Standing
from nostrbot.core.facts import (
    Leg,
    SettlementFact,
    SettlementProcessed,
    read_fact,
)
from nostrbot.core.outcomes import splits_view
from nostrbot.core.receipts import receipt_view
from nostrbot.core.records import Deposit
from nostrbot.core.registry import find_lp, find_machine
from nostrbot.core.replies import Shortened
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
from nostrbot.pages import DATA_BYTES_MAX, NOT_IN_LIST, LegsOfBook, Page, Place, page_of, rows_that_fit
from nostrbot.store.queries import Queries, StoredEntry

STUCK_AFTER_S = 30 * 60  # acceptance W2
WORKLIST_ROWS = 20  # a bucket; `settlement list status=` shows the rest

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
        return page_of(
            "operators",
            ((operator.handle, operator) for operator in reversed(root.operators.values())),
            lambda operator: operator_view(operator, active=operator.operator not in root.suspended_operators),
            question.args,
        )

    async def _platform(self, question: Question) -> Data | Refused:
        root = self._books[ROOT]
        return {"platform": platform_view(root.cash_in_ppm, root.cash_out_ppm, len(root.operators))}

    async def _machines(self, question: Question) -> Data | Refused:
        machines = reversed(self._own(question).machines.values())
        return page_of("machines", ((machine.handle, machine) for machine in machines), machine_view, question.args)

    async def _machine(self, question: Question) -> Data | Refused:
        machine = find_machine(self._own(question), question.args["machine"])
        return machine if isinstance(machine, Refused) else {"machine": machine_view(machine)}

    async def _lps(self, question: Question) -> Data | Refused:
        book, at = self._own(question), question.args.get("machine")
        if at is not None and at not in book.machines:
            return Refused(Code.NOT_FOUND, f"there is no machine {at}: `machine list` shows yours")
        return page_of(
            "lps",
            ((lp.handle, lp) for lp in reversed(book.lps.values())),
            lambda lp: lp_view(book, lp.handle, lp.pubkey) if at is None or at in lp.seats else None,
            question.args,
        )

    async def _lp(self, question: Question) -> Data | Refused:
        book = self._own(question)
        lp = find_lp(book, question.args["lp"])
        return lp if isinstance(lp, Refused) else {"lp": lp_view(book, lp.handle, lp.pubkey)}

    async def _deposits(self, question: Question) -> Data | Refused:
        args, book = question.args, self._own(question)

        def show(deposit: Deposit) -> View | None:
            wanted = (
                args.get("status") in (None, deposit.status)
                and args.get("lp") in (None, deposit.lp)
                and args.get("machine") in (None, deposit.machine)
            )
            return deposit_view(deposit) if wanted else None

        deposits = ((f"d{deposit.number}", deposit) for deposit in reversed(book.deposits.values()))
        return page_of("deposits", deposits, show, question.args)

    async def _settlements(self, question: Question) -> Data | Refused:
        args, key, page = question.args, self._own(question).key, Page(question.args)
        before = _number(args["before"], "s") if "before" in args else None
        if before is None and "before" in args:
            return NOT_IN_LIST
        while True:
            stored = await self._queries.settlements(
                key, machine=args.get("machine"), status=args.get("status"), before=before, limit=page.entries_wanted
            )
            for entry in stored:
                fact = settlement_of(entry)
                if not page.take(f"s{fact.number}", _shown(fact, entry)):
                    return page.view("settlements")
                before = fact.number
                await asyncio.sleep(0)
            if not stored:
                return page.view("settlements")

    async def _settlement(self, question: Question) -> Data | Refused:
        number = question.args["settlement"]
        stored = await self._queries.settlement(self._own(question).key, number)
        if stored is None:
            return Refused(Code.NOT_FOUND, f"there is no settlement s{number}: `settlement list` shows yours")
        return {"settlement": _shown(settlement_of(stored), stored, after=question.args.get("after", 0))}

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

        def show(at_machine: tuple[str, Seat]) -> View | None:
            machine, seat = at_machine
            return {"lp": seat.lp, "machine": machine, **cash_view(book, seat)} if at in (None, machine) else None

        seats = (
            (f"{lp.handle}/{machine}", (machine, seat))
            for lp in reversed(book.lps.values())
            for machine, seat in lp.seats.items()
        )
        page = page_of("balances", seats, show, question.args)
        return page if isinstance(page, Refused) else {**page, "sats": sats_view(book)}

    async def _own_deposits(self, question: Question) -> Data | Refused:
        enrolled = self._enrolled(question)
        found = [
            (deposit.created_at, book.handle, deposit)
            for book, handle in enrolled
            for deposit in book.deposits.values()
            if deposit.lp == handle
        ]
        found.sort(key=lambda item: (item[0], item[1], item[2].number), reverse=True)
        ids_name_operators = len(enrolled) > 1
        return page_of(
            "deposits",
            (
                (f"{operator}/d{deposit.number}" if ids_name_operators else f"d{deposit.number}", (operator, deposit))
                for _, operator, deposit in found
            ),
            lambda of: {"operator": of[0], **deposit_view(of[1])},
            question.args,
        )

    async def _balance(self, question: Question) -> Data | Refused:
        """Where there is cash or sats comes first: any operator may enrol an LP at as many machines as it likes."""
        operator, machine = question.args.get("operator"), question.args.get("machine")
        rows = [
            (not (book.lps[handle].seats[row["machine"]].remaining_minor or row["sats"]), row)
            for book, handle in self._enrolled(question)
            if operator in (None, book.handle)
            for row in balance_rows(book, book.lps[handle])
            if machine in (None, row["machine"])
        ]
        if not rows and (operator or machine):
            return Refused(Code.NOT_FOUND, "you are at no such machine: `balance` shows where you are")
        ordered = [row for _, row in sorted(rows, key=lambda item: item[0])]
        fitting = rows_that_fit(ordered)
        return ordered if len(fitting) == len(ordered) else Shortened(fitting)

    def _enrolled(self, question: Question) -> list[tuple[Book, str]]:
        """The books the asking LP is in, with its name there."""
        books = [self._books[key] for key in question.standing.lp]
        return [(book, book.lp_of_key[question.author]) for book in books]

    async def _history(self, question: Question) -> Data | Refused:
        """Legs of all books in one list. A page ends at an id; with several operators it names the operator too."""
        enrolled, page = self._enrolled(question), Page(question.args)
        last = await self._place(enrolled, question.args["before"]) if "before" in question.args else None
        if last is None and "before" in question.args:
            return NOT_IN_LIST
        at_once = max(1, page.entries_wanted // max(1, len(enrolled)))
        books = [
            LegsOfBook(self._queries, book, lp, question.args.get("since"), last, at_once) for book, lp in enrolled
        ]
        unread = [legs for legs in books if await legs.look()]
        while unread:
            newest = max(unread, key=lambda legs: legs.waiting[0][0])
            place, stored = newest.waiting.popleft()
            _, operator, number = place
            fact, leg = _leg_of(stored, number)
            row = {**leg_view(leg, fact), "operator": operator, "machine": fact.machine, "at": stored.at}
            if not page.take(f"{operator}/l{number}" if len(enrolled) > 1 else f"l{number}", row):
                break
            if not await newest.look():
                unread.remove(newest)
            await asyncio.sleep(0)
        return page.view("history")

    async def _place(self, enrolled: Sequence[tuple[Book, str]], before: str) -> Place | None:
        """Where the page before ended; None when `before` is no such place."""
        operator, _, leg_id = before.lower().rpartition("/")
        anchor, last = _number(leg_id, "l"), None
        for book, handle in enrolled:
            if anchor is not None and operator in ("", book.handle):
                # The nearest of its own legs gives the time; the number stays as said, so that leg itself is not lost.
                for _, stored in await self._queries.legs_of(book.key, handle, before=anchor + 1, limit=1):
                    last = (stored.at, book.handle, anchor)
        return last

    async def _receipt(self, question: Question) -> Data | Refused:
        number, operator = question.args["leg"], question.args.get("operator")
        receipts = []
        for book, handle in self._enrolled(question):
            if operator not in (None, book.handle):
                continue
            for found, stored in await self._queries.legs_of(book.key, handle, before=number + 1, limit=1):
                fact, leg = _leg_of(stored, found)
                if found == number and leg.status is LegStatus.COMPLETED:
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


def _shown(fact: SettlementFact, stored: StoredEntry, *, after: int = 0) -> View:
    """A settlement with its legs after leg number `after`, as many as fit in one answer; `more` and `after` for the rest."""
    if not isinstance(fact, SettlementProcessed):
        return _view(fact, stored)
    view = _view(replace(fact, legs=()), stored)
    left = [leg for leg in fact.legs if leg.number > after]
    legs = rows_that_fit((leg_view(leg, fact) for leg in left), used_bytes=len(orjson.dumps(view)))
    page = view | {"legs": legs}
    return page if len(legs) == len(left) else page | {"more": True, "after": f"l{left[len(legs) - 1].number}"}


def _leg_of(stored: StoredEntry, number: int) -> tuple[SettlementProcessed, Leg]:
    """A leg, and its settlement without the other legs: those are not read."""
    fields = stored.plain()["facts"][0]
    fact = read_fact(fields | {"legs": [leg for leg in fields["legs"] if leg["number"] == number]})
    assert isinstance(fact, SettlementProcessed), "only a processed settlement has legs"
    return fact, fact.legs[0]


def _number(text: str, letter: str) -> int | None:
    digits = text.lower().removeprefix(letter)
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 16 else None


def _trim(buckets: dict[str, list[View]]) -> dict[str, list[View]]:
    """The buckets, the longest of them shortened until all fit in one event."""
    fitting = {bucket: list(rows) for bucket, rows in buckets.items()}
    while len(orjson.dumps(fitting)) > DATA_BYTES_MAX:
        max(fitting.values(), key=len).pop()
    return fitting
