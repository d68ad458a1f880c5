"""Loading: books come back from the journal as they were, with a snapshot or without, or not at all."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.snapshots import take_snapshot
from nostrbot.errors import BooksError, FenceError, TrailError
from nostrbot.exports.trail import export_trail
from nostrbot.nostr.giftwrap import make_wrap
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope
from nostrbot.runtime import people, shelf
from nostrbot.store import queries
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store
from tests.offices import ANA, BEN, BOT, OPERATOR, PLATFORM, Office, command, office, report
from tests.signers import Plain

SNAPSHOT_EVERY = 10


def write(path: Path, sql: str, *values: Any) -> None:
    """What a broken disk or a meddler does."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


def damage(path: Path, table: str, where: str, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of bodies, and nothing else."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for row, body in connection.execute(f"SELECT rowid, body FROM {table} WHERE {where}").fetchall():
            assert change(body) != body
            connection.execute(f"UPDATE {table} SET body = ? WHERE rowid = ?", (change(body), row))


def snapshots(path: Path) -> list[int]:
    """The entries of the operator's book that snapshots stand on."""
    with closing(sqlite3.connect(path)) as connection:
        return [seq for (seq,) in connection.execute("SELECT seq FROM snapshot WHERE book = 2 ORDER BY seq")]


def state(at: Office) -> dict[str, Any]:
    """All that an operator's book knows, and where its chain ends."""
    return take_snapshot(at.book) | {"head": at.head}


@pytest.fixture
async def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal of 56 entries with a snapshot every ten, the newest on entry 51."""
    monkeypatch.setattr(shelf, "SNAPSHOT_EVERY_ENTRIES", SNAPSHOT_EVERY)
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        for n in range(1, 46):
            await at.take(report(n))
    return path


async def test_only_two_snapshots_are_kept(path: Path) -> None:
    """One every N entries; the newest and the one before it stay, should the newest be damaged."""
    assert snapshots(path) == [41, 51]


async def test_books_from_a_snapshot_equal_books_from_scratch(path: Path) -> None:
    """A snapshot is a cache of the facts before it: with or without, the books and the head are the same."""
    async with office(path) as at:
        with_snapshot = state(at)
        assert at.bookkeeper.live[OPERATOR.pubkey].snapshot_seq == 51
    write(path, "DELETE FROM snapshot")
    async with office(path) as at:
        assert state(at) == with_snapshot
        assert at.bookkeeper.live[OPERATOR.pubkey].snapshot_seq == 0
        assert at.book.settlement_count == 45


@pytest.mark.parametrize("damaged", ["seq = 51", "TRUE"], ids=["newest", "both"])
async def test_a_damaged_snapshot_is_passed_over(path: Path, damaged: str) -> None:
    """The digest tells; the one before is used, or the whole journal is folded."""
    async with office(path) as at:
        before = state(at)
    damage(path, "snapshot", f"book = 2 AND {damaged}", lambda body: body.replace(b"antigua", b"antiqua"))
    async with office(path) as at:
        assert state(at) == before
        assert at.bookkeeper.live[OPERATOR.pubkey].snapshot_seq == (41 if damaged == "seq = 51" else 0)


async def test_a_snapshot_in_a_shape_of_old_is_passed_over(path: Path) -> None:
    """What an earlier release wrote and this one cannot read is a cache miss, not the end."""
    async with office(path) as at:
        before = state(at)
    old = b'{"v":0,"machines":[]}'
    write(path, "UPDATE snapshot SET body = ?, digest = ?", old, sha256(old).digest())
    async with office(path) as at:
        assert state(at) == before


async def test_a_snapshot_that_stands_on_no_entry_is_passed_over(path: Path) -> None:
    """Where the journal ends before a snapshot the book is read from the one before, and closed: its end is lost."""
    write(path, "DELETE FROM entry WHERE book = 2 AND seq >= 51")
    async with office(path) as at:
        reason = at.bookkeeper.closed_books[OPERATOR.pubkey]
        assert reason.startswith("the journal ends at entry 50, and there was an entry 5")
        assert at.bookkeeper.live[OPERATOR.pubkey].chain.seq == 50
        assert at.bookkeeper.live[OPERATOR.pubkey].snapshot_seq == 41
        assert at.book.settlement_count == 39


async def test_work_goes_on_after_a_snapshot(path: Path) -> None:
    """What was settled before the snapshot is still known as a duplicate, and the next settlement has the next number."""
    async with office(path) as at:
        turn = await at.take(report(1), report(46))
        assert '"status":"duplicate","settlement":"s1"' in turn.say[0].text
        assert [entry.facts[0].number for entry in turn.batch.entries] == [46]


async def flaw(path: Path) -> str | None:
    """Why the operator's book is closed, opened as a bot opens it; the root book is not."""
    async with office(path) as at:
        assert set(at.bookkeeper.closed_books) <= {OPERATOR.pubkey}
        return at.bookkeeper.closed_books.get(OPERATOR.pubkey)


# The newest snapshot stands on entry 51: one damaged entry lies behind it, one is hidden by it.
@pytest.mark.parametrize("seq", [54, 20])
@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"100000", b"100001"),
        lambda body: body.replace(b'"facts"', b"facts"),
        lambda body: b"\xff" + body[1:],
        lambda body: body[:100],
        lambda body: b"",
        lambda body: b"[]",
        lambda body: body + b" ",
    ],
    ids=["amount", "not JSON", "not UTF-8", "cut short", "empty", "another shape", "one blank more"],
)
async def test_a_damaged_entry_is_named_at_the_start(path: Path, change: Callable[[bytes], bytes], seq: int) -> None:
    """A changed byte anywhere in an entry, however old: its book is closed, named with the entry and what to do."""
    damage(path, "entry", f"book = 2 AND seq = {seq}", change)
    assert await flaw(path) == f"the journal is damaged at entry {seq}: restore a backup with `nostrbot restore`"


