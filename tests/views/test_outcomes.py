"""Outcomes and views: the data of an answer, with the exact names of docs/protocol.md section 6."""

import pytest

from nostrbot.core.atm.dossier import Dossier
from nostrbot.core.atm.settlements.facts import SettlementProcessed
from nostrbot.core.commands.command import Command
from nostrbot.core.engine import decide
from nostrbot.core.parsing import parse
from nostrbot.core.plain import View
from nostrbot.core.rules import RULES
from nostrbot.views.outcomes import GIVES_A_KEY, outcome_view, show_settlement
from nostrbot.views.records import balance_rows
from tests.houses import House, letter, person, told


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    return house


def data(house: House, who: str, text: str) -> View:
    """The data of the answer to a command that is sealed."""
    command = parse(told(text))
    assert isinstance(command, Command)
    outcome = house.say(who, text)
    facts = () if outcome is None else house.entries[-1].facts
    return outcome_view(house.book, person(who).pubkey, command, facts, at=house.now)


def test_a_deposit(house: House) -> None:
    """`{"deposit": {...}}`: fiat as decimal text beside its currency, times in unix seconds, ids as text."""
    assert data(house, "operator", 'deposit add ana 100 machine=m1 note="a bag"') == {
        "deposit": {
            "id": "d2",
            "lp": "ana",
            "machine": "m1",
            "amount": "100.00",
            "currency": "GTQ",
            "status": "pending",
            "note": "a bag",
            "reversed": "0.00",
            "created_at": house.now,
            "confirmed_at": None,
        }
    }


def test_a_machine(house: House) -> None:
    """`{"machine": {"name", "npub", "fiat", "active", ...}}`."""
    machine = data(house, "operator", "machine set m1 location=Mercado")["machine"]
    assert machine | {"created_at": 0} == {
        "name": "m1",
        "npub": person("m1").npub,
        "fiat": "GTQ",
        "active": True,
        "cash_in": "5%",
        "cash_out": "6.27%",
        "cash_in_ppm": 50_000,
        "cash_out_ppm": 62_700,
        "location": "Mercado",
        "trust": "signature",
        "enforce_fee_match": False,
        "guard": {"per_settlement": None, "per_day": None, "rate": None},
        "created_at": 0,
        "updated_at": house.now,
    }


def test_an_lp(house: House) -> None:
    """With the flag `lp_onboarded` (L3) and its balance at each machine."""
    house.sell()
    assert data(house, "operator", "lp suspend ana") == {
        "lp": {
            "name": "ana",
            "npub": person("ana").npub,
            "lp_onboarded": True,
            "mode": "flow",
            "limit": None,
            "paused": False,
            "forward": None,
            "active": False,
            "sats": 100_000,
            "machines": [
                {
                    "machine": "m1",
                    "active": False,
                    "currency": "GTQ",
                    "deposited": "9000.00",
                    "spent": "2000.00",
                    "remaining": "7000.00",
                }
            ],
        }
    }


def test_a_balance_is_a_bare_list(house: House) -> None:
    """A row a machine; sats are per operator and so the same in each (B1)."""
    house.add_machine("m2")
    house.add_lp("ana", "5", machine="m2")
    house.sell()
    row = {"operator": "antigua", "currency": "GTQ", "sats": 100_000}
    assert balance_rows(house.book, house.book.lps["ana"]) == [
        row | {"machine": "m1", "deposited": "9000.00", "spent": "2000.00", "remaining": "7000.00"},
        row | {"machine": "m2", "deposited": "5.00", "spent": "0.00", "remaining": "5.00"},
    ]


def test_a_settlement_shows_every_field_it_was_reported_with(house: House) -> None:
    """3.1 and what was computed from it, its legs, and where it is sealed (B6)."""
    outcome = house.sell(fee_sats=7_771)
    assert isinstance(outcome, SettlementProcessed)
    view = show_settlement(Dossier(outcome, 9, house.now, "ab"))
    reported = {
        "n": 1, "txid": "b0c2", "payment_hash": outcome.sale.payment_hash, "preimage": None, "tx_type": "cash_out",
        "wire_sats": 107_771, "principal_sats": 100_000, "fee_sats": 7_771, "fiat_amount": "2000.00",
        "fiat_code": "GTQ", "exchange_rate": "50", "bills": [{"denomination": 100, "count": 20}],
        "cassettes": {"1": {"denomination": 100, "count": 480}}, "occurred_at": house.now,
    }  # fmt: skip
    derived = {
        "id": "s1", "machine": "m1", "status": "processed", "frozen": False, "error": None, "event_id": outcome.event_id,
        "platform_fee_sats": 1_500, "operator_fee_sats": 6_270, "fee_mismatch_sats": 1, "notes": "", "entry": 9,
        "entry_hash": "ab", "created_at": house.now, "since": house.now, "processed_at": house.now,
        "owed_to_customer_sats": 0,
    }  # fmt: skip
    assert {name: value for name, value in view.items() if name != "legs"} == reported | derived
    assert view["legs"][-1] == {
        "id": "l3",
        "settlement": "s1",
        "type": "dca",
        "lp": "ana",
        "sats": 100_000,
        "fiat": "2000.00",
        "currency": "GTQ",
        "rate": "50",
        "status": "completed",
        "reason": None,
    }


CHANGES = [
    ("operator", "machine add @m2 name=m2 fiat=GTQ cash_in=0 cash_out=0"),
    ("operator", "machine set m1 cash_out=5%"),
    ("operator", "machine suspend m1"),
    ("operator", "machine compromised m1 since=1790000000"),
    ("operator", "machine rotate m1 @m1-new"),
    ("operator", "guard m1 per_settlement=5000 per_day=off rate=5%"),
    ("operator", "alerts down=5 low=50 sheet=off"),
    ("operator", "fixed schedule 8:00,20:00"),
    ("operator", "fixed limit 500"),
    ("operator", "lp add @ben machine=m1 name=ben"),
    ("operator", "lp suspend ana"),
    ("ana", "mode fixed limit=500"),
    ("operator", "deposit add ana 5 machine=m1"),
    ("operator", "deposit reverse d1 amount=1 reason=x"),
    ("operator", "splits set ana=100%:ana"),
    ("operator", "splits set machine=m1 me=100%:self"),
]


@pytest.mark.parametrize(("who", "text"), CHANGES, ids=[text.split("=")[0] for _, text in CHANGES])
def test_a_preview_is_the_answer_itself(house: House, who: str, text: str) -> None:
    """Made from the facts before they are applied, it is what the command then answers."""
    command = parse(told(text))
    assert isinstance(command, Command)
    at = house.now + 1
    facts = decide(house.book, letter(who, text, at=at), at, RULES, command).facts
    previewed = outcome_view(house.book, person(who).pubkey, command, facts, at=at)
    assert previewed == data(house, who, text)


AGAIN = [(who, text) for who, text in CHANGES if not text.startswith(("machine add", "lp add", "deposit"))]


@pytest.mark.parametrize(("who", "text"), AGAIN, ids=[text.split("=")[0] for _, text in AGAIN])
def test_asking_for_what_already_is_shows_what_is(house: House, who: str, text: str) -> None:
    """The second answer is the first one, though nothing is sealed for it; where a key is given, it says so."""
    first = data(house, who, text)
    entries = len(house.entries)
    unchanged = {"unchanged": True} if text.startswith(GIVES_A_KEY) else {}
    assert data(house, who, text) == first | unchanged
    assert len(house.entries) == entries
