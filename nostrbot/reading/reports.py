"""Reports: what came in at an operator's machines, who got it, and what the operator earned.

What lives here: `report`. What does not: sentences (messages/words/figures.py), single settlements (operators.py). A
report is about the settlements born in its period, as they stand now, and about what was paid to LPs apart from them in
it. Amounts are of what is booked: of a corrected settlement what is in force, of a refunded one nothing
(core/atm/takings.py).
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nostrbot.core.atm.registry import find_machine
from nostrbot.core.atm.states import Direction, LegType, SettlementStatus
from nostrbot.core.book import Book
from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.commands.specs import Period
from nostrbot.core.local_time import DAY_S, local_day, moment_of
from nostrbot.core.plain import View
from nostrbot.money import format_minor
from nostrbot.reading.question import Question
from nostrbot.store.leg_sums import LegSum
from nostrbot.store.queries import Queries
from nostrbot.store.sale_sums import SaleSum
from nostrbot.views.fitting import Data, rows_that_fit, view_bytes

PERIOD_S = {Period.WEEK: 7 * DAY_S, Period.MONTH: 30 * DAY_S}
PAYOUTS = {LegType.DCA: "fixed", LegType.SETTLEMENT: "settle"}  # what legs apart from settlements are for
FEES = ("platform", "yours", "lps", "others")
OPEN = {
    SettlementStatus.PENDING: "held",
    SettlementStatus.PROCESSING: "held",
    SettlementStatus.ERRORED: "errored",
}


@dataclass(slots=True)
class SumOfSales:
    """Sats, and the cash that went with them in minor units; `count`: how many settlements or legs."""

    count: int = 0
    sats: int = 0
    fiat_minor: int = 0

    def add(self, sats: int, fiat_minor: int, count: int = 1) -> None:
        """Take some more in."""
        self.count += count
        self.sats += sats
        self.fiat_minor += fiat_minor

    def view(self, currency: str) -> View:
        """Return the takings as answers show them."""
        return {"count": self.count, "sats": self.sats, "fiat": format_minor(self.fiat_minor, currency)}


@dataclass(slots=True)
class MachineTakings:
    """The takings of one machine, or of all machines of one currency.

    Attributes:
        statuses: how many settlements, by direction and status.
        wire: by direction, the customers' sats and cash; principal: what of the sats is not fee.
        fees: sats, by whose they are: platform, yours, lps, others.
        lps, own: the LPs' and the operator's own part of what was bought.
        owed_sats: to customers of corrected settlements, until they are refunded.
        payouts: to LPs out of the operator's own sats.
    """

    machine: str | None
    currency: str
    statuses: Counter[tuple[Direction, SettlementStatus]] = field(default_factory=Counter)
    wire: dict[Direction, SumOfSales] = field(default_factory=lambda: {one: SumOfSales() for one in Direction})
    principal: Counter[Direction] = field(default_factory=Counter)
    fees: Counter[str] = field(default_factory=Counter)
    mismatch_sats: int = 0
    lps: SumOfSales = field(default_factory=SumOfSales)
    own: SumOfSales = field(default_factory=SumOfSales)
    owed_sats: int = 0
    payouts: dict[str, SumOfSales] = field(default_factory=lambda: {what: SumOfSales() for what in PAYOUTS.values()})
    rejected: Counter[str] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)

    def add(self, sales: SaleSum) -> None:
        """Take in settlements of one kind."""
        direction, status = Direction(sales.direction), SettlementStatus(sales.status)
        if sales.sales:
            self.statuses[direction, status] += sales.sales
        if sales.reason and sales.sales:
            self.rejected[sales.reason] += sales.sales
        amounts = sales.amounts
        self.wire[direction].add(amounts.wire_sats, amounts.fiat_minor, amounts.booked)
        self.principal[direction] += amounts.principal_sats
        self.mismatch_sats += amounts.mismatch_sats
        self.owed_sats += amounts.owed_sats
        fees = (amounts.platform_sats, amounts.yours_sats, amounts.lps_sats, amounts.others_sats)
        self.fees.update(dict(zip(FEES, fees, strict=True)))
        self.lps.add(amounts.to_lps_sats, amounts.to_lps_minor, amounts.to_lps_count)
        self.own.add(amounts.own_sats, amounts.own_minor, amounts.own_count)

    def add_payouts(self, legs: LegSum) -> None:
        """Take in what LPs were paid apart from settlements."""
        self.payouts[PAYOUTS[legs.type]].add(legs.sats, legs.fiat_minor, legs.count)

    @property
    def says_something(self) -> bool:
        """Whether anything happened, or waits."""
        return bool(self.statuses or self.open or any(paid.count for paid in self.payouts.values()))

    def view(self) -> View:
        """Return the takings as answers show them."""
        currency = self.currency
        statuses: dict[str, dict[str, int]] = {}
        for (direction, status), count in sorted(self.statuses.items()):
            statuses.setdefault(direction.value, {})[status.value] = count
        sales = {
            direction.value: {
                "count": wire.count,
                "fiat": format_minor(wire.fiat_minor, currency),
                "wire_sats": wire.sats,
                "principal_sats": self.principal[direction],
                "fee_sats": abs(wire.sats - self.principal[direction]),
            }
            for direction, wire in self.wire.items()
        }
        return {
            "machine": self.machine,
            "currency": currency,
            "settlements": statuses,
            **sales,
            "fees": {whose: self.fees[whose] for whose in FEES},
            "mismatch_sats": self.mismatch_sats,
            "to_lps": self.lps.view(currency),
            "own_part": self.own.view(currency),
            "owed_to_customers_sats": self.owed_sats,
            "payouts": {what: paid.view(currency) for what, paid in self.payouts.items()},
            "rejected": dict(sorted(self.rejected.items())),
            "held": self.open["held"],
            "errored": self.open["errored"],
        }


class ReportReading:
    """The answers about what an operator's machines took in."""

    def __init__(self, books: Mapping[str, Book], queries: Queries) -> None:
        self._books = books
        self._queries = queries

    @property
    def readers(self) -> Mapping[str, Callable[[Question], Awaitable[Data | CommandRefused]]]:
        """The reader of each question, by verb."""
        return {"report": self._report}

    async def _report(self, question: Question) -> Data | CommandRefused:
        book = question.own_book(self._books)
        period, only = question.args.get("period", Period.DAY), question.args.get("machine")
        if only is not None and isinstance(found := find_machine(book, only), CommandRefused):
            return found
        since = _start(book.tz, period, question.at)
        tills = {
            name: MachineTakings(name, machine.fiat) for name, machine in book.machines.items() if only in (None, name)
        }
        totals = {one.currency: MachineTakings(None, one.currency) for one in tills.values()}
        for sales in await self._queries.sale_sums.since(book.key, since, only):
            for takings in _of_machine(sales.machine, tills, totals):
                takings.add(sales)
        for legs in await self._queries.leg_sums.apart(book.key, since=since):
            for takings in _of_machine(legs.machine, tills, totals):
                takings.add_payouts(legs)
        for machine, status, count in await self._queries.open_settlements(book.key):
            for takings in _of_machine(machine, tills, totals):
                takings.open[OPEN[status]] += count
        frame = {"period": period, "since": since, "until": question.at, "tz": book.tz}
        return {"report": {**frame, **_fitting(tills, totals)}}


