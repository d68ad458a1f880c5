"""Relays that refuse what the bot asks, in every form: connected is not heard (review row F2)."""

import asyncio
from typing import Any

import pytest

from nostrbot.nostr.filters import Filter
from nostrbot.relays.pool import Pool, SubscriptionHealth
from nostrbot.relays.watch import Force
from nostrbot.runtime.subscriptions import wanted_subscriptions
from tests.peers.hostile_relay import REFUSALS, HostileRelay, Plain, hostile_relay
from tests.relays.conftest import BOT, Author, MakePool, eventually, take, to_bot

# Deadlines short enough for a test, long enough for a busy machine.
FAST: dict[str, Any] = {"eose_s": 1.0, "notice_s": 0.3, "unheard_s": 0.5, "regroup_min_s": 60.0, "steady_s": 60.0}
KINDS = {"settlement": 21_000, "command": 4, "wrap": 1_059, "beacon": 30_078, "list": 10_050}


def as_the_bot(author: Author) -> dict[str, Any]:
    """What a bot with one machine and one person asks for."""
    return dict(wanted_subscriptions(BOT.pubkey, machines=[author.pubkey], people=[author.pubkey], now=1_790_000_000))


def hearing(pool: Pool) -> dict[str, SubscriptionHealth]:
    return {one.name: one for one in pool.hearing()}


def unserved(pool: Pool) -> set[str]:
    return {one.name for one in pool.hearing() if not one.served_by}


async def assert_heard(pool: Pool, relay: HostileRelay, author: Author, *kinds: str) -> None:
    """What is published there arrives."""
    events = [author.sign(f"live {kind}", kind=KINDS[kind]) for kind in kinds]
    await relay.publish(*events)
    arrived = await take(pool, len(events), 30)
    assert {arrival.event.id for arrival in arrived} == {event["id"] for event in events}


# --- whatever form the refusal has -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", REFUSALS)
async def test_f2_a_relay_that_serves_nothing_is_connected_and_not_heard(
    start_pool: MakePool, author: Author, form: str
) -> None:
    """Each subscription is missed, its words are shown, and it is asked again until it is served."""
    async with hostile_relay(takes=lambda *_: False, refusal=REFUSALS[form]) as relay:
        pool = await start_pool(relay.url, wanted=as_the_bot(author), **FAST)
        await eventually(lambda: len(relay.refused) >= 15, 30)
        assert not await pool.wait_heard(0.1)
        assert all(one.is_missed for one in pool.hearing())
        for service in pool.health()[0].subscriptions.values():
            assert service.force is not Force.IN_FORCE
            assert len(service.words) <= 200
            assert service.words.isprintable()
        relay.takes = lambda *_: True
        assert await pool.wait_heard(30)
        await eventually(lambda: not unserved(pool), 30)
        await assert_heard(pool, relay, author, *KINDS)


@pytest.mark.parametrize("form", REFUSALS)
@pytest.mark.parametrize("most", [1, 2, 3, 5])
async def test_f2_where_a_relay_takes_few_the_bot_asks_in_fewer(
    start_pool: MakePool, author: Author, form: str, most: int
) -> None:
    """However few, and however it says so: in the end all is in force, and what it kept was read."""
    kept = [author.sign(f"kept {kind}", kind=KINDS[kind]) for kind in ("command", "wrap", "beacon", "list")]
    async with hostile_relay(takes=lambda others, _: len(others) < most, refusal=REFUSALS[form], events=kept) as relay:
        pool = await start_pool(relay.url, wanted=as_the_bot(author), **FAST)
        await eventually(lambda: not unserved(pool), 60)
        arrived = await take(pool, len(kept), 60)
        assert {arrival.event.id for arrival in arrived} == {event["id"] for event in kept}
        assert pool.health()[0].requests <= max(most, 1)
        await assert_heard(pool, relay, author, *KINDS)


@pytest.mark.parametrize("form", REFUSALS)
async def test_f14_a_relay_that_refuses_one_kind_takes_nothing_else_away(
    start_pool: MakePool, author: Author, form: str
) -> None:
    """Gift wraps are not served: the bot is ready all the same, says what it does not hear, and hears the rest."""

    def takes(_: list[str], filters: list[Plain]) -> bool:
        return not any(KINDS["wrap"] in one["kinds"] for one in filters)

    async with hostile_relay(takes=takes, refusal=REFUSALS[form]) as relay:
        if form == "a hang-up":
            pytest.skip("whoever is hung up on hears nothing; that is the next test")
        pool = await start_pool(relay.url, wanted=as_the_bot(author), **FAST)
        assert await pool.wait_heard(30)
        await eventually(lambda: len(relay.refused) >= 4, 60)
        await eventually(lambda: unserved(pool) == {"wraps"}, 60)
        await eventually(lambda: hearing(pool)["wraps"].is_missed, 30)
        await assert_heard(pool, relay, author, "settlement", "command", "beacon", "list")


