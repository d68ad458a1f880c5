"""NIP-42 against a relay that demands it for reading and writing."""

import asyncio
import json

from tests.peers.hostile_relay import hostile_relay, ok_frames
from tests.peers.local_relay import local_relay
from tests.relays.conftest import BOT, Author, MakePool, eventually, take, to_bot


async def test_reading_and_writing_behind_authentication(start_pool: MakePool, author: Author) -> None:
    """What was refused for want of authentication is asked and sent again as soon as the relay knows us."""
    async with local_relay(auth=True) as url:
        pool = await start_pool(
            url, wanted={"machines": to_bot(21_000), "messages": to_bot(4)}, quiet_min_s=5.0, quiet_max_s=9.0
        )
        assert await pool.wait_subscribed(3)
        event = author.verified("sale")
        publication = await asyncio.wait_for(pool.publish(event), 3)
        assert publication.accepted_by == {url}
        [arrival] = await take(pool, 1)
        assert arrival.event == event


async def test_publishing_only_behind_authentication(start_pool: MakePool, author: Author) -> None:
    """The first EVENT is refused and provokes the challenge; all of a burst are accepted after the answer, in order."""
    async with local_relay(auth=True) as url:
        pool = await start_pool(url, wanted={}, retry_min_s=5.0, retry_max_s=9.0)
        events = [author.verified(str(n)) for n in range(20)]
        await asyncio.wait_for(asyncio.gather(*(pool.publish(event) for event in events)), 3)


async def test_what_an_answer_says(start_pool: MakePool) -> None:
    """The answer names this relay and this challenge and is signed by the bot; it goes out without being asked twice."""
    async with hostile_relay(greeting=['["AUTH","c1"]']) as relay:
        await start_pool(relay.url)
        await eventually(lambda: relay.auths)
        [answer] = relay.auths
        assert (answer["kind"], answer["pubkey"], answer["content"]) == (22_242, BOT.pubkey, "")
        assert answer["tags"] == [["relay", relay.url], ["challenge", "c1"]]


async def test_a_relay_that_rejects_our_authentication(start_pool: MakePool, author: Author) -> None:
    """It is tried again with growing pauses, without a storm, and the other relay does the work."""
    async with hostile_relay() as rejecting, hostile_relay() as honest:
        rejecting.event_replies = lambda event: [
            '["AUTH","c"]',
            json.dumps(["OK", event["id"], False, "auth-required: who are you?"]),
        ]
        pool = await start_pool(rejecting.url, honest.url, surplus_attempts_max=3)
        publication = await asyncio.wait_for(pool.publish(author.verified("receipt")), 5)
        assert publication.accepted_by == {honest.url}
        # The hostile relay accepts the AUTH and still refuses: one immediate try after it, then attempts run out.
        await eventually(lambda: pool.health()[0].waiting + pool.health()[0].outstanding == 0)
        assert len(rejecting.auths) == 1
        assert len(rejecting.published) == 3
        rejecting.event_replies = ok_frames
        await eventually(lambda: pool.health()[0].connected)
