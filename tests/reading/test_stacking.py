"""Stacking: an LP's figures over a range of days, over every operator it is with."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from nostrbot.messages.replies import answer
from nostrbot.money import format_ratio
from nostrbot.reading.stacking import MILESTONES, milestones
from nostrbot.views.fitting import REPLY_BYTES_MAX
from tests.offices import ANA, BEN, OPERATOR, PLATFORM, Office, office
from tests.reading.asking import asked, moment, small_sale
from tests.signers import Signer

EVA, EVIL, FAR = Signer("eva"), Signer("evil"), Signer("far")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path / "bot.sqlite") as opened:
        yield opened


async def test_what_an_lp_is_told(at: Office) -> None:
    """Every figure of a range with two purchases, one before it, a correction, commission and a pending deposit."""
    await at.say((OPERATOR, "splits set house=60%:self ana=40%:ana"), (OPERATOR, "deposit add ana 50 machine=m1"))
    at.now = moment("2026-10-01 12:00")
    await at.take(small_sale(1, at.now, 1_000))  # 900.00 of ana's
    at.now = moment("2026-11-03 23:59")
    await at.take(small_sale(2, at.now, 1_000))
    at.now = moment("2026-11-04 00:00")
    await at.take(small_sale(3, at.now, 1_000), small_sale(4, at.now, 200))
    at.now += 60
    await at.say((OPERATOR, 'settlement refund s4 reason="jammed"'))
    stats = (await asked(at, ANA, "stats range=7d"))["stats"]
    commission = (3_885 - 750) * 40 // 100
    assert stats == {
        "range": "7d",
        "mode": "flow",
        "status": "active",
        "since": "2026-10-29",
        "sats": 3 * (45_000 + commission),
        "sats_in_range": 2 * (45_000 + commission),
        "commission_sats": 2 * commission,
        "purchases": 2,
        "purchases_ever": 3,
        "per_week": "2.0",
        "first_at": moment("2026-10-01 12:00"),
        "last_at": moment("2026-11-04 00:00"),
        "milestones": {
            "reached": [
                {"sats": 10_000, "day": "2026-10-01"},
                {"sats": 50_000, "day": "2026-11-03"},
                {"sats": 100_000, "day": "2026-11-04"},
            ],
            "next": 500_000,
            "progress_pct": 27,
        },
        "currencies": [
            {
                "currency": "GTQ",
                "invested": "9000.00",
                "pending": "50.00",
                "remaining": "6300.00",
                "purchases": 2,
                "sats": 90_000,
                "spent": "1800.00",
                "rate": "2000000.00",
                "cost_basis": "50.0000",
                "worth": "2700.00",
            }
        ],
        "accumulation": [
            {"day": "2026-11-04", "currency": "GTQ", "sats": 45_000 + commission, "fiat": "900.00"},
            {"day": "2026-11-03", "currency": "GTQ", "sats": 45_000 + commission, "fiat": "900.00"},
        ],
    }


async def test_a_long_range_is_shown_by_months(at: Office) -> None:
    """Beyond 90 days; within them, by days."""
    at.now = moment("2026-10-31 23:30")
    await at.take(small_sale(1, at.now))
    at.now = moment("2026-11-02 12:00")
    await at.take(small_sale(2, at.now), small_sale(3, at.now))
    for said in ("all", "1y"):
        stats = (await asked(at, BEN, f"stats range={said}"))["stats"]
        assert stats["accumulation"] == [
            {"month": "2026-11", "currency": "GTQ", "sats": 200, "fiat": "4.00"},
            {"month": "2026-10", "currency": "GTQ", "sats": 100, "fiat": "2.00"},
        ]
    stats = (await asked(at, BEN, "stats range=90d"))["stats"]
    assert [row["day"] for row in stats["accumulation"]] == ["2026-11-02", "2026-10-31"]
    assert (stats["purchases"], stats["per_week"]) == (3, "3.0")
    assert (await asked(at, BEN, "stats"))["stats"]["range"] == "30d"


async def test_several_operators_and_currencies(at: Office) -> None:
    """One total; a rate for each currency, from its own sats and cash alone."""
    await at.say(
        (PLATFORM, f"operator add {EVIL.npub} name=quetzal tz=UTC"),
        (EVIL, f"machine add {FAR.npub} name=far fiat=JPY cash_in=5% cash_out=6.27%"),
        (EVIL, f"lp add {ANA.npub} machine=far name=anna"),
        (ANA, "join"),
    )
    await at.say((EVIL, "deposit add anna 3000 machine=far"), (EVIL, "deposit confirm d1"))
    await at.take(small_sale(1, at.now, 1_000))
    amounts = {"fiat_amount": "3", "fiat_code": "JPY", "exchange_rate": "7", "fee_sats": 1, "wire_sats": 22}
    yen = {"bills": [{"denomination": 3, "count": 1}], "cassettes": {}, "principal_sats": 21}
    await at.take(small_sale(2, at.now, 3, FAR, **amounts, **yen))
    stats = (await asked(at, ANA, "stats"))["stats"]
    assert stats["sats"] == 45_021
    rows = [(row["currency"], row["sats"], row["spent"], row["rate"]) for row in stats["currencies"]]
    assert rows == [("GTQ", 45_000, "900.00", "2000000.00"), ("JPY", 21, "3", "14285714")]


async def test_an_lp_that_has_nothing_is_told_what_comes_next(at: Office) -> None:
    """No figure is made up where there is none."""
    await at.say((OPERATOR, f"lp add {EVA.npub} machine=m1 name=eva"))
    assert answer("stats", await asked(at, EVA, "stats"), json=False) == (
        "0 sats in all, 0 purchases; not joined yet: say `join`.\n"
        "Nothing bought yet: sats come with the next sale once your cash is in a machine.\n"
        "Next milestone: 10000 sats, 0% there."
    )
    await at.say((EVA, "join mode=fixed"))
    assert "Nothing bought yet: sats come at your operator's times once" in answer(
        "stats", await asked(at, EVA, "stats"), json=False
    )


async def test_the_words_of_the_figures(at: Office) -> None:
    """Short enough for a phone."""
    await at.take(small_sale(1, at.now, 2_000))
    assert answer("stats", await asked(at, ANA, "stats"), json=False) == (
        "90000 sats in all, 1 purchase; mode flow, active.\n"
        "The last 30 days: 90000 sats, 1 purchase, 1.0 a week.\n"
        "GTQ: 90000 sats for 1800.00, on average 2000000.00 a bitcoin (50.0000 sats per GTQ); 9000.00 put in, "
        "7200.00 left; all you bought is worth 1800.00 by the last sale.\n"
        "Milestone reached: 50000 sats on 2026-09-21.\n"
        "Next milestone: 100000 sats, 90% there.\n"
        "2026-09-21: 90000 sats for 1800.00 GTQ"
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [((ANA, "pause"), "paused"), ((OPERATOR, "lp suspend ana"), "suspended"), ((ANA, "mode fixed"), "active")],
)
async def test_an_lp_sees_whether_it_takes_part(at: Office, words: tuple[Signer, str], status: str) -> None:
    """Its own choice, and its operator's."""
    await at.say(words)
    assert (await asked(at, ANA, "stats"))["stats"]["status"] == status


