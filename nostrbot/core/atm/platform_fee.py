"""The platform's fee: its share of what machines charge, set by the platform for every book.

What lives here: the command that sets it. What does not: sharing a fee (core/atm/settlements/fees.py).
"""

from nostrbot.core.atm.facts import PlatformFeeSet
from nostrbot.core.atm.registry import fees_for
from nostrbot.core.book import Book
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.facts import Fact


def set_platform_fee(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Set the platform's fee by direction, in every book alike; each machine is told what it is to charge now."""
    fee = PlatformFeeSet(order.args["cash_in"], order.args["cash_out"])
    if (fee.cash_in_ppm, fee.cash_out_ppm) == (book.cash_in_ppm, book.cash_out_ppm):
        return ()
    told = (
        fees_for(book, machine, order.at, fee) for machine in book.machines.values() if machine.pubkey not in book.freed
    )
    return (fee, *told)
