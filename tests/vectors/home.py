"""A golden home: a bot as the code of one number of the rules left it, in the midst of its work.

python -m tests.vectors.home [FOLDER]

Makes one with the code of today in `FOLDER/<rules>/` (without FOLDER in `homes/` here), once: its database as it lies on the
disk (`nostrbot.db`), the backup made of it (`home.backup`), `relays.yaml`, and `home.json`: whose key it has, where its books end,
and the messages that it owes, by the ids that this code gives them. The test is tests/test_golden_homes.py. No key lies here but in the
backup: people are made of their names (tests/houses.py).
"""

import asyncio
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
from loguru import logger

import nostrbot.runtime.bookkeeper
from nostrbot.backup.copy import back_up
from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.nostr.sealing import Scheme
from nostrbot.runtime.alerting import Alerting, Reach
from nostrbot.runtime.notary import Notary
from nostrbot.runtime.outbox import Outbox, _item
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.store.batch import Batch, Owed
from tests.houses import person
from tests.vectors.record import VECTORS
from tests.vectors.scene import Scene, envelope, make_home, scene_in
from tests.vectors.stories import DAY_S, LPS_WITH_CASH, OPENING

HOMES = VECTORS / "homes"
DATABASE, BACKUP, RELAYS, ABOUT = "nostrbot.db", "home.backup", "relays.yaml", "home.json"
SNAPSHOT_EVERY = 11  # so that a book has several, and entries after the newest
ROWS_MAX = 500


async def live(at: Scene) -> None:
    """Something of everything that a database holds: entries, all projections, snapshots, sightings, alarms, checkpoints, debts."""
    await at.script(OPENING + LPS_WITH_CASH)
    await at.script(
        """
        platform: operator add @flores name=flores tz=Europe/Berlin
        flores: machine add @f1 name=f1 fiat=JPY cash_in=0 cash_out=5%
        flores: lp add @ana machine=f1 name=ana
        ana: mode fixed limit=500
        operator: splits set house=60%:self ana=40%:ana
        operator: fixed schedule 08:00,20:00
        operator: fixed limit 100
        operator: alerts low=400 sheet=08:30
        operator: machine set m1 enforce_fee_match=on
        """
    )
    await at.state("m1", _1=(100, 480))
    await at.speak("m1", Subject.BEACON, {"cash_in": True, "cash_level": "low"}, Scheme.PLAIN)
    await at.speak("m1", Subject.TELEMETRY, {"cpu": 0.5}, Scheme.NIP44)
    for _ in range(3):
        await at.sell()
    await at.sell(fiat="90000000000000.00", rate="0.000000000000011111", principal=1, fee=0, tx_type="cash_in")
    await at.sell(fee=1)
    await at.sell(fee_sats="none")
    await at.say("operator", "guard m1 per_settlement=1500")
    await at.sell()
    await at.sell()
    await at.script(
        """
        operator: settlement note s1 "customer called"
        operator: settlement partial s1 fiat=1500 note=jam
        operator: settlement refund s2 reason="paid back"
        operator: settlement reset s6 reason=x
        operator: deposit reverse d1 reason=x amount=100
        operator: deposit add ben 7 machine=m1
        """
    )
    await notice_and_sign(at)
    await at.rotate("bot-b")
    at.now += DAY_S
    await at.tick(at.now)
    await at.sell(fiat="100", n=99)
    await at.sell("f1", fiat=100)
    await at.sell(fiat="10", n=90_000)
    await at.script(
        """
        flores: machine add @f2 name=f2 fiat=JPY cash_in=0 cash_out=5%
        platform: machine free @f2
        operator: splits set house=60%:self paper=40%:@paper
        operator: settle ana 2 machine=m1 rate=50
        """
    )
    await at.sell(fiat="20", n=101)
    await at.say("operator", f'payment void l{at.book("antigua").leg_count - 5} reason="twice"')
    await at.script(
        f"""
        operator: machine compromised m1 since={at.now - 1}
        operator: machine rotate m1 @m1-b
        operator: machine resume m1
        operator: settlement release s{at.book("antigua").settlement_count}
        operator: settle ana 1 machine=m1 rate=50
        """
    )
    await notice_and_sign(at)
    rows = [row.id for row in await at.store.queries.outbox(after=0, limit=ROWS_MAX)]
    await at.store.writer.commit(Batch(delivered=rows[:-12], partly_delivered=[(rows[-1], b"[0]")]))


