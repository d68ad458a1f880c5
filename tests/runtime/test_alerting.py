"""The lookout: operators are told by direct message, once, through restarts and disk faults (faults.md rows 17, 49, 51)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy.exc import DBAPIError

from nostrbot.bot import Bot
from nostrbot.core.atm.records import AlertPlan
from nostrbot.nostr import kinds
from nostrbot.nostr.sealing import Scheme
from nostrbot.relays.relay import RelayConfig, RelayHealth
from nostrbot.runtime.alerting import MORE, Alerting, Reach, reach_of
from nostrbot.store.batch import Batch
from nostrbot.store.sqlite import sqlite_url
from nostrbot.views.fitting import fits
from tests.houses import House
from tests.offices import BOT, HOUSE, MACHINE, OPENED_AT, OPERATOR, PLATFORM, command, contents, office, report
from tests.peers.bot_process import settings_of
from tests.peers.local_relay import local_relay
from tests.peers.relay_store import letters
from tests.signers import Plain, Signer, verified
from tests.store.faulty_driver import faulty_driver

FLORES, M3 = Signer("flores"), Signer("m3")
PATIENCE_S = 10.0
DOWN = "m1 is down: no beacon since 08:13"
LOOKS_PER_HOUR = 60


def beacon(machine: Signer, at: int) -> Plain:
    """A machine is there."""
    tags = [["d", f"bitspire-beacon:{machine.pubkey}"]]
    return machine.event(kinds.MACHINE_STATE, '{"cash_out":true}', tags=tags, at=at)


class Watch:
    """A bot that looks around when it is told to, a clock that only the test moves, and what operators are told."""

    def __init__(self, bot: Bot, now: int) -> None:
        self.bot = bot
        self.now = now
        self._read_up_to = 0

    async def look(self, seconds: int = 60) -> list[str]:
        """What one look, so much later, tells; a text each message."""
        self.now += seconds
        await self.bot.notices.look_out()
        return [fields["text"] for fields in await self.owed()]

    async def owed(self) -> list[dict[str, Any]]:
        """The messages that are owed since this was asked last."""
        rows = await self.bot.store.queries.outbox(after=self._read_up_to, limit=500)
        self._read_up_to = max((row.id for row in rows), default=self._read_up_to)
        return [orjson.loads(row.body) for row in rows if row.body is not None]

    async def looks(self, count: int) -> list[str]:
        """So many looks, a minute apart."""
        return [text for _ in range(count) for text in await self.look()]

    async def take(self, *events: Plain) -> None:
        """Something arrives, and is decided and committed."""
        turn = await self.bot.bookkeeper.take([verified(event) for event in events], lambda: self.now)
        await self.bot.store.writer.commit(turn.batch)
        await self.owed()  # the answers

    async def say(self, who: Signer, text: str, **options: Any) -> None:
        """Somebody sends a command."""
        await self.take(command(who, text, self.now, **options))


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with local_relay() as url:
        yield url


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A furnished office that owes nothing, whose operator wants no sheet; m1 has sent a beacon."""
    path = tmp_path / "bot.sqlite"
    async with office(path, house=(*HOUSE, (OPERATOR, "alerts stuck=300 sheet=off"))) as at:
        await at.take(beacon(MACHINE, OPENED_AT))
        rows = [row.id for row in await at.store.queries.outbox(after=0, limit=500)]
        await at.store.writer.commit(Batch(delivered=rows))
    return path


@asynccontextmanager
async def watching(path: Path, url: str, now: int = OPENED_AT) -> AsyncIterator[Watch]:
    """A bot that hears its relay and has looked around once; nothing is published until it stops."""
    clock: list[Watch] = []
    bot = Bot(
        keys=BOT,
        platform=PLATFORM.pubkey,
        database_url=sqlite_url(path),
        settings=settings_of([url]),
        clock=lambda: clock[0].now if clock else now,
    )
    await bot.start()
    clock.append(Watch(bot, now))
    try:
        assert await bot.wait_ready(PATIENCE_S)
        await clock[0].owed()
        assert await clock[0].look(0) == []
        yield clock[0]
    finally:
        bot.stop()
        await bot.run()


async def test_an_alarm_is_told_once_and_reminded_each_hour(path: Path, url: str) -> None:
    """Down after three minutes; an hour later once more; over, a minute after its beacon came."""
    async with watching(path, url) as watch:
        assert await watch.looks(2) == []
        assert await watch.look() == [DOWN]
        assert await watch.looks(LOOKS_PER_HOUR - 1) == []
        assert await watch.look() == [f"Still: {DOWN}"]
        await watch.take(beacon(MACHINE, watch.now))
        assert await watch.look() == []
        assert await watch.look() == ["Over: m1 down"]
        await watch.take(beacon(MACHINE, watch.now))
        assert await watch.looks(2) == []


