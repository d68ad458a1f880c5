"""The directory: who is who across all books, so that what arrives finds its book.

What lives here: look-ups over the registries of all books. What does not: the registries (core/book.py) and what a role
may do (core/engine.py). A machine's key belongs to one operator only, or its settlements would have two books.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.specs import Role


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of one key: its own book if it is an operator, the book of its machine, the books it is an LP in."""

    platform: bool
    operator: str | None
    machine: str | None
    lp: tuple[str, ...]

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles that may send commands, the platform first."""
        have = ((self.platform, Role.PLATFORM), (self.operator, Role.OPERATOR), (self.lp, Role.LP))
        return tuple(role for is_one, role in have if is_one)

    @property
    def book(self) -> str:
        """The book that what this key says is about first, as far as that follows from the key alone."""
        return self.machine or self.operator or next(iter(self.lp), ROOT)


class Directory:
    """An index over the books' registries; made again when one of them changes."""

    def __init__(self, books: Iterable[Book]) -> None:
        self._platform = ""
        self._operators: dict[str, str] = {}
        self._machines: dict[str, str] = {}
        self._lps: dict[str, tuple[str, ...]] = {}
        self._freed: dict[str, tuple[str, ...]] = {}
        for book in books:
            self._platform = book.platform
            if book.key == ROOT:
                continue
            self._operators[book.operator] = book.key
            for pubkey in book.machine_of_key:
                if pubkey in book.freed:
                    self._freed[pubkey] = (*self._freed.get(pubkey, ()), book.key)
                else:
                    self._machines[pubkey] = book.key
            for pubkey in book.lp_of_key:
                self._lps[pubkey] = (*self._lps.get(pubkey, ()), book.key)

    def standing(self, pubkey: str) -> Standing:
        """Return everything a key is."""
        return Standing(
            platform=pubkey == self._platform,
            operator=self._operators.get(pubkey),
            machine=self._machines.get(pubkey) or next(reversed(self.freed_from(pubkey)), None),
            lp=self._lps.get(pubkey, ()),
        )

    @property
    def people(self) -> frozenset[str]:
        """The keys of the platform, the operators and the LPs."""
        return frozenset({self._platform, *self._operators, *self._lps})

    @property
    def machines(self) -> frozenset[str]:
        """Every machine's key, also of suspended ones and of those that were freed: they are answered."""
        return frozenset({*self._machines, *self._freed})

    def holder(self, pubkey: str) -> str | None:
        """Return the book that a machine's key is enrolled in; None if it is in none, or was freed."""
        return self._machines.get(pubkey)

    def freed_from(self, pubkey: str) -> tuple[str, ...]:
        """Return the books that the platform took a machine's key from."""
        return self._freed.get(pubkey, ())
