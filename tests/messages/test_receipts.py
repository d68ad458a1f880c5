"""Receipts and acks: what an LP and a machine are told (docs/protocol.md sections 3.1 and 6)."""

from typing import Any

import orjson
import pytest

from nostrbot.core.atm.settlements.facts import SettlementPending, SettlementProcessed, SettlementRejected
from nostrbot.core.inputs import Signed
from nostrbot.messages.receipts import Message, Sealed, entry_messages, owes_messages, payment_of, receipt_view
from nostrbot.nostr import kinds
from nostrbot.nostr.sealing import Scheme
from nostrbot.views.fitting import REPLY_BYTES_MAX
from tests.houses import House, Outcome, letter, payment_hash, person, wrapped_letter

HASH = "ab" * 32


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    return house


def messages(house: House, outcome: Outcome, scheme: Scheme = Scheme.PLAIN) -> list[Message]:
    """What the newest entry owes, as if it were number 14 with that hash."""
    entry = house.entries[-1]
    assert entry.facts[0] == outcome
    kind, sender = (entry.given.event.kind, entry.given.author) if isinstance(entry.given, Signed) else (0, "")
    assert owes_messages(entry.facts)
    return entry_messages(house.book, Sealed(house.book.key, 14, entry.at, HASH, entry.facts, kind, sender, scheme))


def test_a_settlement_owes_an_ack_and_a_receipt_per_leg_of_an_lp(house: House) -> None:
    """Named by what they are, so that one made again after a crash is the same message (faults.md row 49)."""
    owed = messages(house, house.sell())
    operator = house.book.key
    assert [(message.name, message.kind, message.to, message.scheme) for message in owed] == [
        (f"ack:{operator}:14", 21_000, person("m1").pubkey, Scheme.PLAIN),
        (f"receipt:{operator}:3", 4, person("ana").pubkey, Scheme.NIP04),
        (f"receipt:{operator}:4", 4, person("ben").pubkey, Scheme.NIP04),
    ]


def test_a_receipt_is_what_an_lp_reads(house: House) -> None:
    """Sats, fiat, rate, machine, remaining balance, receipt and settlement ids, entry and hash."""
    assert messages(house, house.sell())[1].text == (
        "You received 90000 sats for 1800.00 GTQ (50 sats per GTQ) at m1, antigua.\n"
        "Left in the machine: 7200.00 GTQ.\n"
        "Receipt l3, settlement s1, tag aio-dca.\n"
        f"Journal entry 14 {HASH}"
    )


def test_a_receipt_in_json(house: House) -> None:
    """The exact names of docs/protocol.md section 6."""
    outcome = house.sell()
    assert isinstance(outcome, SettlementProcessed)
    paid = payment_of(outcome)
    assert paid is not None
    assert receipt_view(house.book, paid, outcome.legs[3], entry=14, entry_hash=HASH, corrects=(7,)) == {
        "receipt": "l4",
        "status": "completed",
        "settlement": "s1",
        "event_id": outcome.event_id,
        "operator": "antigua",
        "machine": "m1",
        "sats": 10_000,
        "fiat": "200.00",
        "currency": "GTQ",
        "rate": "50",
        "balance_before": "1000.00",
        "balance_after": "800.00",
        "entry": 14,
        "entry_hash": HASH,
        "corrects": ["l7"],
        "tag": "aio-dca",
    }


def test_commission_has_a_receipt_too(house: House) -> None:
    """An LP that shares the commission reads so, without fiat or balance."""
    house.say("operator", "splits set ana=100%:ana")
    assert messages(house, house.sell())[1].text == (
        "You received 6270 sats of commission at m1, antigua.\n"
        "Receipt l2, settlement s1, tag aio-dca.\n"
        f"Journal entry 14 {HASH}"
    )


def test_a_skipped_leg_has_no_receipt(house: House) -> None:
    """Nothing was received."""
    assert [message.to for message in messages(house, house.sell(fiat="0.02", fee_sats=0))] == [
        person("m1").pubkey,
        person("ana").pubkey,
    ]


