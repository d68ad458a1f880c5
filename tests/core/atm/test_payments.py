"""Payments: what an LP was paid apart from any settlement can be taken back (docs/protocol.md sections 5 and 6; review A3)."""

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.facts import LpPaid, MachineCompromised, PaymentVoided
from nostrbot.core.atm.payments import PRICED_SHOWN_MAX
from nostrbot.core.atm.recall import Recall
from nostrbot.core.atm.settlements.facts import Leg
from nostrbot.core.atm.states import LegStatus, LegType
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.core.parsing import parse
from nostrbot.core.snapshots import take_snapshot
from nostrbot.errors import TrailError
from nostrbot.exports.narration import Narration, narrate
from nostrbot.messages.receipts import Sealed, entry_messages, owes_messages
from nostrbot.messages.replies import answer
from nostrbot.nostr.sealing import Scheme
from nostrbot.views.outcomes import outcome_view
from tests.houses import House, person

DAY_S = 86_400


@pytest.fixture
def house() -> House:
    """Ana has 1000 GTQ in m1, 300.50 of it paid for by `settle` in l5: 15,025 of the operator's 106,270 sats."""
    house = House.open()
    house.sell()
    house.add_lp("ana", "1000.00")
    house.say("operator", "settle ana 300.50 machine=m1")
    return house


def refused(house: House, text: str) -> CommandRefused:
    head = house.chain.head
    outcome = house.say("operator", text)
    assert isinstance(outcome, CommandRefused)
    assert house.chain.head == head
    return outcome


def test_a3_a_payment_is_taken_back_whole(house: House) -> None:
    """Every posting of it is reversed: the books are as if it had never been, and the leg says that it is void."""
    house.say("operator", "payment void l5 reason=bogus")
    fresh = House.open()
    fresh.sell()
    fresh.add_lp("ana", "1000.00")
    assert house.ledger() == fresh.ledger()
    assert house.remaining("ana") == "1000.00"
    assert (house.book.own_sats(), house.book.sats_owed("ana")) == (106_270, 0)
    (fact,) = house.entries[-1].facts
    leg = Leg(5, LegType.SETTLEMENT, "ana", None, None, 15_025, 30_050, LegStatus.VOIDED, None, 100_000, 69_950)
    assert fact == PaymentVoided(
        "m1", "GTQ", "50", None, house.entries[-2].at, (leg,), person("operator").pubkey, "bogus"
    )


def test_the_answer_says_what_is_whose_again(house: House) -> None:
    """As `settle` answers: one leg, with the balance before and after; in words the same."""
    text = 'payment void l5 reason="priced by a false sale"'
    command = parse(text)
    before = house.book.lps["ana"].seats["m1"].remaining_minor
    assert before == 69_950
    fact = house.say("operator", text)
    assert isinstance(fact, PaymentVoided)
    house.book.lps["ana"].seats["m1"].spent_minor += 30_050  # an answer is made before the book moves on
    data = outcome_view(house.book, house.book.operator, command, (fact,), at=house.now)  # type: ignore[arg-type]
    assert data == {
        "leg": {
            "id": "l5",
            "settlement": None,
            "type": "settlement",
            "lp": "ana",
            "sats": 15_025,
            "fiat": "300.50",
            "currency": "GTQ",
            "rate": "50",
            "status": "voided",
            "reason": None,
            "machine": "m1",
            "balance_before": "699.50",
            "balance_after": "1000.00",
        }
    }
    assert answer("payment void", data, json=False) == (
        "l5 is void: 15025 sats are yours again, and ana has its 300.50 GTQ back at m1: 1000.00 GTQ left there. "
        "ana is told."
    )


def test_the_lp_is_told_that_its_receipt_is_void(house: House) -> None:
    house.say("operator", "payment void l5 reason=bogus")
    entry = house.entries[-1]
    assert owes_messages(entry.facts)
    sealed = Sealed(house.book.key, 14, entry.at, "ab" * 32, entry.facts, 4, person("operator").pubkey, Scheme.NIP04)
    (message,) = entry_messages(house.book, sealed)
    assert (message.name, message.to) == (f"void:{house.book.key}:14:5", person("ana").pubkey)
    assert message.text == (
        "Void: receipt l5 at m1, antigua. Your operator took this payment back: 300.50 GTQ are yours again, 15025 sats "
        f"are not. `balance` shows it.\nJournal entry 14 {'ab' * 32}"
    )


