"""What a relay may do to us, and what must not come of it (the rows of the fault table are named in the tests)."""

import asyncio
import json
import random
import time

from nostrbot.nostr.messages import EVENT_MAX_BYTES
from nostrbot.refusals import Reason
from tests.peers.hostile_relay import hostile_relay
from tests.peers.local_relay import local_relay
from tests.relays.conftest import Author, MakePool, eventually, nothing_more, take, to_bot


async def test_fault_1_one_event_from_five_relays(start_pool: MakePool, author: Author) -> None:
    """The same event from five relays arrives once; the other four are counted as duplicates, not as repeats."""
    async with (
        hostile_relay() as a,
        hostile_relay() as b,
        hostile_relay() as c,
        hostile_relay() as d,
        hostile_relay() as e,
    ):
        relays = [a, b, c, d, e]
        pool = await start_pool(*(relay.url for relay in relays))
        assert await pool.wait_subscribed(5)
        await eventually(lambda: all(relay.sockets for relay in relays))
        event = author.sign("sale")
        for relay in relays:
            await relay.pass_on(event)
        await take(pool, 1)
        await eventually(lambda: sum(health.duplicates for health in pool.health()) == 4)
        await nothing_more(pool)


async def test_an_author_who_publishes_again_is_heard_again(start_pool: MakePool, author: Author) -> None:
    """An ephemeral event that a relay brings a second time is a repeat, once however many relays bring it."""
    async with hostile_relay() as a, hostile_relay() as b:
        pool = await start_pool(a.url, b.url)
        assert await pool.wait_subscribed(5)
        event = author.sign("sale")
        for is_repeat in (False, True, True):
            for relay in (a, b):
                await relay.pass_on(event)
            [arrival] = await take(pool, 1)
            assert arrival.repeat is is_repeat
            await nothing_more(pool, for_s=0.1)


async def test_fault_7_a_relay_that_withholds_everything(start_pool: MakePool, author: Author) -> None:
    """A relay that never answers costs its deadline only: the others are served, and its silence can be seen."""
    async with hostile_relay(says_eose=False) as mute, hostile_relay() as honest:
        pool = await start_pool(mute.url, honest.url, grace_s=0.05)
        started_at = time.monotonic()
        assert await pool.wait_subscribed(5)
        assert time.monotonic() - started_at < 0.9  # did not wait for the mute one's deadline
        await honest.pass_on(author.sign("sale"))
        await take(pool, 1)
        withheld, served = pool.health()
        assert withheld.last_event_at is None
        assert served.last_event_at is not None


