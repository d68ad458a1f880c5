"""Deposits: an LP's cash on its way into a machine, and back.

What lives here: the commands that add, edit, confirm, cancel and reverse one. What does not: how cash turns into sats
(core/atm/settlements/dca.py). docs/protocol.md section 6; acceptance D1-D9, L5. A confirmed deposit is never
un-confirmed: it is reversed, by a new fact with its own postings.
"""

from dataclasses import replace

from nostrbot.core.atm.facts import DepositChanged
from nostrbot.core.atm.records import Deposit, Reversal
from nostrbot.core.atm.registry import find_lp, find_machine
from nostrbot.core.atm.states import DEPOSIT_MOVES, DepositStatus
from nostrbot.core.book import Book
from nostrbot.core.commands.amounts import read_amount
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact
from nostrbot.core.rules import SOUND
from nostrbot.money import format_minor

REVERSALS_MAX = 100  # of one deposit, in parts: each of its entries has all of them
DEPOSIT_MINOR_MAX = 10**15  # more than any machine holds


def add_deposit(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Note cash to come. Refused until the LP has joined; the currency is the machine's, whatever the command says
    (D2).
    """
    args = order.args
    lp, machine = find_lp(book, args["lp"]), find_machine(book, args["machine"])
    if isinstance(lp, CommandRefused):
        return lp
    if isinstance(machine, CommandRefused):
        return machine
    if machine.handle not in lp.seats:
        return CommandRefused(
            Code.NOT_FOUND, f"{lp.handle} is not enrolled at {machine.handle}: `lp add … machine={machine.handle}`"
        )
    if lp.preferences is None:
        return CommandRefused(
            Code.LP_NOT_ONBOARDED, f"{lp.handle} has not joined yet: ask them to send `join` to this bot"
        )
    amount_minor = _read_amount(order, machine.fiat)
    if isinstance(amount_minor, CommandRefused):
        return amount_minor
    deposit = Deposit(
        number=len(book.deposits) + 1,
        lp=lp.handle,
        machine=machine.handle,
        amount_minor=amount_minor,
        currency=machine.fiat,
        status=DepositStatus.PENDING,
        note=args.get("note", ""),
        created_at=order.at,
        confirmed_at=None,
    )
    return (DepositChanged(deposit, "", 0),)


def edit_deposit(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Change amount or note while the deposit is pending."""
    deposit = _find_pending(book, order)
    if isinstance(deposit, CommandRefused):
        return deposit
    amount_minor = deposit.amount_minor
    if "amount" in order.args:
        read = _read_amount(order, deposit.currency)
        if isinstance(read, CommandRefused):
            return read
        amount_minor = read
    edited = replace(deposit, amount_minor=amount_minor, note=order.args.get("note", deposit.note))
    return () if edited == deposit else (DepositChanged(edited, "", 0),)


def confirm_deposit(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Confirm that the cash is in the machine: from now on it counts."""
    deposit = _find_movable(book, order, DepositStatus.CONFIRMED)
    if isinstance(deposit, CommandRefused):
        return deposit
    return (DepositChanged(replace(deposit, status=DepositStatus.CONFIRMED, confirmed_at=order.at), "", 0),)


def cancel_deposit(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Drop a pending deposit; its number stays."""
    deposit = _find_movable(book, order, DepositStatus.CANCELLED)
    if isinstance(deposit, CommandRefused):
        return deposit
    return (DepositChanged(replace(deposit, status=DepositStatus.CANCELLED), "", 0),)


def reverse_deposit(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Take a confirmed deposit back out of the machine, whole or `amount=` of it, but never what is already spent."""
    deposit = _find_movable(book, order, DepositStatus.REVERSED)
    if isinstance(deposit, CommandRefused):
        return deposit
    left_minor = deposit.amount_minor - deposit.reversed_minor
    returned_minor = left_minor
    if "amount" in order.args:
        read = _read_amount(order, deposit.currency)
        if isinstance(read, CommandRefused):
            return read
        returned_minor = read
    unspent_minor = min(left_minor, book.lps[deposit.lp].seats[deposit.machine].remaining_minor)
    if returned_minor > unspent_minor:
        unspent = format_minor(unspent_minor, deposit.currency)
        hint = f": add amount={unspent} to take that much back" if unspent_minor else ""
        return CommandRefused(
            Code.DEPOSIT_SPENT, f"only {unspent} {deposit.currency} of d{deposit.number} is unspent{hint}"
        )
    if order.rules >= SOUND and returned_minor < left_minor and len(deposit.reversals) >= REVERSALS_MAX:
        return CommandRefused(
            Code.TOO_MANY,
            f"d{deposit.number} was taken back in parts {REVERSALS_MAX} times: take back the whole rest, or take back "
            "another deposit",
        )
    status = DepositStatus.REVERSED if returned_minor == left_minor else deposit.status
    after = replace(deposit, status=status, reversals=(*deposit.reversals, Reversal(order.at, returned_minor)))
    return (DepositChanged(after, order.args["reason"], returned_minor),)


def _find(book: Book, order: Order) -> Deposit | CommandRefused:
    number = order.args["deposit"]
    return book.deposits.get(number) or CommandRefused(
        Code.NOT_FOUND, f"there is no deposit d{number}: `deposit list` shows yours"
    )


def _find_pending(book: Book, order: Order) -> Deposit | CommandRefused:
    deposit = _find(book, order)
    if isinstance(deposit, Deposit) and deposit.status is not DepositStatus.PENDING:
        return _wrong_status(deposit)
    return deposit


def _find_movable(book: Book, order: Order, to: DepositStatus) -> Deposit | CommandRefused:
    deposit = _find(book, order)
    if isinstance(deposit, Deposit) and to not in DEPOSIT_MOVES[deposit.status]:
        return _wrong_status(deposit)
    return deposit


_NEXT = {
    DepositStatus.PENDING: "confirm it first, or cancel it",
    DepositStatus.CONFIRMED: "only `deposit reverse` can take it back",
    DepositStatus.CANCELLED: "add a new one",
    DepositStatus.REVERSED: "add a new one",
}


def _wrong_status(deposit: Deposit) -> CommandRefused:
    return CommandRefused(Code.WRONG_STATUS, f"d{deposit.number} is {deposit.status}: {_NEXT[deposit.status]}")


def _read_amount(order: Order, currency: str) -> int | CommandRefused:
    amount_minor = read_amount(order, "amount", currency)
    if isinstance(amount_minor, int) and amount_minor > DEPOSIT_MINOR_MAX:
        return CommandRefused(Code.BAD_ARGUMENT, "amount is more than a machine can hold")
    return amount_minor
