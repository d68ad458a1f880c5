"""LPs' questions: their cash, their sats, their receipts.

What lives here: one function a question, giving data. What does not: sentences (messages/replies.py), figures over time
(stacking.py), months (statements.py). An LP sees its own rows in every book it is in; "not yours" and "does not exist"
get the same answer (docs/protocol.md section 1; acceptance Q4, B11). The journal is read a few entries at a time and
only as far as an answer has room: others wait for the same event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from nostrbot.core.atm.settlements.facts import Leg
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.book import Book
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import read_fact
from nostrbot.messages.receipts import Payment, payment_of, receipt_view
from nostrbot.reading.pages import NOT_IN_LIST, LegsOfBook, Page, Place, page_of, read_id
from nostrbot.reading.question import NOT_THERE, Question
from nostrbot.store.queries import Queries
from nostrbot.store.stored import StoredLeg
from nostrbot.views.fitting import Data, Shortened, rows_that_fit
from nostrbot.views.records import balance_rows, deposit_view, leg_view


class LpReading:
    """The answers to LPs' questions, over live books and stored entries."""

    def __init__(self, books: Mapping[str, Book], queries: Queries) -> None:
        self._books = books
        self._queries = queries

    @property
    def readers(self) -> Mapping[str, Callable[[Question], Awaitable[Data | CommandRefused]]]:
        """The reader of each question, by verb."""
        return {
            "balance": self._balance,
            "deposits": self._own_deposits,
            "history": self._history,
            "receipt": self._receipt,
        }

    async def _own_deposits(self, question: Question) -> Data | CommandRefused:
        enrolled = question.enrolled_in(self._books)
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

    async def _balance(self, question: Question) -> Data | CommandRefused:
        """Answer `balance`. Places with cash or sats come first: any operator may enrol an LP at any number of
        machines.
        """
        operator, machine = question.args.get("operator"), question.args.get("machine")
        rows = [
            (not (book.lps[handle].seats[row["machine"]].remaining_minor or row["sats"]), row)
            for book, handle in question.enrolled_in(self._books)
            if operator in (None, book.handle)
            for row in balance_rows(book, book.lps[handle])
            if machine in (None, row["machine"])
        ]
        if not rows and (operator or machine):
            return NOT_THERE
        ordered = [row for _, row in sorted(rows, key=lambda item: item[0])]
        fitting = rows_that_fit(ordered)
        return ordered if len(fitting) == len(ordered) else Shortened(fitting)

    async def _history(self, question: Question) -> Data | CommandRefused:
        """Answer `history`: legs of all books in one list. A page ends at an id; with several operators it names the
        operator too.
        """
        enrolled, page = question.enrolled_in(self._books), Page(question.args)
        last = await self._place(enrolled, question.args["before"]) if "before" in question.args else None
        if last is None and "before" in question.args:
            return NOT_IN_LIST
        at_once = max(1, page.entries_wanted // max(1, len(enrolled)))
        books = [LegsOfBook(self._queries, book, lp, question.args, last, at_once) for book, lp in enrolled]
        unread = [legs for legs in books if await legs.look()]
        while unread:
            newest = max(unread, key=lambda legs: legs.waiting[0][0])
            place, stored = newest.waiting.popleft()
            _, operator, number = place
            paid, leg = leg_of(stored)
            view = leg_view(leg, settlement=paid.number, currency=paid.currency, rate=paid.rate)
            row = {**view, "operator": operator, "machine": paid.machine, "at": stored.made.at}
            if not page.take(f"{operator}/l{number}" if len(enrolled) > 1 else f"l{number}", row):
                break
            if not await newest.look():
                unread.remove(newest)
            await asyncio.sleep(0)
        return page.view("history")

    async def _place(self, enrolled: Sequence[tuple[Book, str]], before: str) -> Place | None:
        """Return where the previous page ended; None if `before` is not such a place."""
        operator, _, leg_id = before.lower().rpartition("/")
        anchor, last = read_id(leg_id, "l"), None
        for book, handle in enrolled:
            if anchor is not None and operator in ("", book.handle):
                # The nearest of its own legs gives the time; the number stays as said, so that leg itself is not lost.
                for stored in await self._queries.legs_of(book.key, handle, before=anchor + 1, limit=1):
                    last = (stored.made.at, book.handle, anchor)
        return last

    async def _receipt(self, question: Question) -> Data | CommandRefused:
        number, operator = question.args["leg"], question.args.get("operator")
        receipts = []
        for book, handle in question.enrolled_in(self._books):
            if operator not in (None, book.handle):
                continue
            for stored in await self._queries.legs_of(book.key, handle, before=number + 1, limit=1):
                paid, leg = leg_of(stored)
                if stored.number == number and leg.status in (LegStatus.COMPLETED, LegStatus.VOIDED):
                    entry = stored.made
                    receipts.append(receipt_view(book, paid, leg, entry=entry.seq, entry_hash=entry.hash))
        if not receipts:
            return CommandRefused(Code.NOT_FOUND, f"there is no receipt l{number}: `history` shows yours")
        if len(receipts) > 1:
            names = ", ".join(receipt["operator"] for receipt in receipts)
            return CommandRefused(Code.AMBIGUOUS, f"you have a receipt l{number} with {names}: add operator=<name>")
        return receipts[0]


def leg_of(stored: StoredLeg) -> tuple[Payment, Leg]:
    """Return a leg as it stands, and what it is part of; the legs beside it are not read."""
    for fields in stored.made.plain()["facts"]:
        mine = [leg for leg in fields.get("legs", ()) if leg["number"] == stored.number]
        if mine:
            fact = read_fact(fields | {"legs": mine})
            paid = payment_of(fact)
            assert paid is not None, "only a payment has legs"
            leg: Leg = fact.legs[0]  # type: ignore[union-attr]
            return paid, leg._replace(status=stored.status)
    raise AssertionError("a leg lies in the entry it was made in")