@pytest.mark.parametrize(
    ("before", "changes", "status", "error"),
    [
        ("", {}, "processed", None),
        ("machine set m1 trust=wallet", {}, "pending", None),
        ("", {"wire_sats": 1}, "rejected", "amounts_inconsistent"),
    ],
)
def test_an_ack_tells_the_machine_what_became_of_it(
    house: House, before: str, changes: dict[str, Any], status: str, error: str | None
) -> None:
    """The exact content of docs/protocol.md section 3.1, in the scheme the settlement came in."""
    if before:
        house.say("operator", before)
    outcome = house.sell(**changes)
    assert isinstance(outcome, SettlementProcessed | SettlementPending | SettlementRejected)
    ack = messages(house, outcome, Scheme.NIP44)[0]
    assert orjson.loads(ack.text) == {
        "type": "ack",
        "event": outcome.event_id,
        "payment_hash": payment_hash(1),
        "status": status,
        "settlement": "s1",
        "error": error,
    }
    assert (ack.scheme, ack.in_reply_to) == (Scheme.NIP44, outcome.event_id)


def test_a_receipt_comes_the_way_its_lp_wrote_when_it_last_chose_something(house: House) -> None:
    """NIP-44 for who speaks it, a gift wrap for who uses them, NIP-04 for everybody else."""
    house.now += 1
    house.take(letter("ana", "mode flow", at=house.now, scheme=Scheme.NIP44))
    house.take(wrapped_letter("ben", "mode flow", at=house.now))
    owed = messages(house, house.sell())
    assert [(message.kind, message.to, message.scheme) for message in owed[1:]] == [
        (4, person("ana").pubkey, Scheme.NIP44),
        (1_059, person("ben").pubkey, Scheme.NIP17),
    ]


def test_a_receipt_made_again_comes_as_it_came_first(house: House) -> None:
    """faults.md row 49: whatever its LP has written with since, and however often it changed: another message would be a
    second receipt."""
    house.sell()
    entry, machine = house.entries[-1], person("m1").pubkey
    sealed = Sealed(entry.book, entry.seq, entry.at, entry.hash, entry.facts, kinds.SETTLEMENT, machine, Scheme.PLAIN)
    first = entry_messages(house.book, sealed)
    for words, scheme in (("pause", Scheme.NIP44), ("resume", Scheme.NIP04), ("pause", Scheme.NIP44)):
        house.now += 1
        house.take(letter("ana", words, at=house.now, scheme=scheme))
        house.take(wrapped_letter("ben", words, at=house.now))
        assert entry_messages(house.book, sealed) == first


def test_a_corrected_settlement_owes_receipts_that_name_those_they_replace(house: House) -> None:
    """No ack: the operator said so, not the machine. 1,500 of the 2,000 were dispensed, the rest is the LPs' again."""
    house.sell()
    owed = messages(house, house.say("operator", "settlement partial s1 fiat=1500 note=jam"))
    operator = house.book.key
    assert [(message.name, message.to) for message in owed] == [
        (f"receipt:{operator}:7", person("ana").pubkey),
        (f"receipt:{operator}:8", person("ben").pubkey),
    ]
    assert owed[0].text == (
        "Corrected, in place of l3: your operator corrected the amount dispensed.\n"
        "You received 67500 sats for 1350.00 GTQ (50 sats per GTQ) at m1, antigua.\n"
        "Left in the machine: 7650.00 GTQ.\n"
        "Receipt l7, settlement s1, tag aio-dca.\n"
        f"Journal entry 14 {HASH}"
    )


def test_u7_a_receipt_of_more_does_not_say_that_less_was_dispensed(house: House) -> None:
    """A typo, 15 for 1500, corrected and taken back: each receipt is true of what it replaces, smaller or larger."""
    house.sell()
    for fiat in ("15", "1500", "2000"):
        owed = messages(house, house.say("operator", f"settlement partial s1 fiat={fiat} note=jam"))
        assert owed[0].text.splitlines()[0].endswith(": your operator corrected the amount dispensed.")
    assert owed[0].text.splitlines()[1].startswith("You received 90000 sats for 1800.00 GTQ")


