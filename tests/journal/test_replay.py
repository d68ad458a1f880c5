"""Determinism: the same inputs in the same order give the same bytes, whatever else differs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nostrbot.audit.verification import verify_trail
from tests.days import recorded_day
from tests.houses import House, of_legs

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_day_has_the_same_head_under_every_hash_seed(seed: str) -> None:
    """A set of strings comes out in another order under another PYTHONHASHSEED; nothing sealed may notice."""
    quiet = {**os.environ, "PYTHONHASHSEED": seed}
    day = [sys.executable, "-W", "error", "-m", "tests.days"]
    head = subprocess.run(day, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=60, check=True).stdout
    assert head.strip() == recorded_day().chain.head


def test_hash_seeds_do_change_the_order_of_sets() -> None:
    """What the test above relies on."""
    orders = set()
    for seed in ("1", "2"):
        show = [sys.executable, "-c", "print(list({'m1', 'm2', 'ana', 'ben', 'eva', 'leo'}))"]
        quiet = {**os.environ, "PYTHONHASHSEED": seed}
        orders.add(subprocess.run(show, env=quiet, capture_output=True, text=True, timeout=60, check=True).stdout)
    assert len(orders) == 2


def test_a_replayed_day_is_the_same_day() -> None:
    """The inputs alone, decided again from an empty book, seal the same bytes."""
    day, again = recorded_day(), House.empty()
    for entry in day.entries:
        again.now = entry.at
        again.take(entry.given)
    assert [entry.body for entry in again.entries] == [entry.body for entry in day.entries]


def test_an_auditor_agrees_with_the_day() -> None:
    """It was not restarted at noon, and gets the same head."""
    day = recorded_day()
    summary = verify_trail(day.trail())
    assert (summary.head, summary.settlements) == (day.chain.head, 8)


def test_whoever_has_nothing_in_a_machine_does_not_matter_there() -> None:
    """The order in which others were enrolled, elsewhere or without cash, changes no share."""

    def shares(others: list[str]) -> list[str]:
        house = House.open()
        house.add_machine("m2")
        for lp in ("ana", "ben", "eva"):
            other = others.pop()
            house.add_lp(other, "500", machine="m2")
            house.say("operator", f"lp add @{other} machine=m1 name={other}")
            house.add_lp(lp, "10.01")
        return of_legs(house.sell(fiat="10.00"), "dca")

    assert shares(["x", "y", "z"]) == shares(["z", "x", "y"])


def test_ties_are_by_enrolment_and_by_nothing_else() -> None:
    """Names and keys in any order: the first enrolled of equals gets the odd sat."""
    for names in (["ana", "ben", "eva"], ["eva", "ana", "ben"], ["ben", "eva", "ana"]):
        house = House.open()
        for name in names:
            house.add_lp(name, "100")
        assert [line.split()[1:3] for line in of_legs(house.sell(fiat="2.00", fee_sats=0), "dca")] == [
            [names[0], "34"],
            [names[1], "33"],
            [names[2], "33"],
        ]