async def test_a_restart_neither_repeats_nor_forgets(path: Path, url: str) -> None:
    """What was told before a crash is not told after it; it is reminded of, and its end is told."""
    async with watching(path, url) as watch:
        assert await watch.looks(3) == [DOWN]
        now = watch.now
    async with watching(path, url, now + 600) as watch:
        assert await watch.looks(49) == []
        assert await watch.look() == [f"Still: {DOWN}"]
        await watch.take(beacon(MACHINE, watch.now))
        assert await watch.look() == []
        now = watch.now
    async with watching(path, url, now + 60) as watch:
        assert await watch.look() == ["Over: m1 down"]
        now = watch.now
    async with watching(path, url, now + 60):
        pass  # its first look tells nothing


async def test_alarms_of_one_moment_are_one_message(path: Path, url: str) -> None:
    """A line each, in one message, the way the operator wrote when it chose its alerts."""
    async with watching(path, url) as watch:
        await watch.say(OPERATOR, "alerts down=300")
        await watch.take(report(1, watch.now, fee_sats=8_000, wire_sats=108_000), report(2, watch.now, wire_sats=1))
        assert await watch.look() == [
            "m1: fees are not those set here: s1 charged 8000 sats where 7770 were due (+230)\n"
            "m1: rejected within the hour: 1 amounts_inconsistent"
        ]
        await watch.take(report(3, watch.now))
        assert await watch.looks(2) == ["Over: m1 fees off"]


async def test_a_message_goes_the_way_the_operator_chose(path: Path, url: str) -> None:
    """NIP-04 or NIP-44, as the last `alerts` came; to the operator's key, and named so that no other has its name."""
    async with watching(path, url) as watch:
        await watch.say(OPERATOR, "alerts down=2", scheme="nip44")
        watch.now += 60
        await watch.bot.notices.look_out()
        watch.now += 60
        await watch.bot.notices.look_out()
        [fields] = await watch.owed()
        assert {name: fields[name] for name in ("kind", "to", "text", "scheme", "at")} == {
            "kind": 4,
            "to": OPERATOR.pubkey,
            "text": DOWN,
            "scheme": "nip44",
            "at": watch.now,
        }
        assert fields["name"].startswith(f"alert:{OPERATOR.pubkey}:{watch.now}:")


async def test_who_speaks_for_an_operator_now_hears_it(path: Path, url: str) -> None:
    """Not the key that was replaced: it may be a thief's (docs/operations.md, "When a key is stolen")."""
    async with watching(path, url) as watch:
        await watch.say(OPERATOR, "alerts down=2")
        await watch.say(PLATFORM, f"operator replace antigua {FLORES.npub}")
        for _ in range(2):
            watch.now += 60
            await watch.bot.notices.look_out()
        [fields] = await watch.owed()
        assert (fields["to"], fields["text"]) == (FLORES.pubkey, DOWN)


async def test_operators_hear_of_their_own(path: Path, url: str) -> None:
    """Each of its own machines; nothing while it is suspended."""
    async with watching(path, url) as watch:
        await watch.say(PLATFORM, f"operator add {FLORES.npub} name=flores")
        await watch.say(FLORES, f"machine add {M3.npub} name=m3 fiat=GTQ cash_in=5% cash_out=7.77%")
        await watch.say(FLORES, "alerts sheet=off")
        await watch.take(beacon(M3, watch.now))
        await watch.say(PLATFORM, "operator suspend antigua")
        for _ in range(3):
            watch.now += 60
            await watch.bot.notices.look_out()
        [fields] = await watch.owed()
        assert (fields["to"], fields["text"]) == (FLORES.pubkey, "m3 is down: no beacon since 14:13")
        await watch.say(PLATFORM, "operator resume antigua")
        assert await watch.look() == [DOWN]


async def test_held_settlements_are_told_at_once(path: Path, url: str) -> None:
    """And it is over when the operator has seen to them."""
    async with watching(path, url) as watch:
        await watch.say(OPERATOR, "alerts down=1000 stuck=1000")
        await watch.say(OPERATOR, "guard m1 per_settlement=100")
        await watch.take(report(1, watch.now), report(2, watch.now))
        assert await watch.look() == ["m1: 2 settlements are held until you decide: settlement list status=pending"]
        await watch.say(OPERATOR, "settlement release s1")
        await watch.say(OPERATOR, 'settlement refund s2 reason="it never happened"')
        assert await watch.looks(2) == ["Over: m1 holds settlements"]


async def test_a_clock_that_jumps_tells_nothing(path: Path, url: str) -> None:
    """A day ahead nobody was silent, for nobody was listened to; a day back nothing is told again (faults.md row 17)."""
    async with watching(path, url) as watch:
        assert await watch.look(24 * 3600) == []
        await watch.take(beacon(MACHINE, watch.now))
        assert await watch.looks(2) == []
        assert (await watch.look()) == ["m1 is down: no beacon since 08:13"]
        assert await watch.look(-24 * 3600) == []
        assert await watch.look(-24 * 3600) == []


