"""Statements: every month's sums hold, follow each other, and are what the ledger said when the month ended."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.desks import check_books
from nostrbot.messages.replies import answer
from nostrbot.money import parse_minor
from nostrbot.views.fitting import REPLY_BYTES_MAX
from tests.effort import examples
from tests.offices import ANA, BEN, OPERATOR, PLATFORM, Office, office, report
from tests.reading.asking import HERE, asked, moment, small_sale
from tests.signers import Signer

DAY_S = 86_400
EVIL = Signer("evil")
MONTHS = [f"2026-{number:02}" for number in range(9, 13)]


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path / "bot.sqlite") as opened:
        yield opened


async def statement(office: Office, who: Signer, words: str = "") -> Any:
    return (await asked(office, who, f"statement {words}"))["statement"]


async def test_a_month_from_opening_to_closing(at: Office) -> None:
    """Deposits, payouts and what is left, in fiat and in sats; the closing is the opening of the next."""
    at.now = moment("2026-10-05 12:00")
    await at.say((OPERATOR, "deposit add ana 500 machine=m1"), (OPERATOR, "deposit confirm d3"))
    await at.take(small_sale(1, at.now, 2_000))
    at.now = moment("2026-10-06 12:00")
    await at.say((OPERATOR, 'deposit reverse d3 amount=100 reason="torn"'), (OPERATOR, "settle ana 10 machine=m1"))
    at.now = moment("2026-11-02 12:00")
    october = await statement(at, ANA)
    assert october == {
        "month": "2026-10",
        "so_far": False,
        "cash": [
            {
                "operator": "antigua",
                "machine": "m1",
                "currency": "GTQ",
                "opening": "9000.00",
                "deposits": "500.00",
                "reversals": "100.00",
                "payouts": "1819.52",
                "corrections": "0.00",
                "closing": "7580.48",
                "received": [
                    {"type": "dca", "count": 1, "sats": 90_476, "fiat": "1809.52"},
                    {"type": "settlement", "count": 1, "sats": 500, "fiat": "10.00"},
                ],
            }
        ],
        "sats": [{"operator": "antigua", "opening": 0, "received": 90_976, "corrections": 0, "closing": 90_976}],
        "lines": [
            {
                "at": moment("2026-10-05 12:00"),
                "day": "2026-10-05",
                "what": "deposit",
                "id": "d3",
                "operator": "antigua",
                "machine": "m1",
                "fiat": "500.00",
                "currency": "GTQ",
            },
            {
                "at": moment("2026-10-06 12:00"),
                "day": "2026-10-06",
                "what": "reversal",
                "id": "d3",
                "operator": "antigua",
                "machine": "m1",
                "fiat": "100.00",
                "currency": "GTQ",
            },
        ],
    }
    november = await statement(at, ANA, "month=2026-11")
    assert november["so_far"] is True
    assert november["cash"][0]["opening"] == november["cash"][0]["closing"] == "7580.48"
    assert november["sats"][0]["opening"] == november["sats"][0]["closing"] == 90_976


async def test_a_statement_that_was_given_stays_true(at: Office) -> None:
    """A payout of October voided in November: October says what it said, November has the correction."""
    at.now = moment("2026-10-31 23:59")
    await at.take(small_sale(1, at.now, 2_000))
    at.now = moment("2026-11-01 00:00")
    before = await statement(at, BEN, "month=2026-10")
    await at.say((OPERATOR, 'settlement refund s1 reason="jammed"'))
    assert await statement(at, BEN, "month=2026-10") == before
    assert (before["cash"][0]["payouts"], before["cash"][0]["closing"]) == ("200.00", "800.00")
    november = await statement(at, BEN, "month=2026-11")
    row = november["cash"][0]
    assert (row["opening"], row["corrections"], row["closing"]) == ("800.00", "200.00", "1000.00")
    assert november["sats"] == [
        {"operator": "antigua", "opening": 10_000, "received": 0, "corrections": 10_000, "closing": 0}
    ]
    assert [(line["what"], line["id"], line["sats"], line["fiat"]) for line in november["lines"]] == [
        ("correction", "l4", 10_000, "200.00")
    ]


async def test_a_month_ends_where_the_operator_is(at: Office) -> None:
    """Half past eleven at night in Guatemala is October there, whatever day it is in London."""
    at.now = moment("2026-10-31 23:30")
    assert datetime.fromtimestamp(at.now, UTC).month == 11
    await at.take(small_sale(1, at.now))
    assert (await statement(at, ANA, "month=2026-10"))["cash"][0]["payouts"] == "18.00"
    assert (await statement(at, ANA, "month=2026-10"))["so_far"] is True
    refused = await asked(at, ANA, "statement month=2026-11")
    assert refused == CommandRefused(Code.BAD_ARGUMENT, "2026-11 has not begun yet: say a month up to 2026-10")


async def test_before_anything_there_is_nothing_to_say(at: Office) -> None:
    """A month before the deposits; the words say so, too."""
    data = await asked(at, ANA, "statement")
    assert (data["statement"]["month"], data["statement"]["cash"], data["statement"]["lines"]) == ("2026-08", [], [])
    assert answer("statement", data, json=False) == (
        "Statement of 2026-08\nNo cash in any machine.\nSats with antigua: opening 0 + received 0 = closing 0\n"
        "Nothing happened in this month: `statement month=YYYY-MM` shows another month."
    )


async def test_the_words_of_a_month(at: Office) -> None:
    """What was nothing is left out, and every sum can be added up by hand."""
    await at.take(small_sale(1, at.now, 2_000))
    at.now += 1
    await at.say((OPERATOR, 'settlement partial s1 fiat=1000 note="jammed"'))
    assert answer("statement", await asked(at, BEN, "statement month=2026-09"), json=False) == (
        "Statement of 2026-09 so far\n"
        "antigua m1, GTQ:\n"
        "  opening 0.00\n"
        "  + deposits 1000.00\n"
        "  - payouts 300.00\n"
        "  + corrections 200.00\n"
        "  = closing 900.00\n"
        "  from sales and fixed times: 2 x, 15000 sats for 300.00\n"
        "Sats with antigua: opening 0 + received 15000 - corrections 10000 = closing 5000\n"
        "2026-09-21 deposit d2, antigua m1: 1000.00 GTQ\n"
        "2026-09-21 correction l4 void, antigua m1: 200.00 GTQ, 10000 sats"
    )


async def test_one_operator_or_machine_can_be_asked_for(at: Office) -> None:
    """Where there is cash comes first; an operator that enrolled the LP at very many machines hides nothing."""
    machines = [Signer(f"e{number}") for number in range(150)]
    await at.say((PLATFORM, f"operator add {EVIL.npub} name=aaa"))
    for words in (
        [f"machine add {one.npub} name={one.name} fiat=USD cash_in=1% cash_out=1%" for one in machines],
        [f"lp add {ANA.npub} machine={one.name} name=a" for one in machines],
        [f"deposit add a 1 machine={one.name}" for one in machines],
        [f"deposit confirm d{number}" for number in range(1, len(machines) + 1)],
    ):
        await at.say(*[(EVIL, said) for said in words], (ANA, f"join{' ' * len(words[0])}"))
        at.now += 60  # nobody says so much at once
    whole = await asked(at, ANA, "statement month=2026-09")
    assert whole["statement"]["more"] is True
    for json in (True, False):
        assert len(answer("statement", whole, json=json).encode()) <= REPLY_BYTES_MAX
    mine = await statement(at, ANA, "month=2026-09 operator=antigua")
    assert [row["machine"] for row in mine["cash"]] == ["m1"]
    far = await statement(at, ANA, "month=2026-09 machine=e149")
    assert [(row["machine"], row["closing"]) for row in far["cash"]] == [("e149", "1.00")]
    assert [line["id"] for line in far["lines"]] == ["d150"]
    assert await asked(at, ANA, "statement machine=m9") == CommandRefused(
        Code.NOT_FOUND, "you are not at that machine: `balance` shows where you are"
    )


async def test_commission_comes_from_any_machine(at: Office) -> None:
    """Also from one where the LP has no cash: it is received there, and costs nothing."""
    await at.say(
        (OPERATOR, f"machine add {EVIL.npub} name=m2 fiat=GTQ cash_in=5% cash_out=6.27%"),
        (OPERATOR, "splits set ana=100%:ana"),
    )
    await at.take(small_sale(1, at.now, 1_000, EVIL))
    said = await statement(at, ANA, "month=2026-09 machine=m2")
    (row,) = said["cash"]
    assert row["received"] == [{"type": "operator_split", "count": 1, "sats": 3_135, "fiat": "0.00"}]
    assert (row["opening"], row["payouts"], row["closing"]) == ("0.00", "0.00", "0.00")
    assert said["sats"] == [
        {"operator": "antigua", "opening": 0, "received": 3_135, "corrections": 0, "closing": 3_135}
    ]
    assert await asked(at, BEN, "statement month=2026-09 machine=m2") == CommandRefused(
        Code.NOT_FOUND, "you are not at that machine: `balance` shows where you are"
    )


steps = st.lists(
    st.tuples(
        st.integers(0, 8 * DAY_S),
        st.sampled_from(["sell", "sell", "sell", "deposit", "reverse", "partial", "refund", "settle", "cash in", "pending"]),
        st.integers(1, 40),
    ),
    min_size=3,
    max_size=20,
)  # fmt: skip


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps)
def test_statements_are_the_ledger(steps: list[tuple[int, str, int]]) -> None:
    """Over three months of anything: sums hold, a closing is the next opening, and all is what the postings say."""
    with TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder) / "bot.sqlite", steps))


async def live(path: Path, steps: list[tuple[int, str, int]]) -> None:
    async with office(path) as at:
        await at.say((OPERATOR, "splits set house=60%:self ana=40%:ana"))
        for place, (later_s, what, size) in enumerate(steps, start=1):
            at.now = min(at.now + later_s, moment("2026-12-31 23:59"))
            await do(at, place, what, size)
        check_books(at.book)
        for who, lp in ((ANA, "ana"), (BEN, "ben")):
            await check_months(at, who, lp)


async def do(at: Office, place: int, what: str, size: int) -> None:
    """One thing that may happen; the desk refuses what may not."""
    deposits, settlements = len(at.book.deposits), max(1, at.book.settlement_count)
    match what:
        case "sell":
            await at.take(small_sale(place, at.now, size * 20))
        case "cash in":
            amounts = {"principal_sats": 1_000, "fee_sats": 60, "wire_sats": 940, "fiat_amount": "20.00"}
            await at.take(report(place, at.now, tx_type="cash_in", **amounts))
        case "deposit":
            await at.say((OPERATOR, f"deposit add ben {size}.50 machine=m1"))
            await at.say((OPERATOR, f"deposit confirm d{deposits + 1}"))
        case "pending":
            await at.say((OPERATOR, f"deposit add ana {size} machine=m1"))
        case "reverse":
            await at.say((OPERATOR, f"deposit reverse d{size % deposits + 1} amount={size} reason=x"))
        case "partial":
            await at.say((OPERATOR, f"settlement partial s{size % settlements + 1} fiat={size} note=x"))
        case "refund":
            await at.say((OPERATOR, f"settlement refund s{size % settlements + 1} reason=x"))
        case "settle":
            await at.say((OPERATOR, f"settle ana {size} machine=m1"))


async def check_months(at: Office, who: Signer, lp: str) -> None:
    today = datetime.fromtimestamp(at.now, HERE).strftime("%Y-%m")
    cash_before = sats_before = 0
    for month in [one for one in MONTHS if one <= today]:
        said = await statement(at, who, f"month={month}")
        (sats,) = said["sats"]
        row = said["cash"][0] if said["cash"] else None
        minor = (
            {name: parse_minor(row[name], "GTQ") or 0 for name in row if name in SUMS}
            if row
            else dict.fromkeys(SUMS, 0)
        )
        assert minor["opening"] == cash_before
        assert sats["opening"] == sats_before
        flows = minor["deposits"] - minor["reversals"] - minor["payouts"] + minor["corrections"]
        assert minor["opening"] + flows == minor["closing"]
        assert sats["opening"] + sats["received"] - sats["corrections"] == sats["closing"]
        cash_before, sats_before = await owed_at_the_end(at, lp, month)
        assert (minor["closing"], sats["closing"]) == (cash_before, sats_before)
        told = {what: [line for line in said["lines"] if line["what"] == what] for what in LINES}
        for what, name in LINES.items():
            assert sum(parse_minor(line["fiat"] or "0", "GTQ") or 0 for line in told[what]) == minor[name]
        assert sum(line["sats"] for line in told["correction"]) == sats["corrections"]
    (balance,) = await asked(at, who, "balance")
    assert (parse_minor(balance["remaining"], "GTQ"), balance["sats"]) == (cash_before, sats_before)


SUMS = ("opening", "deposits", "reversals", "payouts", "corrections", "closing")
LINES = {"deposit": "deposits", "reversal": "reversals", "correction": "corrections"}


async def owed_at_the_end(at: Office, lp: str, month: str) -> tuple[int, int]:
    """An LP's cash and sats at the end of a month, from the postings as sealed."""
    cash = sats = 0
    async for stored in at.store.queries.entries(OPERATOR.pubkey):
        if datetime.fromtimestamp(stored.at, HERE).strftime("%Y-%m") <= month:
            for account, _, amount in stored.plain()["postings"]:
                cash -= amount if account == f"liabilities:lp:{lp}:cash:m1" else 0
                sats -= amount if account == f"liabilities:lp:{lp}:sats" else 0
    return cash, sats