async def test_f2_a_relay_that_hangs_up_at_one_kind_is_asked_for_what_is_essential(
    start_pool: MakePool, author: Author
) -> None:
    """Whoever is hung up on again and again hears nothing: the rest is not asked for there, and that is said."""

    def takes(_: list[str], filters: list[Plain]) -> bool:
        return not any(KINDS["wrap"] in one["kinds"] for one in filters)

    async with hostile_relay(takes=takes, refusal=None) as relay:
        pool = await start_pool(relay.url, wanted=as_the_bot(author), **FAST)
        assert await pool.wait_heard(60)
        await eventually(lambda: unserved(pool) == {"wraps", "misdated", "states-0", "lists-0"}, 60)
        await eventually(lambda: pool.health()[0].subscriptions["wraps"].words == "not asked: it hangs up", 60)
        await eventually(lambda: hearing(pool)["wraps"].is_missed, 30)
        await eventually(lambda: not unserved(pool) & {"settlements-0", "commands"}, 60)
        connection_count = relay.connection_count
        await assert_heard(pool, relay, author, "settlement", "command")
        await asyncio.sleep(0.5)
        assert relay.connection_count == connection_count


async def test_f2_of_several_relays_one_is_enough(start_pool: MakePool, author: Author) -> None:
    """What one relay refuses another serves: nothing is missed, and it is shown where."""
    async with hostile_relay(takes=lambda *_: False) as deaf, hostile_relay() as open_eared:
        pool = await start_pool(deaf.url, open_eared.url, wanted=as_the_bot(author), **FAST)
        assert await pool.wait_heard(30)
        await eventually(lambda: not unserved(pool), 30)
        assert {one.served_by for one in pool.hearing()} == {(open_eared.url,)}
        assert not any(one.is_missed for one in pool.hearing())


# --- when it was in force ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["error: shutting down idle subscription", "", "rate-limited: too much"])
async def test_f2_closed_after_it_was_in_force(start_pool: MakePool, author: Author, words: str) -> None:
    """It is seen at once, told after a while, and asked again."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, wanted=as_the_bot(author), **FAST | {"quiet_min_s": 2.0, "quiet_max_s": 4.0})
        await eventually(lambda: not unserved(pool), 30)
        await relay.drop("settlements-0", words=words)
        await eventually(lambda: unserved(pool) == {"settlements-0"}, 30)
        assert not hearing(pool)["settlements-0"].is_missed
        await eventually(lambda: hearing(pool)["settlements-0"].is_missed, 30)
        assert pool.health()[0].subscriptions["settlements-0"].words == words
        await eventually(lambda: not unserved(pool), 30)
        await assert_heard(pool, relay, author, "settlement")


async def test_f2_dropped_without_a_word(start_pool: MakePool, author: Author) -> None:
    """What is in force is asked for again from time to time, for a relay may have forgotten it."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, wanted=as_the_bot(author), **FAST | {"requery_s": 1.0})
        await eventually(lambda: not unserved(pool), 30)
        await relay.drop(words=None)
        await eventually(lambda: all("settlements-0" in open_ for open_ in relay.sockets.values()), 30)
        await assert_heard(pool, relay, author, "settlement")


