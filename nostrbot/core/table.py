"""The table of commands: everything a person can say to the bot.

What lives here: the rows of all desks in the order of help, and what everybody can say. What does not: the desks' rows
(their own folders), what a row is made of (core/commands/specs.py), reading what somebody said (core/parsing.py), what
it does (core/engine.py for what changes a book, reading/ for questions) and the words of its answer
(messages/replies.py). docs/protocol.md section 6.
"""

from collections.abc import Mapping

from nostrbot.core.commands.specs import BY_ANYONE, CommandSpec, Role
from nostrbot.core.desks import DESKS

EVERYBODY: tuple[CommandSpec, ...] = (
    CommandSpec("help", BY_ANYONE, False, "what you can say; `help <command>` says more"),
    CommandSpec("whoami", BY_ANYONE, False, "who the bot thinks you are"),
)


def _first_role(spec: CommandSpec) -> int:
    """Sort the platform's rows first, then operators', then LPs'."""
    return min(list(Role).index(role) for role in spec.roles)


TABLE: tuple[CommandSpec, ...] = (*sorted((spec for desk in DESKS for spec in desk.specs), key=_first_role), *EVERYBODY)

SPECS: Mapping[str, CommandSpec] = {form.verb: form for form in TABLE}
