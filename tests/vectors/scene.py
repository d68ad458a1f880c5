"""A scene: the real desk over a real database, in which people and machines say what a story has them say.

What lives here: everything between a signed event and an exported trail, with keys, nonces and a clock that are always the
same: the same story and the same code give the same bytes. What does not: the stories (stories.py), the files (record.py).
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.core.book import Book
from nostrbot.core.platform.succession import countersign, make_statement, read_statement, read_succession
from nostrbot.exports.trail import export_trail
from nostrbot.home.config import Home, relays_text
from nostrbot.home.keyfile import write_key_file
from nostrbot.money import PPM
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, read_event, sign_event
from nostrbot.nostr.giftwrap import make_wrap
from nostrbot.nostr.sealing import Envelope, Scheme
from nostrbot.refusals import Refusal
from nostrbot.runtime import rotation
from nostrbot.runtime.bookkeeper import Bookkeeper
from nostrbot.runtime.healing import heal
from nostrbot.runtime.turn import Turn
from nostrbot.store.store import Store
from tests.houses import DAWN, payment_hash, person, sale, told
from tests.offices import look_at_clock

RELAY = "wss://relay.example.com"
SCHEMES = (Scheme.PLAIN, Scheme.NIP44, Scheme.PLAIN, Scheme.PLAIN, Scheme.NIP04, Scheme.PLAIN, Scheme.PLAIN)


@cache
def envelope(name: str) -> Envelope:
    """What somebody seals and opens letters with."""
    return Envelope(person(name))


class Scene:
    """A bot's home, its store and its desk. `now`: the bot's clock, which moves one second with everything said."""

    def __init__(self, home: Home, store: Store) -> None:
        self.home = home
        self.store = store
        self.now = DAWN
        self.bot = "bot"
        self.keys: dict[str, str] = {}  # by machine: whose key it speaks with, where that is not its name
        self.sold = 0
        self.silent: list[str] = []  # what came to no entry
        self.bookkeeper: Bookkeeper

    async def open_desk(self) -> None:
        """Load the books as a start does."""
        live = await self.store.load_books(person(self.bot).pubkey, person("platform").pubkey)
        await self.store.examine(live)
        _, highest_row = await self.store.queries.outbox_state()
        sightings = await self.store.queries.sightings()
        self.bookkeeper = Bookkeeper(live, sightings, envelope(self.bot), self.store.queries, highest_row + 1)
        assert not self.bookkeeper.closed_books, self.bookkeeper.closed_books

    def book(self, handle: str) -> Book:
        """An operator's book."""
        return next(book for book in self.bookkeeper.books.values() if book.handle == handle)

    def _home_of(self, machine: str) -> Book:
        return next(book for book in self.bookkeeper.books.values() if machine in book.machines)

    # --- what happens -------------------------------------------------------------------------------------------------

    async def take(self, event: VerifiedEvent, said: str = "") -> Turn:
        """One event through the front door, decided and committed."""
        read = read_event(event.plain())
        assert isinstance(read, VerifiedEvent), read
        turn = await self.bookkeeper.take([read], lambda: self.now)
        await self.store.writer.commit(turn.batch)
        if not turn.batch.entries:
            answers = [orjson.loads(row.body)["text"] for row in turn.batch.owed if row.body is not None]
            self.silent.append(f"{said}: {answers or [message.text for message in turn.say]}")
        return turn

    async def say(self, who: str, text: str, scheme: Scheme = Scheme.NIP04, *, age_s: int = 0) -> Turn:
        """A command, dated `age_s` before it arrives."""
        self.now += 1
        at, to, words = self.now - age_s, person(self.bot).pubkey, told(text)
        if scheme is Scheme.NIP17:
            event = make_wrap(person(who), envelope(who), to=to, text=words, at=at, name=b"letter")
        else:
            content = envelope(who).seal_to(to, words, scheme, b"letter")
            event = sign_event(person(who), kind=kinds.DIRECT_MESSAGE, tags=[["p", to]], content=content, created_at=at)
        return await self.take(event, f"{who}: {text}")

    async def script(self, lines: str) -> None:
        """Commands, one a line: `ana: join`, or `ana/nip44: join` and `ana/nip17: join`."""
        for line in filter(None, map(str.strip, lines.splitlines())):
            who, _, text = line.partition(": ")
            name, _, scheme = who.partition("/")
            await self.say(name, text, Scheme(scheme or "nip04"))

    async def sell(
        self,
        machine: str = "m1",
        /,
        *,
        fiat: str | int = "2000.00",
        rate: str | int = "50",
        fee: int | None = None,
        principal: int | None = None,
        tx_type: str = "cash_out",
        by: str | None = None,
        scheme: Scheme | None = None,
        **changes: Any,
    ) -> VerifiedEvent:
        """A machine (or the key `by`) reports a sale that holds together; `changes` then spoil any field. Returns the event.

        Schemes take turns where none is given.
        """
        scheme = scheme or SCHEMES[self.sold % len(SCHEMES)]
        self.sold += 1
        book, signer = self._home_of(machine), by or self.keys.get(machine, machine)
        cash_in, settings = tx_type == "cash_in", book.machines[machine]
        if principal is None:
            principal = int(Fraction(str(fiat)) * Fraction(str(rate)))
        if fee is None:
            own_ppm = settings.cash_in_ppm if cash_in else settings.cash_out_ppm
            fee = sum(principal * ppm // PPM for ppm in (book.platform_ppm(cash_in=cash_in), own_ppm))
        amounts = {
            "n": self.sold,
            "txid": f"{self.sold:04x}",
            "payment_hash": payment_hash(self.sold),
            "tx_type": tx_type,
            "wire_sats": principal - fee if cash_in else principal + fee,
            "principal_sats": principal,
            "fee_sats": fee,
            "fiat_amount": fiat,
            "fiat_code": settings.fiat,
            "exchange_rate": rate,
            "occurred_at": self.now,
        }
        return await self.report(signer, sale(signer, **(amounts | changes)), scheme=scheme)

    async def report(self, signer: str, payload: dict[str, Any], *, scheme: Scheme = Scheme.NIP44) -> VerifiedEvent:
        """A settlement of this content."""
        self.now += 1
        to, text = person(self.bot).pubkey, orjson.dumps(payload).decode()
        content = envelope(signer).seal_to(to, text, scheme, b"report")
        event = sign_event(
            person(signer), kind=kinds.SETTLEMENT, tags=[["p", to]], content=content, created_at=self.now
        )
        await self.take(event, f"{signer} sells {payload}")
        return event

    async def state(self, machine: str, *, age_s: int = 0, **positions: tuple[int | str, int]) -> None:
        """A machine states its cassettes; `_1=(100, 480)`: in position 1, 480 banknotes of 100."""
        self.now += 1
        notes = {p.lstrip("_"): {"denomination": value, "count": count} for p, (value, count) in positions.items()}
        await self.speak(machine, Subject.CASSETTES, {"positions": notes}, Scheme.NIP44, age_s=age_s)

    async def speak(
        self, machine: str, subject: Subject, payload: dict[str, Any], scheme: Scheme, *, age_s: int = 0
    ) -> None:
        """What a machine says of itself."""
        signer = self.keys.get(machine, machine)
        text = orjson.dumps(payload).decode()
        content = envelope(signer).seal_to(person(self.bot).pubkey, text, scheme, b"word")
        kind = kinds.TELEMETRY if subject is Subject.TELEMETRY else kinds.MACHINE_STATE
        tags = [["d", f"{subject}:{person(signer).pubkey}"]]
        event = sign_event(person(signer), kind=kind, tags=tags, content=content, created_at=self.now - age_s)
        await self.take(event, f"{signer} states {payload}")

    async def tick(self, at: int) -> None:
        """The bot looks at its clock, which says `at`, once for each book in which something is due."""
        self.now = at
        for key in self.bookkeeper.books_due(self.now):
            turn = await look_at_clock(self.bookkeeper, key, self.now)
            await self.store.writer.commit(turn.batch)

    async def rotate(self, new: str) -> None:
        """The bot gets another key, as `nostrbot rotate` does it."""
        self.now += 1
        old, platform = person(self.bot), person("platform")
        write_key_file(self.home.next_key_file, person(new), None)
        statement = read_statement(make_statement(old, person(new), self.now))
        assert not isinstance(statement, Refusal)
        succession = read_succession(countersign(platform, statement, self.now), platform.pubkey)
        assert not isinstance(succession, Refusal)
        await rotation.finish(self.home, self.store, succession, None, self.now)
        self.bot = new
        await self.open_desk()

    async def heal(self, *, back_s: int = 0) -> None:
        """A person sets the books' time right by a clock that says `now`, as `nostrbot clock-heal` does it."""
        self.now -= back_s
        await heal(self.store, person(self.bot).pubkey, person("platform").pubkey, self.now, trust_clock=True)
        await self.open_desk()

    # --- what there is of it ------------------------------------------------------------------------------------------

    async def trails(self) -> dict[str, bytes]:
        """Every book's trail, by the operator's name; the root book's is `root`."""
        found = {}
        for key, book in self.bookkeeper.books.items():
            lines = [line async for line in export_trail(self.store.queries, person(self.bot).pubkey, key)]
            found[book.handle or "root"] = b"".join(lines)
        return found


def make_home(path: Path) -> Home:
    """A home as `nostrbot init` leaves it, but for the database."""
    home = Home(path)
    home.key_file.parent.mkdir()
    write_key_file(home.key_file, person("bot"), None)
    home.write_platform(person("platform").pubkey)
    home.relays_file.write_text(relays_text([RELAY]))
    return home


@asynccontextmanager
async def scene_in(home: Home, bot: str = "bot") -> AsyncIterator[Scene]:
    """A scene that goes on, or begins, in this home, whose key is that of `bot`."""
    store = await Store.open(home.database_url({}))
    try:
        opened = Scene(home, store)
        opened.bot = bot
        await opened.open_desk()
        yield opened
    finally:
        await store.close()


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """A new bot in a new home, before anybody has said anything."""
    with tempfile.TemporaryDirectory() as folder:
        async with scene_in(make_home(Path(folder))) as opened:
            yield opened
