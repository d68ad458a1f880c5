"""Sales settled outside, by their operator's word (docs/protocol.md section 6; acceptance S23)."""

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.dossier import as_it_stands
from nostrbot.core.atm.recall import Duplicate
from nostrbot.core.atm.settlements.facts import (
    SettlementNoted,
    SettlementPending,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRejected,
)
from nostrbot.core.atm.states import Direction
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.refusals import Reason
from tests.houses import House, Outcome, legs, letter, payment_hash, person, report

BY_HAND = "settlement add machine=m1 fiat_amount=2000 exchange_rate=50"
HASH = payment_hash("by hand")


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    return house


def add(house: House, text: str) -> SettlementProcessed:
    outcome = house.say("operator", text)
    assert isinstance(outcome, SettlementProcessed), outcome
    return outcome


def code(outcome: Outcome) -> Code:
    assert isinstance(outcome, CommandRefused), outcome
    return outcome.code


def test_it_is_booked_as_if_the_machine_had_said_it(house: House) -> None:
    """The fee that is due unless another is given; legs and ledger as ever; the trail verifies."""
    added = add(house, BY_HAND)
    assert legs(added) == [
        "super_fee platform 1500",
        "operator_split operator 6270",
        "dca ana 90000 for 1800.00",
        "dca ben 10000 for 200.00",
    ]
    other = House.open()
    other.add_lp("ana", "9000")
    other.add_lp("ben", "1000")
    other.sell()
    assert house.ledger() == other.ledger()
    assert verify_trail(house.trail()).head == house.chain.head


def test_the_command_is_the_source(house: House) -> None:
    """The entry holds the operator's signed command, whose id is the settlement's event and payment hash."""
    added = add(house, BY_HAND)
    event = orjson.loads(house.entries[-1].body)["input"]["event"]
    assert event["pubkey"] == person("operator").pubkey
    assert (added.event_id, added.sale.payment_hash) == (event["id"], event["id"])
    assert (added.sale.machine, added.sale.n, added.sale.txid) == (person("m1").pubkey, None, "")
    assert (added.sale.occurred_at, added.sale.preimage) == (house.now, None)


def test_what_is_given_is_kept(house: House) -> None:
    added = add(house, f"{BY_HAND} fee_sats=7000 txid=b0c2 payment_hash={HASH.upper()} occurred_at=1789000000")
    assert (added.sale.wire_sats, added.sale.fee_sats, added.fee_mismatch_sats) == (107_000, 7_000, -770)
    assert (added.sale.txid, added.sale.payment_hash, added.sale.occurred_at) == ("b0c2", HASH, 1_789_000_000)
    assert add(house, f"{BY_HAND} fee_sats=0").sale.wire_sats == 100_000


@pytest.mark.parametrize(
    ("price", "principal_sats", "rate"),
    [
        ("exchange_rate=50", 100_000, "50"),
        ("exchange_rate=50.00049", 100_000, "50.00049"),  # floor(100,000.98)
        ("principal_sats=100000", 100_000, "50"),
        ("principal_sats=100001", 100_001, "50.0005"),
        ("principal_sats=33333", 33_333, "16.6665"),
        ("principal_sats=7", 7, "0.0035"),
        ("principal_sats=100000 exchange_rate=50.04", 100_000, "50.04"),  # within 0.1 %
    ],
)
def test_rate_and_principal_follow_from_each_other(house: House, price: str, principal_sats: int, rate: str) -> None:
    """Eight decimals of a rate that is worked out, without needless zeros."""
    added = add(house, f"settlement add machine=m1 fiat_amount=2000 {price}")
    assert (added.sale.principal_sats, added.sale.rate) == (principal_sats, rate)


def test_a_cash_in(house: House) -> None:
    """The wire is the principal less the fee; LPs are not touched."""
    added = add(house, f"{BY_HAND} tx_type=cash_in")
    assert (added.sale.direction, added.sale.wire_sats, added.sale.fee_sats) == (Direction.CASH_IN, 94_000, 6_000)
    assert (house.remaining("ana"), house.remaining("ben")) == ("9000.00", "1000.00")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("machine=m9 fiat_amount=2000 exchange_rate=50", Code.NOT_FOUND),
        ("machine=m1 exchange_rate=50", Code.MISSING_ARGUMENT),
        ("fiat_amount=2000 exchange_rate=50", Code.MISSING_ARGUMENT),
        ("machine=m1 fiat_amount=2000", Code.MISSING_ARGUMENT),
        ("machine=m1 fiat_amount=2000.001 exchange_rate=50", Code.BAD_ARGUMENT),
        ("machine=m1 fiat_amount=0 exchange_rate=50", Code.BAD_ARGUMENT),
        ("machine=m1 fiat_amount=90071992547409.92 exchange_rate=50", Code.BAD_ARGUMENT),
        ("machine=m1 fiat_amount=2000 exchange_rate=50 wire_sats=107769", Code.BAD_ARGUMENT),
        ("machine=m1 fiat_amount=2000 exchange_rate=50 principal_sats=100101", Code.BAD_ARGUMENT),
        ("machine=m1 fiat_amount=2000 principal_sats=0", Code.BAD_ARGUMENT),
        ("machine=m1 fiat_amount=2000 principal_sats=0 exchange_rate=50", Code.BAD_ARGUMENT),
        ("machine=m1 fiat_amount=0.01 exchange_rate=50", Code.BAD_ARGUMENT),  # half a sat
        ("machine=m1 fiat_amount=2000 exchange_rate=9999999999999999999999", Code.BAD_ARGUMENT),
        ("machine=m1 fiat_amount=2000 exchange_rate=50 fee_sats=100001 tx_type=cash_in", Code.BAD_ARGUMENT),
        ("machine=m1 fiat_amount=2000 exchange_rate=50 payment_hash=b0c2", Code.BAD_ARGUMENT),
        ("machine=m1 fiat_amount=2000 exchange_rate=50 tx_type=barter", Code.BAD_ARGUMENT),
    ],
)
def test_what_does_not_hold_together_is_refused(house: House, args: str, expected: Code) -> None:
    """Nothing is sealed for it, not even a rejection: a person reads the answer and says it right."""
    head = house.chain.head
    assert code(house.say("operator", f"settlement add {args}")) is expected
    assert house.chain.head == head


