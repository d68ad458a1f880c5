"""The bot's keys in a book: handed on one after the other, and named backwards in a book that was opened later."""

import pytest

from nostrbot.core.platform.facts import BotRotated, PredecessorNamed
from nostrbot.core.rules import FIRST, RULES
from nostrbot.refusals import Reason, Refusal
from tests.houses import House, Outcome, person, succession


def reason(outcome: Outcome) -> Reason:
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason


def carried(house: House, old: str, new: str) -> Outcome:
    """A rotation of before the book was opened, entered in it."""
    return house.take(succession(old, new, at=house.now)._replace(carried=True))


def test_keys_follow_one_another() -> None:
    """bot -> bot-2 -> bot-3: the newest is in force, the others are remembered in order."""
    house = House.open()
    assert house.take(succession("bot", "bot-2", at=house.now)) == BotRotated(
        person("bot").pubkey, person("bot-2").pubkey
    )
    assert house.take(succession("bot-2", "bot-3", at=house.now)) == BotRotated(
        person("bot-2").pubkey, person("bot-3").pubkey
    )
    assert house.book.bot == person("bot-3").pubkey
    assert set(house.book.former_bots) == {person("bot").pubkey, person("bot-2").pubkey}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bot-2", "bot-3"),  # goes on from a key that the bot has not
        ("bot", "platform"),  # whose word would then be everybody's
    ],
)
def test_a_rotation_that_does_not_go_on_from_here_is_refused(old: str, new: str) -> None:
    """The chain of keys has no gap and no fork."""
    house = House.open()
    assert reason(house.take(succession(old, new, at=house.now))) is Reason.INVALID
    assert house.book.bot == person("bot").pubkey


def test_nobody_goes_back_to_a_key_of_before() -> None:
    """It may have been rotated because it was stolen."""
    house = House.open()
    house.take(succession("bot", "bot-2", at=house.now))
    assert reason(house.take(succession("bot-2", "bot", at=house.now))) is Reason.INVALID


def test_the_same_rotation_again_has_no_effect() -> None:
    """A relay shows it at every start."""
    house = House.open()
    given = succession("bot", "bot-2", at=house.now)
    house.take(given)
    head = house.chain.head
    assert reason(house.take(given)) is Reason.DUPLICATE
    assert house.chain.head == head


@pytest.mark.parametrize("held", ["m1", "ana", "operator"])
def test_a_key_that_is_somebodys_is_not_the_bots(held: str) -> None:
    """What a machine signs would be the bot's word. The first rules did not look."""
    for rules, refused in ((RULES, True), (FIRST, False)):
        house = House.open()
        house.add_lp("ana")
        house.rules = rules
        assert isinstance(house.take(succession("bot", held, at=house.now)), Refusal) == refused


def test_only_the_platform_countersigns() -> None:
    """An operator cannot give its LPs another bot."""
    house = House.open()
    assert isinstance(house.take(succession("bot", "bot-2", at=house.now, by="operator")), Refusal)


def test_a_book_that_was_opened_later_learns_who_was_before() -> None:
    """The newest rotation first; each names the key before one that the book knows."""
    house = House.empty(bot="bot-3")
    house.say("platform", "operator add @operator name=antigua")
    assert isinstance(carried(house, "bot", "bot-2"), Refusal)  # bot-2 is nobody yet
    assert carried(house, "bot-2", "bot-3") == PredecessorNamed(person("bot-2").pubkey, person("bot-3").pubkey)
    assert carried(house, "bot", "bot-2") == PredecessorNamed(person("bot").pubkey, person("bot-2").pubkey)
    assert house.book.bot == person("bot-3").pubkey
    assert reason(carried(house, "bot-3", "bot-2")) is Reason.INVALID  # no circle
