"""`alerts`: what an operator wants to be told without asking."""

import pytest

from nostrbot.core.atm.facts import AlertPlanSet
from nostrbot.core.atm.records import AlertPlan
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.snapshots import take_snapshot
from tests.houses import House


def test_what_is_named_changes_and_the_rest_stays() -> None:
    """Minutes become seconds; `sheet=off` is no sheet."""
    house = House.open()
    assert house.say("operator", "alerts down=5 low=50") == AlertPlanSet(AlertPlan(300, 420, 50, "07:00"))
    assert house.say("operator", "alerts sheet=off stuck=10m") == AlertPlanSet(AlertPlan(300, 600, 50, ""))
    assert house.book.alert_plan == AlertPlan(300, 600, 50, "")
    assert take_snapshot(house.rebuilt()) == take_snapshot(house.book)


@pytest.mark.parametrize("said", ["alerts", "alerts down=3 stuck=7 low=100 sheet=7:00", "alerts low=100"])
def test_what_is_so_already_changes_nothing(said: str) -> None:
    """Nothing is sealed."""
    house = House.open()
    head = house.chain.head
    assert house.say("operator", said) is None
    assert house.chain.head == head


@pytest.mark.parametrize("said", ["alerts down=8", "alerts stuck=2", "alerts down=10 stuck=9"])
def test_a_machine_is_down_before_it_is_stuck(said: str) -> None:
    """The other way round nobody would be told the first."""
    house = House.open()
    outcome = house.say("operator", said)
    assert isinstance(outcome, CommandRefused)
    assert outcome.code is Code.BAD_ARGUMENT
    assert house.book.alert_plan == AlertPlan(180, 420, 100, "07:00")


def test_down_and_stuck_may_be_the_same() -> None:
    """Then there is one alert only."""
    house = House.open()
    assert house.say("operator", "alerts down=7") == AlertPlanSet(AlertPlan(420, 420, 100, "07:00"))
