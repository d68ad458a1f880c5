"""Arguments: what the words of a command may be, and how each is read into a value.

What lives here: one function a kind of argument: text in, a value or Wanted out. What does not: which command takes which
(core/commands.py), and whether what is named exists.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from nostrbot.errors import KeyTextError
from nostrbot.money import parse_decimal, parse_ppm
from nostrbot.nostr.keys import read_pubkey

LIST_LIMIT_MAX = 1000
NOTE_CHARS_MAX = 280  # a note is a line; it is sealed in the journal for ever


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an argument's text should have been: the end of the sentence "<name> must be ..."."""

    what: str


_HANDLE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_FIAT = re.compile(r"[A-Z]{3}", re.ASCII)
_LN_ADDRESS = re.compile(r"[a-z0-9._+-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.ASCII)
_TZ = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}", re.ASCII)


def handle(text: str) -> str | Wanted:
    """A name of an operator, a machine or an LP, lower-cased."""
    lowered = text.lower()
    return lowered if _HANDLE.fullmatch(lowered) else Wanted("a name of a-z, 0-9 and -, at most 32 characters")


def public_key(text: str) -> str | Wanted:
    """A public key as hex, from an npub or hex."""
    try:
        return read_pubkey(text)
    except KeyTextError:
        return Wanted("an npub or 64 hex digits of a public key")


def percentage(text: str) -> int | Wanted:
    """Parts per million, from a percentage."""
    ppm = parse_ppm(text)
    return Wanted("a percentage from 0 to 100 with at most four decimals, like 7.77%") if ppm is None else ppm


def fiat(text: str) -> str | Wanted:
    """A currency code, upper-cased."""
    return text.upper() if _FIAT.fullmatch(text.upper()) else Wanted("a currency code of three letters, like GTQ")


def time_zone(text: str) -> str | Wanted:
    """The text of an IANA time zone; whether there is such a zone is asked elsewhere (desk.py)."""
    return text if _TZ.fullmatch(text) else Wanted("an IANA time zone, like America/Guatemala")


def amount(text: str) -> str | Wanted:
    """Decimal text above zero; how many decimals it may have is its currency's affair."""
    value = parse_decimal(text)
    return Wanted("an amount above zero, like 9000.00") if value is None or value.digits <= 0 else text


def line(text: str) -> str | Wanted:
    """A short text."""
    return text if len(text) <= NOTE_CHARS_MAX else Wanted(f"at most {NOTE_CHARS_MAX} characters")


def row_count(text: str) -> int | Wanted:
    """How many rows of a list are wanted."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 0
    return number if 1 <= number <= LIST_LIMIT_MAX else Wanted(f"a number from 1 to {LIST_LIMIT_MAX}")


def moment(text: str) -> int | Wanted:
    """Unix seconds."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else Wanted("a time in unix seconds")


def switch(text: str) -> bool | Wanted:
    """True for on, False for off."""
    choices = {"on": True, "off": False}
    return choices.get(text.lower(), Wanted("on or off"))


def lightning_address(text: str) -> str | Wanted:
    """A Lightning address (LUD-16), or "" for off."""
    lowered = text.lower()
    if lowered == "off":
        return ""
    return (
        lowered if _LN_ADDRESS.fullmatch(lowered) else Wanted("a Lightning address like ana@wallet.example.com, or off")
    )


def numbered(letter: str) -> Callable[[str], int | Wanted]:
    """A reader of ids like `d12`, with or without their letter."""

    def read(text: str) -> int | Wanted:
        digits = text.lower().removeprefix(letter)
        good = digits.isascii() and digits.isdecimal() and len(digits) < 16
        return int(digits) if good else Wanted(f"an id like {letter}12")

    return read


def one_of(choices: type[StrEnum]) -> Callable[[str], StrEnum | Wanted]:
    """A reader of one of these words."""

    def read(text: str) -> StrEnum | Wanted:
        try:
            return choices(text.lower())
        except ValueError:
            return Wanted("one of " + ", ".join(choices))

    return read
