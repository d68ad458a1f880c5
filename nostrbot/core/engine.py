"""The engine: what an input means for a book. START READING HERE.

What lives here: decide(), which looks at a book and an input and says what is so, changing nothing; and apply(), its
other half, which changes the book (by evolve() in core/evolution.py). What does not: clocks, keys, relays, the
database. The same inputs in the same order give the same facts, byte for byte: that is what an auditor re-runs.
docs/protocol.md sections 1, 3, 6, 7.

    machine's sale   -> attribution -> payload -> settlement rules -> fees -> flow    -> SettlementProcessed | ...
    its cassettes    -> attribution -> clock   -> payload -> newer than what is known -> CassettesStated
    person's command -> freshness   -> role    -> command table    -> its rule family -> MachineAdded | ...
    bot's succession -> three signatures       -> whose it is                         -> BotRotated
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from nostrbot.core.atm import (
    alert_plan,
    cassettes,
    deposits,
    fixed,
    gaps,
    own_sats,
    parties,
    payments,
    platform_fee,
    registry,
    splits,
)
from nostrbot.core.atm.bounds import refuse_outgrown
from nostrbot.core.atm.payloads.sale import Sale, read_settlement
from nostrbot.core.atm.payloads.subject import Subject, subject_of
from nostrbot.core.atm.settlements import compromise, guards, worklist
from nostrbot.core.atm.settlements import manual as outside
from nostrbot.core.atm.settlements.rules import Duplicate, decide_settlement
from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import SUSPENDED, Code, Refused, not_yours
from nostrbot.core.commands.specs import Role
from nostrbot.core.evolution import Place, evolve
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import ClockSet, Input, Signed, Tick
from nostrbot.core.ledger.transaction import Transaction
from nostrbot.core.parsing import parse
from nostrbot.core.platform import operators as platform
from nostrbot.core.platform.facts import BotRotated, ClockSetRight, PredecessorNamed
from nostrbot.core.platform.roles import bot_keys, parts_of, taken
from nostrbot.core.platform.succession import read_succession
from nostrbot.core.rules import SOUND
from nostrbot.nostr import kinds
from nostrbot.refusals import Reason, Refusal

# A command is a thing of the moment: an old one may be a replay, a future one would outlive its replay protection.
COMMAND_AGE_MAX_S = 24 * 60 * 60
COMMAND_LEAD_MAX_S = 15 * 60
# What a book may take over from another one, where it was decided in time; anything else has its moment but once.
CARRIED = frozenset({"platform fee", "join", "mode", "pause", "resume", "forward"})


# What nobody could say before these rules: no entry of older ones can have it.
SAID_SINCE: Mapping[str, int] = {"payment void": SOUND, "gap dismiss": SOUND, "machine free": SOUND}

# What the bot wrote comes back where a relay, or somebody, hands it on to the bot.
OWN_WORD = Refusal(Reason.OWN_WORD, "by a key of the bot's own")


# No entry: what a machine sells is nobody's to see from whom the platform took its key.
FREED = Refusal(Reason.MACHINE_INACTIVE, "the platform took this key from this book")


class Decision(NamedTuple):
    """What an input comes to: facts to seal, or nothing to seal and the reason why.

    `facts` empty and `instead` None: a command that asks for what already is.
    """

    facts: tuple[Fact, ...] = ()
    instead: Duplicate | Refused | Refusal | None = None


Decider = Callable[[Book, Order], tuple[Fact, ...] | Refused]

DECIDERS: Mapping[str, Decider] = {
    "operator add": platform.add_operator,
    "operator suspend": platform.switch_operator,
    "operator resume": platform.switch_operator,
    "operator replace": parties.replace_operator,
    "platform fee": platform_fee.set_platform_fee,
    "machine add": registry.add_machine,
    "machine set": registry.set_machine,
    "machine suspend": registry.switch_machine,
    "machine resume": registry.switch_machine,
    "machine rotate": registry.rotate_machine,
    "machine compromised": compromise.declare_compromised,
    "gap dismiss": gaps.dismiss_gaps,
    "machine free": registry.free_machine,
    "guard": guards.set_guard,
    "cassette set": cassettes.set_cassette,
    "cassette count": cassettes.count_cassettes,
    "cassette publish": cassettes.publish_cassettes,
    "lp add": parties.enrol,
    "lp suspend": registry.switch_lp,
    "lp resume": registry.switch_lp,
    "join": registry.set_preferences,
    "mode": registry.set_preferences,
    "pause": registry.set_preferences,
    "resume": registry.set_preferences,
    "forward": registry.set_preferences,
    "deposit add": deposits.add_deposit,
    "deposit edit": deposits.edit_deposit,
    "deposit confirm": deposits.confirm_deposit,
    "deposit cancel": deposits.cancel_deposit,
    "deposit reverse": deposits.reverse_deposit,
    "settlement note": worklist.note_settlement,
    "settlement release": worklist.release_settlement,
    "settlement reset": worklist.reset_settlement,
    "settlement retry": worklist.retry_settlement,
    "settlement partial": parties.correct,
    "settlement refund": parties.refund,
    "settlement add": outside.add_settlement,
    "splits set": splits.set_splits,
    "splits clear": splits.clear_splits,
    "settle": own_sats.settle_lp,
    "payment void": payments.void_payment,
    "fixed schedule": fixed.set_schedule,
    "fixed limit": fixed.set_limit,
    "alerts": alert_plan.set_alerts,
}


def decide(book: Book, given: Input, at: int, rules: int) -> Decision:
    """Decide one input for one book, at the bot's time `at`, by the rules of this number (core/rules.py).

    Looks only; never raises on what the world said.
    """
    if isinstance(given, Tick):
        return decide_tick(book, given, at, rules)
    if isinstance(given, ClockSet):
        return decide_clock(given, at, rules)
    if given.heard is not None and not (rules >= SOUND and 0 <= given.heard < at):
        return Decision(
            instead=Refusal(Reason.INVALID, "`heard` is a time before the entry's, and there since rules 2")
        )
    kind = given.event.kind
    if rules >= SOUND and given.author in bot_keys(book):
        return Decision(instead=OWN_WORD)
    if given.rumor is not None and given.rumor.kind != kinds.CHAT_MESSAGE:
        return Decision(instead=Refusal(Reason.OFF_FILTER, f"a private message of kind {given.rumor.kind}"))
    if kind == kinds.MACHINE_STATE:
        return decide_machine_state(book, given, at, rules)
    if kind == kinds.APP_DATA:
        return decide_succession(book, given, rules)
    if not (given.is_to(book.bot) or (given.carried and any(given.is_to(bot) for bot in book.former_bots))):
        return Decision(instead=Refusal(Reason.OFF_FILTER, "not addressed to this bot"))
    if kind == kinds.SETTLEMENT:
        return decide_report(book, given, read_settlement(given.text), at, rules)
    if kind in (kinds.DIRECT_MESSAGE, kinds.SEAL):
        said = parse(given.text, rules)
        if isinstance(said, Command) and said.preview:
            return Decision(instead=Refused(Code.NOT_ALLOWED, "a preview changes nothing"))
        return decide_command(book, given, said, at, rules)
    return Decision(instead=Refusal(Reason.OFF_FILTER, f"kind {kind} is none this book takes"))


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


def decide_tick(book: Book, given: Tick, at: int, rules: int) -> Decision:
    """Decide what is due by the clock: fixed mode's slots."""
    if given.at != at:
        return Decision(instead=Refusal(Reason.INVALID, "a tick is decided at its own time"))
    # One thing a tick: what is due besides is still due a moment later.
    moves = parties.due_moves(book) if rules >= SOUND else ()
    return Decision(moves or fixed.decide_slots(book, at, rules))


