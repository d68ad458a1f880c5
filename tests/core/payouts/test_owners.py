"""Owners: what is held must be what open payouts hold, and each attempt one of its own."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from nostrbot.core.book import Book
from nostrbot.core.desks import check_books
from nostrbot.errors import BooksError
from tests.payouts import house_that_owes, sending, withdraw


def forget_one(book: Book) -> None:
    book.payouts.open.pop(1)


def ask_for_less(book: Book) -> None:
    book.payouts.open[1] = replace(book.payouts.open[1], sats=1)


def use_an_attempt_twice(book: Book) -> None:
    one, other = book.payouts.open.values()
    book.payouts.open[2] = replace(other, attempts=one.attempts)


def open_two_attempts(book: Book) -> None:
    payout = book.payouts.open[1]
    again = replace(payout.attempts[0], number=2, attempt_id="ff" * 32)
    book.payouts.open[1] = replace(payout, attempts=(*payout.attempts, again))


@pytest.mark.parametrize("spoil", [forget_one, ask_for_less, use_an_attempt_twice, open_two_attempts])
def test_a_book_that_is_not_as_promised_is_found(spoil: Callable[[Book], None]) -> None:
    """At a start, and by an auditor at the end of a trail."""
    house = house_that_owes()
    sending(house, withdraw(house))
    withdraw(house)
    check_books(house.book)
    spoil(house.book)
    with pytest.raises(BooksError):
        check_books(house.book)
