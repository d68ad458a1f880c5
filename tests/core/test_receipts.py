"""Receipts and acks: what an LP and a machine are told (docs/protocol.md sections 3.1 and 6)."""

from typing import Any

import orjson
import pytest

from nostrbot.core.facts import SettlementPending, SettlementProcessed, SettlementRejected
from nostrbot.core.receipts import Message, receipt_view, settlement_messages
from nostrbot.core.replies import REPLY_BYTES_MAX
from nostrbot.nostr.sealing import Scheme
from tests.houses import House, Outcome, payment_hash, person

HASH = "ab" * 32


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    return house


def messages(house: House, outcome: Outcome, scheme: Scheme = Scheme.PLAIN) -> list[Message]:
    assert isinstance(outcome, SettlementProcessed | SettlementPending | SettlementRejected)
    machine = person("m1").pubkey
    return settlement_messages(house.book, outcome, sender=machine, scheme=scheme, entry=14, entry_hash=HASH)


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
    assert receipt_view(house.book, outcome, outcome.legs[3], entry=14, entry_hash=HASH) == {
        "receipt": "l4",
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
