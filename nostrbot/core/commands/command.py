"""Commands as understood: what somebody said, its values read and nothing looked up yet.

What lives here: the two values that parsing comes to, and how much a command may hold. What does not: parsing
(core/parsing.py), the table of commands (core/table.py), what a command does (core/engine.py, reading/).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.commands.specs import CommandSpec

COMMAND_CHARS_MAX = 4096  # a command is a line a person types


LIST_LIMIT_DEFAULT = 20


SPLITS_MAX = 32


@dataclass(frozen=True, slots=True)
class Command:
    """A command as understood: values are read, nothing is looked up yet."""

    spec: CommandSpec
    args: Mapping[str, Any]
    rest: tuple[tuple[str, str], ...] = ()
    json: bool = False
    preview: bool = False

    @property
    def verb(self) -> str:
        """The command's name in the table."""
        return self.spec.verb


@dataclass(frozen=True, slots=True)
class Misunderstood:
    """A text that is not a command, with how its author wants to be answered."""

    refused: CommandRefused
    verb: str
    json: bool
