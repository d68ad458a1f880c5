"""The phrasebook: one table of everything a person can say to the bot.

What lives here: names, who may, arguments, help. What does not: reading what somebody said (core/commands.py), what it
does (core/engine.py for what changes a book, reading/ for questions) and the words of its answer (core/replies.py).
docs/protocol.md section 6.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nostrbot.core import arguments
from nostrbot.core.arguments import Wanted
from nostrbot.core.states import DepositStatus, Direction, LegType, Mode, SettlementStatus, Trust


class Period(StrEnum):
    """What a report is about: the local day so far, or the days before now."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Range(StrEnum):
    """How far back an LP's statistics go."""

    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"
    YEAR = "1y"
    ALL = "all"


class Role(StrEnum):
    """Whose command it is."""

    PLATFORM = "platform"
    OPERATOR = "operator"
    LP = "lp"
    ANYONE = "everyone"


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument. `read` turns its text into a value, or says what is wanted."""

    name: str
    read: Callable[[str], Any | Wanted]
    positional: bool = False
    required: bool = False
    shown: str = ""  # as help shows the value


@dataclass(frozen=True, slots=True)
class Form:
    """One row of the command table."""

    verb: str
    role: Role
    changes: bool
    summary: str
    args: tuple[Arg, ...] = ()
    rest: str = ""  # how help shows free key=value pairs, where the command takes them
    example: str = ""

    @property
    def usage(self) -> str:
        """The command as help shows it."""
        words = [self.verb]
        for arg in self.args:
            if not arg.shown and not arg.positional:
                continue
            word = f"<{arg.name}>" if arg.positional else f"{arg.name}={arg.shown}"
            words.append(word if arg.required else f"[{word}]")
        return " ".join([*words, self.rest]).rstrip()


def _place(name: str, read: Callable[[str], Any]) -> Arg:
    return Arg(name, read, positional=True, required=True)


def _optional(name: str, read: Callable[[str], Any]) -> Arg:
    return Arg(name, read, positional=True)


def _must(name: str, read: Callable[[str], Any], shown: str) -> Arg:
    return Arg(name, read, required=True, shown=shown)


def _may(name: str, read: Callable[[str], Any], shown: str) -> Arg:
    return Arg(name, read, shown=shown)


_MACHINE = _may("machine", arguments.handle, "<machine>")
_AT_MACHINE = _must("machine", arguments.handle, "<machine>")
_LIMIT = _may("limit", arguments.row_count, "<rows>")
_BEFORE = _may("before", arguments.line, "<id>")
_SINCE = _may("since", arguments.moment, "<unix time or YYYY-MM-DD>")
_SETTLEMENT = _place("settlement", arguments.numbered("s"))
_FEES = (_must("cash_in", arguments.percentage, "<pct>"), _must("cash_out", arguments.percentage, "<pct>"))
_PLATFORM, _OPERATOR, _LP, _ANYONE = Role.PLATFORM, Role.OPERATOR, Role.LP, Role.ANYONE

TABLE: tuple[Form, ...] = (
    # The platform.
    Form(
        "operator add",
        _PLATFORM,
        True,
        "enrol an operator; it gets a book of its own",
        (
            _place("npub", arguments.public_key),
            _must("name", arguments.handle, "<name>"),
            _may("tz", arguments.time_zone, "<IANA zone>"),
        ),
        example="operator add npub1… name=antigua tz=America/Guatemala",
    ),
    Form("operator list", _PLATFORM, False, "the operators, newest first", (_LIMIT, _BEFORE)),
    Form(
        "operator suspend",
        _PLATFORM,
        True,
        "stop an operator's commands and machines",
        (_place("name", arguments.handle),),
    ),
    Form("operator resume", _PLATFORM, True, "let a suspended operator go on", (_place("name", arguments.handle),)),
    Form(
        "platform fee",
        _PLATFORM,
        True,
        "set the platform's fee on the principal, by direction",
        _FEES,
        example="platform fee cash_in=1% cash_out=1.5%",
    ),
    Form("platform status", _PLATFORM, False, "the platform's fee and how much there is"),
    # Operators: machines.
    Form(
        "machine add",
        _OPERATOR,
        True,
        "enrol a machine by its own key",
        (
            _place("npub", arguments.public_key),
            _must("name", arguments.handle, "<name>"),
            _must("fiat", arguments.fiat, "<code>"),
            *_FEES,
            _may("location", arguments.line, '"…"'),
            _may("trust", arguments.one_of(Trust), "signature|preimage|wallet"),
            _may("enforce_fee_match", arguments.switch, "on|off"),
        ),
        example='machine add npub1… name=m1 fiat=GTQ cash_in=5% cash_out=7.77% location="Parque Central"',
    ),
    Form("machine list", _OPERATOR, False, "your machines, newest first", (_LIMIT, _BEFORE)),
    Form("machine show", _OPERATOR, False, "one machine, with its key", (_place("machine", arguments.handle),)),
    Form(
        "machine set",
        _OPERATOR,
        True,
        "change a machine's settings; what you do not name stays. trust=preimage: its sales must prove that they were "
        "paid; trust=wallet: each waits for your release. enforce_fee_match=on rejects a sale with another fee",
        (
            _place("machine", arguments.handle),
            _may("cash_in", arguments.percentage, "<pct>"),
            _may("cash_out", arguments.percentage, "<pct>"),
            _may("location", arguments.line, '"…"'),
            _may("trust", arguments.one_of(Trust), "signature|preimage|wallet"),
            _may("enforce_fee_match", arguments.switch, "on|off"),
        ),
        example="machine set m1 cash_out=6.5%",
    ),
    Form(
        "machine suspend",
        _OPERATOR,
        True,
        "reject what a machine says from now on",
        (_place("machine", arguments.handle),),
    ),
    Form("machine resume", _OPERATOR, True, "accept a suspended machine again", (_place("machine", arguments.handle),)),
    Form(
        "machine rotate",
        _OPERATOR,
        True,
        "give a machine a new key; what its old one says from now on is rejected",
        (_place("machine", arguments.handle), _place("npub", arguments.public_key)),
        example="machine rotate m1 npub1…",
    ),
    Form(
        "guard",
        _OPERATOR,
        True,
        "hold a machine's sales above a limit, or with a rate off its recent ones, until you release them",
        (
            _place("machine", arguments.handle),
            _may("per_settlement", arguments.amount_or_off, "<fiat>|off"),
            _may("per_day", arguments.amount_or_off, "<fiat>|off"),
            _may("rate", arguments.percentage_or_off, "<pct>|off"),
        ),
        example="guard m1 per_settlement=5000 per_day=20000 rate=5%",
    ),
    Form(
        "telemetry", _OPERATOR, False, "what a machine last told about itself", (_place("machine", arguments.handle),)
    ),
    Form(
        "fleet", _OPERATOR, False, "your machines at a glance: heard, today's cash, banknotes left", (_LIMIT, _BEFORE)
    ),
    Form(
        "cassette list",
        _OPERATOR,
        False,
        "a machine's cassettes: expected, and as it stated them",
        (_place("machine", arguments.handle),),
    ),
    Form(
        "cassette set",
        _OPERATOR,
        True,
        "change what is expected in a cassette that the machine has stated",
        (
            _place("machine", arguments.handle),
            _place("position", arguments.position),
            _may("denomination", arguments.note_value, "<fiat>"),
            _may("count", arguments.note_count, "<notes>"),
        ),
        example="cassette set m1 1 count=500",
    ),
    Form(
        "cassette count",
        _OPERATOR,
        True,
        "note what you counted; the difference to what was expected is booked",
        (_place("machine", arguments.handle),),
        rest="<position>=<notes> …",
        example="cassette count m1 1=478 2=300",
    ),
    Form(
        "cassette publish",
        _OPERATOR,
        True,
        "send a machine what its cassettes hold",
        (_place("machine", arguments.handle),),
    ),
    Form(
        "alerts",
        _OPERATOR,
        True,
        "what I tell you by myself: minutes without a beacon, banknotes left, the time of the daily sheet",
        (
            _may("down", arguments.minutes, "<minutes>"),
            _may("stuck", arguments.minutes, "<minutes>"),
            _may("low", arguments.note_count, "<notes>"),
            _may("sheet", arguments.time_or_off, "<HH:MM>|off"),
        ),
        example="alerts down=5 low=50 sheet=07:30",
    ),
    # Operators: LPs and their cash.
    Form(
        "lp add",
        _OPERATOR,
        True,
        "enrol a liquidity provider at a machine",
        (_place("npub", arguments.public_key), _AT_MACHINE, _must("name", arguments.handle, "<name>")),
        example="lp add npub1… machine=m1 name=ana",
    ),
    Form("lp list", _OPERATOR, False, "your LPs, newest first", (_MACHINE, _LIMIT, _BEFORE)),
    Form(
        "lp show",
        _OPERATOR,
        False,
        "one LP with its balances",
        (_place("lp", arguments.handle),),
    ),
    Form(
        "lp suspend",
        _OPERATOR,
        True,
        "leave an LP out of sharing, at one machine or all",
        (_place("lp", arguments.handle), _MACHINE),
        example="lp suspend ana machine=m1",
    ),
    Form(
        "lp resume", _OPERATOR, True, "let a suspended LP take part again", (_place("lp", arguments.handle), _MACHINE)
    ),
    Form(
        "deposit add",
        _OPERATOR,
        True,
        "note cash an LP will put into a machine; it counts once confirmed",
        (
            _place("lp", arguments.handle),
            _place("amount", arguments.amount),
            _AT_MACHINE,
            _may("note", arguments.line, '"…"'),
            Arg(
                "currency", arguments.line
            ),  # accepted and ignored: a deposit has its machine's currency (acceptance D2)
        ),
        example="deposit add ana 9000.00 machine=m1",
    ),
    Form(
        "deposit confirm",
        _OPERATOR,
        True,
        "the cash is in the machine: it counts from now on",
        (_place("deposit", arguments.numbered("d")),),
        example="deposit confirm d1",
    ),
    Form(
        "deposit edit",
        _OPERATOR,
        True,
        "change a deposit that is still pending",
        (
            _place("deposit", arguments.numbered("d")),
            _may("amount", arguments.amount, "<amount>"),
            _may("note", arguments.line, '"…"'),
        ),
    ),
    Form(
        "deposit cancel",
        _OPERATOR,
        True,
        "drop a deposit that is still pending",
        (_place("deposit", arguments.numbered("d")),),
    ),
    Form(
        "deposit reverse",
        _OPERATOR,
        True,
        "take back a confirmed deposit, as far as it is not spent",
        (
            _place("deposit", arguments.numbered("d")),
            _must("reason", arguments.sentence, '"…"'),
            _may("amount", arguments.amount, "<amount>"),
        ),
        example='deposit reverse d3 reason="counted wrong"',
    ),
    Form(
        "deposit list",
        _OPERATOR,
        False,
        "deposits, newest first",
        (
            _may("status", arguments.one_of(DepositStatus), "|".join(DepositStatus)),
            _may("lp", arguments.handle, "<lp>"),
            _MACHINE,
            _LIMIT,
            _BEFORE,
        ),
        example="deposit list status=pending lp=ana",
    ),
    # Operators: settlements.
    Form(
        "settlement list",
        _OPERATOR,
        False,
        "settlements, newest first",
        (
            _MACHINE,
            _may("status", arguments.one_of(SettlementStatus), "|".join(SettlementStatus)),
            _SINCE,
            _LIMIT,
            _BEFORE,
        ),
        example="settlement list status=rejected since=2026-11-01",
    ),
    Form(
        "settlement show",
        _OPERATOR,
        False,
        "one settlement: who got which part (its legs), notes, and what to do next",
        (_place("settlement", arguments.numbered("s")), _may("after", arguments.numbered("l"), "<leg>")),
        example="settlement show s7",
    ),
    Form(
        "settlement note",
        _OPERATOR,
        True,
        "add a note to a settlement; notes are never changed",
        (_SETTLEMENT, _place("text", arguments.sentence)),
        example='settlement note s7 "customer called, got 1500"',
    ),
    Form(
        "settlement release",
        _OPERATOR,
        True,
        "share out a settlement that is held",
        (_SETTLEMENT,),
        example="settlement release s7",
    ),
    Form(
        "settlement partial",
        _OPERATOR,
        True,
        "the machine dispensed less than it reported: share out only that",
        (
            _SETTLEMENT,
            _must("fiat", arguments.amount, "<dispensed>"),
            _must("note", arguments.sentence, '"…"'),
        ),
        example='settlement partial s7 fiat=1500 note="jammed"',
    ),
    Form(
        "settlement refund",
        _OPERATOR,
        True,
        "note that you gave the customer the sats back: what is owed, or all",
        (_SETTLEMENT, _must("reason", arguments.sentence, '"…"')),
        example='settlement refund s7 reason="paid back over Lightning"',
    ),
    Form(
        "settlement reset",
        _OPERATOR,
        True,
        "set a settlement aside (errored) that has been pending for 30 minutes; sooner with a reason",
        (_SETTLEMENT, _may("reason", arguments.sentence, '"…"')),
        example='settlement reset s7 reason="never came"',
    ),
    Form(
        "settlement retry",
        _OPERATOR,
        True,
        "judge one that was set aside again",
        (_SETTLEMENT,),
        example="settlement retry s7",
    ),
    Form(
        "settlement add",
        _OPERATOR,
        True,
        "book a sale that was settled outside; your signature stands for the machine's, and the fee due is taken if "
        "you name none",
        (
            _AT_MACHINE,
            _must("fiat_amount", arguments.amount, "<fiat>"),
            _may("principal_sats", arguments.sats, "<sats>"),
            _may("exchange_rate", arguments.amount, "<sats per unit>"),
            _may("fee_sats", arguments.sats, "<sats>"),
            _may("wire_sats", arguments.sats, "<sats>"),
            _may("tx_type", arguments.one_of(Direction), "|".join(Direction)),
            _may("txid", arguments.line, '"…"'),
            _may("payment_hash", arguments.hash_hex, "<64 hex>"),
            _may("occurred_at", arguments.moment, "<unix time>"),
            _may("note", arguments.line, '"…"'),
        ),
        example='settlement add machine=m1 fiat_amount=2000 exchange_rate=50 fee_sats=7770 note="paid by hand"',
    ),
    Form("worklist", _OPERATOR, False, "settlements that need you, each with the next safe step"),
    Form(
        "balances",
        _OPERATOR,
        False,
        "what each LP has left and is owed, and what is yours",
        (_MACHINE, _LIMIT, _BEFORE),
    ),
    Form("splits show", _OPERATOR, False, "who shares your commission", (_MACHINE,)),
    Form(
        "splits set",
        _OPERATOR,
        True,
        "share your commission; replaces the whole set",
        (_MACHINE,),
        rest="<label>=<pct>:<npub, LP or self> …",
        example="splits set house=60%:self ana=40%:ana",
    ),
    Form(
        "splits clear",
        _OPERATOR,
        True,
        "let a machine follow your default splits again",
        (_AT_MACHINE,),
    ),
    Form(
        "settle",
        _OPERATOR,
        True,
        "pay an LP out of your own sats now; its cash becomes yours",
        (
            _place("lp", arguments.handle),
            _place("fiat", arguments.amount),
            _AT_MACHINE,
            _may("rate", arguments.amount, "<sats per unit>"),
        ),
        example="settle ana 500 machine=m1",
    ),
    Form("fixed show", _OPERATOR, False, "when fixed LPs get their sats, and what was given today"),
    Form(
        "fixed schedule",
        _OPERATOR,
        True,
        "the local times at which LPs in fixed mode get sats out of your own",
        (_place("times", arguments.times_or_off),),
        example="fixed schedule 08:00,20:00",
    ),
    Form(
        "fixed limit",
        _OPERATOR,
        True,
        "the most fiat an LP in fixed mode turns into sats a day",
        (_place("amount", arguments.amount),),
        example="fixed limit 2000",
    ),
    Form(
        "report",
        _OPERATOR,
        False,
        "what came in, who got it, what you earned: today, or the last 7 or 30 days",
        (_optional("period", arguments.one_of(Period)), _MACHINE),
        example="report week",
    ),
    # LPs.
    Form(
        "join",
        _LP,
        True,
        "say yes, once: from then on your cash turns into sats",
        (_may("mode", arguments.one_of(Mode), "flow|fixed"),),
        example="join mode=flow",
    ),
    Form(
        "mode",
        _LP,
        True,
        "choose flow (a part of each sale) or fixed (so much a day, at your operator's times)",
        (_place("mode", arguments.one_of(Mode)), _may("limit", arguments.amount, "<fiat a day>")),
        example="mode fixed limit=500",
    ),
    Form("pause", _LP, True, "take no part in sales until you resume; your cash stays yours"),
    Form("resume", _LP, True, "take part again"),
    Form(
        "forward",
        _LP,
        True,
        "note the Lightning address your sats should go on to, or off",
        (_place("to", arguments.lightning_address),),
        example="forward ana@wallet.example.com",
    ),
    Form(
        "balance",
        _LP,
        False,
        "your cash and your sats, by machine",
        (_may("operator", arguments.handle, "<operator>"), _MACHINE),
    ),
    Form(
        "history",
        _LP,
        False,
        "what you received, newest first",
        (
            _LIMIT,
            _SINCE,
            _may("until", arguments.last_moment, "<unix time or YYYY-MM-DD>"),
            _may("type", arguments.one_of(LegType), "dca|settlement|operator_split"),
            _MACHINE,
            _BEFORE,
        ),
        example="history since=2026-11-01 type=dca",
    ),
    Form("deposits", _LP, False, "your deposits, newest first", (_LIMIT, _BEFORE)),
    Form(
        "stats",
        _LP,
        False,
        "your total, your average rate, your milestones",
        (_may("range", arguments.one_of(Range), "|".join(Range)),),
        example="stats range=90d",
    ),
    Form(
        "statement",
        _LP,
        False,
        "a month from opening to closing, the last whole one unless you name it; sums match the ledger",
        (
            _may("month", arguments.month, "<YYYY-MM>"),
            _may("operator", arguments.handle, "<operator>"),
            _MACHINE,
        ),
        example="statement month=2026-10",
    ),
    Form(
        "receipt",
        _LP,
        False,
        "one of your receipts, by the number that `history` shows",
        (_place("leg", arguments.numbered("l")), _may("operator", arguments.handle, "<operator>")),
        example="receipt l3",
    ),
    # Everyone.
    Form("help", _ANYONE, False, "what you can say; `help <command>` says more"),
    Form("whoami", _ANYONE, False, "who the bot thinks you are"),
)

FORMS: Mapping[str, Form] = {form.verb: form for form in TABLE}
