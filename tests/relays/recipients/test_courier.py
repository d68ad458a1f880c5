"""The courier: messages reach other people's relays when that is easy, and nothing they do harms or slows the bot."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from nostrbot.nostr.event import VerifiedEvent
from nostrbot.relays.recipients.courier import Courier
from nostrbot.relays.recipients.letters import CourierLimits, CourierTally, Letter, Letters, Pile
from tests.peers.hostile_relay import HostileRelay, Plain, hostile_relay
from tests.relays.conftest import Author, eventually

QUICK: dict[str, Any] = {
    "ok_s": 0.3,
    "idle_s": 0.3,
    "close_s": 0.2,
    "dial_s": 1.0,
    "away_min_s": 0.1,
    "away_max_s": 0.4,
}
FIRST, SECOND, THIRD, FOURTH = (f"wss://{name}.example.com" for name in ("first", "second", "third", "fourth"))


class Town:
    """Where the names of relays lead. `dialled`: every one that was connected to, in order."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.dialled: list[str] = []
        self.open: list[ClientConnection] = []
        self.couriers: list[Courier] = []

    async def dial(self, url: str) -> ClientConnection:
        self.dialled.append(url)
        connection = await connect(self.urls[url], compression=None, ping_interval=None, proxy=None)
        self.open.append(connection)
        return connection

    def courier(self, **limits: Any) -> Courier:
        courier = Courier(self.dial, limits=CourierLimits(**QUICK | limits))
        self.couriers.append(courier)
        return courier


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    yield town
    for courier in town.couriers:
        await courier.stop()


@pytest.fixture
async def relay(town: Town) -> AsyncIterator[HostileRelay]:
    """The first relay: honest, if not told otherwise."""
    async with hostile_relay() as relay:
        town.urls[FIRST] = relay.url
        yield relay


def ids(relay: HostileRelay) -> list[str]:
    """What was published there."""
    return [event["id"] for event in relay.published]


def messages(author: Author, count: int) -> list[VerifiedEvent]:
    return [author.verified(f"message {n}", kind=4) for n in range(count)]


def counts(courier: Courier) -> dict[str, int]:
    """The counts that are not zero."""
    tally = courier.tally()
    return {name: getattr(tally, name) for name in CourierTally.__slots__ if getattr(tally, name)}


async def test_messages_are_handed_over_in_order_on_one_connection(
    town: Town, relay: HostileRelay, author: Author
) -> None:
    """Many messages are one visit, which goes on for a while: what comes meanwhile needs no new connection."""
    courier = town.courier(idle_s=30.0)
    sent = messages(author, 60)
    for event in sent[:50]:
        courier.deliver(event, [FIRST])
    await eventually(lambda: counts(courier) == {"accepted": 50, "connected": 1})
    for event in sent[50:]:
        courier.deliver(event, [FIRST])
    await eventually(lambda: counts(courier) == {"accepted": 60, "connected": 1})
    assert ids(relay) == [event.id for event in sent]
    assert relay.published[0] == sent[0].plain()
    assert town.dialled == [FIRST]
    assert relay.requests == relay.auths == []


async def test_a_real_relay_takes_it(town: Town, real_relay: str, author: Author) -> None:
    """Relays written by other people say OK."""
    town.urls[FIRST] = real_relay
    courier = town.courier(ok_s=5.0)
    for event in messages(author, 5):
        courier.deliver(event, [FIRST])
    await eventually(lambda: counts(courier) == {"accepted": 5, "connected": 1})


async def test_a_message_goes_to_three_relays_of_a_person_at_most(town: Town, author: Author) -> None:
    """More were announced than anybody needs."""
    async with hostile_relay() as relay:
        town.urls = dict.fromkeys((FIRST, SECOND, THIRD, FOURTH), relay.url)
        courier = town.courier()
        courier.deliver(author.verified(kind=4), [FIRST, SECOND, THIRD, FOURTH])
        await eventually(lambda: courier.tally().accepted == 3)
    assert sorted(town.dialled) == sorted([FIRST, SECOND, THIRD])


