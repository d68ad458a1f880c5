"""Own sats: paying for an LP's cash out of what is the operator's.

What lives here: how many sats it is worth, and `settle`, by which an operator pays an LP when it likes. What does not:
the price (core/atm/prices.py), paying at times of day (core/atm/fixed.py) and sharing out a sale
(core/atm/settlements/dca.py). docs/protocol.md sections 5 and 6; acceptance X14.
"""

from nostrbot.core.atm.facts import LpPaid
from nostrbot.core.atm.prices import price_in_force
from nostrbot.core.atm.records import Machine
from nostrbot.core.atm.registry import find_lp, find_machine
from nostrbot.core.atm.settlements.facts import Leg
from nostrbot.core.atm.states import LegStatus, LegType
from nostrbot.core.book import Book
from nostrbot.core.commands.amounts import read_amount
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import Part
from nostrbot.core.facts import Fact
from nostrbot.core.platform.roles import bot_keys, taken
from nostrbot.core.rules import SOUND
from nostrbot.money import format_minor, minor_digits, parse_decimal


def sats_for(fiat_minor: int, currency: str, rate: str) -> int:
    """Return how many whole sats an amount of fiat buys at a rate; a fraction of a sat stays the operator's."""
    price = parse_decimal(rate)
    assert price is not None, "a rate was read before it came here"
    return int(fiat_minor * price.digits // 10 ** (minor_digits(currency) + price.places))


def settle_lp(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Pay for some of an LP's cash in a machine; the cash becomes the operator's. The LP need take no part in sales."""
    lp, machine = find_lp(book, order.args["lp"]), find_machine(book, order.args["machine"])
    if isinstance(lp, CommandRefused):
        return lp
    if isinstance(machine, CommandRefused):
        return machine
    if order.rules >= SOUND and lp.pubkey in bot_keys(book):
        return taken(Part.BOT)
    name, currency, seat = machine.handle, machine.fiat, lp.seats.get(machine.handle)
    if seat is None:
        return CommandRefused(
            Code.NOT_FOUND, f"{lp.handle} is not enrolled at {name}: `lp show {lp.handle}` shows where"
        )
    fiat_minor, before_minor = read_amount(order, "fiat", currency), seat.remaining_minor
    if isinstance(fiat_minor, CommandRefused):
        return fiat_minor
    if fiat_minor > before_minor:
        left = format_minor(before_minor, currency)
        return CommandRefused(
            Code.NOT_ENOUGH_CASH, f"{lp.handle} has {left} {currency} left at {name}: settle at most that"
        )
    rate = order.args.get("rate") or _find_price(book, machine, order.rules)
    if isinstance(rate, CommandRefused):
        return rate
    sats, own_sats = sats_for(fiat_minor, currency, rate), book.free_sats()
    if sats == 0:
        amount = format_minor(fiat_minor, currency)
        return CommandRefused(Code.BAD_ARGUMENT, f"{amount} {currency} buys no sat at {rate}: settle more")
    if sats > own_sats:
        frozen = f" and {book.own_frozen_sats()} that are frozen" if book.own_frozen_sats() else ""
        return CommandRefused(
            Code.NOT_ENOUGH_SATS,
            f"that takes {sats} sats and you have {own_sats} of your own{frozen}: settle less, or wait",
        )
    leg = Leg(
        number=book.leg_count + 1,
        type=LegType.SETTLEMENT,
        lp=lp.handle,
        label=None,
        pubkey=None,
        sats=sats,
        fiat_minor=fiat_minor,
        status=LegStatus.COMPLETED,
        reason=None,
        before_minor=before_minor,
        after_minor=before_minor - fiat_minor,
    )
    return (LpPaid(name, currency, rate, None, (leg,)),)


def _find_price(book: Book, machine: Machine, rules: int) -> str | CommandRefused:
    """Return the price where the operator names none: a price that no single report set."""
    name, price = machine.handle, price_in_force(book, machine.handle, rules)
    if price is None:
        return CommandRefused(
            Code.NO_PRICE, f"{name} has no settled sale that gives a price: add rate=<sats per {machine.fiat}>"
        )
    if not price.is_settled:
        return CommandRefused(
            Code.PRICE_UNSETTLED,
            f"the newest rate of {name}, {price.newest} sats per {machine.fiat}, is far off the usual {price.usual}: "
            "name "
            f"the price yourself, rate=<sats per {machine.fiat}>; if that sale is false, settlement refund it",
        )
    return price.usual
