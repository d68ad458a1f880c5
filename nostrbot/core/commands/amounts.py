"""Amounts of fiat in commands: what a person typed, read in a currency or refused with what to write.

What lives here: the one reader for every command, and the form in which answers show a limit that is of no one
currency. What does not: numbers (money.py), and arguments before their currency is known (core/commands/arguments.py).
docs/protocol.md section 6.
"""

from collections.abc import Iterable

from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.rules import SOUND
from nostrbot.money import format_digits, minor_digits, parse_decimal, parse_minor, parse_typed_minor

THOUSANDS_GROUP = 3  # digits after a thousands point
_COUNTS = ("no decimals", "one decimal", "two decimals", "three decimals", "four decimals", "five decimals")
_HAS = ("none", "one", "two", "three")


def read_amount(order: Order, name: str, currency: str) -> int | CommandRefused:
    """Read an argument as minor units of a currency, by the order's rules; it is above zero."""
    text = order.args[name]
    read = parse_minor if order.rules < SOUND else parse_typed_minor
    amount_minor = read(text, currency)
    return (
        CommandRefused(Code.BAD_ARGUMENT, f"{name}: {_surplus(text, currency)}")
        if amount_minor is None
        else amount_minor
    )


def read_limit(order: Order, name: str, currencies: Iterable[str]) -> str | CommandRefused:
    """Read a limit that holds in each of these currencies; it is kept as text. Older rules allow any decimals."""
    text, coarsest = str(order.args[name]), _coarsest(currencies)
    if order.rules >= SOUND and parse_typed_minor(text, coarsest) is None:
        return CommandRefused(Code.BAD_ARGUMENT, f"{name}: {_surplus(text, coarsest)}")
    return text


def show_limit(limit: str, currencies: Iterable[str]) -> str:
    """Return a limit with as many decimals as all of these currencies have, more only if it was kept with more."""
    value = parse_decimal(limit)
    assert value is not None, "a limit was read before it came here"
    places = max(value.places, minor_digits(_coarsest(currencies)))
    return format_digits(value.digits * 10 ** (places - value.places), places)


def _coarsest(currencies: Iterable[str]) -> str:
    """Return the currency with the fewest decimals; without any, a usual one."""
    return min(currencies, key=minor_digits, default="")


def _surplus(text: str, currency: str) -> str:
    """Say what is wrong with an amount that has more decimals than its currency, and what to write instead."""
    whole, _, fraction = text.partition(".")
    places = minor_digits(currency)
    has = _COUNTS[len(fraction)] if len(fraction) < len(_COUNTS) else f"{len(fraction)} decimals"
    kept, rest = fraction[:places], fraction[places:]
    advice = [f"{whole}{fraction}"] if len(fraction) == THOUSANDS_GROUP and whole != "0" else []
    if not rest.strip("0"):
        advice.append(f"{whole}.{kept}" if places else whole)
    finest = f"at most {_COUNTS[places]}" if places else "a whole number"
    write = f"write {' or '.join(advice)}" if advice else f"write {finest}"
    more = f", or {finest}" if advice and rest.strip("0") else ""
    return f"{text} has {has}, {currency or 'money'} has {_HAS[places]}: {write}{more}"
