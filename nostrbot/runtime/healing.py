"""Healing: the time of books set right, after the computer's clock had run ahead.

What lives here: which books are ahead, whether the clock can be believed now, and the one entry that sets a book's time
right. What does not: what it means for a book (core/evolution.py, core/atm/till.py), the home's lock (cli/).
docs/protocol.md sections 7 and 8; docs/operations.md "When the clock was wrong".

The time of a book never goes back by itself, so a clock that ran ahead leaves the book there. History is not rewritten:
an entry says from when to when the time goes back, and after it alone it may.
"""

from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from nostrbot.core.book import ROOT
from nostrbot.core.engine import COMMAND_LEAD_MAX_S, apply, decide
from nostrbot.core.inputs import ClockSet
from nostrbot.core.rules import RULES
from nostrbot.errors import BooksError, ConfigError
from nostrbot.journal.entry import seal
from nostrbot.nostr.keys import npub
from nostrbot.store.batch import Batch
from nostrbot.store.store import LiveBook, Store

SIGNED_LOOKED_AT = 21  # of a book's newest entries: the middle one's date says what time other people's clocks had


class Healed(NamedTuple):
    """A book whose time was set right: its operator's name and key (npub; of the root book None), unix seconds."""

    book: str
    operator: str | None
    was: int
    now: int


async def heal(store: Store, bot: str, platform: str, now: int, *, trust_clock: bool = False) -> list[Healed]:
    """Set the time right in each book that is ahead of `now`, in one transaction. Returns those books.

    Raises BooksError if a book is not sound, ConfigError when what others signed says that `now` itself is wrong.
    """
    books = await store.load_books(bot, platform)
    ahead = {key: live for key, live in books.items() if live.chain.at > now}
    if ahead and not trust_clock:
        for key, live in ahead.items():
            await _believe(store, key, live, now)
    batch, healed = Batch(), list[Healed]()
    for key, live in ahead.items():
        if live.flaw is not None:
            raise BooksError(f"{live.flaw}; nothing was changed")
        given = ClockSet(live.chain.at, now)
        decision = decide(live.book, given, now, RULES)
        if not decision.facts:
            raise BooksError(f"book {key} does not take this time: {decision.instead}; nothing was changed")
        seq = live.chain.seq + 1
        booked = apply(live.book, given.id, decision.facts, seq=seq, at=now, rules=RULES)
        batch.entries.append(seal(live.chain, given, decision.facts, booked, at=now))
        name, operator = (ROOT, None) if key == ROOT else (live.book.handle, npub(key))
        healed.append(Healed(name, operator, given.was, now))
    try:
        await store.writer.commit(batch)
    except DBAPIError as error:
        raise ConfigError(f"the database cannot be written ({error.orig}): nothing was changed") from None
    return healed


async def _believe(store: Store, key: str, live: LiveBook, now: int) -> None:
    """Raise ConfigError if what people and machines signed last is dated after `now`: then `now` is wrong."""
    newest = live.chain.seq
    seqs = range(max(1, newest - SIGNED_LOOKED_AT + 1), newest + 1)
    entries = await store.queries.entries_at(key, list(seqs))
    dates = sorted(
        event["created_at"] for entry in entries.values() if (event := entry.plain()["input"].get("event")) is not None
    )
    if dates and dates[len(dates) // 2] > now + COMMAND_LEAD_MAX_S:
        raise ConfigError(
            f"this computer's clock says {now}, and what was signed last in the book {live.book.handle or ROOT} is dated"
            f" {dates[len(dates) // 2]}: set the clock right first, or insist with --trust-clock; nothing was changed"
        )
