"""The inbox: bounded in number and in bytes, and a flood of gift wraps keeps nothing else waiting."""

import asyncio
import time

import pytest

from nostrbot.relays.dedupe import Arrival
from nostrbot.relays.inbox import WRAP_EVERY, ArrivalQueue, size_of
from tests.peers.hostile_relay import hostile_relay
from tests.relays.conftest import Author, MakePool, eventually, take, to_bot

WRAP, SALE = 1_059, 21_000


def arrival(author: Author, content: str, *, kind: int = SALE) -> Arrival:
    return Arrival(author.verified(content, kind=kind), "ws://127.0.0.1", False, 0)


def contents(inbox: ArrivalQueue) -> list[str]:
    """All that waits, in the order in which it is taken."""
    return [inbox.get_nowait().event.content for _ in range(inbox.qsize())]


def test_gift_wraps_stand_behind_the_others_and_have_a_turn_all_the_same(author: Author) -> None:
    """One that comes behind many wraps is taken next; of many others every few a wrap goes first."""
    inbox = ArrivalQueue(1_000, 10_000_000)
    for n in range(5):
        inbox.put_nowait(arrival(author, f"wrap {n}", kind=WRAP))
    for n in range(WRAP_EVERY + 2):
        inbox.put_nowait(arrival(author, f"sale {n}"))
    expected = [f"sale {n}" for n in range(WRAP_EVERY)] + ["wrap 0"]
    expected += [f"sale {n}" for n in range(WRAP_EVERY, WRAP_EVERY + 2)] + [f"wrap {n}" for n in range(1, 5)]
    assert contents(inbox) == expected
    assert inbox.empty()


async def test_it_is_full_by_bytes_too(author: Author) -> None:
    """Whoever finds it full waits until there is room."""
    large = arrival(author, "x" * 60_000)
    inbox = ArrivalQueue(1_000, 2 * size_of(large.event))
    inbox.put_nowait(large)
    inbox.put_nowait(large)
    with pytest.raises(asyncio.QueueFull):
        inbox.put_nowait(large)
    waiting = asyncio.create_task(inbox.put(arrival(author, "small")))
    await asyncio.sleep(0)
    assert inbox.qsize() == 2
    inbox.get_nowait()
    await waiting
    assert [one[:5] for one in contents(inbox)] == ["xxxxx", "small"]


async def test_what_is_held_of_a_store_is_bounded_by_bytes(start_pool: MakePool, author: Author) -> None:
    """Of a store of large events parts are handed on before it is read; nothing is lost."""
    now = int(time.time())
    stored = [author.sign(f"{n} " + "x" * 20_000, kind=4, created_at=now - n) for n in range(40)]
    async with hostile_relay(events=stored, says_eose=False) as relay:
        pool = await start_pool(
            relay.url, wanted={"commands": to_bot(4, since=now - 3_600)}, eose_s=30.0, held_max_bytes=200_000
        )
        await eventually(lambda: pool.inbox.qsize() >= 30)
        arrived = await take(pool, 30)
        assert len({one.event.id for one in arrived}) == 30
