"""The house every world begins with: two operators, three machines, four LPs with cash, and nothing sold yet.

What lives here: what was said to furnish it, and the database that came of it, made once and copied. What does not: what
happens in it (world.py).
"""

import asyncio
from functools import cache
from pathlib import Path
from random import Random

from nostrbot.nostr.event import VerifiedEvent, read_event
from nostrbot.nostr.sealing import Envelope, Scheme
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.store.batch import Batch
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store
from tests.houses import BOT, DAWN, person
from tests.simulator.clock import VirtualLoop
from tests.simulator.people import say
from tests.simulator.process import Process, current

HOUSE_AT = DAWN  # unix seconds
WORDS: tuple[tuple[str, str], ...] = (
    ("platform", "operator add @operator name=antigua tz=America/Guatemala"),
    ("platform", "operator add @flores name=flores tz=Europe/Berlin"),
    ("platform", "platform fee cash_in=1% cash_out=1.5%"),
    ("operator", "machine add @m1 name=m1 fiat=GTQ cash_in=5% cash_out=6.27%"),
    ("operator", "machine add @m2 name=m2 fiat=GTQ cash_in=5% cash_out=6.27%"),
    ("flores", "machine add @m3 name=m3 fiat=JPY cash_in=0% cash_out=7.77%"),
    *(("operator", f"lp add @{lp} machine=m1 name={lp}") for lp in ("ana", "ben", "eva", "leo")),
    ("operator", "lp add @eva machine=m2 name=eva"),
    ("operator", "lp add @ana machine=m2 name=ana"),
    ("flores", "lp add @ana machine=m3 name=ana"),
    ("flores", "lp add @leo machine=m3 name=leo"),
    *((lp, "join") for lp in ("ana", "ben", "eva", "leo")),
    ("leo", "mode fixed limit=500"),
    ("operator", "deposit add ana 9000 machine=m1"),
    ("operator", "deposit add ben 1000.01 machine=m1"),
    ("operator", "deposit add eva 333.33 machine=m1"),
    ("operator", "deposit add leo 700 machine=m1"),
    ("operator", "deposit add eva 2000 machine=m2"),
    ("flores", "deposit add ana 50000 machine=m3"),
    *(("operator", f"deposit confirm d{n}") for n in range(1, 6)),
    ("flores", "deposit confirm d1"),
    ("operator", "fixed schedule 06:00,12:00,18:00"),
    ("flores", "fixed schedule 02:30,14:00"),
)


@cache
def house_file(folder: Path) -> Path:
    """The database, made when it is first asked for."""
    path = folder / "house.sqlite"
    loop = VirtualLoop()
    try:
        loop.run_until_complete(_furnish(path))
    finally:
        loop.close()
    return path


async def _furnish(path: Path) -> None:
    process = Process("house", 1, path, Random(0), lambda _: None, breath=0.0)
    current.set(process)
    store = await Store.open(sqlite_url(path))
    sequencer = Sequencer(
        store,
        Envelope(BOT),
        bot=BOT.pubkey,
        platform=person("platform").pubkey,
        clock=lambda: HOUSE_AT,
        stopping=asyncio.Event(),
    )
    await sequencer.load()
    letters = [
        say(who, text, at=HOUSE_AT - len(WORDS) + place, scheme=Scheme.NIP04, name=b"house").event
        for place, (who, text) in enumerate(WORDS)
    ]
    events = [event for event in map(read_event, letters) if isinstance(event, VerifiedEvent)]
    async for _ in sequencer.take(events):
        pass
    owed = [row.id for row in await store.queries.outbox(after=0, limit=500)]
    async with sequencer.lock:
        await sequencer.commit(Batch(delivered=owed))
    await store.close()
    process.die("furnished")
