"""Settlements as machines report them: exact types or a refusal that names the field (docs/protocol.md 3.1)."""

import json  # orjson does not write the huge integers sent here
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.payloads.sale import Sale, read_settlement
from nostrbot.core.atm.states import Direction
from nostrbot.refusals import Reason, Refusal
from tests.houses import payment_hash, person, sale


def read(**changes: Any) -> Sale | Refusal:
    return read_settlement(orjson.dumps(sale(**changes)).decode())


def refused(text: str) -> str:
    """What the refusal of a text says."""
    outcome = read_settlement(text)
    assert isinstance(outcome, Refusal), outcome
    assert outcome.reason is Reason.INVALID
    return outcome.detail


def test_the_protocol_s_example_is_read() -> None:
    """Every field of section 3.1, amounts as integers."""
    assert read() == Sale(
        machine=person("m1").pubkey,
        n=42,
        txid="b0c2",
        payment_hash=payment_hash("b0c2"),
        preimage=None,
        direction=Direction.CASH_OUT,
        wire_sats=107_770,
        principal_sats=100_000,
        fee_sats=7_770,
        fiat_minor=200_000,
        currency="GTQ",
        rate="50",
        bills=((100, 20),),
        cassettes=(("1", 100, 480),),
        occurred_at=1_790_000_000,
    )


@pytest.mark.parametrize("field", ["n", "preimage", "bills", "cassettes"])
def test_an_optional_field_may_be_missing(field: str) -> None:
    """The counter, the preimage and the notes are not every machine's to give."""
    assert isinstance(read(**{field: None}), Sale)