def test_a_refunded_settlement_tells_each_lp_that_its_receipts_are_void(house: House) -> None:
    """One message an LP, by name of all its legs; nothing comes in their place."""
    house.say("operator", "splits set ana=50%:ana me=50%:self")
    house.sell()
    owed = messages(house, house.say("operator", "settlement refund s1 reason=back"))
    operator = house.book.key
    assert [(message.name, message.to) for message in owed] == [
        (f"void:{operator}:14:2", person("ana").pubkey),
        (f"void:{operator}:14:5", person("ben").pubkey),
    ]
    assert owed[0].text == (
        "Void: receipt l2, l4 of settlement s1 at m1, antigua. The sale did not take place as reported; your cash is "
        "as it "
        f"was before. `balance` shows it.\nJournal entry 14 {HASH}"
    )


def test_a_released_settlement_owes_receipts_and_no_ack(house: House) -> None:
    """The machine has its ack since it reported; the LPs have their receipts now."""
    house.say("operator", "machine set m1 trust=wallet")
    house.sell()
    owed = messages(house, house.say("operator", "settlement release s1"))
    assert [message.to for message in owed] == [person("ana").pubkey, person("ben").pubkey]
    assert "settlement s1" in owed[0].text


def test_sats_of_the_operator_s_own_have_a_receipt(house: House) -> None:
    """`settle` belongs to no settlement and says so."""
    house.sell()
    owed = messages(house, house.say("operator", "settle ana 100 machine=m1"))
    assert [message.text for message in owed] == [
        "You received 5000 sats for 100.00 GTQ (50 sats per GTQ) at m1, antigua.\n"
        "Left in the machine: 7100.00 GTQ.\n"
        "Receipt l5, out of the operator's own sats, tag aio-dca.\n"
        f"Journal entry 14 {HASH}"
    ]


def test_new_fees_are_told_to_the_machine_s_key_in_force(house: House) -> None:
    """docs/protocol.md section 4: an addressable event, by subject; a rotated machine is told under its new key."""
    for said, to in (("machine set m1 cash_out=5%", "m1"), ("machine rotate m1 @m1-new", "m1-new")):
        (told,) = messages(house, house.say("operator", said))
        assert (told.kind, told.to, told.scheme) == (30_078, person(to).pubkey, Scheme.NIP44)
        assert told.subject == f"bitspire-fees:{person(to).pubkey}"
        assert told.name == f"told:{house.book.key}:14:{told.subject}"


def test_what_says_nothing_owes_nothing(house: House) -> None:
    """Switches, deposits and plans are answered, and that is all."""
    for said in ("machine suspend m1", "deposit add ana 5 machine=m1", "guard m1 per_day=5", "fixed schedule 08:00"):
        house.say("operator", said)
        assert not owes_messages(house.entries[-1].facts)


def test_only_a_processed_settlement_has_receipts(house: House) -> None:
    """One that waits or is rejected owes its ack alone."""
    assert len(messages(house, house.sell(wire_sats=1))) == 1
    house.say("operator", "machine set m1 trust=wallet")
    assert len(messages(house, house.sell())) == 1


def test_the_longest_receipt_fits_in_one_event() -> None:
    """Names are 32 characters and amounts 18 digits at most."""
    house = House.empty()
    house.say("platform", f"operator add @operator name={'o' * 32}")
    house.say("operator", f"machine add @m1 name={'m' * 32} fiat=GTQ cash_in=0 cash_out=0")
    house.say("operator", f"lp add @ana machine={'m' * 32} name={'a' * 32}")
    house.say("ana", "join")
    house.add_cash("a" * 32, "10000000000000.00", machine="m" * 32)
    all_sats = 21 * 10**14
    outcome = house.sell(
        "m" * 32, by="m1", machine=person("m1").pubkey, fiat_amount="42000000000000", principal_sats=all_sats,
        fee_sats=0, wire_sats=all_sats,
    )  # fmt: skip
    assert all(len(message.text.encode()) < REPLY_BYTES_MAX for message in messages(house, outcome))
