"""Guards: what holds a settlement until its operator releases it.

What lives here: limits per settlement and per day, the sanity of a rate, and the command that sets them. What does not:
the rules that reject (core/atm/settlements/rules.py) and releasing (core/atm/settlements/worklist.py). docs/protocol.md
sections 3.1 and 6; faults.md row 27. A guard bounds what a stolen machine key can do before a person looks.
"""

from dataclasses import replace
from typing import Any

from nostrbot.core.atm.bounds import DAY_MINOR_MAX
from nostrbot.core.atm.facts import MachineChanged
from nostrbot.core.atm.payloads.sale import FIAT_MINOR_MAX, Sale
from nostrbot.core.atm.prices import is_off, median, rates_that_count
from nostrbot.core.atm.records import Guard, Machine
from nostrbot.core.atm.registry import find_machine
from nostrbot.core.atm.states import Hold, Trust
from nostrbot.core.book import Book
from nostrbot.core.commands.amounts import read_amount
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.local_time import local_day
from nostrbot.core.rules import SOUND
from nostrbot.money import parse_decimal

RATES_WANTED = 3  # fewer settlements than this have no median worth the name

_UNGUARDED = Guard()


def find_hold(book: Book, machine: Machine, sale: Sale, at: int, rules: int) -> Hold | None:
    """Return why a sale that breaks no rule must still wait, or None."""
    if machine.trust is Trust.WALLET:
        return Hold.AWAITING_WALLET
    guard, till = machine.guard, book.tills[machine.handle]
    day_minor = till.booked_minor(local_day(book.tz, at)) + sale.fiat_minor
    if guard == _UNGUARDED:
        return Hold.PER_DAY if rules >= SOUND and day_minor > DAY_MINOR_MAX else None
    if guard.per_settlement_minor is not None and sale.fiat_minor > guard.per_settlement_minor:
        return Hold.PER_SETTLEMENT
    limits = (guard.per_day_minor, DAY_MINOR_MAX if rules >= SOUND else None)
    if any(limit is not None and day_minor > limit for limit in limits):
        return Hold.PER_DAY
    rates = rates_that_count(book, machine.handle, sale.direction, rules)
    if guard.rate_ppm is not None and len(rates) >= RATES_WANTED:
        usual = parse_decimal(median(rates))
        if usual is not None and is_off(sale.price, usual, guard.rate_ppm):
            return Hold.RATE
    return None


def set_guard(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Change the named limits; `off` removes a limit, and without names nothing changes."""
    machine, args = find_machine(book, order.args["machine"]), order.args
    if isinstance(machine, CommandRefused):
        return machine
    changes: dict[str, Any] = {}
    for name in ("per_settlement", "per_day"):
        if name in args:
            amount_minor = read_amount(order, name, machine.fiat) if args[name] else None
            if isinstance(amount_minor, CommandRefused):
                return amount_minor
            if amount_minor is not None and amount_minor > FIAT_MINOR_MAX:
                return CommandRefused(
                    Code.BAD_ARGUMENT, f"{name} must be an amount of {machine.fiat}, like 5000.00, or off"
                )
            changes[f"{name}_minor"] = amount_minor
    if "rate" in args:
        changes["rate_ppm"] = args["rate"]
    guard = replace(machine.guard, **changes)
    if guard == machine.guard:
        return ()
    return (MachineChanged(replace(machine, guard=guard, updated_at=order.at)),)
