"""Statements: an LP's month with each operator, from its opening to its closing.

What lives here: `statement`. What does not: sentences (messages/words/figures.py), totals over time (stacking.py). A
month is a month where the operator is. Acceptance B1, B9, O1.

    opening + deposits - reversals - payouts + corrections = closing
    opening + received - corrections = closing                          (the sats)

A decision counts in its own month: a payout of October that was voided in November is a payout of October and a
correction of November. So a statement is never wrong afterwards. The closing of the month so far
is what `balance` says.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from operator import itemgetter
from typing import Any, NamedTuple

from nostrbot.core.book import Book
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.local_time import local_day, moment_of, month_after
from nostrbot.core.plain import View
from nostrbot.money import format_minor
from nostrbot.reading.question import NOT_THERE, Question
from nostrbot.store.leg_sums import LegSum, Span, SpanSum
from nostrbot.store.queries import Queries
from nostrbot.store.sums import What
from nostrbot.views.fitting import Data, rows_that_fit, view_bytes

CORRECTIONS_SHOWN_MAX = 100  # with an operator
BEFORE, WITHIN = "before", "within"  # the month


class Month(NamedTuple):
    """A month somewhere: from `start` to before `end`, unix seconds."""

    start: int
    end: int


@dataclass(slots=True)
class CashMonth:
    """An LP's cash at one machine over a month, in minor units; `payouts` by type of leg."""

    opening_minor: int = 0
    deposits_minor: int = 0
    reversals_minor: int = 0
    corrections_minor: int = 0
    payouts: list[LegSum] = field(default_factory=list)

    @property
    def payouts_minor(self) -> int:
        """All cash that turned into sats."""
        return sum(legs.fiat_minor for legs in self.payouts)

    @property
    def closing_minor(self) -> int:
        """The cash left at the end."""
        given = self.deposits_minor - self.reversals_minor
        return self.opening_minor + given - self.payouts_minor + self.corrections_minor

    @property
    def says_something(self) -> bool:
        """Whether there was cash, or anything happened."""
        return bool(self.opening_minor or self.deposits_minor or self.corrections_minor or self.payouts)


@dataclass(slots=True)
class SatsMonth:
    """An LP's sats with one operator over a month."""

    opening: int = 0
    received: int = 0
    corrections: int = 0

    @property
    def closing(self) -> int:
        """The sats owed at the end."""
        return self.opening + self.received - self.corrections


@dataclass(slots=True)
class Account:
    """An LP's month with one operator: its cash by machine, its sats, and what is told line by line."""

    book: Book
    lp: str
    month: Month
    cash: dict[str, CashMonth] = field(default_factory=dict)
    sats: SatsMonth = field(default_factory=SatsMonth)
    lines: list[View] = field(default_factory=list)

    def add_deposits(self) -> None:
        """Add cash that came into machines and went back, and a line for each time it did."""
        self.cash = {machine: CashMonth() for machine in self.book.lps[self.lp].seats}
        for deposit in self.book.deposits.values():
            if deposit.lp != self.lp or deposit.confirmed_at is None:
                continue
            cash, name = self.cash[deposit.machine], f"d{deposit.number}"
            if self._is_within(deposit.confirmed_at):
                cash.deposits_minor += deposit.amount_minor
                self._tell("deposit", name, deposit.machine, deposit.confirmed_at, deposit.amount_minor)
            elif deposit.confirmed_at < self.month.start:
                cash.opening_minor += deposit.amount_minor
            for at, minor in ((reversal.at, reversal.minor) for reversal in deposit.reversals):
                if self._is_within(at):
                    cash.reversals_minor += minor
                    self._tell("reversal", name, deposit.machine, at, minor)
                elif at < self.month.start:
                    cash.opening_minor -= minor

    async def add_legs(self, queries: Queries) -> None:
        """Add what was paid out and what of it was corrected, and a line for each correction."""
        month = self.month
        spans = [Span(BEFORE, 0, month.start), Span(WITHIN, month.start, month.end)]
        for summed in await queries.leg_sums.in_spans(self.book.key, self.lp, spans, What.MADE, What.REVERSED):
            self._add_sum(summed)
        window = (self.book.key, self.lp, month.start, month.end)
        for leg in await queries.leg_sums.reversed_within(*window, limit=CORRECTIONS_SHOWN_MAX):
            self._tell("correction", f"l{leg.number}", leg.machine, leg.at, leg.fiat_minor, sats=leg.sats)

    def _add_sum(self, summed: SpanSum) -> None:
        legs = summed.legs
        cash = self.cash.setdefault(legs.machine, CashMonth())  # commission comes from other machines, too
        match summed.what, summed.span:
            case What.MADE, "within":
                self.sats.received += legs.sats
                cash.payouts.append(legs)
            case What.MADE, _:
                self.sats.opening += legs.sats
                cash.opening_minor -= legs.fiat_minor
            case _, "within":
                self.sats.corrections += legs.sats
                cash.corrections_minor += legs.fiat_minor
            case _:
                self.sats.opening -= legs.sats
                cash.opening_minor += legs.fiat_minor

    def _is_within(self, at: int) -> bool:
        return self.month.start <= at < self.month.end

    def _tell(
        self, what: str, thing: str, machine: str, at: int, minor: int | None, *, sats: int | None = None
    ) -> None:
        currency = self.book.machines[machine].fiat
        self.lines.append(
            {
                "at": at,
                "day": local_day(self.book.tz, at),
                "what": what,
                "id": thing,
                "operator": self.book.handle,
                "machine": machine,
                "fiat": None if minor is None else format_minor(minor, currency),
                "currency": currency,
                **({} if sats is None else {"sats": sats}),
            }
        )

    def cash_rows(self, machine: str | None) -> Iterator[tuple[bool, View]]:
        """Return a row for each machine with something to say, each with whether cash is left."""
        for name, cash in self.cash.items():
            if machine not in (None, name) or not cash.says_something:
                continue
            currency = self.book.machines[name].fiat
            amounts = {
                "opening": cash.opening_minor,
                "deposits": cash.deposits_minor,
                "reversals": cash.reversals_minor,
                "payouts": cash.payouts_minor,
                "corrections": cash.corrections_minor,
                "closing": cash.closing_minor,
            }
            row: View = {"operator": self.book.handle, "machine": name, "currency": currency}
            row |= {what: format_minor(minor, currency) for what, minor in amounts.items()}
            row["received"] = [
                {
                    "type": legs.type,
                    "count": legs.count,
                    "sats": legs.sats,
                    "fiat": format_minor(legs.fiat_minor, currency),
                }
                for legs in cash.payouts
            ]
            yield cash.closing_minor > 0, row

    def sats_row(self) -> View:
        """Return the sats, over all machines of the operator."""
        sats = self.sats
        return {
            "operator": self.book.handle,
            "opening": sats.opening,
            "received": sats.received,
            "corrections": sats.corrections,
            "closing": sats.closing,
        }


