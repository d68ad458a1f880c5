"""Questions: what one operator's machine waits for its acks while an LP of another operator asks without pause.

What lives here: an LP with very many legs, who always has some questions unanswered, and the machine's stopwatch; and what a
settlement with many notes costs whoever adds one or looks at it. What does not: the traffic of receipts (end_to_end.py).
"""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import orjson

from bench.end_to_end import open_message
from bench.figures import Aim, Figure
from bench.house import Books, House, batches, open_books, run
from bench.wire import START_MAX_S, Wire, connected, process, quantile
from nostrbot.home.config import Home, relays_text
from nostrbot.home.keyfile import write_key_file
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.messages import event_message, req_message
from nostrbot.nostr.sealing import Scheme
from nostrbot.runtime.hearing import COMMANDS_PER_S

RATIO_AIM = 2  # what others ask may make an ack so many times later
NOTES_RATIO_AIM = 2
SALES_PER_S = 10
PARTIES = 24  # so many shares of a fee, all of one LP: as many legs, and one more, in each sale
AHEAD = 4  # questions that wait for an answer
PATIENCE_S = 5.0  # then a question counts as dropped, and another is asked
SETTLED_S = 60  # by then an operator who enrolled everybody may say as much as ever
ACK, ANSWER = b'["EVENT","acks",', b'["EVENT","answers",'


def measure(*, quick: bool) -> list[Figure]:
    """Acks in peace and beside 100,000 legs being asked for; a note and a look at 10 and at 1,000 notes."""
    figures = run(_measure_acks(legs=500 if quick else 100_000, seconds=1 if quick else 20))
    few, many = (2, 10) if quick else (10, 1_000)
    return figures + run(_measure_notes(few, many, rounds=3 if quick else 20))


async def _measure_acks(legs: int, seconds: int) -> list[Figure]:
    house, asker = House(2), House(1, "asker")
    with tempfile.TemporaryDirectory(prefix="nostrbot-bench-") as folder:
        async with process("bench.loopback_relay") as (_, url):
            home = Home(Path(folder) / "home")
            home.key_file.parent.mkdir(parents=True)
            write_key_file(home.key_file, house.bot, None)
            home.write_platform(house.platform.pubkey)
            home.relays_file.write_text(relays_text([url]))
            async with open_books(house, home.database_file, asker) as books:
                made = await _make_legs(books, asker, legs)
            async with process("nostrbot", "run", "--home", str(home.path)), connected(url) as wire:
                stage = Stage(house, asker, wire)
                await stage.subscribe()
                await stage.acks_ms(1)  # shared secrets are known from here on
                quiet = await stage.acks_ms(seconds)
                began, asking = perf_counter(), asyncio.create_task(stage.ask_without_pause())
                beside = await stage.acks_ms(seconds)
                lasted_s = perf_counter() - began
                asking.cancel()
                with suppress(asyncio.CancelledError):
                    await asking
    at_rest, asked = quantile(quiet, 99), quantile(beside, 99)
    return [
        Figure("legs of the LP that asks", made, ""),
        Figure(f"ack at {SALES_PER_S} sales/s in peace, p50", quantile(quiet, 50), "ms"),
        Figure(f"ack at {SALES_PER_S} sales/s in peace, p99", at_rest, "ms"),
        Figure("ack while the LP asks without pause, p50", quantile(beside, 50), "ms"),
        Figure("ack while the LP asks without pause, p99", asked, "ms"),
        Figure("p99 of an ack, asked against in peace", asked / at_rest, "times", Aim(RATIO_AIM, below=True)),
        Figure("questions answered meanwhile", stage.answered / lasted_s, "/s"),
    ]


