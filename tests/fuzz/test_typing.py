"""What people type, spoilt: amounts, keys, time zones and every other argument of the table (F1, F4, F8, F13).

Each reader gives a value or says what is wanted. What is read as money is what stands there and nothing else, in every currency;
what is read as a key is a key of somebody's, and never a secret.
"""

from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import nostr_sdk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.core.commands.arguments import Wanted, public_key, time_zone
from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.commands.specs import Arg
from nostrbot.core.parsing import parse
from nostrbot.core.table import TABLE
from nostrbot.money import (
    denomination_minor,
    format_minor,
    is_plainly_written,
    minor_digits,
    parse_minor,
    parse_typed_minor,
    read_denomination,
    unit_minor,
)
from nostrbot.runtime.zones import zone_names
from tests.core.test_whole_table import RESTS, values_of
from tests.fuzz.effort import effort
from tests.fuzz.spoiling import spoilt_text, texts
from tests.houses import person, told

CURRENCIES = ("GTQ", "JPY", "KWD", "EUR", "CLF")
MONEY = (
    *("9.000", "9.00", "9", "0.5", ".5", "9.", "09", "9,000", "9.000,00", "9'000", "9 000", "1_000", "1e3", "+9", "-9"),
    *(
        "0",
        "0.00",
        "00",
        "\u0669",
        "\uff19",
        "9\u00a0000",
        "9.0000000",
        "9" * 20,
        f"{'9' * 400}.00",
        "0x10",
        "9.0.0",
        "NaN",
    ),
)
PROFILE = nostr_sdk.Nip19Profile(nostr_sdk.PublicKey.parse(person("ana").pubkey), []).to_bech32()
KEYS = (person("ana").npub, person("ana").pubkey, f"nostr:{person('ana').npub}", PROFILE, person("ana").nsec())
ZONES = (
    "America/Guatemala",
    "UTC",
    "Factory",
    "localtime",
    "right/UTC",
    "posixrules",
    "../../etc/passwd",
    "US/Eastern",
)
ARGUMENTS = [(form.verb, arg) for form in TABLE for arg in form.args]


@effort(400)
@given(text=st.sampled_from(MONEY) | st.sampled_from(MONEY).flatmap(spoilt_text), currency=st.sampled_from(CURRENCIES))
def test_f1_money_that_a_person_types(text: str, currency: str) -> None:
    """Read exactly as written, by digits and one point alone, with no decimal that the currency lacks; and shown so."""
    minor = parse_typed_minor(text, currency)
    if minor is None:
        return
    assert is_plainly_written(text)
    assert text.isascii()
    assert set(text) <= set("0123456789.")
    assert len(text.partition(".")[2]) <= minor_digits(currency)
    assert minor == Fraction(text) * unit_minor(currency)
    shown = format_minor(minor, currency)
    assert parse_typed_minor(shown, currency) == parse_minor(shown, currency) == minor


@effort(200)
@given(text=st.sampled_from(MONEY) | st.sampled_from(MONEY).flatmap(spoilt_text), currency=st.sampled_from(CURRENCIES))
def test_f3_what_a_banknote_is_worth(text: str, currency: str) -> None:
    """Half units are exact, and read again as what they were written."""
    value = read_denomination(text)
    if value is None:
        return
    assert read_denomination(value) == value
    minor = denomination_minor(value, currency)
    if minor is not None:
        assert minor == Fraction(str(value)) * unit_minor(currency) == Fraction(text) * unit_minor(currency)


@effort(400)
@given(text=st.sampled_from(KEYS) | st.sampled_from(KEYS).flatmap(spoilt_text))
def test_f8_a_key_as_clients_give_it(text: str) -> None:
    """A key of 64 hex digits, or what is wanted; of a secret, or a part of one, nothing is repeated."""
    read = public_key(text)
    if isinstance(read, Wanted):
        assert not any(read.what[at : at + 8] in person("ana").nsec() for at in range(len(read.what) - 8))
        return
    assert nostr_sdk.PublicKey.parse(read).to_hex() == read


@effort(200)
@given(text=st.sampled_from(ZONES) | st.sampled_from(ZONES).flatmap(spoilt_text))
def test_f4_a_time_zone(text: str) -> None:
    """A name of the database that every host with the package knows, or none."""
    read = time_zone(text)
    if not isinstance(read, Wanted) and read in zone_names():
        assert read not in ("Factory", "localtime", "posixrules")
        datetime.now(UTC).astimezone(ZoneInfo(read))


@pytest.mark.parametrize(("verb", "arg"), ARGUMENTS, ids=[f"{verb} {arg.name}" for verb, arg in ARGUMENTS])
def test_every_argument_is_read_or_refused(verb: str, arg: Arg) -> None:
    """Whatever stands in its place; a refusal says what is wanted in a line."""
    form = next(form for form in TABLE if form.verb == verb)
    good = [told(value) for value in values_of(form, arg)]

    @effort(20)
    @given(text=st.sampled_from(good).flatmap(spoilt_text) | texts)
    def read(text: str) -> None:
        value = arg.read(text)
        if isinstance(value, Wanted):
            assert value.what
            assert len(value.what) < 300
            assert value.what.isprintable()

    read()


@effort(300)
@given(data=st.data())
def test_a_command_as_people_type_it(data: st.DataObject) -> None:
    """A whole command, spoilt, is understood or not; nothing raises, and nobody is told half of what was meant."""
    form = data.draw(st.sampled_from(TABLE))
    words = [form.verb]
    for arg in form.args:
        value = told(data.draw(st.sampled_from(values_of(form, arg))))
        words.append(value if arg.positional else f"{arg.name}={value}")
    if form.rest:
        words.append(told(data.draw(st.sampled_from(RESTS[form.verb]))))
    said = parse(data.draw(spoilt_text(" ".join(words)) | st.just(" ".join(words))))
    assert isinstance(said, Command | Misunderstood)
