"""A bot's home gets another key: step by step, each of which may be cut short and taken again (faults.md row 47)."""

import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.platform.succession import Succession, countersign, read_succession
from nostrbot.errors import ConfigError
from nostrbot.exports.rows import read_titles
from nostrbot.exports.trail import export_trail
from nostrbot.home.config import Home
from nostrbot.home.keyfile import read_key_file, write_key_file
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope
from nostrbot.runtime.bookkeeper import Bookkeeper
from nostrbot.runtime.rotation import begin, finish
from nostrbot.store.rebuilding import rebuild
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store
from tests.offices import ANA, BOT, MACHINE, OPENED_AT, OPERATOR, PLATFORM, Office, contents, office, report
from tests.signers import Signer, sale_of

NOW = OPENED_AT + 3_600
COBAN, NEW_OPERATOR, M2 = Signer("coban"), Signer("new-op"), Signer("m2")


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    """A bot's home with the usual house in it, after one sale; the operator has another key by now."""
    home = Home(tmp_path)
    home.key_file.parent.mkdir()
    write_key_file(home.key_file, BOT, None)
    home.write_platform(PLATFORM.pubkey)
    async with office(home.database_file) as at:
        await at.take(report(1))
        await at.say((PLATFORM, f"operator replace antigua {NEW_OPERATOR.npub}"))
    return home


@pytest.fixture
async def store(home: Home) -> AsyncIterator[Store]:
    opened = await Store.open(sqlite_url(home.database_file))
    yield opened
    await opened.close()


def countersigned(home: Home) -> Succession:
    """What the platform makes of the home's statement."""
    event = countersign(Keys.from_secret(PLATFORM.secret), begin(home, None, NOW), NOW)
    succession = read_succession(event, PLATFORM.pubkey)
    assert isinstance(succession, Succession)
    return succession


async def new_office(home: Home, store: Store) -> Office:
    """The desk of a bot that starts in this home, an hour later."""
    keys = read_key_file(home.key_file, None)
    live = await store.load_books(keys.pubkey, PLATFORM.pubkey)
    _, highest = await store.queries.outbox_state()
    at = Office(store, Bookkeeper(live, await store.queries.sightings(), Envelope(keys), store.queries, highest + 1))
    at.now = NOW + 1
    return at


async def trail(store: Store, bot: str, operator: Signer) -> list[bytes]:
    return [line async for line in export_trail(store.queries, bot, operator.pubkey)]


def test_the_next_key_is_made_once(home: Home) -> None:
    """Its file is the bot's alone to read and is never overwritten: beginning again names the same key."""
    first, again = begin(home, None, NOW), begin(home, None, NOW + 1)
    assert (first.old, first.new) == (again.old, again.new)
    assert first.old == BOT.pubkey
    assert stat.S_IMODE(home.next_key_file.stat().st_mode) == 0o600
    assert read_key_file(home.next_key_file, None).pubkey == first.new
    assert read_key_file(home.key_file, None).pubkey == BOT.pubkey


async def test_every_book_goes_on_under_the_new_key(home: Home, store: Store) -> None:
    """One entry each; old trails and the whole one verify by either key; what is said to the new key is obeyed."""
    before = await trail(store, BOT.pubkey, OPERATOR)
    succession = countersigned(home)
    await finish(home, store, succession, None, NOW)
    assert read_key_file(home.key_file, None).pubkey == succession.new
    retired = home.key_file.parent / f"bot.{BOT.npub[:13]}.retired.nsec"
    assert (read_key_file(retired, None).pubkey, home.next_key_file.exists()) == (BOT.pubkey, False)

    at = await new_office(home, store)
    assert {book.bot for book in at.bookkeeper.books.values()} == {succession.new}
    event = MACHINE.report(sale_of(MACHINE, 2), to=succession.new, at=at.now)
    deposit = NEW_OPERATOR.command("deposit add ana 5 machine=m1", to=succession.new, at=at.now)
    turn = await at.take(event, deposit)
    assert [entry.facts[0].name for entry in turn.batch.entries] == ["settlement_processed", "deposit_changed"]
    assert verify_trail(before, bot=BOT.pubkey).settlements == 1
    for operator in (OPERATOR, NEW_OPERATOR):  # either key finds the book
        whole = await trail(store, succession.new, operator)
        assert whole[: len(before)] == before
        for bot in (BOT.pubkey, succession.new):
            assert verify_trail(whole, bot=bot).settlements == 2
        assert [title.handle for title in await read_titles(store.queries, operator.pubkey)] == ["antigua"]