async def test_f2_a_notice_makes_what_is_in_force_doubtful(start_pool: MakePool, author: Author) -> None:
    """Some relays say only in a NOTICE that they dropped something: all is asked for again, not at each NOTICE."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, wanted=as_the_bot(author), **FAST)
        await eventually(lambda: not unserved(pool), 30)
        await eventually(lambda: all(watch.is_past_eose for watch in pool._relays[0].watches.values()), 30)
        await relay.drop(words=None)
        for _ in range(50):
            await relay.say('["NOTICE","too many subscriptions, the oldest were closed"]')
        await eventually(lambda: all("settlements-0" in open_ for open_ in relay.sockets.values()), 30)
        asked_count = len(relay.requests)
        for n in range(50):
            await relay.say(f'["NOTICE","you have been heard {n}"]')
        await asyncio.sleep(0.5)
        assert len(relay.requests) - asked_count < 20
        await assert_heard(pool, relay, author, "settlement")


async def test_f2_a_relay_that_answers_no_renewal_is_silent(start_pool: MakePool, author: Author) -> None:
    """It said EOSE once and says nothing any more: it no longer serves what it served."""
    async with hostile_relay() as relay:
        pool = await start_pool(relay.url, **FAST | {"requery_s": 1.0})
        await eventually(lambda: not unserved(pool), 30)
        relay.says_eose = False
        await eventually(lambda: unserved(pool), 30)
        assert pool.health()[0].subscriptions["machines"].force is Force.SILENT
        await assert_heard(pool, relay, author, "settlement")  # what comes all the same is taken
        assert not unserved(pool)


# --- what is no refusal ------------------------------------------------------------------------------------------------


async def test_f2_events_are_as_good_as_eose(start_pool: MakePool, author: Author) -> None:
    """A relay that never says EOSE is heard by what it sends."""
    async with hostile_relay(says_eose=False) as relay:
        pool = await start_pool(relay.url, **FAST)
        await eventually(lambda: relay.requests, 30)
        assert unserved(pool) == {"machines"}
        await assert_heard(pool, relay, author, "settlement")
        assert unserved(pool) == set()


@pytest.mark.parametrize("form", ["invalid", "a notice", "silence"])
async def test_f2_a_relay_that_knows_no_limit_of_0(start_pool: MakePool, author: Author, form: str) -> None:
    """Where the one is refused or never answered, the other is tried."""

    def takes(_: list[str], filters: list[Plain]) -> bool:
        return all(one.get("limit") != 0 for one in filters)

    async with hostile_relay(takes=takes, refusal=REFUSALS[form]) as relay:
        pool = await start_pool(relay.url, wanted=as_the_bot(author), **FAST)
        await eventually(lambda: not unserved(pool), 60)
        await assert_heard(pool, relay, author, *KINDS)


async def test_f2_a_store_that_cannot_be_read_is_said(start_pool: MakePool, author: Author) -> None:
    """Live it is heard, but no second REQ is served and none with more than one filter: what was kept stays unread."""
    now = 1_790_000_000
    kept = [author.sign(str(n), kind=4, created_at=now - n) for n in range(9)]

    def takes(others: list[str], filters: list[Plain]) -> bool:
        return not others and len(filters) == 1

    async with hostile_relay(takes=takes, refusal=REFUSALS["blocked"], page_cap=3, events=kept) as relay:
        pool = await start_pool(relay.url, wanted={"messages": to_bot(4)}, **FAST)
        await take(pool, 3, 30)
        await eventually(
            lambda: pool.health()[0].subscriptions["messages"].unread == "blocked: max_subscriptions is 2", 30
        )
        await eventually(lambda: not unserved(pool), 30)
        relay.takes = lambda *_: True
        arrived = await take(pool, 6, 30)
        assert {arrival.event.content for arrival in arrived} == set("345678")
        await eventually(lambda: not pool.health()[0].subscriptions["messages"].unread, 30)


async def test_f2_a_large_fleet_goes_in_few_requests(start_pool: MakePool, author: Author) -> None:
    """Of 20 filters no REQ has more than ten, and a relay that takes three REQs serves all."""
    machines = [f"{n:064x}" for n in range(1, 4_000)]
    wanted = wanted_subscriptions(BOT.pubkey, machines=machines, people=[], now=1_790_000_000)

    def takes(others: list[str], filters: list[Plain]) -> bool:
        return len(others) < 3 and len(filters) <= 10

    async with hostile_relay(takes=takes, refusal=REFUSALS["a notice"]) as relay:
        pool = await start_pool(relay.url, wanted=dict(wanted), **FAST)
        await eventually(lambda: not unserved(pool), 90)
        assert pool.health()[0].requests <= 3


def test_essential_ones_come_first() -> None:
    """A relay that takes few takes the first: settlements, then commands, then what the bot could do without."""
    wanted = wanted_subscriptions(BOT.pubkey, machines=["0a" * 32], people=["0b" * 32], now=1_790_000_000)
    assert list(wanted) == ["settlements-0", "commands", "wraps", "misdated", "states-0", "lists-0"]
    assert [name for name, one in wanted.items() if one.essential] == ["settlements-0", "commands"]
    assert wanted["settlements-0"].filters == (Filter(kinds={21_000}, authors=["0a" * 32], p_tags={BOT.pubkey}),)
