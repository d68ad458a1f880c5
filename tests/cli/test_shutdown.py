"""Stopping `nostrbot run`, as an operating system does it: in time whatever hangs, with nothing lost and nothing said too soon."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TextIO

import pytest
from websockets.asyncio.client import ClientConnection, connect

from nostrbot.bot import Bot
from nostrbot.home.config import Home
from nostrbot.store.sqlite import sqlite_url
from tests.offices import ANA, BOT, MACHINE, OPERATOR, PLATFORM, command, contents, office, report
from tests.peers.bot_process import make_home, nostrbot_run, settings_of
from tests.peers.hostile_relay import HostileRelay, hostile_relay, matches
from tests.peers.pace import READY_MAX_S, STOP_MAX_S
from tests.peers.ports import free_port
from tests.signers import SETTLEMENT, Plain, Signer

SALES = 2_000
TAKEN_S = 1.0  # by then the bot has tried to commit what it was told


async def until(condition: Callable[[], object], timeout_s: float = READY_MAX_S) -> None:
    """Wait until a condition holds; fails when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.02)


async def deliver(relay: HostileRelay, *events: Plain) -> None:
    """Pass events on, each to the subscriptions that ask for it."""
    for socket, subscriptions in list(relay.sockets.items()):
        for subscription_id, filters in list(subscriptions.items()):
            for event in events:
                if any(matches(event, one) for one in filters):
                    await socket.send(json.dumps(["EVENT", subscription_id, event]))


@asynccontextmanager
async def running(home: Home, log: TextIO | int = subprocess.DEVNULL) -> AsyncIterator[subprocess.Popen[str]]:
    """`nostrbot run`, ready; it is gone at the end of the block, one way or another."""
    bot = nostrbot_run(home, log)
    try:
        assert bot.stdout is not None
        async with asyncio.timeout(READY_MAX_S):
            assert await asyncio.to_thread(bot.stdout.readline) == f"ready {BOT.npub}\n"
        yield bot
    finally:
        bot.kill()
        bot.wait()
        bot.stdout.close()


async def end(bot: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, float]:
    """Send a signal; returns the exit code and how many seconds the end took."""
    began = time.monotonic()
    bot.send_signal(number)
    code = await asyncio.to_thread(bot.wait, 2 * STOP_MAX_S)
    return code, time.monotonic() - began


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the database's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[tuple[Home, HostileRelay]]:
    """A furnished home and its only relay, which does as it should."""
    async with hostile_relay() as relay:
        made = make_home(tmp_path / "home", [relay.url])
        async with office(made.database_file):
            pass
        yield made, relay


def acks(relay: HostileRelay) -> list[Plain]:
    """What the machine was told, in order."""
    told = [event for event in relay.published if event["kind"] == SETTLEMENT]
    return [json.loads(MACHINE.read(event)) for event in told]


async def test_a_stop_in_a_flood_with_relays_that_hang(tmp_path: Path) -> None:
    """2,000 sales and 2,000 strangers at once, one relay that never answers and one half-open: exit 0 in under 5 s.

    What was acked is in the database; after the next start every sale is there once, and no ack was taken back.
    """
    now, stranger = int(time.time()), Signer("stranger")
    sales = [report(n, now) for n in range(1, SALES + 1)]
    noise = [command(stranger, f"help {n}", now) for n in range(SALES)]
    async with (
        hostile_relay() as honest,
        hostile_relay(says_eose=False, event_replies=lambda _: []) as mute,
        hostile_relay() as frozen,
    ):
        home = make_home(tmp_path / "home", [honest.url, mute.url, frozen.url])
        async with office(home.database_file):
            pass
        async with running(home) as bot:
            await until(lambda: frozen.sockets)
            frozen.freeze()
            flood = asyncio.create_task(deliver(honest, *sales, *noise))
            await until(lambda: len(honest.published) > 200)
            code, took_s = await end(bot)
            flood.cancel()
            await asyncio.gather(flood, return_exceptions=True)
        assert (code, took_s < STOP_MAX_S) == (0, True), took_s
        kept = {f"s{row[1]}" for row in contents(home.database_file)["settlement"]}
        assert {ack["settlement"] for ack in acks(honest)} <= kept
        assert 0 < len(kept) < SALES, "it was to be stopped in the middle"

        async with running(home) as bot:
            await deliver(honest, *sales)
            await until(lambda: len({ack["payment_hash"] for ack in acks(honest)}) == SALES, timeout_s=60)
            assert (await end(bot))[0] == 0
    assert len(contents(home.database_file)["settlement"]) == SALES
    assert len({(ack["payment_hash"], ack["settlement"]) for ack in acks(honest)}) == SALES


