"""The engine: what an input means for a book. START READING HERE.

What lives here: decide(), the one door for the bot and for auditors, which looks at a book and an input and says what
is so, changing nothing; and apply(), its other half, which changes the book (by evolve() in core/evolution.py). What
does not: clocks, keys, relays, the database; and the rules themselves, which stand with their desks (core/desks.py).
The same inputs in the same order give the same facts, byte for byte: that is what an auditor re-runs. docs/protocol.md
sections 1, 3, 6, 7.

    machine's sale   -> attribution -> payload -> settlement rules -> fees -> flow    -> SettlementProcessed | ...
    its cassettes    -> attribution -> clock   -> payload -> newer than what is known -> CassettesStated
    person's command -> freshness   -> role    -> command table    -> its rule family -> MachineAdded | ...
    bot's succession -> three signatures       -> whose it is                         -> BotRotated
    an observation   -> its natural key        -> its observer                        -> PayoutSettled | ...
    a tick           -> what is due, desk by desk                                     -> LpPaid | ...
"""

from typing import Any

from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import SUSPENDED, Code, CommandRefused, not_yours
from nostrbot.core.commands.specs import Role
from nostrbot.core.desk import Decision, Place
from nostrbot.core.desks import DECIDERS, DESKS, HEARERS, OBSERVERS
from nostrbot.core.evolution import evolve
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import ClockSet, Input, Observed, Signed, Tick
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.core.parsing import parse
from nostrbot.core.platform.facts import ClockSetRight
from nostrbot.core.platform.roles import bot_keys
from nostrbot.core.rules import SOUND
from nostrbot.nostr import kinds
from nostrbot.refusals import Reason, Refusal

# A command is a thing of the moment: an old one may be a replay, a future one would outlive its replay protection.
COMMAND_AGE_MAX_S = 24 * 60 * 60
COMMAND_LEAD_MAX_S = 15 * 60

# What is said to everybody: these events name no recipient.
TO_EVERYBODY = frozenset({kinds.MACHINE_STATE, kinds.APP_DATA})
COMMANDS = frozenset({kinds.DIRECT_MESSAGE, kinds.SEAL})

# A relay, or somebody, may hand the bot's own events back to it.
OWN_WORD = Refusal(Reason.OWN_WORD, "by a key of the bot's own")


def decide(book: Book, given: Input, at: int, rules: int, said: Any = None) -> Decision:
    """Decide one input for one book, at the bot's time `at`, by the rules of this number (core/rules.py).

    `said`: what a signed input says, where it was read before; by other rules than these it must be None.

    Looks only; never raises on what the world said.
    """
    if isinstance(given, Signed):
        return _decide_signed(book, given, at, rules, said)
    if isinstance(given, Tick):
        if given.at != at:
            return Decision(instead=Refusal(Reason.INVALID, "a tick is decided at its own time"))
        return Decision(due(book, at, rules))
    if isinstance(given, ClockSet):
        return _decide_clock(given, at, rules)
    return _decide_observed(book, given, at, rules)


def apply(
    book: Book, effect: str | None, facts: tuple[Fact, ...], *, seq: int, at: int, rules: int
) -> list[Transaction]:
    """Apply the facts of entry `seq`, decided by `rules` from the input whose id is `effect` (None for a tick).

    Returns what was booked.

    The other half of decide(): the bot, a restart and an auditor all change a book through here and nowhere else.
    """
    transactions, place = [], Place(seq, at, rules)
    for fact in facts:
        transaction = evolve(book, fact, place)
        if transaction is not None:
            transactions.append(transaction)
    if effect is not None:
        book.recall.events.setdefault(effect, None)
    return transactions


def due(book: Book, at: int, rules: int) -> tuple[Fact, ...]:
    """Return what is due by the clock in a book, of one desk at a time: the rest is still due a moment later."""
    for desk in DESKS:
        facts = desk.due(book, at, rules)
        if facts:
            return facts
    return ()


def check_fresh(created_at: int, at: int) -> CommandRefused | None:
    """Refuse a command older than a day or more than a quarter of an hour ahead of the bot's clock.

    `at` is when it was heard. The time of a book never goes back by itself, so after a clock that ran ahead the two
    differ.
    """
    if created_at < at - COMMAND_AGE_MAX_S:
        return CommandRefused(Code.TOO_OLD, "this message is more than 24 hours old: send the command again")
    if created_at > at + COMMAND_LEAD_MAX_S:
        return CommandRefused(Code.IN_THE_FUTURE, "this message is dated ahead of my clock: check your device's clock")
    return None


