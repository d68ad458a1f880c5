# ruff: noqa: S608 - the words that are put into statements are ours
"""Leg sums: what legs come to, from the sums that are kept of them.

What lives here: sums over an LP's legs and over what was paid apart from settlements, for any span of time that begins
and ends on a quarter of an hour. What does not: how sums are kept (sums.py), the legs themselves (queries.py) and what
the sums are for (reading/). A span is read as months and the quarters at its ends, so an answer costs what it shows and
not what there ever was. Halves are put together here, so sums are exact however large.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from nostrbot.core.atm.states import LegStatus, LegType
from nostrbot.core.local_time import QUARTER_S
from nostrbot.store.sums import HALF, NOBODY, RECEIVED, What, month_of
from nostrbot.store.tables import book, entry, leg

ENDLESS = 2**40  # later than any entry
_RECEIVED = leg.c.type.in_([kind.value for kind in RECEIVED])
_made, _reversed, _named = entry.alias("made"), entry.alias("reversed"), leg.alias("named")


@dataclass(frozen=True, slots=True)
class LegSum:
    """The sum of legs of one machine and type. `fiat_minor` is 0 if no cash is involved."""

    machine: str
    type: LegType
    count: int
    sats: int
    fiat_minor: int


class SpanSum(NamedTuple):
    """The sum of legs in the span that was asked for by this name."""

    span: str
    what: What
    legs: LegSum


class Span(NamedTuple):
    """A span of time by a name, from `start` to before `end`, unix seconds on a quarter of an hour."""

    name: str
    start: int
    end: int


class Bought(NamedTuple):
    """The times when an LP bought first and last at a machine, of what it may keep."""

    machine: str
    first_at: int
    last_at: int


class ReversedLeg(NamedTuple):
    """A leg whose booking was reversed `at`."""

    number: int
    machine: str
    at: int
    sats: int
    fiat_minor: int | None


class Piece(NamedTuple):
    """Rows of a sum table that are part of a span: they are added, or taken away from what a whole month has too
    much.
    """

    span: str
    sign: int
    start: int
    end: int


def pieces_of(spans: Iterable[Span]) -> tuple[list[Piece], list[Piece]]:
    """Return the months and the quarters that spans are made of."""
    months, quarters = [], []
    for name, start, end in spans:
        first, last = _nearest_month(start), _nearest_month(end)
        if first < last:
            months.append(Piece(name, 1, first, last))
            quarters += [_between(name, start, first), _between(name, last, end)]
        else:
            quarters.append(Piece(name, 1, start, end))
    return months, [piece for piece in quarters if piece.start < piece.end]


def _nearest_month(at: int) -> int:
    """Return the nearest beginning of a month: a local month begins some hours before or after a UTC month."""
    if at >= ENDLESS:
        return ENDLESS
    before = month_of(at)
    after = month_of(before + 32 * 24 * 60 * 60)
    return before if at - before <= after - at else after


def _between(name: str, start: int, end: int) -> Piece:
    """Yield what lies between: to be added if `end` is later, to be subtracted if it is earlier."""
    return Piece(name, 1, start, end) if start <= end else Piece(name, -1, end, start)


class LegSums:
    """Sums over legs, each on its own connection."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def in_spans(self, key: str, lp: str, spans: Sequence[Span], *whats: What) -> list[SpanSum]:
        """Return the sums of an LP's legs in each span, by machine and type, in order of these."""
        months, quarters = pieces_of(spans)
        sums: dict[tuple[str, str, str, str], list[int]] = {}
        for table, pieces in (("leg_month", months), ("leg_quarter", quarters)):
            asked = orjson.dumps([[what, *piece] for what in whats for piece in pieces]).decode()
            for *place, count, sats_high, sats_low, fiat_high, fiat_low in await self._rows(
                _IN_SPANS.format(table=table), (asked, key, lp)
            ):
                found = sums.setdefault((place[0], place[1], place[2], place[3]), [0, 0, 0])
                found[0] += count
                found[1] += (sats_high << HALF) + sats_low
                found[2] += (fiat_high << HALF) + fiat_low
        return [
            SpanSum(name, What(what), LegSum(machine, LegType(kind), *values))
            for (name, what, machine, kind), values in sorted(sums.items())
            if any(values)
        ]

    async def reach(self, key: str, lp: str) -> tuple[int, int] | None:
        """Return when an LP's first and last leg were booked, whatever became of them; None without any."""
        [(first, last)] = await self._rows(_REACH, (key, lp))
        return None if first is None else (first, last)

    async def bought(self, key: str, lp: str) -> list[Bought]:
        """Return when an LP bought first and last at each machine, of what it may keep."""
        purchases: dict[str, dict[str, list[Any]]] = {}
        for row in await self._rows(_STANDING.format(table="leg_month", within=""), (key, lp)):
            purchases.setdefault(row[0], {}).setdefault(row[1], []).append(row)
        found: dict[str, Bought] = {}
        for machine, by_type in purchases.items():
            for rows in by_type.values():
                first = await self._edge(key, lp, rows, newest=False)
                last = await self._edge(key, lp, rows, newest=True)
                if first is not None and last is not None:
                    known = found.get(machine, Bought(machine, first, last))
                    found[machine] = Bought(machine, min(known.first_at, first), max(known.last_at, last))
        return [found[machine] for machine in sorted(found)]

    async def _edge(self, key: str, lp: str, months: Sequence[Any], *, newest: bool) -> int | None:
        """Return the first or last time in months of one machine and type, down to the leg if some were taken back."""
        standing = [row for row in months if row.count > row.taken]
        if not standing:
            return None
        month = standing[-1] if newest else standing[0]
        if not month.taken:
            return int(month.last_at if newest else month.first_at)
        within = "AND machine = ? AND type = ? AND start >= ? AND start < ?"
        ends = (month.start, month_of(month.start + 32 * 24 * 60 * 60))
        quarters = await self._rows(
            _STANDING.format(table="leg_quarter", within=within), (key, lp, month.machine, month.type, *ends)
        )
        standing = [row for row in quarters if row.count > row.taken]
        quarter = standing[-1] if newest else standing[0]
        if not quarter.taken:
            return int(quarter.last_at if newest else quarter.first_at)
        numbers = (quarter.first_number, quarter.last_number)
        place = (key, lp, *numbers, month.machine, month.type, quarter.start, quarter.start + QUARTER_S)
        [(first, last)] = await self._rows(_TIMES, place)
        return int(last if newest else first)

    async def reversed_within(self, key: str, lp: str, start: int, end: int, *, limit: int) -> list[ReversedLeg]:
        """Return the legs of an LP that were reversed from `start` to before `end`, newest first; skipped ones
        apart.
        """
        numbers = await self._rows(_REVERSED_NUMBERS, (key, lp, start // QUARTER_S * QUARTER_S, end))
        low, high = numbers[0]
        if low is None:
            return []
        rows = await self._all(
            select(leg.c.number, leg.c.machine, _reversed.c.at, leg.c.sats, leg.c.fiat_minor)
            .select_from(leg.join(_reversed, _WAS_REVERSED))
            .where(_of_lp(key, lp, low, high), _reversed.c.at >= start, _reversed.c.at < end)
            .where(leg.c.sats > 0, _RECEIVED)
            .order_by(_reversed.c.at.desc(), leg.c.number.desc())
            .limit(limit)
        )
        return [ReversedLeg(*row) for row in rows]

    async def apart(self, key: str, *, since: int) -> list[LegSum]:
        """Return what LPs were paid out of the operator's own sats since then: `dca` in fixed mode, `settlement` by
        hand.
        """
        whole = -(-since // QUARTER_S) * QUARTER_S
        sums: dict[tuple[str, LegType], list[int]] = {}
        for _, _, legs in await self.in_spans(key, NOBODY, [Span("", whole, ENDLESS)], What.APART):
            sums[legs.machine, legs.type] = [legs.count, legs.sats, legs.fiat_minor]
        for machine, kind, sats, minor in await self._rows(_APART_IN_QUARTER, (key, whole - QUARTER_S, since, whole)):
            found = sums.setdefault((machine, LegType(kind)), [0, 0, 0])
            for place, amount in enumerate((1, sats, minor)):
                found[place] += amount
        return [LegSum(machine, kind, *values) for (machine, kind), values in sorted(sums.items())]

    async def pots(self, key: str, machines: Sequence[str], *, since: int) -> list[tuple[int, int]]:
        """Return the operator's pots of these machines' settlements since then: (sats, number of settlements with that
        pot).
        """
        [(lowest,)] = await self._rows(_FIRST_POT, (key, since // QUARTER_S * QUARTER_S))
        if lowest is None:
            return []
        pot = func.sum(leg.c.sats).label("pot")
        each = (
            select(pot)
            .select_from(_LEGS)
            .where(leg.c.book == _number_of(key), leg.c.number >= lowest)
            .where(leg.c.machine.in_(machines), _made.c.at >= since)
            .where(leg.c.type == LegType.OPERATOR_SPLIT.value, leg.c.status == LegStatus.COMPLETED.value)
            .group_by(leg.c.settlement)
            .subquery()
        )
        rows = await self._all(select(each.c.pot, func.count()).group_by(each.c.pot))
        return [(row[0], row[1]) for row in rows]

    async def _all(self, statement: Any) -> list[tuple[Any, ...]]:
        async with self._engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(statement)]

    async def _rows(self, sql: str, values: tuple[Any, ...]) -> Sequence[Any]:
        async with self._engine.connect() as connection:
            return (await connection.exec_driver_sql(sql, values)).all()


def _number_of(key: str) -> ColumnElement[int]:
    """Return the number of a book."""
    return select(book.c.id).where(book.c.key == key).scalar_subquery()


def _of_lp(key: str, lp: str, low: int, high: int) -> ColumnElement[bool]:
    """Return an LP's legs of these numbers. The look-up by number uses the narrow index that has them.

    Without that, SQLite reads all legs of the book: it cannot tell which index is better.
    """
    number = _number_of(key)
    named = select(_named.c.number).where(
        _named.c.book == number, _named.c.lp == lp, _named.c.number.between(low, high)
    )
    return and_(leg.c.book == number, leg.c.number.in_(named))


_LEGS = leg.join(_made, and_(_made.c.book == leg.c.book, _made.c.seq == leg.c.seq))
_WAS_REVERSED = and_(_reversed.c.book == leg.c.book, _reversed.c.seq == leg.c.reversed_seq)
_BOOK = "(SELECT id FROM book WHERE key = ?)"
_PIECE = "json_extract(piece.value, '$[{}]')"
# Pieces come first, so that each is one walk along the table's key.
_IN_SPANS = f"""
SELECT {_PIECE.format(1)}, sums.what, sums.machine, sums.type, sum(sign * sums.count), sum(sign * sums.sats_high),
  sum(sign * sums.sats_low), sum(sign * sums.fiat_high), sum(sign * sums.fiat_low)
FROM (SELECT value, {_PIECE.format(2)} AS sign FROM json_each(?) AS piece) AS piece CROSS JOIN {{table}} AS sums
ON sums.book = {_BOOK} AND sums.lp = ? AND sums.what = {_PIECE.format(0)}
  AND sums.start >= {_PIECE.format(3)} AND sums.start < {_PIECE.format(4)}
GROUP BY 1, 2, 3, 4
"""
_REACH = f"SELECT min(first_at), max(last_at) FROM leg_month WHERE book = {_BOOK} AND lp = ? AND what = 'made'"
# Purchases by machine and type, and how many of them were taken back.
_STANDING = f"""
SELECT machine, type, start, sum(count * (what = 'made')) AS count, sum(count * (what = 'taken')) AS taken,
  min(first_number) AS first_number, max(last_number) AS last_number, min(first_at) AS first_at, max(last_at) AS last_at
FROM {{table}} WHERE book = {_BOOK} AND lp = ? AND what IN ('made', 'taken') AND type IN ('dca', 'settlement') {{within}}
GROUP BY machine, type, start ORDER BY start
"""
_TIMES = f"""
SELECT min(entry.at), max(entry.at) FROM leg JOIN entry ON entry.book = leg.book AND entry.seq = leg.seq
WHERE leg.book = {_BOOK} AND leg.lp = ? AND leg.number BETWEEN ? AND ? AND leg.machine = ? AND leg.type = ?
  AND leg.status = 'completed' AND leg.sats > 0 AND entry.at >= ? AND entry.at < ?
"""
_REVERSED_NUMBERS = f"""
SELECT min(first_number), max(last_number) FROM leg_quarter
WHERE book = {_BOOK} AND lp = ? AND what = 'reversed' AND start >= ? AND start < ?
"""
_FIRST_POT = (
    f"SELECT min(first_number) FROM leg_quarter WHERE book = {_BOOK} AND lp = '' AND what = 'pot' AND start >= ?"
)
_APART_IN_QUARTER = f"""
SELECT leg.machine, leg.type, leg.sats, coalesce(leg.fiat_minor, 0)
FROM leg_quarter AS sums
JOIN leg ON leg.book = sums.book AND leg.settlement IS NULL AND leg.number BETWEEN sums.first_number AND sums.last_number
  AND leg.machine = sums.machine AND leg.type = sums.type
JOIN entry ON entry.book = leg.book AND entry.seq = leg.seq
WHERE sums.book = {_BOOK} AND sums.lp = '' AND sums.what = 'apart' AND sums.start = ?
  AND leg.status = 'completed' AND entry.at >= ? AND entry.at < ?
"""
