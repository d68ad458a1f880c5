"""Prices: what a machine's own sales say a unit of fiat is worth, so that no single report sets a price.

What lives here: the median of a machine's recent rates, how far a rate is off it, and whether it can be relied on just
now. What does not: what is paid by it (core/atm/own_sats.py, core/atm/fixed.py), what a guard holds
(core/atm/settlements/guards.py), and which rates are kept (core/atm/till.py). docs/protocol.md section 5; review A3.
Exact: nothing is divided, there is no float.
"""

from typing import NamedTuple

from nostrbot.core.atm.states import Direction
from nostrbot.core.book import Book
from nostrbot.core.rules import SOUND
from nostrbot.money import PPM, Decimal, format_ppm, parse_decimal

RATE_OFF_PPM = 100_000  # how far the newest rate may be off the median, where the machine's guard does not say
PAIR = 2  # two rates make no median worth the name: they must agree


class Price(NamedTuple):
    """A machine's price, in sats per unit of fiat.

    Attributes:
        usual: the median of its recent rates, of two the lower; sats are paid by it. If two rates disagree, it is the
            earlier one.
        newest: the rate it booked last.
        is_settled: the newest is near the usual one. If not, nothing is paid until a person or further sales settle it.
    """

    usual: str
    newest: str
    is_settled: bool


def price_in_force(book: Book, machine: str, rules: int) -> Price | None:
    """Return the price of a machine's cash-outs; None before the first that counts."""
    if rules < SOUND:
        rate = book.tills[machine].last_rate
        return Price(rate, rate, is_settled=True) if rate else None
    rates = rates_that_count(book, machine, Direction.CASH_OUT, rules)
    if not rates:
        return None
    newest = rates[-1]
    usual = rates[0] if len(rates) == PAIR else median(rates)  # the lower of two may be the newest itself
    is_near = not is_off(_read(newest), _read(usual), band_ppm(book, machine))
    return Price(median(rates) if is_near else usual, newest, is_near)


def rates_that_count(book: Book, machine: str, direction: Direction, rules: int) -> list[str]:
    """Return a machine's recent rates in a direction, oldest first, without those of frozen settlements."""
    rates = book.tills[machine].rates.get(direction, [])
    return [rate.text for rate in rates if rules < SOUND or rate.settlement not in book.frozen]


def band_ppm(book: Book, machine: str) -> int:
    """Return how far a rate of this machine may be off the usual one: its guard's `rate`, or 10 %."""
    guarded_ppm = book.machines[machine].guard.rate_ppm
    return RATE_OFF_PPM if guarded_ppm is None else guarded_ppm


def median(rates: list[str]) -> str:
    """Return the median of these rates; of an even number of them the lower of the middle two."""
    places = max(_read(rate).places for rate in rates)
    in_order = sorted(rates, key=lambda rate: _read(rate).digits * 10 ** (places - _read(rate).places))
    return in_order[(len(in_order) - 1) // 2]


def is_off(rate: Decimal, usual: Decimal, ppm: int) -> bool:
    """Return whether a rate differs from the usual one by more than `ppm` of it."""
    mine, theirs = rate.digits * int(10**usual.places), usual.digits * int(10**rate.places)
    return abs(mine - theirs) * PPM > ppm * abs(theirs)


def off_pct(book: Book, machine: str, rate: str, rules: int) -> str | None:
    """Return how far a rate is off a machine's usual one, like `-12.5%`; None while that is near, or there is none."""
    price = price_in_force(book, machine, rules)
    return None if price is None else _off_pct(rate, price.usual, band_ppm(book, machine))


def sale_off_pct(book: Book, machine: str, direction: Direction, rate: str, rules: int) -> str | None:
    """Return the same of a sale in its own direction: cash-ins are dearer, and price nothing."""
    if direction is Direction.CASH_OUT:
        return off_pct(book, machine, rate, rules)
    rates = rates_that_count(book, machine, direction, rules)
    return _off_pct(rate, median(rates), band_ppm(book, machine)) if rates else None


def _off_pct(rate: str, usual_rate: str, ppm: int) -> str | None:
    mine, theirs = _read(rate), _read(usual_rate)
    if not is_off(mine, theirs, ppm):
        return None
    ours, usual = mine.digits * int(10**theirs.places), theirs.digits * int(10**mine.places)
    return f"{'-' if ours < usual else '+'}{format_ppm(abs(ours - usual) * PPM // usual)}"


def _read(rate: str) -> Decimal:
    read = parse_decimal(rate)
    assert read is not None, "a rate was read before it came here"
    return read
