"""The platform's commands about operators: its rows of the table of commands.

What lives here: the rows. What does not: what it can say about machines, fees and shares
(core/atm/platform_commands.py), the whole table (core/table.py). docs/protocol.md section 6.
"""

from nostrbot.core.commands import arguments
from nostrbot.core.commands.specs import BEFORE, BY_PLATFORM, LIMIT, CommandSpec, Part, Scope, may, must, place

PLATFORM_SPECS: tuple[CommandSpec, ...] = (
    CommandSpec(
        "operator add",
        BY_PLATFORM,
        True,
        "enrol an operator; it gets its own book",
        (
            place("npub", arguments.public_key),
            must("name", arguments.handle, "<name>"),
            may("tz", arguments.time_zone, "<IANA zone>"),
        ),
        example="operator add npub1… name=antigua tz=America/Guatemala",
        scope=Scope.OPENED,
        gives=Part.OPERATOR,
        enrols=True,
    ),
    CommandSpec("operator list", BY_PLATFORM, False, "the operators, newest first", (LIMIT, BEFORE)),
    CommandSpec(
        "operator suspend",
        BY_PLATFORM,
        True,
        "stop an operator's commands and machines",
        (place("name", arguments.handle),),
        protects=True,
        scope=Scope.NAMED,
    ),
    CommandSpec(
        "operator resume",
        BY_PLATFORM,
        True,
        "let a suspended operator go on",
        (place("name", arguments.handle),),
        scope=Scope.NAMED,
    ),
)
