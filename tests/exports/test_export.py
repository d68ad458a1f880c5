"""Exports: what a spreadsheet, a program and an accountant get of a bot's books is what the books hold.

The home is the story of story.py: corrections, refunds, a release, reversals, fixed mode, two operators.
"""

import codecs
import csv
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from nostrbot.errors import BooksError, ConfigError
from nostrbot.exports import rows as rows_module
from nostrbot.exports.export import COLUMNS, export
from nostrbot.exports.request import ExportForm, ExportRequest, ExportSubject
from nostrbot.exports.sheet import row_line
from nostrbot.home.config import Home
from nostrbot.store.store import Store
from tests.exports.story import ACCUSED, BACKWARDS, CARO, FORMULA, LAGO, PARTNER
from tests.offices import ANA, BOT, OPERATOR, PLATFORM, office, report

Row = dict[str, Any]


@asynccontextmanager
async def opened(home: Home) -> AsyncIterator[Store]:
    store = await Store.open_as_it_is(home.database_url({}))
    try:
        yield store
    finally:
        await store.close()


async def exported(home: Home, subject: ExportSubject, form: ExportForm, operator: str | None = None) -> str:
    """What `nostrbot export` writes."""
    async with opened(home) as store:
        pieces = export(store, ExportRequest(subject, form, operator), BOT.pubkey, PLATFORM.pubkey)
        return b"".join([piece async for piece in pieces]).decode("utf-8-sig")


async def sheet(home: Home, subject: ExportSubject, operator: str | None = OPERATOR.pubkey) -> list[Row]:
    """A CSV export as a spreadsheet reads it."""
    return list(csv.DictReader(StringIO(await exported(home, subject, ExportForm.CSV, operator), newline="")))


async def objects(home: Home, subject: ExportSubject, operator: str | None = OPERATOR.pubkey) -> list[Row]:
    """A JSON export as a program reads it."""
    found: list[Row] = json.loads(await exported(home, subject, ExportForm.JSON, operator))
    return found


def unguarded(cell: str) -> str:
    """The text of a cell, as the documentation says to get it back."""
    return cell.removeprefix("'")


async def ledger(home: Home) -> dict[tuple[str, str], int]:
    """The operator's ledger as the bot keeps it."""
    async with opened(home) as store:
        return await store.queries.balances(OPERATOR.pubkey)


# --- settlements --------------------------------------------------------------------------------------------------


async def test_a_settlement_is_one_row_as_it_stands(home: Home) -> None:
    """Corrected and refunded since: amounts in force beside those reported; where it is sealed; all notes."""
    first = (await sheet(home, ExportSubject.SETTLEMENTS))[0]
    assert first["notes"].startswith("[2026-09-21T14:16:20+00:00 by ")
    assert {name: first[name] for name in COLUMNS[ExportSubject.SETTLEMENTS][:21]} == {
        "operator": "antigua",
        "date": "2026-09-21 08:14:20",
        "id": "s1",
        "machine": "m1",
        "status": "refunded",
        "error": "",
        "tx_type": "cash_out",
        "wire_sats": "53885",
        "principal_sats": "50000",
        "fee_sats": "3885",
        "fiat_amount": "1000.00",
        "fiat_code": "GTQ",
        "exchange_rate": "50",
        "platform_fee_sats": "750",
        "operator_fee_sats": "3135",
        "fee_mismatch_sats": "0",
        "owed_to_customer_sats": "0",
        "reported_wire_sats": "107770",
        "reported_principal_sats": "100000",
        "reported_fee_sats": "7770",
        "reported_fiat_amount": "2000.00",
    }
    assert (first["n"], first["entry"], first["created_at"]) == ("1", "13", "1790000060")
    assert json.loads(first["bills"]) == [{"denomination": 100, "count": 20}]


async def test_every_settlement_is_there_oldest_first(home: Home) -> None:
    """Held, rejected and refunded ones as well: an accountant is not shown only what went well."""
    assert [(row["id"], row["status"], row["error"]) for row in await sheet(home, ExportSubject.SETTLEMENTS)] == [
        ("s1", "refunded", ""),
        ("s2", "processed", ""),
        ("s3", "processed", ""),
        ("s4", "pending", "guard_per_settlement"),
        ("s5", "rejected", "rate_inconsistent"),
        ("s6", "refunded", ""),
        ("s7", "processed", ""),
        ("s8", "processed", ""),
    ]


