"""The book: one operator's state, folded from facts, and the check that it agrees with its ledger."""

from dataclasses import replace

import pytest

from nostrbot.core.atm.facts import DepositChanged
from nostrbot.core.atm.records import Reversal
from nostrbot.core.atm.settlements.facts import SettlementPending, SettlementProcessed
from nostrbot.core.atm.states import DepositStatus, SettlementStatus
from nostrbot.core.desk import Place
from nostrbot.core.desks import check_books
from nostrbot.core.evolution import evolve
from nostrbot.core.inputs import Signed
from nostrbot.core.rules import FIRST, RULES
from nostrbot.errors import BooksError
from tests.houses import House, person


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    return house


def test_the_entries_an_lp_s_preferences_came_from_are_the_newest_of_each_choice(house: House) -> None:
    """Carried over to another operator's book, those alone make the same preferences (acceptance L6)."""
    house.say("ana", "mode fixed limit=500")
    house.say("ana", "pause")
    house.say("ana", "forward ana@wallet.example.com")
    house.say("ana", "mode fixed limit=700")
    ana = house.book.lps["ana"]
    assert ana.preference_seqs == {"joined": 5, "mode": 11, "pause": 9, "forward": 10, "scheme": 5}

    other = House.empty(person("coban").pubkey)
    other.rules = FIRST  # later rules carry them in only with the LP's own join
    other.now = house.now + 30 * 86_400
    other.say("platform", "operator add @coban name=coban")
    other.say("coban", "machine add @m2 name=m2 fiat=GTQ cash_in=0 cash_out=0")
    other.say("coban", "lp add @ana machine=m2 name=ana")
    for seq in sorted(set(ana.preference_seqs.values())):
        given = house.entries[seq - 1].given
        assert isinstance(given, Signed)
        other.take(given._replace(carried=True, answered=False))
    carried = other.book.lps["ana"].preferences
    assert carried is not None
    assert ana.preferences is not None
    assert carried == replace(ana.preferences, joined_at=carried.joined_at)


def test_a_book_recalls_what_it_accepted_by_event_and_by_payment_hash(house: House) -> None:
    """A rejected sale by its event only."""
    accepted, rejected = house.sell(), house.sell(wire_sats=1)
    house.say("operator", "machine set m1 trust=wallet")
    waiting = house.sell()
    assert isinstance(accepted, SettlementProcessed)
    assert isinstance(waiting, SettlementPending)
    payments = {
        hash_: [(number, booked.status) for number, booked in having.items()]
        for hash_, having in house.book.recall.payments.items()
    }
    assert payments == {
        accepted.sale.payment_hash: [(1, SettlementStatus.PROCESSED)],
        waiting.sale.payment_hash: [(3, SettlementStatus.PENDING)],
    }
    booked = house.book.recall.events[rejected.event_id]  # type: ignore[union-attr]
    assert booked is not None
    assert (booked.status, booked.error) == (SettlementStatus.REJECTED, "amounts_inconsistent")


def test_a_fact_that_would_overdraw_an_lp_is_our_own_mistake(house: House) -> None:
    """decide() must never let it happen; evolve() refuses it and changes nothing."""
    deposit = house.book.deposits[1]
    before = house.ledger()
    too_much = DepositChanged(
        replace(deposit, status=DepositStatus.REVERSED, reversals=(Reversal(0, 900_001),)), "", 900_001
    )
    with pytest.raises(BooksError, match="liabilities:lp:ana:cash:m1 would be overdrawn by 1 GTQ"):
        evolve(house.book, too_much, Place(99, house.now, RULES))
    assert house.ledger() == before
    assert house.remaining("ana") == "9000.00"


def test_books_that_contradict_themselves_are_found(house: House) -> None:
    """The LP's balance and the ledger's are two countings of the same cash."""
    check_books(house.book)
    house.book.lps["ana"].seats["m1"].spent_minor += 1
    with pytest.raises(BooksError, match="liabilities:lp:ana:cash:m1 says 900000, the LP 899999"):
        check_books(house.book)