async def test_fault_8_events_nobody_asked_for(start_pool: MakePool, author: Author) -> None:
    """Events that match no filter are counted and dropped; so are events for a subscription we do not have."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url)
        assert await pool.wait_subscribed(5)
        await relay.pass_on(author.sign("note", kind=1), author.sign("to another", to="ab" * 32))
        await relay.say(json.dumps(["EVENT", "unheard-of", author.sign("sale")]))
        await relay.pass_on(author.sign("wanted"))
        [arrival] = await take(pool, 1)
        assert arrival.event.content == "wanted"
        assert pool.refusals == {Reason.OFF_FILTER: 3}


async def test_fault_9_a_flood_is_cut_and_others_are_served(start_pool: MakePool, author: Author) -> None:
    """A relay that floods with what must be refused is hung up on, and avoided; machines are served meanwhile."""
    async with hostile_relay() as flooder, hostile_relay() as honest:
        pool = await start_pool(flooder.url, honest.url, cut_min_s=30.0, cut_max_s=60.0)
        assert await pool.wait_subscribed(5)
        await eventually(lambda: flooder.sockets and honest.sockets)
        unrelated = author.sign("buy now", kind=1)
        flood = asyncio.create_task(flooder.pass_on(unrelated, times=20_000))
        sales = [author.sign(f"sale {n}") for n in range(50)]
        await honest.pass_on(*sales)
        arrived = await take(pool, 50)
        assert {arrival.event.id for arrival in arrived} == {sale["id"] for sale in sales}
        await eventually(lambda: pool.health()[0].cuts == 1)
        await asyncio.gather(flood, return_exceptions=True)
        assert pool.refusals[Reason.OFF_FILTER] < 2_000
        assert not pool.health()[0].connected
        assert pool.health()[1].connected
        assert pool.inbox.qsize() == 0


async def test_a_stranger_cannot_have_us_hang_up_on_an_honest_relay_by_replaying(
    start_pool: MakePool, author: Author
) -> None:
    """Whoever has a report can publish it again and again, and an honest relay passes it on: the relay is kept.

    A few repeats are handed on, as a machine's own would be; the others cost a hash each, and other events are heard.
    """
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, repeats_at_once=1, score_max=300, score_leak_per_s=0)
        assert await pool.wait_subscribed(5)
        sales = [author.sign(f"sale {n}") for n in range(100)]
        for _ in range(10):
            await relay.pass_on(*sales)
            await asyncio.sleep(0.1)  # past the gap in which a repeat would be needless
        await relay.pass_on(sales[0], times=5_000)
        assert 100 <= pool.inbox.qsize() <= 400  # heard first, repeated at once, and before the first pause
        await relay.publish(author.sign("one more"))
        await eventually(lambda: pool.health()[0].duplicates > 5_000, timeout_s=20)
        arrived = await take(pool, pool.inbox.qsize())
        while arrived[-1].event.content != "one more":
            arrived += await take(pool, 1)
        assert pool.health()[0].cuts == 0


async def test_a_stranger_cannot_have_us_hang_up_on_an_honest_relay_by_what_we_do_not_take(
    start_pool: MakePool, author: Author
) -> None:
    """Events too large for us, or of a shape that we refuse, may be stored on a relay that takes them.

    It would bring them on each new connection, and none of what is stored beside them would ever be heard.
    """
    too_large = author.sign("x" * 70_000, kind=4)
    unreadable = author.sign("hi", kind=4) | {"tags": [["p", "ab" * 32], []]}
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, wanted={"commands": to_bot(4)})
        assert await pool.wait_subscribed(5)
        await relay.pass_on(too_large, times=600)
        await relay.pass_on(unreadable, times=600)
        await relay.publish(author.sign("a command", kind=4))
        await take(pool, 1)
        assert pool.health()[0].cuts == 0
        assert pool.refusals == {Reason.FRAME_TOO_LARGE: 600, Reason.BAD_SHAPE: 600}


async def test_an_event_of_the_largest_size_that_relays_take_is_read(start_pool: MakePool, author: Author) -> None:
    """What stands around it in a frame does not make it too large."""
    event = author.sign("", kind=4)
    event = author.sign("x" * (EVENT_MAX_BYTES - len(json.dumps(event, separators=(",", ":")))), kind=4)
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, wanted={"x" * 59: to_bot(4)})
        assert await pool.wait_subscribed(5)
        await relay.publish(event)
        await take(pool, 1)


async def test_what_is_dated_beyond_all_dates_hides_nothing(start_pool: MakePool, author: Author) -> None:
    """An honest relay gives the newest first: a page full of what a stranger dated 2^53 is not the end of its store."""
    now = int(time.time())
    stored = [author.sign(f"junk {n}", kind=4, created_at=2**53 + n) for n in range(30)]
    stored += [author.sign(f"command {n}", kind=4, created_at=now - n) for n in range(30)]
    async with hostile_relay(events=stored, page_cap=10) as relay:
        pool = await start_pool(relay.url, wanted={"commands": to_bot(4, since=now - 3_600)})
        assert await pool.wait_read(20)
        arrived = await take(pool, 30)
        assert {arrival.event.content for arrival in arrived} == {f"command {n}" for n in range(30)}
        assert pool.health()[0].cuts == 0


async def test_a_full_inbox_stops_reading_and_loses_nothing(start_pool: MakePool, author: Author) -> None:
    """When the bot is slow, memory stays bounded, the connection stays, and all events arrive in the end."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, inbox_max=5)
        assert await pool.wait_subscribed(5)
        sales = [author.sign(f"sale {n}") for n in range(300)]
        await relay.pass_on(*sales)
        await asyncio.sleep(1.0)  # longer than the watchdog's patience: not reading is not the relay's silence
        assert pool.inbox.qsize() == 5
        arrived = await take(pool, 300)
        assert [arrival.event.id for arrival in arrived] == [sale["id"] for sale in sales]
        assert pool.health()[0].reconnects == 0


