"""The whole bot and the computer's clock (row A2): by a false time nothing is decided, by the true one at once.

Real relays; what a bot takes for the wall clock is set by the test, the running clock is the true one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from nostrbot.bot import Bot
from nostrbot.monitoring.health import why_unhealthy
from nostrbot.store.sqlite import sqlite_url
from tests.offices import ANA, BOT, HOUSE, MACHINE, OPERATOR, PLATFORM, command, contents, office, report
from tests.peers.bot_process import settings_of
from tests.peers.hostile_relay import HostileRelay, hostile_relay
from tests.peers.local_relay import local_relay
from tests.peers.wire import wire
from tests.running_bots import eventually
from tests.signers import Plain, Signer

DAY_S = 86_400
QUIET_S = 1.5  # as long as a bot that decides would need many times over


class FalseClock:
    """The true time, and so much more."""

    def __init__(self, ahead_s: int = 0) -> None:
        self.ahead_s = ahead_s

    def __call__(self) -> int:
        return int(time.time()) + self.ahead_s


def say(who: Signer, text: str) -> Plain:
    return command(who, text, int(time.time()))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nostrbot.runtime.due.CLOCK_S", 0.05)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "bot.sqlite"
    async with office(path, house=()) as at:
        at.now = int(time.time())
        await at.say(*HOUSE)
    return path


@asynccontextmanager
async def bot_at(
    path: Path, urls: Sequence[str], clock: FalseClock, *, trust_clock: bool = False
) -> AsyncIterator[Bot]:
    bot = Bot(
        keys=BOT,
        platform=PLATFORM.pubkey,
        database_url=sqlite_url(path),
        settings=settings_of(urls),
        clock=clock,
        trust_clock=trust_clock,
    )
    await bot.start()
    work = asyncio.create_task(bot.run())
    try:
        assert await bot.wait_ready(10)
        yield bot
        bot.stop()
        await asyncio.wait_for(asyncio.shield(work), 5)
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


def sales(path: Path) -> int:
    return len(contents(path)["settlement"])


def entries_of(path: Path) -> int:
    return len(contents(path)["entry"])


@pytest.mark.parametrize("by_s", [3 * DAY_S, -3 * DAY_S, 6, 20 * 365 * DAY_S])
async def test_a2_nothing_is_decided_while_the_clock_is_away_and_all_when_it_is_back(path: Path, by_s: int) -> None:
    """A sale and a command that came meanwhile wait, and are decided at the true time as soon as it is there again."""
    clock = FalseClock()
    async with (
        local_relay() as url,
        wire(url, BOT.pubkey, OPERATOR, MACHINE, ANA) as line,
        bot_at(path, [url], clock) as bot,
    ):
        await line.publish(report(1, at=int(time.time())))
        await eventually(lambda: sales(path) == 1)
        before = entries_of(path)
        clock.ahead_s = by_s
        sale, suspend = report(2, at=int(time.time())), say(OPERATOR, "machine suspend m1")
        await line.publish(sale, suspend)
        await asyncio.sleep(QUIET_S)
        assert entries_of(path) == before
        assert any("the clock leapt" in why for why in why_unhealthy(bot.figures.state()))
        clock.ahead_s = 0
        assert "m1" in OPERATOR.read(await line.answer_to(suspend))
        assert '"status":"processed"' in MACHINE.read(await line.answer_to(sale))
        assert why_unhealthy(bot.figures.state()) == []
        newest = bot.bookkeeper.live[OPERATOR.pubkey].chain.at
        assert abs(newest - time.time()) < 60


async def test_a2_a_clock_that_stays_is_believed_after_a_minute(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as nobody says otherwise; set right again, a fresh command is obeyed within a minute without any healing."""
    monkeypatch.setattr("nostrbot.runtime.clock.STEADY_AFTER_S", 1.0)
    clock = FalseClock()
    async with (
        hostile_relay(date_ahead_s=None) as relay,
        bot_at(path, [relay.url], clock) as bot,
    ):
        clock.ahead_s = 40 * DAY_S
        await relay.pass_on(report(1, at=int(time.time())))
        await eventually(lambda: sales(path) == 1)
        clock.ahead_s = 0
        suspend = say(OPERATOR, "machine suspend m1")
        await relay.pass_on(suspend)
        await eventually(lambda: not bot.bookkeeper.books[OPERATOR.pubkey].machines["m1"].active)
        await eventually(lambda: any(["e", suspend["id"]] in event["tags"] for event in relay.published))
        [answer] = [event for event in relay.published if ["e", suspend["id"]] in event["tags"]]
        assert abs(answer["created_at"] - time.time()) < 60
        [why] = why_unhealthy(bot.figures.state())
        assert "run `nostrbot clock-heal`" in why


