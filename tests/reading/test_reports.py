"""Reports: what an operator's machines took in over a period; sums that are the ledger's."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.messages.replies import answer
from nostrbot.money import parse_minor
from nostrbot.views.fitting import REPLY_BYTES_MAX
from tests.offices import MACHINE, OPERATOR, Office, office
from tests.reading.asking import asked, moment, small_sale
from tests.signers import Signer

M2, YEN, PAPER = Signer("m2"), Signer("yen"), Signer("paper")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path / "bot.sqlite") as opened:
        opened.now = moment("2026-10-10 12:00")
        yield opened


def cash_in(number: int, now: int) -> Any:
    """A customer buys 1,000 sats for 20 GTQ, and gets 940 of them."""
    amounts = {"principal_sats": 1_000, "fee_sats": 60, "wire_sats": 940}
    return small_sale(number, now, tx_type="cash_in", **amounts)


async def busy_day(at: Office) -> None:
    """Sales of both directions, one corrected, one refunded, one of each refunded, one rejected, one held, splits, payouts."""
    await at.say(
        (OPERATOR, f"splits set house=50%:self ana=30%:ana paper=20%:{PAPER.npub}"),
        (OPERATOR, "guard m1 per_settlement=5000"),
        (OPERATOR, f"machine add {M2.npub} name=m2 fiat=GTQ cash_in=5% cash_out=6.27%"),
    )
    await at.take(
        small_sale(1, at.now, 2_000),
        small_sale(2, at.now, 1_000),
        small_sale(3, at.now, 500),
        small_sale(4, at.now, 6_000),
        small_sale(5, at.now, 20, wire_sats=1),
        cash_in(6, at.now),
        cash_in(7, at.now),
        small_sale(8, at.now, 100, M2),
        small_sale(9, at.now, 400),
    )
    at.now += 60
    await at.say(
        (OPERATOR, "settlement partial s2 fiat=400 note=jammed"),
        (OPERATOR, "settlement refund s3 reason=x"),
        (OPERATOR, "settlement refund s7 reason=x"),
        (OPERATOR, "settlement partial s9 fiat=100 note=jammed"),
        (OPERATOR, "settle ana 10 machine=m1"),
    )
    at.now += 60
    await at.say((OPERATOR, "settlement refund s9 reason=x"))


async def test_a_report_is_the_ledger(at: Office) -> None:
    """Of a book no older than its period: every account follows from the figures, to the sat."""
    await busy_day(at)
    report = (await asked(at, OPERATOR, "report month"))["report"]
    (total,) = report["totals"]
    sold, bought, fees, payouts = total["cash_out"], total["cash_in"], total["fees"], total["payouts"]
    assert total["settlements"] == {
        "cash_out": {"partial": 1, "pending": 1, "processed": 2, "refunded": 2, "rejected": 1},
        "cash_in": {"processed": 1, "refunded": 1},
    }
    balances: Counter[str] = Counter()
    for (account, unit), amount in at.book.balances.items():
        balances[f"{account.split(':cash')[0]} {unit}"] += amount
    lps = sum(
        -amount
        for account, amount in balances.items()
        if account.startswith("liabilities:lp:") and account.endswith(" sat")
    )
    assert balances["assets:sats sat"] == sold["wire_sats"] - bought["wire_sats"] + total["owed_to_customers_sats"]
    assert -balances["liabilities:customer:s2 sat"] == total["owed_to_customers_sats"]
    assert -balances["liabilities:platform sat"] == fees["platform"]
    assert -balances[f"liabilities:party:{PAPER.pubkey} sat"] == fees["others"]
    assert lps == total["to_lps"]["sats"] + fees["lps"] + payouts["settle"]["sats"]
    own = total["own_part"]["sats"] + fees["yours"] - bought["principal_sats"] - payouts["settle"]["sats"]
    assert -balances["equity:operator sat"] == own
    assert sum(fees.values()) == sold["fee_sats"] + bought["fee_sats"]
    assert sold["principal_sats"] == total["to_lps"]["sats"] + total["own_part"]["sats"]

    def minor(amount: str) -> int:
        return parse_minor(amount, "GTQ") or 0

    cash = minor(total["own_part"]["fiat"]) - minor(bought["fiat"]) - minor(payouts["settle"]["fiat"])
    assert balances["equity:operator GTQ"] == cash
    assert minor(sold["fiat"]) == minor(total["to_lps"]["fiat"]) + minor(total["own_part"]["fiat"])
    assert payouts == {
        "fixed": {"count": 0, "sats": 0, "fiat": "0.00"},
        "settle": {"count": 1, "sats": 500, "fiat": "10.00"},
    }
    assert total["rejected"] == {"amounts_inconsistent": 1}
    assert (total["held"], total["errored"]) == (1, 0)


async def test_machines_sum_to_the_total(at: Office) -> None:
    """Each machine's figures, and only one when asked."""
    await busy_day(at)
    report = (await asked(at, OPERATOR, "report"))["report"]
    assert [row["machine"] for row in report["machines"]] == ["m1", "m2"]
    for part in ("cash_out", "fees", "to_lps", "own_part"):
        for name in [name for name, value in report["totals"][0][part].items() if isinstance(value, int)]:
            parts = [row[part][name] for row in report["machines"]]
            assert sum(parts) == report["totals"][0][part][name], (part, name)
    only = (await asked(at, OPERATOR, "report machine=m2"))["report"]
    assert only["machines"] == report["machines"][1:]
    assert only["totals"] == [report["machines"][1] | {"machine": None}]
    assert await asked(at, OPERATOR, "report machine=m9") == CommandRefused(
        Code.NOT_FOUND, "there is no machine m9: `machine list` shows yours"
    )