@pytest.mark.parametrize("held", [False, True])
def test_a_hash_that_is_taken_is_booked_already(house: House, held: bool) -> None:
    """By the machine, held or not, or by hand; the refusal says which settlement it is. A refunded one frees it."""
    if held:
        house.say("operator", "guard m1 per_settlement=1")
        assert isinstance(house.sell(payment_hash=HASH), SettlementPending)
    else:
        house.sell(payment_hash=HASH)
    outcome = house.say("operator", f"{BY_HAND} payment_hash={HASH}")
    assert code(outcome) is Code.ALREADY_BOOKED
    assert isinstance(outcome, CommandRefused)
    assert "settlement show s1" in outcome.message
    house.say("operator", "settlement refund s1 reason=odd")
    assert add(house, f"{BY_HAND} payment_hash={HASH}").number == 2


def test_a_rejected_one_does_not_take_the_hash(house: House) -> None:
    """The reason why there is this command: the machine reported it wrong, and the operator knows better."""
    assert isinstance(house.sell(payment_hash=HASH, wire_sats=1), SettlementRejected)
    assert add(house, f"{BY_HAND} payment_hash={HASH}").number == 2


def test_the_machine_s_own_report_later_pays_nothing(house: House) -> None:
    """O7: it is recorded as a conflict; the first stays."""
    add(house, f"{BY_HAND} payment_hash={HASH}")
    before = house.ledger()
    late = house.sell(payment_hash=HASH)
    assert isinstance(late, SettlementRejected)
    assert late.reason is Reason.PAYMENT_HASH_CONFLICT
    assert house.ledger() == before
    assert code(house.say("operator", "settlement retry s2")) is Code.WRONG_STATUS


def test_the_same_to_the_last_field_is_a_duplicate(house: House) -> None:
    """A machine that reports neither a counter nor banknotes, in the very words of its operator: nothing changes."""
    added = add(house, f"{BY_HAND} payment_hash={HASH} txid=b0c2")
    sale = added.sale
    payload = {
        "type": "settlement",
        "machine": sale.machine,
        "txid": sale.txid,
        "payment_hash": sale.payment_hash,
        "tx_type": "cash_out",
        "wire_sats": sale.wire_sats,
        "principal_sats": sale.principal_sats,
        "fee_sats": sale.fee_sats,
        "fiat_amount": "2000.00",
        "fiat_code": "GTQ",
        "exchange_rate": "50",
        "occurred_at": sale.occurred_at,
    }
    assert isinstance(house.take(report("m1", payload, at=house.now)), Duplicate)


def test_no_guard_no_trust_and_no_switch_holds_the_operator_s_own_word(house: House) -> None:
    """Guards are about machines; this one has stopped speaking."""
    house.say("operator", "guard m1 per_settlement=1 per_day=1")
    house.say("operator", "machine set m1 trust=wallet")
    house.say("operator", "machine suspend m1")
    assert add(house, BY_HAND).number == 1


def test_a_note_comes_with_it(house: House) -> None:
    """In the same entry, and in the settlement's dossier once."""
    add(house, f'{BY_HAND} note="paid by hand"')
    assert [type(fact) for fact in house.entries[-1].facts] == [SettlementProcessed, SettlementNoted]
    notes = as_it_stands(house.book.recall.dossiers[1]).notes
    assert [(note.at, note.by, note.text) for note in notes] == [(house.now, person("operator").pubkey, "paid by hand")]


def test_it_is_a_settlement_like_others(house: House) -> None:
    """It can be corrected and refunded."""
    before = house.ledger()
    add(house, BY_HAND)
    house.say("operator", "settlement partial s1 fiat=1500 note=recounted")
    assert house.ledger()["liabilities:customer:s1 sat"] == -26_943
    add(house, BY_HAND)
    assert isinstance(house.say("operator", "settlement refund s2 reason=odd"), SettlementRefunded)
    house.say("operator", "settlement partial s1 fiat=0.02 note=recounted")
    house.say("operator", "settlement refund s1 reason=odd")
    assert house.ledger() == before | {
        "assets:cash:m1 GTQ": 999_998,
        "liabilities:lp:ana:cash:m1 GTQ": -899_998,
        "assets:sats sat": 1,
        "liabilities:lp:ana:sats sat": -1,
    }
    assert verify_trail(house.trail()).head == house.chain.head


def test_one_command_adds_one(house: House) -> None:
    """Delivered twice it has one effect; said twice it is two sales."""
    command = letter("operator", BY_HAND, at=house.now)
    assert isinstance(house.take(command), SettlementProcessed)
    head = house.chain.head
    house.take(command)
    assert house.chain.head == head
    assert add(house, BY_HAND).number == 2


@pytest.mark.parametrize("who", ["ana", "m1", "platform", "stranger"])
def test_only_the_operator_s_word_counts(house: House, who: str) -> None:
    assert code(house.say(who, BY_HAND)) is Code.NOT_ALLOWED