async def test_a_message_made_again_is_not_carried_again(town: Town, relay: HostileRelay, author: Author) -> None:
    """The outbox hands the same event to the pool again while no relay of ours takes it."""
    courier, event = town.courier(), author.verified(kind=4)
    courier.deliver(event, [])
    courier.deliver(event, [FIRST])
    await eventually(lambda: courier.tally().accepted == 1)
    courier.deliver(event, [FIRST])
    await asyncio.sleep(0.05)
    assert ids(relay) == [event.id]


async def test_a_quiet_connection_is_closed_and_opened_again_when_needed(
    town: Town, relay: HostileRelay, author: Author
) -> None:
    """Nobody keeps connections to other people's relays for nothing."""
    courier = town.courier(idle_s=0.1)
    first, second = messages(author, 2)
    courier.deliver(first, [FIRST])
    await eventually(lambda: counts(courier) == {"accepted": 1})
    await eventually(lambda: not relay.sockets)
    assert town.open[0].close_code == 1000
    courier.deliver(second, [FIRST])
    await eventually(lambda: courier.tally().accepted == 2)
    assert town.dialled == [FIRST, FIRST]


async def test_an_ok_false_is_the_end_of_a_message_and_a_duplicate_is_an_ok(
    town: Town, relay: HostileRelay, author: Author
) -> None:
    """A relay may refuse what it likes; nothing is tried twice for that."""
    answers = iter(["blocked: not here", "duplicate: have it"])
    relay.event_replies = lambda event: [json.dumps(["OK", event["id"], False, next(answers)])]
    courier = town.courier()
    for event in messages(author, 2):
        courier.deliver(event, [FIRST])
    await eventually(lambda: counts(courier) == {"accepted": 1, "refused": 1, "connected": 1})


async def test_a_relay_that_is_away_is_tried_again_until_the_deadline(
    town: Town, relay: HostileRelay, author: Author
) -> None:
    """Longer and longer pauses; then the message is given up, and the next one finds the relay again."""
    relay.refuses_connections = True
    courier = town.courier(deadline_s=0.8)
    first, second = messages(author, 2)
    courier.deliver(first, [FIRST])
    await eventually(lambda: courier.tally().given_up == 1)
    assert 3 <= len(town.dialled) <= 8
    assert courier.tally().failures == len(town.dialled)
    relay.refuses_connections = False
    courier.deliver(second, [FIRST])
    await eventually(lambda: courier.tally().accepted == 1)
    assert ids(relay) == [second.id]


async def test_a_message_is_not_kept_for_a_relay_that_is_away_for_longer_than_it_lives(
    town: Town, relay: HostileRelay, author: Author
) -> None:
    """There is no use in waiting."""
    relay.refuses_connections = True
    courier = town.courier(away_min_s=100.0, away_max_s=100.0, deadline_s=20.0)
    for event in messages(author, 3):
        courier.deliver(event, [FIRST])
    await eventually(lambda: counts(courier) == {"failures": 1, "given_up": 3})
    courier.deliver(author.verified("later", kind=4), [FIRST])
    assert counts(courier) == {"failures": 1, "given_up": 4}


def silent(_: Plain) -> list[str]:
    return []


def slow_down(event: Plain) -> list[str]:
    return [json.dumps(["OK", event["id"], False, "rate-limited: slow down"])]


def chatter(_: Plain) -> list[str]:
    return [json.dumps(["NOTICE", "buy now"])] * 100_000


def lies(event: Plain) -> list[str]:
    return [json.dumps(["OK", f"{n:064x}", True, ""]) for n in range(500)]


def huge(_: Plain) -> list[str]:
    return ["[" + " " * 1_000_000]


