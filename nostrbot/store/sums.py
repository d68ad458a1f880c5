"""Sums: what legs and settlements come to by quarters of an hour and by months, kept as they are entered.

What lives here: the rows of the sum tables, made from what a batch of entries changes, and made for all entries of a
home of before. What does not: asking for sums (leg_sums.py, sale_sums.py). They are projections: `rebuild` makes them
again and integrity.py compares them with what they are sums of.

Local days of every time zone are made of quarters. A month is a UTC month; a local month differs from it by the
quarters at its ends. Amounts are added as halves: the upper and the lower 32 bits apart, so that no sum outgrows 64
bits. The same legs give the same halves, whatever their batches were.
"""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Table, func
from sqlalchemy.dialects import sqlite

from nostrbot.core.atm.settlements.facts import Leg, SettlementChange, SettlementFact
from nostrbot.core.atm.states import LegStatus, LegType
from nostrbot.core.atm.takings import Amounts, Takings, follow, read_takings
from nostrbot.core.local_time import DAY_S, QUARTER_S
from nostrbot.store import tables

HALF, LOW = 32, 0xFFFF_FFFF
AMOUNT_BITS_MAX = 62  # of one amount: beyond that the settlement is counted, and read by itself when it is asked for
# The types that an LP receives; the others are not its gain.
RECEIVED = (LegType.DCA, LegType.SETTLEMENT, LegType.OPERATOR_SPLIT)
NOBODY = ""  # stands for the LP where the sum is over all parties

Row = tuple[object, ...]


class What(StrEnum):
    """The quantities added up of legs, and their times."""

    MADE = "made"  # an LP's, when they were booked, whatever became of them
    TAKEN = "taken"  # of these the ones that were reversed, at the time when they were booked
    REVERSED = "reversed"  # the same ones, at the time when they were reversed
    APART = "apart"  # in force and part of no settlement, whosever they are
    POT = "pot"  # in force and part of an operator's pot, whosever they are


class Made(NamedTuple):
    """A leg as it was made."""

    book: int
    machine: str
    is_apart: bool
    leg: Leg
    at: int


class SumStep(NamedTuple):
    """One fact about a settlement; `born`: its figures where it is its birth."""

    book: int
    number: int
    machine: str
    at: int
    fact: SettlementFact | SettlementChange
    born: Takings | None = None


@dataclass(slots=True)
class News:
    """The changes of a batch of entries to sums. `reversed`: (book, number of the leg, when)."""

    made: list[Made] = field(default_factory=list)
    reversed: list[tuple[int, int, int]] = field(default_factory=list)
    steps: list[SumStep] = field(default_factory=list)


class Ask(NamedTuple):
    """A statement to run: with one row of parameters, whose result is wanted, or with many."""

    sql: str
    rows: Sequence[Any]
    is_reading: bool = False


Asking = Generator[Ask, Sequence[Any], None]


def sum_up(news: News, *, births_too: bool = False) -> Asking:
    """Ask for what is needed, and for what is to be written. Legs and births are there already, their changes not yet.

    `births_too`: write the figures of settlements that are born, too: their rows are there without them.
    """
    if news.made or news.reversed:
        yield from _sum_legs(news)
    if news.steps:
        yield from _sum_sales(news.steps, births_too=births_too)


# --- legs -------------------------------------------------------------------------------------------------------------

_LEG = """
SELECT leg.lp, leg.machine, leg.type, leg.settlement IS NULL, leg.sats, leg.fiat_minor, entry.at
FROM leg JOIN entry ON entry.book = leg.book AND entry.seq = leg.seq WHERE leg.book = ? AND leg.number = ?
"""

LegKey = tuple[int, str, str, int, str, str]  # book, LP, what, start, machine, type


