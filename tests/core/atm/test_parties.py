"""Sats that wait for another key in a split, and what becomes of them (the review of November 2026, A10)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.facts import PartyMoved
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.engine import apply, decide
from nostrbot.core.rules import FIRST
from nostrbot.messages.receipts import Sealed, entry_messages
from nostrbot.nostr.sealing import Scheme
from tests.houses import House, letter, person

XENA = person("xena").pubkey


def shared() -> House:
    """A house in which half of the commission is xena's, whoever that is; one sale."""
    house = House.open()
    house.say("operator", "splits set xena=50%:@xena self=50%:self")
    house.sell()
    return house


def owed(house: House, account: str) -> int:
    return -house.ledger().get(f"{account} sat", 0)


def verify(house: House) -> None:
    assert verify_trail(house.trail()).head == house.chain.head
    assert house.rebuilt().balances.trial() == house.book.balances.trial()


def test_a10_what_waited_is_the_lp_s_from_its_enrolment_on() -> None:
    """One entry: the LP has it in its account, with a receipt that says so."""
    house = shared()
    waiting = owed(house, f"liabilities:party:{XENA}")
    assert waiting == 3_135
    house.say("operator", "lp add @xena machine=m1 name=xe")
    _, moved = house.entries[-1].facts
    assert isinstance(moved, PartyMoved)
    assert (owed(house, f"liabilities:party:{XENA}"), house.book.sats_owed("xe")) == (0, waiting)
    entry = house.entries[-1]
    sealed = Sealed(entry.book, entry.seq, entry.at, entry.hash, entry.facts, 4, "", Scheme.NIP04)
    [message] = entry_messages(house.book, sealed)
    assert message.to == XENA
    assert "You received 3135 sats of commission at m1, antigua." in message.text
    assert "commission that had waited for your key" in message.text
    house.sell()
    assert house.book.sats_owed("xe") == 2 * waiting
    known = (house.book.parties, house.book.moved)
    house.restart()
    assert (house.book.parties, house.book.moved) == known == ({XENA}, {XENA: ("xe", moved.legs[0].number, waiting)})
    verify(house)


def test_a10_what_waited_for_the_operator_s_new_key_is_its_own() -> None:
    """By `operator replace`."""
    house = shared()
    before = house.book.own_sats()
    house.say("platform", "operator replace antigua @xena")
    assert house.book.own_sats() == before + 3_135
    assert owed(house, f"liabilities:party:{XENA}") == 0
    verify(house)


def test_a10_in_a_book_of_before_it_moves_by_the_clock() -> None:
    """The LP of the review: enrolled when nothing moved yet."""
    house = shared()
    enrol_as_before(house)
    [fact] = house.tick(house.now + 60)
    assert isinstance(fact, PartyMoved)
    assert house.book.sats_owed("xe") == 3_135
    assert house.tick(house.now + 60) == ()


def enrol_as_before(house: House) -> None:
    """Xena is enrolled by the rules of before 27 November 2026; not sealed, because the chain has those of now."""
    said = letter("operator", "lp add @xena machine=m1 name=xe", at=house.now)
    decision = decide(house.book, said, house.now, FIRST)
    apply(house.book, said.id, decision.facts, seq=house.chain.seq + 1, at=house.now, rules=FIRST)


def test_a10_what_is_undone_goes_back_the_same_way() -> None:
    """Two sales before the enrolment; one is corrected, the other refunded: the receipt shrinks, then is void."""
    house = shared()
    house.sell()
    house.say("operator", "lp add @xena machine=m1 name=xe")
    assert house.book.sats_owed("xe") == 6_270
    house.say("operator", "settlement partial s1 fiat=1000 note=jam")
    # The half that was dispensed is shared out anew, and by now it is the LP's.
    assert house.book.sats_owed("xe") == 3_135 + 1_567 + 1
    assert owed(house, f"liabilities:party:{XENA}") == 0
    house.say("operator", "settlement refund s2 reason=false")
    assert owed(house, f"liabilities:party:{XENA}") == 0
    last = house.entries[-1].facts[-1]
    assert isinstance(last, PartyMoved)
    assert [leg.status for leg in last.voided] == [LegStatus.VOIDED]
    assert last.legs == ()
    entry = house.entries[-1]
    sealed = Sealed(entry.book, entry.seq, entry.at, entry.hash, entry.facts, 4, "", Scheme.NIP04)
    assert any(message.text.startswith("Void: receipt l") for message in entry_messages(house.book, sealed))
    verify(house)