async def test_json_says_what_the_bot_answers(home: Home) -> None:
    """Every name of docs/protocol.md section 6, with types: sats are numbers, fiat is text, legs are inside."""
    third = (await objects(home, ExportSubject.SETTLEMENTS))[2]
    promised = {
        *(
            "id",
            "machine",
            "status",
            "event_id",
            "platform_fee_sats",
            "operator_fee_sats",
            "fee_mismatch_sats",
            "error",
        ),
        *("notes", "legs", "entry", "entry_hash", "created_at", "processed_at"),
        *("n", "txid", "payment_hash", "preimage", "tx_type", "wire_sats", "principal_sats", "fee_sats", "fiat_amount"),
        *("fiat_code", "exchange_rate", "bills", "cassettes", "occurred_at", "operator"),
    }
    assert promised <= set(third)
    assert (third["wire_sats"], third["fiat_amount"], third["error"]) == (107_770, "2000.00", None)
    assert [(leg["type"], leg.get("lp"), leg["sats"], leg["fiat"]) for leg in third["legs"]] == [
        ("super_fee", None, 1_500, None),
        ("operator_split", None, 3_135, None),
        ("operator_split", None, 3_135, None),
        ("dca", "ana", 90_000, "1800.00"),
        ("dca", "ben", 10_000, "200.00"),
    ]


# --- legs and deposits, against the ledger --------------------------------------------------------------------------


async def test_completed_legs_sum_to_what_the_ledger_owes(home: Home) -> None:
    """Per LP, platform and party; voided and skipped legs count for nothing. A fully refunded sale has voided legs."""
    owed: Counter[str] = Counter()
    for leg in await sheet(home, ExportSubject.LEGS):
        if leg["status"] == "completed":
            owed[leg["lp"] or leg["party"] or leg["label"]] += int(leg["sats"])
    kept = await ledger(home)
    assert owed["ana"] == -kept["liabilities:lp:ana:sats", "sat"] > 0
    assert owed["ben"] == -kept["liabilities:lp:ben:sats", "sat"] > 0
    assert owed["platform"] == -kept["liabilities:platform", "sat"] > 0
    assert owed[PARTNER.npub] == -kept[f"liabilities:party:{PARTNER.pubkey}", "sat"] > 0


async def test_deposits_less_completed_legs_are_what_is_left(home: Home) -> None:
    """An LP's cash in the machine, from the two sheets alone (docs/protocol.md section 5)."""
    left: Counter[str] = Counter()
    for deposit in await sheet(home, ExportSubject.DEPOSITS):
        if deposit["confirmed_at"]:
            left[deposit["lp"]] += int(100 * (Decimal(deposit["amount"]) - Decimal(deposit["reversed"])))
    for leg in await sheet(home, ExportSubject.LEGS):
        if leg["lp"] and leg["status"] == "completed" and leg["fiat"]:
            left[leg["lp"]] -= int(100 * Decimal(leg["fiat"]))
    kept = await ledger(home)
    assert left == {lp: -kept[f"liabilities:lp:{lp}:cash:m1", "GTQ"] for lp in ("ana", "ben")}


async def test_legs_of_no_settlement_are_there(home: Home) -> None:
    """What was paid by `settle` and by a fixed slot, with the columns a history must have (acceptance B9)."""
    apart = [leg for leg in await sheet(home, ExportSubject.LEGS) if not leg["settlement"]]
    wanted = ("date", "sats", "fiat", "rate", "type", "status", "lp", "machine")
    assert [tuple(leg[name] for name in wanted) for leg in apart] == [
        ("2026-11-10 08:25:20", "525", "10.50", "50", "settlement", "completed", "ben", "m1"),
        ("2026-11-11 08:28:20", "1500", "30.00", "50", "dca", "completed", "ana", "m1"),
    ]


async def test_a_leg_says_whose_it_is_how_it_stands_and_where_it_is_sealed(home: Home) -> None:
    """Legs that a correction replaced stay, as voided."""
    legs = await objects(home, ExportSubject.LEGS)
    assert [leg["id"] for leg in legs] == [f"l{number}" for number in range(1, len(legs) + 1)]
    partner = legs[1]
    assert (partner["label"], partner["party"], partner["status"]) == ("@SUM", PARTNER.npub, "voided")
    assert (partner["settlement"], partner["entry"], partner["at"]) == ("s1", 13, 1_790_000_060)
    settlements = await objects(home, ExportSubject.SETTLEMENTS)
    assert Counter((leg["id"], leg["status"]) for one in settlements for leg in one["legs"]) == Counter(
        (leg["id"], leg["status"]) for leg in legs if leg["settlement"]
    )


