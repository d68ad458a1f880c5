"""Integer money: exact in, exact out, and shared to the last unit."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.money import (
    Decimal,
    format_digits,
    format_minor,
    format_ppm,
    minor_digits,
    parse_decimal,
    parse_minor,
    parse_ppm,
    share_of,
    split,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2000.00", Decimal(2000, 0)),
        ("50", Decimal(50, 0)),
        ("0.1", Decimal(1, 1)),
        ("-5.250", Decimal(-525, 2)),
        ("007", Decimal(7, 0)),
        ("0.000000000000000001", Decimal(1, 18)),
    ],
)
def test_a_decimal_is_read_exactly(text: str, value: Decimal) -> None:
    """Trailing zeros say nothing, so equal numbers are equal values."""
    assert parse_decimal(text) == value


@pytest.mark.parametrize(
    "text",
    ["", " 5", "5 ", "+5", "5.", ".5", "1e3", "1e400", "0x10", "1_000", "1,000", "NaN", "Infinity", "--5", "5\n", "٥", "½",
     "0.0000000000000000001", "1" * 41, "1" * 30 + "." + "1" * 11],
)  # fmt: skip
def test_what_is_no_plain_decimal_is_not_read(text: str) -> None:
    """No exponents, no signs but minus, no other scripts' digits, no more digits than money has."""
    assert parse_decimal(text) is None


@given(st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_reading_a_number_never_raises(text: str) -> None:
    """Any text is a number or None, to each of the three readers."""
    for read in (parse_decimal(text), parse_minor(text, "GTQ"), parse_ppm(text)):
        assert read is None or isinstance(read, Decimal | int)


@given(st.integers(-(10**20), 10**20), st.integers(0, 18))
@settings(max_examples=100, deadline=None)
def test_a_printed_decimal_reads_back_as_the_same_number(digits: int, places: int) -> None:
    """Print and read are inverse; the value is what a fraction says it is."""
    read = parse_decimal(format_digits(digits, places))
    assert read is not None
    assert Fraction(read.digits, 10**read.places) == Fraction(digits, 10**places)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("2000.00", "GTQ", 200_000),
        ("2000", "GTQ", 200_000),
        ("0.01", "GTQ", 1),
        ("5", "JPY", 5),
        ("1.005", "KWD", 1005),
    ],
)
def test_fiat_is_read_in_the_currency_s_minor_unit(text: str, currency: str, minor: int) -> None:
    """ISO 4217: GTQ has hundredths, JPY none, KWD thousandths."""
    assert parse_minor(text, currency) == minor


@pytest.mark.parametrize(("text", "currency"), [("0.001", "GTQ"), ("0.5", "JPY"), ("1.0005", "KWD")])
def test_finer_than_the_minor_unit_is_refused(text: str, currency: str) -> None:
    """There is no such coin, so nobody is asked to round one."""
    assert parse_minor(text, currency) is None


def test_minor_units_print_with_all_their_decimals() -> None:
    """People read 2000.00, not 2000."""
    assert format_minor(200_000, "GTQ") == "2000.00"
    assert format_minor(-1, "GTQ") == "-0.01"
    assert format_minor(5, "JPY") == "5"
    assert format_minor(1_005, "KWD") == "1.005"
    assert minor_digits("ZZZ") == 2


@pytest.mark.parametrize(
    ("text", "ppm"),
    [("7.77%", 77_700), ("7.77", 77_700), ("0", 0), ("100%", 1_000_000), ("0.0001%", 1), ("6.5000%", 65_000)],
)
def test_a_percentage_is_read_exactly(text: str, ppm: int) -> None:
    """Parts per million hold four decimals of a percent."""
    assert parse_ppm(text) == ppm


@pytest.mark.parametrize("text", ["7.77777%", "-1%", "100.0001%", "101", "%", "", "5%%", "five"])
def test_a_percentage_of_five_decimals_or_outside_0_to_100_is_refused(text: str) -> None:
    """More than four decimals cannot be held exactly (docs/protocol.md section 5)."""
    assert parse_ppm(text) is None


@given(st.integers(0, 1_000_000))
@settings(max_examples=100, deadline=None)
def test_a_printed_percentage_reads_back(ppm: int) -> None:
    """What `machine show` prints can be typed into `machine set`."""
    assert parse_ppm(format_ppm(ppm)) == ppm


def test_a_fee_is_floored() -> None:
    """docs/protocol.md section 5: floor(principal x ppm / 1e6)."""
    assert share_of(100_000, 77_700) == 7_770
    assert share_of(13, 77_700) == 1
    assert share_of(12, 77_700) == 0
    assert share_of(21 * 10**14, 1_000_000) == 21 * 10**14


def test_split_is_pro_rata() -> None:
    """The source documents' example: 2,000 over balances of 9,000 and 1,000."""
    assert split(200_000, [900_000, 100_000]) == [180_000, 20_000]


def test_what_rounding_leaves_goes_to_the_largest_remainders() -> None:
    """10 over 1:1:4 is 1.67, 1.67, 6.67: all three remainders are equal, so the earlier places get the two left."""
    assert split(10, [1, 1, 4]) == [2, 2, 6]
    assert split(10, [4, 1, 2]) == [6, 1, 3]  # 5.71, 1.43, 2.86: the last has the largest remainder


def test_ties_go_to_the_earlier_place() -> None:
    """One sat over a thousand equal weights goes to the first (faults.md row 59)."""
    assert split(1, [1] * 1000) == [1] + [0] * 999
    assert split(2, [5, 5, 5]) == [1, 1, 0]


def test_a_weight_of_nothing_gets_nothing() -> None:
    """Not even a remainder."""
    assert split(7, [0, 3, 0, 3]) == [0, 4, 0, 3]


weights = st.lists(st.integers(0, 10**15), min_size=1, max_size=30).filter(any)


@given(st.integers(0, 21 * 10**14), weights)
@settings(max_examples=200, deadline=None)
def test_parts_sum_to_the_whole_and_each_is_within_one_of_its_exact_share(total: int, weights: list[int]) -> None:
    """For any pool up to 1e15 a weight: no unit is lost, made, or given to the wrong party (faults.md row 60)."""
    parts = split(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1


@given(
    st.integers(0, 10**12),
    st.lists(st.integers(1, 10**9), min_size=2, max_size=10, unique=True),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_without_ties_the_order_of_places_does_not_matter(total: int, weights: list[int], random: Random) -> None:
    """A party's part follows from its weight, not from where it stands, but for ties."""
    whole = sum(weights)
    if len({total * weight % whole for weight in weights}) < len(weights):
        return
    shuffled = list(weights)
    random.shuffle(shuffled)
    assert dict(zip(weights, split(total, weights), strict=True)) == dict(
        zip(shuffled, split(total, shuffled), strict=True)
    )


def test_there_must_be_something_to_share_by() -> None:
    """All weights zero is our own mistake, not the world's."""
    with pytest.raises(AssertionError, match="nothing to share by"):
        split(5, [0, 0])