@asynccontextmanager
async def relays(*ahead_s: int | None) -> AsyncIterator[list[HostileRelay]]:
    """Relays with clocks of their own."""
    async with (
        hostile_relay(date_ahead_s=ahead_s[0]) as first,
        hostile_relay(date_ahead_s=ahead_s[1]) as second,
        hostile_relay(date_ahead_s=ahead_s[2]) as third,
    ):
        yield [first, second, third]


@pytest.mark.parametrize(
    ("ahead_s", "clock_s", "is_believed"),
    [
        ((0, 0, 0), 0, True),
        ((0, 0, 0), 40 * DAY_S, False),
        ((0, 0, 0), -40 * DAY_S, False),
        ((0, 0, 0), 600, True),
        ((0, 0, 40 * DAY_S), 0, True),
        ((40 * DAY_S, 0, 40 * DAY_S), 0, False),
        ((40 * DAY_S, 0, -40 * DAY_S), 0, True),
        ((None, None, None), 40 * DAY_S, True),
        ((None, None, 0), 40 * DAY_S, False),
    ],
    ids=["right", "ahead", "behind", "ten minutes", "one lies", "two lie", "liars disagree", "no dates", "one date"],
)
async def test_a2_what_most_relays_say_the_time_is(
    path: Path, ahead_s: tuple[int | None, ...], clock_s: int, is_believed: bool
) -> None:
    """Where a majority agrees that the clock is more than a quarter of an hour off, nothing is decided and the bot says so."""
    async with (
        relays(*ahead_s) as three,
        bot_at(path, [relay.url for relay in three], FalseClock(clock_s)) as bot,
    ):
        await eventually(lambda: all(relay.connected for relay in bot.pool.health()))
        await three[0].pass_on(report(1, at=int(time.time())))
        if is_believed:
            await eventually(lambda: sales(path) == 1)
            return
        await asyncio.sleep(QUIET_S)
        assert sales(path) == 0
        assert any("most relays" in why and "--trust-clock" in why for why in why_unhealthy(bot.figures.state()))


async def test_a2_a_person_may_insist(path: Path) -> None:
    """`run --trust-clock`: relays are not asked."""
    async with (
        hostile_relay(date_ahead_s=40 * DAY_S) as relay,
        bot_at(path, [relay.url], FalseClock(), trust_clock=True) as bot,
    ):
        await relay.pass_on(report(1, at=int(time.time())))
        await eventually(lambda: sales(path) == 1)
        assert why_unhealthy(bot.figures.state()) == []


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo 99999 99:99:99 GMT", "9" * 4000])
async def test_a_date_that_is_none_says_nothing(path: Path, date: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a relay writes there."""
    monkeypatch.setattr("tests.peers.hostile_relay.formatdate", lambda *_, **__: date)
    async with (
        hostile_relay() as relay,
        bot_at(path, [relay.url], FalseClock()),
    ):
        await relay.pass_on(report(1, at=int(time.time())))
        await eventually(lambda: sales(path) == 1)