def _decide_clock(given: ClockSet, at: int, rules: int) -> Decision:
    """Decide that a person set a book's time right. The entry itself shows that it was ahead, and by how much."""
    if rules < SOUND or not 0 < given.now < given.was or given.now != at:
        return Decision(instead=Refusal(Reason.INVALID, "a clock is set right to a time before the entry before"))
    return Decision((ClockSetRight(given.was, given.now),))


def _decide_observed(book: Book, given: Observed, at: int, rules: int) -> Decision:
    """Decide what the bot saw. A second observation of the same thing has no effect."""
    if given.id in book.recall.events:
        return Decision(instead=Refusal(Reason.DUPLICATE, "this observation has had its effect"))
    observer = OBSERVERS.get(given.saw)
    if observer is None:
        return Decision(instead=Refusal(Reason.INVALID, f"no desk observes {given.saw!r}"))
    decided = observer.decide(book, given, at, rules)
    return Decision(instead=decided) if isinstance(decided, Refusal) else Decision(decided)


def _decide_signed(book: Book, given: Signed, at: int, rules: int, said: Any) -> Decision:
    if given.heard is not None and not (rules >= SOUND and 0 <= given.heard < at):
        return Decision(
            instead=Refusal(Reason.INVALID, "`heard` is a time before the entry's, and there since rules 2")
        )
    kind = given.event.kind
    if rules >= SOUND and given.author in bot_keys(book):
        return Decision(instead=OWN_WORD)
    if given.rumor is not None and given.rumor.kind != kinds.CHAT_MESSAGE:
        return Decision(instead=Refusal(Reason.OFF_FILTER, f"a private message of kind {given.rumor.kind}"))
    if kind not in TO_EVERYBODY and not _is_addressed(book, given):
        return Decision(instead=Refusal(Reason.OFF_FILTER, "not addressed to this bot"))
    hearer = HEARERS.get(kind)
    if hearer is not None:
        return hearer(book, given, said, at, rules)
    if kind not in COMMANDS:
        return Decision(instead=Refusal(Reason.OFF_FILTER, f"kind {kind} is none this book takes"))
    return _decide_command(book, given, parse(given.text, rules) if said is None else said, at, rules)


def _is_addressed(book: Book, given: Signed) -> bool:
    """Whether an event is addressed to this bot; a carried event may name one of its earlier keys."""
    return given.is_to(book.bot) or (given.carried and any(given.is_to(bot) for bot in book.former_bots))


def _decide_command(book: Book, given: Signed, said: Command | Misunderstood, at: int, rules: int) -> Decision:
    if isinstance(said, Command) and said.preview:
        return Decision(instead=CommandRefused(Code.NOT_ALLOWED, "a preview changes nothing"))
    if given.id in book.recall.events:
        return Decision(instead=Refusal(Reason.DUPLICATE, "this command has had its effect"))
    if not (given.carried and isinstance(said, Command) and said.spec.may_be_carried):
        stale = check_fresh(given.created_at, at if given.heard is None else given.heard)
        if stale is not None:
            return Decision(instead=stale)
    if isinstance(said, Misunderstood):
        return Decision(instead=said.refused)
    order = Order(said, given.author, at, given.id, given.scheme, rules, given.carried)
    refused = _check_role(book, order)
    if refused is not None:
        return Decision(instead=refused)
    if rules < said.spec.since_rules:
        return Decision(instead=CommandRefused(Code.UNKNOWN_COMMAND, f"{said.verb} is not a command of rules {rules}"))
    found = DECIDERS.get(said.verb)
    if found is None:
        return Decision(instead=CommandRefused(Code.NOT_ALLOWED, f"{said.verb} is a question: it changes nothing"))
    desk, decider = found
    decided = decider(book, order)
    if isinstance(decided, CommandRefused):
        return Decision(instead=decided)
    refused = desk.bound(book, decided, rules)
    return Decision(decided) if refused is None else Decision(instead=refused)


def _check_role(book: Book, order: Order) -> CommandRefused | None:
    """Check the author's role: a book obeys its platform, its operator and its LPs, each within its part of the
    table.
    """
    roles, suspended = order.command.spec.roles, False
    if Role.PLATFORM in roles and order.author == book.platform:
        return None
    if Role.LP in roles and order.author in book.lp_of_key:
        return None
    if Role.OPERATOR in roles and book.key != ROOT and order.author == book.operator:
        if book.active:
            return None
        suspended = True
    return SUSPENDED if suspended else not_yours(order.verb)
