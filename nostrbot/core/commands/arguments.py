"""Arguments: what the words of a command may be, and how each is read into a value.

What lives here: one function a kind of argument: text in, a value or Wanted out. What does not: which command takes
which (core/table.py), and whether what is named exists.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from nostrbot.core.local_time import DAY_S
from nostrbot.core.rules import SOUND
from nostrbot.errors import KeyTextError
from nostrbot.money import (
    CURRENCIES,
    PPM,
    SATS_MAX,
    Denomination,
    format_ppm,
    is_plainly_written,
    parse_decimal,
    parse_ppm,
    read_denomination,
)
from nostrbot.nostr.event import INT_MAX
from nostrbot.nostr.identifiers import read_identifier
from nostrbot.nostr.keys import read_pubkey

LIST_LIMIT_MAX = 1000
NOTES_MAX = 1_000_000  # banknotes, or the value of one: more than any machine holds
PERCENT_DECIMALS = 4  # the most that parts per million hold
PLAINLY = "digits, and a point before decimals; nothing between thousands"
POSITION_CHARS_MAX = 32
SLOTS_MAX = 24
RUNS_MAX = 50
DAY_MINUTES = 24 * 60
NOTE_CHARS_MAX = 280  # a note is a line; it is sealed in the journal for ever


@dataclass(frozen=True, slots=True)
class Wanted:
    """The description of a valid argument: the end of the sentence "<name> must be ..."."""

    what: str


_HANDLE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_FIAT = re.compile(r"[A-Z]{3}", re.ASCII)
_LN_ADDRESS = re.compile(r"[a-z0-9._+-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.ASCII)
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_DATE = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MONTH = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TZ = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}", re.ASCII)


def handle(text: str) -> str | Wanted:
    """Read a name of an operator, a machine or an LP, lower-cased."""
    lowered = text.lower()
    return lowered if _HANDLE.fullmatch(lowered) else Wanted("a name of a-z, 0-9 and -, at most 32 characters")


def public_key(text: str) -> str | Wanted:
    """Read a public key as clients give it (an npub, an nprofile, `nostr:` before it, or hex); returns hex."""
    try:
        return read_identifier(text)
    except KeyTextError as error:
        return Wanted(f"an npub or 64 hex digits of a public key; {error}")


def public_key_of_first_rules(text: str) -> str | Wanted:
    """Read a public key from an npub or hex; returns hex."""
    try:
        return read_pubkey(text)
    except KeyTextError:
        return Wanted("an npub or 64 hex digits of a public key")


def percentage(text: str) -> int | Wanted:
    """Read parts per million from a plainly written percentage; below 1 % it needs its sign, for `0.05` may be 5 %."""
    number = text.removesuffix("%").rstrip()
    plain = is_plainly_written(number) and len(number.partition(".")[2]) <= PERCENT_DECIMALS
    ppm = percentage_of_first_rules(number if plain else "")
    if number == text.rstrip() and isinstance(ppm, int) and 0 < ppm < PPM // 100:
        return Wanted(f"written with its sign: {number}% or, if that is a fraction, {format_ppm(ppm * 100)}")
    return ppm


def percentage_of_first_rules(text: str) -> int | Wanted:
    """Read the same, with zeros in front and behind."""
    ppm = parse_ppm(text)
    return Wanted("a percentage from 0 to 100 with at most four decimals, like 7.77%: no comma") if ppm is None else ppm


def fiat(text: str) -> str | Wanted:
    """Read the code of an existing currency, upper-cased: a machine keeps it for ever, and `GQT` would reject all its
    sales.
    """
    code = fiat_of_first_rules(text)
    if isinstance(code, Wanted) or code in CURRENCIES:
        return code
    return Wanted("the code of an existing currency, like GTQ: a machine keeps it for ever")


def fiat_of_first_rules(text: str) -> str | Wanted:
    """Read any three letters, upper-cased."""
    return text.upper() if _FIAT.fullmatch(text.upper()) else Wanted("a currency code of three letters, like GTQ")


def time_zone(text: str) -> str | Wanted:
    """Read the text of an IANA time zone; runtime/people.py asks whether that zone exists."""
    return text if _TZ.fullmatch(text) else Wanted("an IANA time zone, like America/Guatemala")


def amount(text: str) -> str | Wanted:
    """Read decimal text above zero, plainly written; its currency limits the decimals (core/commands/amounts.py)."""
    return amount_of_first_rules(text if is_plainly_written(text) else "")


def amount_of_first_rules(text: str) -> str | Wanted:
    """Read the same, with zeros in front."""
    value = parse_decimal(text)
    return Wanted(f"an amount above zero, like 9000.00: {PLAINLY}") if value is None or value.digits <= 0 else text


def amount_or_off(text: str) -> str | Wanted:
    """Read decimal text above zero, or "" for off."""
    return "" if text.lower() == "off" else _or_off(amount(text))


def amount_or_off_of_first_rules(text: str) -> str | Wanted:
    """Read the same, with zeros in front."""
    return "" if text.lower() == "off" else _or_off(amount_of_first_rules(text))


def _or_off(read: str | Wanted) -> str | Wanted:
    return Wanted(f"an amount above zero, or off: {PLAINLY}") if isinstance(read, Wanted) else read


def rate(text: str) -> str | Wanted:
    """Read a price above zero, in sats per unit of fiat: it may have decimals, and zeros at its end are dropped."""
    value = parse_decimal(text) if is_plainly_written(text) else None
    return Wanted(f"a rate above zero, like 49.5: {PLAINLY}") if value is None or value.digits <= 0 else str(value)


def percentage_or_off(text: str) -> int | Wanted | None:
    """Read parts per million from a percentage, or None for off."""
    return None if text.lower() == "off" else percentage(text)


def percentage_or_off_of_first_rules(text: str) -> int | Wanted | None:
    """Read the same, with zeros in front and behind."""
    return None if text.lower() == "off" else percentage_of_first_rules(text)


def sats(text: str) -> int | Wanted:
    """Read a whole number of satoshis."""
    return sats_of_first_rules(text if is_plainly_written(text) else "")


def sats_of_first_rules(text: str) -> int | Wanted:
    """Read the same, with zeros in front."""
    return _whole(text, SATS_MAX, "a whole number of sats, without points, commas and blanks")


def runs(text: str) -> tuple[tuple[int, int], ...] | Wanted:
    """Read numbers and runs of them, as (first, last)."""
    read = [_run(part.strip()) for part in text.strip(", ").split(",")]
    found = tuple(run for run in read if run is not None)
    whole = len(found) == len(read) <= RUNS_MAX
    return found if whole else Wanted(f"numbers like 42 or 45-47, at most {RUNS_MAX}")


def _run(text: str) -> tuple[int, int] | None:
    first, dash, last = text.partition("-")
    begin, end = _whole(first, INT_MAX, ""), _whole(last if dash else first, INT_MAX, "")
    return (begin, end) if isinstance(begin, int) and isinstance(end, int) and begin <= end else None


def note_value(text: str) -> Denomination | Wanted:
    """Read the value of a banknote, in whole units of fiat; half a dinar is `0.5`. `1.000` may well be a thousand."""
    is_plain = is_plainly_written(text) and not ("." in text and text.endswith("0"))
    value = read_denomination(text) if is_plain else None
    return value if value is not None and is_note_value(value) else Wanted("the value of a banknote, like 100 or 0.5")


def note_value_of_first_rules(text: str) -> Denomination | Wanted:
    """Read the same, whole units only, with zeros in front."""
    number = _whole(text, NOTES_MAX, "")
    return number if isinstance(number, int) and number else Wanted("the value of a banknote, like 100")


def is_note_value(value: Denomination) -> bool:
    """Return whether a banknote may have that value: above zero, and not absurdly much."""
    worth = parse_decimal(str(value))
    return worth is not None and 0 < worth.digits <= NOTES_MAX * 10**worth.places


def note_count(text: str) -> int | Wanted:
    """Read a number of banknotes."""
    return note_count_of_first_rules(text if is_plainly_written(text) else "")


def note_count_of_first_rules(text: str) -> int | Wanted:
    """Read the same, with zeros in front."""
    return _whole(text, NOTES_MAX, "a number of banknotes, like 480")


def minutes(text: str) -> int | Wanted:
    """Read minutes, as seconds."""
    number = _whole(text.removesuffix("m"), DAY_MINUTES, "")
    return number * 60 if isinstance(number, int) and number else Wanted("a number of minutes, from 1 to 1440")


def _whole(text: str, most: int, wanted: str) -> int | Wanted:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
    return number if 0 <= number <= most else Wanted(wanted)


def position(text: str) -> str | Wanted:
    """Read the name of a cassette's place in its machine."""
    return text if 0 < len(text) <= POSITION_CHARS_MAX else Wanted("the position of a cassette, like 1")