@pytest.mark.parametrize("replies", [silent, slow_down, chatter, lies, huge], ids=lambda vice: vice.__name__)
async def test_a_relay_that_answers_badly_is_left_and_left_alone(
    town: Town, relay: HostileRelay, author: Author, replies: Callable[[Plain], list[str]]
) -> None:
    """No answer, "rate-limited", notices without end, OKs for nothing, frames without end: it goes, the message stays."""
    relay.event_replies = replies
    courier = town.courier(deadline_s=60.0)
    event = author.verified(kind=4)
    courier.deliver(event, [FIRST])
    await eventually(lambda: courier.tally().failures >= 1, 30)
    assert courier.tally().waiting == 1
    relay.event_replies = lambda event: [json.dumps(["OK", event["id"], True, ""])]
    await eventually(lambda: courier.tally().accepted == 1, 30)
    assert courier.tally().waiting == 0


async def test_a_relay_that_hangs_up_gets_what_it_did_not_answer_first(
    town: Town, relay: HostileRelay, author: Author
) -> None:
    """In the order of the messages, and none of them is lost on the way."""
    relay.hangs_up_on_event = True
    courier = town.courier()
    sent = messages(author, 5)
    for event in sent:
        courier.deliver(event, [FIRST])
    await eventually(lambda: courier.tally().failures >= 1)
    relay.hangs_up_on_event = False
    relay.published.clear()
    await eventually(lambda: courier.tally().accepted == 5)
    assert ids(relay)[-5:] == [event.id for event in sent]


async def test_a_relay_that_hangs_up_while_nothing_is_under_way_did_nothing_wrong(
    town: Town, relay: HostileRelay, author: Author
) -> None:
    """Relays close what is idle, too."""
    courier = town.courier(idle_s=30.0)
    first, second = messages(author, 2)
    courier.deliver(first, [FIRST])
    await eventually(lambda: courier.tally().accepted == 1)
    relay.hang_up()
    await eventually(lambda: courier.tally().connected == 0)
    courier.deliver(second, [FIRST])
    await eventually(lambda: courier.tally().accepted == 2)
    assert courier.tally().failures == 0


async def test_a_relay_that_does_not_read_is_left(town: Town, author: Author) -> None:
    """A full socket holds up the visit for as long as an OK may take, and the closing of it not at all."""
    async with hostile_relay() as frozen:
        town.urls[FIRST] = frozen.url
        courier = town.courier(away_min_s=100.0, away_max_s=100.0, outstanding_max=1_000, letters_a_relay_max=1_000)
        courier.deliver(author.verified(kind=4), [FIRST])
        await eventually(lambda: courier.tally().accepted == 1)
        frozen.freeze()
        for n in range(400):
            courier.deliver(author.verified(f"{n}" + "x" * 30_000, kind=4), [FIRST])
        began_at = time.monotonic()
        await eventually(lambda: courier.tally().failures == 1)
        await eventually(lambda: courier.tally().connected == 0)
        assert time.monotonic() - began_at < 4.0


async def test_only_so_many_connections_are_open_and_an_idle_one_makes_room(town: Town, author: Author) -> None:
    """A hundred relays are visited by four, none of which waits for its time to be idle."""
    async with hostile_relay() as relay:
        names = [f"wss://r{n}.example.com" for n in range(100)]
        town.urls = dict.fromkeys(names, relay.url)
        most = 0
        courier = town.courier(connections_max=4, idle_s=60.0)
        for name, event in zip(names, messages(author, 100), strict=True):
            courier.deliver(event, [name])
        began_at = time.monotonic()
        while courier.tally().accepted < 100:
            most = max(most, len(relay.sockets), courier.tally().connected)
            assert time.monotonic() - began_at < 20.0
            await asyncio.sleep(0.005)
        assert most == 4
        assert sorted(town.dialled) == sorted(names)
        courier.deliver(author.verified("one more", kind=4), [names[0]])
        await eventually(lambda: courier.tally().accepted == 101)


async def test_a_busy_relay_makes_room_in_time(town: Town, author: Author) -> None:
    """One that always has something to be told does not keep the only connection for ever."""
    async with hostile_relay() as relay:
        town.urls = dict.fromkeys((FIRST, SECOND), relay.url)
        courier = town.courier(connections_max=1, visit_s=0.3, idle_s=60.0)
        waited_for = author.verified("for the second", kind=4)
        courier.deliver(author.verified("for the first", kind=4), [FIRST])
        await eventually(lambda: courier.tally().accepted == 1)
        courier.deliver(author.verified("again", kind=4), [FIRST])
        courier.deliver(waited_for, [SECOND])
        deadline = time.monotonic() + 5.0
        while waited_for.id not in ids(relay):
            assert time.monotonic() < deadline
            for n in range(5):
                courier.deliver(author.verified(f"{n} {time.monotonic()}", kind=4), [FIRST])
            await asyncio.sleep(0.01)
        assert town.dialled[:2] == [FIRST, SECOND]


