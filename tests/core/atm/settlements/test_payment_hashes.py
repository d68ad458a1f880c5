"""Payment hashes: each machine has its own, and a preimage is proof (docs/protocol.md section 3.1; faults.md row A13).

m1 sells, `rogue` is another machine of the same operator; it reports the hash of m1's sale first, for another amount.
"""

from hashlib import sha256

import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.recall import Duplicate
from nostrbot.core.atm.settlements.facts import (
    PaymentHashShared,
    SettlementFact,
    SettlementFrozen,
    SettlementPending,
    SettlementProcessed,
    SettlementRejected,
)
from nostrbot.core.atm.states import Hold
from nostrbot.core.rules import FIRST, RULES
from nostrbot.messages.receipts import Sealed, entry_messages
from nostrbot.nostr import kinds
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Reason
from tests.houses import House, Outcome, person, report, sale

PREIMAGE = "5e" * 32
HASH = sha256(bytes.fromhex(PREIMAGE)).hexdigest()
OTHER_PREIMAGE_LESS = {"fiat": "1.00", "txid": "false", "payment_hash": HASH}


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_machine("rogue")
    return house


def verdict(outcome: Outcome) -> str:
    """`processed`, or why not."""
    if isinstance(outcome, Duplicate):
        return f"duplicate of s{outcome.booked.number}"
    assert isinstance(outcome, SettlementFact), outcome
    return outcome.status if isinstance(outcome, SettlementProcessed) else outcome.reason


def sell_false(house: House, machine: str = "rogue", **changes: object) -> str:
    return verdict(house.sell(machine, **(OTHER_PREIMAGE_LESS | changes)))  # type: ignore[arg-type]


def sell_true(house: House, *, proven: bool, **changes: object) -> str:
    return verdict(house.sell(payment_hash=HASH, **({"preimage": PREIMAGE} if proven else {}), **changes))  # type: ignore[arg-type]


def told(house: House) -> list[str]:
    """What the newest entry says to the operator."""
    entry = house.entries[-1]
    sealed = Sealed(entry.book, entry.seq, entry.at, entry.hash, entry.facts, kinds.SETTLEMENT, "", Scheme.NIP04)
    return [message.text for message in entry_messages(house.book, sealed) if message.to == house.book.operator]


def frozen(house: House) -> list[int]:
    return [fact.number for fact in house.entries[-1].facts if isinstance(fact, SettlementFrozen)]


def check_verifies(house: House) -> None:
    assert verify_trail(iter(house.trail())).head == house.chain.head


# What became of the false sale, before the true one comes. Each is tried with and without the true one's preimage.
FALSE = {
    "booked": (),
    "held": ("!guard rogue per_settlement=0.50",),
    "held and refunded": ("!guard rogue per_settlement=0.50", "settlement refund s1 reason=false"),
    "errored": ("!guard rogue per_settlement=0.50", "settlement reset s1 reason=odd"),
    "corrected": ("settlement partial s1 fiat=0.50 note=jam",),
    "corrected, the rest refunded": ("settlement partial s1 fiat=0.50 note=jam", "settlement refund s1 reason=x"),
    "refunded": ("settlement refund s1 reason=false",),
    "frozen": ("machine compromised rogue since=0",),
    "frozen and refunded": ("machine compromised rogue since=0", "settlement refund s1 reason=false"),
    "found true": ("machine compromised rogue since=0", "settlement release s1"),
    "rejected": ("!machine set rogue trust=preimage",),
}
UNDONE = {"held and refunded", "refunded", "frozen and refunded", "rejected"}


@pytest.mark.parametrize("proven", [False, True])
@pytest.mark.parametrize("became", FALSE)
def test_a13_a_rogue_machine_cannot_block_a_true_one(house: House, became: str, proven: bool) -> None:
    """Whatever became of the false sale, the true one is booked; the operator hears of two that are in force."""
    for said in FALSE[became]:
        if said.startswith("!"):
            house.say("operator", said[1:])
    sell_false(house)
    for said in FALSE[became]:
        if not said.startswith("!"):
            house.say("operator", said)
    assert sell_true(house, proven=proven) == "processed"
    if became in UNDONE:
        assert (told(house), frozen(house)) == ([], [])
    else:
        assert len(told(house)) == 1
        assert "s2 of m1" in told(house)[0]
        assert "settlement refund" in told(house)[0]
        assert frozen(house) == ([1] if proven and became != "frozen" else [])
    assert (1 in house.book.frozen) is (became not in UNDONE and (proven or became == "frozen"))
    check_verifies(house)


def test_a13_a_sale_by_hand_does_not_block_another_machine(house: House) -> None:
    """`settlement add` for one machine; the other one's own report is booked, and with a preimage freezes the first."""
    house.say("operator", f"settlement add machine=rogue fiat_amount=1 exchange_rate=50 payment_hash={HASH}")
    assert sell_true(house, proven=True) == "processed"
    assert frozen(house) == [1]
    check_verifies(house)