def _sum_legs(news: News) -> Asking:
    quarters: dict[LegKey, list[int]] = {}
    for book, machine, is_apart, leg, at in news.made:
        if leg.status is LegStatus.COMPLETED and leg.sats:
            part = (leg.number, leg.sats, leg.fiat_minor or 0, at)
            for whose, what in _counted(leg.lp, leg.type, is_apart=is_apart):
                _add(quarters, (book, whose, what, at // QUARTER_S * QUARTER_S, machine, leg.type.value), part, 1)
    for book, number, at in news.reversed:
        for lp, machine, kind, is_apart, sats, minor, made_at in (yield Ask(_LEG, (book, number), is_reading=True)):
            if not sats:
                continue
            start, part = made_at // QUARTER_S * QUARTER_S, (number, sats, minor or 0, made_at)
            for whose, what in _counted(lp, LegType(kind), is_apart=bool(is_apart)):
                if what is What.MADE:
                    _add(quarters, (book, whose, What.TAKEN, start, machine, kind), part, 1)
                    then = (book, whose, What.REVERSED, at // QUARTER_S * QUARTER_S, machine, kind)
                    _add(quarters, then, (number, sats, minor or 0, at), 1)
                else:
                    _add(quarters, (book, whose, what, start, machine, kind), part, -1)
    months: dict[LegKey, list[int]] = {}
    for key, values in quarters.items():
        _merge(months, (*key[:3], month_of(key[3]), *key[4:]), values, _LEG_ADDED)
    yield Ask(_LEG_QUARTER, [(*key, *values) for key, values in quarters.items()])
    yield Ask(_LEG_MONTH, [(*key, *values) for key, values in months.items()])


def _counted(lp: str | None, kind: LegType, *, is_apart: bool) -> list[tuple[str, What]]:
    """Return the sums that a leg belongs to."""
    sums = [(lp, What.MADE)] if lp is not None and kind in RECEIVED else []
    if is_apart:
        sums.append((NOBODY, What.APART))
    if kind is LegType.OPERATOR_SPLIT:
        sums.append((NOBODY, What.POT))
    return sums


_LEG_ADDED = 5  # the first five values are sums; then come the lowest and highest number, the first and last time


def _add(sums: dict[LegKey, list[int]], key: LegKey, part: tuple[int, int, int, int], sign: int) -> None:
    number, sats, minor, at = part
    halves = (sats >> HALF, sats & LOW, minor >> HALF, minor & LOW)
    values = [sign, *(sign * half for half in halves), number, number, at, at]
    _merge(sums, key, values, _LEG_ADDED)


def _merge(sums: dict[Any, list[int]], key: Any, values: list[int], added: int) -> None:
    """Add to a row: the first values are summed, then lowest and highest alternate."""
    known = sums.get(key)
    if known is None:
        sums[key] = list(values)
        return
    for place in range(added):
        known[place] += values[place]
    for place in range(added, len(values), 2):
        known[place] = min(known[place], values[place])
        known[place + 1] = max(known[place + 1], values[place + 1])


# --- settlements ------------------------------------------------------------------------------------------------------

_SETTLEMENT = "SELECT at, figures FROM settlement WHERE book = ? AND number = ?"
_FIGURES = "UPDATE settlement SET figures = ? WHERE book = ? AND number = ?"

SaleKey = tuple[int, int, str, str, str, str]  # book, start, machine, direction, status, reason


def _sum_sales(steps: Iterable[SumStep], *, births_too: bool) -> Asking:
    quarters: dict[SaleKey, list[int]] = {}
    known: dict[tuple[int, int], tuple[int, Takings]] = {}  # when it was born, and its figures
    changed: set[tuple[int, int]] = set()
    for book, number, machine, at, fact, born in steps:
        place = (book, number)
        if born is not None:
            known[place] = at, born
            _count(quarters, place, machine, known[place], 1)
            if births_too:
                changed.add(place)
            continue
        if place not in known:
            for born_at, figures in (yield Ask(_SETTLEMENT, place, is_reading=True)):
                known[place] = born_at, read_takings(figures)
        born_at, before = known[place]
        now = follow(before, fact)
        if now is not before:
            _count(quarters, place, machine, (born_at, before), -1)
            known[place] = born_at, now
            _count(quarters, place, machine, (born_at, now), 1)
            changed.add(place)
    months: dict[SaleKey, list[int]] = {}
    for key, values in quarters.items():
        _merge(months, (key[0], month_of(key[1]), *key[2:]), values, _SALE_ADDED)
    yield Ask(_FIGURES, [(known[place][1].body(), *place) for place in sorted(changed)])
    yield Ask(_SALE_QUARTER, [(*key, *values) for key, values in quarters.items()])
    yield Ask(_SALE_MONTH, [(*key, *values) for key, values in months.items()])


_SALE_ADDED = 2 + 2 * len(Amounts._fields)


def _count(
    sums: dict[SaleKey, list[int]], place: tuple[int, int], machine: str, sale: tuple[int, Takings], sign: int
) -> None:
    (book, number), (at, takings) = place, sale
    amounts, beyond = takings.counted, 0
    if is_beyond(amounts):
        amounts, beyond = Amounts(), 1
    halves = [half for amount in amounts for half in (amount >> HALF, amount & LOW)]
    values = [sign, sign * beyond, *(sign * half for half in halves), number, number]
    key = (book, at // QUARTER_S * QUARTER_S, machine, *takings.kind)
    _merge(sums, key, values, _SALE_ADDED)


def is_beyond(amounts: Amounts) -> bool:
    """Return whether some amount has more bits than a sum can take: such are in books of before they were bounded."""
    return any(amount.bit_length() > AMOUNT_BITS_MAX for amount in amounts)


# --- both -------------------------------------------------------------------------------------------------------------


def month_of(at: int) -> int:
    """Return the beginning of the UTC month of unix seconds `at`."""
    return _month_of_day(at // DAY_S)


@lru_cache(maxsize=1024)
def _month_of_day(day: int) -> int:
    date = datetime.fromtimestamp(day * DAY_S, UTC)
    return (day - date.day + 1) * DAY_S


def _upsert(table: Table) -> str:
    """Put a row in, or add it to the one that is there; the lowest and the highest stay."""
    wanted = sqlite.insert(table)
    keys = [column.name for column in table.primary_key.columns]
    changed: dict[str, Any] = {}
    for column in table.columns:
        new = wanted.excluded[column.name]
        if column.name.startswith("first_"):
            changed[column.name] = func.min(column, new)
        elif column.name.startswith("last_"):
            changed[column.name] = func.max(column, new)
        elif column.name not in keys:
            changed[column.name] = column + new
    statement = wanted.on_conflict_do_update(index_elements=keys, set_=changed)
    return str(statement.compile(dialect=sqlite.dialect(), column_keys=table.columns.keys()))


_LEG_QUARTER, _LEG_MONTH = _upsert(tables.leg_quarter), _upsert(tables.leg_month)
_SALE_QUARTER, _SALE_MONTH = _upsert(tables.sale_quarter), _upsert(tables.sale_month)
