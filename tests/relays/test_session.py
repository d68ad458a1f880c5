"""Subscriptions: what is asked, when it is asked again, and what a change costs the others."""

import asyncio
import json
import time
from random import Random

import pytest

from nostrbot.nostr.filters import Filter
from nostrbot.refusals import Reason
from nostrbot.relays.watch import OVERLAP_S, Subscription
from tests.peers.hostile_relay import hostile_relay
from tests.peers.local_relay import local_relay
from tests.relays.conftest import BOT, Author, MakePool, eventually, nothing_more, take, to_bot


def authored_by(*pubkeys: str) -> Subscription:
    return Subscription(filters=(Filter(kinds=[30_078], authors=pubkeys),), stored=True)


async def test_a_change_is_asked_at_once_and_leaves_the_others_alone(start_pool: MakePool, author: Author) -> None:
    """A changed or removed subscription is dealt with alone, on the open connection; one that stays is not asked again."""
    other = Author()
    async with hostile_relay() as relay:
        beacon = other.sign("{}", kind=30_078)
        relay.events = [beacon]
        machines, messages = to_bot(21_000), to_bot(4)
        pool = await start_pool(
            relay.url, wanted={"machines": machines, "beacons": authored_by(author.pubkey), "messages": messages}
        )
        assert await pool.wait_subscribed(5)
        await eventually(lambda: pool._relays[0].watches["beacons"].is_past_eose)
        asked_count = len(relay.requests)

        pool.subscribe({"machines": machines, "beacons": authored_by(author.pubkey, other.pubkey)})
        [arrival] = await take(pool, 1)
        assert arrival.event.id == beacon["id"]
        await eventually(lambda: relay.closed[-1] == "beacons/past")
        [open_subscriptions] = relay.sockets.values()
        assert set(open_subscriptions) == {"machines", "beacons"}
        asked = [subscription_id for subscription_id, *_ in relay.requests[asked_count:]]
        assert asked[0] == "beacons"
        assert set(asked) == {"beacons", "beacons/past"}
        assert relay.connection_count == 1
        await relay.pass_on(author.sign("still heard"))
        await take(pool, 1)


async def test_a_change_ends_the_page_that_was_being_read(start_pool: MakePool, author: Author) -> None:
    """The old filters must not stay open on the relay under the name of the page."""

    def never_ending_page(subscription_id: str) -> list[str]:
        live = [json.dumps(["EVENT", "beacons", author.sign(kind=30_078)]), '["EOSE","beacons"]']
        return live if subscription_id == "beacons" else []

    async with hostile_relay(eose_replies=never_ending_page) as relay:
        pool = await start_pool(relay.url, wanted={"beacons": authored_by(author.pubkey)}, eose_s=60.0)
        await eventually(lambda: len(relay.requests) == 2)
        pool.subscribe({"beacons": authored_by(author.pubkey, BOT.pubkey)})
        await eventually(lambda: len(relay.requests) == 4)
        assert relay.closed == ["beacons/past"]


async def test_a_subscription_before_the_connection_and_one_after(start_pool: MakePool, author: Author) -> None:
    """subscribe() may be called at any time; without subscriptions a connected relay counts as subscribed."""
    async with local_relay() as url:
        pool = await start_pool(url, wanted={})
        assert await pool.wait_subscribed(5)
        pool.subscribe({"machines": to_bot(21_000)})
        assert await pool.wait_subscribed(5)
        event = author.verified("sale")
        await pool.publish(event)
        [arrival] = await take(pool, 1)
        assert arrival.event == event


async def test_nobody_answers(start_pool: MakePool) -> None:
    """Without any relay the answer is no, after the time given."""
    pool = await start_pool("ws://127.0.0.1:1")
    assert not await pool.wait_subscribed(0.3)