def decide_clock(given: ClockSet, at: int, rules: int) -> Decision:
    """Decide that a person set a book's time right. That it was ahead, and by how much, its own entries show."""
    if rules < SOUND or not 0 < given.now < given.was or given.now != at:
        return Decision(instead=Refusal(Reason.INVALID, "a clock is set right to a time before the entry before"))
    return Decision((ClockSetRight(given.was, given.now),))


def decide_machine_state(book: Book, given: Signed, at: int, rules: int) -> Decision:
    """Decide what a machine states of its cassettes; a beacon moves nothing and is no matter of a book (core/atm/fleet.py)."""
    subject = subject_of(given.event)
    if isinstance(subject, Refusal):
        return Decision(instead=subject)
    if subject is not Subject.CASSETTES:
        return Decision(instead=Refusal(Reason.OFF_FILTER, f"a {subject} is none this book takes"))
    decided = cassettes.decide_statement(book, given, at, rules)
    return Decision(instead=decided) if isinstance(decided, Refusal) else Decision(decided)


def decide_succession(book: Book, given: Signed, rules: int) -> Decision:
    """Decide the bot's own rotation; one carried into a book that was opened after it names who was addressed before."""
    if given.id in book.recall.events:
        return Decision(instead=Refusal(Reason.DUPLICATE, "this rotation has had its effect"))
    succession = read_succession(given.event, book.platform)
    if isinstance(succession, Refusal):
        return Decision(instead=succession)
    old, new = succession.old, succession.new
    if given.carried:
        is_next = new in (book.bot, *book.former_bots) and old not in (book.bot, *book.former_bots)
        decided: Fact = PredecessorNamed(old, new)
    else:
        is_next = old == book.bot and new not in (*book.former_bots, book.platform)
        decided = BotRotated(old, new)
        held = next(parts_of(book, new), None) if rules >= SOUND and is_next else None
        if held is not None:
            return Decision(instead=Refusal(Reason.INVALID, taken(held).message))
    if not is_next:
        return Decision(instead=Refusal(Reason.INVALID, "this rotation does not go on from where this book is"))
    return Decision((decided,))