async def test_a_stop_while_a_relay_that_somebody_announced_hangs(tmp_path: Path) -> None:
    """The LP's own relay takes the connection and the receipt, and never says a word: nobody waits for it."""
    async with hostile_relay() as relay, hostile_relay(event_replies=lambda _: []) as announced:
        async with office(tmp_path / "bot.sqlite"):
            pass

        async def dial(_url: str) -> ClientConnection:
            return await connect(announced.url, close_timeout=60)

        bot = Bot(
            keys=BOT,
            platform=PLATFORM.pubkey,
            database_url=sqlite_url(tmp_path / "bot.sqlite"),
            settings=settings_of([relay.url]),
            dial=dial,
        )
        now = int(time.time())
        relay.events.append(ANA.event(10_050, "", tags=[["relay", "wss://relay.example.com"]], at=now))
        await bot.start()
        work = asyncio.create_task(bot.run())
        await until(
            lambda: ANA.pubkey in bot._presence._announcements._lists
        )  # else the receipt may go before it is known
        await deliver(relay, report(1, now))
        await until(lambda: announced.published)
        announced.freeze()
        bot.stop()
        await asyncio.wait_for(work, STOP_MAX_S)


async def test_a_stop_while_another_program_holds_the_database(home: tuple[Home, HostileRelay]) -> None:
    """Nothing can be committed, so nothing is said; exit 0 in time all the same, and the next run takes the sale."""
    place, relay = home
    sale = report(1, int(time.time()))
    async with running(place) as bot:
        with locked(place.database_file):
            await deliver(relay, sale)
            await asyncio.sleep(TAKEN_S)
            code, took_s = await end(bot)
    assert (code, took_s < STOP_MAX_S) == (0, True), took_s
    assert contents(place.database_file)["settlement"] == []
    assert acks(relay) == []
    async with running(place) as bot:
        await deliver(relay, sale)
        await until(lambda: acks(relay))
        assert (await end(bot))[0] == 0
    assert len(contents(place.database_file)["settlement"]) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_second_signal_ends_it_at_once(home: tuple[Home, HostileRelay], number: int) -> None:
    """Whoever cannot wait need not, and the exit code says that it was cut short."""
    place, relay = home
    async with running(place) as bot:
        with locked(place.database_file):
            await deliver(relay, report(1, int(time.time())))
            await asyncio.sleep(TAKEN_S)
            bot.send_signal(number)
            await asyncio.sleep(0.3)
            assert bot.poll() is None
            code, took_s = await end(bot, number)
    assert (code, took_s < 1.5) == (128 + number, True), took_s


async def test_a_stop_before_it_is_ready(tmp_path: Path) -> None:
    """A relay that takes the connection and says nothing at all: no reason to stay."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await reader.read()
        writer.close()

    came = asyncio.Event()
    port = free_port()
    async with await asyncio.start_server(say_nothing, "127.0.0.1", port):
        home = make_home(tmp_path / "home", [f"ws://127.0.0.1:{port}"])
        bot = nostrbot_run(home)
        try:
            await asyncio.wait_for(came.wait(), READY_MAX_S)
            code, took_s = await end(bot)
        finally:
            bot.kill()
            bot.wait()
            assert bot.stdout is not None
            bot.stdout.close()
    assert (code, took_s < STOP_MAX_S) == (0, True), took_s


@pytest.mark.parametrize("word", ["sale", "command", "question"])
async def test_a_bot_beside_another_ends_with_one_line(
    tmp_path: Path, home: tuple[Home, HostileRelay], word: str
) -> None:
    """Another bot wrote to its database: whatever it is told next, it exits 1 and says so once, without a traceback."""
    made, relay = home
    log = tmp_path / "log"
    with log.open("w") as written:
        async with running(made, written) as bot:
            await until(lambda: contents(made.database_file)["checkpoint"])  # the day's is signed: nobody writes now
            now = int(time.time())
            async with office(made.database_file) as other:
                await other.take(report(1))
            said = {
                "sale": report(2, now),
                "command": command(OPERATOR, "machine set m1 location=corner", now),
                "question": command(OPERATOR, "checkpoint", now),
            }
            await deliver(relay, said[word])
            assert await asyncio.to_thread(bot.wait, READY_MAX_S) == 1
    lines = log.read_text()
    assert "Traceback" not in lines
    assert [line for line in lines.splitlines() if "CRITICAL" in line and "fence was hit" in line], lines
    assert lines.count("CRITICAL") == 1, lines
