"""LPs in several books: whose command concerns which, and who is told of another operator."""

import pytest

from nostrbot.core.book import Book
from nostrbot.runtime.lp_books import books_concerned, enrolment_notice, lp_in
from tests.houses import House, person

ANA = person("ana").pubkey


def operator(handle: str, *, joined: bool) -> Book:
    """A book of another operator, ana enrolled in it."""
    house = House.empty(person(handle).pubkey)
    house.say("platform", f"operator add @{handle} name={handle}")
    house.say(handle, f"machine add @{handle}-m name=m1 fiat=GTQ cash_in=5% cash_out=5%")
    house.say(handle, "lp add @ana machine=m1 name=ana")
    if joined:
        house.say("ana", "join")
    return house.book


def books(**joined: bool) -> dict[str, Book]:
    return {handle: operator(handle, joined=is_joined) for handle, is_joined in joined.items()}


@pytest.mark.parametrize(
    ("joined", "concerned", "with_others"),
    [
        ({"flores": True, "lago": False, "cobre": True}, ["flores", "cobre"], ["flores", "cobre", "lago"]),
        ({"flores": False, "lago": False}, ["flores"], ["flores", "lago"]),
        ({"flores": True}, ["flores"], ["flores"]),
        ({}, [], []),
    ],
)
def test_an_lp_speaks_to_the_books_it_joined(
    joined: dict[str, bool], concerned: list[str], with_others: list[str]
) -> None:
    """Where it joined none, to the first; a `join` to the others, too, after those."""
    there = books(**joined)
    assert books_concerned(there, list(there), ANA, also_others=False) == concerned
    assert books_concerned(there, list(there), ANA, also_others=True) == with_others


def test_an_lp_is_told_when_another_operator_enrols_it() -> None:
    """Once it has chosen somewhere: by the scheme it writes with, under a name that no second message has."""
    there = books(flores=True, lago=False)
    told = enrolment_notice(there, there["lago"], ANA)
    assert told is not None
    assert told.to == ANA
    assert told.name == f"enrolled:{there['lago'].key}:{ANA}"
    assert "lago" in told.text
    assert "flores" not in told.text
    chosen = lp_in(there["flores"], ANA).preferences
    assert chosen is not None
    assert told.scheme is chosen.scheme


@pytest.mark.parametrize(
    "joined",
    [
        {"lago": False},  # with nobody else
        {"lago": False, "flores": False},  # and chose nothing there
        {"lago": True, "flores": True},  # joined here, too
    ],
)
def test_nobody_else_is(joined: dict[str, bool]) -> None:
    """Before it chose anything the operator tells it itself."""
    there = books(**joined)
    assert enrolment_notice(there, there["lago"], ANA) is None


def test_a_second_machine_of_the_same_operator_is_no_news() -> None:
    """It was told when it was enrolled first."""
    there = books(flores=True)
    house = House.open()
    house.add_machine("m2")
    house.say("operator", "lp add @ana machine=m1 name=ana")
    there["antigua"] = house.book
    assert enrolment_notice(there, house.book, ANA) is not None
    house.say("operator", "lp add @ana machine=m2 name=ana")
    assert enrolment_notice(there, house.book, ANA) is None
