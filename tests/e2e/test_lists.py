"""Lists: newest first, in pages that fit into one event, over many rows (docs/protocol.md section 6)."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.house import House
from tests.e2e.people import Line
from tests.e2e.sales import sale

ANSWER_BYTES_MAX = 40 * 1024


@dataclass
class Lists:
    """An operator with two machines, and an LP with cash for many sales at the first."""

    house: House
    operator: Line
    lia: Line
    li1: Line


@pytest.fixture(scope="module")
def lists(town: House) -> Lists:
    operator = town.open_operator("lima", "li1", "li2")
    return Lists(town, operator, town.seat_lp(operator, "lia", "li1", "90000"), town.line("li1"))


def test_lists_come_in_pages(lists: Lists) -> None:
    """20 rows unless `limit=` says otherwise, newest first; `more` and `before` lead to the next page."""
    say = lists.operator.data
    for _ in range(25):
        say("deposit add lia 1 machine=li1")
    first = say("deposit list")
    ids = [row["id"] for row in first["deposits"]]
    assert len(ids) == 20
    assert first["more"] is True
    assert [int(one[1:]) for one in ids] == list(range(int(ids[0][1:]), int(ids[0][1:]) - 20, -1))
    second = say(f"deposit list before={ids[-1]}")
    assert second["deposits"][0]["id"] == f"d{int(ids[-1][1:]) - 1}"
    assert "more" not in second or second["more"] is False
    assert say(f"deposit list before={ids[-1].upper()}") == second
    assert len(say("deposit list limit=3")["deposits"]) == 3
    assert "before=" in lists.operator.ask("deposit list")
    one = say("machine list limit=1")
    assert one["more"] is True
    assert say(f"machine list limit=1 before={one['before']}")["machines"][0]["name"] != one["machines"][0]["name"]


def test_an_answer_fits_in_one_event(lists: Lists) -> None:
    """However many rows are asked for: 40 KiB of text at most, and the pages together are the whole list."""
    legs_per_sale = 3
    bills = [{"denomination": 100, "count": n} for n in range(40)]
    sales = [lists.li1.person.report(lists.house.pubkey, sale(lists.li1.person, bills=bills)) for _ in range(30)]
    lists.li1.publish(*sales)
    for event in sales:
        lists.li1.hear(event["id"])
    for line, verb, noun, rows in (
        (lists.operator, "settlement list", "settlements", 30),
        (lists.lia, "history", "history", 30),
    ):
        found: list[str] = []
        page: dict[str, Any] = {"more": True}
        before, pages = "", 0
        while page.get("more"):
            answer = line.say(line.person.command(lists.house.pubkey, f"{verb} limit=1000 {before} --json"))
            assert len(answer.text.encode()) <= ANSWER_BYTES_MAX
            page = answer.json["data"]
            found += [row["id"] for row in page[noun]]
            before, pages = f"before={page.get('before')}", pages + 1
        assert len(found) == len(set(found)) == rows
        assert found == sorted(found, key=lambda one: -int(one[1:]))
        assert pages > 1 or noun == "history"
    shown = lists.operator.data("settlement list limit=1 machine=li1 status=processed")["settlements"]
    assert len(shown[0]["legs"]) == legs_per_sale
    assert lists.operator.data("settlement list machine=li2") == {"settlements": []}


def test_history_since(lists: Lists) -> None:
    """`since=` leaves out what is older."""
    rows = lists.lia.data("history limit=1")["history"]
    at = rows[0]["at"]
    assert lists.lia.data(f"history limit=1 since={at}")["history"] == rows
    assert lists.lia.data(f"history since={at + 1}") == {"history": []}


def test_history_before_an_id_that_is_not_ones_own(lists: Lists) -> None:
    """`before=` an id that is another's, or nobody's: what is older than it, and no row of one's own is skipped."""
    first, second, *_ = lists.lia.data("history limit=2")["history"]
    assert lists.lia.data("history limit=1 before=l99999")["history"] == [first]
    assert lists.lia.data(f"history limit=1 before={first['id']}")["history"] == [second]
    between = f"l{int(second['id'][1:]) + 1}"
    assert between != first["id"]
    assert lists.lia.data(f"history limit=1 before={between}")["history"] == [second]


def test_before_what_is_no_id_at_all_is_refused(lists: Lists) -> None:
    """The first page again would keep a program that goes from page to page asking for ever."""
    for line, words in (
        (lists.operator, "settlement list before=x"),
        (lists.operator, "machine list before=li9"),
        (lists.lia, "history before=nobody/l5"),
    ):
        assert line.ask(words) == "Refused: before must be an id of this list [bad_argument]"


def test_an_operator_s_balances_and_an_lp_s_deposits(lists: Lists) -> None:
    """Whose the sats are sums to what is held; an LP sees its own deposits, newest first, with the operator's name."""
    told = lists.operator.data("balances machine=li1")
    assert [row["lp"] for row in told["balances"]] == ["lia"]
    assert set(told["balances"][0]) == {"lp", "machine", "currency", "deposited", "spent", "remaining"}
    sats = told["sats"]
    assert sats["held"] == sats["lps"] + sats["platform"] + sats["others"] + sats["operator"] > 0
    assert sats["lps"] == lists.lia.data("balance")[0]["sats"]
    own = lists.lia.data("deposits limit=2")
    assert [row["operator"] for row in own["deposits"]] == ["lima", "lima"]
    assert own["more"] is True
    theirs = lists.operator.data("deposit list lp=lia limit=2")["deposits"]
    assert [row["id"] for row in own["deposits"]] == [row["id"] for row in theirs]
