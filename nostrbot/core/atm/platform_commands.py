"""The platform's commands about machines, fees and waiting shares: its rows of the ATM desk's table.

What lives here: the rows. What does not: what it can say about operators alone (core/platform/commands.py), the whole
table (core/table.py). docs/protocol.md section 6.
"""

from nostrbot.core.commands import arguments
from nostrbot.core.commands.specs import BY_PLATFORM, FEES, CommandSpec, Part, Scope, place
from nostrbot.core.rules import SOUND

PLATFORM_SPECS: tuple[CommandSpec, ...] = (
    CommandSpec(
        "operator replace",
        BY_PLATFORM,
        True,
        "let another key speak for an operator; from now on the old key is a stranger's",
        (place("name", arguments.handle), place("npub", arguments.public_key)),
        example="operator replace antigua npub1…",
        protects=True,
        scope=Scope.NAMED,
        gives=Part.OPERATOR,
        enrols=True,
    ),
    CommandSpec(
        "machine free",
        BY_PLATFORM,
        True,
        "take a machine's key from whoever enrolled it, so that its owner can",
        (place("npub", arguments.public_key),),
        example="machine free npub1…",
        protects=True,
        scope=Scope.HOLDER,
        enrols=True,
        since_rules=SOUND,
    ),
    CommandSpec(
        "platform fee",
        BY_PLATFORM,
        True,
        "set the platform's fee on the principal, by direction",
        FEES,
        example="platform fee cash_in=1% cash_out=1.5%",
        scope=Scope.EVERY,
        may_be_carried=True,
    ),
    CommandSpec("platform status", BY_PLATFORM, False, "the platform's fee, and how many operators there are"),
)