@pytest.mark.parametrize(
    "field",
    ["type", "machine", "txid", "payment_hash", "tx_type", "wire_sats", "principal_sats", "fee_sats", "fiat_amount",
     "fiat_code", "exchange_rate", "occurred_at"],
)  # fmt: skip
def test_a_missing_field_is_named(field: str) -> None:
    """The machine's maker can tell what to mend."""
    outcome = read(**{field: None})
    assert outcome == Refusal(Reason.INVALID, f"{field}: Field required")


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"wire_sats": "107770"}, "wire_sats: Input should be a valid integer"),
        ({"wire_sats": True}, "wire_sats: Input should be a valid integer"),
        ({"principal_sats": 2**60 + 1}, "principal_sats: Input should be less than or equal to 1152921504606846976"),
        ({"fee_sats": [7_770]}, "fee_sats: Input should be a valid integer"),
        ({"n": -1}, "n: Input should be greater than or equal to 0"),
        ({"txid": 5}, "txid: Input should be a valid string"),
        ({"txid": "x" * 257}, "txid: String should have at most 256 characters"),
        ({"machine": "AB" * 32}, "machine: String should match pattern '^[0-9a-f]{64}$'"),
        ({"payment_hash": "ab" * 31}, "payment_hash: String should match pattern '^[0-9a-f]{64}$'"),
        ({"payment_hash": "ab" * 32 + "\n"}, "payment_hash: String should match pattern '^[0-9a-f]{64}$'"),
        ({"preimage": ""}, "preimage: String should match pattern '^[0-9a-f]{64}$'"),
        ({"tx_type": "cashout"}, "tx_type: Input should be 'cash_out' or 'cash_in'"),
        ({"type": "beacon"}, "type: Input should be 'settlement'"),
        ({"fiat_amount": "2,000"}, "fiat_amount: not a decimal number"),
        ({"fiat_amount": "2e3"}, "fiat_amount: not a decimal number"),
        ({"fiat_amount": "2000.001"}, "fiat_amount: finer than the currency's minor unit"),
        ({"fiat_amount": "0.5", "fiat_code": "JPY"}, "fiat_amount: finer than the currency's minor unit"),
        ({"fiat_amount": "99999999999999999"}, "fiat_amount: more money than there is"),
        ({"exchange_rate": "fifty"}, "exchange_rate: not a decimal number"),
        ({"exchange_rate": ""}, "exchange_rate: not a decimal number"),
        ({"bills": {}}, "bills: Input should be a valid list"),
        ({"bills": [{"denomination": 100}]}, "bills.0.count: Field required"),
        ({"bills": [{"denomination": 100, "count": 1}] * 65}, "bills: List should have at most 64 items after validation, not 65"),
        ({"cassettes": [1]}, "cassettes: Input should be a valid dictionary"),
        ({"occurred_at": -1}, "occurred_at: Input should be greater than or equal to 0"),
        ({"occurred_at": 2**53}, "occurred_at: Input should be less than or equal to 9007199254740991"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_named(changes: dict[str, Any], detail: str) -> None:
    """faults.md row 29: a precise reason, and never the value, which may have been encrypted."""
    assert read(**changes) == Refusal(Reason.INVALID, detail)


@pytest.mark.parametrize(
    ("cassettes", "detail"),
    [
        ({"Juan Perez": {"denomination": "x", "count": 1}}, "cassettes.denomination: not a decimal number"),
        ({"Juan Perez": 5}, "cassettes.…: Input should be a valid dictionary or instance of Banknotes"),
        ({"Juan Perez" * 26: {}}, "cassettes.….…: String should have at most 256 characters"),
    ],
)  # fmt: skip
def test_a_name_the_sender_chose_is_not_repeated(cassettes: dict[str, Any], detail: str) -> None:
    """It may have been encrypted, and a refusal is logged and kept as it stands."""
    assert read(cassettes=cassettes) == Refusal(Reason.INVALID, detail)


FLOAT = "a JSON float: amounts are integers or decimal strings"


@pytest.mark.parametrize(
    ("written", "detail"),
    [
        ("0.30000000000000004", FLOAT),  # 0.1 + 0.2
        ("107770.0", FLOAT),
        ("1e5", FLOAT),
        ("-0.0", FLOAT),
        ("123456789012345678901234567890", FLOAT),  # beyond 64 bits a JSON reader makes a float of it
        ("1e400", "content is not JSON"),
        ("NaN", "content is not JSON"),
        ("Infinity", "content is not JSON"),
        ("0x10", "content is not JSON"),
        ("007", "content is not JSON"),
    ],
)
@pytest.mark.parametrize("field", ["wire_sats", "fiat_amount", "exchange_rate", "an_unknown_field"])
def test_no_float_however_it_is_written(field: str, written: str, detail: str) -> None:
    """Fiat and rates are decimal strings, sats are integers; a float in a field nobody reads is refused too."""
    text = orjson.dumps(sale(**{field: "HERE"})).decode()
    shown = "…" if field == "an_unknown_field" else field  # what a sender calls something is not repeated
    assert refused(text.replace('"HERE"', written)) == (f"{shown}: {detail}" if detail is FLOAT else detail)


def test_integers_are_fine_for_fiat_and_rate() -> None:
    """docs/protocol.md section 3: decimal strings, integers allowed."""
    assert read(fiat_amount=2000, exchange_rate=50) == read()


def test_equal_numbers_are_equal_sales() -> None:
    """2000, 2000.0 and 2000.00 are one amount: a repeat is recognised however it is written."""
    assert read(fiat_amount="2000.0", exchange_rate="50.000") == read()


def test_the_order_of_cassettes_says_nothing() -> None:
    """JSON objects have no order."""
    notes = {"1": {"denomination": 100, "count": 1}, "2": {"denomination": 50, "count": 2}}
    assert read(cassettes=notes) == read(cassettes=dict(reversed(notes.items())))


@pytest.mark.parametrize("twice", ['{"wire_sats": 1, ', '{"extra": {"a": 1, "a": 2}, '])
def test_a_key_that_stands_twice_is_refused(twice: str) -> None:
    """Two readers may take it differently, and one of them may be the auditor's (faults.md row 28)."""
    text = orjson.dumps(sale()).decode()
    assert refused(twice + text[1:]) == "a key stands there twice"


def test_blanks_and_escapes_say_nothing() -> None:
    """A machine may write its JSON as it likes."""
    assert read_settlement(json.dumps(sale(), indent=2)) == read()


def test_fields_of_later_versions_are_ignored() -> None:
    """A newer machine may say more."""
    assert read(firmware="9.1", nested={"deep": [1, "2", None, True]}) == read()


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "content is not JSON"),
        ("{", "content is not JSON"),
        ("null", "content is not a JSON object"),
        ("[]", "content is not a JSON object"),
        ('"settlement"', "content is not a JSON object"),
        ('{"txid": "\\ud800"}', "content is not JSON"),
        ("[" * 8_000 + "]" * 8_000, "content is not JSON"),
        (" " * 16_385, "content is longer than 16384 characters"),
        ('{"a":' * 9 + "1" + "}" * 9, "nested too deeply"),
        ('{"a":' * 1_000 + "1" + "}" * 1_000, "nested too deeply"),
    ],
    ids=["empty", "cut", "null", "list", "string", "surrogate", "deep-list", "long", "nine-deep", "thousand-deep"],
)
def test_what_is_no_settlement_at_all(text: str, detail: str) -> None:
    """faults.md row 28: refused at the door, whatever it is."""
    assert refused(text) == detail


