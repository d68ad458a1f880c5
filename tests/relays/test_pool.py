"""Publishing: until enough relays said OK, in order, through every kind of trouble."""

import asyncio
import json
import time

import pytest

from nostrbot.errors import ConfigError
from nostrbot.nostr.keys import Keys
from nostrbot.relays.pool import Pool
from nostrbot.relays.relay import RelayConfig
from tests.peers.hostile_relay import Plain, hostile_relay, ok_frames
from tests.peers.local_relay import local_relay
from tests.peers.ports import free_port
from tests.relays.conftest import BOT, Author, MakePool, eventually


async def test_fault_73_one_of_five_accepts(start_pool: MakePool, author: Author) -> None:
    """With a quorum of one the publication is sent at the first OK; the others are still tried, boundedly."""

    def refuse(event: Plain) -> list[str]:
        return [json.dumps(["OK", event["id"], False, "error: try later"])]

    async with (
        hostile_relay() as willing,
        hostile_relay(event_replies=refuse) as b,
        hostile_relay(event_replies=refuse) as c,
        hostile_relay(event_replies=refuse) as d,
        hostile_relay(event_replies=refuse) as e,
    ):
        pool = await start_pool(*(relay.url for relay in (willing, b, c, d, e)), surplus_attempts_max=4)
        publication = await asyncio.wait_for(pool.publish(author.verified("receipt")), 5)
        assert publication.accepted_by == {willing.url}
        b.event_replies = ok_frames
        await eventually(lambda: publication.accepted_by == {willing.url, b.url})
        await eventually(lambda: [len(relay.published) for relay in (c, d, e)] == [4, 4, 4])
        await eventually(lambda: sum(health.waiting + health.outstanding for health in pool.health()) == 0)
        assert len(willing.published) == 1


async def test_a_quorum_of_two_waits_for_two(start_pool: MakePool, author: Author) -> None:
    """`min_ok` relays must accept, and the unwilling one is asked for as long as it takes."""
    async with hostile_relay() as willing, hostile_relay(event_replies=lambda _: []) as mute:
        pool = await start_pool(willing.url, mute.url, min_ok=2, ok_s=0.1, surplus_attempts_max=1)
        publishing = asyncio.create_task(pool.publish(author.verified("receipt")))
        await eventually(lambda: len(mute.published) >= 3)
        assert not publishing.done()
        mute.event_replies = ok_frames
        publication = await asyncio.wait_for(publishing, 5)
        assert publication.accepted_by == {willing.url, mute.url}


async def test_fault_74_an_ok_for_another_id_is_ignored(start_pool: MakePool, author: Author) -> None:
    """An OK counts only for the event it names, and only when that one is waiting for it."""
    async with hostile_relay(event_replies=lambda _: [json.dumps(["OK", "ab" * 32, True, ""])]) as relay:
        pool = await start_pool(relay.url, ok_s=0.2)
        publishing = asyncio.create_task(pool.publish(author.verified("receipt")))
        await eventually(lambda: pool.health()[0].stray_oks >= 2)
        assert not publishing.done()
        relay.event_replies = ok_frames
        await asyncio.wait_for(publishing, 5)


@pytest.mark.parametrize(
    "rest", [[True, "", 1], [True], [True, None], ["true", ""], [False, "duplicate: I have it", []]]
)
async def test_f5_an_ok_with_more_or_less_items_counts(
    start_pool: MakePool, author: Author, rest: list[object]
) -> None:
    """So what waits goes away, once each, and the relay is not punished."""
    async with hostile_relay(event_replies=lambda event: [json.dumps(["OK", event["id"], *rest])]) as relay:
        pool = await start_pool(relay.url, ok_s=30.0)
        events = [author.verified(str(n)) for n in range(8)]
        await asyncio.wait_for(asyncio.gather(*(pool.publish(event) for event in events)), 20)
        [health] = pool.health()
        assert (health.waiting, health.outstanding, health.accepted) == (0, 0, 8)
        assert len(relay.published) == 8
        assert not health.refusals


async def test_ok_false_duplicate_is_an_acceptance(start_pool: MakePool, author: Author) -> None:
    """The relay has the event: that is what we wanted."""
    async with hostile_relay() as relay:
        relay.event_replies = lambda event: [json.dumps(["OK", event["id"], False, "duplicate: exists"])]
        pool = await start_pool(relay.url)
        publication = await asyncio.wait_for(pool.publish(author.verified("receipt")), 5)
        assert publication.accepted_by == {relay.url}
        assert pool.health()[0].accepted == 1


