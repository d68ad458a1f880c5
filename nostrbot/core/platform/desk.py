"""The platform desk: operators, and the bot's own keys and time.

What lives here: what it brings to every book, in one place. What does not: what each part does (the modules beside
this).
"""

from nostrbot.core.desk import Desk
from nostrbot.core.platform import bot_keys, operators
from nostrbot.core.platform.commands import PLATFORM_SPECS
from nostrbot.core.platform.evolution import EVOLUTION
from nostrbot.nostr import kinds

PLATFORM = Desk(
    name="platform",
    specs=PLATFORM_SPECS,
    deciders={
        "operator add": operators.add_operator,
        "operator suspend": operators.switch_operator,
        "operator resume": operators.switch_operator,
    },
    hearers={kinds.APP_DATA: bot_keys.decide_succession},
    evolution=EVOLUTION,
)