def has_float(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(has_float, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_text_makes_the_reader_raise(text: str) -> None:
    """Bad input never raises past its door."""
    assert isinstance(read_settlement(text), Sale | Refusal)


@given(st.dictionaries(st.sampled_from([*sale(), "preimage", "extra"]), json_values, max_size=5))
@settings(max_examples=250, deadline=None)
def test_no_json_in_any_field_makes_the_reader_raise(spoilt: dict[str, Any]) -> None:
    """A Sale or a Refusal; and what is a Sale holds no float and stays inside 64 bits."""
    outcome = read_settlement(json.dumps(sale() | spoilt))
    if isinstance(outcome, Sale):
        numbers = [outcome.wire_sats, outcome.principal_sats, outcome.fee_sats, outcome.fiat_minor, outcome.occurred_at]
        assert all(type(number) is int and abs(number) <= 2**63 for number in numbers)
    else:
        assert outcome.reason is Reason.INVALID
        assert outcome.detail


@given(json_values.filter(has_float))
@settings(max_examples=80, deadline=None)
def test_a_float_anywhere_is_refused(value: Any) -> None:
    """However deep, in a field that is read or in one that is not."""
    for field in ("extra", "bills", "wire_sats"):
        assert isinstance(read_settlement(json.dumps(sale() | {field: value})), Refusal)


@pytest.mark.parametrize(
    ("denomination", "currency", "read_as"),
    [
        ("0.5", "KWD", "0.5"),
        ("0.250", "KWD", "0.25"),
        ("100", "GTQ", 100),
        ("100.00", "GTQ", 100),
        (100, "GTQ", 100),
        ("0.5", "GTQ", "0.5"),
    ],
)
def test_f3_there_are_notes_of_half_a_dinar(denomination: object, currency: str, read_as: object) -> None:
    """As decimal strings; a whole one is the same note however it is written."""
    found = read(fiat_code=currency, fiat_amount="2.000", bills=[{"denomination": denomination, "count": 4}])
    assert isinstance(found, Sale)
    assert found.bills == ((read_as, 4),)


@pytest.mark.parametrize(
    ("denomination", "currency", "detail"),
    [
        ("0.0001", "KWD", "bills.denomination: finer than the currency's minor unit"),
        ("0.5", "JPY", "bills.denomination: finer than the currency's minor unit"),
        ("1,5", "GTQ", "bills.denomination: not a decimal number"),
        ("", "GTQ", "bills.denomination: not a decimal number"),
        ("1e2", "GTQ", "bills.denomination: not a decimal number"),
        (None, "GTQ", "bills.0.denomination: Input should be a valid integer"),
    ],
)
def test_a_note_that_no_currency_has(denomination: object, currency: str, detail: str) -> None:
    fiat = "2000" if currency == "JPY" else "2000.00"
    assert read(fiat_code=currency, fiat_amount=fiat, bills=[{"denomination": denomination, "count": 1}]) == Refusal(
        Reason.INVALID, detail
    )
