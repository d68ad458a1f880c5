"""Subscriptions of a whole bot: what it says when a relay lets it hear little or nothing (review row F2)."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from nostrbot.bot import Bot
from nostrbot.monitoring.health import why_unhealthy
from nostrbot.relays.limits import Limits
from nostrbot.runtime.alerting import reach_of
from nostrbot.store.sqlite import sqlite_url
from tests.offices import BOT, PLATFORM, office
from tests.peers.bot_process import settings_of
from tests.peers.hostile_relay import REFUSALS, hostile_relay
from tests.relays.conftest import QUICK
from tests.running_bots import eventually

FAST = Limits(**QUICK | {"unheard_s": 0.5, "notice_s": 0.3, "steady_s": 60.0, "regroup_min_s": 60.0})


async def started(path: Path, url: str) -> Bot:
    """A bot with a house of machines and people."""
    async with office(path):
        pass
    bot = Bot(
        keys=BOT, platform=PLATFORM.pubkey, database_url=sqlite_url(path), settings=settings_of([url]), limits=FAST
    )
    await bot.start()
    return bot


async def stopped(bot: Bot) -> None:
    await bot.pool.stop()
    await bot.store.close()


def because(bot: Bot) -> list[str]:
    return why_unhealthy(bot.figures.state())


@pytest.mark.parametrize("form", ["error", "a notice", "silence"])
async def test_f2_a_bot_that_hears_nothing_says_so(tmp_path: Path, form: str) -> None:
    """Connected, not ready, not healthy: each subscription by name with the relay's words; and operators are told."""
    async with hostile_relay(takes=lambda *_: False, refusal=REFUSALS[form]) as relay:
        bot = await started(tmp_path / "bot.sqlite", relay.url)
        try:
            await eventually(lambda: len(relay.refused) > 12, 30)
            assert not await bot.wait_ready(0.2)
            said = because(bot)
            for name in ("settlements-0", "commands", "wraps", "misdated", "states-0", "lists-0"):
                assert any(f"no relay serves {name}: " in one for one in said), said
            words = {"error": "could not connect", "a notice": "too many subscriptions", "silence": "silent"}[form]
            assert any(words in one for one in said)
            settings = settings_of([relay.url])
            assert reach_of(settings.relays, bot.pool.health(), 1, deaf=True).is_deaf
        finally:
            await stopped(bot)


async def test_f2_a_relay_that_refuses_all_but_the_first_two_is_served_in_two(tmp_path: Path) -> None:
    """The review's own case: NOTICE "too many subscriptions" from the third REQ on. The bot asks in fewer, and is well."""
    refusal = REFUSALS["a notice"]
    async with hostile_relay(takes=lambda others, _: len(others) < 2, refusal=refusal) as relay:
        bot = await started(tmp_path / "bot.sqlite", relay.url)
        try:
            assert await bot.wait_ready(30)
            await eventually(lambda: all(one["in_force_at"] for one in bot.figures.state()["subscriptions"]), 60)
            assert because(bot) == []
            assert bot.figures.state()["relays"][0]["requests"] <= 2
            # Dropped for good, it is missed after a while, and not before.
            relay.takes = lambda *_: False
            relay.hang_up()
            await eventually(lambda: any("settlements-0" in one for one in because(bot)), 30)
        finally:
            await stopped(bot)


async def test_f14_ready_comes_where_gift_wraps_are_refused(tmp_path: Path) -> None:
    """Sales and commands are heard; that private messages are not is said, and is not healthy."""

    def takes(_: list[str], filters: list[dict[str, Any]]) -> bool:
        return not any(1_059 in one["kinds"] for one in filters)

    async with hostile_relay(takes=takes, refusal=REFUSALS["blocked"]) as relay:
        bot = await started(tmp_path / "bot.sqlite", relay.url)
        try:
            assert await bot.wait_ready(30)
            await eventually(lambda: len(because(bot)) == 1 and "no relay serves wraps: " in because(bot)[0], 60)
        finally:
            await stopped(bot)


async def test_f5_a_relay_that_answers_no_ok_is_no_relay_to_publish_to(tmp_path: Path) -> None:
    """It is connected, and nothing of what it was sent is taken: that is said."""
    async with hostile_relay(event_replies=lambda _: []) as relay:
        limits = Limits(**QUICK | {"ok_s": 0.2, "failing_s": 0.5, "failing_min": 3})
        async with office(tmp_path / "bot.sqlite"):
            pass
        url = sqlite_url(tmp_path / "bot.sqlite")
        bot = Bot(
            keys=BOT, platform=PLATFORM.pubkey, database_url=url, settings=settings_of([relay.url]), limits=limits
        )
        await bot.start()
        working = asyncio.create_task(bot.run())
        try:
            await eventually(lambda: any("takes nothing, 'no OK within 0.2 s'" in one for one in because(bot)), 60)
        finally:
            bot.stop()
            started_at = time.monotonic()
            await asyncio.wait_for(working, 30)
            assert time.monotonic() - started_at < 30
