"""Keeping: whatever the core accepts can be sealed, snapshotted, restored and verified, at any moment.

What lives here: the living bot's books, kept as they are just now and read back; their trails, verified; and that no book is in
trouble without a trouble of the disk's. What does not: what is compared at the end of a world (ending.py).
"""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import orjson

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.recall import Recall
from nostrbot.core.book import Book
from nostrbot.core.ledger.balances import Balances
from nostrbot.core.snapshots import restore_snapshot, take_snapshot
from nostrbot.errors import TrailError
from tests.houses import BOT
from tests.simulator.witness import Violation, hold

if TYPE_CHECKING:
    from tests.simulator.node import Node
    from tests.simulator.world import World

KEPT_LIKELY, VERIFIED_LIKELY = 0.25, 0.02  # of steps; the latter takes as long as fifty others


def check_keeping(world: "World") -> None:
    """Raises Violation. To be called after each step; it looks at random."""
    for node in (world.node, world.second):
        _check_no_trouble(world, node)
    drawn = world.rng.random()
    if drawn < KEPT_LIKELY:
        for node in (world.node, world.second):
            _check_kept(node)
    if drawn < VERIFIED_LIKELY:
        verify_all(world)


def _check_no_trouble(world: "World", node: "Node") -> None:
    """A book that is in trouble, and the disk was well, is a fault of the product's."""
    process = node.process
    if node.sequencer is None or process is None or process.had_trouble or process.is_with_another:
        return
    for trouble in node.sequencer.troubles.current(world.loop.time()):
        raise Violation(f"a book is in trouble: {trouble.words()}")


def _check_kept(node: "Node") -> None:
    """Each book comes back from a snapshot as it was."""
    if node.sequencer is not None:
        for live in list(node.sequencer.bookkeeper.live.values()):
            try:
                taken = orjson.dumps(take_snapshot(live.book))
                restored = restore_snapshot(orjson.loads(taken))
                again = orjson.dumps(take_snapshot(restored))
            except Exception as error:
                raise Violation(f"the book {live.book.handle} cannot be kept: {error!r}") from error
            hold(again == taken, f"the book {live.book.handle} comes back from a snapshot as another")
            lost = [one.name for one in fields(Book) if _part(restored, one.name) != _part(live.book, one.name)]
            hold(not lost, f"the book {live.book.handle} comes back from a snapshot without its {lost}")


def _part(book: Book, name: str) -> Any:
    """One field of a book, to be compared; a recall is no part of it."""
    value = getattr(book, name)
    return dict(value.items()) if isinstance(value, Balances) else None if isinstance(value, Recall) else value


def verify_all(world: "World") -> None:
    """The auditor follows each book, as far as it is committed."""
    for key, ledger in world.witness.books.items():
        try:
            summary = verify_trail(world.witness.lines(key, BOT.pubkey), bot=BOT.pubkey)
        except TrailError as error:
            raise Violation(f"the auditor of {key[:8]}: {error}") from error
        hold(summary.head == ledger.entries[-1][0], "the auditor found another head")
