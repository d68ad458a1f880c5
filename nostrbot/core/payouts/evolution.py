"""Evolution by payouts: how a book changes with sats on their way out.

What lives here: one function a fact, and the table of them. What does not: which accounts a fact moves (booking.py beside
this), what is so (observations.py, requests.py, due.py).
"""

from collections.abc import Mapping
from typing import get_args

from nostrbot.core.book import Book
from nostrbot.core.desk import Evolver, Place
from nostrbot.core.payouts.facts import OutcomeContradicted, PayoutChange, PayoutsPaused, PayoutsResumed


def _changed(fact: PayoutChange, book: Book, place: Place) -> None:
    book.payouts.note(fact.payout)


def _contradicted(fact: OutcomeContradicted, book: Book, place: Place) -> None:
    """Nothing changes: the entry is there so that somebody looks."""


def _paused(fact: PayoutsPaused, book: Book, place: Place) -> None:
    book.payouts.is_paused = True


def _resumed(fact: PayoutsResumed, book: Book, place: Place) -> None:
    book.payouts.is_paused = False


EVOLUTION: Mapping[type, Evolver] = {
    **dict.fromkeys(get_args(PayoutChange), _changed),
    OutcomeContradicted: _contradicted,
    PayoutsPaused: _paused,
    PayoutsResumed: _resumed,
}
