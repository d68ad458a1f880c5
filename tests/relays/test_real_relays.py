"""One contract for every relay that other people wrote: store, replay, live, ephemeral, duplicate."""

import asyncio
import time

from nostrbot.nostr.keys import Keys
from nostrbot.refusals import Reason
from nostrbot.relays.limits import Limits
from nostrbot.relays.pool import Pool
from nostrbot.relays.relay import RelayConfig
from tests.relays.conftest import QUICK, Author, MakePool, eventually, nothing_more, take, to_bot


async def test_contract_of_a_relay(real_relay: str, start_pool: MakePool, author: Author) -> None:
    """What is published is stored, replayed to a later subscriber once, and passed on live; nothing honest is refused."""
    publisher = Pool([RelayConfig(real_relay)], Keys.from_secret("a0" * 32), limits=Limits(**QUICK))
    await publisher.start()
    try:
        stored = author.verified("before", kind=4)
        publication = await asyncio.wait_for(publisher.publish(stored), 5)
        assert publication.accepted_by == {real_relay}

        # Accepted again: "duplicate" means that the relay has it, whether the relay calls that true or false.
        again = await asyncio.wait_for(publisher.publish(stored), 5)
        assert again.accepted_by == {real_relay}

        bot = await start_pool(real_relay, wanted={"messages": to_bot(4), "machines": to_bot(21_000)})
        assert await bot.wait_subscribed(5)
        [replayed] = await take(bot, 1)
        assert (replayed.event, replayed.repeat, replayed.relay) == (stored, False, real_relay)

        live = [author.verified(f"live {n}", kind=kind) for n, kind in enumerate([4, 21_000, 4, 21_000])]
        for event in live:
            await asyncio.wait_for(publisher.publish(event), 5)
        arrived = await take(bot, 4)
        assert {arrival.event for arrival in arrived} == set(live)
        assert all(abs(arrival.received_at - time.time()) < 5 for arrival in arrived)
        await nothing_more(bot)

        [health] = bot.health()
        assert health.connected
        assert health.refusals[Reason.OFF_FILTER] == health.refusals[Reason.BAD_SHAPE] == 0
    finally:
        await publisher.stop()


async def test_stored_ephemeral_events_are_no_repeats(real_relay: str, start_pool: MakePool, author: Author) -> None:
    """A relay that stores and replays ephemeral events brings each once, and asking again makes no repeat of it."""
    publisher = await start_pool(real_relay, wanted={})
    event = author.verified("sale")
    bot = await start_pool(real_relay)
    assert await bot.wait_subscribed(5)
    await asyncio.wait_for(publisher.publish(event), 5)
    [arrival] = await take(bot, 1)
    assert (arrival.event, arrival.repeat) == (event, False)

    await asyncio.sleep(2 * QUICK["repeat_gap_s"])  # late enough for a repeat, were it one
    bot.subscribe({})
    bot.subscribe({"machines": to_bot(21_000)})
    assert await bot.wait_subscribed(5)
    await nothing_more(bot)


async def test_thousands_stored_are_paged(start_pool: MakePool, author: Author, real_relay: str) -> None:
    """More events than a relay gives to one REQ all arrive, even when a page ends in the middle of a second."""
    now = int(time.time())
    events = {author.verified(f"n {n}", kind=4, created_at=now - 60 - n // 7) for n in range(700)}
    publisher = await start_pool(real_relay, wanted={}, ok_s=30.0)
    await asyncio.wait_for(asyncio.gather(*(publisher.publish(event) for event in events)), 30)

    bot = await start_pool(real_relay, wanted={"messages": to_bot(4)}, eose_s=5.0)
    arrived = await take(bot, len(events), 15)
    assert {arrival.event for arrival in arrived} == events
    assert not any(arrival.repeat for arrival in arrived)
    await eventually(lambda: not bot.health()[0].waiting)
    await nothing_more(bot)
