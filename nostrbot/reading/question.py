"""Questions: a command that asks, and who asks it.

What lives here: what every reader of this room takes, and a refusal that several of them give. What does not: the
readers, and what an answer may be (messages/replies.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from nostrbot.core.atm.records import Split
from nostrbot.core.book import Book
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.directory import Standing
from nostrbot.core.plain import View

NOT_THERE = CommandRefused(Code.NOT_FOUND, "you are not at that machine: `balance` shows where you are")


class Begun(NamedTuple):
    """An answer of which a part is there: what a preview of splits comes to, and the set it is about."""

    view: View
    splits: tuple[Split, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A command that asks, its author, and its time (unix seconds). `begun`: of a preview that looks back."""

    command: Command
    author: str
    standing: Standing
    at: int
    begun: Begun | None = None

    @property
    def args(self) -> Mapping[str, Any]:
        """The command's values."""
        return self.command.args

    def own_book(self, books: Mapping[str, Book]) -> Book:
        """Return the book of the asking operator."""
        assert self.standing.operator is not None, "only an operator gets here"
        return books[self.standing.operator]

    def enrolled_in(self, books: Mapping[str, Book]) -> list[tuple[Book, str]]:
        """Return the books the asking LP is in, with its name there."""
        return [(books[key], books[key].lp_of_key[self.author]) for key in self.standing.lp]
