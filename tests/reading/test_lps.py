"""Histories: filters, with pages that go on over several operators."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.offices import ANA, OPERATOR, PLATFORM, Office, office
from tests.reading.asking import asked, moment, small_sale
from tests.signers import Signer

EVIL, FAR, M2 = Signer("evil"), Signer("far"), Signer("m2")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    """Ana with two operators, at three machines: ten days of sales, commission, and `settle`."""
    async with office(tmp_path / "bot.sqlite") as opened:
        await opened.say(
            (PLATFORM, f"operator add {EVIL.npub} name=quetzal"),
            (EVIL, f"machine add {FAR.npub} name=far fiat=GTQ cash_in=5% cash_out=6.27%"),
            (EVIL, f"lp add {ANA.npub} machine=far name=anna"),
            (ANA, "join  "),
            (OPERATOR, f"machine add {M2.npub} name=m2 fiat=GTQ cash_in=5% cash_out=6.27%"),
            (OPERATOR, f"lp add {ANA.npub} machine=m2 name=ana"),
            (OPERATOR, "splits set house=50%:self ana=50%:ana"),
        )
        await opened.say((EVIL, "deposit add anna 9000 machine=far"), (EVIL, "deposit confirm d1"))
        await opened.say((OPERATOR, "deposit add ana 900 machine=m2"), (OPERATOR, "deposit confirm d3"))
        for day in range(1, 11):
            opened.now = moment(f"2026-10-{day:02} 06:00")  # noon UTC
            await opened.take(small_sale(day, opened.now), small_sale(day + 100, opened.now, machine=M2))
            await opened.take(small_sale(day + 200, opened.now, machine=FAR))
            if day % 5 == 0:
                await opened.say((OPERATOR, "settle ana 0.02 machine=m1 rate=50"))
        yield opened


async def every_row(at: Office, words: str, limit: int) -> list[Any]:
    """All rows, page after page."""
    page = await asked(at, ANA, f"history {words} limit={limit}")
    rows = list(page["history"])
    while page.get("more"):
        page = await asked(at, ANA, f"history {words} limit={limit} before={page['before']}")
        rows += page["history"]
    return rows


@pytest.mark.parametrize(
    ("words", "count", "chosen"),
    [
        ("", 52, lambda row: True),
        ("type=dca", 30, lambda row: row["type"] == "dca"),
        ("type=operator_split", 20, lambda row: row["type"] == "operator_split"),
        ("type=settlement", 2, lambda row: row["type"] == "settlement"),
        ("machine=m2", 20, lambda row: row["machine"] == "m2"),
        ("machine=far", 10, lambda row: row["operator"] == "quetzal"),
        ("since=2026-10-09", 11, lambda row: row["at"] >= moment("2026-10-08 18:00")),
        ("until=2026-10-02", 10, lambda row: row["at"] < moment("2026-10-02 18:00")),
        ("since=2026-10-03 until=2026-10-05 type=dca machine=m1", 3, lambda row: (row["type"], row["machine"]) == ("dca", "m1")
         and moment("2026-10-02 18:00") <= row["at"] < moment("2026-10-05 18:00")),
        ("type=autoforward", 0, lambda row: False),
        ("machine=m9", 0, lambda row: False),
    ],
)  # fmt: skip
async def test_what_is_asked_for_is_what_comes(at: Office, words: str, count: int, chosen: Any) -> None:
    """The rows of the whole history that fit, no other; in pages of any size. A date is a whole day, UTC."""
    whole = await every_row(at, "", 1000)
    for limit in (1000, 4):
        rows = await every_row(at, words, limit)
        assert rows == [row for row in whole if chosen(row)]
        assert len(rows) == count


async def test_until_a_second(at: Office) -> None:
    """Unix times count with their second."""
    noon = moment("2026-10-01 06:00")
    assert len((await asked(at, ANA, f"history until={noon}"))["history"]) == 5
    assert (await asked(at, ANA, f"history until={noon - 1}"))["history"] == []
