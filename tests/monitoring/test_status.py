"""Status: what a person and a health check see of a bot, from its database alone, whether it runs or not."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nostrbot.bot import Bot
from nostrbot.errors import ConfigError
from nostrbot.home.config import Home
from nostrbot.monitoring.commit_times import CommitTimes
from nostrbot.monitoring.status import read_status, status_words
from tests.monitoring.test_exposition import read
from tests.offices import BOT, HOUSE, MACHINE, OPERATOR, PLATFORM, Office, office, report
from tests.peers.bot_process import make_home, settings_of
from tests.signers import SETTLEMENT

STALE_AFTER_S = 15
NOW = 1_790_000_100


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home", ["ws://127.0.0.1:1"])


async def status_of(home: Home, now: int = NOW) -> dict[str, Any]:
    """What `nostrbot status --json` prints."""
    return await read_status(home, BOT.npub, now, STALE_AFTER_S)


async def tell(at: Office, **changes: Any) -> None:
    """What the running bot leaves every two seconds."""
    relay = {"url": "wss://a.example", "connected": True, "last_event_at": NOW - 9, "last_trouble": ""}
    word = {"at": NOW, "started_at": NOW - 60, "refusals": {}, "closed_books": [], "relays": [relay], "backlog": 0}
    await at.store.queries.tell("bot", word | changes)


async def test_books_and_heads_are_read_from_the_journal(home: Home) -> None:
    """Every book with its name, operator, length and head; the backlog is what the outbox still owes.

    That is an answer to each command, the fees a machine is told, and what a sale comes to.
    """
    async with office(home.database_file) as at:
        await at.take(report(1))
        heads = {key: live.chain.head for key, live in at.bookkeeper.live.items()}
    said = await status_of(home)
    assert said["books"] == [
        {
            "book": "root",
            "operator": None,
            "entries": 2,
            "head": heads["root"],
            "at": 1_790_000_000,
            "checkpoint": None,
        },
        {
            "book": "antigua",
            "operator": OPERATOR.npub,
            "entries": 12,
            "head": heads[OPERATOR.pubkey],
            "at": 1_790_000_000,
            "checkpoint": None,
        },
    ]
    assert (said["npub"], said["entries"], said["backlog"]) == (BOT.npub, 14, len(HOUSE) + 2)


async def test_a_bot_that_never_ran_is_not_running(home: Home) -> None:
    """After `init` there is a database and nothing in it."""
    async with office(home.database_file, house=()):
        pass
    said = await status_of(home)
    assert (said["running"], said["healthy"], said["books"], said["heard_at"]) == (False, False, [], None)
    assert status_words(said) == f"bot {BOT.npub}: not running\nbacklog: 0 to be delivered"


async def test_before_the_first_start_it_says_what_to_do(home: Home) -> None:
    """A database that is not there, or of another version, is not made by asking for the status."""
    with pytest.raises(ConfigError, match="start the bot once with `nostrbot run`"):
        await status_of(home)


@pytest.mark.parametrize(
    ("changes", "age_s", "is_running", "is_healthy"),
    [
        ({}, 0, True, True),
        ({}, STALE_AFTER_S, True, True),
        ({}, STALE_AFTER_S + 1, False, False),
        ({"closed_books": [OPERATOR.pubkey]}, 0, True, False),
        ({"relays": []}, 0, True, False),
    ],
    ids=["well", "a little late", "silent", "a closed book", "no relay"],
)
async def test_healthy_means_heard_of_lately_and_on_a_relay_and_no_book_closed(
    home: Home, changes: dict[str, Any], age_s: int, is_running: bool, is_healthy: bool
) -> None:
    """What a container's health check goes by."""
    async with office(home.database_file, house=()) as at:
        await tell(at, **changes)
    said = await status_of(home, NOW + age_s)
    assert (said["running"], said["healthy"]) == (is_running, is_healthy)


async def test_words_name_what_a_person_must_look_at(home: Home) -> None:
    """Relays that are away with their trouble, refusals by name, closed books."""
    away = {"url": "wss://a.example", "connected": False, "last_event_at": None, "last_trouble": "refused"}
    async with office(home.database_file, house=()) as at:
        because = {OPERATOR.pubkey: "the journal has no entry 7"}
        closed = {"closed_books": [OPERATOR.pubkey], "closed_because": because}
        await tell(at, relays=[away], refusals={"bad_signature": 3, "expired": 1}, **closed)
    assert status_words(await status_of(home)).splitlines() == [
        f"bot {BOT.npub}: running",
        "backlog: 0 to be delivered",
        "relay wss://a.example: not connected, last event never, last trouble: refused",
        "refused: bad_signature 3, expired 1",
        f"CLOSED for repair: {OPERATOR.npub}: the journal has no entry 7",
        "not healthy: no relay is connected (wss://a.example: refused)",
        f"not healthy: book {OPERATOR.npub} is closed",
    ]


