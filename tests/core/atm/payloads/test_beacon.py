"""Beacons and telemetry: what a machine says of itself (docs/protocol.md 3.2, 3.3; acceptance T1-T4)."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.payloads.beacon import Beacon, read_beacon, read_telemetry
from nostrbot.refusals import Reason, Refusal

EVERYTHING = {
    "cash_in": True,
    "cash_out": False,
    "cash_level": "high",
    "fiat": "GTQ",
    "model": "tejo",
    "name": "Parque",
    "location": "Parque Central",
    "geo": "14.5586,-90.7295",
    "fees": {"cash_in": 5.5, "cash_out": "7.77"},
    "limits": {"GTQ": {"min": 10, "max": 20_000}},
    "denominations": {"out": [20, 100]},
    "version": "10.1.2",
}


def read(**fields: Any) -> Beacon | Refusal:
    return read_beacon(orjson.dumps(fields).decode())


def test_every_field_is_read_as_it_came() -> None:
    """T1. Floats are no harm where no money is read."""
    beacon = read(**EVERYTHING)
    assert isinstance(beacon, Beacon)
    assert beacon.said() == EVERYTHING


def test_today_s_payload() -> None:
    """T3: only these five; null is as good as missing, and what we do not know is ignored."""
    today = {"cash_in": True, "cash_out": True, "cash_level": "low", "fiat": "GTQ", "model": "sintra"}
    assert read(**today, version=None, geo=None, firmware={"a": [1]}) == Beacon(**today)
    assert read() == Beacon()


def test_a_missing_field_never_erases_a_known_one() -> None:
    """T2: not by being missing, not by being null; but false and an empty object are said."""
    known = Beacon(**EVERYTHING)
    assert known.followed_by(read()) == known
    assert known.followed_by(read(name=None, cash_in=False, fees={})).said() == EVERYTHING | {
        "cash_in": False,
        "fees": {},
    }


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"cash_in": 1}, "cash_in: Input should be a valid boolean"),
        ({"cash_out": "yes"}, "cash_out: Input should be a valid boolean"),
        ({"cash_level": 5}, "cash_level: Input should be a valid string"),
        ({"name": "x" * 257}, "name: String should have at most 256 characters"),
        ({"geo": {"lat": 14.5}}, "geo: Input should be a valid string"),
        ({"fees": []}, "fees: Input should be a valid dictionary"),
        ({"limits": 3}, "limits: Input should be a valid dictionary"),
        ({"denominations": "20,100"}, "denominations: Input should be a valid dictionary"),
    ],
)
def test_a_field_of_another_type_is_named(fields: dict[str, Any], detail: str) -> None:
    """One wrong field spoils the beacon: half of it would be a guess."""
    assert read(**EVERYTHING | fields) == Refusal(Reason.INVALID, detail)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("online", "content is not JSON"),
        ('{"fees": {"a": NaN}}', "content is not JSON"),
        ('{"fees": {"a": 1e999}}', "content is not JSON"),
        ("[]", "content is not a JSON object"),
        ('{"fiat": "GTQ", "fiat": "USD"}', "a key stands there twice"),
        ('{"fees":' * 9 + "1" + "}" * 9, "nested too deeply"),
        (json.dumps({"later": "x" * 8_192}), "content is longer than 8192 characters"),
    ],
    ids=["text", "nan", "infinite", "list", "twice", "deep", "long"],
)
def test_what_is_no_beacon(text: str, detail: str) -> None:
    """faults.md row 28."""
    assert read_beacon(text) == Refusal(Reason.INVALID, detail)


def test_telemetry_is_any_object() -> None:
    """Section 3.3: floats, numbers of any size, depth and emptiness are the machine's affair."""
    assert read_telemetry("{}") == {}
    assert read_telemetry('{"cpu": 0.25, "errors": [], "up": {"s": 5}}') == {"cpu": 0.25, "errors": [], "up": {"s": 5}}
    assert isinstance(read_telemetry('{"n": 123456789012345678901234567890}'), dict)
    assert isinstance(read_telemetry('{"a":' * 200 + "1" + "}" * 200), dict)


def test_telemetry_up_to_32_kib() -> None:
    """Counted in bytes, as it travels."""
    assert isinstance(read_telemetry('{"log": "' + "x" * (32_768 - 11) + '"}'), dict)
    too_long = read_telemetry('{"log": "' + "x" * (32_768 - 10) + '"}')
    assert too_long == Refusal(Reason.INVALID, "content is longer than 32768 characters")
    too_wide = read_telemetry('{"log": "' + "ñ" * (16_384 - 5) + '"}')
    assert too_wide == Refusal(Reason.INVALID, "content is longer than 32768 bytes")


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "content is not JSON"),
        ("[1]", "content is not a JSON object"),
        ('{"a": Infinity}', "content is not JSON"),
        ('{"a": 1, "a": 2}', "a key stands there twice"),
        ('{"a":' * 201 + "1" + "}" * 201, "nested too deeply"),
    ],
    ids=["empty", "list", "infinite", "twice", "deep"],
)
def test_what_is_no_telemetry(text: str, detail: str) -> None:
    """faults.md row 28."""
    assert read_telemetry(text) == Refusal(Reason.INVALID, detail)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*EVERYTHING, "extra"]), json_values, max_size=5))
@settings(max_examples=150, deadline=None)
def test_nothing_makes_the_readers_raise(fields: dict[str, Any]) -> None:
    """A beacon or a refusal; and any object at all is telemetry."""
    text = json.dumps(fields)
    assert isinstance(read_beacon(text), Beacon | Refusal)
    assert isinstance(read_telemetry(text), dict)
