"""Stacking: what an LP's sats come to over time, with every operator it is with.

What lives here: `stats`, from sums by days and months. What does not: sentences (messages/words/figures.py), months
(statements.py), one leg after the other (lps.py). Acceptance B2, B8, B9, B14. A day is a day where the machine's
operator is. Legs that were voided do not count. Commission counts as sats received; it cost nothing, so it is no
purchase and no part of a rate.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise

from nostrbot.core.atm.prices import price_in_force
from nostrbot.core.atm.states import DepositStatus, LegType
from nostrbot.core.book import Book
from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.commands.specs import Range
from nostrbot.core.local_time import days_before, local_day, moment_of, month_after
from nostrbot.core.plain import View
from nostrbot.core.rules import RULES
from nostrbot.money import SATS_PER_BTC, format_minor, format_ratio, minor_digits, parse_decimal
from nostrbot.reading.question import Question
from nostrbot.store.leg_sums import Bought, LegSum, Span
from nostrbot.store.queries import Queries
from nostrbot.store.sums import What
from nostrbot.views.fitting import Data, rows_that_fit, view_bytes

RANGE_DAYS = {Range.WEEK: 7, Range.MONTH: 30, Range.QUARTER: 90, Range.YEAR: 365}
DAYS_SHOWN_MAX = 90  # a longer range is shown by months
MILESTONES = (10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 50_000_000, 100_000_000)
WEEK_DAYS = 7
BASIS_PLACES = 4  # decimals of sats per unit of fiat: of a small currency less than one is had


@dataclass(slots=True)
class Holding:
    """An LP's part in one currency. Cash is as it is now; purchases are by range.

    Attributes:
        bought_sats: ever.
        sats, spent_minor, purchases: bought within the range, what was paid for it, and how often.
        last_at, price: when it bought last, and the rate of that machine's last settlement.
    """

    currency: str
    invested_minor: int = 0
    pending_minor: int = 0
    remaining_minor: int = 0
    bought_sats: int = 0
    sats: int = 0
    spent_minor: int = 0
    purchases: int = 0
    last_at: int = 0
    price: str | None = None


@dataclass(slots=True)
class Stack:
    """All that an LP received, as far as it was added up. `first_day` of the range; "" for ever."""

    first_day: str
    by_months: bool
    holdings: dict[str, Holding] = field(default_factory=dict)
    sats: Counter[tuple[str, str]] = field(default_factory=Counter)  # by day or month of the range, and currency
    spent_minor: Counter[tuple[str, str]] = field(default_factory=Counter)
    sats_of_day: Counter[str] = field(default_factory=Counter)  # ever; months in which no milestone was reached as one
    commission_sats: int = 0
    purchases_ever: int = 0
    first_at: int | None = None
    last_at: int | None = None
    first_purchase_day: str = ""

    def holding(self, currency: str) -> Holding:
        """Return the holding in a currency."""
        return self.holdings.setdefault(currency, Holding(currency))

    def add_cash(self, book: Book, lp: str) -> None:
        """Add an LP's cash in one book, as it is now."""
        for machine, seat in book.lps[lp].seats.items():
            holding = self.holding(book.machines[machine].fiat)
            holding.invested_minor += seat.deposited_minor
            holding.remaining_minor += seat.remaining_minor
        for deposit in book.deposits.values():
            if deposit.lp == lp and deposit.status is DepositStatus.PENDING:
                self.holding(deposit.currency).pending_minor += deposit.amount_minor

    def add_ever(self, book: Book, legs: LegSum) -> None:
        """Add what was received at one machine, whenever."""
        if legs.type is not LegType.OPERATOR_SPLIT:
            self.purchases_ever += legs.count
            self.holding(book.machines[legs.machine].fiat).bought_sats += legs.sats

    def add_times(self, book: Book, bought: Bought) -> None:
        """Add when was bought first and last at one machine."""
        self.first_at = bought.first_at if self.first_at is None else min(self.first_at, bought.first_at)
        self.last_at = bought.last_at if self.last_at is None else max(self.last_at, bought.last_at)
        day = local_day(book.tz, bought.first_at)
        self.first_purchase_day = min(self.first_purchase_day or day, day)
        holding = self.holding(book.machines[bought.machine].fiat)
        if bought.last_at >= holding.last_at:
            price = price_in_force(book, bought.machine, RULES)
            holding.last_at, holding.price = bought.last_at, price and price.usual

    def add_in_range(self, book: Book, period: str, legs: LegSum) -> None:
        """Add what was received at one machine on a day, or in a month, of the range."""
        currency = book.machines[legs.machine].fiat
        self.sats[period, currency] += legs.sats
        self.spent_minor[period, currency] += legs.fiat_minor
        if legs.type is LegType.OPERATOR_SPLIT:
            self.commission_sats += legs.sats
        else:
            holding = self.holding(currency)
            holding.sats += legs.sats
            holding.spent_minor += legs.fiat_minor
            holding.purchases += legs.count


