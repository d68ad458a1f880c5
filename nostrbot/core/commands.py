"""Commands: one table of everything a person can say to the bot, and parse(text) -> Command | Refused.

What lives here: names, who may, arguments, help. What does not: what a command does (core/engine.py for those that
change a book, reading.py for questions) and its answer's words (core/replies.py). docs/protocol.md section 6.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from nostrbot.core import arguments
from nostrbot.core.arguments import Wanted
from nostrbot.core.states import DepositStatus, Mode, SettlementStatus, Trust

COMMAND_CHARS_MAX = 4096  # a command is a line a person types
LIST_LIMIT_DEFAULT = 20
SPLITS_MAX = 32


class Role(StrEnum):
    """Whose command it is."""

    PLATFORM = "platform"
    OPERATOR = "operator"
    LP = "lp"
    ANYONE = "everyone"


class Code(StrEnum):
    """Why a command was refused."""

    UNKNOWN_COMMAND = "unknown_command"
    BAD_QUOTING = "bad_quoting"
    MISSING_ARGUMENT = "missing_argument"
    UNKNOWN_ARGUMENT = "unknown_argument"
    BAD_ARGUMENT = "bad_argument"
    NOT_ALLOWED = "not_allowed"
    NOT_FOUND = "not_found"
    NAME_TAKEN = "name_taken"
    KEY_TAKEN = "key_taken"
    ALREADY_ENROLLED = "already_enrolled"
    LP_NOT_ONBOARDED = "lp_not_onboarded"
    WRONG_STATUS = "wrong_status"
    DEPOSIT_SPENT = "deposit_spent"
    SPLITS_NOT_WHOLE = "splits_not_whole"
    OPERATOR_SUSPENDED = "operator_suspended"
    AMBIGUOUS = "ambiguous"
    TOO_OLD = "too_old"
    IN_THE_FUTURE = "in_the_future"
    BOOK_CLOSED = "book_closed"
    OUR_FAULT = "our_fault"
    TOO_LONG = "too_long"


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that was refused: a code for programs, a sentence for people that says what to do."""

    code: Code
    message: str


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


@dataclass(frozen=True, slots=True)
class Command:
    """A command as understood: values are read, nothing is looked up yet."""

    form: Form
    args: Mapping[str, Any]
    rest: tuple[tuple[str, str], ...] = ()
    json: bool = False
    preview: bool = False

    @property
    def verb(self) -> str:
        """The command's name in the table."""
        return self.form.verb


@dataclass(frozen=True, slots=True)
class Misunderstood:
    """A text that is no command, with how its author wants to be answered."""

    refused: Refused
    verb: str
    json: bool


def _place(name: str, read: Callable[[str], Any]) -> Arg:
    return Arg(name, read, positional=True, required=True)


def _must(name: str, read: Callable[[str], Any], shown: str) -> Arg:
    return Arg(name, read, required=True, shown=shown)


def _may(name: str, read: Callable[[str], Any], shown: str) -> Arg:
    return Arg(name, read, shown=shown)


_MACHINE = _may("machine", arguments.handle, "<machine>")
_AT_MACHINE = _must("machine", arguments.handle, "<machine>")
_LIMIT = _may("limit", arguments.row_count, "<rows>")
_BEFORE = _may("before", arguments.line, "<id>")
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
    Form("machine show", _OPERATOR, False, "one machine", (_place("machine", arguments.handle),)),
    Form(
        "machine set",
        _OPERATOR,
        True,
        "change a machine's settings; what you do not name stays",
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
    Form("lp show", _OPERATOR, False, "one LP with its balances", (_place("lp", arguments.handle),)),
    Form(
        "lp suspend",
        _OPERATOR,
        True,
        "leave an LP out of sharing, at one machine or all",
        (_place("lp", arguments.handle), _MACHINE),
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
        "deposit confirm", _OPERATOR, True, "the cash is in the machine", (_place("deposit", arguments.numbered("d")),)
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
            _must("reason", arguments.line, '"…"'),
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
    ),
    # Operators: settlements.
    Form(
        "settlement list",
        _OPERATOR,
        False,
        "settlements, newest first",
        (_MACHINE, _may("status", arguments.one_of(SettlementStatus), "|".join(SettlementStatus)), _LIMIT, _BEFORE),
    ),
    Form(
        "settlement show",
        _OPERATOR,
        False,
        "one settlement with its legs",
        (_place("settlement", arguments.numbered("s")), _may("after", arguments.numbered("l"), "<leg>")),
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
    Form("splits clear", _OPERATOR, True, "let a machine follow your default splits again", (_AT_MACHINE,)),
    # LPs.
    Form(
        "join",
        _LP,
        True,
        "say yes: from now on your cash turns into sats",
        (_may("mode", arguments.one_of(Mode), "flow|fixed"),),
        example="join mode=flow",
    ),
    Form(
        "mode",
        _LP,
        True,
        "choose how: a part of each sale (flow) or a fixed amount a day",
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
        (_LIMIT, _may("since", arguments.moment, "<unix time>"), _BEFORE),
    ),
    Form("deposits", _LP, False, "your deposits, newest first", (_LIMIT, _BEFORE)),
    Form(
        "receipt",
        _LP,
        False,
        "one of your receipts",
        (_place("leg", arguments.numbered("l")), _may("operator", arguments.handle, "<operator>")),
    ),
    # Everyone.
    Form("help", _ANYONE, False, "what you can say; `help <command>` says more"),
    Form("whoami", _ANYONE, False, "who the bot thinks you are"),
)

FORMS: Mapping[str, Form] = {form.verb: form for form in TABLE}
_QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "\u00a0": " ", "\u202f": " "})


