"""Status: what a person and a health check see of a bot, from its database alone, whether it runs or not."""

import time
from pathlib import Path
from typing import Any

import pytest

from nostrbot.bot import Bot
from nostrbot.config import Home
from nostrbot.errors import ConfigError
from nostrbot.status import read_status, status_words
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
        heads = {key: live.chain.head for key, live in at.desk.live.items()}
    said = await status_of(home)
    assert said["books"] == [
        {"book": "root", "operator": None, "entries": 2, "head": heads["root"], "at": 1_790_000_000},
        {
            "book": "antigua",
            "operator": OPERATOR.npub,
            "entries": 12,
            "head": heads[OPERATOR.pubkey],
            "at": 1_790_000_000,
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
        await tell(at, relays=[away], refusals={"bad_signature": 3, "expired": 1}, closed_books=[OPERATOR.pubkey])
    assert status_words(await status_of(home)).splitlines() == [
        f"bot {BOT.npub}: running",
        "backlog: 0 to be delivered",
        "relay wss://a.example: not connected, last event never, last trouble: refused",
        "refused: bad_signature 3, expired 1",
        f"CLOSED for repair: {OPERATOR.npub}",
    ]


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
        await bot.store.queries.tell("bot", bot.state())
        said = await status_of(home, int(time.time()))
        assert (said["running"], said["healthy"]) == (True, False)
        assert [relay["url"] for relay in said["relays"]] == ["ws://127.0.0.1:1"]
    finally:
        await bot.pool.stop()
        await bot.store.close()
