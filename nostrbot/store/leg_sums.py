"""Leg sums: what legs come to, added up by the database.

What lives here: sums over an LP's legs and over what was paid apart from settlements. What does not: the legs
themselves (queries.py) and what the sums are for (reading/). Sums are exact however large: the database adds the upper
and the lower 32 bits of every amount apart, so that neither outgrows 64 bits, and Python puts them together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from nostrbot.core.daybook import QUARTER_S
from nostrbot.core.states import LegStatus, LegType
from nostrbot.store.tables import book, entry, leg

# What an LP receives; of the other types none is its gain.
_RECEIVED = leg.c.type.in_([kind.value for kind in (LegType.DCA, LegType.SETTLEMENT, LegType.OPERATOR_SPLIT)])
_made, _reversed, _named = entry.alias("made"), entry.alias("reversed"), leg.alias("named")


@dataclass(frozen=True, slots=True)
class LegSum:
    """What legs of one machine and type come to. `fiat_minor` is 0 where no cash is involved."""

    machine: str
    type: LegType
    count: int
    sats: int
    fiat_minor: int


class QuarterSum(NamedTuple):
    """Legs in force that were made in the quarter of an hour from `quarter_at` on; the first and last of them."""

    quarter_at: int
    first_at: int
    last_at: int
    legs: LegSum


class WindowSum(NamedTuple):
    """Legs booked before the end of a window of time: made in it or before, reversed before it, in it, or not yet."""

    is_made_within: bool
    is_reversed_before: bool
    is_reversed_within: bool
    legs: LegSum


class ReversedLeg(NamedTuple):
    """A leg whose booking was reversed `at`."""

    number: int
    machine: str
    at: int
    sats: int
    fiat_minor: int | None


class LegSums:
    """Sums over legs, each on a connection of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def by_quarter(self, key: str, lp: str) -> list[QuarterSum]:
        """All that an LP received and may keep, oldest first."""
        quarter = (_made.c.at // QUARTER_S).label("quarter")
        rows = await self._all(
            select(quarter, func.min(_made.c.at), func.max(_made.c.at), *_SUM)
            .select_from(_LEGS)
            .where(_of_lp(key, lp), leg.c.status == LegStatus.COMPLETED.value, _RECEIVED)
            .group_by(quarter, leg.c.machine, leg.c.type)
            .order_by(quarter, leg.c.machine, leg.c.type)
        )
        return [QuarterSum(row[0] * QUARTER_S, row[1], row[2], _sum(row[3:])) for row in rows]

    async def in_window(self, key: str, lp: str, start: int, end: int) -> list[WindowSum]:
        """All that an LP received before `end`, and what of it was taken back, as seen from `start` to before `end`."""
        phases = (
            _is(_made.c.at >= start).label("made_within"),
            _is(_reversed.c.at < start).label("reversed_before"),
            _is(and_(_reversed.c.at >= start, _reversed.c.at < end)).label("reversed_within"),
        )
        rows = await self._all(
            select(*phases, *_SUM)
            .select_from(_LEGS.outerjoin(_reversed, _WAS_REVERSED))
            .where(_of_lp(key, lp), _made.c.at < end, _BOOKED, _RECEIVED)
            .group_by(*phases, leg.c.machine, leg.c.type)
            .order_by(leg.c.machine, leg.c.type)
        )
        return [WindowSum(bool(row[0]), bool(row[1]), bool(row[2]), _sum(row[3:])) for row in rows]

    async def reversed_within(self, key: str, lp: str, start: int, end: int, *, limit: int) -> list[ReversedLeg]:
        """The legs of an LP that were reversed from `start` to before `end`, newest first; skipped ones apart."""
        rows = await self._all(
            select(leg.c.number, leg.c.machine, _reversed.c.at, leg.c.sats, leg.c.fiat_minor)
            .select_from(_LEGS.join(_reversed, _WAS_REVERSED))
            .where(_of_lp(key, lp), _reversed.c.at >= start, _reversed.c.at < end)
            .where(_BOOKED, _RECEIVED)
            .order_by(_reversed.c.at.desc(), leg.c.number.desc())
            .limit(limit)
        )
        return [ReversedLeg(*row) for row in rows]

    async def apart(self, key: str, *, since: int) -> list[LegSum]:
        """What LPs were paid out of the operator's own sats since then: `dca` in fixed mode, `settlement` by hand."""
        rows = await self._all(
            select(*_SUM)
            .select_from(_LEGS)
            .where(_numbered(key, _named.c.settlement.is_(None)), leg.c.status == LegStatus.COMPLETED.value)
            .where(_made.c.at >= since)
            .group_by(leg.c.machine, leg.c.type)
        )
        return [_sum(row) for row in rows]

    async def pots(self, key: str, machines: Sequence[str], *, since: int) -> list[tuple[int, int]]:
        """The operator's pots of these machines' settlements since then: (sats, how many settlements had that much)."""
        pot = func.sum(leg.c.sats).label("pot")
        each = (
            select(pot)
            .select_from(_LEGS)
            .where(leg.c.book == _number_of(key), leg.c.machine.in_(machines), _made.c.at >= since)
            .where(leg.c.type == LegType.OPERATOR_SPLIT.value, leg.c.status == LegStatus.COMPLETED.value)
            .group_by(leg.c.settlement)
            .subquery()
        )
        rows = await self._all(select(each.c.pot, func.count()).group_by(each.c.pot))
        return [(row[0], row[1]) for row in rows]

    async def _all(self, statement: Any) -> list[tuple[Any, ...]]:
        async with self._engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(statement)]


def _number_of(key: str) -> ColumnElement[int]:
    """The number of a book."""
    return select(book.c.id).where(book.c.key == key).scalar_subquery()


def _of_lp(key: str, lp: str) -> ColumnElement[bool]:
    return _numbered(key, _named.c.lp == lp)


def _numbered(key: str, which: ColumnElement[bool]) -> ColumnElement[bool]:
    """These legs of a book. They are looked up by number so that the narrow index that knows them is used.

    Asked for outright, SQLite reads all legs of the book: it knows no more of the one index than of the other.
    """
    number = _number_of(key)
    return and_(leg.c.book == number, leg.c.number.in_(select(_named.c.number).where(_named.c.book == number, which)))


def _is(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """1 or 0; what is not known, is not."""
    return case((condition, 1), else_=0)


def _halves(amount: ColumnElement[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The sums of the upper and of the lower 32 bits."""
    return func.sum(amount.bitwise_rshift(32)), func.sum(amount.bitwise_and(0xFFFF_FFFF))


def _sum(row: Sequence[Any]) -> LegSum:
    machine, kind, count, sats_high, sats_low, minor_high, minor_low = row
    return LegSum(machine, LegType(kind), count, (sats_high << 32) + sats_low, (minor_high << 32) + minor_low)


_SUM = (leg.c.machine, leg.c.type, func.count(), *_halves(leg.c.sats), *_halves(func.coalesce(leg.c.fiat_minor, 0)))
_LEGS = leg.join(_made, and_(_made.c.book == leg.c.book, _made.c.seq == leg.c.seq))
_WAS_REVERSED = and_(_reversed.c.book == leg.c.book, _reversed.c.seq == leg.c.reversed_seq)
# A skipped leg carries nothing, and is voided with the others.
_BOOKED = and_(leg.c.sats > 0, (leg.c.status == LegStatus.COMPLETED.value) | leg.c.reversed_seq.is_not(None))