def time_or_off(text: str) -> str | Wanted:
    """Read a time of day, or "" for off."""
    return "" if text.lower() == "off" else _time(text)


def times_or_off(text: str) -> tuple[str, ...] | Wanted:
    """Read times of day, ascending, each once; none for off."""
    if text.lower() == "off":
        return ()
    read = [_time(part.strip()) for part in text.split(",")]
    times = sorted({time for time in read if isinstance(time, str)})
    whole = len(times) == len(read) and len(times) <= SLOTS_MAX
    return tuple(times) if whole else Wanted(f"times like 08:00,20:00, each once and at most {SLOTS_MAX}, or off")


def _time(text: str) -> str | Wanted:
    match = _TIME.fullmatch(text)
    return f"{int(match[1]):02d}:{match[2]}" if match else Wanted("a time like 08:00, or off")


def month(text: str) -> str | Wanted:
    """Read a month, `YYYY-MM`."""
    return text if _MONTH.fullmatch(text) else Wanted("a month like 2026-10")


def hash_hex(text: str) -> str | Wanted:
    """Read 32 bytes in hex, lower-cased."""
    return text.lower() if _HASH.fullmatch(text.lower()) else Wanted("64 hex digits, all of them")


def entry_number(text: str) -> int | Wanted:
    """Read the number of an entry."""
    number = _whole(text, INT_MAX, "")
    return number if isinstance(number, int) and number else Wanted("the number of an entry, like 120")


