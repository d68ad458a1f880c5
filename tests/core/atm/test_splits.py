"""Commission splits: set and cleared as a whole, exactly 100 % (acceptance X18-X21)."""

import pytest

from nostrbot.core.atm.facts import SplitsSet
from nostrbot.core.atm.records import Split
from nostrbot.core.commands.refused import Code, CommandRefused
from tests.houses import House, of_legs, person


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana")
    return house


def test_a_set_names_the_operator_an_lp_or_any_key(house: House) -> None:
    """By self, by an LP's name, by npub; an npub that is an LP's or the operator's is recognised."""
    said = "splits set house=40%:SELF ana=30%:ana press=10%:@paper me=10%:@operator lp=10%:@ana"
    assert house.say("operator", said) == SplitsSet(
        None,
        (
            Split("house", 400_000, None, None),
            Split("ana", 300_000, "ana", None),
            Split("press", 100_000, None, person("paper").pubkey),
            Split("me", 100_000, None, None),
            Split("lp", 100_000, "ana", None),
        ),
    )


@pytest.mark.parametrize(
    ("shares", "code"),
    [
        ("a=99.9999%:self", Code.SPLITS_NOT_WHOLE),  # 0.999999
        ("a=60%:self b=40.0001%:ana", Code.SPLITS_NOT_WHOLE),  # 1.000001
        ("a=99.99999%:self", Code.BAD_ARGUMENT),  # 0.9999999 is finer than ppm can say
        ("a=100.00001%:self", Code.BAD_ARGUMENT),  # 1.0000001
        ("a=0.00001%:self b=99.99999%:ana", Code.BAD_ARGUMENT),
        ("a=60%:self", Code.SPLITS_NOT_WHOLE),
        ("a=0%:ana b=100%:self", Code.BAD_ARGUMENT),
        ("a=-10%:ana b=110%:self", Code.BAD_ARGUMENT),
        ("a=50%:self a=50%:ana", Code.BAD_ARGUMENT),
        ("a=50%:self b=50%:leo", Code.NOT_FOUND),
        ("a=50%:self b=50%", Code.BAD_ARGUMENT),
        ("a=50%:self b=50%:", Code.NOT_FOUND),
        ("=50%:self b=50%:ana", Code.BAD_ARGUMENT),
        (f"{'x' * 33}=100%:self", Code.BAD_ARGUMENT),
        (" ".join(f"l{place}=3%:self" for place in range(33)) + " rest=1%:self", Code.BAD_ARGUMENT),
        ("", Code.MISSING_ARGUMENT),
        ("machine=m1", Code.MISSING_ARGUMENT),
        ("machine=m9 a=100%:self", Code.NOT_FOUND),
    ],
)
def test_a_set_that_is_not_whole_is_refused_and_the_old_one_stays(house: House, shares: str, code: Code) -> None:
    """faults.md row 61, X20: replaced as one or not at all."""
    house.say("operator", "splits set old=70%:self ana=30%:ana")
    before = house.book.splits
    refused = house.say("operator", f"splits set {shares}")
    assert isinstance(refused, CommandRefused)
    assert refused.code is code
    assert house.book.splits == before


def test_a_new_set_replaces_the_whole_old_one(house: House) -> None:
    """X20: nothing of the old set is left over."""
    house.say("operator", "splits set old=70%:self ana=30%:ana")
    house.say("operator", "splits set new=100%:self")
    assert house.book.splits_in_force("m1") == (Split("new", 1_000_000, None, None),)


def test_the_same_set_again_changes_nothing(house: House) -> None:
    """C5."""
    house.say("operator", "splits set a=100%:self")
    assert house.say("operator", "splits set a=100.0%:self") is None


def test_a_machine_s_own_set_hides_the_default_and_never_merges_with_it(house: House) -> None:
    """X19: override if it has any, else the default."""
    house.add_machine("m2")
    house.say("operator", "splits set default=100%:self")
    house.say("operator", "splits set machine=m1 ana=100%:ana")
    assert of_legs(house.sell("m1"), "operator_split") == ["operator_split ana 6270"]
    assert of_legs(house.sell("m2"), "operator_split") == ["operator_split default 6270"]


def test_a_cleared_machine_follows_the_default_again(house: House) -> None:
    """Clearing what is not set changes nothing."""
    house.say("operator", "splits set default=100%:self")
    house.say("operator", "splits set machine=m1 ana=100%:ana")
    assert house.say("operator", "splits clear machine=m1") == SplitsSet("m1", ())
    assert of_legs(house.sell(), "operator_split") == ["operator_split default 6270"]
    assert house.say("operator", "splits clear machine=m1") is None


def test_a_settlement_uses_the_set_in_force_when_it_was_accepted(house: House) -> None:
    """faults.md row 62: journal order decides; a later set changes nothing that was shared."""
    first = house.sell()
    house.say("operator", "splits set ana=100%:ana")
    second = house.sell()
    assert of_legs(first, "operator_split") == ["operator_split operator 6270"]
    assert of_legs(second, "operator_split") == ["operator_split ana 6270"]
