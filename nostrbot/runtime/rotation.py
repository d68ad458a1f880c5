"""Rotation: a bot's home gets another key, in steps that may each be repeated.

What lives here: the next key, the statement about it, and entering a countersigned one in every book and in the home.
What does not: what it takes to be one (core/platform/succession.py), the books' part (core/engine.py), publishing
(runtime/outbox.py, at the next start), the home's lock (cli/). docs/protocol.md sections 7 and 8; faults.md row 47.

First the books, in one transaction, then the files; `finish` again goes on wherever it was cut short. In between the
bot does not start: its books have the new key and its home the old one.
"""

import secrets

from loguru import logger

from nostrbot.core.book import ROOT
from nostrbot.core.engine import apply, decide
from nostrbot.core.inputs import Signed
from nostrbot.core.platform.roles import parts_of, taken
from nostrbot.core.platform.succession import Statement, Succession, make_statement
from nostrbot.core.rules import RULES
from nostrbot.errors import BooksError, ConfigError, file_trouble
from nostrbot.home.config import Home
from nostrbot.home.keyfile import read_key_file, sync_directory, write_key_file
from nostrbot.journal.entry import seal
from nostrbot.messages.receipts import owes_messages
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Scheme
from nostrbot.refusals import Refusal
from nostrbot.runtime.outbox import signed_body
from nostrbot.store.batch import Batch, Owed
from nostrbot.store.store import LiveBook, Store

ANOTHER_KEY = "For another key remove keys/bot.next.nsec, then `nostrbot rotate begin` again"


class NextKey:
    """The home's next key (hex), or None, when called; an unchanged file is not opened again."""

    def __init__(self, home: Home, passphrase: str | None) -> None:
        self._home = home
        self._passphrase = passphrase
        self._known: tuple[tuple[int, int], str | None] = ((0, 0), None)

    def __call__(self) -> str | None:
        """Return the key as the home has it just now."""
        try:
            found = self._home.next_key_file.stat()
        except OSError:
            return None
        seen = (found.st_mtime_ns, found.st_ino)
        if self._known[0] != seen:
            try:
                self._known = (seen, read_key_file(self._home.next_key_file, self._passphrase).pubkey)
            except ConfigError as error:
                logger.warning("the key that is to be mine next cannot be read: {}", error)
                self._known = (seen, None)
        return self._known[1]


def begin(home: Home, passphrase: str | None, now: int) -> Statement:
    """Make the home's next key, unless there is one, and the statement that names it. Raises ConfigError."""
    old = read_key_file(home.key_file, passphrase)
    if not home.next_key_file.exists():
        write_key_file(home.next_key_file, Keys.from_secret(secrets.token_bytes(32)), passphrase)
    new = read_key_file(home.next_key_file, passphrase)
    return Statement(old.pubkey, new.pubkey, make_statement(old, new, now))


async def require_free(store: Store, statement: Statement, platform: str) -> None:
    """Raise ConfigError if the new key is somebody's in one of the books: it could not become the bot's."""
    for key, live in (await store.load_books(statement.old, platform)).items():
        held = next(parts_of(live.book, statement.new), None)
        if held is not None:
            where = "the platform's book" if key == ROOT else f"the book of {live.book.handle}"
            raise ConfigError(f"{where} does not take the new key: {taken(held).message}. {ANOTHER_KEY}")


async def finish(home: Home, store: Store, succession: Succession, passphrase: str | None, now: int) -> None:
    """Let the home's books and the home itself have the new key; what is done already stays as it is.

    Raises ConfigError if this home has other keys, BooksError when its books are not sound.
    """
    keys = read_key_file(home.key_file, passphrase)
    if keys.pubkey == succession.new:
        return
    if keys.pubkey != succession.old:
        raise ConfigError("this succession is not about the bot of this home: nothing was changed")
    if read_key_file(home.next_key_file, passphrase).pubkey != succession.new:
        raise ConfigError(f"{home.next_key_file} is not the key that was countersigned: nothing was changed")
    if not await store.queries.entries_of_events([succession.event.id]):
        await _enter(store, await store.load_books(succession.old, succession.event.pubkey), succession, now)
    _swap_keys(home, succession.old)


async def _enter(store: Store, books: dict[str, LiveBook], succession: Succession, now: int) -> None:
    """Enter the rotation in every book, and owe both announcements, in one transaction."""
    batch = Batch()
    _, row = await store.queries.outbox_state()
    for event in (succession.statement, succession.event):
        row += 1
        batch.owed.append(Owed(row, None, None, signed_body(event)))
    for key, live in books.items():
        if live.flaw is not None:
            raise BooksError(f"{live.flaw}; nothing was changed")
        given = Signed(succession.event, succession.event.content, Scheme.PLAIN)
        at = live.chain.next_at(now)
        decision = decide(live.book, given, at, RULES)
        if not decision.facts:
            why = decision.instead.detail if isinstance(decision.instead, Refusal) else str(decision.instead)
            where = "the platform's book" if key == ROOT else f"the book of {live.book.handle}"
            raise BooksError(f"{where} does not take this succession: {why}; nothing was changed. {ANOTHER_KEY}")
        booked = apply(live.book, given.id, decision.facts, seq=live.chain.seq + 1, at=at, rules=RULES)
        entry = seal(live.chain, given, decision.facts, booked, at=at)
        batch.entries.append(entry)
        if owes_messages(decision.facts):
            row += 1
            batch.owed.append(Owed(row, entry.book, entry.seq, None))
    await store.writer.commit(batch)


def _swap_keys(home: Home, old: str) -> None:
    """Rename the old key before the new one takes its place: at no moment is a key missing or lost."""
    retired = home.retired_key_file(old)
    try:
        if not retired.exists():
            retired.hardlink_to(home.key_file)
            sync_directory(retired.parent)
        home.next_key_file.replace(home.key_file)
        sync_directory(retired.parent)
    except OSError as error:
        raise ConfigError(
            f"the keys in {retired.parent} cannot be moved: {file_trouble(error)}; then finish again"
        ) from None