async def test_periods(at: Office) -> None:
    """The local day begins at midnight where the operator is; a week and a month are seven and thirty days."""
    for number, when in enumerate(
        ("2026-10-01 00:00", "2026-10-20 11:59", "2026-10-20 12:00", "2026-10-27 00:00"), start=1
    ):
        at.now = moment(when)
        await at.take(small_sale(number, at.now))
        await at.say((OPERATOR, "settle ana 1 machine=m1"))
    at.now = moment("2026-10-27 12:00")
    for words, since, count in (
        ("report", "2026-10-27 00:00", 1),
        ("report day", "2026-10-27 00:00", 1),
        ("report week", "2026-10-20 12:00", 2),
        ("report month", "2026-09-27 12:00", 4),
    ):
        report = (await asked(at, OPERATOR, words))["report"]
        assert (report["since"], report["until"]) == (moment(since), at.now)
        assert report["totals"][0]["cash_out"]["count"] == count
        assert report["totals"][0]["payouts"]["settle"]["count"] == count


async def test_a_day_without_sales(at: Office) -> None:
    """Said in one line."""
    data = await asked(at, OPERATOR, "report")
    assert answer("report", data, json=False) == (
        "Today so far, 2026-10-10 00:00 to 2026-10-10 12:00 (America/Guatemala): nothing yet."
    )


async def test_the_words_of_a_day(at: Office) -> None:
    """What was nothing is left out."""
    await busy_day(at)
    assert answer("report", await asked(at, OPERATOR, "report machine=m1"), json=False) == (
        "Today so far, 2026-10-10 00:00 to 2026-10-10 12:02 (America/Guatemala):\n"
        "All in GTQ:\n"
        "  cash-out: 1 partial, 1 pending, 1 processed, 2 refunded, 1 rejected; 2500.00 GTQ, 134712 sats "
        "(principal 125000, fee 9712)\n"
        "  cash-in: 1 processed, 1 refunded; 20.00 GTQ, 940 sats (principal 1000, fee 60)\n"
        "  fees in sats: 1885 platform, 3943 yours, 2366 to lps, 1578 to others\n"
        "  to LPs: 125000 sats for 2500.00 GTQ\n"
        "  settled by hand: 1 payout, 500 of your sats for 10.00 GTQ\n"
        "  owed to customers: 32331 sats\n"
        "  rejected: 1 amounts_inconsistent\n"
        "  now: 1 held, 0 errored\n"
        "Say `worklist` for what needs you."
    )


async def test_very_many_machines_fit(at: Office) -> None:
    """The totals are whole; the machines that took the most come first."""
    machines = [Signer(f"e{number}") for number in range(100)]
    for number, one in enumerate(machines):
        await at.say((OPERATOR, f"machine add {one.npub} name={one.name} fiat=GTQ cash_in=5% cash_out=6.27%"))
        await at.take(small_sale(number + 1, at.now, machine=one))
        at.now += 1
    await at.take(small_sale(101, at.now, machine=MACHINE), small_sale(102, at.now, machine=MACHINE))
    data = await asked(at, OPERATOR, "report week")
    report = data["report"]
    assert (report["more"], report["machines"][0]["machine"]) == (True, "m1")
    assert report["totals"][0]["cash_out"]["count"] == 102
    for json in (True, False):
        assert len(answer("report", data, json=json).encode()) <= REPLY_BYTES_MAX


async def test_a20_a_correction_that_was_taken_back_is_in_no_figure(at: Office) -> None:
    """The report is what it would be without the typo: one processed sale, with all of its amounts."""
    await at.take(small_sale(1, at.now, 2_000))
    before = (await asked(at, OPERATOR, "report week"))["report"]
    await at.say((OPERATOR, "settlement partial s1 fiat=150 note=typo"))
    assert (await asked(at, OPERATOR, "report week"))["report"]["totals"] != before["totals"]
    await at.say((OPERATOR, "settlement partial s1 fiat=2000 note=whole"))
    assert (await asked(at, OPERATOR, "report week"))["report"]["totals"] == before["totals"]