async def notice_and_sign(at: Scene) -> None:
    """What the bot does by itself: operators are told what is amiss, and checkpoints are signed."""
    at.now += DAY_S
    tidings = await Alerting().look(
        at.bookkeeper.books, at.bookkeeper.sightings, at.store.queries, Reach(True, 1, 1), at.now
    )
    owed = [Owed(at.bookkeeper.new_row(), None, None, body) for body in tidings.messages.values()]
    await at.store.writer.commit(Batch(owed=owed, alarms=tidings.told))
    bot, platform = person(at.bot), person("platform").pubkey
    sequencer = Sequencer(
        at.store,
        envelope(at.bot),
        bot=bot.pubkey,
        platform=platform,
        clock=lambda: at.now,
        stopping=asyncio.Event(),
    )
    await sequencer.load()
    notary = Notary(sequencer, bot, lambda: at.now)
    await notary.load()
    for key in notary.books_due(at.now):
        assert await notary.sign_daily(key)
    await at.open_desk()


async def owed_messages(at: Scene) -> list[str]:
    """The ids of the messages that a bot started now would publish first of all, in their order."""
    outbox = Outbox(at.bookkeeper.books, person(at.bot), envelope(at.bot), None, at.store.queries)  # type: ignore[arg-type]
    ids = []
    for row in await at.store.queries.outbox(after=0, limit=ROWS_MAX):
        item = _item(row)
        fields = {} if item.body is None else orjson.loads(item.body)
        if "event" in fields:
            ids.append(fields["event"]["id"])
            continue
        messages = outbox._messages(item)
        ids += [
            outbox._make(message, dated).id
            for place, (message, dated) in enumerate(messages)
            if place not in item.delivered and not message.outdated
        ]
    return ids


async def heads_of(at: Scene) -> dict[str, Any]:
    """Where each book ends."""
    return {key: {"entries": entries, "head": head} for key, entries, head, _ in await at.store.queries.heads()}


async def make(folder: Path) -> None:
    """Make a golden home. Raises FileExistsError where its number has one."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        patch.object(nostrbot.runtime.bookkeeper, "SNAPSHOT_EVERY_ENTRIES", SNAPSHOT_EVERY),
    ):
        home = make_home(Path(scratch))
        async with scene_in(home) as at:
            await live(at)
            bodies = (await at.store.queries.entries_at("root", [1]))[1].plain()
            about = {
                "bot": at.bot,
                "now": at.now,
                "sold": at.sold,
                "keys": at.keys | {"m1": "m1-b"},
                "books": await heads_of(at),
                "owed": await owed_messages(at),
            }
            print(*at.silent, sep="\n")
        place = folder / str(bodies["rules"])
        place.mkdir(parents=True)
        (place / ABOUT).write_bytes(orjson.dumps(about, option=orjson.OPT_INDENT_2) + b"\n")
        shutil.copyfile(home.relays_file, place / RELAYS)
        with closing(sqlite3.connect(home.database_file)) as kept:
            kept.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copyfile(home.database_file, place / DATABASE)
        await back_up(
            home,
            place / BACKUP,
            bot=person(about["bot"]).pubkey,
            platform=person("platform").pubkey,
            with_key=True,
            now=about["now"],
            progress=lambda *_: None,
        )


if __name__ == "__main__":
    logger.remove()
    asyncio.run(make(Path(sys.argv[1]) if len(sys.argv) > 1 else HOMES))
