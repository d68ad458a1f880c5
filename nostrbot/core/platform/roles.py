"""Roles: what a key is in a book, and which roles one key may have together.

What lives here: the one table of it, as every command and the bot's own rotation ask it; and whose a commission split
is by now. What does not: who may say what (core/engine.py), and keys in other books (core/directory.py).
docs/protocol.md section 6, "Keys and roles"; the review of November 2026, A10 and A15.

A book knows its own keys and those of its bot and platform, nothing else: what it refuses tells nobody who is whose
elsewhere. The part of a key is judged whenever it matters: a split names a key, and the owner of that key may change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from nostrbot.core.atm.records import Split
from nostrbot.core.book import Book
from nostrbot.core.commands import arguments
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import Part
from nostrbot.core.ledger import accounts

# For each part that a key is to get: what it must not be. The bot's keys are for the bot alone. A machine's key lies in
# a box on a street: whoever breaks it open must not read a person's messages or give a person's commands.
BARRED: Mapping[Part, frozenset[Part]] = {
    Part.BOT: frozenset(Part),
    Part.PLATFORM: frozenset({Part.BOT, Part.MACHINE}),
    Part.OPERATOR: frozenset({Part.BOT, Part.MACHINE}),
    Part.FORMER_OPERATOR: frozenset(),  # nobody is given this: it is what an operator's key becomes
    Part.MACHINE: frozenset(Part),
    Part.LP: frozenset({Part.BOT, Part.MACHINE}),
    Part.PARTY: frozenset({Part.BOT, Part.MACHINE}),
}

_IS = {
    Part.BOT: "is or was my own",
    Part.PLATFORM: "is the platform's",
    Part.OPERATOR: "is the operator's",
    Part.FORMER_OPERATOR: "was the operator's",
    Part.MACHINE: "is or was a machine's",
    Part.LP: "is an LP's",
    Part.PARTY: "shares in a commission",
}


def no_key() -> str | None:
    """Return no key: the bot's next key while no rotation is on its way."""
    return None


def bot_keys(book: Book) -> tuple[str, ...]:
    """Return the bot's key in force and those it had before."""
    return (book.bot, *book.former_bots)


def parts_of(book: Book, pubkey: str) -> Iterator[Part]:
    """Return what a key is in a book, in the order of the list above."""
    is_one = {
        Part.BOT: pubkey in bot_keys(book),
        Part.PLATFORM: pubkey == book.platform,
        Part.OPERATOR: pubkey == book.operator or pubkey in book.operator_of_key,
        Part.FORMER_OPERATOR: pubkey in book.former_operators,
        Part.MACHINE: pubkey in book.machine_of_key,
        Part.LP: pubkey in book.lp_of_key,
        Part.PARTY: _is_party(book, pubkey),
    }
    return (part for part, is_part in is_one.items() if is_part)


def _is_party(book: Book, pubkey: str) -> bool:
    is_named = any(rule.pubkey == pubkey for rules in book.splits.values() for rule in rules)
    return is_named or book.balances.of(accounts.party(pubkey), accounts.SAT) != 0


def find_bar(book: Book, pubkey: str, part: Part) -> CommandRefused | None:
    """Return why a key may not get a part in this book; None if it may."""
    barred = next((held for held in parts_of(book, pubkey) if held in BARRED[part]), None)
    return None if barred is None else taken(barred)


def keys_given(command: Command) -> Iterator[str]:
    """Return the keys (hex) to which a command would give a part."""
    if command.spec.gives is None:
        return
    if "npub" in command.args:
        yield command.args["npub"]
    else:
        for _, text in command.rest:
            key = arguments.public_key(text.partition(":")[2])
            if isinstance(key, str):  # not self, nor the name of an LP
                yield key


def taken(held: Part) -> CommandRefused:
    """Return the refusal of a key that has a part which bars it."""
    return CommandRefused(Code.KEY_TAKEN, f"this key {_IS[held]}: choose another key, each is for one purpose")


def owner_now(book: Book, rule: Split) -> Split:
    """Return a share as it is to be paid now: to the LP or the operator that owns its key by now.

    The bot takes no share: what was set aside for one of its keys is the operator's own.
    """
    if rule.lp is not None:
        is_bot = book.lps[rule.lp].pubkey in bot_keys(book)
        return replace(rule, lp=None) if is_bot else rule
    if rule.pubkey is None:
        return rule
    lp, is_own = owner_of(book, rule.pubkey)
    return replace(rule, lp=lp, pubkey=None) if is_own or lp is not None else rule


def owner_of(book: Book, pubkey: str) -> tuple[str | None, bool]:
    """Return who owns the sats for a key in this book: an LP (its handle), or whether the operator does.

    A key that the operator had before is a stranger's: it may be somebody who sold the business and keeps a share.
    """
    if pubkey in bot_keys(book) or pubkey == book.operator:
        return None, True
    return book.lp_of_key.get(pubkey), False
