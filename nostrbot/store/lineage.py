"""Lineage: the keys before those in force, by the root book, so that whoever has an old key finds its book.

What lives here: a book by any key its operator ever had; the bot a book was opened with. What does not: the facts
(core/facts.py) and books as they are folded (store.py). The root book has a few entries an operator.
"""

from collections.abc import AsyncIterator
from typing import Any

from nostrbot.core.book import ROOT
from nostrbot.core.facts import read_fact
from nostrbot.core.platform.facts import BotRotated, OperatorReplaced
from nostrbot.store.queries import Queries


async def book_of(queries: Queries, pubkey: str) -> str:
    """Return the key of the book of an operator that has, or had, this key; the key itself if no other is known."""
    async for fields, _ in _root_facts(queries, OperatorReplaced.name):
        replaced = read_fact(fields)
        assert isinstance(replaced, OperatorReplaced), "asked for by its name"
        if replaced.pubkey == pubkey:
            return replaced.operator
    return pubkey


async def first_bot(queries: Queries, book: str, bot: str) -> str:
    """Return the bot that a book was opened with. `bot`: the key in force (hex)."""
    rotations = [event_id async for _, event_id in _root_facts(queries, BotRotated.name)]
    entries = [entry for entry in await queries.entries_of_events(rotations) if entry.book == book]
    for entry in sorted(entries, key=lambda entry: entry.seq):
        fact = read_fact(entry.plain()["facts"][0])
        if isinstance(fact, BotRotated):  # not one that was carried into a book opened later
            return fact.old
    return bot


async def _root_facts(queries: Queries, name: str) -> AsyncIterator[tuple[dict[str, Any], str]]:
    """Return the root book's facts of this name, each with the id of the event it was decided from."""
    async for entry in queries.entries(ROOT):
        content = entry.plain()
        for fields in content["facts"]:
            if fields["fact"] == name:
                yield fields, content["input"]["event"]["id"]
