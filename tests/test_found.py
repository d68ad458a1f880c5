"""To be found by ordinary clients: the bot over real relays, with people who read elsewhere (docs/protocol.md section 6)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from nostrbot.bot import Bot
from nostrbot.home.config import RelaySettings
from nostrbot.net.dialer import Dial
from nostrbot.relays.relay import RelayConfig
from nostrbot.store.batch import Batch
from nostrbot.store.sqlite import sqlite_url
from tests.offices import ANA, BEN, BOT, HOUSE, MACHINE, OPERATOR, PLATFORM, command, office, report
from tests.peers.bot_process import settings_of
from tests.peers.hostile_relay import HostileRelay, hostile_relay
from tests.peers.local_relay import local_relay
from tests.peers.pace import STOP_MAX_S
from tests.peers.relay_store import letters, stored
from tests.peers.wire import Wire, wire
from tests.signers import Plain, Signer

INBOX = "wss://inbox.example.com"
IN_GENERAL, FOR_MESSAGES = 10_002, 10_050
PROFILES = [0, IN_GENERAL, FOR_MESSAGES]
STRANGER = Signer("stranger")


async def eventually(condition: Callable[[], Awaitable[Any]], timeout_s: float = 10.0) -> None:
    """Wait until a condition holds; fails when it never does."""
    deadline = time.monotonic() + timeout_s
    while not await condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.02)


def leading_to(url: str) -> Dial:
    """A way to INBOX, and to nowhere else."""

    async def dial(name: str) -> ClientConnection:
        assert name == INBOX
        return await connect(url, compression=None, proxy=None)

    return dial


@asynccontextmanager
async def running(path: Path, settings: RelaySettings, dial: Dial | None = None) -> AsyncIterator[Bot]:
    """A bot that works until the block ends; then it is stopped, in time and without an error."""
    bot = Bot(keys=BOT, platform=PLATFORM.pubkey, database_url=sqlite_url(path), settings=settings, dial=dial)
    await bot.start()
    work = asyncio.create_task(bot.run())
    try:
        assert await bot.wait_ready(10)
        yield bot
        bot.stop()
        await asyncio.wait_for(asyncio.shield(work), STOP_MAX_S)
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A furnished office that owes nothing."""
    path = tmp_path / "bot.sqlite"
    async with office(path, house=HOUSE) as at:
        rows = [row.id for row in await at.store.queries.outbox(after=0, limit=500)]
        await at.store.writer.commit(Batch(delivered=rows))
    return path


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The bot's relay."""
    async with local_relay() as url:
        yield url


@pytest.fixture
async def line(url: str) -> AsyncIterator[Wire]:
    async with wire(url, BOT.pubkey, PLATFORM, OPERATOR, MACHINE, ANA, BEN) as line:
        yield line


def now() -> int:
    return int(time.time())


def inbox(who: Signer, url: str = INBOX, *, at: int | None = None) -> Plain:
    """Where somebody reads direct messages."""
    return who.event(FOR_MESSAGES, "", tags=[["relay", url]], at=now() if at is None else at)


async def until_heard(bot: Bot, *people: Signer) -> None:
    """Wait until the bot knows where these people read."""

    async def condition() -> bool:
        return all(who.pubkey in bot._presence._announcements._lists for who in people)

    await eventually(condition)


def courier(bot: Bot) -> dict[str, int]:
    """What `status` says of it, but for what is zero."""
    return {name: count for name, count in bot.figures.state()["courier"].items() if count}


# --- the bot's own announcements -----------------------------------------------------------------------------------


async def announced(url: str) -> dict[int, Plain]:
    """What the relay knows of the bot."""
    return {event["kind"]: event for event in await stored(url, kinds=PROFILES, authors=[BOT.pubkey])}