def line(text: str) -> str | Wanted:
    """Read a short text."""
    return text if len(text) <= NOTE_CHARS_MAX else Wanted(f"at most {NOTE_CHARS_MAX} characters")


def sentence(text: str) -> str | Wanted:
    """Read a short text that says something: a reason must."""
    return line(text) if text.strip() else Wanted("a few words, in quotes")


def row_count(text: str) -> int | Wanted:
    """Read how many rows of a list are wanted."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0
    return number if 1 <= number <= LIST_LIMIT_MAX else Wanted(f"a number from 1 to {LIST_LIMIT_MAX}")


def moment(text: str) -> int | Wanted:
    """Read unix seconds, from them or from a date (its first second, UTC)."""
    if _DATE.fullmatch(text):
        try:
            return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
        except ValueError:
            return Wanted("a date of the calendar")
    good = text.isascii() and text.isdecimal() and len(text) < 12
    return int(text) if good else Wanted("a time in unix seconds, or a date like 2026-10-31")


def last_moment(text: str) -> int | Wanted:
    """Read unix seconds, from them or from a date (its last second, UTC)."""
    at = moment(text)
    return at + DAY_S - 1 if isinstance(at, int) and _DATE.fullmatch(text) else at


def switch(text: str) -> bool | Wanted:
    """Read a switch: True for on, False for off."""
    choices = {"on": True, "off": False}
    return choices.get(text.lower(), Wanted("on or off"))


def lightning_address(text: str) -> str | Wanted:
    """Read a Lightning address (LUD-16), or "" for off."""
    lowered = text.lower()
    if lowered == "off":
        return ""
    return (
        lowered if _LN_ADDRESS.fullmatch(lowered) else Wanted("a Lightning address like ana@wallet.example.com, or off")
    )


def numbered(letter: str) -> Callable[[str], int | Wanted]:
    """Return a reader of ids like `d12`, with or without their letter."""

    def read(text: str) -> int | Wanted:
        digits = text.lower().removeprefix(letter)
        good = digits.isascii() and digits.isdecimal() and len(digits) < 16
        return int(digits) if good else Wanted(f"an id like {letter}12")

    return read


def one_of(choices: type[StrEnum], *offered: StrEnum) -> Callable[[str], StrEnum | Wanted]:
    """Return a reader of one of these words; `offered`: the words to name, where the others would be refused later."""

    def read(text: str) -> StrEnum | Wanted:
        try:
            return choices(text.lower())
        except ValueError:
            return Wanted("one of " + ", ".join(offered or choices))

    return read


FREE_TEXT = frozenset({line, sentence})

# Numbers that could be read in two ways if anything around them were overlooked.
PLAINLY_WRITTEN = frozenset({amount, amount_or_off, rate, percentage, percentage_or_off, sats, note_value, note_count})

# How an argument was read where reading it has changed.
_OF_FIRST_RULES: Mapping[Callable[[str], Any], Callable[[str], Any]] = {
    public_key: public_key_of_first_rules,
    fiat: fiat_of_first_rules,
    amount: amount_of_first_rules,
    amount_or_off: amount_or_off_of_first_rules,
    rate: amount_of_first_rules,
    percentage: percentage_of_first_rules,
    percentage_or_off: percentage_or_off_of_first_rules,
    sats: sats_of_first_rules,
    note_value: note_value_of_first_rules,
    note_count: note_count_of_first_rules,
}


def by_rules(read: Callable[[str], Any], rules: int) -> Callable[[str], Any]:
    """Return the reader of an argument by these rules."""
    return _OF_FIRST_RULES.get(read, read) if rules < SOUND else read
