"""A house to measure: one operator with one machine and some LPs, and the events they sign.

What lives here: keys, commands and sales, and the live books they are entered into through the bot's own bookkeeper and
writer. What does not: timing. Everything is signed and encrypted before a stopwatch runs.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import orjson

from nostrbot.bot import unix_now
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope, Scheme
from nostrbot.runtime.bookkeeper import Bookkeeper
from nostrbot.runtime.hearing import COMMANDS_PER_S
from nostrbot.runtime.sequencer import TURN_ITEMS_MAX
from nostrbot.runtime.turn import Turn
from nostrbot.store.batch import Batch
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store

T = TypeVar("T")

DEPOSIT_GTQ = 1_000_000_000  # no LP runs dry, so every sale is shared among all
CASSETTES = {str(position): {"denomination": 100, "count": 480} for position in range(1, 3)}


def keys_of(name: str) -> Keys:
    """The keys of somebody, the same in every run."""
    return Keys.from_secret(sha256(f"nostrbot bench {name}".encode()).digest())


class House:
    """Who there is. Signs commands and sales; `lp_count` LPs have joined, with cash for every sale.

    `name`: of the operator. Houses of several names may share one bot and its platform.
    """

    def __init__(self, lp_count: int, name: str = "house") -> None:
        of = "" if name == "house" else f"{name} "
        self.name = name
        self.bot, self.platform = keys_of("bot"), keys_of("platform")
        self.operator, self.machine = keys_of(f"{of}operator"), keys_of(f"{of}machine")
        self.lps = {f"lp{number}": keys_of(f"{of}lp{number}") for number in range(1, lp_count + 1)}
        self.machine_envelope = Envelope(self.machine)

    def commands(self) -> Iterator[VerifiedEvent]:
        """What was said to the bot before the first sale, in order."""
        yield self.command(self.platform, f"operator add {self.operator.npub} name={self.name} tz=America/Guatemala")
        if self.name == "house":  # the platform says it once
            yield self.command(self.platform, "platform fee cash_in=1% cash_out=1.5%")
        yield self.command(self.operator, f"machine add {self.machine.npub} name=m1 fiat=GTQ cash_in=5% cash_out=6.27%")
        for number, (name, keys) in enumerate(self.lps.items(), start=1):
            yield self.command(self.operator, f"lp add {keys.npub} machine=m1 name={name}")
            yield self.command(keys, "join mode=flow", Scheme.NIP04)  # so it gets its receipts, too
            yield self.command(self.operator, f"deposit add {name} {DEPOSIT_GTQ} machine=m1")
            yield self.command(self.operator, f"deposit confirm d{number}")

    def sales(self, count: int, *, first: int = 0, scheme: Scheme = Scheme.NIP44) -> list[VerifiedEvent]:
        """Settlements number `first`, `first` + 1, ... as the machine publishes them."""
        return [self._sale(number, scheme) for number in range(first, first + count)]

    def command(self, keys: Keys, text: str, scheme: Scheme = Scheme.NIP44, number: int = 0) -> VerifiedEvent:
        """What somebody says to the bot. `number`: so that the same words in the same second are another event."""
        content = Envelope(keys).seal_to(self.bot.pubkey, text, scheme, b"command")
        tags = [["p", self.bot.pubkey], *([["n", str(number)]] if number else [])]
        return sign_event(keys, kind=kinds.DIRECT_MESSAGE, tags=tags, content=content, created_at=unix_now())

    def _sale(self, number: int, scheme: Scheme) -> VerifiedEvent:
        payload = {
            "type": "settlement",
            "machine": self.machine.pubkey,
            "n": number,
            "txid": sha256(b"txid %d" % number).hexdigest(),
            "payment_hash": sha256(b"payment %d" % number).hexdigest(),
            "tx_type": "cash_out",
            "wire_sats": 107_770,
            "principal_sats": 100_000,
            "fee_sats": 7_770,
            "fiat_amount": "2000.00",
            "fiat_code": "GTQ",
            "exchange_rate": "50",
            "bills": [{"denomination": 100, "count": 20}],
            "cassettes": CASSETTES,
            "occurred_at": int(time.time()),
        }
        text = orjson.dumps(payload).decode()
        content = self.machine_envelope.seal_to(self.bot.pubkey, text, scheme, b"sale %d" % number)
        tags = [["p", self.bot.pubkey]]
        return sign_event(self.machine, kind=kinds.SETTLEMENT, tags=tags, content=content, created_at=unix_now())


class Books:
    """Live books over a database, as the bot holds them, without relays: nobody waits for what is owed."""

    def __init__(self, store: Store, bookkeeper: Bookkeeper) -> None:
        self.store = store
        self.bookkeeper = bookkeeper

    async def take(self, events: Sequence[VerifiedEvent], *, ahead_s: int = 0) -> Turn:
        """Decide and seal one batch, with a clock that is so far ahead."""
        return await self.bookkeeper.take(events, lambda: unix_now() + ahead_s)

    async def enter(self, events: Sequence[VerifiedEvent], *, per_s: int | None = None) -> None:
        """Decide, seal and commit events, and note that everything owed for them is delivered.

        `per_s`: as if only so many had come in a second.
        """
        entered = 0
        for batch in batches(events):
            entered += len(batch)
            turn = await self.take(batch, ahead_s=entered // per_s if per_s else 0)
            await self.store.writer.commit(turn.batch)
            await self.store.writer.commit(Batch(delivered=[owed.id for owed in turn.batch.owed]))


@asynccontextmanager
async def open_books(house: House, database: Path, *others: House) -> AsyncIterator[Books]:
    """New books of a house, and of others that share its bot, with everybody enrolled."""
    store = await Store.open(sqlite_url(database))
    try:
        live = await store.load_books(house.bot.pubkey, house.platform.pubkey)
        books = Books(store, Bookkeeper(live, {}, Envelope(house.bot), store.queries, next_row=1))
        for one in (house, *others):
            await books.enter(list(one.commands()), per_s=COMMANDS_PER_S)
            seats = books.bookkeeper.books[one.operator.pubkey].seats["m1"]
            assert sum(seat.remaining_minor > 0 for seat in seats) == len(one.lps), "an LP has no cash in the machine"
        yield books
    finally:
        await store.close()


def batches(events: Sequence[VerifiedEvent]) -> Iterator[Sequence[VerifiedEvent]]:
    """Events by turns, as many as the bot takes at once."""
    for start in range(0, len(events), TURN_ITEMS_MAX):
        yield events[start : start + TURN_ITEMS_MAX]


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on the loop the bot runs on: uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