async def test_fault_10_shuffled_and_reversed(start_pool: MakePool, author: Author) -> None:
    """In whatever order two relays bring events, each arrives exactly once."""
    async with hostile_relay() as forwards, hostile_relay() as shuffled:
        pool = await start_pool(forwards.url, shuffled.url)
        assert await pool.wait_subscribed(5)
        sales = [author.sign(f"sale {n}", created_at=int(time.time()) - n) for n in range(100)]
        await forwards.pass_on(*sales)
        random.Random(10).shuffle(sales)
        await shuffled.pass_on(*sales)
        arrived = await take(pool, 100)
        assert {arrival.event.id for arrival in arrived} == {sale["id"] for sale in sales}
        await nothing_more(pool)


async def test_fault_21_a_forgery_under_a_known_id(start_pool: MakePool, author: Author) -> None:
    """Neither other content nor another signature passes because the id was verified before, or burns a true id."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url)
        assert await pool.wait_subscribed(5)
        true, later = author.sign("pay 10"), author.sign("pay 11")
        await relay.pass_on(later | {"sig": true["sig"]})  # a bad signature first must not burn the true id
        await relay.pass_on(true)
        assert [arrival.event.content for arrival in await take(pool, 1)] == ["pay 10"]
        await asyncio.sleep(0.1)  # past the gap in which a repeat would not count
        await relay.pass_on(
            true | {"content": "pay 1000000"}, true | {"sig": later["sig"]}, true | {"pubkey": "ab" * 32}
        )
        await relay.pass_on(later)
        assert [arrival.event.content for arrival in await take(pool, 1)] == ["pay 11"]
        assert pool.refusals == {Reason.BAD_SIGNATURE: 2, Reason.WRONG_ID: 2}


async def test_fault_28_frames_that_are_no_messages(start_pool: MakePool, author: Author) -> None:
    """Garbage, deep nesting, lone surrogates, too many bytes: counted by name, and the connection stays."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url)
        assert await pool.wait_subscribed(5)
        true = author.sign("sale")
        await relay.say(
            b"\xff\xfe\x00garbage",
            "",
            "[" * 10_000 + "]" * 10_000,
            '["EVENT","machines",{"content":"\\ud800"}]',
            '["EVENT","machines",{"created_at":NaN}]',
            json.dumps(["EVENT", "machines", true | {"created_at": 10**400}]),
        )
        await eventually(lambda: pool.refusals[Reason.NOT_JSON] == 6)
        await relay.say(
            json.dumps(["EVENT", "machines", true | {"content": "x" * 100_000}]),
            json.dumps(["EVENT", "machines", true | {"tags": [["a"]] * 100_000}]),
            json.dumps(["EVENT", "machines", true | {"kind": 21_000.0}]),
            json.dumps(["EVENT", "machines"]),
            "null",
            "{}",
        )
        await relay.pass_on(true)
        await take(pool, 1)
        assert pool.refusals[Reason.NOT_JSON] == 6
        assert pool.refusals[Reason.BAD_SHAPE] == 4
        assert pool.refusals[Reason.FRAME_TOO_LARGE] == 2
        assert relay.connection_count == 1


async def test_fault_28_a_huge_frame_does_not_lose_the_relay(start_pool: MakePool, author: Author) -> None:
    """Ten megabytes are refused unread: counted, the relay avoided for a while, and then it is served again."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url)
        assert await pool.wait_subscribed(5)
        await asyncio.gather(relay.say("x" * 10_000_000), return_exceptions=True)
        await eventually(lambda: pool.refusals[Reason.FRAME_TOO_LARGE] == 1)
        await eventually(lambda: relay.connection_count == 2 and pool.health()[0].connected)
        assert await pool.wait_subscribed(5)
        await relay.pass_on(author.sign("sale"))
        await take(pool, 1)


async def test_fault_69_a_flood_of_challenges(start_pool: MakePool, author: Author) -> None:
    """Challenges are answered a bounded number of times, the same one once; the connection goes on."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, auth_answers_max=3)
        assert await pool.wait_subscribed(5)
        await relay.say(*['["AUTH","same"]'] * 20, *(f'["AUTH","challenge {n}"]' for n in range(100)))
        await relay.pass_on(author.sign("sale"))
        await take(pool, 1)
        await eventually(lambda: len(relay.auths) == 3)
        assert pool.health()[0].challenges_ignored == 117
        assert [["challenge", "same"], ["relay", relay.url]] == sorted(relay.auths[0]["tags"])


