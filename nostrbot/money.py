"""Integer money: sats, fiat minor units, parts per million, and the only place that rounds what is booked: `split()`, and `ceil_div()` for fees.

What lives here: exact reading (of what programs write and, more strictly, of what people type) and printing of
decimals, percentages and rates, and sharing a whole into parts. What does not: who gets a share
(core/atm/settlements/fees.py, core/atm/settlements/dca.py). docs/protocol.md section 5; acceptance O4, O5, X3. No
floats.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

PPM = 1_000_000
SATS_PER_BTC = 10**8
SATS_MAX = 21_000_000 * SATS_PER_BTC  # every satoshi there will ever be
DECIMALS_MAX = 18  # digits after the point in a rate or an amount; more is noise or an attack
DIGITS_MAX = 40  # digits in all, so that a number from the wire never grows without bound

# ISO 4217's currencies that there is cash in, by their minor unit.
_WHOLE_UNITS = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF")
_THOUSANDTHS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_HUNDREDTHS = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC
    CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES
    KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR
    NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT
    TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_MINOR_DIGITS = dict.fromkeys((*_WHOLE_UNITS, "XPF"), 0) | dict.fromkeys(_THOUSANDTHS, 3)
CURRENCIES = frozenset((*_HUNDREDTHS.split(), *_MINOR_DIGITS))
_PLAIN = re.compile(r"(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{1,40})?", re.ASCII)
_DECIMAL = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,40}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Decimal:
    """An exact decimal number: `digits / 10**places`."""

    digits: int
    places: int

    def __str__(self) -> str:
        return format_digits(self.digits, self.places)


@lru_cache(maxsize=4096)  # a machine says the same rates and amounts over and over
def parse_decimal(text: str) -> Decimal | None:
    """Read `2000.00`, `-5` or `50` exactly; None if it is not a plain decimal number."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction = match.groups()
    fraction = (fraction or "").rstrip("0")
    if len(fraction) > DECIMALS_MAX or len(whole) + len(fraction) > DIGITS_MAX:
        return None
    digits = int(whole + fraction)
    return Decimal(-digits if sign else digits, len(fraction))


def format_digits(digits: int, places: int) -> str:
    """Print `digits / 10**places` with exactly `places` decimals."""
    sign = "-" if digits < 0 else ""
    if places == 0:
        return f"{digits}"
    whole, fraction = divmod(abs(digits), 10**places)
    return f"{sign}{whole}.{fraction:0{places}d}"


def minor_digits(currency: str) -> int:
    """Return how many decimals the currency's minor unit has (ISO 4217): 2 for GTQ, 0 for JPY, 3 for KWD."""
    return _MINOR_DIGITS.get(currency, 2)


def unit_minor(currency: str) -> int:
    """Return one whole unit of a currency in its minor units: 100 for GTQ, 1 for JPY."""
    return int(10 ** minor_digits(currency))


def parse_minor(text: str, currency: str) -> int | None:
    """Read an amount of fiat that a program wrote, as minor units: surplus zeros (`2000.00000`) say nothing.

    None if it is no number or finer than the currency's minor unit. parse_typed_minor() reads what people type.
    """
    value = parse_decimal(text)
    places = minor_digits(currency)
    if value is None or value.places > places:
        return None
    return value.digits * int(10 ** (places - value.places))


def parse_typed_minor(text: str, currency: str) -> int | None:
    """Read an amount of fiat that a person typed, as minor units. None if it is not written as money is.

    A decimal that the currency does not have is none of its decimals, zero or not: `9.000` may well be nine thousand.
    """
    fraction = text.partition(".")[2]
    if not is_plainly_written(text) or len(fraction) > minor_digits(currency):
        return None
    return parse_minor(text, currency)


def is_plainly_written(text: str) -> bool:
    """Whether a number that a person typed can be read in one way only.

    Digits, and a point before decimals: no sign, blank or comma, no exponent, no zero in front, no digit left out.
    """
    return _PLAIN.fullmatch(text) is not None


Denomination = int | str  # of a banknote, in whole units of fiat: 100; where it has a fraction, as text: "0.5"


def read_denomination(value: int | str) -> Denomination | None:
    """Read what a machine says a note is worth: `100`, `"100"`, `"0.5"` (half a dinar). None if it is no plain
    decimal.
    """
    if isinstance(value, int):
        return value
    amount = parse_decimal(value)
    if amount is None:
        return None
    return amount.digits if amount.places == 0 else str(amount)


def denomination_minor(value: Denomination, currency: str) -> int | None:
    """Return the value of a note in minor units; None if that is finer than the currency's minor unit."""
    return value * unit_minor(currency) if isinstance(value, int) else parse_minor(value, currency)


def format_minor(amount_minor: int, currency: str) -> str:
    """Print minor units as people write them: 200000, GTQ -> `2000.00`."""
    return format_digits(amount_minor, minor_digits(currency))


def parse_ppm(text: str) -> int | None:
    """Read a percentage exactly: `7.77%` or `7.77` -> 77,700 ppm; None beyond four decimals or outside 0..100 %."""
    value = parse_decimal(text.removesuffix("%").strip())
    if value is None or value.places > 4:
        return None
    ppm = value.digits * int(10 ** (4 - value.places))
    return ppm if 0 <= ppm <= PPM else None


def format_ppm(ppm: int) -> str:
    """Print parts per million as a percentage without needless zeros: 77700 -> `7.77%`."""
    text = format_digits(ppm, 4).rstrip("0").rstrip(".")
    return f"{text}%"


def format_ratio(part: int, whole: int, places: int) -> str:
    """Print `part / whole` with this many decimals, for people to read: the nearest, halves up. Neither is negative."""
    return format_digits((2 * part * 10**places + whole) // (2 * whole), places)


def share_of(amount: int, ppm: int) -> int:
    """Return the floor of `amount x ppm / 1e6`: how a fee is computed from a principal (acceptance O5)."""
    return amount * ppm // PPM


def ceil_div(whole: int, parts: int) -> int:
    """Divide whole numbers and round up."""
    return -(-whole // parts)


def split(total: int, weights: list[int]) -> list[int]:
    """Share a whole by weights to the last unit: largest remainder, ties to the earlier place.

    The parts sum to `total` exactly and each is its exact share rounded down or up by less than one. Weights are
    non-negative and not all zero; `total` is non-negative.
    """
    whole = sum(weights)
    assert total >= 0
    assert whole > 0, "nothing to share by"
    parts = [total * weight // whole for weight in weights]
    left = total - sum(parts)
    if left:
        # sorted() is stable, so equal remainders keep the order of their places.
        by_remainder = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
        for place in by_remainder[:left]:
            parts[place] += 1
    return parts
