"""Checkpoints as they are kept.

What lives here: reading them. What does not: writing them (writer.py), and what they say (core/proofs/checkpoint.py).
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from nostrbot.store.tables import book, checkpoint


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """The `number`-th checkpoint of a book. `leaves`: None if they are no longer kept, or were not asked for."""

    number: int
    event: bytes
    leaves: bytes | None = None


class Checkpoints:
    """Checkpoints of books, each question on its own connection."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def newest(self) -> dict[str, StoredCheckpoint]:
        """Return the newest checkpoint of every book that has one, by the book's key; without leaves."""
        last = select(checkpoint.c.book, func.max(checkpoint.c.number).label("number"))
        newest = last.group_by(checkpoint.c.book).subquery()
        on = (checkpoint.c.book == newest.c.book) & (checkpoint.c.number == newest.c.number)
        statement = select(book.c.key, checkpoint.c.number, checkpoint.c.event)
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                statement.select_from(checkpoint.join(newest, on).join(book, book.c.id == checkpoint.c.book))
            )
            return {row.key: StoredCheckpoint(row.number, row.event) for row in rows}

    async def of(self, key: str, *, seq: int | None = None) -> StoredCheckpoint | None:
        """Return the newest checkpoint of a book, or the newest of those after entry `seq`; with its leaves."""
        conditions: list[ColumnElement[bool]] = [book.c.key == key]
        if seq is not None:
            conditions.append(checkpoint.c.seq == seq)
        statement = select(checkpoint.c.number, checkpoint.c.event, checkpoint.c.leaves).join(book).where(*conditions)
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement.order_by(checkpoint.c.number.desc()).limit(1))).one_or_none()
        return None if row is None else StoredCheckpoint(row.number, row.event, row.leaves)
