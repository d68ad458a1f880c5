"""The platform's commands, as the root book and as each operator's book take them.

What lives here: enrolling and switching operators, giving one another key, the platform fee. What does not: which books
a command concerns (runtime/bookkeeper.py) and what the fee comes to (core/atm/settlements/fees.py). Every such command
becomes an entry in each book it concerns, so that an operator's trail stands alone (docs/protocol.md section 1).
Acceptance C1-C4.
"""

from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import Part
from nostrbot.core.facts import Fact
from nostrbot.core.platform.facts import BookOpened, OperatorAdded, OperatorReplaced, OperatorSwitched
from nostrbot.core.platform.roles import find_bar
from nostrbot.core.rules import SOUND


def add_operator(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Add a new operator with a free name to the root book; in the operator's own, empty book: open it."""
    key, handle, tz = order.args["npub"], order.args["name"], order.args.get("tz", "UTC")
    if book.key != ROOT:
        if key != book.key or book.handle:
            return CommandRefused(Code.NOT_ALLOWED, "this is the book of another operator, or is open already")
        return (BookOpened(key, book.platform, handle, tz),)
    if key in book.operator_of_key:
        taken = book.operators[book.operator_of_key[key]].handle
        return CommandRefused(Code.KEY_TAKEN, f"this key is or was the operator {taken}'s")
    barred = find_bar(book, key, Part.OPERATOR) if order.rules >= SOUND else None
    if barred is not None:
        return barred
    if find_operator(book, handle):
        return CommandRefused(Code.NAME_TAKEN, f"there is already an operator {handle}: choose another name")
    return (OperatorAdded(key, handle, tz),)


def switch_operator(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Suspend or resume an operator: its commands and its machines."""
    active = order.verb == "operator resume"
    if book.key != ROOT:
        if order.args["name"] != book.handle:
            return CommandRefused(Code.NOT_ALLOWED, f"this is the book of {book.handle}")
        return () if book.active is active else (OperatorSwitched(book.key, book.handle, active),)
    operator = find_operator(book, order.args["name"])
    if operator is None:
        return CommandRefused(Code.NOT_FOUND, f"there is no operator {order.args['name']}: `operator list` shows them")
    if active is (operator.operator not in book.suspended_operators):
        return ()
    return (OperatorSwitched(operator.operator, operator.handle, active),)


def replace_operator(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Let another key speak for an operator. From this entry on, the old key is a stranger's, whatever the date of its
    events.

    The book keeps its name, which is its operator's first key: trails, receipts and checkpoints go on.
    """
    handle, pubkey = order.args["name"], order.args["npub"]
    if book.key != ROOT:
        if handle != book.handle:
            return CommandRefused(Code.NOT_ALLOWED, f"this is the book of {book.handle}")
        return () if pubkey == book.operator else (OperatorReplaced(book.key, handle, pubkey),)
    operator = find_operator(book, handle)
    if operator is None:
        return CommandRefused(Code.NOT_FOUND, f"there is no operator {handle}: `operator list` shows them")
    if pubkey == book.key_in_force(operator.operator):
        return ()
    if pubkey in book.operator_of_key:
        taken = book.operators[book.operator_of_key[pubkey]].handle
        return CommandRefused(
            Code.KEY_TAKEN, f"this key is or was the operator {taken}'s: its owner must make a new key"
        )
    barred = find_bar(book, pubkey, Part.OPERATOR) if order.rules >= SOUND else None
    if barred is not None:
        return barred
    return (OperatorReplaced(operator.operator, handle, pubkey),)


def find_operator(book: Book, handle: str) -> OperatorAdded | None:
    """Find the operator of that name in the root book."""
    return next((operator for operator in book.operators.values() if operator.handle == handle), None)