async def test_an_eose_that_never_comes_has_a_deadline(start_pool: MakePool, author: Author) -> None:
    """A relay that never says EOSE counts as answered after the deadline, and its history is still paged."""
    async with hostile_relay(says_eose=False, page_cap=3) as relay:
        now = int(time.time())
        relay.events = [author.sign(str(n), kind=4, created_at=now - n) for n in range(6)]
        pool = await start_pool(relay.url, wanted={"messages": to_bot(4)}, eose_s=0.3)
        assert await pool.wait_subscribed(5)
        assert {arrival.event.content for arrival in await take(pool, 6)} == set("012345")


@pytest.mark.parametrize("page_cap", [1, 2, 7])
async def test_paging_through_a_miserly_relay(start_pool: MakePool, author: Author, page_cap: int) -> None:
    """Whatever a relay's cap, all its events arrive, the oldest first, unless one second holds more than the cap."""
    async with hostile_relay(page_cap=page_cap) as relay:
        now = int(time.time())
        relay.events = [author.sign(str(n), kind=4, created_at=now - n) for n in range(20)]
        pool = await start_pool(relay.url, wanted={"messages": to_bot(4)})
        arrived = await take(pool, 20)
        assert [int(arrival.event.content) for arrival in arrived] == list(reversed(range(20)))
        await nothing_more(pool)
        assert all(one["limit"] == 500 for _, *filters in relay.requests for one in filters)


async def test_paging_is_bounded(start_pool: MakePool, author: Author) -> None:
    """A relay that always has one more page is left after `pages_max` of them."""
    async with hostile_relay(page_cap=1) as relay:
        now = int(time.time())
        relay.events = [author.sign(str(n), kind=4, created_at=now - n) for n in range(50)]
        pool = await start_pool(relay.url, wanted={"messages": to_bot(4)}, pages_max=5)
        await take(pool, 3)
        await eventually(lambda: relay.closed == ["messages/past"])
        assert len(relay.requests) == 5


async def test_a_live_event_that_was_lost_is_found_by_asking_again(start_pool: MakePool, author: Author) -> None:
    """Relays drop live events of slow readers in silence, so stored kinds are asked for again from time to time."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, wanted={"messages": to_bot(4)}, requery_s=0.3)
        assert await pool.wait_subscribed(5)
        dropped = author.sign("dropped", kind=4)
        relay.events.append(dropped)
        [arrival] = await take(pool, 1)
        assert arrival.event.id == dropped["id"]
        assert relay.connection_count == 1


async def test_ephemeral_kinds_are_not_asked_from_the_store(start_pool: MakePool) -> None:
    """`limit: 0`, and no `since`, which would hide a machine whose clock is slow."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url)
        assert await pool.wait_subscribed(5)
        assert relay.requests == [["machines", {"kinds": [21_000], "#p": [BOT.pubkey], "limit": 0}]]


async def test_the_cursor_overlaps_and_never_trusts_a_date_in_the_future(start_pool: MakePool, author: Author) -> None:
    """After a reconnection a relay is asked from the newest event minus the overlap; a date of 2100 counts as now."""
    async with hostile_relay() as relay:
        now = int(time.time())
        relay.events = [author.sign("from 2100", kind=4, created_at=4_102_444_800)]
        pool = await start_pool(relay.url, wanted={"messages": to_bot(4, since=now - 100_000)})
        await take(pool, 1)
        await eventually(lambda: relay.closed == ["messages/past"])
        assert relay.requests[0][1]["since"] == now - 100_000 - OVERLAP_S
        asked_count = len(relay.requests)
        relay.hang_up()
        await eventually(lambda: len(relay.requests) > asked_count)
        assert 0 <= relay.requests[asked_count][1]["since"] - (now - OVERLAP_S) < 10


async def test_a_history_half_read_is_read_again(start_pool: MakePool, author: Author) -> None:
    """Pages come newest first, so a connection lost in the middle must not move the cursor past what was not read."""
    async with hostile_relay(page_cap=2) as relay:
        now = int(time.time())
        relay.events = [author.sign(str(n), kind=4, created_at=now - n * 10_000) for n in range(10)]
        pool = await start_pool(relay.url, wanted={"messages": to_bot(4)})
        await eventually(lambda: pool.health()[0].events >= 3)
        relay.hang_up()
        assert {arrival.event.content for arrival in await take(pool, 10)} == set("0123456789")
        await nothing_more(pool)


