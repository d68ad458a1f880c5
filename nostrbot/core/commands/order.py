"""Orders: a command that may change a book, with who gave it and when, ready to be decided.

What lives here: the value that core/platform/operators.py, core/atm/registry.py, core/atm/deposits.py and
core/atm/splits.py decide on. What does not: who may give it and whether it is fresh (core/engine.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nostrbot.core.commands.command import Command
from nostrbot.core.rules import RULES
from nostrbot.nostr.sealing import Scheme


@dataclass(frozen=True, slots=True)
class Order:
    """A command by `author` (hex key), accepted `at` (unix seconds on the bot's clock).

    `id`: of the message it came in; `scheme`: of that message; `rules`: the rules number it is decided by; `carried`:
    another book decided it, and this one takes it over.
    """

    command: Command
    author: str
    at: int
    id: str = ""
    scheme: Scheme = Scheme.NIP04
    rules: int = RULES
    carried: bool = False

    @property
    def verb(self) -> str:
        """The command's name."""
        return self.command.verb

    @property
    def args(self) -> Mapping[str, Any]:
        """The command's values."""
        return self.command.args