async def test_fault_70_rate_limited_by_closed(start_pool: MakePool, author: Author) -> None:
    """A relay that closes a subscription is asked again after a while; the others carry on."""
    async with hostile_relay() as limiting, hostile_relay() as honest:
        limiting.eose_replies = lambda subscription_id: [
            json.dumps(["CLOSED", subscription_id, "rate-limited: slow down"])
        ]
        pool = await start_pool(limiting.url, honest.url)
        assert await pool.wait_subscribed(5)
        await eventually(lambda: len(limiting.requests) >= 3)
        assert len(limiting.requests) < 10
        assert not pool._relays[0].is_subscribed
        await honest.pass_on(author.sign("sale"))
        await take(pool, 1)
        limiting.eose_replies = None
        await eventually(lambda: pool._relays[0].is_subscribed)
        assert limiting.connection_count == 1


async def test_fault_70_rate_limited_by_notice_only(start_pool: MakePool, author: Author) -> None:
    """A NOTICE says that the REQ was dropped: it is sent again, with growing pauses, until it is answered."""
    async with hostile_relay() as relay:
        relay.eose_replies = lambda _: ['["NOTICE","rate-limited"]']
        pool = await start_pool(relay.url, eose_s=60.0)
        await eventually(lambda: len(relay.requests) >= 3)
        relay.eose_replies = None
        assert await pool.wait_subscribed(5)
        assert len(relay.requests) < 10


async def test_fault_71_half_open(start_pool: MakePool, author: Author) -> None:
    """A connection on which nothing is answered any more is given up, and what was missed is read with overlap."""
    async with hostile_relay() as relay:
        relay.events = [author.sign("before", kind=4)]
        pool = await start_pool(relay.url, wanted={"messages": to_bot(4)})
        await take(pool, 1)
        assert await pool.wait_subscribed(5)
        relay.freeze()
        missed = author.sign("missed", kind=4, created_at=int(time.time()) - 600)  # an author whose clock is slow
        relay.events.append(missed)
        [arrival] = await take(pool, 1)
        assert arrival.event.id == missed["id"]
        [health] = pool.health()
        assert (health.reconnects, health.last_trouble) == (1, "the relay answered no ping")


async def test_half_open_while_sending(start_pool: MakePool, author: Author) -> None:
    """The watchdog also sees a relay that stopped reading while we write; what was not accepted is sent again."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, ok_s=30.0, outstanding_max=1_000)
        assert await pool.wait_subscribed(5)
        relay.freeze()
        events = [author.verified("x" * 30_000 + str(n)) for n in range(300)]  # more than any socket buffer
        await asyncio.wait_for(asyncio.gather(*(pool.publish(event) for event in events)), 10)
        assert {plain["id"] for plain in relay.published} == {event.id for event in events}


async def test_an_idle_connection_is_kept(start_pool: MakePool) -> None:
    """Silence is answered with a ping, and a pong is enough."""
    async with local_relay() as url:
        pool = await start_pool(url)
        assert await pool.wait_subscribed(5)
        await asyncio.sleep(1.5)
        assert pool.health()[0].reconnects == 0


async def test_a_relay_that_always_hangs_up_is_not_hammered(start_pool: MakePool) -> None:
    """Without success the delays grow; with a cure the relay is served again."""
    async with hostile_relay(refuses_connections=True) as relay:
        pool = await start_pool(relay.url, reconnect_min_s=0.1, reconnect_max_s=0.4)
        await asyncio.sleep(1.0)
        assert not pool.health()[0].connected
        assert pool.health()[0].last_trouble
        relay.refuses_connections = False
        assert await pool.wait_subscribed(5)
        assert relay.connection_count == 1


async def test_a_stop_is_a_normal_goodbye(start_pool: MakePool) -> None:
    """The relay is told 1000, not an error of ours; one that no longer answers holds nobody up."""
    async with hostile_relay() as honest, hostile_relay() as frozen:
        pool = await start_pool(honest.url, frozen.url)
        assert await pool.wait_subscribed(5)
        await eventually(lambda: honest.sockets and frozen.sockets)
        [socket] = honest.sockets
        frozen.freeze()
        await asyncio.wait_for(pool.stop(), 2)
        await eventually(lambda: not honest.sockets)
        assert socket.close_code == 1000
