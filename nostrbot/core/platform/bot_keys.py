"""The bot's keys in a book: one handed on to the next, and those it had before the book was opened.

What lives here: deciding the bot's own rotation. What does not: the three signatures it takes (succession.py beside
this), who makes them (runtime/rotation.py), and what a key is in a book (roles.py beside this). docs/protocol.md
section 6.
"""

from typing import Any

from nostrbot.core.book import Book
from nostrbot.core.desk import Decision
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import Signed
from nostrbot.core.platform.facts import BotRotated, PredecessorNamed
from nostrbot.core.platform.roles import parts_of, taken
from nostrbot.core.platform.succession import read_succession
from nostrbot.core.rules import SOUND
from nostrbot.refusals import Reason, Refusal


def decide_succession(book: Book, given: Signed, said: Any, at: int, rules: int) -> Decision:
    """Decide the bot's own rotation; one carried into a book that was opened after it names who was addressed
    before.
    """
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
