"""Balances: the ledger folded from transactions, in memory.

What lives here: the running sums and the refusal to overdraw an LP. What does not: the postings themselves (they are
sealed in the journal) and their copies in the database (store/).
"""

from collections.abc import Iterable, Mapping

from nostrbot.core.ledger.accounts import may_not_be_overdrawn
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.errors import BooksError

AccountUnit = tuple[str, str]


class Balances:
    """Sums per (account, unit). A transaction is applied whole or not at all."""

    __slots__ = ("_sums",)

    def __init__(self, sums: Mapping[AccountUnit, int] | None = None) -> None:
        self._sums: dict[AccountUnit, int] = dict(sums or {})

    def of(self, account: str, unit: str) -> int:
        """Return the balance of an account in a unit; zero if it was never touched."""
        return self._sums.get((account, unit), 0)

    def items(self) -> Iterable[tuple[AccountUnit, int]]:
        """Return every touched (account, unit) with its balance."""
        return self._sums.items()

    def apply(self, transaction: Transaction) -> None:
        """Add a transaction. Raises BooksError, changing nothing, when it would overdraw an LP."""
        sums = self._sums
        changed: dict[AccountUnit, int] = {}
        for account, unit, amount in transaction.postings:
            key = (account, unit)
            was = changed.get(key)
            changed[key] = amount + (sums.get(key, 0) if was is None else was)
        for (account, unit), balance in changed.items():
            if balance > 0 and may_not_be_overdrawn(account):
                raise BooksError(f"{account} would be overdrawn by {balance} {unit}")
        sums.update(changed)

    def trial(self) -> dict[str, int]:
        """Return the sum over all accounts per unit: zero everywhere, or the books are broken."""
        totals: dict[str, int] = {}
        for (_, unit), amount in self._sums.items():
            totals[unit] = totals.get(unit, 0) + amount
        return totals