def test_a_ledger_says_why(house: House) -> None:
    house.say("operator", "payment void l5 reason=bogus")
    assert narrate(house.entries[-1].facts) == [Narration("ana", "payment l5 at m1 voided: bogus", "void", ("l5",))]


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ("payment void l99 reason=x", Code.NOT_FOUND, "there is no leg l99: `payment list` shows what you paid LPs"),
        ("payment void l5", Code.MISSING_ARGUMENT, ""),
        ('payment void l5 reason=" "', Code.BAD_ARGUMENT, ""),
        ("payment void five reason=x", Code.BAD_ARGUMENT, ""),
    ],
)
def test_what_is_refused(house: House, said: str, code: Code, words: str) -> None:
    outcome = refused(house, said)
    assert outcome.code is code
    assert outcome.message.startswith(words)


def test_what_is_void_is_not_voided_again(house: House) -> None:
    house.say("operator", "payment void l5 reason=x")
    assert refused(house, "payment void l5 reason=y") == CommandRefused(
        Code.WRONG_STATUS, "l5 is voided: there is nothing to take back"
    )


def test_only_its_operator_may(house: House) -> None:
    for who in ("ana", "platform", "m1"):
        assert isinstance(house.say(who, "payment void l5 reason=x"), CommandRefused)
    assert house.remaining("ana") == "699.50"


def test_frozen_sats_do_not_pay_it_back(house: House) -> None:
    """What an LP has from a sale that a thief may have signed is not there to be taken."""
    house.sell()  # all of ana's cash that is left: 34,975 sats
    house.say("operator", f"machine compromised m1 since={house.now}")
    book = house.book
    assert (book.sats_owed("ana"), book.frozen_sats("ana")) == (50_000, 34_975)
    assert isinstance(house.say("operator", "payment void l5 reason=x"), PaymentVoided)
    assert (book.sats_owed("ana"), house.remaining("ana")) == (34_975, "300.50")


def test_what_has_left_is_not_called_back(house: House) -> None:
    """No payout exists yet; when one does, its sats are gone."""
    house.book.balances.apply(Transaction((("liabilities:lp:ana:sats", "sat", 1), ("assets:sats", "sat", -1))))
    assert refused(house, "payment void l5 reason=x") == CommandRefused(
        Code.ALREADY_PAID_OUT,
        "l5 gave ana 15025 sats, and only 15024 unfrozen sats are still here: the rest cannot be called back. "
        "Settle it with ana",
    )


# --- fixed mode -----------------------------------------------------------------------------------------------------


