"""Commands of payouts: their rows, as the table of commands will have them.

What lives here: the rows and how their arguments are read. What does not: what they do (requests.py beside this). They are in
no table until there is a rail: see desk.py beside this.
"""

import re

from nostrbot.core.commands import arguments
from nostrbot.core.commands.arguments import Wanted
from nostrbot.core.commands.specs import BY_OPERATOR, CommandSpec, Role, may, place
from nostrbot.core.payouts.states import Payee, PayoutStatus

BY_OWNER = frozenset({Role.PLATFORM, Role.OPERATOR, Role.LP})
_is_destination = re.compile(r"[!-~]{1,1500}", re.ASCII).fullmatch


def sats_or_all(text: str) -> int | Wanted | None:
    """A whole number of satoshis; None for all that are free."""
    return None if text.lower() == "all" else arguments.sats(text)


def destination(text: str) -> str | Wanted:
    """Read where sats go; the rail reads which kind of destination it is."""
    return text if _is_destination(text) else Wanted("an invoice or an address, without blanks")


def outcome(text: str) -> PayoutStatus | Wanted:
    """Read what became of a payment."""
    found = {str(one): one for one in (PayoutStatus.SETTLED, PayoutStatus.FAILED)}
    return found.get(text.lower(), Wanted("settled or failed"))


def confirmed(text: str) -> bool | Wanted:
    """That somebody means it."""
    return True if text.lower() == "yes" else Wanted("yes")


PAYOUT = place("payout", arguments.numbered("p"))

REQUEST_SPECS: tuple[CommandSpec, ...] = (
    CommandSpec(
        "withdraw",
        BY_OWNER,
        True,
        "send sats that you are owed",
        (
            place("sats", sats_or_all),
            place("destination", destination),
            may("from", arguments.one_of(Payee), "lp|operator|platform"),
        ),
    ),
    CommandSpec("cancel", BY_OWNER, True, "call off a payout of yours", (PAYOUT,)),
    CommandSpec(
        "payout cancel",
        BY_OPERATOR,
        True,
        "call off a payout",
        (PAYOUT, may("reason", arguments.sentence, '"…"')),
    ),
    CommandSpec("payout retry", BY_OPERATOR, True, "have a failed payout tried again", (PAYOUT,)),
    CommandSpec(
        "payout resolve",
        BY_OPERATOR,
        True,
        "say what became of a payout",
        (
            PAYOUT,
            place("outcome", outcome),
            may("preimage", arguments.hash_hex, "<hex>"),
            may("confirm", confirmed, "yes"),
            may("reason", arguments.sentence, '"…"'),
        ),
    ),
    CommandSpec("payout pause", BY_OPERATOR, True, "stop all payouts", protects=True),
    CommandSpec("payout resume", BY_OPERATOR, True, "let payouts go on"),
)
