"""Payments of fixed mode and `settle` as people read them, and what a void leaves of one everywhere (review A3)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.exports.export import export
from nostrbot.exports.request import ExportForm, ExportRequest, ExportSubject
from nostrbot.messages.replies import answer
from nostrbot.store.integrity import check_journal
from tests.offices import ANA, BEN, BOT, OPERATOR, PLATFORM, Office, office
from tests.reading.asking import asked, moment, small_sale


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    """A sale to which ana and ben gave cash (l3, l4), the commission in l2; three payments to them, l5, l6, l7."""
    async with office(tmp_path / "bot.sqlite") as opened:
        opened.now = moment("2026-10-05 12:00")
        await opened.take(small_sale(1, opened.now, 2_000))
        for words in ("ana 10", "ben 20", "ana 30"):
            opened.now += 60
            await opened.say((OPERATOR, f"settle {words} machine=m1"))
        yield opened


async def said(at: Office, words: str) -> Any:
    """The data of a command's answer, or its refusal."""
    turn = await at.say((OPERATOR, f"{words} --json"))
    text = orjson.loads(turn.batch.owed[-1].body or b"")["text"]
    frame = orjson.loads(text)
    return frame["data"] if frame["ok"] else CommandRefused(Code(frame["error"]["code"]), frame["error"]["message"])


async def ids(at: Office, words: str = "") -> list[str]:
    return [row["id"] for row in (await asked(at, OPERATOR, f"payment list {words}"))["payments"]]


async def test_payments_are_listed_newest_first(at: Office) -> None:
    """By LP and machine, page by page; with what a void would undo."""
    assert await ids(at) == ["l7", "l6", "l5"]
    assert await ids(at, "lp=ana") == ["l7", "l5"]
    assert await ids(at, "machine=m9") == []
    page = await asked(at, OPERATOR, "payment list limit=2")
    assert (page["more"], page["before"]) == (True, "l6")
    assert await ids(at, "before=l6") == ["l5"]
    assert await ids(at, "lp=ben") == ["l6"]
    data = await asked(at, OPERATOR, "payment list lp=ben")
    assert data["payments"][0] | {"at": 0} == {
        "id": "l6", "settlement": None, "type": "settlement", "lp": "ben", "sats": 1_000, "fiat": "20.00",
        "currency": "GTQ", "rate": "50", "status": "completed", "reason": None, "machine": "m1", "slot": None, "at": 0,
    }  # fmt: skip
    assert answer("payment list", data, json=False) == (
        "l6 ben at m1: 1000 sats for 20.00 GTQ (50 sats per GTQ), settle, completed"
    )
    assert (await asked(at, OPERATOR, "payment list before=x")).code is Code.BAD_ARGUMENT


async def test_a_leg_of_a_settlement_has_another_way(at: Office) -> None:
    refused = await said(at, "payment void l3 reason=x")
    assert refused == CommandRefused(
        Code.WRONG_STATUS,
        'l3 is part of s1: say `settlement refund s1 reason="…"` if all of that sale is false, or `settlement partial s1 '
        "fiat=<dispensed>` if less was dispensed",
    )


async def test_a_void_is_seen_wherever_the_payment_was(at: Office) -> None:
    """The answer, the list, the LP's receipt, history, balance, statement and stats, the report, exports; found in the past."""
    await at.reload()
    assert (await said(at, "payment void l5 reason=bogus"))["leg"]["status"] == "voided"
    assert (await asked(at, OPERATOR, "payment list"))["payments"][2]["status"] == "voided"
    receipt = await asked(at, ANA, "receipt l5")
    assert (receipt["receipt"], receipt["status"]) == ("l5", "voided")
    history = (await asked(at, ANA, "history type=settlement"))["history"]
    assert [(row["id"], row["status"]) for row in history] == [("l7", "completed"), ("l5", "voided")]
    month = (await asked(at, ANA, "statement month=2026-10"))["statement"]
    assert [(row["payouts"], row["corrections"], row["closing"]) for row in month["cash"]] == [
        ("1840.00", "10.00", "7170.00")
    ]
    assert month["sats"] == [
        {"operator": "antigua", "opening": 0, "received": 92_000, "corrections": 500, "closing": 91_500}
    ]
    assert [(line["what"], line["id"]) for line in month["lines"]][-1] == ("correction", "l5")
    assert (await asked(at, ANA, "balance"))[0]["sats"] == 91_500
    assert (await asked(at, ANA, "stats range=all"))["stats"]["sats"] == 91_500
    payouts = (await asked(at, OPERATOR, "report week"))["report"]["totals"][0]["payouts"]
    assert payouts["settle"]["sats"] == 2_500
    check_journal(at.store.path)


async def test_two_voids_and_a_payment_in_one_turn(at: Office) -> None:
    """What the turn itself changed counts: the second void of one leg is refused, a new payment can be voided at once."""
    await at.say(
        (OPERATOR, "payment void l7 reason=x"),
        (OPERATOR, "payment void l7 reason=y"),
        (OPERATOR, "settle ana 40 machine=m1"),
        (OPERATOR, "payment void l8 reason=z"),
    )
    rows = (await asked(at, OPERATOR, "payment list"))["payments"]
    assert [(row["id"], row["status"]) for row in rows] == [
        ("l8", "voided"),
        ("l7", "voided"),
        ("l6", "completed"),
        ("l5", "completed"),
    ]
    assert at.book.sats_owed("ana") == 90_500


async def test_a3_the_drill_of_a_stolen_key_names_payments_of_the_past(at: Office) -> None:
    """Those since then, in force, from the journal."""
    await at.reload()
    await said(at, "payment void l7 reason=x")
    data = await said(at, f"machine compromised m1 since={at.now - 65}")
    assert data["priced"] == ["l6"]
    assert (await said(at, "machine compromised m1 since=0"))["priced"] == ["l6", "l5"]


async def exported(at: Office, form: ExportForm) -> bytes:
    """The legs, or the ledger, as a file."""
    wish = ExportRequest(ExportSubject.LEGS, form, OPERATOR.pubkey)
    return b"".join([piece async for piece in export(at.store, wish, BOT.pubkey, PLATFORM.pubkey)])


async def test_exports_have_it(at: Office) -> None:
    await said(at, "payment void l6 reason=bogus")
    rows = orjson.loads(await exported(at, ExportForm.JSON))
    assert [row["status"] for row in rows if row["id"] in ("l5", "l6")] == ["completed", "voided"]
    assert b"payment l6 at m1 voided: bogus" in await exported(at, ExportForm.BEANCOUNT)
    assert b"l6,,settlement,ben,,,m1,1000,20.00,GTQ,50,voided" in await exported(at, ExportForm.CSV)
    assert (await asked(at, BEN, "receipt l6"))["status"] == "voided"