async def test_a_failed_commit_loses_nothing(path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever statement fails, nothing of the message is there; the next look tells it, once (faults.md row 51)."""
    with faulty_driver(monkeypatch) as faults:
        async with watching(path, url) as watch:
            assert await watch.looks(2) == []
            watch.now += 60
            before = contents(path)
            failures = 0
            for nth in range(1, 40):
                faults.expect(nth)
                try:
                    await watch.bot.notices.look_out()
                except DBAPIError:
                    failures += 1
                    faults.expect(None)
                    assert contents(path) == before
                else:
                    break
            faults.expect(None)
            assert failures >= 4, "reading, BEGIN, the message, what was told, COMMIT"
            assert [fields["text"] for fields in await watch.owed()] == [DOWN]
            assert await watch.looks(3) == []


async def test_the_sheet_comes_once_a_local_day(path: Path, url: str) -> None:
    """In the morning, a line a machine, through a restart and a clock that goes back; late, but not in the afternoon."""
    day_s = 24 * 3600
    seven = OPENED_AT - 13 * 60 - 20 + 23 * 3600  # the house was opened at 08:13:20, in Guatemala
    async with watching(path, url, seven - 600) as watch:
        await watch.say(OPERATOR, "alerts down=1440 stuck=1440 sheet=07:00")
        assert await watch.looks(9) == []
        [sheet] = await watch.look()
        heading, line = sheet.split("\n")
        assert heading == "Your fleet, 2026-09-22:"
        assert line.startswith("m1: heard 22 h ago")
        assert await watch.looks(3) == []
        assert await watch.look(-300) == []
        assert await watch.looks(6) == []
    async with watching(path, url, seven + 600) as watch:
        assert await watch.looks(3) == []
        [tomorrow] = await watch.look(day_s)
        assert tomorrow.startswith("Your fleet, 2026-09-23:\n")
    async with watching(path, url, seven + 2 * day_s + 3 * 3600 + 60) as watch:
        assert await watch.looks(3) == []
        await watch.say(OPERATOR, "alerts sheet=10:05")
        assert len(await watch.looks(3)) == 1
        await watch.say(OPERATOR, "alerts sheet=off")
        assert await watch.look(day_s) == []


async def test_a_message_that_would_be_too_long_is_cut(path: Path) -> None:
    """An event has its limits, a gift wrap narrower ones: the first lines, and where the others are."""
    house = House.open()
    for number in range(2, 802):
        house.add_machine(f"a-machine-with-a-long-name-{number}")
    async with office(path) as at:
        for scheme in (Scheme.NIP04, Scheme.NIP17):
            house.book.alert_plan = AlertPlan(sheet="08:00", scheme=scheme)
            found = await Alerting().look(
                {house.book.key: house.book}, {}, at.store.queries, Reach(True, 1, 1), house.now
            )
            [text] = [orjson.loads(body)["text"] for body in found.messages.values()]
            lines = text.split("\n")
            assert lines[0] == "Your fleet, 2026-09-21:"
            assert lines[-1] == MORE
            assert len(lines) > 100
            assert fits(text, scheme)


def test_reach() -> None:
    """Only connected relays count, each for what it is used for."""
    relays = [RelayConfig("ws://a"), RelayConfig("ws://b", write=False), RelayConfig("ws://c", read=False)]

    def connected(*which: bool) -> list[RelayHealth]:
        return [RelayHealth(relay.url, is_up) for relay, is_up in zip(relays, which, strict=True)]

    assert reach_of(relays, connected(True, True, True), 2) == Reach(hears=True, writers=2, min_ok=2)
    assert reach_of(relays, connected(False, True, False), 2) == Reach(hears=True, writers=0, min_ok=2)
    assert reach_of(relays, connected(False, False, True), 1) == Reach(hears=False, writers=1, min_ok=1)
    deaf = Reach(hears=False, writers=2, min_ok=2, is_deaf=True)
    assert reach_of(relays, connected(True, True, True), 2, deaf=True) == deaf
    assert reach_of(relays, connected(False, False, True), 1, deaf=True) == Reach(hears=False, writers=1, min_ok=1)


async def test_without_relays_the_relays_are_told_of_and_not_the_machines(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is owed until they are back; a machine that could not be heard is not called down (faults.md row 72)."""
    async with watching(path, url) as watch:
        with monkeypatch.context() as patch:
            patch.setattr(watch.bot.pool, "health", lambda: [RelayHealth(url)])
            assert await watch.look() == []
            assert await watch.look() == ["relays: 0 connected, 1 must take a message before it counts as sent"]
            assert await watch.looks(10) == []
        assert await watch.looks(2) == ["Over: too few relays"]
        assert await watch.look() == []
        assert await watch.look() == [DOWN]


async def test_an_operator_reads_it(path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The running bot looks by itself; what it finds arrives as a direct message."""
    monkeypatch.setattr("nostrbot.runtime.notices.LOOK_S", 0.05)
    now = int(time.time())
    async with office(path) as at:
        at.now = now
        await at.take(report(1, now, wire_sats=1))
    settings = settings_of([url])
    bot = Bot(keys=BOT, platform=PLATFORM.pubkey, database_url=sqlite_url(path), settings=settings)
    await bot.start()
    work = asyncio.create_task(bot.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (said := [text for _, text in await letters(url, OPERATOR, BOT.pubkey)]):
                await asyncio.sleep(0.02)
    finally:
        bot.stop()
        await work
    assert said == ["m1: rejected within the hour: 1 amounts_inconsistent"]