def parse(text: str) -> Command | Misunderstood:
    """Understand a message. Lines of clients (`[//]: …`), `/` and `!`, smart quotes and CRLF are taken in stride."""
    lines = [line for line in text.translate(_QUOTES).splitlines() if not line.lstrip().startswith("[//]:")]
    json = "--json" in text
    if len(text) > COMMAND_CHARS_MAX:
        too_long = f"a command has at most {COMMAND_CHARS_MAX} characters"
        return Misunderstood(Refused(Code.BAD_ARGUMENT, too_long), "", json)
    try:
        words = shlex.split(" ".join(lines))
    except ValueError:
        return Misunderstood(Refused(Code.BAD_QUOTING, 'a quote is not closed: write text as note="…"'), "", json)
    json = "--json" in words
    words = [word for word in words if word != "--json"]
    preview = bool(words) and words[0].lstrip("/!").lower() == "preview"
    if preview:
        words = words[1:]
    form, words = _find_form(words)
    if form is None:
        said = " ".join(words[:2])[:40]
        sentence = f"there is no command {said!r}" if said else "that is no command"
        return Misunderstood(Refused(Code.UNKNOWN_COMMAND, sentence), said, json)
    args = _read_args(form, words)
    if isinstance(args, Refused):
        return Misunderstood(args, form.verb, json)
    values, rest = args
    return Command(form, values, rest, json, preview)


SUSPENDED = Refused(Code.OPERATOR_SUSPENDED, "the platform has suspended you: ask it why")


def not_yours(verb: str) -> Refused:
    """The refusal of a command that belongs to another role."""
    return Refused(Code.NOT_ALLOWED, f"`{verb}` is not yours to say: `help` shows what is")


def name_what_there_is(refused: Refused, said: str, roles: tuple[Role, ...]) -> Refused:
    """An unknown command's refusal, with the commands its author may say: those of the noun said, or all."""
    verbs = [form.verb for form in TABLE if form.role in (*roles, Role.ANYONE)]
    near = [verb for verb in verbs if verb.split()[0] == said.split(" ", maxsplit=1)[0].lower()]
    return Refused(refused.code, f"{refused.message}. There is: {', '.join(near or verbs)}")


def _find_form(words: list[str]) -> tuple[Form | None, list[str]]:
    """The row whose verb begins the words (two words before one), and what follows the verb."""
    lowered = [word.lower() for word in words[:2]]
    if lowered:
        lowered[0] = lowered[0].lstrip("/!")
    for length in (2, 1):
        form = FORMS.get(" ".join(lowered[:length])) if len(lowered) >= length else None
        if form is not None:
            return form, words[length:]
    return None, words


@dataclass(slots=True)
class _Reading:
    """Arguments on their way from words to values."""

    values: dict[str, Any] = field(default_factory=dict)
    rest: list[tuple[str, str]] = field(default_factory=list)


def _read_args(form: Form, words: list[str]) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]] | Refused:
    if form.verb == "help":
        return {"topic": " ".join(words).lower()}, ()
    reading = _Reading()
    places = [arg for arg in form.args if arg.positional]
    keyed = {arg.name: arg for arg in form.args if not arg.positional}
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key.lower() in keyed:
            arg = keyed[key.lower()]
        elif equals and form.rest:
            reading.rest.append((key, value))
            continue
        elif places and not equals:
            arg, value = places.pop(0), word
        else:
            return Refused(Code.UNKNOWN_ARGUMENT, f"{word[:40]!r} is not understood here. Say: {form.usage}")
        if arg.name in reading.values:
            return Refused(Code.BAD_ARGUMENT, f"{arg.name} is given twice")
        read = arg.read(value)
        if isinstance(read, Wanted):
            return Refused(Code.BAD_ARGUMENT, f"{arg.name} must be {read.what}")
        reading.values[arg.name] = read
    for arg in form.args:
        if arg.required and arg.name not in reading.values:
            return Refused(Code.MISSING_ARGUMENT, f"{arg.name} is missing. Say: {form.usage}")
    return reading.values, tuple(reading.rest)
