"""Trails: a book's whole history as a file that anybody can verify.

What lives here: writing one. What does not: verifying it (audit/verification.py). docs/protocol.md section 7. A trail
is JSON Lines: a header, then every entry in order.
"""

from collections.abc import AsyncGenerator

from nostrbot.errors import ConfigError
from nostrbot.journal.entry import TRAIL_VERSION, canonical, trail_line
from nostrbot.store.lineage import book_of, first_bot
from nostrbot.store.queries import Queries


async def export_trail(queries: Queries, bot: str, book: str) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a book's trail. Raises ConfigError if there is no such book.

    `bot`: its key in force; `book`: any key that its operator has or had (both hex). The header has the first of each.
    """
    book = await book_of(queries, book)
    header: bytes | None = None
    async for stored in queries.entries(book):
        if header is None:
            first = await first_bot(queries, book, bot)
            header = canonical({"trail": TRAIL_VERSION, "bot": first, "book": book, "created_at": stored.at})
            yield header + b"\n"
        yield trail_line(stored.body, stored.hash) + b"\n"
    if header is None:
        raise ConfigError("there is no book of that operator here: `nostrbot status` lists them")