async def test_relays_that_never_answer_do_not_hold_up_the_others(town: Town, author: Author) -> None:
    """They have their connections for as long as an OK may take, and are then left alone."""
    async with hostile_relay(event_replies=silent) as hostile, hostile_relay() as honest:
        bad = [f"wss://bad{n}.example.com" for n in range(8)]
        town.urls = dict.fromkeys(bad, hostile.url) | {FIRST: honest.url}
        courier = town.courier(connections_max=2, idle_s=30.0, deadline_s=20.0, away_min_s=100.0, away_max_s=100.0)
        for name, event in zip(bad, messages(author, 8), strict=True):
            courier.deliver(event, [name])
        event = author.verified("for an honest relay", kind=4)
        courier.deliver(event, [FIRST])
        await eventually(lambda: ids(honest) == [event.id])
        await eventually(lambda: counts(courier) == {"accepted": 1, "given_up": 8, "failures": 8, "connected": 1})


async def test_what_waits_for_one_relay_is_bounded_and_the_oldest_goes(town: Town, author: Author) -> None:
    """A relay that is slow to open does not fill the memory; the newest messages are those that matter."""
    gate = asyncio.Event()
    async with hostile_relay() as relay:

        async def slow_dial(_: str) -> ClientConnection:
            await gate.wait()
            return await connect(relay.url, proxy=None)

        courier = Courier(slow_dial, limits=CourierLimits(**QUICK | {"letters_a_relay_max": 5, "dial_s": 10.0}))
        town.couriers.append(courier)
        sent = messages(author, 12)
        for event in sent:
            courier.deliver(event, [FIRST])
        assert counts(courier) == {"given_up": 7, "waiting": 5, "connected": 1}
        gate.set()
        await eventually(lambda: courier.tally().accepted == 5)
        assert ids(relay) == [event.id for event in sent[-5:]]


async def test_delivering_is_quick_and_makes_no_task_for_a_message(town: Town, author: Author) -> None:
    """Ten thousand messages for a relay that never answers a dial: one task, bounded memory, no time to speak of."""

    async def never(_: str) -> ClientConnection:
        await asyncio.Event().wait()
        raise AssertionError

    courier = Courier(never, limits=CourierLimits(letters_a_relay_max=100))
    town.couriers.append(courier)
    event = author.verified(kind=4)
    made = [VerifiedEventLike(f"{n:064x}", event) for n in range(10_000)]
    began_at, tasks = time.monotonic(), len(asyncio.all_tasks())
    for one in made:
        courier.deliver(one, [FIRST])  # type: ignore[arg-type]
    assert time.monotonic() - began_at < 2.0
    assert len(asyncio.all_tasks()) == tasks + 1
    assert counts(courier) == {"given_up": 9_900, "waiting": 100, "connected": 1}


class VerifiedEventLike:
    """An event with another id: signing ten thousand of them is not what is tested."""

    def __init__(self, event_id: str, event: VerifiedEvent) -> None:
        self.id = event_id
        self._plain = event.plain() | {"id": event_id}

    def plain(self) -> Plain:
        return self._plain


async def test_relays_that_are_remembered_are_bounded(town: Town, author: Author) -> None:
    """Whoever announces new relays all the time makes us forget old ones, not run out of memory."""
    async with hostile_relay() as relay:
        names = [f"wss://r{n}.example.com" for n in range(30)]
        town.urls = dict.fromkeys(names, relay.url)
        courier = town.courier(routes_max=10, idle_s=0.01)
        for name, event in zip(names, messages(author, 30), strict=True):
            courier.deliver(event, [name])
            await eventually(lambda: counts(courier).keys() == {"accepted"})
        assert courier.tally().accepted == 30
        assert len(courier._routes) == 10


