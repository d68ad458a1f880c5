"""Who a key is, and who may know, across all books of a bot (the review of November 2026, A8, A10, A12, A15)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nostrbot.config import Home
from nostrbot.core.receipts import Message
from nostrbot.desk import Turn
from nostrbot.errors import BooksError, ConfigError
from nostrbot.keyfile import write_key_file
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Scheme
from nostrbot.outbox import _own_keys
from nostrbot.refusals import Reason
from nostrbot.rotation import NextKey, begin, finish, require_free
from nostrbot.store.database import sqlite_url
from nostrbot.store.store import Store
from tests.offices import ANA, BOT, MACHINE, OPERATOR, PLATFORM, Office, office
from tests.signers import Signer
from tests.test_rotation import countersigned

FLORES, NEXT, M2 = Signer("flores"), Signer("next-bot"), Signer("m2")
MYSELF = Signer("myself")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Office]:
    async with office(tmp_path / "bot.sqlite") as at:
        yield at


def answers(turn: Turn) -> list[dict[str, Any]]:
    """The answers that a turn owes, as data (ask with --json)."""
    rows = [json.loads(row.body) for row in turn.batch.owed if row.body is not None]
    return [json.loads(row["text"]) for row in rows if row["name"].startswith("answer:")]


async def ask(at: Office, who: Signer, text: str) -> dict[str, Any]:
    """What one command is answered."""
    at.now += 1
    turn = await at.say((who, f"{text} --json"))
    [said] = answers(turn)
    return said


def code(said: dict[str, Any]) -> str:
    return "ok" if said["ok"] else said["error"]["code"]


# --- A15: the bot's own keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "text"),
    [
        (PLATFORM, "operator add {} name=lima"),
        (PLATFORM, "operator replace antigua {}"),
        (OPERATOR, "machine add {} name=m9 fiat=GTQ cash_in=0 cash_out=0"),
        (OPERATOR, "machine rotate m1 {}"),
        (OPERATOR, "lp add {} machine=m1 name=me"),
        (OPERATOR, "splits set me=30%:{} self=70%:self"),
    ],
)
async def test_a15_no_key_of_the_bot_gets_a_role(at: Office, who: Signer, text: str) -> None:
    """Neither its own nor the one a rotation is about to give it; previews say the same."""
    at.desk._next_bot = lambda: NEXT.pubkey
    for key in (BOT.npub, NEXT.npub):
        for words in (text.format(key), "preview " + text.format(key)):
            assert code(await ask(at, who, words)) == "key_taken"


async def test_a15_a_machine_s_key_speaks_for_no_operator(at: Office) -> None:
    """Whoever breaks a machine open must not command a book: the platform hears that the key is taken."""
    assert code(await ask(at, PLATFORM, f"operator add {MACHINE.npub} name=lima")) == "key_taken"
    assert code(await ask(at, PLATFORM, f"operator replace antigua {MACHINE.npub}")) == "key_taken"


@pytest.mark.parametrize("kind", [4, 21_000, 30_078, 1_059])
async def test_a15_what_the_bot_wrote_goes_no_further_than_the_door(at: Office, kind: int) -> None:
    """Whatever its kind, by whatever relay it comes back."""
    from nostrbot.nostr.event import sign_event
    from nostrbot.nostr.giftwrap import make_wrap
    from nostrbot.nostr.sealing import Envelope

    if kind == 1_059:
        event = make_wrap(BOT, Envelope(BOT), to=BOT.pubkey, text="join", at=at.now, name=b"x")
    else:
        content = Envelope(BOT).seal_to(BOT.pubkey, "join", Scheme.NIP04, b"x")
        event = sign_event(BOT, kind=kind, tags=[["p", BOT.pubkey]], content=content, created_at=at.now)
    turn = await at.take(event.plain())
    assert not turn.batch.entries
    assert not turn.batch.owed
    assert at.desk.refusals == {Reason.OWN_WORD: 1}


async def test_a15_the_bot_writes_nothing_to_itself(at: Office) -> None:
    """Neither to its key nor to one it had: the outbox counts such messages as delivered."""
    book = at.book
    book.former_bots.append(MYSELF.pubkey)
    own = _own_keys(BOT, at.desk.books)
    assert own == {BOT.pubkey, MYSELF.pubkey}
    assert Message("a", 4, BOT.pubkey, "", Scheme.NIP04, None).to in own
    assert ANA.pubkey not in own


@pytest.fixture
async def home(tmp_path: Path) -> Home:
    """A bot's home with the usual house in it, and a next key that somebody put there: ana's."""
    home = Home(tmp_path / "home")
    home.key_file.parent.mkdir(parents=True)
    write_key_file(home.key_file, BOT, None)
    home.write_platform(PLATFORM.pubkey)
    async with office(home.database_file):
        pass
    return home


async def test_a15_a_rotation_to_a_key_with_a_role_says_so_before_anything_is_changed(home: Home) -> None:
    """At its begin and at its end."""
    write_key_file(home.next_key_file, Keys.from_secret(ANA.secret), None)
    store = await Store.open(sqlite_url(home.database_file))
    try:
        with pytest.raises(ConfigError, match=r"the book of antigua .*is an LP's.* remove keys/bot\.next\.nsec"):
            await require_free(store, begin(home, None, 0), PLATFORM.pubkey)
        before = home.key_file.read_bytes()
        with pytest.raises(BooksError, match=r"the book of antigua .*is an LP's.*nothing was changed"):
            await finish(home, store, countersigned(home), None, 0)
        assert home.key_file.read_bytes() == before
        home.next_key_file.unlink()
        await require_free(store, begin(home, None, 0), PLATFORM.pubkey)
    finally:
        await store.close()


async def test_a15_the_next_key_is_known_as_soon_as_it_is_there(home: Home) -> None:
    """It is made while the bot runs; a file that is no key is no reason to stop."""
    next_key = NextKey(home, None)
    assert next_key() is None
    statement = begin(home, None, 0)
    assert next_key() == statement.new
    home.next_key_file.unlink()
    assert next_key() is None
    home.next_key_file.write_text("no key")
    home.next_key_file.chmod(0o600)
    assert next_key() is None
    assert next_key() is None