async def test_events_still_under_way_are_not_held_against_a_relay(start_pool: MakePool, author: Author) -> None:
    """After a CLOSE, and until a changed REQ is answered, the relay cannot know better: refused, but not punished."""
    async with hostile_relay(says_eose=False) as relay:
        messages = to_bot(4)
        pool = await start_pool(relay.url, wanted={"messages": messages, "old": to_bot(5)}, eose_s=60.0, score_max=30)
        await eventually(lambda: len(relay.requests) == 2)
        pool.subscribe({"messages": messages})
        await eventually(lambda: relay.closed)
        late = author.sign("late", kind=5)
        for subscription_id in ("messages", "old"):
            await relay.say(*[json.dumps(["EVENT", subscription_id, late])] * 5)
        await relay.pass_on(author.sign("in time", kind=4))
        await eventually(lambda: pool.health()[0].events == 1)
        assert pool.refusals == {Reason.OFF_FILTER: 10}
        assert pool.health()[0].cuts == 0


async def test_what_a_relay_stored_is_handed_on_oldest_first(start_pool: MakePool, author: Author) -> None:
    """Relays list newest first; commands sent while nobody listened are obeyed in the order they were given."""
    async with local_relay() as url:
        now = int(time.time())
        sender = await start_pool(url, wanted={})
        for n in range(8):
            await sender.publish(author.verified(str(n), kind=4, created_at=now - 100 + n))
        pool = await start_pool(url, wanted={"messages": to_bot(4)})
        assert [arrival.event.content for arrival in await take(pool, 8)] == list("01234567")
        await sender.publish(author.verified("live", kind=4, created_at=now - 200))
        assert [arrival.event.content for arrival in await take(pool, 1)] == ["live"]


async def test_a_store_that_is_never_said_to_be_read_is_handed_on_at_the_deadline(
    start_pool: MakePool, author: Author
) -> None:
    """Without EOSE nothing is held for longer than the deadline, nor lost when the connection is."""
    async with hostile_relay(says_eose=False) as relay:
        now = int(time.time())
        relay.events = [author.sign(str(n), kind=4, created_at=now - n) for n in range(3)]
        pool = await start_pool(relay.url, wanted={"messages": to_bot(4)}, eose_s=0.3)
        assert [arrival.event.content for arrival in await take(pool, 3)] == ["2", "1", "0"]
    async with hostile_relay(says_eose=False) as relay:
        relay.events = [author.sign("held", kind=4)]
        pool = await start_pool(relay.url, wanted={"messages": to_bot(4)}, eose_s=60.0)
        await eventually(lambda: pool.health()[0].events == 1)
        relay.hang_up()
        assert [arrival.event.content for arrival in await take(pool, 1)] == ["held"]


async def test_stored_events_survive_any_number_of_hang_ups(start_pool: MakePool, author: Author) -> None:
    """Two relays that each have half of the events and hang up all the time bring all of them, each once."""
    async with hostile_relay(page_cap=5) as left, hostile_relay(page_cap=5) as right:
        pool = await start_pool(left.url, right.url, wanted={"messages": to_bot(4)}, requery_s=0.5)
        chance, now, expected = Random(3), int(time.time()), set()
        for n in range(100):
            event = author.sign(str(n), kind=4, created_at=now - chance.randrange(600))
            expected.add(event["id"])
            relay = chance.choice([left, right])
            relay.events.append(event)
            if chance.random() < 0.3:
                await relay.pass_on(event)
            if chance.random() < 0.1:
                relay.hang_up()
            await asyncio.sleep(0.01)
        arrived = await take(pool, 100)
        assert {arrival.event.id for arrival in arrived} == expected
        await nothing_more(pool)
