"""Two operators with one bot: each sees its own, and an LP who is with both sees all of its own in one place."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.house import House
from tests.e2e.people import Line
from tests.e2e.sales import HASH, sale


@dataclass
class Neighbours:
    """coban with c1 and the LPs cora and dirk; delft with e1 and the LP cora, whom it calls annie."""

    house: House
    coban: Line
    delft: Line
    cora: Line
    dirk: Line
    c1: Line
    e1: Line


@pytest.fixture(scope="module")
def neighbours(town: House) -> Neighbours:
    coban, delft = town.open_operator("coban", "c1"), town.open_operator("delft", "e1")
    cora = town.seat_lp(coban, "cora", "c1", "9000")
    dirk = town.seat_lp(coban, "dirk", "c1", "1000")
    delft.data(f"lp add {cora.person.npub} machine=e1 name=annie")
    cora.data("join")
    deposit = delft.data("deposit add annie 5000 machine=e1")["deposit"]
    delft.data(f"deposit confirm {deposit['id']}")
    c1, e1 = town.line("c1"), town.line("e1")
    for _ in range(4):
        assert c1.settle(sale(c1.person))["status"] == "processed"
        assert e1.settle(sale(e1.person))["status"] == "processed"
    return Neighbours(town, coban, delft, cora, dirk, c1, e1)


@pytest.mark.parametrize(
    ("not_yours", "nowhere"),
    [
        ("machine show c1", "machine show m9"),
        ("machine set c1 cash_in=1%", "machine set m9 cash_in=1%"),
        ("machine suspend c1", "machine suspend m9"),
        ("lp show dirk", "lp show zoe"),
        ("lp suspend dirk", "lp suspend zoe"),
        ("lp list machine=c1", "lp list machine=m9"),
        ("deposit add dirk 5 machine=c1", "deposit add zoe 5 machine=m9"),
        ("deposit confirm d2", "deposit confirm d9"),
        ("deposit reverse d2 reason=x", "deposit reverse d9 reason=x"),
        ("settlement list machine=c1", "settlement list machine=m9"),
        ("splits show machine=c1", "splits show machine=m9"),
        ("splits set machine=c1 a=100%:self", "splits set machine=m9 a=100%:self"),
        ("splits set a=100%:dirk", "splits set a=100%:zoe"),
    ],
)
def test_not_yours_is_not_there(neighbours: Neighbours, not_yours: str, nowhere: str) -> None:
    """Faults 24, 89: the same answer, to the letter, whether it is another operator's or nobody's."""
    for mode in ("", " --json"):
        other, none = neighbours.delft.ask(not_yours + mode), neighbours.delft.ask(nowhere + mode)
        for mine, theirs in (("c1", "m9"), ("dirk", "zoe"), ("d2", "d9")):
            other = other.replace(mine, theirs)
        assert other == none


def test_counters_are_per_book(neighbours: Neighbours) -> None:
    """Both have an s1, and it is their own."""
    one, other = (line.data("settlement show s1")["settlement"] for line in (neighbours.coban, neighbours.delft))
    assert (one["machine"], other["machine"]) == ("c1", "e1")
    assert one["event_id"] != other["event_id"]
    assert {row["machine"] for row in neighbours.delft.data("settlement list")["settlements"]} == {"e1"}
    assert [row["name"] for row in neighbours.delft.data("lp list")["lps"]] == ["annie"]
    assert neighbours.delft.data("lp show annie")["lp"]["sats"] == 250_000
    assert [row["id"] for row in neighbours.delft.data("deposit list")["deposits"]] == ["d1"]


def test_a_hash_belongs_to_a_book(neighbours: Neighbours) -> None:
    """The idempotency key is (book, payment_hash): one operator's machine cannot block another's."""
    for line in (neighbours.c1, neighbours.e1):
        assert line.settle(sale(line.person, payment_hash=HASH))["status"] == "processed"


def test_a_machine_cannot_speak_for_anothers(neighbours: Neighbours) -> None:
    """Fault 24: operator A's key, operator B's machine: rejected in A's book, and B hears nothing of it."""
    before = neighbours.delft.data("settlement list limit=1")
    ack = neighbours.c1.settle(sale(neighbours.e1.person))
    assert (ack["status"], ack["error"]) == ("rejected", "attribution_mismatch")
    assert neighbours.delft.data("settlement list limit=1") == before


def test_a_machine_key_works_for_one_operator(neighbours: Neighbours) -> None:
    """The key of somebody else's machine is refused, without saying whose it is."""
    key = neighbours.c1.person.npub
    answer = neighbours.delft.ask_json(f"machine add {key} name=mine fiat=GTQ cash_in=1% cash_out=1%")
    assert answer["error"]["code"] == "key_taken"
    assert "coban" not in answer["error"]["message"]


