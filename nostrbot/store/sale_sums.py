# ruff: noqa: S608 - the words that are put into statements are ours
"""Sale sums: what settlements come to, from the sums that are kept of them.

What lives here: sums over the settlements that were born since a time, as they stand now. What does not: how sums are
kept (sums.py) and what a report shows (reading/reports.py). The quarter of an hour in which the time lies is read
settlement by settlement, and so is one whose amounts are too large for a sum.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from nostrbot.core.atm.takings import Amounts, Takings, read_takings
from nostrbot.core.local_time import QUARTER_S
from nostrbot.store.leg_sums import ENDLESS, Span, pieces_of
from nostrbot.store.sums import HALF, is_beyond

Kind = tuple[str, str, str, str]  # machine, direction, status, reason


class SaleSum(NamedTuple):
    """The sum of settlements of one machine, direction, status and reason; `reason`: of rejected ones, else ""."""

    machine: str
    direction: str
    status: str
    reason: str
    sales: int
    amounts: Amounts


class SaleSums:
    """Sums over settlements, each on its own connection."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def since(self, key: str, since: int, machine: str | None) -> list[SaleSum]:
        """Return the sums of settlements born since then, of one machine or of all."""
        whole = -(-since // QUARTER_S) * QUARTER_S
        months, quarters = pieces_of([Span("", whole, ENDLESS)])
        sums: dict[Kind, list[int]] = {}
        for table, pieces in (("sale_month", months), ("sale_quarter", quarters)):
            asked = orjson.dumps([list(piece) for piece in pieces]).decode()
            for row in await self._rows(_SINCE.format(table=table), (asked, key, machine, machine)):
                of_machine, direction, status, reason, sales, *halves = row
                pairs = zip(halves[::2], halves[1::2], strict=True)
                _add(
                    sums, (of_machine, direction, status, reason), sales, [(high << HALF) + low for high, low in pairs]
                )
        for of_machine, born_at, takings in await self._one_by_one(key, whole - QUARTER_S, machine):
            if born_at >= since:
                _add(sums, (of_machine, *takings.kind), 1, takings.counted)
        for start in await self._rows(_BEYOND, (key, whole, machine, machine)):
            for of_machine, _, takings in await self._one_by_one(key, start[0], machine):
                if is_beyond(takings.counted):  # it was counted, without its amounts
                    _add(sums, (of_machine, *takings.kind), 0, takings.counted)
        return [SaleSum(*kind, sales, Amounts(*amounts)) for kind, (sales, *amounts) in sorted(sums.items()) if sales]

    async def _one_by_one(self, key: str, start: int, machine: str | None) -> list[tuple[str, int, Takings]]:
        """Return the settlements that were born in a quarter of an hour: machine, when, figures."""
        place = (key, start, machine, machine, start, start + QUARTER_S, machine, machine)
        rows = await self._rows(_OF_QUARTER, place)
        return [(row.machine, row.at, read_takings(row.figures)) for row in rows]

    async def _rows(self, sql: str, values: tuple[Any, ...]) -> Sequence[Any]:
        async with self._engine.connect() as connection:
            return (await connection.exec_driver_sql(sql, values)).all()


def _add(sums: dict[Kind, list[int]], kind: Kind, sales: int, amounts: Iterable[int]) -> None:
    known = sums.setdefault(kind, [0] * (1 + len(Amounts._fields)))
    for place, amount in enumerate((sales, *amounts)):
        known[place] += amount


_BOOK = "(SELECT id FROM book WHERE key = ?)"
_HALVES = ", ".join(f"sum(sign * sums.{amount}_{half})" for amount in Amounts._fields for half in ("high", "low"))
# Pieces come first, so that each is one walk along the table's key.
_SINCE = f"""
SELECT sums.machine, sums.direction, sums.status, sums.reason, sum(sign * sums.count), {_HALVES}
FROM (SELECT value, json_extract(piece.value, '$[1]') AS sign FROM json_each(?) AS piece) AS piece CROSS JOIN {{table}} AS sums
ON sums.book = {_BOOK} AND sums.start >= json_extract(piece.value, '$[2]') AND sums.start < json_extract(piece.value, '$[3]')
WHERE ? IS NULL OR sums.machine = ?
GROUP BY 1, 2, 3, 4
"""
_OF_QUARTER = f"""
SELECT settlement.machine, settlement.at, settlement.figures
FROM (SELECT book, min(first_number) AS low, max(last_number) AS high FROM sale_quarter
  WHERE book = {_BOOK} AND start = ? AND (? IS NULL OR machine = ?) GROUP BY book) AS of_quarter
JOIN settlement ON settlement.book = of_quarter.book AND settlement.number BETWEEN of_quarter.low AND of_quarter.high
WHERE settlement.at >= ? AND settlement.at < ? AND (? IS NULL OR settlement.machine = ?)
ORDER BY settlement.number
"""
_BEYOND = f"""
SELECT DISTINCT start FROM sale_quarter
WHERE book = {_BOOK} AND start >= ? AND beyond > 0 AND (? IS NULL OR machine = ?)
"""
