"""LPs' proofs: that their balances are part of what the bot signed.

What lives here: finding the checkpoint and making the proof. What does not: signing checkpoints (runtime/notary.py),
the tree (core/proofs/liabilities.py), sentences (messages/words/trust.py). A tree is made piece by piece and the last
few are remembered: ten thousand LPs who ask one after the other cost one tree.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import NamedTuple, TypeVar

import orjson

from nostrbot.core.book import Book
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.proofs.checkpoint import Checkpoint, proof_view, read_checkpoint
from nostrbot.core.proofs.liabilities import Tree, add_up, reading_leaves, root_of
from nostrbot.errors import BooksError
from nostrbot.nostr.event import read_event
from nostrbot.reading.question import Question
from nostrbot.refusals import Refusal
from nostrbot.store.queries import Queries
from nostrbot.views.fitting import Data

Result = TypeVar("Result")

TREES_REMEMBERED = 4  # some 20 MB each with ten thousand LPs
NO_CHECKPOINT = CommandRefused(
    Code.NOT_FOUND,
    "nothing is signed yet: a checkpoint comes with the next day, or at once if your operator says `checkpoint`",
)
NOT_KEPT = CommandRefused(
    Code.NOT_FOUND, "there is no such checkpoint, or it is too old to prove: `proof` takes the newest"
)
NOT_THEN = CommandRefused(Code.NOT_FOUND, "you were not enrolled yet at that checkpoint: ask again after the next one")


class Grown(NamedTuple):
    """A checkpoint and the tree behind it."""

    checkpoint: Checkpoint
    tree: Tree


class ProofReading:
    """The answers to `proof`, over stored checkpoints."""

    def __init__(self, books: Mapping[str, Book], queries: Queries) -> None:
        self._books = books
        self._queries = queries
        self._grown: OrderedDict[tuple[str, int], Grown] = OrderedDict()  # by book and number, last used last

    @property
    def readers(self) -> Mapping[str, Callable[[Question], Awaitable[Data | CommandRefused]]]:
        """The reader of each question, by verb."""
        return {"proof": self._proof}

    async def _proof(self, question: Question) -> Data | CommandRefused:
        operator = question.args.get("operator")
        books = [book for book, _ in question.enrolled_in(self._books) if operator in (None, book.handle)]
        if not books:
            return CommandRefused(Code.NOT_FOUND, "you are not with that operator: `balance` shows yours")
        if len(books) > 1:
            names = ", ".join(book.handle for book in books)
            return CommandRefused(
                Code.AMBIGUOUS, f"you are with {names}, and each signs for itself: add operator=<name>"
            )
        seq = question.args.get("checkpoint")
        grown = await self._find(books[0].key, seq)
        if grown is None:
            return NO_CHECKPOINT if seq is None else NOT_KEPT
        leaves = grown.tree.leaves_of(question.author)
        if leaves is None:
            return NOT_THEN
        return {"proof": proof_view(grown.checkpoint, add_up(leaf.sums for leaf, _ in leaves), leaves)}

    async def _find(self, key: str, seq: int | None) -> Grown | None:
        stored = await self._queries.checkpoints.of(key, seq=seq)
        if stored is None or stored.leaves is None:
            return None
        place = (key, stored.number)
        if place not in self._grown:
            self._grown[place] = await _grow(stored.event, stored.leaves)
            if len(self._grown) > TREES_REMEMBERED:
                self._grown.popitem(last=False)
        self._grown.move_to_end(place)
        return self._grown[place]


async def in_pieces(work: Generator[None, None, Result]) -> Result:
    """Do something long piece by piece, and let others do theirs between: a thread would hold them up just as much."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: Result = done.value
            return result
        await asyncio.sleep(0)


async def _grow(event: bytes, leaves: bytes) -> Grown:
    signed = read_event(orjson.loads(event))
    checkpoint = signed if isinstance(signed, Refusal) else read_checkpoint(signed)
    if isinstance(checkpoint, Refusal):
        raise BooksError("a checkpoint that was kept is damaged: restore a backup")
    tree = await in_pieces(Tree.growing(await in_pieces(reading_leaves(leaves))))
    if root_of(checkpoint.standpoint, tree.top) != checkpoint.root:
        raise BooksError("what was kept beside a checkpoint is not what was signed: restore a backup")
    return Grown(checkpoint, tree)