def test_a10_what_was_moved_is_no_payment_to_be_voided() -> None:
    """It is undone with its sales, not by itself."""
    house = shared()
    house.say("operator", "lp add @xena machine=m1 name=xe")
    [leg] = house.entries[-1].facts[-1].legs  # type: ignore[union-attr]
    outcome = house.say("operator", f"payment void l{leg.number} reason=x")
    assert isinstance(outcome, CommandRefused)
    assert outcome.code is Code.NOT_FOUND


DEEDS = (
    "sale",
    "sale",
    "lp x",
    "lp y",
    "operator x",
    "operator back",
    "split x",
    "split y",
    "partial",
    "refund",
    "tick",
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(DEEDS), min_size=3, max_size=14))
def test_a10_nobody_loses_a_sat_whatever_a_key_becomes(deeds: list[str]) -> None:
    """Whatever x and y become, and whatever is undone: the sats held are those owed, and no key with an owner waits."""
    house = House.open()
    house.say("operator", "splits set x=40%:@x y=35%:@y self=25%:self")
    speaker, keys = "operator", 0
    for deed in deeds:
        match deed.split():
            case ["sale"]:
                house.sell()
            case ["lp", name]:
                house.say(speaker, f"lp add @{name} machine=m1 name={name}")
            case ["operator", "x"]:
                house.say("platform", "operator replace antigua @x")
                speaker = "x"
            case ["operator", "back"]:
                keys += 1
                house.say("platform", f"operator replace antigua @new-op-{keys}")
                speaker = f"new-op-{keys}"
            case ["split", name]:
                house.say(speaker, f"splits set z=100%:@{name}")
            case ["partial"]:
                house.say(speaker, f"settlement partial s{max(1, house.book.settlement_count)} fiat=777 note=x")
            case ["refund"]:
                house.say(speaker, f"settlement refund s{max(1, house.book.settlement_count)} reason=x")
            case _:
                house.tick(house.now + 60)
        ledger = house.ledger()
        assert sum(amount for account, amount in ledger.items() if account.endswith(" sat")) == 0
        assert all(amount <= 0 for account, amount in ledger.items() if account.startswith("liabilities:"))
        for name in ("x", "y"):
            if person(name).pubkey in book_lps(house) and person(name).pubkey != house.book.operator:
                assert owed(house, f"liabilities:party:{person(name).pubkey}") == 0
    verify(house)


def book_lps(house: House) -> set[str]:
    return set(house.book.lp_of_key)


def test_a11_what_a_former_party_brought_its_operator_and_was_paid_on_has_left() -> None:
    """Undoing the sale behind it would leave LPs with sats that nobody brought: refused until a payment is taken back."""
    house = House.open()
    house.add_lp("ana", "9000")
    house.say("operator", "splits set xena=100%:@xena")
    house.sell(fiat="9000.00", fee_sats=100_000)
    house.say("platform", "operator replace antigua @xena")
    house.say("xena", "deposit add ana 1000 machine=m1")
    house.say("xena", "deposit confirm d2")
    house.say("xena", "settle ana 1000 machine=m1 rate=93")
    assert house.book.own_sats() == 250
    for undoing in ("settlement refund s1 reason=false", "settlement partial s1 fiat=100 note=jam"):
        refused = house.say("xena", undoing)
        assert isinstance(refused, CommandRefused)
        assert refused.code is Code.ALREADY_PAID_OUT
    house.say("xena", "payment void l4 reason=false")
    assert not isinstance(house.say("xena", "settlement refund s1 reason=false"), CommandRefused)
    assert {account: sats for account, sats in house.ledger().items() if account.endswith(" sat")} == {}
    verify(house)
