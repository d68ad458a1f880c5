"""Questions: a command that asks, and what an answer may be.

What lives here: the two values that every reader of this room takes and gives. What does not: the readers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nostrbot.core.book import Book
from nostrbot.core.commands import Command
from nostrbot.core.directory import Standing
from nostrbot.core.views import View

Data = View | list[View]


@dataclass(frozen=True, slots=True)
class Question:
    """A command that asks, by whom, and when (unix seconds)."""

    command: Command
    author: str
    standing: Standing
    at: int

    @property
    def args(self) -> Mapping[str, Any]:
        """The command's values."""
        return self.command.args

    def enrolled_in(self, books: Mapping[str, Book]) -> list[tuple[Book, str]]:
        """The books the asking LP is in, with its name there."""
        return [(books[key], books[key].lp_of_key[self.author]) for key in self.standing.lp]
