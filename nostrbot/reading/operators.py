"""Operators' questions: their machines, LPs, deposits, settlements, splits and balances.

What lives here: one function a question, giving data. What does not: sentences (messages/replies.py), figures over time
(reports.py). An operator sees its own book; "not yours" and "does not exist" get the same answer (docs/protocol.md
section 1; acceptance Q4, W1-W4). Lists are newest first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from nostrbot.core.atm.fleet import UNSEEN, MachineStatus
from nostrbot.core.atm.records import Deposit
from nostrbot.core.atm.registry import find_lp, find_machine
from nostrbot.core.atm.settlements.worklist import STUCK_AFTER_S
from nostrbot.core.atm.states import SettlementStatus
from nostrbot.core.atm.unread import in_turn, unread_view
from nostrbot.core.book import Book, Seat
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.plain import View
from nostrbot.reading.pages import NOT_IN_LIST, Page, page_of, read_id
from nostrbot.reading.question import Question
from nostrbot.store.queries import Queries
from nostrbot.store.stored import StoredSettlement
from nostrbot.views.fitting import DATA_BYTES_MAX, Data, view_bytes
from nostrbot.views.machines import cassettes_view, fleet_row, telemetry_view
from nostrbot.views.outcomes import show_settlement, splits_view
from nostrbot.views.plans import fixed_view, payment_view
from nostrbot.views.records import cash_view, deposit_view, held_view, lp_view, machine_view, sats_view

WORKLIST_ROWS = 20  # a bucket; `settlement list status=` shows the rest
BUCKETS = {
    "rejected": SettlementStatus.REJECTED,
    "errored": SettlementStatus.ERRORED,
    "stuck_pending": SettlementStatus.PENDING,
    "stuck_processing": SettlementStatus.PROCESSING,
}
_LEFT_OUT = ("legs", "bills", "cassettes", "more", "after")


class OperatorReading:
    """The answers to operators' questions, over live books and stored entries."""

    def __init__(
        self, books: Mapping[str, Book], sightings: Mapping[tuple[str, str], MachineStatus], queries: Queries
    ) -> None:
        self._books = books
        self._sightings = sightings
        self._queries = queries

    @property
    def readers(self) -> Mapping[str, Callable[[Question], Awaitable[Data | CommandRefused]]]:
        """The reader of each question, by verb."""
        return {
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
            "fleet": self._fleet,
            "telemetry": self._telemetry,
            "cassette list": self._cassettes,
            "fixed show": self._fixed,
            "payment list": self._payments,
        }

    async def _machines(self, question: Question) -> Data | CommandRefused:
        machines = reversed(question.own_book(self._books).machines.values())
        return page_of("machines", ((machine.handle, machine) for machine in machines), machine_view, question.args)

    async def _machine(self, question: Question) -> Data | CommandRefused:
        machine = find_machine(question.own_book(self._books), question.args["machine"])
        return machine if isinstance(machine, CommandRefused) else {"machine": machine_view(machine)}

    async def _fleet(self, question: Question) -> Data | CommandRefused:
        book = question.own_book(self._books)
        return page_of(
            "fleet",
            ((machine.handle, machine) for machine in reversed(book.machines.values())),
            lambda machine: fleet_row(book, machine, self._sightings.get((book.key, machine.handle)), question.at),
            question.args,
        )

    async def _telemetry(self, question: Question) -> Data | CommandRefused:
        book = question.own_book(self._books)
        machine = find_machine(book, question.args["machine"])
        if isinstance(machine, CommandRefused):
            return machine
        return telemetry_view(machine, self._sightings.get((book.key, machine.handle)))

    async def _cassettes(self, question: Question) -> Data | CommandRefused:
        book = question.own_book(self._books)
        machine = find_machine(book, question.args["machine"])
        return machine if isinstance(machine, CommandRefused) else cassettes_view(book, machine.handle)

    async def _fixed(self, question: Question) -> Data | CommandRefused:
        return {"fixed": fixed_view(question.own_book(self._books), question.at)}

    async def _lps(self, question: Question) -> Data | CommandRefused:
        book, at = question.own_book(self._books), question.args.get("machine")
        if at is not None and isinstance(found := find_machine(book, at), CommandRefused):
            return found
        return page_of(
            "lps",
            ((lp.handle, lp) for lp in reversed(book.lps.values())),
            lambda lp: lp_view(book, lp.handle, lp.pubkey) if at is None or at in lp.seats else None,
            question.args,
        )

    async def _lp(self, question: Question) -> Data | CommandRefused:
        book = question.own_book(self._books)
        lp = find_lp(book, question.args["lp"])
        return lp if isinstance(lp, CommandRefused) else {"lp": lp_view(book, lp.handle, lp.pubkey)}

    async def _deposits(self, question: Question) -> Data | CommandRefused:
        args, book = question.args, question.own_book(self._books)

        def show(deposit: Deposit) -> View | None:
            wanted = (
                args.get("status") in (None, deposit.status)
                and args.get("lp") in (None, deposit.lp)
                and args.get("machine") in (None, deposit.machine)
            )
            return deposit_view(deposit) if wanted else None

        deposits = ((f"d{deposit.number}", deposit) for deposit in reversed(book.deposits.values()))
        return page_of("deposits", deposits, show, question.args)

    async def _settlements(self, question: Question) -> Data | CommandRefused:
        args, key, page = question.args, question.own_book(self._books).key, Page(question.args)
        before = read_id(args["before"], "s") if "before" in args else None
        if before is None and "before" in args:
            return NOT_IN_LIST
        while True:
            stored = await self._queries.settlements(
                key,
                machine=args.get("machine"),
                status=args.get("status"),
                since=args.get("since"),
                before=before,
                limit=page.entries_wanted,
            )
            for one in stored:
                if not page.take(f"s{one.number}", show_settlement(one.dossier())):
                    return page.view("settlements")
                before = one.number
                await asyncio.sleep(0)
            if not stored:
                return page.view("settlements")

    async def _payments(self, question: Question) -> Data | CommandRefused:
        args, key, page = question.args, question.own_book(self._books).key, Page(question.args)
        before = read_id(args["before"], "l") if "before" in args else None
        if before is None and "before" in args:
            return NOT_IN_LIST
        while True:
            stored = await self._queries.payments(
                key, lp=args.get("lp"), machine=args.get("machine"), before=before, limit=page.entries_wanted
            )
            for one in stored:
                if not page.take(f"l{one.number}", payment_view(one.paid())):
                    return page.view("payments")
                before = one.number
                await asyncio.sleep(0)
            if not stored:
                return page.view("payments")

    async def _settlement(self, question: Question) -> Data | CommandRefused:
        number = question.args["settlement"]
        stored = await self._queries.settlement(question.own_book(self._books).key, number)
        if stored is None:
            return CommandRefused(Code.NOT_FOUND, f"there is no settlement s{number}: `settlement list` shows yours")
        return {"settlement": show_settlement(stored.dossier(), after=question.args.get("after", 0))}

    async def _worklist(self, question: Question) -> Data | CommandRefused:
        book = question.own_book(self._books)
        buckets: dict[str, list[View]] = {}
        more = False
        for bucket, status in BUCKETS.items():
            stuck = bucket.startswith("stuck_")
            stored = await self._queries.settlements(
                book.key,
                status=status,
                # By the clock of when it came to its status: one just claimed, or held once more, is not stuck (W2).
                moved_before=question.at - STUCK_AFTER_S if stuck else None,
                oldest_first=stuck,
                limit=WORKLIST_ROWS + 1,
            )
            more = more or len(stored) > WORKLIST_ROWS
            buckets[bucket] = _bucket(stored)
        if book.frozen:
            frozen = sorted(book.frozen, reverse=True)
            more = more or len(frozen) > WORKLIST_ROWS
            newest = await self._queries.settlements(book.key, numbers=frozen[:WORKLIST_ROWS], limit=WORKLIST_ROWS)
            buckets["frozen"] = _bucket(newest)
        unread = [(machine, self._sightings.get((book.key, machine), UNSEEN).unread) for machine in book.machines]
        if any(sales for _, sales in unread):
            more = more or sum(len(sales) for _, sales in unread) > WORKLIST_ROWS
            buckets["unreadable"] = [unread_view(machine, sale) for machine, sale in in_turn(unread, WORKLIST_ROWS)]
        fitting = _trim(buckets)
        more = more or sum(map(len, fitting.values())) < sum(map(len, buckets.values()))
        return {**fitting, **({"more": True} if more else {})}

    async def _splits(self, question: Question) -> Data | CommandRefused:
        book, machine = question.own_book(self._books), question.args.get("machine")
        if machine is not None and isinstance(found := find_machine(book, machine), CommandRefused):
            return found
        return splits_view(book, machine)

    async def _balances(self, question: Question) -> Data | CommandRefused:
        book, at = question.own_book(self._books), question.args.get("machine")
        if at is not None and isinstance(found := find_machine(book, at), CommandRefused):
            return found

        def show(at_machine: tuple[str, Seat]) -> View | None:
            machine, seat = at_machine
            return {"lp": seat.lp, "machine": machine, **cash_view(book, seat)} if at in (None, machine) else None

        seats = (
            (f"{lp.handle}/{machine}", (machine, seat))
            for lp in reversed(book.lps.values())
            for machine, seat in lp.seats.items()
        )
        page = page_of("balances", seats, show, question.args)
        if isinstance(page, CommandRefused):
            return page
        frozen = {"lps": book.lps_frozen_sats(), "operator": book.own_frozen_sats()}
        held = held_view(book)
        return {
            **page,
            "sats": sats_view(book),
            **({"frozen_sats": frozen} if book.frozen else {}),
            **({"held_sats": held} if any(held.values()) else {}),
        }


def _bucket(stored: Sequence[StoredSettlement]) -> list[View]:
    """Return a bucket, which shows what needs care: `settlement show` has the rest, and the answer must fit."""
    return [
        {name: value for name, value in show_settlement(one.dossier()).items() if name not in _LEFT_OUT}
        for one in stored[:WORKLIST_ROWS]
    ]


def _trim(buckets: dict[str, list[View]]) -> dict[str, list[View]]:
    """Return the buckets, with the longest shortened until all fit in one event."""
    fitting = {bucket: list(rows) for bucket, rows in buckets.items()}
    while view_bytes(fitting) > DATA_BYTES_MAX:
        max(fitting.values(), key=len).pop()
    return fitting