async def test_a_damaged_book_is_folded_as_far_as_it_is_sound(path: Path) -> None:
    """Up to the entry before the damaged one: so much can be read, and no more is believed."""
    damage(path, "entry", "book = 2 AND seq = 54", lambda body: body[:100])
    async with office(path) as at:
        assert at.bookkeeper.live[OPERATOR.pubkey].chain.seq == 53
        assert at.book.settlement_count == 42


async def test_a_changed_hash_is_named_at_the_start(path: Path) -> None:
    """The hash beside the entry is checked as the entry is."""
    write(path, "UPDATE entry SET hash = zeroblob(32) WHERE book = 2 AND seq = 54")
    assert await flaw(path) == "the journal is damaged at entry 54: restore a backup with `nostrbot restore`"


async def test_a_missing_entry_is_named_at_the_start(path: Path) -> None:
    """An entry taken out of the middle."""
    write(path, "DELETE FROM entry WHERE book = 2 AND seq = 54")
    assert await flaw(path) == "the journal has no entry 54: restore a backup with `nostrbot restore`"


async def test_two_entries_that_changed_places_are_named(path: Path) -> None:
    """Order is part of the chain."""
    write(path, "UPDATE entry SET seq = 1000 WHERE book = 2 AND seq = 54")
    write(path, "UPDATE entry SET seq = 54 WHERE book = 2 AND seq = 55")
    write(path, "UPDATE entry SET seq = 55 WHERE book = 2 AND seq = 1000")
    assert await flaw(path) == "the journal is damaged at entry 54: restore a backup with `nostrbot restore`"


