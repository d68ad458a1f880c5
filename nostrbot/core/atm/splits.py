"""Commission splits: who shares what the platform leaves of each fee.

What lives here: setting and clearing a set. What does not: the sharing (core/atm/settlements/fees.py). A set is
replaced as one and must be exactly 100 %; a machine's own set hides the operator's default (acceptance X18-X21).
"""

from collections.abc import Iterable

from nostrbot.core.atm.facts import SplitsSet
from nostrbot.core.atm.records import Split
from nostrbot.core.atm.registry import find_machine
from nostrbot.core.book import Book
from nostrbot.core.commands import arguments
from nostrbot.core.commands.command import SPLITS_MAX, Command
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import Part
from nostrbot.core.facts import Fact
from nostrbot.core.platform.roles import bot_keys, find_bar, owner_now, taken
from nostrbot.core.rules import SOUND
from nostrbot.money import PPM, format_ppm, split

SELF = "self"
LABEL_CHARS_MAX = 32


def set_splits(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Replace the set of the operator, or of one machine."""
    machine = order.args.get("machine")
    if machine is not None:
        found = find_machine(book, machine)
        if isinstance(found, CommandRefused):
            return found
    rules = []
    for label, text in order.command.rest:
        rule = _read_rule(book, order, label, text)
        if isinstance(rule, CommandRefused):
            return rule
        rules.append(rule)
    if not rules:
        return CommandRefused(Code.MISSING_ARGUMENT, f"name who shares. Say: {order.command.spec.usage}")
    if len(rules) > SPLITS_MAX:
        return CommandRefused(Code.BAD_ARGUMENT, f"at most {SPLITS_MAX} parties can share")
    if len({rule.label for rule in rules}) < len(rules):
        return CommandRefused(Code.BAD_ARGUMENT, "each label may be used once")
    whole = sum(rule.ppm for rule in rules)
    if whole != PPM:
        return CommandRefused(
            Code.SPLITS_NOT_WHOLE, f"the shares sum to {format_ppm(whole)}, not 100%: nothing was changed"
        )
    fact = SplitsSet(machine, tuple(rules))
    return () if book.splits.get(machine) == fact.splits else (fact,)


def clear_splits(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Let a machine follow the operator's default set again."""
    machine = find_machine(book, order.args["machine"])
    if isinstance(machine, CommandRefused):
        return machine
    return (SplitsSet(machine.handle, ()),) if book.splits.get(machine.handle) else ()


def _read_rule(book: Book, order: Order, label: str, text: str) -> Split | CommandRefused:
    share, colon, target = text.partition(":")
    ppm = arguments.by_rules(arguments.percentage, order.rules)(share)
    if not label or len(label) > LABEL_CHARS_MAX or not colon or not isinstance(ppm, int) or ppm == 0:
        return CommandRefused(
            Code.BAD_ARGUMENT, f"{label[:LABEL_CHARS_MAX]!r} must be written <label>=<pct>:<npub, LP or self>"
        )
    if target.lower() == SELF:
        return Split(label, ppm, None, None)
    if target.lower() in book.lps:
        if order.rules >= SOUND and book.lps[target.lower()].pubkey in bot_keys(book):
            return CommandRefused(Code.KEY_TAKEN, f"{label}: {taken(Part.BOT).message}")
        return Split(label, ppm, target.lower(), None)
    pubkey = arguments.by_rules(arguments.public_key, order.rules)(target)
    if isinstance(pubkey, arguments.Wanted):
        return CommandRefused(
            Code.NOT_FOUND, f"{label}: say self, the name of one of your LPs, or an npub after the colon"
        )
    if order.rules >= SOUND:
        barred = find_bar(book, pubkey, Part.PARTY)
        if barred is not None:
            return CommandRefused(barred.code, f"{label}: {barred.message}")
        return owner_now(book, Split(label, ppm, None, pubkey))
    if pubkey == book.operator:
        return Split(label, ppm, None, None)
    return Split(label, ppm, book.lp_of_key.get(pubkey), None if pubkey in book.lp_of_key else pubkey)


def share_pots(splits: tuple[Split, ...], pots: Iterable[tuple[int, int]]) -> list[int]:
    """Return what each of these parties would have got of pots, given as (sats, number of settlements with that
    pot).
    """
    together = [0] * len(splits)
    for sats, count in pots:
        for place, part in enumerate(split(sats, [rule.ppm for rule in splits])):
            together[place] += part * count
    return together


def splits_as_set(book: Book, said: Command, facts: tuple[Fact, ...]) -> tuple[Split, ...]:
    """Return the set of splits after a decided command."""
    return facts[0].splits if facts and isinstance(facts[0], SplitsSet) else book.splits[said.args.get("machine")]