class StatementReading:
    """The answers about an LP's month."""

    def __init__(self, books: Mapping[str, Book], queries: Queries) -> None:
        self._books = books
        self._queries = queries

    @property
    def readers(self) -> Mapping[str, Callable[[Question], Awaitable[Data | CommandRefused]]]:
        """The reader of each question, by verb."""
        return {"statement": self._statement}

    async def _statement(self, question: Question) -> Data | CommandRefused:
        args, enrolled = question.args, question.enrolled_in(self._books)
        operator, machine = args.get("operator"), args.get("machine")
        chosen = [(book, lp) for book, lp in enrolled if operator in (None, book.handle)]
        if not chosen:
            return NOT_THERE
        months = [local_day(book.tz, question.at)[:7] for book, _ in chosen]
        month = args.get("month") or _month_before(min(months))
        if month > max(months):
            return CommandRefused(Code.BAD_ARGUMENT, f"{month} has not begun yet: say a month up to {max(months)}")
        accounts = []
        for book, lp in chosen:
            account = Account(book, lp, _month_of(book.tz, month))
            account.add_deposits()
            await account.add_legs(self._queries)
            if machine is None or machine in account.cash:
                accounts.append(account)
        if not accounts:
            return NOT_THERE
        return {"statement": {"month": month, "so_far": month >= min(months), **_fitting(accounts, machine)}}


def _month_before(month: str) -> str:
    first = date.fromisoformat(f"{month}-01")
    return first.fromordinal(first.toordinal() - 1).isoformat()[:7]


def _month_of(tz: str, month: str) -> Month:
    start, end = (moment_of(tz, f"{one}-01", "00:00") for one in (month, month_after(month)))
    assert start is not None, "no time zone ever left out the first day of a month of this century"
    assert end is not None, "nor will one"
    return Month(start, end)


def _fitting(accounts: Sequence[Account], machine: str | None) -> View:
    """Return all sums, then as many lines as an answer has room for.

    Any operator may enrol an LP at as many machines as it likes: where cash is left comes first.
    """
    rows = [row for account in accounts for row in account.cash_rows(machine)]
    rows.sort(key=lambda row: not row[0])
    lines = [line for account in accounts for line in account.lines if machine in (None, line["machine"])]
    lines.sort(key=itemgetter("at"))
    view: dict[str, Any] = {"sats": rows_that_fit(account.sats_row() for account in accounts)}
    view["cash"] = rows_that_fit((row for _, row in rows), used_bytes=view_bytes(view))
    view["lines"] = rows_that_fit(lines, used_bytes=view_bytes(view))
    is_cut = len(view["cash"]) < len(rows) or len(view["lines"]) < len(lines) or len(view["sats"]) < len(accounts)
    return view | {"more": True} if is_cut else view
