"""Ledgers: a whole book as a Beancount file, every entry's postings one transaction.

What lives here: accounts, amounts and directives in Beancount's words, and the checks that are written into the file.
What does not: what was booked and why (core/atm/booking.py; the postings here are those sealed in the journal).
docs/protocol.md section 8; acceptance B5, B13. https://beancount.github.io/docs/beancount_language_syntax.html

A ledger is exported whole: a part of it would balance nothing. Beancount's `bean-check` adds all of it up again and
compares it with balance assertions. They stand at the beginning of each month for the accounts that moved, and after
the last day for every account, as the bot's own ledger says.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from nostrbot.core.facts import read_fact
from nostrbot.core.ledger.accounts import SAT
from nostrbot.core.ledger.balances import AccountUnit
from nostrbot.core.local_time import local_day, local_time
from nostrbot.errors import BooksError
from nostrbot.exports.narration import narrate
from nostrbot.exports.rows import Title
from nostrbot.journal.entry import GENESIS
from nostrbot.money import format_minor
from nostrbot.nostr.keys import npub
from nostrbot.store.queries import Queries
from nostrbot.store.stored import StoredEntry, read_linked

SATS_COMMODITY = "SATS"  # four letters, so that it is never taken for a currency, whose codes have three
_DAY = timedelta(days=1)

# Beancount's own escapes; other control characters it would not read back.
_STRING = str.maketrans(
    {
        **{chr(code): "\ufffd" for code in range(32)},
        "\\": "\\\\",
        '"': '\\"',
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
    }
)


@lru_cache(maxsize=4096)  # a book says the same few accounts over and over
def account_name(account: str) -> str:
    """Return an account of ours by a name Beancount allows: parts begin with a capital, keys are npubs. No two become
    one.
    """
    parts = [npub(part) if len(part) == 64 else part for part in account.split(":")]
    return ":".join(part[0].upper() + part[1:] for part in parts)


def commodity(unit: str) -> str:
    """Return the name of a unit in a ledger file."""
    return SATS_COMMODITY if unit == SAT else unit


def quoted(text: str) -> str:
    """Return a Beancount string."""
    return f'"{text.translate(_STRING)}"'


def _amount(number: int, unit: str) -> str:
    """Return a number of a unit's smallest parts, to its last decimal."""
    return str(number) if unit == SAT else format_minor(number, unit)


async def ledger_lines(queries: Queries, title: Title, bot: str) -> AsyncIterator[bytes]:
    """Yield a book's ledger, a piece for each entry. Raises BooksError if entries and ledger do not agree.

    `queries` must answer from one moment, for a bot may be writing. `bot`: its key (hex).
    """
    kept = await queries.balances(title.key)
    ledger = _Ledger(title.tz, kept)
    stored: StoredEntry | None = None
    async for stored in queries.entries(title.key):
        if stored.seq == 1:
            yield _text(_head(title, bot, kept, ledger.day_of(stored.at)))
        written = _text(ledger.enter(stored))
        if written:
            yield written
    assert stored is not None, "a book has its first entry"
    yield _text(ledger.close(title.handle))
    yield _text(["", f"; the book ends with entry {stored.seq}, {stored.hash}"])


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _head(title: Title, bot: str, kept: dict[AccountUnit, int], day: str) -> Iterator[str]:
    yield f"; The ledger of {title.handle} ({npub(title.key)}), kept by the bot {npub(bot)}."
    yield f"; {SATS_COMMODITY}: satoshis. Days begin in {title.tz}. entry, hash and event: where it is sealed in the journal."
    yield f'option "title" {quoted(title.handle)}'
    units = sorted({unit for _, unit in kept} | {SAT})
    yield from (f'option "operating_currency" "{unit}"' for unit in units if unit != SAT)
    yield ""
    yield from (f"{day} commodity {commodity(unit)}" for unit in units)


class _Ledger:
    """A ledger on its way: the day it has come to and what every account holds by then.

    `kept`: the balances at the end, by which accounts are opened with the commodities they will ever hold.
    """

    def __init__(self, tz: str, kept: dict[AccountUnit, int]) -> None:
        self.day = ""
        self._tz = tz
        self._kept = kept
        self._units: dict[str, list[str]] = {}
        for account, unit in sorted(kept):
            self._units.setdefault(account, []).append(commodity(unit))
        self._open: set[str] = set()
        self._sums: dict[AccountUnit, int] = {}
        self._moved: set[AccountUnit] = set()
        self._prev = GENESIS

    def day_of(self, at: int) -> str:
        """Return the local day, never before the last: clocks have been set back over midnight (St. John's, until
        2011).
        """
        return max(self.day, local_day(self._tz, at))

    def enter(self, stored: StoredEntry) -> Iterator[str]:
        """Return the directives of the next entry: assertions where a month begins, accounts it uses first, a
        transaction.
        """
        content = read_linked(stored, self._prev)
        self._prev = stored.hash
        day = self.day_of(stored.at)
        if day[:7] != self.day[:7]:
            yield from self.assertions(self._moved, date.fromisoformat(f"{day[:7]}-01"))
            self._moved.clear()
        self.day = day
        if content["postings"]:
            yield from self._accounts_opened(content["postings"])
            yield from _transaction(content, day, local_time(self._tz, stored.at).strftime("%H:%M:%S"), stored.hash)
        for account, unit, amount in content["postings"]:
            self._sums[account, unit] = self._sums.get((account, unit), 0) + amount
            self._moved.add((account, unit))

    def _accounts_opened(self, postings: list[Any]) -> Iterator[str]:
        new = {account for account, _, _ in postings} - self._open
        self._open |= new
        if new:
            yield ""
        for account in sorted(new):
            yield f"{self.day} open {account_name(account)} {','.join(self._units.get(account, ()))}".rstrip()

    def assertions(self, balances: Iterable[AccountUnit], day: date) -> Iterator[str]:
        """Assert that these accounts hold at the start of `day` what they hold by now, to the last unit."""
        if balances:
            yield ""
        for account, unit in sorted(balances):
            amount = _amount(self._sums[account, unit], unit)
            yield f"{day} balance {account_name(account)} {amount} ~ 0 {commodity(unit)}"

    def close(self, handle: str) -> Iterator[str]:
        """Yield the balance of every account after the last day. Raises BooksError unless the bot's ledger agrees."""
        for account, unit in sorted({*self._sums, *self._kept}):
            entered, kept = self._sums.get((account, unit), 0), self._kept.get((account, unit), 0)
            if entered != kept:
                raise BooksError(
                    f"book {handle}: the entries of {account} sum to {entered} {unit}, its balance says {kept}"
                )
        yield from self.assertions(self._sums, date.fromisoformat(self.day) + _DAY)


def _transaction(content: dict[str, Any], day: str, time: str, entry_hash: str) -> Iterator[str]:
    told = narrate(read_fact(fields) for fields in content["facts"])
    payee = ", ".join(dict.fromkeys(one.payee for one in told if one.payee))
    text = "; ".join(one.text for one in told)
    tags = "".join(f" #{tag}" for tag in dict.fromkeys(one.tag for one in told))
    links = "".join(f" ^{link}" for one in told for link in one.links)
    yield ""
    yield f"{day} * {quoted(payee)} {quoted(text)}{tags}{links}"
    yield f"  entry: {content['seq']}"
    yield f'  hash: "{entry_hash}"'
    event = content["input"].get("event")
    if event is not None:
        yield f'  event: "{event["id"]}"'
    yield f'  time: "{time}"'
    for account, unit, amount in content["postings"]:
        yield f"  {account_name(account)}  {_amount(amount, unit)} {commodity(unit)}"