async def test_what_is_owed_then_is_both_announcements_and_a_word_to_everybody(home: Home, store: Store) -> None:
    """The events as they were signed; the entries' messages are made at the next start, by the new key."""
    owed_before = contents(home.database_file)["outbox"]
    succession = countersigned(home)
    await finish(home, store, succession, None, NOW)
    owed = [row for row in contents(home.database_file)["outbox"] if row not in owed_before]
    assert [json.loads(body)["event"]["id"] for *_, body, _ in owed if body] == [
        succession.statement.id,
        succession.event.id,
    ]
    assert [(book, seq) for _, book, seq, body, _ in owed if not body] == [(1, 4), (2, 14)]


async def test_finishing_again_changes_nothing(home: Home, store: Store) -> None:
    """Not a row of the database, not a file; nor has rebuilding anything to put right."""
    succession = countersigned(home)
    await finish(home, store, succession, None, NOW)
    assert await rebuild(store, succession.new, PLATFORM.pubkey) == {}
    before = contents(home.database_file), sorted(home.key_file.parent.iterdir())
    await finish(home, store, succession, None, NOW + 1)
    assert (contents(home.database_file), sorted(home.key_file.parent.iterdir())) == before


@pytest.mark.parametrize("step", ["hardlink_to", "replace"])
async def test_a_rotation_cut_short_is_finished_later(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Before either file is moved: the bot says what to do instead of starting, and nothing is entered twice."""
    succession = countersigned(home)

    def broken(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as disk:
        disk.setattr(Path, step, broken)
        with pytest.raises(ConfigError, match="then finish again"):
            await finish(home, store, succession, None, NOW)
    entries = contents(home.database_file)["entry"]
    assert read_key_file(home.key_file, None).pubkey == BOT.pubkey
    with pytest.raises(ConfigError, match="finish its rotation with `nostrbot rotate finish`"):
        await store.load_books(BOT.pubkey, PLATFORM.pubkey)
    await finish(home, store, succession, None, NOW + 60)
    assert contents(home.database_file)["entry"] == entries
    assert (await new_office(home, store)).book.bot == succession.new


async def test_what_fails_to_commit_changes_no_file(home: Home, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The books come first, all of them or none."""
    succession, before = countersigned(home), contents(home.database_file)

    async def broken(_: object) -> None:
        raise OSError

    with monkeypatch.context() as disk:
        disk.setattr(store.writer, "commit", broken)
        with pytest.raises(OSError):
            await finish(home, store, succession, None, NOW)
    assert contents(home.database_file) == before
    assert read_key_file(home.key_file, None).pubkey == BOT.pubkey


async def test_only_this_home_s_own_rotation_is_finished(home: Home, store: Store, tmp_path: Path) -> None:
    """Not another bot's, and not to a key that is not here."""
    succession, before = countersigned(home), contents(home.database_file)
    home.next_key_file.rename(tmp_path / "kept")
    write_key_file(home.next_key_file, Keys.from_secret("07" * 32), None)
    with pytest.raises(ConfigError, match="is not the key that was countersigned"):
        await finish(home, store, succession, None, NOW)
    home.key_file.unlink()
    write_key_file(home.key_file, Keys.from_secret("08" * 32), None)
    with pytest.raises(ConfigError, match="not about the bot of this home"):
        await finish(home, store, succession, None, NOW)
    assert contents(home.database_file) == before


async def test_a_book_opened_later_stands_alone(home: Home, store: Store) -> None:
    """It is told who the bot was when the platform set its fee and when ana joined; its trail begins with the new key."""
    succession = countersigned(home)
    await finish(home, store, succession, None, NOW)
    second = countersigned(home)
    await finish(home, store, second, None, NOW)
    at, bot = await new_office(home, store), second.new

    async def say(who: Signer, text: str) -> None:
        await at.take(who.command(text, to=bot, at=at.now))

    await say(PLATFORM, f"operator add {COBAN.npub} name=coban")
    await say(COBAN, f"machine add {M2.npub} name=m2 fiat=GTQ cash_in=5% cash_out=6.27%")
    await say(COBAN, f"lp add {ANA.npub} machine=m2 name=ana")
    at.now += 1
    await say(ANA, "join")
    book = at.bookkeeper.books[COBAN.pubkey]
    assert (book.first_bot, book.former_bots) == (bot, [succession.new, BOT.pubkey])
    assert book.cash_out_ppm == 15_000
    assert book.lps["ana"].preferences is not None
    lines = await trail(store, bot, COBAN)
    assert orjson.loads(lines[0])["bot"] == bot
    assert verify_trail(lines, bot=bot).head == at.bookkeeper.live[COBAN.pubkey].chain.head
    assert (await new_office(home, store)).bookkeeper.books[COBAN.pubkey].former_bots == book.former_bots