async def test_profile_and_relay_lists_are_published_once_and_again_when_they_change(path: Path, url: str) -> None:
    """At the first start; not at the second; and when relays.yaml is another, with a later date, on all its relays."""

    async def is_announced() -> bool:
        return len(await announced(url)) == 3

    async with running(path, settings_of([url])) as bot:
        await eventually(is_announced)
        first = await announced(url)

        async def is_noted() -> bool:
            return await bot.store.queries.runtime("announced") is not None

        await eventually(is_noted)
    assert json.loads(first[0]["content"])["bot"] is True
    assert first[IN_GENERAL]["tags"] == [["r", url]]
    assert first[FOR_MESSAGES]["tags"] == [["relay", url]]

    async with running(path, settings_of([url])) as bot:
        await asyncio.sleep(0.5)
        assert bot.pool.health()[0].published == 0
    assert await announced(url) == first

    async with local_relay() as other:
        async with running(path, settings_of([url, other])):

            async def is_changed() -> bool:
                return (await announced(url)).keys() == (await announced(other)).keys() == set(PROFILES)

            await eventually(is_changed)
        second = await announced(url)
        assert await announced(other) == second
    assert second[IN_GENERAL]["tags"] == [["r", url], ["r", other]]
    assert second[IN_GENERAL]["created_at"] > first[IN_GENERAL]["created_at"]


async def test_announcements_no_relay_accepted_are_published_at_the_next_start(path: Path) -> None:
    """Noted is what relays have, not what was tried."""
    async with hostile_relay(event_replies=lambda event: [json.dumps(["OK", event["id"], False, "blocked: no"])]) as no:
        async with running(path, settings_of([no.url])) as bot:

            async def is_refused() -> bool:
                return {event["kind"] for event in no.published} >= set(PROFILES)

            await eventually(is_refused)
            assert await bot.store.queries.runtime("announced") is None
        no.published.clear()
        no.event_replies = lambda event: [json.dumps(["OK", event["id"], True, ""])]
        async with running(path, settings_of([no.url])) as bot:

            async def is_noted() -> bool:
                return await bot.store.queries.runtime("announced") is not None

            await eventually(is_noted)
        assert sorted(event["kind"] for event in no.published if event["kind"] in PROFILES) == PROFILES


# --- where people read ---------------------------------------------------------------------------------------------


async def test_receipts_and_answers_arrive_where_their_reader_said(path: Path, url: str, line: Wire) -> None:
    """Ana announced a relay: her receipt and her answer are there too, the same events; Ben's are not, nor acks."""
    async with local_relay() as elsewhere:
        await line.publish(inbox(ANA))
        async with running(path, settings_of([url]), leading_to(elsewhere)) as bot:
            await until_heard(bot, ANA)
            sale = report(1, at=now())
            await line.publish(sale)
            await line.answer_to(sale)
            question = command(ANA, "balance", now())
            answer = await line.ask(ANA, question)

            async def is_there() -> bool:
                return len(await letters(elsewhere, ANA, BOT.pubkey)) == 2

            await eventually(is_there)

            async def is_counted() -> bool:
                return courier(bot) == {"accepted": 2, "connected": 1}

            await eventually(is_counted)
        there = await letters(elsewhere, ANA, BOT.pubkey)
        assert there == await letters(url, ANA, BOT.pubkey)
        assert {text for _, text in there} >= {answer}
        assert [event["kind"] for event in await stored(elsewhere)] == [4, 4]


async def test_a_list_that_comes_while_the_bot_runs_counts_from_then_on(path: Path, url: str, line: Wire) -> None:
    """However old it is: clients pass on lists of years ago. And a later one counts instead."""
    async with local_relay() as elsewhere:
        async with running(path, settings_of([url]), leading_to(elsewhere)) as bot:
            await line.publish(inbox(BEN, at=now()))
            await until_heard(bot, BEN)
            await line.ask(ANA, command(ANA, "balance", now()))
            await line.publish(inbox(ANA, at=1_600_000_000))
            await until_heard(bot, ANA)
            await line.ask(ANA, command(ANA, "help", now()))
            await eventually(lambda: letters(elsewhere, ANA, BOT.pubkey))
            await line.publish(inbox(ANA, "wss://127.0.0.1", at=1_600_000_001))
            await eventually(lambda: has_no_list(bot, ANA))
            await line.ask(ANA, command(ANA, "whoami", now()))
        assert len(await letters(elsewhere, ANA, BOT.pubkey)) == 1


