"""Rows: a book's settlements, legs and deposits, oldest first, under the names of docs/protocol.md section 6.

What lives here: which books there are to export, and reading them a page at a time: memory does not grow with the
journal. What does not: how a row is written (sheet.py, export.py) and the ledger (beancount.py). Acceptance B5, B13.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from nostrbot.core.atm.dossier import as_it_stands
from nostrbot.core.atm.settlements.facts import Leg
from nostrbot.core.book import ROOT, Book
from nostrbot.core.facts import read_fact
from nostrbot.core.plain import View
from nostrbot.core.platform.facts import BookOpened
from nostrbot.errors import ConfigError
from nostrbot.messages.receipts import Payment, payment_of
from nostrbot.nostr.keys import npub
from nostrbot.store.lineage import book_of
from nostrbot.store.queries import Queries
from nostrbot.store.stored import StoredEntry
from nostrbot.views.records import deposit_view, leg_view, leg_views, settlement_view

PAGE_SETTLEMENTS = 200  # each comes with its entries; an entry with fifty LPs has some 15 kB
PAGE_LEGS = 500


@dataclass(frozen=True, slots=True)
class Title:
    """An export's prior knowledge of a book: its operator, and its time zone. `key` is hex."""

    key: str
    handle: str
    tz: str


async def read_titles(queries: Queries, operator: str | None) -> list[Title]:
    """Return the operators' books in the order they were opened, or the book of `operator` (hex). Raises ConfigError
    if none.
    """
    wanted = None if operator is None else await book_of(queries, operator)
    titles = []
    for key in await queries.book_numbers():
        if key == ROOT or wanted not in (None, key):
            continue
        first = (await queries.entries_at(key, [1]))[1]
        opened = read_fact(first.plain()["facts"][0])
        assert isinstance(opened, BookOpened), "the first entry of a book opens it"
        titles.append(Title(key, opened.handle, opened.tz))
    if operator is not None and not titles:
        raise ConfigError("there is no book of that operator here: `nostrbot status` lists them")
    return titles


async def settlement_rows(queries: Queries, title: Title) -> AsyncIterator[View]:
    """Yield every settlement as it stands, with all its legs, as `settlement show` has it."""
    after = 0
    while page := await queries.settlements(title.key, after=after, oldest_first=True, limit=PAGE_SETTLEMENTS):
        for stored in page:
            dossier = stored.dossier()
            settlement = as_it_stands(dossier)
            view = settlement_view(settlement, entry=dossier.seq, entry_hash=dossier.hash)
            yield {"operator": title.handle, **view, "legs": list(leg_views(settlement, settlement.legs))}
        after = page[-1].number


async def leg_rows(queries: Queries, title: Title) -> AsyncIterator[View]:
    """Yield every leg as it stands, also those of no settlement, with the entry it was made in."""
    after = 0
    while page := await queries.legs(title.key, after=after, limit=PAGE_LEGS):
        entries = await queries.entries_at(title.key, sorted({seq for _, _, seq in page}))
        made = {
            leg.number: (payment, leg, stored) for stored in entries.values() for payment, leg in _legs_made_in(stored)
        }
        for number, status, _ in page:
            payment, leg, stored = made[number]
            view = leg_view(
                leg._replace(status=status), settlement=payment.number, currency=payment.currency, rate=payment.rate
            )
            yield {
                "operator": title.handle,
                **view,
                **({"party": npub(leg.pubkey)} if leg.pubkey else {}),
                "machine": payment.machine,
                "at": stored.at,
                "entry": stored.seq,
                "entry_hash": stored.hash,
            }
        after = page[-1][0]


def _legs_made_in(stored: StoredEntry) -> list[tuple[Payment, Leg]]:
    made = []
    for fields in stored.plain()["facts"]:
        if fields.get("legs"):
            fact = read_fact(fields)
            payment = payment_of(fact)
            assert payment is not None, "only a payment has legs"
            made += [(payment, leg) for leg in fact.legs]  # type: ignore[union-attr]
    return made


async def deposit_rows(title: Title, book: Book) -> AsyncIterator[View]:
    """Yield every deposit as it stands."""
    for deposit in book.deposits.values():
        yield {"operator": title.handle, **deposit_view(deposit)}