class StackReading:
    """The answers about an LP's sats over time."""

    def __init__(self, books: Mapping[str, Book], queries: Queries) -> None:
        self._books = books
        self._queries = queries

    @property
    def readers(self) -> Mapping[str, Callable[[Question], Awaitable[Data | CommandRefused]]]:
        """The reader of each question, by verb."""
        return {"stats": self._stats}

    async def _stats(self, question: Question) -> Data | CommandRefused:
        enrolled = question.enrolled_in(self._books)
        chosen: Range = question.args.get("range", Range.MONTH)
        today = max(local_day(book.tz, question.at) for book, _ in enrolled)
        days = RANGE_DAYS.get(chosen)
        first_day = "" if days is None else days_before(today, days - 1)
        stack = Stack(first_day, by_months=days is None or days > DAYS_SHOWN_MAX)
        reached = [(book, lp, await self._queries.leg_sums.reach(book.key, lp)) for book, lp in enrolled]
        for book, lp, _ in reached:
            stack.add_cash(book, lp)
        ever = [_Received(self._queries, book, lp, *reach) for book, lp, reach in reached if reach is not None]
        for received in ever:
            for month, legs in await received.by_months(""):
                stack.add_ever(received.book, legs)
                stack.sats_of_day[month] += legs.sats
                if stack.by_months and not first_day:
                    stack.add_in_range(received.book, month, legs)
            for bought in await self._queries.leg_sums.bought(received.book.key, received.lp):
                stack.add_times(received.book, bought)
            if first_day:
                in_range = received.by_months(first_day) if stack.by_months else received.by_days(first_day, "")
                for period, legs in await in_range:
                    stack.add_in_range(received.book, period, legs)
        for month in months_of_milestones(stack.sats_of_day):
            del stack.sats_of_day[month]
            for received in ever:
                for day, legs in await received.by_days(f"{month}-01", month):
                    stack.sats_of_day[day] += legs.sats
        return {"stats": {"range": chosen, **_standing(enrolled), **_stack_view(stack, today)}}


@dataclass(slots=True)
class _Received:
    """An LP's receipts in one book, from `first_at` to `last_at`, less what was taken back."""

    queries: Queries
    book: Book
    lp: str
    first_at: int
    last_at: int

    async def by_months(self, first_day: str) -> list[tuple[str, LegSum]]:
        """Return the sums by local months, from a day on; "": all there ever was."""
        first = max(first_day, local_day(self.book.tz, self.first_at))
        last = local_day(self.book.tz, self.last_at)
        begins = [first]
        while begins[-1][:7] < last[:7]:
            begins.append(f"{month_after(begins[-1][:7])}-01")
        return await self._between([*begins, f"{month_after(begins[-1][:7])}-01"], letters=7)

    async def by_days(self, first_day: str, month: str) -> list[tuple[str, LegSum]]:
        """Return the sums by local days, from a day on; of one month if it is named."""
        first = max(first_day, local_day(self.book.tz, self.first_at))
        last = local_day(self.book.tz, self.last_at)
        days = []
        while first <= last and first.startswith(month):
            days.append(first)
            first = days_before(first, -1)
        return await self._between([*days, first], letters=10)

    async def _between(self, begins: Sequence[str], *, letters: int) -> list[tuple[str, LegSum]]:
        """Return what was received between each of these local days and the next, named by its first letters."""
        tz = self.book.tz
        moments = [(day[:letters], at) for day in begins if (at := moment_of(tz, day, "00:00")) is not None]
        spans = [Span(name, start, end) for (name, start), (_, end) in pairwise(moments)]
        sums: dict[tuple[str, str, LegType], LegSum] = {}
        found = await self.queries.leg_sums.in_spans(self.book.key, self.lp, spans, What.MADE, What.TAKEN)
        for period, what, legs in found:
            sign = 1 if what is What.MADE else -1
            place = (period, legs.machine, legs.type)
            known = sums.get(place, LegSum(legs.machine, legs.type, 0, 0, 0))
            sums[place] = replace(
                known,
                count=known.count + sign * legs.count,
                sats=known.sats + sign * legs.sats,
                fiat_minor=known.fiat_minor + sign * legs.fiat_minor,
            )
        return [(period, legs) for (period, _, _), legs in sorted(sums.items()) if legs.count]


