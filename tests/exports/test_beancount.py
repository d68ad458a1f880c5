"""The ledger for accountants: Beancount itself reads it, adds it up, and finds whatever was changed in it."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from beancount import loader
from beancount.core import data

from nostrbot.core.ledger import accounts
from nostrbot.errors import ConfigError
from nostrbot.exports.beancount import account_name, quoted
from nostrbot.exports.request import ExportForm, ExportSubject
from nostrbot.home.config import Home
from tests.exports.story import ACCUSED, BACKWARDS, FORMULA, LAGO, PARTNER
from tests.exports.test_export import exported, ledger
from tests.offices import HOUSE, OPERATOR, office

BEAN_CHECK = Path(sys.executable).with_name("bean-check")


@pytest.fixture
async def book(home: Home) -> str:
    """The operator's ledger as a Beancount file."""
    return await exported(home, ExportSubject.SETTLEMENTS, ExportForm.BEANCOUNT, OPERATOR.pubkey)


def complaints(book: str, folder: Path) -> str:
    """What bean-check says of a file; nothing: it is right."""
    file = folder / "book.beancount"
    file.write_text(book)
    checked = subprocess.run([BEAN_CHECK, "--no-cache", file], capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode == 0) == (not checked.stderr)
    return checked.stderr


def read(book: str) -> list[data.Directive]:
    """The directives that Beancount reads."""
    directives, errors, _ = loader.load_string(book)
    assert errors == []
    return list(directives)


async def test_bean_check_finds_nothing(book: str, home: Home, tmp_path: Path) -> None:
    """Sales, a correction, refunds, a release, reversals, fixed mode, a count; and an operator whose money has no cents."""
    assert complaints(book, tmp_path) == ""
    assert complaints(await exported(home, ExportSubject.LEGS, ExportForm.BEANCOUNT, LAGO.pubkey), tmp_path) == ""


@pytest.mark.parametrize(
    ("was", "is_now", "complaint"),
    [
        (r"(Assets:Sats  )107770 ", r"\g<1>107771 ", "does not balance"),
        (r"\n[^\n]*#refund \^s6\n(?:  [^\n]*\n)+", "\n", "Balance failed"),
        (r"(Lp:Ana:Sats  -90000 SATS\n.*?Lp:Ben:Sats  -)10000 ", r"\g<1>9999 ", "does not balance"),
        (r"(Assets:Cash:M1  )9000.00( GTQ\n  .*?-)9000.00", r"\g<1>9000.01\g<2>9000.01", "Balance failed"),
        (r"(balance Liabilities:Lp:Ben:Sats -)(\d+)", r"\g<1>1", "Balance failed"),
        (r"(Liabilities:)Lp:Ben(:Sats  -10000)", r"\g<1>Lp:Bob\g<2>", "Invalid reference to unknown account"),
    ],
    ids=["a posting", "a missing refund", "a share", "a cent twice", "an assertion", "a name"],
)
async def test_bean_check_finds_what_was_changed(
    book: str, tmp_path: Path, was: str, is_now: str, complaint: str
) -> None:
    """One change anywhere and the file is refused."""
    changed = re.sub(was, is_now, book, count=1, flags=re.DOTALL)
    assert changed != book
    assert complaint in complaints(changed, tmp_path)


async def test_every_transaction_is_an_entry_and_the_sums_are_the_ledger(book: str, home: Home) -> None:
    """Debit positive, credit negative, as in the journal; entries that move nothing are not there."""
    transactions = [one for one in read(book) if isinstance(one, data.Transaction)]
    sums: Counter[tuple[str, str]] = Counter()
    for transaction in transactions:
        for posting in transaction.postings:
            units = posting.units
            sums[posting.account, units.currency] += int(
                units.number if units.currency == "SATS" else units.number * 100
            )
    kept = {
        (account_name(account), "SATS" if unit == "sat" else unit): amount
        for (account, unit), amount in (await ledger(home)).items()
    }
    assert dict(sums) == kept
    entries = [int(transaction.meta["entry"]) for transaction in transactions]
    assert entries == sorted(set(entries))
    assert all(re.fullmatch("[0-9a-f]{64}", transaction.meta["hash"]) for transaction in transactions)


