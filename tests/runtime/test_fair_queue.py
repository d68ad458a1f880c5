"""The fair queue: keys take turns, and one that had its share of work waits while the others go on (A5)."""

from hypothesis import given
from hypothesis import strategies as st

from nostrbot.runtime.fair_queue import DEBT_MAX_S, SHARE, WAITING_MAX, WAITING_PER_KEY_MAX, WORK_AT_ONCE_S, FairQueue


def drained(queue: FairQueue[int], now: float = 0.0, work_s: float = 0.0) -> list[tuple[str, int]]:
    """Everything that may have its turn now, one after the other, each having taken so long."""
    taken = []
    while (one := queue.take(now)) is not None:
        taken.append(one)
        queue.done(one[0], work_s, now)
    return taken


def test_keys_take_turns() -> None:
    """Ana asked three times before Ben asked once: he is second, and what one asks stays in order."""
    queue: FairQueue[int] = FairQueue()
    for key, thing in (("ana", 1), ("ana", 2), ("ana", 3), ("ben", 4), ("eva", 5)):
        assert queue.put(key, thing)
    assert drained(queue) == [("ana", 1), ("ben", 4), ("eva", 5), ("ana", 2), ("ana", 3)]
    assert len(queue) == 0


def test_one_thing_of_a_key_at_a_time() -> None:
    """However many take from it: the second of a key comes when the first is done."""
    queue: FairQueue[int] = FairQueue()
    queue.put("ana", 1)
    queue.put("ana", 2)
    assert queue.take(0.0) == ("ana", 1)
    assert queue.take(0.0) is None
    assert queue.rest_s(0.0) is None  # no time will change that
    queue.done("ana", 0.0, 0.0)
    assert queue.take(0.0) == ("ana", 2)


def test_a_key_that_had_its_share_waits_and_others_go_on() -> None:
    """By work, not by how many: one long question counts as much as a thousand short ones."""
    queue: FairQueue[int] = FairQueue()
    for n in range(3):
        queue.put("ana", n)
    assert queue.take(0.0) == ("ana", 0)
    queue.done("ana", WORK_AT_ONCE_S + 1, 0.0)
    queue.put("ben", 9)
    assert drained(queue) == [("ben", 9)]
    assert queue.rest_s(0.0) == 1 / SHARE
    assert queue.take(0.9 / SHARE) is None
    assert queue.take(1.1 / SHARE) == ("ana", 1)


def test_what_took_for_ever_is_not_held_against_its_key_for_ever() -> None:
    """A database that stood still for a day is nobody's fault."""
    queue: FairQueue[int] = FairQueue()
    queue.put("ana", 1)
    queue.take(0.0)
    queue.done("ana", 86_400.0, 0.0)
    queue.put("ana", 2)
    assert queue.rest_s(0.0) == DEBT_MAX_S / SHARE


def test_so_many_may_wait() -> None:
    """Of one key, and of all; what is refused takes nobody's place."""
    queue: FairQueue[int] = FairQueue()
    assert sum(queue.put("ana", n) for n in range(2 * WAITING_PER_KEY_MAX)) == WAITING_PER_KEY_MAX
    assert queue.put("ben", 0)
    for n in range(WAITING_MAX):
        queue.put(f"key {n % 500}", n)
    assert len(queue) == WAITING_MAX
    assert not queue.put("eva", 0)


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 30)), max_size=60),
    st.dictionaries(st.sampled_from("abcde"), st.floats(0, 3), max_size=5),
)
def test_nothing_is_lost_and_nobody_starves(asked: list[tuple[str, int]], costs: dict[str, float]) -> None:
    """Whatever is asked and however long it takes: in time all of it is answered, each key's in its order."""
    queue: FairQueue[int] = FairQueue()
    for key, thing in asked:
        queue.put(key, thing)
    now, answered = 0.0, []
    while len(queue):
        taken = queue.take(now)
        if taken is None:
            now += (queue.rest_s(now) or 0.0) + 0.01
            continue
        answered.append(taken)
        queue.done(taken[0], costs.get(taken[0], 0.0), now)
    for key in "abcde":
        assert [thing for of, thing in answered if of == key] == [thing for of, thing in asked if of == key]
