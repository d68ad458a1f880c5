"""Previews that look back: what a set of splits would have paid, looked up beside the sales (A5)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nostrbot.reading.previews import MONTH_S
from tests.offices import ANA, OPERATOR, Office, office
from tests.reading.asking import asked, moment, small_sale


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path / "bot.sqlite") as opened:
        opened.now = moment("2026-10-10 12:00")
        yield opened


async def test_what_the_last_thirty_days_would_have_paid(at: Office) -> None:
    """Each pot is shared out by itself, as it would have been: to the last sat. What is older, or undone, is not in it."""
    await at.take(small_sale(1, at.now, 500))
    at.now += MONTH_S + 1
    sales = [20, 45, 333, 1_000]
    await at.take(*[small_sale(number, at.now, fiat) for number, fiat in enumerate(sales, start=2)])
    await at.say((OPERATOR, "settlement refund s5 reason=x"))
    pots = [fiat * 50 * 777 // 10_000 - fiat * 50 * 15 // 1_000 for fiat in sales[:3]]
    preview = await asked(at, OPERATOR, "preview splits set house=60%:self ana=40%:ana")
    house = [pot * 6 // 10 for pot in pots]
    assert sum(part["sats"] for part in preview["last_month"]) == sum(pots)
    assert [part["label"] for part in preview["last_month"]] == ["house", "ana"]
    assert 0 <= preview["last_month"][0]["sats"] - sum(house) <= len(pots)


async def test_a5_a_preview_that_looks_back_is_no_part_of_the_turn(at: Office) -> None:
    """It waits with the questions, so nobody's sale waits for it; one that is refused is answered at once."""
    turn = await at.say((OPERATOR, "preview splits set house=100%:self"))
    assert (len(turn.questions), turn.batch.owed) == (1, [])
    turn = await at.say((OPERATOR, "preview splits set house=90%:self"), (ANA, "preview splits set house=100%:self"))
    assert (turn.questions, len(turn.batch.owed)) == ([], 2)
    assert at.book.splits == {} or None in at.book.splits
