"""Filling: the sums of an older home, made from its journal in the transaction that adds their tables.

What lives here: reading entries and adding up what they change. What does not: how sums are made (sums.py), and making
all projections again (rebuilding.py). An entry that cannot be read ends the filling of its book: the start that comes
next finds what is wrong with it, and closes it (integrity.py).
"""

from collections.abc import Iterator
from contextlib import suppress

import orjson
from sqlalchemy import Connection

from nostrbot.core.facts import read_fact
from nostrbot.core.inputs import effect_id
from nostrbot.store.batch import Outcome, Projections
from nostrbot.store.sums import News, sum_up

ENTRIES_AT_ONCE = 500
_ENTRIES = "SELECT seq, at, body FROM entry WHERE book = ? AND seq > ? ORDER BY seq LIMIT ?"


def fill_sums(connection: Connection) -> None:
    """Fill empty sum tables from the entries there are."""
    numbers = [number for (number,) in connection.exec_driver_sql("SELECT id FROM book ORDER BY id")]
    for number in numbers:
        for news in _news_of(connection, number):
            _write(connection, news)


def _news_of(connection: Connection, number: int) -> Iterator[News]:
    """Yield what the entries of a book change, some at a time."""
    after = 0
    while True:
        rows = connection.exec_driver_sql(_ENTRIES, (number, after, ENTRIES_AT_ONCE)).fetchall()
        projections, is_sound = Projections(), False
        with suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            for seq, at, body in rows:
                projections.add_facts(number, _outcome(seq, at, body))
            is_sound = True
        yield projections.news
        if not is_sound or len(rows) < ENTRIES_AT_ONCE:
            return
        after = rows[-1][0]


def _outcome(seq: int, at: int, body: bytes) -> Outcome:
    content = orjson.loads(body)
    return Outcome(seq, at, effect_id(content["input"]), tuple(read_fact(fields) for fields in content["facts"]))


def _write(connection: Connection, news: News) -> None:
    asking = sum_up(news, births_too=True)
    with suppress(StopIteration):
        ask = next(asking)
        while True:
            if ask.is_reading:
                ask = asking.send(connection.exec_driver_sql(ask.sql, tuple(ask.rows)).fetchall())
                continue
            if ask.rows:
                connection.exec_driver_sql(ask.sql, list(ask.rows))
            ask = next(asking)
