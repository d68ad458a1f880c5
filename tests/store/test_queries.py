"""How the database goes about a question: by an index where a book is long and the answer short."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store


async def test_an_lps_legs_are_found_by_its_own_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without statistics SQLite would walk down every leg of the book, for each page of one LP's history."""
    path = tmp_path / "bot.sqlite"
    store = await Store.open(sqlite_url(path))
    asked: list[Any] = []

    async def note(statement: Any) -> list[Any]:
        asked.append(statement)
        return []

    monkeypatch.setattr(store.queries, "_all", note)
    await store.queries.legs_of("book", "ana", before=5, since=1, limit=20)
    await store.close()
    sql = str(asked[0].compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    with closing(sqlite3.connect(path)) as connection:
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]
    assert "SEARCH leg USING INDEX leg_lp (book=? AND lp=? AND number<?)" in steps