def test_an_lp_with_two_operators_has_one_balance_sheet(neighbours: Neighbours) -> None:
    """`balance` joins the books: a row a machine, with the operator's name."""
    rows = neighbours.cora.data("balance")
    assert [(row["operator"], row["machine"], row["deposited"]) for row in rows] == [
        ("coban", "c1", "9000.00"),
        ("delft", "e1", "5000.00"),
    ]
    assert rows[1]["sats"] == neighbours.delft.data("lp show annie")["lp"]["sats"]
    words = neighbours.cora.ask("whoami")
    assert "coban" in words
    assert "delft" in words
    assert {row["operator"] for row in neighbours.dirk.data("balance")} == {"coban"}


def test_history_is_paged_across_books(neighbours: Neighbours) -> None:
    """Newest first over both books; two rows at a time, nothing twice and nothing left out."""
    whole = neighbours.cora.data("history limit=100")["history"]
    assert {row["operator"] for row in whole} == {"coban", "delft"}
    assert [row["at"] for row in whole] == sorted((row["at"] for row in whole), reverse=True)
    paged: list[dict[str, Any]] = []
    page: dict[str, Any] = neighbours.cora.data("history limit=2")
    paged += page["history"]
    while page.get("more"):
        page = neighbours.cora.data(f"history limit=2 before={page['before']}")
        paged += page["history"]
    assert paged == whole


def test_a_receipt_with_two_operators(neighbours: Neighbours) -> None:
    """The same number with both: the LP is asked which; with one: it is found; another LP's stays hidden."""
    rows = neighbours.cora.data("history limit=100")["history"]
    ids = {operator: {row["id"] for row in rows if row["operator"] == operator} for operator in ("coban", "delft")}
    (shared, *_) = sorted(ids["coban"] & ids["delft"]) or [None]
    if shared is not None:
        assert neighbours.cora.refused(f"receipt {shared}") == "ambiguous"
        for operator in ids:
            assert neighbours.cora.data(f"receipt {shared} operator={operator}")["operator"] == operator
    alone = min(ids["coban"] - ids["delft"])
    assert neighbours.cora.data(f"receipt {alone}")["operator"] == "coban"
    own = neighbours.dirk.data("history limit=1")["history"][0]["id"]
    assert neighbours.cora.ask(f"receipt {own} operator=coban").replace(own, "l99") == neighbours.cora.ask(
        "receipt l99 operator=coban"
    )
    assert neighbours.dirk.ask(f"receipt {own} operator=delft").replace(own, "l99") == neighbours.dirk.ask(
        "receipt l99 operator=delft"
    )


def test_a_choice_holds_with_every_operator(neighbours: Neighbours) -> None:
    """An LP's preference becomes an entry in each book, and each trail stands alone."""
    neighbours.cora.data("mode fixed limit=250")
    assert neighbours.coban.data("lp show cora")["lp"]["mode"] == "fixed"
    assert neighbours.delft.data("lp show annie")["lp"]["mode"] == "fixed"
    neighbours.cora.data("mode flow")
    for operator in (neighbours.coban, neighbours.delft):
        neighbours.house.assert_trail_verifies(operator.person)


def test_one_key_may_have_several_roles(neighbours: Neighbours) -> None:
    """An operator that is an LP with its neighbour and with itself speaks as each."""
    delft = neighbours.delft
    neighbours.coban.data(f"lp add {delft.person.npub} machine=c1 name=dolf")
    delft.data(f"lp add {delft.person.npub} machine=e1 name=self-made")
    delft.data("join")
    assert [row["operator"] for row in delft.data("balance")] == ["coban", "delft"]
    assert delft.data("machine show e1")["machine"]["name"] == "e1"
    assert delft.refused("machine show c1") == "not_found"
    assert neighbours.coban.data("lp show dolf")["lp"]["lp_onboarded"] is True


def test_a_suspended_operators_machine_is_inactive(neighbours: Neighbours) -> None:
    """Its commands are refused and its sales rejected; the neighbour goes on."""
    platform = neighbours.house.line("platform")
    platform.data("operator suspend delft")
    ack = neighbours.e1.settle(sale(neighbours.e1.person))
    assert (ack["status"], ack["error"]) == ("rejected", "machine_inactive")
    assert neighbours.delft.refused("settlement list") == "operator_suspended"
    assert neighbours.c1.settle(sale(neighbours.c1.person))["status"] == "processed"
    platform.data("operator resume delft")
    assert neighbours.e1.settle(sale(neighbours.e1.person))["status"] == "processed"
