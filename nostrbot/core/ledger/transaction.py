"""Postings and transactions: a transaction that does not balance cannot be constructed.

What lives here: the two values. What does not: where they are accumulated (balances.py) and why they are made
(core/atm/booking.py).
"""

from dataclasses import dataclass

from nostrbot.errors import BooksError

# One leg of a transaction: (account, unit, amount), debit positive, credit negative, in whole sats or fiat minor units.
# A bare tuple: a settlement has dozens, and this is how the journal writes them too.
Posting = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Transaction:
    """A set of postings whose sum is zero in every unit, checked at birth.

    Raises BooksError if it does not balance: that is never input's fault, it is ours.
    """

    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        sums: dict[str, int] = {}
        for _, unit, amount in self.postings:
            sums[unit] = sums.get(unit, 0) + amount
        off = {unit: amount for unit, amount in sums.items() if amount}
        if off:
            raise BooksError(f"unbalanced: debits and credits differ by {off}")