def test_a13_a_sale_by_hand_is_told_where_another_machine_has_the_hash(house: House) -> None:
    sell_false(house)
    added = house.say(
        "operator", f"settlement add machine=m1 fiat_amount=1 exchange_rate=50 payment_hash={HASH} note=x"
    )
    assert isinstance(added, SettlementProcessed)
    assert house.entries[-1].facts[-1] == PaymentHashShared(2, "m1", (1,), is_proven=False)
    check_verifies(house)


def test_a13_what_is_proven_has_the_hash_for_the_whole_book(house: House) -> None:
    """Nobody else gets it, with or without the preimage, until the proven one is refunded."""
    assert sell_true(house, proven=True) == "processed"
    assert sell_false(house) is Reason.PAYMENT_HASH_CONFLICT
    assert sell_false(house, preimage=PREIMAGE) is Reason.PAYMENT_HASH_CONFLICT
    house.say("operator", "settlement refund s1 reason=x")
    assert sell_false(house) == "processed"
    check_verifies(house)


def test_a13_one_machine_says_one_thing_of_a_hash(house: House) -> None:
    """Its second word is a conflict while the first is in force; a preimage takes it from what is only held."""
    house.say("operator", "guard m1 per_settlement=1")
    assert sell_true(house, proven=False) is Hold.PER_SETTLEMENT
    assert sell_true(house, proven=False, txid="again") is Reason.PAYMENT_HASH_CONFLICT
    house.say("operator", "guard m1 per_settlement=off")
    assert sell_true(house, proven=True) == "processed"
    assert frozen(house) == [1]
    assert sell_true(house, proven=True, txid="again") is Reason.PAYMENT_HASH_CONFLICT
    check_verifies(house)


def test_a13_a_booked_sale_is_not_taken_by_the_same_key(house: House) -> None:
    """A machine that contradicts itself is rejected, and told to the operator as such; after a new key it is another's word."""
    assert sell_true(house, proven=False) == "processed"
    assert sell_true(house, proven=True) is Reason.PAYMENT_HASH_CONFLICT
    house.say("operator", "machine rotate m1 @m1-new")
    key = {"by": "m1-new", "machine": person("m1-new").pubkey}
    assert sell_true(house, proven=False, txid="other", **key) is Reason.PAYMENT_HASH_CONFLICT
    assert sell_true(house, proven=True, txid="other", **key) == "processed"
    assert frozen(house) == [1]
    check_verifies(house)


@pytest.mark.parametrize("undone", [False, True])
def test_a13_a_repeat_is_a_duplicate_for_ever(house: House, undone: bool) -> None:
    """Also of what was refunded, with others under the same hash, and by a machine that has a new key since."""
    payload = sale(payment_hash=HASH)
    assert verdict(house.take(report("m1", payload, at=house.now))) == "processed"
    sell_false(house)
    if undone:
        house.say("operator", "settlement refund s1 reason=x")
    assert verdict(house.take(report("m1", payload, at=house.now + 60))) == "duplicate of s1"
    house.say("operator", "machine rotate m1 @m1-new")
    assert verdict(house.take(report("m1", payload, at=house.now + 120))) == "duplicate of s1"
    anew = payload | {"machine": person("m1-new").pubkey}
    assert verdict(house.take(report("m1-new", anew, at=house.now + 180))) == "duplicate of s1"
    check_verifies(house)


def test_a13_a_held_sale_whose_hash_was_proven_by_another_cannot_be_released(house: House) -> None:
    """It is frozen: releasing says first that it is true, and only then shares it out."""
    house.say("operator", "guard rogue per_settlement=0.50")
    sell_false(house)
    assert sell_true(house, proven=True) == "processed"
    house.say("operator", "settlement release s1")
    assert isinstance(house.book.recall.dossiers[1].birth, SettlementPending)
    assert house.ledger()["assets:sats sat"] == -0 + 107_770
    check_verifies(house)


def test_a13_entries_of_rules_1_decide_as_they_did() -> None:
    """One hash a book, for ever; the same key or another, refunded or not."""
    house = House.open(rules=FIRST)
    house.add_machine("rogue")
    sell_false(house)
    assert sell_true(house, proven=True) is Reason.PAYMENT_HASH_CONFLICT
    house.say("operator", "settlement refund s1 reason=x")
    conflict = house.sell(payment_hash=HASH, preimage=PREIMAGE)
    assert isinstance(conflict, SettlementRejected)
    assert len(house.entries[-1].facts) == 1
    house.rules = RULES
    assert sell_true(house, proven=True) == "processed"
    check_verifies(house)