async def _make_legs(books: Books, asker: House, legs: int) -> int:
    """Sales of the asker's machine until its only LP has so many legs; how many it has."""
    [name] = asker.lps
    shares = [100 / PARTIES] * PARTIES
    parts = [f"{share:.2f}" for share in shares[:-1]]
    parts.append(f"{100 - sum(map(float, parts)):.2f}")
    words = " ".join(f"p{place}={part}%:{name}" for place, part in enumerate(parts))
    await books.enter([asker.command(asker.operator, f"splits set {words}")])
    made, sold = 0, 0
    while made < legs:
        for batch in batches(asker.sales(min(1_024, 1 + (legs - made) // (PARTIES + 1)), first=sold)):
            await books.enter(batch)
            sold += len(batch)
        made = sold * (PARTIES + 1)
    return made


class Stage:
    """The machine that sells and waits, and the LP that asks."""

    def __init__(self, house: House, asker: House, wire: Wire) -> None:
        self._house, self._asker, self._wire = house, asker, wire
        [self._lp] = asker.lps.values()
        self._sold, self._asked, self.answered = 0, 0, 0

    async def subscribe(self) -> None:
        """Ask for the machine's acks and the LP's answers."""
        bot = {self._house.bot.pubkey}
        ready = self._wire.watch(b'["EOSE"', 2)
        self._wire.send(
            req_message("acks", [Filter(kinds={kinds.SETTLEMENT}, authors=bot, p_tags={self._house.machine.pubkey})]),
            req_message("answers", [Filter(kinds={kinds.DIRECT_MESSAGE}, authors=bot, p_tags={self._lp.pubkey})]),
        )
        await asyncio.wait_for(ready.wait(), START_MAX_S)

    async def acks_ms(self, seconds: int) -> list[float]:
        """Milliseconds from each sale, published at SALES_PER_S, to its ack."""
        sales = self._house.sales(seconds * SALES_PER_S, first=self._sold)
        self._sold += len(sales)
        frames = [event_message(sale) for sale in sales]
        self._wire.messages.clear()
        published: dict[str, float] = {}
        begin = perf_counter()
        for number, (sale, frame) in enumerate(zip(sales, frames, strict=True)):
            await asyncio.sleep(max(0.0, begin + number / SALES_PER_S - perf_counter()))
            published[sale.id] = perf_counter()
            self._wire.send(frame)
        acks = await self._wire.first_arrivals(ACK, len(sales))
        came: dict[str, float] = {}
        for at, message in acks.values():
            ack = orjson.loads(open_message(self._house.machine_envelope, message))
            came.setdefault(ack["event"], at)
        return [(came[event_id] - at) * 1e3 for event_id, at in published.items()]

    async def ask_without_pause(self) -> None:
        """Ask, and ask again as soon as there is an answer, with AHEAD questions on the way; until cancelled."""
        while True:
            before = self._answers()
            self._wire.send(*[event_message(self._question()) for _ in range(AHEAD - self._unanswered(before))])
            ended = perf_counter() + PATIENCE_S
            while self._answers() == before and perf_counter() < ended:
                await asyncio.sleep(0.005)
            self.answered = self._answers()

    def _unanswered(self, answers: int) -> int:
        return max(0, min(AHEAD - 1, self._asked - answers))

    def _answers(self) -> int:
        return sum(message.startswith(ANSWER) for _, message in self._wire.messages)

    def _question(self) -> VerifiedEvent:
        self._asked += 1
        return self._asker.command(self._lp, "stats", Scheme.NIP04, self._asked)


async def _measure_notes(few: int, many: int, rounds: int) -> list[Figure]:
    """A note is timed from its event to its commit, a look from its event to its answer."""
    house = House(2)
    costs: list[tuple[int, float, float]] = []
    with tempfile.TemporaryDirectory(prefix="nostrbot-bench-") as folder:
        async with open_books(house, Path(folder) / "books.sqlite") as books:
            await books.enter(house.sales(1))
            file = File(house, books)
            for count in (few, many):
                await file.fill(count)
                costs.append((file.notes, *await file.cost_ms(rounds)))
    (low, low_note, low_show), (high, high_note, high_show) = costs
    below = Aim(NOTES_RATIO_AIM, below=True)
    return [
        Figure(f"`settlement note` at {low:,} notes", low_note, "ms"),
        Figure(f"`settlement note` at {high:,} notes", high_note, "ms"),
        Figure("`settlement note`, many against few", high_note / low_note, "times", below),
        Figure(f"`settlement show` at {low:,} notes", low_show, "ms"),
        Figure(f"`settlement show` at {high:,} notes", high_show, "ms"),
        Figure("`settlement show`, many against few", high_show / low_show, "times", below),
    ]


class File:
    """A settlement that is written about, by an operator who keeps to the pace it is allowed."""

    def __init__(self, house: House, books: Books) -> None:
        self._house, self._books = house, books
        self._said, self._late_s = 0, SETTLED_S
        self.notes = 0

    async def fill(self, count: int) -> None:
        """Add notes until there are so many, or until the book has had enough of them."""
        before = -1
        while before < self.notes < count:
            before = self.notes
            await self._add(min(COMMANDS_PER_S, count - self.notes))

    async def cost_ms(self, rounds: int) -> tuple[float, float]:
        """What one more note costs, and one look, at best."""
        note_s, show_s = [], []
        for _ in range(rounds):
            note_s.append(await self._add(1))
            look = self._house.command(self._house.operator, "settlement show s1 --json", number=self._said)
            started = perf_counter()
            turn = await self._books.take([look], ahead_s=self._late_s)
            for question, _ in turn.questions:
                await self._books.bookkeeper.reading.answer(question)
            show_s.append(perf_counter() - started)
        return min(note_s) * 1e3, min(show_s) * 1e3

    async def _add(self, count: int) -> float:
        """Say so many notes; the seconds until they are committed."""
        events = [
            self._house.command(self._house.operator, f'settlement note s1 "number {self._said + n}"')
            for n in range(count)
        ]
        self._said += count
        self._late_s += 2
        started = perf_counter()
        turn = await self._books.take(events, ahead_s=self._late_s)
        await self._books.store.writer.commit(turn.batch)
        took_s = perf_counter() - started
        self.notes += len(turn.batch.entries)
        return took_s