async def has_no_list(bot: Bot, who: Signer) -> bool:
    return not bot._presence._announcements._lists[who.pubkey][FOR_MESSAGES].urls


async def test_who_is_enrolled_while_the_bot_runs_is_listened_to(path: Path, url: str, line: Wire) -> None:
    """The stranger's list was there before the bot knew them; nothing of it was asked for until then."""
    async with local_relay() as elsewhere, wire(url, BOT.pubkey, STRANGER) as theirs:
        await line.publish(inbox(STRANGER))
        async with running(path, settings_of([url]), leading_to(elsewhere)) as bot:
            assert STRANGER.pubkey not in bot._presence._announcements._lists
            await line.ask(OPERATOR, command(OPERATOR, f"lp add {STRANGER.npub} machine=m1 name=cai", now()))
            await until_heard(bot, STRANGER)
            await theirs.ask(STRANGER, command(STRANGER, "join", now()))
            await eventually(lambda: letters(elsewhere, STRANGER, BOT.pubkey))


async def test_relay_lists_are_no_commands(path: Path, url: str, line: Wire) -> None:
    """The desk never sees them: nothing is refused, nothing answered, nothing kept."""
    async with running(path, settings_of([url])) as bot:
        await line.publish(inbox(ANA), ANA.event(IN_GENERAL, "join", tags=[["p", BOT.pubkey]], at=now()))
        await until_heard(bot, ANA)
        await line.ask(ANA, command(ANA, "balance", now()))
        assert bot.bookkeeper.refusals == {}
        assert bot.figures.state()["refusals"] == {}


async def test_nothing_of_it_is_done_when_relays_yaml_says_no(path: Path, url: str, line: Wire) -> None:
    """`recipient_relays: false`: no list is asked for, no relay but ours is spoken to."""

    async def dial(_: str) -> ClientConnection:
        raise AssertionError("nobody is to be dialled")

    await line.publish(inbox(ANA))
    settings = RelaySettings((RelayConfig(url),), min_ok=1, recipient_relays=False)
    async with running(path, settings, dial) as bot:
        assert bot._presence._announcements._lists == {}
        await line.ask(ANA, command(ANA, "balance", now()))
        await asyncio.sleep(0.2)
        assert bot._presence._announcements._lists == {}
        assert bot.figures.state()["courier"] is None


def refuse_connections(relay: HostileRelay) -> None:
    relay.refuses_connections = True


def never_answer(relay: HostileRelay) -> None:
    relay.event_replies = lambda _: []


def flood(relay: HostileRelay) -> None:
    relay.greeting = [json.dumps(["NOTICE", "x" * 10_000])] * 2_000


def hang_up(relay: HostileRelay) -> None:
    relay.hangs_up_on_event = True


@pytest.mark.parametrize("vice", [refuse_connections, never_answer, flood, hang_up], ids=lambda vice: vice.__name__)
async def test_somebodys_bad_relay_slows_nobody_down(
    path: Path, url: str, line: Wire, vice: Callable[[HostileRelay], None]
) -> None:
    """Forty answers to Ana come as quickly as ever, nothing counts as owed for that relay, and the bot stops at once."""
    async with hostile_relay() as bad:
        vice(bad)
        await line.publish(inbox(ANA))
        async with running(path, settings_of([url]), leading_to(bad.url)) as bot:
            await until_heard(bot, ANA)
            began_at = time.monotonic()
            for n in range(40):
                await line.ask(ANA, command(ANA, f"history limit={n + 1}", now()))
            assert time.monotonic() - began_at < 8.0

            async def is_done() -> bool:
                return bot.outbox.backlog == 0

            await eventually(is_done)
            assert courier(bot).keys() & {"accepted", "refused"} == set()
        assert bad.connection_count <= 3
