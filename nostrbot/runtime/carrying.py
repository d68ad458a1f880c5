"""Carrying: what was decided in one book, entered into another that must know it.

What lives here: the platform's fee and the bot's former keys for a new operator's book, and an LP's earlier choices for
its `join` with another operator. What does not: deciding them (core/engine.py), and which books a command concerns
(lp_books.py beside this). docs/protocol.md section 7; the review of November 2026, A8.
"""

from nostrbot.core.book import ROOT, Book
from nostrbot.core.engine import decide
from nostrbot.core.inputs import Signed
from nostrbot.core.rules import RULES
from nostrbot.runtime.lp_books import lp_in
from nostrbot.runtime.prefetch import carried_input
from nostrbot.runtime.shelf import Shelf
from nostrbot.runtime.turn import Turn
from nostrbot.store.queries import Queries


class Carrying:
    """The carrier of one book's inputs into another."""

    def __init__(self, shelf: Shelf, queries: Queries) -> None:
        self._shelf = shelf
        self._queries = queries

    async def open_with(self, root: Book, key: str, now: int, turn: Turn) -> None:
        """Enter what an operator's book must know of before its time: the platform's fee, and the keys the bot had
        then.
        """
        # The newest rotation first: each names who was before one that the book knows.
        seqs = [seq for seq in (*reversed(root.rotations), root.fee_seq) if seq]
        await self._enter_again(ROOT, seqs, key, now, turn)

    async def bring_choices(self, join: Signed, known: str, key: str, now: int, turn: Turn) -> None:
        """Before an LP's `join` with an operator enter what it chose with another one; not earlier.

        Until it says so itself, nothing of an LP is any other operator's to know (review A8).
        """
        books = self._shelf.books
        there, here = (lp_in(books[book], join.author) for book in (known, key))
        if there.preferences is not None and here.preferences is None:
            seqs = sorted(set(there.preference_seqs.values()))
            await self._enter_again(known, seqs, key, now, turn, but=join.id)

    async def _enter_again(
        self, key: str, seqs: list[int], other: str, now: int, turn: Turn, *, but: str | None = None
    ) -> None:
        """Enter the inputs of these entries of book `key` in another one, `but` not the one of this id."""
        into = self._shelf.live[other]
        self._shelf.in_hand = other
        for seq in seqs:
            carried = await carried_input(self._queries, turn.batch, key, seq)
            if carried.id == but:
                continue
            decision = decide(into.book, carried, into.chain.next_at(now), RULES)
            if decision.facts:
                self._shelf.seal(into, carried, decision.facts, now, turn)
