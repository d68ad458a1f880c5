"""Settlements settled outside: a sale the machine never reported, or reported as failed, booked by its operator's word.

What lives here: `settlement add`. What does not: sales that machines report (core/atm/settlements/rules.py); the legs
and the booking are the same. docs/protocol.md section 6; acceptance S23. The operator's signed command is the source:
the entry holds it where other settlements have the machine's event.
"""

from dataclasses import replace

from nostrbot.core.atm.own_sats import sats_for
from nostrbot.core.atm.payloads.sale import FIAT_MINOR_MAX, Sale
from nostrbot.core.atm.records import Machine
from nostrbot.core.atm.registry import find_machine
from nostrbot.core.atm.settlements.facts import SettlementNoted, SettlementProcessed
from nostrbot.core.atm.settlements.payment_hashes import is_taken, share_hash
from nostrbot.core.atm.settlements.rules import check_fees, find_broken_amount, share_out
from nostrbot.core.atm.states import Direction
from nostrbot.core.book import Book
from nostrbot.core.commands.amounts import read_amount
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.money import DECIMALS_MAX, Decimal, parse_decimal, unit_minor

RATE_PLACES = 8  # decimals of a rate that is worked out from sats and fiat


def add_settlement(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Book a sale on the operator's word. The command's id is its event, and its payment hash if none is given."""
    machine = find_machine(book, order.args["machine"])
    if isinstance(machine, CommandRefused):
        return machine
    sale = _read_sale(book, machine, order)
    if isinstance(sale, CommandRefused):
        return sale
    if is_taken(book, machine.handle, sale, order.rules):
        number = max(book.recall.payments[sale.payment_hash])
        return CommandRefused(
            Code.ALREADY_BOOKED, f"this payment hash belongs to s{number} already: settlement show s{number}"
        )
    broken = find_broken_amount(book, machine, sale, order.rules)
    if broken is not None:
        return CommandRefused(
            Code.BAD_ARGUMENT,
            f"the amounts do not hold together ({broken}): wire_sats must be principal_sats plus fee_sats, and "
            "fiat_amount times exchange_rate must be principal_sats",
        )
    fees = check_fees(book, machine, sale)
    number = book.settlement_count + 1
    legs = share_out(book, machine.handle, sale, fees.platform_sats, order.rules)
    born = SettlementProcessed(
        number, machine.handle, order.id, sale, fees.platform_sats, fees.operator_sats, fees.mismatch_sats, legs
    )
    note = order.args.get("note", "")
    noted = (SettlementNoted(number, order.author, note),) if note else ()
    return (born, *noted, *share_hash(book, number, machine.handle, sale, order.rules))


def _read_sale(book: Book, machine: Machine, order: Order) -> Sale | CommandRefused:
    args, direction = order.args, order.args.get("tx_type", Direction.CASH_OUT)
    fiat_minor = read_amount(order, "fiat_amount", machine.fiat)
    if isinstance(fiat_minor, CommandRefused):
        return fiat_minor
    if fiat_minor > FIAT_MINOR_MAX:
        return CommandRefused(Code.BAD_ARGUMENT, f"fiat_amount must be an amount of {machine.fiat}, like 2000.00")
    priced = _read_price(order, machine, fiat_minor)
    if isinstance(priced, CommandRefused):
        return priced
    principal_sats, rate = priced
    sale = Sale(
        machine=machine.pubkey,
        n=None,
        txid=args.get("txid", ""),
        payment_hash=args.get("payment_hash", order.id),
        preimage=None,
        direction=direction,
        wire_sats=0,
        principal_sats=principal_sats,
        fee_sats=0,
        fiat_minor=fiat_minor,
        currency=machine.fiat,
        rate=rate,
        bills=(),
        cassettes=(),
        occurred_at=args.get("occurred_at", order.at),
    )
    due = check_fees(book, machine, sale)
    fee_sats = args.get("fee_sats", due.platform_sats + due.operator_sats)
    wire_sats = principal_sats + (fee_sats if direction is Direction.CASH_OUT else -fee_sats)
    return replace(sale, fee_sats=fee_sats, wire_sats=args.get("wire_sats", wire_sats))


def _read_price(order: Order, machine: Machine, fiat_minor: int) -> tuple[int, str] | CommandRefused:
    """Return the principal in sats and the rate: each follows from the other."""
    sats, text = order.args.get("principal_sats"), order.args.get("exchange_rate")
    if text is not None:
        price = parse_decimal(text)
        assert price is not None, "it was read as an amount"
        if sats is None:
            sats = sats_for(fiat_minor, machine.fiat, text)
        return sats, str(price)
    if sats is None:
        return CommandRefused(Code.MISSING_ARGUMENT, "say principal_sats=<sats> or exchange_rate=<sats per unit>")
    assert RATE_PLACES <= DECIMALS_MAX
    worked_out = parse_decimal(
        str(Decimal(sats * unit_minor(machine.fiat) * 10**RATE_PLACES // fiat_minor, RATE_PLACES))
    )
    return sats, str(worked_out)
