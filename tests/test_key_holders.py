"""Whoever holds the bot's keys shows them no more than the keys do themselves (faults.md row 90)."""

import pickle
import re
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nostrbot.bot import Bot
from nostrbot.client import Client
from nostrbot.nostr.keys import Keys
from nostrbot.store.sqlite import sqlite_url
from tests.offices import ANA, BOT, PLATFORM
from tests.peers.bot_process import make_home, settings_of

SECRET = "b0" * 32  # of BOT
NOWHERE = "ws://127.0.0.1:1"


@pytest.fixture
async def holders(tmp_path: Path) -> AsyncIterator[dict[str, object]]:
    """Everything that was given the keys of a started bot, and a client with the same ones; shared secrets are in use."""
    bot = Bot(
        keys=BOT,
        platform=PLATFORM.pubkey,
        database_url=sqlite_url(tmp_path / "bot.sqlite"),
        settings=settings_of([NOWHERE]),
    )
    await bot.start()
    bot._envelope.open_from(ANA.pubkey, ANA.seal("whoami", BOT.pubkey, "nip44"))
    try:
        yield {
            "keys": BOT,
            "envelope": bot._envelope,
            "bot": bot,
            "pool": bot.pool,
            "outbox": bot.outbox,
            "clerk": bot.sequencer,
            "desk": bot.bookkeeper,
            "notary": bot.notary,
            "client": Client(BOT, ANA.pubkey, [NOWHERE]),
            "home": make_home(tmp_path / "home", [NOWHERE]),
        }
    finally:
        await bot.pool.stop()
        await bot.store.close()


def assert_no_secret(shown: str) -> None:
    shared = BOT.shared_x(ANA.pubkey)
    for secret in (bytes.fromhex(SECRET), shared):
        for form in (secret.hex(), repr(secret)[2:-1], str(int.from_bytes(secret, "big")), str(list(secret))):
            assert not re.search(re.escape(form), shown, re.IGNORECASE)
    assert "nsec1" not in shown


async def test_nobody_who_holds_keys_prints_them(holders: dict[str, object]) -> None:
    """As repr, as text, within a list, in the words of an error, and one step further: what is in their fields."""
    for holder in holders.values():
        assert_no_secret(f"{holder} {holder!r} {[holder]} {ValueError(holder)!r}")
        assert_no_secret(repr(getattr(holder, "__dict__", {})))


async def test_nobody_who_holds_keys_is_written(holders: dict[str, object]) -> None:
    """Pickled by accident (a process pool, a cache), they refuse, and the refusal says nothing."""
    del holders["home"]  # it names files and holds no key
    for holder in holders.values():
        with pytest.raises((TypeError, AttributeError)) as caught:
            pickle.dumps(holder)
        assert_no_secret("".join(traceback.format_exception(caught.value)))


def test_the_test_would_see_a_secret() -> None:
    """Were the forms wrong, nothing would be found."""
    for shown in (SECRET.upper(), BOT.nsec(), f"{BOT.shared_x(ANA.pubkey)!r}", f"Keys({list(bytes.fromhex(SECRET))})"):
        with pytest.raises(AssertionError):
            assert_no_secret(shown)
    assert Keys.from_secret(SECRET) == BOT