async def test_deposits_are_shown_as_they_stand(home: Home) -> None:
    """Reversed and cancelled ones too."""
    wanted = ("id", "lp", "amount", "currency", "status", "reversed")
    assert [tuple(row[name] for name in wanted) for row in await sheet(home, ExportSubject.DEPOSITS)] == [
        ("d1", "ana", "9000.00", "GTQ", "confirmed", "0.00"),
        ("d2", "ben", "1000.00", "GTQ", "confirmed", "0.00"),
        ("d3", "ben", "70.00", "GTQ", "reversed", "70.00"),
        ("d4", "ana", "5.00", "GTQ", "cancelled", "0.00"),
    ]


# --- text that people and machines chose ------------------------------------------------------------------------------


async def test_no_cell_is_a_formula_and_every_text_comes_back(home: Home) -> None:
    """A `'` is before what a spreadsheet would run; taken away, the text is what was said, line ends included."""
    cells = [cell for subject in ExportSubject for row in await sheet(home, subject, None) for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r", "\n"))]
    assert [cell for cell in cells if cell.startswith("-")] == ["-7.00", "-7.00"]
    settlements = {row["id"]: row for row in await sheet(home, ExportSubject.SETTLEMENTS)}
    assert unguarded(settlements["s3"]["txid"]) == "-1+cmd\n2"
    assert (settlements["s5"]["fiat_code"], unguarded(settlements["s5"]["fiat_code"])) == ("'@SUM(1)", "@SUM(1)")
    assert settlements["s1"]["notes"].endswith(FORMULA)
    assert BACKWARDS in settlements["s1"]["notes"]
    assert [unguarded(row["note"]) for row in await sheet(home, ExportSubject.DEPOSITS)] == ["", "", "+1-1", ""]


@pytest.mark.parametrize("text", ["=1", "'=1", "'", "-x", "＝1", "\tx", 'a"b,c\r\nd', ACCUSED, " =1", "-1e5"])
def test_any_text_survives_a_sheet(text: str) -> None:
    """Quoted as RFC 4180 has it, guarded or not: csv and one rule give it back."""
    line = row_line(("date", "note"), {"created_at": 0, "note": text}, "UTC")
    assert line.endswith(b"\r\n")
    (row,) = csv.reader(StringIO(line.decode(), newline=""))
    assert row[0] == "1970-01-01 00:00:00"
    assert unguarded(row[1]) == text
    assert row[1][:1] not in tuple("=+-@\t＝")


# --- whose, and when ----------------------------------------------------------------------------------------------


async def test_operators_do_not_see_each_other(home: Home) -> None:
    """An export for one operator holds nothing of the other; without a name all are there, each row says whose."""
    for subject in ExportSubject:
        antigua, lago, both = [
            await exported(home, subject, ExportForm.JSON, key) for key in (OPERATOR.pubkey, LAGO.pubkey, None)
        ]
        assert not [word for word in ("lago", "m9", "caro", CARO.npub, "JPY") if word in antigua]
        assert not [word for word in ("antigua", '"m1"', '"ana"', ANA.npub, "GTQ") if word in lago]
        assert json.loads(both) == json.loads(antigua) + json.loads(lago)
        assert {row["operator"] for row in json.loads(lago)} == {"lago"}


async def test_dates_are_where_the_operator_is(home: Home) -> None:
    """Tokyo is not Guatemala."""
    (row,) = await sheet(home, ExportSubject.SETTLEMENTS, LAGO.pubkey)
    (same,) = await objects(home, ExportSubject.SETTLEMENTS, LAGO.pubkey)
    assert (row["date"], same["created_at"]) == ("2026-11-11 23:29:20", 1_794_407_360)


async def test_an_unknown_operator_is_told_so(home: Home) -> None:
    """As `audit export` does."""
    with pytest.raises(ConfigError, match="there is no book of that operator here"):
        await exported(home, ExportSubject.LEGS, ExportForm.CSV, ANA.pubkey)


async def test_a_bot_with_no_operator_has_empty_exports(tmp_path: Path) -> None:
    """A header and no row; an array of nothing; but there is no ledger."""
    home = Home(tmp_path)
    async with office(home.database_file, house=()):
        pass
    for subject in ExportSubject:
        assert await exported(home, subject, ExportForm.CSV) == ",".join(COLUMNS[subject]) + "\r\n"
        assert json.loads(await exported(home, subject, ExportForm.JSON)) == []
    with pytest.raises(ConfigError, match="no operator has a book here yet"):
        await exported(home, ExportSubject.LEGS, ExportForm.BEANCOUNT)


@pytest.mark.parametrize("subject", list(ExportSubject))
async def test_pages_make_no_difference(home: Home, subject: ExportSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few rows are read at once."""
    whole = await exported(home, subject, ExportForm.JSON)
    monkeypatch.setattr(rows_module, "PAGE_SETTLEMENTS", 1)
    monkeypatch.setattr(rows_module, "PAGE_LEGS", 2)
    assert await exported(home, subject, ExportForm.JSON) == whole


@pytest.mark.parametrize("form", list(ExportForm))
async def test_an_export_is_of_one_moment(tmp_path: Path, form: ExportForm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that commits while it is written changes nothing in it, and is not kept from committing."""
    monkeypatch.setattr(rows_module, "PAGE_SETTLEMENTS", 1)
    home = Home(tmp_path)
    async with office(home.database_file) as at:
        await at.take(report(1), report(2))
        before = await exported(home, ExportSubject.SETTLEMENTS, form)
        async with (
            opened(home) as store,
            aclosing(
                export(store, ExportRequest(ExportSubject.SETTLEMENTS, form), BOT.pubkey, PLATFORM.pubkey)
            ) as pieces,
        ):
            written = [await anext(pieces)]
            await at.take(report(3))
            await at.say((OPERATOR, 'settlement refund s2 reason="gone"'))
            written += [piece async for piece in pieces]
        assert b"".join(written).decode("utf-8-sig") == before
        assert await exported(home, ExportSubject.SETTLEMENTS, form) != before


async def test_a_ledger_that_is_not_its_entries_is_not_exported(tmp_path: Path) -> None:
    """A balance that somebody changed in the database, or an entry: better no ledger than a wrong one."""
    home = Home(tmp_path)
    async with office(home.database_file) as at:
        await at.take(report(1))
    with closing(sqlite3.connect(home.database_file)) as connection, connection:
        connection.execute("UPDATE balance SET amount = '107771' WHERE account = 'assets:sats'")
    with pytest.raises(BooksError, match="entries of assets:sats sum to 107770 sat, its balance says 107771"):
        await exported(home, ExportSubject.LEGS, ExportForm.BEANCOUNT)
    with closing(sqlite3.connect(home.database_file)) as connection, connection:
        connection.execute("UPDATE entry SET body = CAST(replace(body, '107770', '107771') AS BLOB) WHERE seq = 12")
    with pytest.raises(BooksError, match="the journal is damaged at entry 12"):
        await exported(home, ExportSubject.LEGS, ExportForm.BEANCOUNT)


# --- spreadsheets (review row F13) --------------------------------------------------------------------------------


async def test_f13_a_sheet_begins_with_the_mark_excel_knows_utf_8_by(home: Home) -> None:
    """And nothing else does: programs that read JSON and ledgers would stumble over it."""
    for form in ExportForm:
        async with opened(home) as store:
            pieces = export(
                store, ExportRequest(ExportSubject.LEGS, form, OPERATOR.pubkey), BOT.pubkey, PLATFORM.pubkey
            )
            written = b"".join([piece async for piece in pieces])
        assert written.startswith(codecs.BOM_UTF8) is (form is ExportForm.CSV)
        assert written.count(codecs.BOM_UTF8) == (form is ExportForm.CSV)


@pytest.mark.parametrize(
    "text", ["00123", "12345678901234567890", "1e5", "3-4", "2026-10", "10:30", "1/2", "1.5", ".5", "5%", "may1", "1-mar", "TRUE",
             "jan 2026", "-5", "1 000", "ene1", "3 de mayo", "15-ago-2026", "dic 2026", "VERDADERO", "falso", "5 €", "$5", "€ 5,50",
             "\u22125", "5$"],
)  # fmt: skip
def test_f13_text_that_a_spreadsheet_would_make_something_else_of(text: str) -> None:
    """A txid of digits, a machine called 3-4, an LP called may1: kept as text, and given back by one rule."""
    for column in ("txid", "machine", "lp", "label", "payment_hash", "note"):
        (row,) = csv.reader(StringIO(row_line((column,), {"created_at": 0, column: text}, "UTC").decode(), newline=""))
        assert row == [f"'{text}"]
    for column in ("fiat_amount", "rate"):
        (row,) = csv.reader(
            StringIO(row_line((column,), {"created_at": 0, column: "-5.00"}, "UTC").decode(), newline="")
        )
        assert row == ["-5.00"]


@pytest.mark.parametrize(
    "text",
    [
        "m1",
        "ana",
        "s12",
        "march-hare",
        "tx-00123",
        "ab" * 32,
        "paid by hand",
        "maya",
        "decker",
        "1a2b",
        "enero",
        "q1",
        "3 de la tarde",
        "falsos",
    ],
)
def test_f13_other_text_is_left_alone(text: str) -> None:
    """No mark where nothing can be mistaken."""
    (row,) = csv.reader(StringIO(row_line(("txid",), {"created_at": 0, "txid": text}, "UTC").decode(), newline=""))
    assert row == [text]