async def test_sums_beyond_64_bits_are_exact(at: Office, tmp_path: Path) -> None:
    """Sums are kept in halves: no sum of what hostile machines report outgrows the database, or becomes a float."""
    await at.take(*[small_sale(number, at.now) for number in range(1, 4)])
    with closing(sqlite3.connect(tmp_path / "bot.sqlite")) as connection, connection:
        for table in ("leg_quarter", "leg_month"):
            halves = [3 * half for amount in (2**62 + 1, 2**62 + 3) for half in (amount >> 32, amount & 0xFFFF_FFFF)]
            sql = "UPDATE {} SET sats_high = ?, sats_low = ?, fiat_high = ?, fiat_low = ? WHERE lp = 'ana'"
            connection.execute(sql.format(table), halves)
    stats = (await asked(at, ANA, "stats"))["stats"]
    assert stats["sats"] == 3 * (2**62 + 1)
    assert stats["currencies"][0]["spent"] == "138350580552821637.21"  # 3 x (2**62 + 3) hundredths


def test_milestones_are_steps_of_two_and_five() -> None:
    """Acceptance B14: progress is from zero, and whole."""
    assert [after // before for before, after in pairwise(MILESTONES)] == [5, 2, 5, 2, 5, 2, 5, 2]
    assert milestones({}) == {"reached": [], "next": 10_000, "progress_pct": 0}
    assert milestones({"2026-10-01": 9_999})["progress_pct"] == 99
    assert milestones({"2026-10-02": 1, "2026-10-01": 9_999}) == {
        "reached": [{"sats": 10_000, "day": "2026-10-02"}],
        "next": 50_000,
        "progress_pct": 20,
    }
    assert milestones({"2026-10-01": 100_000_000})["next"] is None


def test_a_ratio_is_printed_to_the_nearest() -> None:
    """Halves go up, without a float: exact however long the numbers."""
    assert format_ratio(1, 3, 2) == "0.33"
    assert format_ratio(1, 8, 2) == "0.13"
    assert format_ratio(2 * 10**40 + 1, 2, 0) == f"{10**40 + 1}"


async def test_the_figures_of_years_fit_in_an_answer(at: Office) -> None:
    """90 days, each with purchases."""
    for day in range(95):
        at.now += 86_400
        await at.take(small_sale(day + 1, at.now, 20))
    data = await asked(at, ANA, "stats range=90d")
    assert len(data["stats"]["accumulation"]) == 90
    for json in (True, False):
        assert len(answer("stats", data, json=json).encode()) <= REPLY_BYTES_MAX