async def test_a_journal_of_many_pages_is_read_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries come a page at a time; whether the last page is full or not, none is missed and none comes twice."""
    for page in (1, 8, 28, 55, 56, 57):
        monkeypatch.setattr(queries, "PAGE_ROWS", page)
        async with office(path) as at:
            seqs = [entry.seq async for entry in at.store.queries.entries(OPERATOR.pubkey)]
            assert seqs == list(range(1, 57))


@pytest.mark.parametrize("has_snapshot", [True, False])
@pytest.mark.parametrize(
    ("bot", "platform"),
    [(BOT.pubkey, ANA.pubkey), (ANA.pubkey, PLATFORM.pubkey), (ANA.pubkey, BEN.pubkey)],
    ids=["another platform", "another bot", "both"],
)
async def test_another_home_s_database_is_refused(path: Path, bot: str, platform: str, has_snapshot: bool) -> None:
    """A home whose key or platform was exchanged does not take over the books, old or young."""
    if not has_snapshot:
        write(path, "DELETE FROM snapshot")
    store = await Store.open(sqlite_url(path))
    try:
        with pytest.raises(BooksError, match="this home's journal belongs to another bot or platform"):
            await store.load_books(bot, platform)
    finally:
        await store.close()


async def test_an_operator_s_book_alone_tells_whose_home_it_is(path: Path) -> None:
    """Every book is asked, not the root book alone."""
    write(path, "DELETE FROM snapshot")
    write(path, "DELETE FROM entry WHERE book = 1")
    store = await Store.open(sqlite_url(path))
    try:
        with pytest.raises(BooksError, match="belongs to another bot or platform"):
            await store.load_books(BOT.pubkey, ANA.pubkey)
    finally:
        await store.close()


async def test_commands_answered_before_a_restart_have_no_second_effect(path: Path) -> None:
    """faults.md rows 2 and 32: the same event again, in another run of the bot, changes nothing and is not answered."""
    deposit = command(OPERATOR, "deposit add ana 500 machine=m1")
    async with office(path) as at:
        await at.take(deposit)
        assert len(at.book.deposits) == 3
    async with office(path) as at:
        turn = await at.take(deposit)
        assert not turn.batch
        assert not turn.say
        assert len(at.book.deposits) == 3
        assert dict(at.bookkeeper.refusals) == {"duplicate": 1}


async def test_a_book_that_a_gift_wrap_opened_is_the_home_s_own(tmp_path: Path) -> None:
    """Its first entry holds a seal, which has no tags: whose it is stands in what was sealed."""
    keys = Keys.from_secret(PLATFORM.secret)
    words = f"operator add {OPERATOR.npub} name=antigua"
    path = tmp_path / "bot.sqlite"
    async with office(path, house=()) as at:
        wrap = make_wrap(keys, Envelope(keys), to=BOT.pubkey, text=words, at=at.now, name=b"first")
        await at.take(wrap.plain())
        assert at.book.handle == "antigua"
    async with office(path) as at:
        assert at.book.handle == "antigua"


@pytest.mark.parametrize(
    "said", [report(46), command(PLATFORM, f"operator add {BEN.npub} name=ben")], ids=["sale", "book"]
)
async def test_a_book_that_another_bot_writes_to_is_not_damaged(path: Path, said: Plain) -> None:
    """What is kept is examined against what was loaded before. What another bot wrote in between is its fence, and no flaw: an
    operator would be told that its book is damaged, or the bot would end for a fault of its own."""
    store = await Store.open(sqlite_url(path))
    try:
        live = await store.load_books(BOT.pubkey, PLATFORM.pubkey)
        async with office(path) as other:
            await other.take(said)
        with pytest.raises(FenceError, match="another bot writes to this database"):
            await store.examine(live)
        assert not any(one.flaw for one in live.values())
    finally:
        await store.close()


async def test_f4_a_book_of_a_zone_that_is_not_known_is_closed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another host knew it. Here its book has a flaw that names it, the others go on; its trail does not verify, and why is said."""
    mars, path = Keys.from_secret(b"\x07" * 32), tmp_path / "bot.sqlite"
    monkeypatch.setattr(people, "zone_names", lambda: {"Mars/Olympus"})
    async with office(path) as at:
        await at.say((PLATFORM, f"operator add {mars.npub} name=mars tz=Mars/Olympus"))
        await at.take(report(1))
    store = await Store.open(sqlite_url(path))
    try:
        live = await store.load_books(BOT.pubkey, PLATFORM.pubkey)
        flaws = {key: one.flaw for key, one in live.items() if one.flaw is not None}
        assert list(flaws) == [mars.pubkey]
        assert "this computer does not know its time zone 'Mars/Olympus': upgrade tzdata" in flaws[mars.pubkey]
        lines = [line async for line in export_trail(store.queries, BOT.pubkey, mars.pubkey)]
    finally:
        await store.close()
    with pytest.raises(
        TrailError, match="a time zone that this computer does not know: 'Mars/Olympus'; upgrade tzdata"
    ):
        verify_trail(lines, bot=BOT.pubkey)