def fixed_house() -> House:
    """Ana, fixed, at 12:00 and 20:00 in Guatemala; 500.00 of her 1000 given at noon, in l5."""
    house = House.open()
    house.sell()
    house.add_lp("ana", "1000.00")
    house.say("operator", "fixed schedule 12:00,20:00")
    house.say("ana", "mode fixed")
    _, paid = house.tick(house.now + DAY_S // 4)
    assert isinstance(paid, LpPaid)
    assert [(leg.number, leg.sats, leg.fiat_minor) for leg in paid.legs] == [(5, 25_000, 50_000)]
    return house


def test_a3_what_is_voided_is_due_again_that_day() -> None:
    house = fixed_house()
    house.say("operator", "payment void l5 reason=bogus")
    assert house.book.fixed_given_minor == {}
    _, paid = house.tick(house.now + DAY_S // 4)
    assert isinstance(paid, LpPaid)
    assert [(leg.sats, leg.fiat_minor) for leg in paid.legs] == [(50_000, 100_000)]
    assert verify_trail(house.trail()).head == house.chain.head


def test_a3_the_next_day_is_a_day_of_its_own() -> None:
    """What is voided a day later does not raise what may be given then."""
    house = fixed_house()
    house.say("ana", "mode fixed limit=600")
    house.tick(house.now + DAY_S)
    given = dict(house.book.fixed_given_minor)
    house.say("operator", "payment void l5 reason=bogus")
    assert house.book.fixed_given_minor == given


def test_a_skipped_leg_gave_nothing_to_take_back() -> None:
    house = fixed_house()
    house.say("operator", "settle ana 500 machine=m1 rate=162")  # nearly all the operator has
    house.add_cash("ana", "1000")
    house.tick(house.now + DAY_S // 4)
    assert refused(house, f"payment void l{house.book.leg_count} reason=x").message == (
        f"l{house.book.leg_count} is skipped: there is nothing to take back"
    )


# --- replays and audits ---------------------------------------------------------------------------------------------


def test_the_bytes_alone_make_the_same_book_and_audit(house: House) -> None:
    """A restart before and after, and an auditor who reads the trail alone."""
    house.restart()
    house.say("operator", "payment void l5 reason=bogus")
    house.say("operator", "settle ana 10 machine=m1")
    house.say("operator", "payment void l6 reason=again")
    assert take_snapshot(house.rebuilt()) == take_snapshot(house.book)
    summary = verify_trail(house.trail())
    assert summary.head == house.chain.head
    assert summary.receipts == 0


def test_a_trail_with_a_void_of_what_is_void_is_refused(house: House) -> None:
    """An auditor remembers what was voided, however far back."""
    house.say("operator", "payment void l5 reason=x")
    legs = house.book.recall.legs
    legs[5] = legs[5]._replace(leg=legs[5].leg._replace(status=LegStatus.COMPLETED))  # a bot that forgot
    house.book.lps["ana"].seats["m1"].spent_minor += 30_050
    house.sell()
    house.say("operator", "payment void l5 reason=y")
    with pytest.raises(TrailError):
        verify_trail(house.trail())


# --- a stolen key ---------------------------------------------------------------------------------------------------


def test_a3_machine_compromised_lists_what_it_may_have_priced(house: House) -> None:
    """Newest first, in force, at that machine, since then; and says how each is taken back."""
    house.add_machine("m2")
    house.say("operator", "lp add @ana machine=m2 name=ana")
    house.add_cash("ana", "100", "m2")
    since = house.now + 1
    house.sell(rate="52", fiat="2.00")
    for _ in range(3):
        house.say("operator", "settle ana 1 machine=m1")  # l.. and on
    first = house.book.leg_count - 2
    house.say("operator", "settle ana 1 machine=m2 rate=50")
    house.say("operator", f"payment void l{first + 1} reason=x")
    text = f"machine compromised m1 since={since}"
    command = parse(text)
    house.say("operator", text)
    facts = house.entries[-1].facts
    assert isinstance(facts[0], MachineCompromised)
    data = outcome_view(house.book, house.book.operator, command, facts, at=house.now)  # type: ignore[arg-type]
    assert data["priced"] == [f"l{first + 2}", f"l{first}"]
    assert answer("machine compromised", data, json=False).splitlines()[-1] == (
        f"Paid there since then in fixed mode or by settle, at rates that may be false: l{first + 2}, l{first}: "
        'payment void <leg> reason="…" takes a payment back; `payment list machine=m1` shows all'
    )


def test_the_list_is_bounded(house: House) -> None:
    leg = house.book.recall.legs[5]
    for number in range(100, 100 + PRICED_SHOWN_MAX + 5):
        house.book.recall.legs[number] = leg._replace(leg=leg.leg._replace(number=number))
    command = parse("machine compromised m1 since=0")
    house.say("operator", "machine compromised m1 since=0")
    data = outcome_view(house.book, house.book.operator, command, house.entries[-1].facts, at=house.now)  # type: ignore[arg-type]
    assert (len(data["priced"]), data["priced"][0], data["more"]) == (PRICED_SHOWN_MAX, "l204", True)
    assert len(orjson.dumps(data)) < 10_000


def test_a_recall_forgets_legs_too() -> None:
    recall = Recall()
    house = fixed_house()
    recall.legs.update(house.book.recall.legs)
    recall.forget()
    assert recall.legs == {}
