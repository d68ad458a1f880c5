"""The phrasebook: one table of everything a person can say to the bot.

What lives here: what the platform, LPs and everyone can say, and the whole table. What does not: operators' rows
(core/atm/operator_commands.py), what a row is made of (core/commands/specs.py), reading what somebody said (core/parsing.py), what it
does (core/engine.py for what changes a book, reading/ for questions) and the words of its answer (messages/replies.py).
docs/protocol.md section 6.
"""

from collections.abc import Mapping

from nostrbot.core.atm.operator_commands import OPERATOR_PHRASES
from nostrbot.core.atm.states import LegType, Mode
from nostrbot.core.commands import arguments
from nostrbot.core.commands.specs import BEFORE, FEES, LIMIT, MACHINE, SINCE, Form, Range, Role, may, must, place

OF_LPS = (LegType.DCA, LegType.SETTLEMENT, LegType.OPERATOR_SPLIT)  # the legs that LPs have

TABLE: tuple[Form, ...] = (
    # The platform.
    Form(
        "operator add",
        Role.PLATFORM,
        True,
        "enrol an operator; it gets a book of its own",
        (
            place("npub", arguments.public_key),
            must("name", arguments.handle, "<name>"),
            may("tz", arguments.time_zone, "<IANA zone>"),
        ),
        example="operator add npub1… name=antigua tz=America/Guatemala",
    ),
    Form("operator list", Role.PLATFORM, False, "the operators, newest first", (LIMIT, BEFORE)),
    Form(
        "operator suspend",
        Role.PLATFORM,
        True,
        "stop an operator's commands and machines",
        (place("name", arguments.handle),),
        protects=True,
    ),
    Form("operator resume", Role.PLATFORM, True, "let a suspended operator go on", (place("name", arguments.handle),)),
    Form(
        "operator replace",
        Role.PLATFORM,
        True,
        "let another key speak for an operator; what the old one says is a stranger's from now on",
        (place("name", arguments.handle), place("npub", arguments.public_key)),
        example="operator replace antigua npub1…",
        protects=True,
    ),
    Form(
        "machine free",
        Role.PLATFORM,
        True,
        "take a machine's key from whoever enrolled it, so that its owner can",
        (place("npub", arguments.public_key),),
        example="machine free npub1…",
        protects=True,
    ),
    Form(
        "platform fee",
        Role.PLATFORM,
        True,
        "set the platform's fee on the principal, by direction",
        FEES,
        example="platform fee cash_in=1% cash_out=1.5%",
    ),
    Form("platform status", Role.PLATFORM, False, "the platform's fee and how much there is"),
    *OPERATOR_PHRASES,
    # LPs.
    Form(
        "join",
        Role.LP,
        True,
        "say yes, once: from then on your cash turns into sats",
        (may("mode", arguments.one_of(Mode), "flow|fixed"),),
        example="join mode=flow",
        protects=True,
    ),
    Form(
        "mode",
        Role.LP,
        True,
        "choose flow (a part of each sale) or fixed (so much a day, at your operator's times)",
        (place("mode", arguments.one_of(Mode)), may("limit", arguments.amount, "<fiat a day>")),
        example="mode fixed limit=500",
    ),
    Form("pause", Role.LP, True, "take no part in sales until you resume; your cash stays yours", protects=True),
    Form("resume", Role.LP, True, "take part again"),
    Form(
        "forward",
        Role.LP,
        True,
        "note the Lightning address your sats should go on to, or off",
        (place("to", arguments.lightning_address),),
        example="forward ana@wallet.example.com",
    ),
    Form(
        "balance",
        Role.LP,
        False,
        "your cash and your sats, by machine",
        (may("operator", arguments.handle, "<operator>"), MACHINE),
    ),
    Form(
        "history",
        Role.LP,
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
    Form("deposits", Role.LP, False, "your deposits, newest first", (LIMIT, BEFORE)),
    Form(
        "stats",
        Role.LP,
        False,
        "your total, your average rate, your milestones",
        (may("range", arguments.one_of(Range), "|".join(Range)),),
        example="stats range=90d",
    ),
    Form(
        "statement",
        Role.LP,
        False,
        "a month from opening to closing, the last whole one unless you name it; sums match the ledger",
        (
            may("month", arguments.month, "<YYYY-MM>"),
            may("operator", arguments.handle, "<operator>"),
            MACHINE,
        ),
        example="statement month=2026-10",
    ),
    Form(
        "receipt",
        Role.LP,
        False,
        "one of your receipts, by the number that `history` shows",
        (place("leg", arguments.numbered("l")), may("operator", arguments.handle, "<operator>")),
        example="receipt l3",
    ),
    Form(
        "proof",
        Role.LP,
        False,
        "the proof that your balances are in what your bot signed and published",
        (may("operator", arguments.handle, "<operator>"), may("checkpoint", arguments.entry_number, "<seq>")),
        example="proof operator=antigua",
    ),
    # Everyone.
    Form("help", Role.ANYONE, False, "what you can say; `help <command>` says more"),
    Form("whoami", Role.ANYONE, False, "who the bot thinks you are"),
)

DISMISS = "unreadable dismiss"  # the one that changes what is kept beside the books (runtime/unread_reports.py)
CHECKPOINT = "checkpoint"  # the one question whose answer has to be signed (runtime/notary.py)

FORMS: Mapping[str, Form] = {form.verb: form for form in TABLE}