def _standing(enrolled: Iterable[tuple[Book, str]]) -> View:
    """Return how an LP takes its sats, and whether it does. Its choice is the same with every operator."""
    preferences, is_active = None, False
    for book, lp in enrolled:
        preferences = preferences or book.lps[lp].preferences
        is_active = is_active or (book.active and any(seat.enrolment.active for seat in book.lps[lp].seats.values()))
    if preferences is None:
        return {"mode": None, "status": "not_joined"}
    status = "suspended" if not is_active else "paused" if preferences.paused else "active"
    return {"mode": preferences.mode, "status": status}


def _stack_view(stack: Stack, today: str) -> View:
    purchases = sum(holding.purchases for holding in stack.holdings.values())
    view: View = {
        "since": stack.first_day or None,
        "sats": sum(stack.sats_of_day.values()),
        "sats_in_range": sum(stack.sats.values()),
        "commission_sats": stack.commission_sats,
        "purchases": purchases,
        "purchases_ever": stack.purchases_ever,
        "per_week": _per_week(purchases, max(stack.first_day, stack.first_purchase_day), today),
        "first_at": stack.first_at,
        "last_at": stack.last_at,
        "milestones": milestones(stack.sats_of_day),
    }
    # Any operator may enrol an LP at as many machines, in as many currencies, as it likes: what it uses comes first.
    holdings = [one for one in stack.holdings.values() if one.invested_minor or one.pending_minor or one.last_at]
    holdings.sort(key=lambda one: (-one.purchases, -one.remaining_minor, one.currency))
    currencies = rows_that_fit(map(_holding_view, holdings), used_bytes=view_bytes(view))
    rows = [
        {
            ("month" if stack.by_months else "day"): day,
            "currency": currency,
            "sats": sats,
            "fiat": format_minor(stack.spent_minor[day, currency], currency),
        }
        for (day, currency), sats in sorted(stack.sats.items(), reverse=True)
    ]
    view["currencies"] = currencies
    view["accumulation"] = rows_that_fit(rows, used_bytes=view_bytes(view))
    is_whole = len(currencies) == len(holdings) and len(view["accumulation"]) == len(rows)
    return view if is_whole else view | {"more": True}


def _per_week(purchases: int, first_day: str, today: str) -> str:
    """Return how often, over the days since the range or the buying began, but over a week at least."""
    days = (date.fromisoformat(today) - date.fromisoformat(first_day)).days + 1 if first_day else 0
    return format_ratio(purchases * WEEK_DAYS, max(days, WEEK_DAYS), 1)


def _holding_view(holding: Holding) -> View:
    currency = holding.currency
    digits = minor_digits(currency)
    return {
        "currency": currency,
        "invested": format_minor(holding.invested_minor, currency),
        "pending": format_minor(holding.pending_minor, currency),
        "remaining": format_minor(holding.remaining_minor, currency),
        "purchases": holding.purchases,
        "sats": holding.sats,
        "spent": format_minor(holding.spent_minor, currency),
        "rate": format_ratio(holding.spent_minor * SATS_PER_BTC, holding.sats * 10**digits, digits)
        if holding.sats
        else None,
        "cost_basis": format_ratio(holding.sats * 10**digits, holding.spent_minor, BASIS_PLACES)
        if holding.spent_minor
        else None,
        "worth": None if holding.price is None else _worth(holding.bought_sats, holding.price, currency),
    }


def _worth(sats: int, price: str, currency: str) -> str:
    """Return what sats cost at a price in sats per unit of fiat."""
    rate = parse_decimal(price)
    assert rate is not None, "a rate was read before it came here"
    return format_ratio(sats * 10**rate.places, rate.digits, minor_digits(currency))


def months_of_milestones(sats_of_month: Mapping[str, int]) -> list[str]:
    """Return the months in which milestones were reached; the days are still to be looked up."""
    total, months = 0, []
    for month, sats in sorted(sats_of_month.items()):
        if any(total < milestone <= total + sats for milestone in MILESTONES):
            months.append(month)
        total += sats
    return months


def milestones(sats_of_day: Mapping[str, int]) -> View:
    """Return the milestones reached and their days, the next one, and the way to it in whole percent from zero."""
    total, reached, left = 0, [], list(MILESTONES)
    for day, sats in sorted(sats_of_day.items()):
        total += sats
        while left and total >= left[0]:
            reached.append({"sats": left.pop(0), "day": day})
    progress = total * 100 // left[0] if left else 100
    return {"reached": reached, "next": left[0] if left else None, "progress_pct": progress}
