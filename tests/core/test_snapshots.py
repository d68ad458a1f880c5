"""Snapshots: a book as plain data and back. Whoever goes on with it decides what it would have decided."""

import orjson
import pytest

from nostrbot.core.snapshots import restore_snapshot, take_snapshot
from tests.houses import House


def lived() -> House:
    """A house with something of everything, always the same; ana came to m2 first, then to m1."""
    house = House.open()
    house.add_machine("m2")
    house.add_lp("ana", "9000", machine="m2")
    house.add_lp("ana", "500", machine="m1")
    house.add_lp("ben", "1000")
    house.say("operator", "splits set a=60%:self b=40%:ana")
    house.say("operator", "splits set machine=m1 a=100%:self")
    house.say("operator", 'deposit reverse d1 amount=1 reason="torn"')
    house.say("ben", "mode fixed limit=5")
    house.sell("m1")
    house.sell("m2")
    return house


def test_a_snapshot_of_a_restored_book_is_the_same_snapshot() -> None:
    """Nothing of a book is left out, in bytes and in order."""
    taken = orjson.dumps(take_snapshot(lived().book))
    assert orjson.dumps(take_snapshot(restore_snapshot(orjson.loads(taken)))) == taken


def test_the_root_book_too() -> None:
    """Operators and which of them are suspended."""
    root = House.root()
    root.say("platform", "operator add @operator name=antigua tz=America/Guatemala")
    root.say("platform", "operator add @other name=coban")
    root.say("platform", "operator suspend coban")
    taken = take_snapshot(root.book)
    assert take_snapshot(restore_snapshot(orjson.loads(orjson.dumps(taken)))) == taken


@pytest.mark.parametrize(
    "said",
    ["lp suspend ana", "splits clear machine=m1", "deposit reverse d1 amount=1 reason=x", "machine set m2 cash_out=0",
     "lp add @eva machine=m1 name=eva", "deposit add ben 5 machine=m1"],
)  # fmt: skip
def test_a_restored_book_decides_what_the_other_would_have(said: str) -> None:
    """The sealed bytes are the same whether the bot was restarted before them or not: an auditor never restarts."""
    straight, restarted = lived(), lived()
    restarted.restart()
    for house in (straight, restarted):
        house.say("operator", said)
        house.sell("m2")
    assert restarted.chain.head == straight.chain.head
    assert len(straight.entries) == len(lived().entries) + 2
