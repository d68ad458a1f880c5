"""The platform's commands, in its own book and in each operator's (acceptance C1-C4)."""

import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.facts import MachineChanged, PlatformFeeSet, SplitsSet
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.platform.facts import BookOpened, OperatorAdded, OperatorReplaced, OperatorSwitched
from tests.houses import House, Outcome, person


def code(outcome: Outcome) -> Code:
    assert isinstance(outcome, CommandRefused), outcome
    return outcome.code


def test_an_operator_is_enrolled_in_the_root_book() -> None:
    """Its key, its name, its time zone (UTC if none is said)."""
    root = House.root()
    assert root.say("platform", "operator add @operator name=antigua tz=America/Guatemala") == OperatorAdded(
        person("operator").pubkey, "antigua", "America/Guatemala"
    )
    assert root.say("platform", "operator add @other name=coban") == OperatorAdded(
        person("other").pubkey, "coban", "UTC"
    )


def test_an_operator_s_name_and_key_are_its_own() -> None:
    """One key, one book; one name, one operator."""
    root = House.root()
    root.say("platform", "operator add @operator name=antigua")
    assert code(root.say("platform", "operator add @operator name=coban")) is Code.KEY_TAKEN
    assert code(root.say("platform", "operator add @other name=antigua")) is Code.NAME_TAKEN


def test_the_same_command_opens_the_operator_s_own_book() -> None:
    """So that its trail stands alone."""
    house = House.empty()
    assert house.say("platform", "operator add @operator name=antigua") == BookOpened(
        person("operator").pubkey, person("platform").pubkey, "antigua", "UTC"
    )


def test_a_book_is_opened_once_and_for_its_own_operator_only() -> None:
    """Enrolling somebody else is no input of this book: it cannot rename it."""
    house = House.empty()
    assert code(house.say("platform", "operator add @other name=coban")) is Code.NOT_ALLOWED
    house.say("platform", "operator add @operator name=antigua")
    assert code(house.say("platform", "operator add @operator name=coban")) is Code.NOT_ALLOWED
    assert house.book.handle == "antigua"


def test_an_operator_is_suspended_and_resumed_in_both_books() -> None:
    """The root book knows who, the operator's own that it is."""
    root, house = House.root(), House.open()
    root.say("platform", "operator add @operator name=antigua")
    for book in (root, house):
        assert book.say("platform", "operator suspend antigua") == OperatorSwitched(
            person("operator").pubkey, "antigua", active=False
        )
    assert root.book.suspended_operators == {person("operator").pubkey}
    assert not house.book.active
    for book in (root, house):
        book.say("platform", "operator resume antigua")
    assert root.book.suspended_operators == set()
    assert house.book.active


def test_suspending_another_operator_does_not_touch_this_book() -> None:
    """A signed command against one operator cannot be turned against another."""
    house = House.open()
    assert code(house.say("platform", "operator suspend coban")) is Code.NOT_ALLOWED
    assert house.book.active
    assert code(House.root().say("platform", "operator suspend coban")) is Code.NOT_FOUND


@pytest.mark.parametrize("house", [House.root(), House.open()], ids=["root", "operator"])
def test_the_platform_s_fee_is_set_in_every_book(house: House) -> None:
    """By direction, in parts per million of the principal."""
    assert house.say("platform", "platform fee cash_in=2% cash_out=2.5%") == PlatformFeeSet(20_000, 25_000)
    assert (house.book.platform_ppm(cash_in=True), house.book.platform_ppm(cash_in=False)) == (20_000, 25_000)


def test_what_is_so_already_is_not_sealed_again() -> None:
    """A command that changes nothing makes no entry (acceptance C5)."""
    house = House.open()
    assert house.say("platform", "operator resume antigua") is None
    assert house.say("platform", "platform fee cash_in=1% cash_out=1.5%") is None


def test_another_key_speaks_for_an_operator_from_then_on() -> None:
    """The old one is a stranger, whatever its letters are dated; the book keeps its name, and its trail verifies."""
    house = House.open()
    key = house.book.key
    assert house.say("platform", "operator replace antigua @new-operator") == OperatorReplaced(
        key, "antigua", person("new-operator").pubkey
    )
    assert code(house.say("operator", "machine suspend m1", age_s=3_600)) is Code.NOT_ALLOWED
    assert isinstance(house.say("new-operator", "machine suspend m1"), MachineChanged)
    assert (house.book.key, house.book.operator) == (key, person("new-operator").pubkey)
    assert verify_trail(house.trail()).book == key
    assert house.say("platform", "operator replace antigua @new-operator") is None
    assert code(house.say("platform", "operator replace coban @other")) is Code.NOT_ALLOWED
    assert code(house.say("new-operator", "operator replace antigua @other")) is Code.NOT_ALLOWED


def test_what_is_the_operators_is_the_new_keys() -> None:
    """A split to its own npub is its own part; one to the old key is a stranger's."""
    house = House.open()
    house.say("platform", "operator replace antigua @new-operator")
    splits = house.say("new-operator", "splits set a=50%:@new-operator b=50%:@operator")
    assert isinstance(splits, SplitsSet)
    assert [rule.pubkey for rule in splits.splits] == [None, person("operator").pubkey]


def test_the_root_book_knows_every_key_an_operator_had() -> None:
    """One that was replaced is never free again, for nobody; a replacement goes on from the key in force."""
    root = House.root()
    root.say("platform", "operator add @operator name=antigua")
    root.say("platform", "operator add @other name=coban")
    key = person("operator").pubkey
    assert root.book.key_in_force(key) == key
    assert root.say("platform", "operator replace antigua @new-1") == OperatorReplaced(
        key, "antigua", person("new-1").pubkey
    )
    assert root.say("platform", "operator replace antigua @new-2") == OperatorReplaced(
        key, "antigua", person("new-2").pubkey
    )
    assert root.book.key_in_force(key) == person("new-2").pubkey
    assert root.say("platform", "operator replace antigua @new-2") is None
    for taken in ("@operator", "@new-1", "@other"):
        assert code(root.say("platform", f"operator replace antigua {taken}")) is Code.KEY_TAKEN
    assert code(root.say("platform", "operator add @new-1 name=peten")) is Code.KEY_TAKEN
    assert code(root.say("platform", "operator replace peten @new-3")) is Code.NOT_FOUND
    root.restart()
    assert root.book.key_in_force(key) == person("new-2").pubkey