def _start(tz: str, period: Period, now: int) -> int:
    """Return when a period that ends now began: at the local day, or some days ago."""
    if period is not Period.DAY:
        return now - PERIOD_S[period]
    start = moment_of(tz, local_day(tz, now), "00:00")
    assert start is not None, "a day that it is now was not left out"
    return start


def _of_machine(
    machine: str, tills: dict[str, MachineTakings], totals: dict[str, MachineTakings]
) -> tuple[MachineTakings, ...]:
    """Return the sums that this machine's figures are part of; nothing if nobody asked for it."""
    if machine not in tills:
        return ()
    return tills[machine], totals[tills[machine].currency]


def _fitting(tills: Mapping[str, MachineTakings], totals: Mapping[str, MachineTakings]) -> View:
    """Return the totals, and as many machines as an answer has room for: those that took the most first."""
    busy = [takings for takings in tills.values() if takings.says_something]
    busy.sort(key=lambda takings: -sum(takings.statuses.values()))
    sums = [takings for takings in totals.values() if takings.says_something]
    view: dict[str, Any] = {"totals": rows_that_fit(one.view() for one in sums)}
    view["machines"] = rows_that_fit((one.view() for one in busy), used_bytes=view_bytes(view))
    is_whole = len(view["machines"]) == len(busy) and len(view["totals"]) == len(sums)
    return view if is_whole else view | {"more": True}
