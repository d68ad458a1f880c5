"""The desk of payouts: sats that leave.

What lives here: what it brings to every book, in one place. What does not: what each part does (the modules beside this).

Nobody can ask for a payout yet: there is no rail that could pay one. The rows of its commands (commands.py) and their deciders
(requests.py) are complete, and no part of this desk, so that neither the bot nor an auditor takes such a command from anybody.
Tests lay them into the tables of commands (tests/payouts.py) and send true messages, so that their trails verify like any other.
"""

from nostrbot.core.desk import Desk
from nostrbot.core.payouts.booking import BOOKING
from nostrbot.core.payouts.due import decide_due
from nostrbot.core.payouts.evolution import EVOLUTION
from nostrbot.core.payouts.observations import OBSERVERS
from nostrbot.core.payouts.owners import check_payouts

PAYOUTS = Desk(
    name="payouts",
    specs=(),
    deciders={},
    observers=OBSERVERS,
    due=decide_due,
    evolution=EVOLUTION,
    booking=BOOKING,
    check=check_payouts,
)
