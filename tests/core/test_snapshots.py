"""Snapshots: a book as plain data and back. Whoever goes on with it decides what it would have decided."""

import orjson
import pytest

from nostrbot.core.snapshots import restore_snapshot, take_snapshot
from tests.houses import House, person, succession
from tests.machines import statement


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
    house.sell("m2", n=9)  # what comes after it fills a gap
    house.sell(tx_type="cash_in", fiat="0.02", fee_sats=0)
    house.take(statement(at=house.now, by="m2", _10=(100, 480), _2=(50, 30)))
    house.say("operator", "guard m2 per_settlement=5000 per_day=20000 rate=5%")
    house.say("operator", "machine rotate m1 @new-1")
    house.say("operator", "fixed schedule 00:00,06:00,12:00,18:00")
    house.say("operator", "fixed limit 100")
    house.say("operator", "alerts down=5 low=50 sheet=off")
    house.tick(house.now + 86_400)
    house.say("operator", "settlement partial s2 fiat=1500 note=jam")
    house.say("operator", "machine compromised m2 since=0")
    house.say("operator", "machine resume m2")
    house.take(succession("bot", "new-bot", at=house.now))
    house.bot = "new-bot"
    return house


def test_the_house_has_something_of_everything() -> None:
    """So that the tests below mean all of a book: no part of it is as a new book has it."""
    book = lived().book
    new = take_snapshot(House.empty().book)
    same = {name for name, value in take_snapshot(book).items() if value == new[name]}
    # Those of an operator's replacement are tested in test_platform.py, of keys in test_roles.py and test_parties.py, the others are the root's.
    assert same == {
        "key",
        "platform",
        "first_bot",
        "operator",
        "former_operators",
        "freed",
        "parties",
        "moved",
        "active",
        "operators",
        "suspended_operators",
        "operator_keys",
    }
    assert sorted(book.frozen) == [2, 3]
    till = book.tills["m2"]
    assert (till.rates, till.day_minor, till.counter.newest) == ({"cash_out": []}, 350_000, 9)
    assert [(gap.first, gap.last) for gap in till.counter.gaps] == [(3, 8)]
    assert list(till.cassettes) == ["2", "10"]
    assert book.machine_of_key == {person(name).pubkey: machine for name, machine in
                                   (("m1", "m1"), ("m2", "m2"), ("new-1", "m1"))}  # fmt: skip
    assert book.fixed_given_minor == {("ben", "GTQ"): 250}


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
    root.say("platform", "operator replace coban @new-operator")
    taken = take_snapshot(root.book)
    assert take_snapshot(restore_snapshot(orjson.loads(orjson.dumps(taken)))) == taken


@pytest.mark.parametrize(
    "said",
    ["lp suspend ana", "splits clear machine=m1", "deposit reverse d1 amount=1 reason=x", "machine set m2 cash_out=0",
     "lp add @eva machine=m1 name=eva", "deposit add ben 5 machine=m1", "machine rotate m2 @m1", "cassette count m2 10=1",
     "settlement partial s2 fiat=1000 note=jam", "settlement refund s3 reason=back", "settle ana 5 machine=m2",
     "fixed limit 3", "guard m2 per_day=2000", "alerts low=1"],
)  # fmt: skip
def test_a_restored_book_decides_what_the_other_would_have(said: str) -> None:
    """The sealed bytes are the same whether the bot was restarted before them or not: an auditor never restarts."""
    straight, restarted = lived(), lived()
    restarted.restart()
    for house in (straight, restarted):
        house.say("operator", said)
        house.sell("m2", n=5)
        house.sell("m2", rate="49")
        house.take(statement(at=house.now - 200_000, by="m2", _2=(50, 1)))
        house.sell("m1")
        house.tick(house.now + 40_000)
    assert restarted.chain.head == straight.chain.head
    assert take_snapshot(restarted.book) == take_snapshot(straight.book)
    assert len(straight.entries) >= len(lived().entries) + 3  # m1 may not speak, which is no entry