async def test_stop_hangs_up_at_once_wherever_it_stands(town: Town, author: Author) -> None:
    """Connecting, waiting for an OK, idle, left alone: nothing is left behind, and nothing is taken on afterwards."""
    async with hostile_relay() as honest, hostile_relay(event_replies=silent) as mute:

        async def dial(url: str) -> ClientConnection:
            if url == THIRD:
                await asyncio.Event().wait()
            if url == FOURTH:
                raise ConnectionResetError("away")
            return await connect({FIRST: honest.url, SECOND: mute.url}[url], proxy=None)

        courier = Courier(dial, limits=CourierLimits(**QUICK | {"ok_s": 30.0, "dial_s": 30.0, "idle_s": 30.0}))
        tasks = asyncio.all_tasks()
        for url, event in zip((FIRST, SECOND, THIRD, FOURTH), messages(author, 4), strict=True):
            courier.deliver(event, [url])
        await eventually(lambda: counts(courier) == {"accepted": 1, "failures": 1, "waiting": 3, "connected": 3})
        await eventually(lambda: len(mute.published) == 1)
        began_at = time.monotonic()
        await courier.stop()
        assert time.monotonic() - began_at < 1.0
        assert counts(courier) == {"accepted": 1, "failures": 1, "given_up": 3}
        await eventually(lambda: not honest.sockets and not mute.sockets)
        await asyncio.sleep(0.2)  # the time at which FOURTH would be tried again passes
        courier.deliver(author.verified("too late", kind=4), [FIRST])
        assert {task for task in asyncio.all_tasks() - tasks if "courier" in repr(task)} == set()
        assert len(honest.published) == 1


# --- letters -------------------------------------------------------------------------------------------------------


def letter(name: str, size: int = 10, due_at: float = 60.0) -> Letter:
    return Letter(name, b"x" * size, due_at)


def test_letters_have_room_for_so_many_bytes_and_the_oldest_goes() -> None:
    """One bound for all relays together: a letter that is over keeps no bytes."""
    letters = Letters(waiting_max_bytes=30)
    a, b, c, d = (letter(name) for name in "abcd")
    for one in (a, b, c, d):
        letters.add(one)
    assert [one.is_over for one in (a, b, c, d)] == [True, False, False, False]
    letters.answered(c, accepted=True)
    letters.add(letter("e", size=20))
    assert [one.is_over for one in (a, b, c, d)] == [True, True, True, False]
    assert (a.frame, c.frame) == (b"", b"")
    assert letters.tally(connected=3) == CourierTally(accepted=1, given_up=2, waiting=2, connected=3)


def test_letters_are_given_up_when_they_are_due_and_counted_once() -> None:
    """An answer that comes later changes nothing."""
    letters = Letters(waiting_max_bytes=1_000)
    a, b = letter("a", due_at=5.0), letter("b", due_at=6.0)
    letters.add(a)
    letters.add(b)
    letters.give_up_late(4.9)
    assert (a.is_over, b.is_over) == (False, False)
    letters.give_up_late(5.0)
    assert (a.is_over, b.is_over) == (True, False)
    letters.answered(a, accepted=True)
    letters.give_up(a)
    letters.give_up_all()
    assert letters.tally(connected=0) == CourierTally(given_up=2)


def test_a_pile_keeps_its_order_and_skips_what_is_over() -> None:
    """What comes back unanswered goes before the rest; what is over is not sent."""
    pile, letters = Pile(), Letters(waiting_max_bytes=1_000)
    a, b, c, d = (letter(name, due_at=n) for n, name in enumerate("abcd"))
    for one in (a, b, c, d):
        letters.add(one)
        pile.add(one)
    assert (pile.take(), pile.take()) == (a, b)
    pile.put_back([a, b])
    letters.give_up(a)
    letters.give_up(c)
    assert pile.take_late(1) == [a, b]
    assert pile.take() is d
    assert not pile
