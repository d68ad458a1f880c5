"""The platform's fee: set for every book, told to every machine, due from the next sale on."""

from nostrbot.core.atm.facts import FeesPublished, PlatformFeeSet
from nostrbot.core.book import ROOT
from tests.houses import House, of_legs


def set_fee(house: House, cash_in: str, cash_out: str) -> list[str]:
    """What the platform's command sealed, by name."""
    sealed = len(house.entries)
    house.say("platform", f"platform fee cash_in={cash_in} cash_out={cash_out}")
    return [fact.name for entry in house.entries[sealed:] for fact in entry.facts]


def test_every_machine_is_told_what_it_is_to_charge_now() -> None:
    """By direction: the operator's own fee and the platform's. m1 takes 5 % and 6.27 %, m2 the same."""
    house = House.open()
    house.add_machine("m2")
    assert set_fee(house, "2%", "3%") == ["platform_fee_set", "fees_published", "fees_published"]
    fee, *told = house.entries[-1].facts
    assert fee == PlatformFeeSet(20_000, 30_000)
    assert all(isinstance(fact, FeesPublished) for fact in told)
    assert [
        (fact.machine, fact.cash_in_ppm, fact.cash_out_ppm) for fact in told if isinstance(fact, FeesPublished)
    ] == [
        ("m1", 70_000, 92_700),
        ("m2", 70_000, 92_700),
    ]


def test_the_next_sale_pays_it() -> None:
    """100,000 sats of principal: 1.5 % are 1,500 sats, 3 % are 3,000."""
    house = House.open()
    assert of_legs(house.sell(), "super_fee") == ["super_fee platform 1500"]
    set_fee(house, "1%", "3%")
    assert of_legs(house.sell(), "super_fee") == ["super_fee platform 3000"]


def test_the_fee_there_is_already_is_no_entry() -> None:
    """Said twice, it is sealed once, and no machine is told anew."""
    house = House.open()
    assert set_fee(house, "1%", "1.5%") == []
    assert set_fee(house, "0", "0") == ["platform_fee_set", "fees_published"]
    assert set_fee(house, "0", "0") == []


def test_a_machine_whose_key_was_freed_is_not_told() -> None:
    """It belongs to another operator by now."""
    house = House.open()
    house.add_machine("m2")
    house.say("platform", "machine free @m2")
    assert set_fee(house, "2%", "2%") == ["platform_fee_set", "fees_published"]


def test_the_root_has_a_fee_and_no_machine() -> None:
    """It is where new books learn the fee from."""
    root = House.root()
    assert root.book.key == ROOT
    assert set_fee(root, "2%", "3%") == ["platform_fee_set"]
    assert (root.book.cash_in_ppm, root.book.cash_out_ppm) == (20_000, 30_000)
