"""Evolution by the platform: how a book changes with its operators, the bot's keys and its time.

What lives here: one function a fact, and the table of them. What does not: what is so (operators.py, succession.py).
"""

from collections.abc import Mapping

from nostrbot.core.book import ROOT, Book
from nostrbot.core.desk import Evolver, Place
from nostrbot.core.local_time import local_day
from nostrbot.core.platform.facts import (
    BookOpened,
    BotRotated,
    ClockSetRight,
    OperatorAdded,
    OperatorReplaced,
    OperatorSwitched,
    PredecessorNamed,
)


def _operator_added(fact: OperatorAdded, book: Book, place: Place) -> None:
    book.operators[fact.operator] = fact
    book.operator_of_key[fact.operator] = fact.operator


def _operator_switched(fact: OperatorSwitched, book: Book, place: Place) -> None:
    if book.key == ROOT:
        (book.suspended_operators.discard if fact.active else book.suspended_operators.add)(fact.operator)
    else:
        book.active = fact.active


def _operator_replaced(fact: OperatorReplaced, book: Book, place: Place) -> None:
    if book.key == ROOT:
        book.operator_of_key[fact.pubkey] = fact.operator  # a key that was replaced stays known: it is never free again
    else:
        book.former_operators.append(book.operator)
        book.operator = fact.pubkey


def _bot_rotated(fact: BotRotated, book: Book, place: Place) -> None:
    if not book.rotations:
        book.first_bot = fact.old  # a book that is loaded does not know it before
    book.rotations.append(place.seq)
    book.former_bots.append(fact.old)
    book.bot = fact.new


def _predecessor_named(fact: PredecessorNamed, book: Book, place: Place) -> None:
    book.former_bots.append(fact.old)


def _book_opened(fact: BookOpened, book: Book, place: Place) -> None:
    book.handle, book.tz, book.opened_at = fact.handle, fact.tz, place.at


def _clock_set_right(fact: ClockSetRight, book: Book, place: Place) -> None:
    """Move what was noted ahead of the true time to now: else it would be in force until that time comes.

    Slots of the local day that it is now count as kept: whether they were is no longer known, and none is paid twice.
    """
    now, today = fact.now, local_day(book.tz, fact.now)
    book.opened_at = min(book.opened_at, now)
    if book.fixed_day > today:
        book.fixed_day, book.fixed_slots = today, set(book.fixed_plan.slots)
    for till in book.tills.values():
        till.set_back(now, today)
    book.payouts.set_back(now)


EVOLUTION: Mapping[type, Evolver] = {
    OperatorAdded: _operator_added,
    OperatorSwitched: _operator_switched,
    OperatorReplaced: _operator_replaced,
    BotRotated: _bot_rotated,
    PredecessorNamed: _predecessor_named,
    BookOpened: _book_opened,
    ClockSetRight: _clock_set_right,
}
