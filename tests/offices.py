"""An office: the desk and its store, with everything between them that the bot does, but no relay.

What lives here: a database with a house in it (an operator, a machine, two LPs with cash), taking events and committing
what comes of them, opening it again. What does not: what is sent (runtime/outbox.py has tests of its own).
"""

import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from nostrbot.core.book import Book
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope
from nostrbot.runtime.bookkeeper import Bookkeeper
from nostrbot.runtime.inbox import Handed
from nostrbot.runtime.turn import Turn
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store
from tests.signers import Plain, Signer, sale_of, verified

BOT = Keys.from_secret("b0" * 32)
PLATFORM, OPERATOR, MACHINE, ANA, BEN = (Signer(name) for name in ("platform", "antigua", "m1", "ana", "ben"))
OPENED_AT = 1_790_000_000  # when the house below was furnished

HOUSE: tuple[tuple[Signer, str], ...] = (
    (PLATFORM, f"operator add {OPERATOR.npub} name=antigua tz=America/Guatemala"),
    (PLATFORM, "platform fee cash_in=1% cash_out=1.5%"),
    (OPERATOR, f"machine add {MACHINE.npub} name=m1 fiat=GTQ cash_in=5% cash_out=6.27%"),
    (OPERATOR, f"lp add {ANA.npub} machine=m1 name=ana"),
    (OPERATOR, f"lp add {BEN.npub} machine=m1 name=ben"),
    (ANA, "join"),
    (BEN, "join"),
    (OPERATOR, "deposit add ana 9000 machine=m1"),
    (OPERATOR, "deposit add ben 1000 machine=m1"),
    (OPERATOR, "deposit confirm d1"),
    (OPERATOR, "deposit confirm d2"),
)


def command(who: Signer, text: str, at: int = OPENED_AT, **options: Any) -> Plain:
    """A direct message to the bot."""
    return who.command(text, to=BOT.pubkey, at=at, **options)


def report(n: int, at: int = OPENED_AT, *, machine: Signer = MACHINE, **changes: Any) -> Plain:
    """The machine's n-th sale, told to the bot."""
    return machine.report(sale_of(machine, n, **changes), to=BOT.pubkey, at=at)


async def look_at_clock(bookkeeper: Bookkeeper, key: str, now: int) -> Turn:
    """Have what is due by the clock decided in one book."""
    return await bookkeeper.take([Handed(key, None)], lambda: now)


class Office:
    """A store and the desk over it. `now` is the bot's clock."""

    def __init__(self, store: Store, bookkeeper: Bookkeeper) -> None:
        self.store = store
        self.bookkeeper = bookkeeper
        self.now = OPENED_AT

    @property
    def book(self) -> Book:
        """The operator's book."""
        return self.bookkeeper.books[OPERATOR.pubkey]

    @property
    def head(self) -> str:
        """The hash the operator's chain ends with."""
        return self.bookkeeper.live[OPERATOR.pubkey].chain.head

    async def decide(self, *events: Plain) -> Turn:
        """One turn of the desk, not committed."""
        return await self.bookkeeper.take([verified(event) for event in events], lambda: self.now)

    async def take(self, *events: Plain) -> Turn:
        """One turn of the desk, committed."""
        turn = await self.decide(*events)
        await self.store.writer.commit(turn.batch)
        return turn

    async def reload(self) -> None:
        """Throw the books away and load them again, as the bot does when a commit failed."""
        self.bookkeeper = await _make_desk(self.store)

    async def say(self, *words: tuple[Signer, str]) -> Turn:
        """Commands, committed."""
        return await self.take(*[command(who, text, self.now) for who, text in words])


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, as somebody else's program reads them."""
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for (name,) in names}


async def open_office(path: Path) -> Office:
    """Open a database as the bot does at its start."""
    store = await Store.open(sqlite_url(path))
    try:
        return Office(store, await _make_desk(store))
    except BaseException:
        await store.close()
        raise


async def _make_desk(store: Store) -> Bookkeeper:
    live = await store.load_books(BOT.pubkey, PLATFORM.pubkey)
    await store.examine(live)
    _, highest_row = await store.queries.outbox_state()
    return Bookkeeper(live, await store.queries.sightings(), Envelope(BOT), store.queries, highest_row + 1)


@asynccontextmanager
async def office(path: Path, *, house: Iterable[tuple[Signer, str]] = HOUSE) -> AsyncIterator[Office]:
    """An office on a database, furnished first where it is new; closed afterwards."""
    is_new = not path.exists()
    opened = await open_office(path)
    try:
        if is_new:
            await opened.say(*house)
        yield opened
    finally:
        await opened.store.close()