async def test_fault_70_rate_limited_publishing_slows_one_relay_only(start_pool: MakePool, author: Author) -> None:
    """OK false "rate-limited" makes us quiet on that relay for a while, keeps the order, and costs no attempt."""

    def limited(event: Plain) -> list[str]:
        return [json.dumps(["OK", event["id"], False, "rate-limited: slow down"])]

    async with hostile_relay(event_replies=limited) as limiting, hostile_relay() as honest:
        pool = await start_pool(limiting.url, honest.url, surplus_attempts_max=1)
        publication = await asyncio.wait_for(pool.publish(author.verified("receipt")), 5)
        assert publication.accepted_by == {honest.url}
        await eventually(lambda: len(limiting.published) == 3)
        limiting.event_replies = ok_frames
        await eventually(lambda: publication.accepted_by == {honest.url, limiting.url})


async def test_publishing_outlives_a_restart_of_the_relay(start_pool: MakePool, author: Author) -> None:
    """What is published while the relay is away is accepted once it is back, each event once."""
    port = free_port()
    async with local_relay(port=port) as url:
        pool = await start_pool(url)
        await asyncio.wait_for(pool.publish(author.verified("before")), 5)
    await eventually(lambda: not pool.health()[0].connected)  # a relay that is told to stop takes its time
    publishing = [asyncio.create_task(pool.publish(author.verified(f"meanwhile {n}"))) for n in range(20)]
    await asyncio.sleep(0.3)
    assert not any(task.done() for task in publishing)
    async with local_relay(port=port):
        await asyncio.wait_for(asyncio.gather(*publishing), 5)
        assert pool.health()[0].reconnects == 1


async def test_an_abrupt_close_loses_no_publication(start_pool: MakePool, author: Author) -> None:
    """What was sent but not answered when the relay hung up is sent again, in its order."""
    async with hostile_relay(hangs_up_on_event=True) as relay:
        pool = await start_pool(relay.url)
        events = [author.verified(f"receipt {n}") for n in range(10)]
        publications = [pool.submit(event) for event in events]
        await eventually(lambda: len(relay.published) >= 3)
        relay.hangs_up_on_event = False
        await asyncio.wait_for(asyncio.gather(*(publication.wait_sent() for publication in publications)), 5)
        assert [plain["id"] for plain in relay.published[-10:]] == [event.id for event in events]


async def test_seven_thousand_events_through_a_relay_that_hangs_up_at_six(start_pool: MakePool, author: Author) -> None:
    """LocalRelay drops a client after 6,000 messages in a minute: we return at once and finish."""
    async with local_relay() as url:
        pool = await start_pool(url, ok_s=10.0, wanted={}, reconnect_min_s=30.0, reconnect_max_s=60.0)
        events = [author.verified(str(n)) for n in range(7_000)]
        started_at = time.monotonic()
        await asyncio.wait_for(asyncio.gather(*(pool.publish(event) for event in events)), 20)
        assert time.monotonic() - started_at < 15
        [health] = pool.health()
        assert health.reconnects == 1
        assert health.accepted == 7_000
        assert health.waiting == health.outstanding == 0


async def test_unanswered_events_are_bounded_and_the_rest_waits_in_order(start_pool: MakePool, author: Author) -> None:
    """A relay that answers nothing gets no more than `outstanding_max` events."""
    async with hostile_relay(event_replies=lambda _: []) as relay:
        pool = await start_pool(relay.url, outstanding_max=10, ok_s=30.0)
        events = [author.verified(str(n)) for n in range(50)]
        for event in events:
            pool.submit(event)
        await eventually(lambda: len(relay.published) == 10)
        await asyncio.sleep(0.1)
        [health] = pool.health()
        assert (len(relay.published), health.outstanding, health.waiting) == (10, 10, 40)
        assert [plain["id"] for plain in relay.published] == [event.id for event in events[:10]]


async def test_a_relay_that_is_away_keeps_a_bounded_backlog(start_pool: MakePool, author: Author) -> None:
    """What enough others have accepted is let go, oldest first, when a relay stays away."""
    async with hostile_relay() as there:
        pool = await start_pool(there.url, f"ws://127.0.0.1:{free_port()}", backlog_max=20, outstanding_max=20)
        for n in range(50):
            await asyncio.wait_for(pool.publish(author.verified(str(n))), 5)
        assert pool.health()[1].waiting == 20