async def test_transactions_say_what_happened(book: str) -> None:
    """Whom with, what, a tag to sort by and links that bring a settlement's transactions together."""
    told = [
        (str(one.date), one.payee, one.narration, *sorted(one.tags), *sorted(one.links))
        for one in read(book)
        if isinstance(one, data.Transaction)
    ]
    sale = "2000.00 GTQ, 107770 sats at 50"
    assert told == [
        ("2026-09-21", "ana", "deposit d1 at m1", "deposit", "d1"),
        ("2026-09-21", "ben", "deposit d2 at m1", "deposit", "d2"),
        ("2026-09-21", "m1", f"cash-out s1: {sale}", "cash-out", "s1"),
        ("2026-09-21", "m1", "cash-in s2: 100.00 GTQ, 4700 sats at 50", "cash-in", "s2"),
        ("2026-09-21", "m1", f"correction of s1: 1000.00 GTQ dispensed: {FORMULA}", "correction", "s1"),
        ("2026-09-21", "m1", f"refund of s1: {BACKWARDS}", "refund", "s1"),
        ("2026-10-11", "m1", f"cash-out s3: {sale}", "cash-out", "s3"),
        ("2026-10-11", "m1", f"cash-out s6: {sale}", "cash-out", "s6"),
        ("2026-10-11", "m1", f"cash-out s7: {sale}", "cash-out", "s7"),
        ("2026-10-11", "m1", f"cash-out s8: {sale}", "cash-out", "s8"),
        ("2026-10-11", "m1", "refund of s6: never dispensed", "refund", "s6"),
        ("2026-11-10", "ben", "deposit d3 at m1: +1-1", "deposit", "d3"),
        ("2026-11-10", "ben", "settle at m1: sats for cash at 50", "settle", "l34"),
        ("2026-11-10", "ben", f"reversal of d3 at m1: 70.00 GTQ: {ACCUSED}", "reversal", "d3"),
        ("2026-11-11", "ana", "fixed 00:01 at m1: sats for cash at 50", "fixed", "l35"),
        ("2026-11-11", "m1", "cassettes counted: -100.00 GTQ beyond what was expected", "count"),
    ]


async def test_assertions_stand_at_each_month_and_after_the_last_day(book: str, home: Home) -> None:
    """A balance assertion holds when its day begins: so the last is dated the day after, with every account there is."""
    days = Counter(str(one.date) for one in read(book) if isinstance(one, data.Balance))
    assert list(days) == ["2026-10-01", "2026-11-01", "2026-11-12"]
    assert days["2026-11-12"] == len(await ledger(home))


async def test_days_follow_the_entries_where_the_clock_went_back_over_midnight(tmp_path: Path) -> None:
    """On 7 November 2010, a minute after midnight, it was the 6th again in St. John's: the later entry is not dated earlier."""
    home = Home(tmp_path)
    async with office(home.database_file, house=()) as at:
        at.now = 1_289_097_030  # half a minute after midnight
        await at.say(*[(who, text.replace("America/Guatemala", "America/St_Johns")) for who, text in HOUSE[:-1]])
        at.now += 60
        await at.say(HOUSE[-1])
    book = await exported(home, ExportSubject.DEPOSITS, ExportForm.BEANCOUNT)
    moments = [(str(one.date), one.meta["time"]) for one in read(book) if isinstance(one, data.Transaction)]
    assert moments == [("2010-11-07", "00:00:30"), ("2010-11-07", "23:01:30")]
    assert complaints(book, tmp_path) == ""


async def test_a_ledger_is_whole_whatever_the_subject(book: str, home: Home) -> None:
    """A part of it would balance nothing."""
    for subject in ExportSubject:
        assert await exported(home, subject, ExportForm.BEANCOUNT, OPERATOR.pubkey) == book


async def test_a_ledger_is_one_operators(home: Home) -> None:
    """With several the choice is the caller's, and the refusal names them."""
    with pytest.raises(ConfigError, match=f"antigua {OPERATOR.npub}, lago {LAGO.npub}"):
        await exported(home, ExportSubject.LEGS, ExportForm.BEANCOUNT)


@pytest.mark.parametrize(
    ("account", "name"),
    [
        (accounts.SATS, "Assets:Sats"),
        (accounts.machine_cash("1-m"), "Assets:Cash:1-m"),
        (accounts.lp_cash("ana-maria", "m1"), "Liabilities:Lp:Ana-maria:Cash:M1"),
        (accounts.party(PARTNER.pubkey), f"Liabilities:Party:N{PARTNER.npub[1:]}"),
        (accounts.customer(12), "Liabilities:Customer:S12"),
        (accounts.variance("m1"), "Equity:Variance:M1"),
        (accounts.OPERATOR, "Equity:Operator"),
    ],
)
def test_accounts_have_names_that_beancount_takes(account: str, name: str) -> None:
    """Whatever a handle may be."""
    assert account_name(account) == name
    assert read(f"2026-01-01 open {name} SATS")[0].account == name


@pytest.mark.parametrize("text", [ACCUSED, BACKWARDS, "a\nb\tc\r", "\\n", '"', "; no comment", "日本"])
def test_any_text_survives_a_narration(text: str) -> None:
    """Quotes, backslashes and line ends come back as they were; other control characters as a mark that one was there."""
    assert read(f"2026-01-01 * {quoted(text)}")[0].narration == text
    other = quoted("a\0b\x1bc")
    assert read(f"2026-01-01 * {other}")[0].narration == "a\ufffdb\ufffdc"