def decide_report(book: Book, given: Signed, sale: Sale | Refusal, at: int, rules: int) -> Decision:
    """Decide a settlement whose content was already read (the bot reads it once, to recall what it may repeat)."""
    if given.author not in book.machine_of_key:
        return Decision(instead=Refusal(Reason.UNKNOWN_AUTHOR, "no machine of this book"))
    if given.author in book.freed:
        return Decision(instead=FREED)
    if isinstance(sale, Refusal):
        return Decision(instead=sale)
    verdict = decide_settlement(book, given, sale, at, rules)
    return Decision(instead=verdict) if isinstance(verdict, Duplicate | Refusal) else Decision(verdict)


def decide_command(book: Book, given: Signed, said: Command | Misunderstood, at: int, rules: int) -> Decision:
    """Decide a command that was already parsed (the bot parses once, for every book it concerns)."""
    if given.id in book.recall.events:
        return Decision(instead=Refusal(Reason.DUPLICATE, "this command has had its effect"))
    if not (given.carried and isinstance(said, Command) and said.verb in CARRIED):
        stale = check_fresh(given.created_at, at if given.heard is None else given.heard)
        if stale is not None:
            return Decision(instead=stale)
    if isinstance(said, Misunderstood):
        return Decision(instead=said.refused)
    order = Order(said, given.author, at, given.id, given.scheme, rules, given.carried)
    refused = _check_role(book, order)
    if refused is not None:
        return Decision(instead=refused)
    if rules < SAID_SINCE.get(said.verb, rules):
        return Decision(instead=Refused(Code.UNKNOWN_COMMAND, f"{said.verb} is no command of rules {rules}"))
    decider = DECIDERS.get(said.verb)
    if decider is None:
        return Decision(instead=Refused(Code.NOT_ALLOWED, f"{said.verb} asks, it changes nothing"))
    decided = decider(book, order)
    if isinstance(decided, Refused):
        return Decision(instead=decided)
    refused = refuse_outgrown(book, decided, rules)
    return Decision(decided) if refused is None else Decision(instead=refused)


def check_fresh(created_at: int, at: int) -> Refused | None:
    """Refuse a command older than a day or more than a quarter of an hour ahead of the bot's clock.

    `at` is when it was heard. The time of a book never goes back by itself, so after a clock that ran ahead the two differ.
    """
    if created_at < at - COMMAND_AGE_MAX_S:
        return Refused(Code.TOO_OLD, "this message is more than 24 hours old: send the command again")
    if created_at > at + COMMAND_LEAD_MAX_S:
        return Refused(Code.IN_THE_FUTURE, "this message is dated ahead of my clock: check your device's clock")
    return None


def _check_role(book: Book, order: Order) -> Refused | None:
    """A book obeys its platform, its operator and its LPs, each within its own part of the table."""
    role = order.command.form.role
    if role is Role.PLATFORM:
        allowed = order.author == book.platform
    elif role is Role.OPERATOR:
        allowed = book.key != ROOT and order.author == book.operator
        if allowed and not book.active:
            return SUSPENDED
    else:
        allowed = role is Role.LP and order.author in book.lp_of_key
    return None if allowed else not_yours(order.verb)