async def test_one_that_nobody_takes_does_not_keep_those_behind_it(start_pool: MakePool, author: Author) -> None:
    """An event that the one relay refuses waits for the other, which is away; what came later is let go all the same."""
    unwelcome = author.verified("unwelcome")

    def all_but_one(event: Plain) -> list[str]:
        return [json.dumps(["OK", event["id"], event["id"] != unwelcome.id, "blocked: go away"])]

    async with hostile_relay(event_replies=all_but_one) as there:
        pool = await start_pool(there.url, f"ws://127.0.0.1:{free_port()}", backlog_max=20, outstanding_max=20)
        pool.submit(unwelcome)
        for n in range(100):
            await asyncio.wait_for(pool.publish(author.verified(str(n))), 5)
        assert 20 <= pool.health()[1].waiting <= 25


async def test_cancelling_gives_up(start_pool: MakePool, author: Author) -> None:
    """A publication nobody waits for any more is not tried again; a second one of the same event starts afresh."""
    async with hostile_relay(event_replies=lambda _: []) as relay:
        pool = await start_pool(relay.url, ok_s=0.1)
        event = author.verified("receipt")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.publish(event), 0.3)
        await eventually(lambda: pool.health()[0].waiting + pool.health()[0].outstanding == 0)
        tried_count = len(relay.published)
        await asyncio.sleep(0.3)
        assert len(relay.published) == tried_count
        relay.event_replies = ok_frames
        await asyncio.wait_for(pool.publish(event), 5)


async def test_what_was_given_up_before_it_was_sent_is_never_sent(start_pool: MakePool, author: Author) -> None:
    """Giving up also takes a publication out of the queue."""
    async with hostile_relay(event_replies=lambda _: []) as relay:
        pool = await start_pool(relay.url, outstanding_max=1, ok_s=0.3)
        first, second, third = (author.verified(text) for text in "123")
        publications = [pool.submit(event) for event in (first, second, third)]
        await eventually(lambda: relay.published)
        publications[1].abandon()
        relay.event_replies = ok_frames
        await asyncio.wait_for(publications[2].wait_sent(), 5)
        assert {plain["id"] for plain in relay.published} == {first.id, third.id}


async def test_an_event_published_again_before_a_slow_relay_answered(start_pool: MakePool, author: Author) -> None:
    """Both publications reach the slow relay in the end."""
    async with hostile_relay() as quick, hostile_relay(event_replies=lambda _: []) as slow:
        pool = await start_pool(quick.url, slow.url)
        event = author.verified("receipt")
        first = await asyncio.wait_for(pool.publish(event), 5)
        await eventually(lambda: slow.published)
        second = await asyncio.wait_for(pool.publish(event), 5)
        assert first is not second
        slow.event_replies = ok_frames
        await eventually(lambda: first.accepted_by == second.accepted_by == {quick.url, slow.url})


async def test_one_of_two_who_wait_may_be_cancelled(start_pool: MakePool, author: Author) -> None:
    """Publishing the same event twice is one publication, and one of the two giving up does not end it."""
    async with hostile_relay(event_replies=lambda _: []) as relay:
        pool = await start_pool(relay.url, ok_s=0.1)
        event = author.verified("receipt")
        assert pool.submit(event) is pool.submit(event)
        first, second = asyncio.create_task(pool.publish(event)), asyncio.create_task(pool.publish(event))
        await eventually(lambda: relay.published)
        first.cancel()
        await asyncio.sleep(0.05)
        relay.event_replies = ok_frames
        await asyncio.wait_for(second, 5)
        assert first.cancelled()


@pytest.mark.parametrize(
    "url", ["http://relay.example.com", "relay.example.com", "ws://", "ws://host:99999", "ws://[::1"]
)
def test_what_is_no_relay_url_is_refused(url: str) -> None:
    """A relay's url is ws:// or wss:// with a host."""
    with pytest.raises(ConfigError, match="relay"):
        RelayConfig(url)


def test_a_quorum_must_be_possible() -> None:
    """More OKs than write relays would never come."""
    relays = [RelayConfig("ws://127.0.0.1:1"), RelayConfig("ws://127.0.0.1:2", write=False)]
    with pytest.raises(ConfigError, match="min_ok"):
        Pool(relays, BOT, min_ok=2)
    with pytest.raises(ConfigError, match="twice"):
        Pool([relays[0], relays[0]], Keys.from_secret("a0" * 32))
