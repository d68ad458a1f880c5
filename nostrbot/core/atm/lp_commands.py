"""The LPs' commands: their rows of the ATM desk's table.

What lives here: the rows. What does not: the others' rows, and the whole table (core/table.py). docs/protocol.md
section 6.
"""

from nostrbot.core.atm.states import LegType, Mode
from nostrbot.core.commands import arguments
from nostrbot.core.commands.specs import BEFORE, BY_LP, LIMIT, MACHINE, SINCE, CommandSpec, Range, Scope, may, place

OF_LPS = (LegType.DCA, LegType.SETTLEMENT, LegType.OPERATOR_SPLIT)  # the legs that LPs have

LP_SPECS: tuple[CommandSpec, ...] = (
    CommandSpec(
        "join",
        BY_LP,
        True,
        "say yes, once: from then on your cash turns into sats",
        (may("mode", arguments.one_of(Mode), "flow|fixed"),),
        example="join mode=flow",
        protects=True,
        scope=Scope.ENROLLED,
        may_be_carried=True,
    ),
    CommandSpec(
        "mode",
        BY_LP,
        True,
        "choose flow (a part of each sale) or fixed (up to an amount a day, at your operator's times)",
        (place("mode", arguments.one_of(Mode)), may("limit", arguments.amount, "<fiat a day>")),
        example="mode fixed limit=500",
        scope=Scope.JOINED,
        may_be_carried=True,
        one_limit=True,
    ),
    CommandSpec(
        "pause",
        BY_LP,
        True,
        "take no part in sales until you resume; your cash stays yours",
        protects=True,
        scope=Scope.JOINED,
        may_be_carried=True,
    ),
    CommandSpec(
        "resume",
        BY_LP,
        True,
        "take part again",
        scope=Scope.JOINED,
        may_be_carried=True,
    ),
    CommandSpec(
        "forward",
        BY_LP,
        True,
        "note the Lightning address your sats should go on to, or off",
        (place("to", arguments.lightning_address),),
        example="forward ana@wallet.example.com",
        scope=Scope.JOINED,
        may_be_carried=True,
    ),
    CommandSpec(
        "balance",
        BY_LP,
        False,
        "your cash and your sats, by machine",
        (may("operator", arguments.handle, "<operator>"), MACHINE),
    ),
    CommandSpec(
        "history",
        BY_LP,
        False,
        "what you received, newest first",
        (
            LIMIT,
            SINCE,
            may("until", arguments.last_moment, "<unix time or YYYY-MM-DD>"),
            may("type", arguments.one_of(LegType, *OF_LPS), "|".join(OF_LPS)),
            MACHINE,
            BEFORE,
        ),
        example="history since=2026-11-01 type=dca",
    ),
    CommandSpec("deposits", BY_LP, False, "your deposits, newest first", (LIMIT, BEFORE)),
    CommandSpec(
        "stats",
        BY_LP,
        False,
        "your total, your average rate, your milestones",
        (may("range", arguments.one_of(Range), "|".join(Range)),),
        example="stats range=90d",
    ),
    CommandSpec(
        "statement",
        BY_LP,
        False,
        "a month from opening to closing, the last whole month unless you name another; sums match the ledger",
        (
            may("month", arguments.month, "<YYYY-MM>"),
            may("operator", arguments.handle, "<operator>"),
            MACHINE,
        ),
        example="statement month=2026-10",
    ),
    CommandSpec(
        "receipt",
        BY_LP,
        False,
        "one of your receipts, by the number that `history` shows",
        (place("leg", arguments.numbered("l")), may("operator", arguments.handle, "<operator>")),
        example="receipt l3",
    ),
    CommandSpec(
        "proof",
        BY_LP,
        False,
        "the proof that your balances are in what your bot signed and published",
        (may("operator", arguments.handle, "<operator>"), may("checkpoint", arguments.entry_number, "<seq>")),
        example="proof operator=antigua",
    ),
)