async def test_a_book_whose_first_entry_is_damaged_is_still_listed(home: Home) -> None:
    """Its name cannot be read; that it is there, its length and its head can."""
    async with office(home.database_file):
        pass
    with closing(sqlite3.connect(home.database_file)) as connection, connection:
        connection.execute("UPDATE entry SET body = substr(body, 2) WHERE book = 2 AND seq = 1")
    root, operator = (await status_of(home))["books"]
    assert (root["book"], operator["book"], operator["operator"]) == ("root", "(damaged)", OPERATOR.npub)
    assert operator["entries"] == 11


async def test_what_became_of_messages_to_relays_that_people_announced_is_told(home: Home) -> None:
    """In words only what there is to tell; nothing of a bot that does not do it."""
    counts = {"accepted": 3, "refused": 0, "given_up": 1, "failures": 0, "waiting": 0, "connected": 2}
    async with office(home.database_file, house=()) as at:
        await tell(at, courier=counts)
        said = await status_of(home)
        assert said["courier"] == counts
        assert "relays that people announced: accepted 3, given up 1, connected 2" in status_words(said).splitlines()
        await tell(at, courier=None)
        assert "announced" not in status_words(await status_of(home))


async def test_the_refusal_log_is_counted(home: Home) -> None:
    """What enrolled machines sent and could not be read stays on record."""
    async with office(home.database_file) as at:
        await at.take(MACHINE.event(SETTLEMENT, "{", tags=[["p", BOT.pubkey]], at=at.now))
    assert (await status_of(home))["refusals_logged"] == 1


async def test_status_is_read_beside_a_running_bot(home: Home) -> None:
    """While the bot has the database open; and what it tells of itself is what is shown."""
    bot = Bot(
        keys=BOT,
        platform=PLATFORM.pubkey,
        database_url=home.database_url({}),
        settings=settings_of(["ws://127.0.0.1:1"]),
    )
    await bot.start()
    try:
        await bot.store.queries.tell("bot", bot.figures.state())
        said = await status_of(home, int(time.time()))
        assert (said["running"], said["healthy"]) == (True, False)
        assert [relay["url"] for relay in said["relays"]] == ["ws://127.0.0.1:1"]
    finally:
        await bot.pool.stop()
        await bot.store.close()


async def test_commits_and_what_waits_are_told_of_a_running_bot_only(home: Home) -> None:
    """How many commits, and what half and nearly all of them took at most; what came in and is not decided."""
    commits = CommitTimes()
    for took_s in (*[0.002] * 98, 0.03, 99.0):
        commits.add(took_s)
    commits.add_failed()
    async with office(home.database_file, house=()) as at:
        await tell(at, commits=commits.plain(), inbox=7)
    said = await status_of(home)
    assert (said["commits"], said["inbox"]) == ({"count": 100, "failed": 1, "p50_max_s": 0.0025, "p99_max_s": 0.05}, 7)
    assert status_words(said).splitlines()[1:3] == [
        "backlog: 0 to be delivered, 7 that came in to be decided",
        "commits: 100, half of them within 2.5 ms, 99 of 100 within 50 ms",
    ]
    assert "commits" not in status_words(await status_of(home, NOW + STALE_AFTER_S + 1))


async def test_commits_that_take_for_ever_are_told_so(home: Home) -> None:
    """Beyond the last bound there is no number to be told."""
    commits = CommitTimes()
    commits.add(70.0)
    async with office(home.database_file, house=()) as at:
        await tell(at, commits=commits.plain())
    said = await status_of(home)
    assert said["commits"]["p50_max_s"] is None
    assert "commits: 1, half of them within more than a minute" in status_words(said)


async def test_the_newest_checkpoint_stands_beside_the_head(home: Home) -> None:
    """By its event's id, the entry it is of, and when it was signed."""
    async with office(home.database_file):
        pass
    bot = Bot(
        keys=BOT,
        platform=PLATFORM.pubkey,
        database_url=home.database_url({}),
        settings=settings_of(["ws://127.0.0.1:1"]),
        clock=lambda: NOW,
    )
    await bot.start()
    try:
        assert await bot.notary.sign_daily(OPERATOR.pubkey)
        signed = bot.notary.newest(OPERATOR.pubkey)
        assert signed is not None
        said = await status_of(home)
        assert [book["checkpoint"] for book in said["books"]] == [None, {"id": signed.id, "entry": 11, "at": NOW}]
        assert "book antigua: 11 entries, head" in status_words(said)
        assert ", signed up to entry 11" in status_words(said)
        shown = read(bot.figures.metrics())
        assert shown["nostrbot_checkpoint_timestamp_seconds", "antigua"] == NOW
        assert (shown["nostrbot_entries_total", "antigua"], shown["nostrbot_checkpoint_entry", "antigua"]) == (11, 11)
        assert (shown["nostrbot_entries_total", "(root)"], shown["nostrbot_commit_duration_seconds_count", ""]) == (
            2,
            1,
        )
        assert shown["nostrbot_relay_connected", "ws://127.0.0.1:1"] == 0
    finally:
        await bot.pool.stop()
        await bot.store.close()
