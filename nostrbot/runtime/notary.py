"""The notary: signs what the bot promises about a book, once a day and when its operator asks.

What lives here: when a checkpoint is due, making and signing it, and the one commit that keeps it together with what is
owed for it. What does not: what it says (core/proofs/checkpoint.py), the tree (core/proofs/liabilities.py), publishing
(runtime/outbox.py).

Only what is committed is signed: the entry that a checkpoint speaks of is looked up in the journal first. So of one
journal there are never two checkpoints with one seq and two heads. The tree is made piece by piece, because ten
thousand LPs take a quarter of a second. Sales go on meanwhile: a checkpoint speaks of its book as it stood when the
tree was begun.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import orjson
from loguru import logger
from sqlalchemy.exc import DBAPIError

from nostrbot.core.book import ROOT
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.inputs import Signed
from nostrbot.core.local_time import DAY_S, local_day
from nostrbot.core.proofs.checkpoint import Checkpoint, checkpoint_content, checkpoint_view, read_checkpoint, subject_of
from nostrbot.core.proofs.liabilities import Leaves, Standpoint, Tree, balances_of
from nostrbot.errors import BooksError, FenceError
from nostrbot.messages.replies import answer, answer_that_fits
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, read_event, sign_event
from nostrbot.nostr.keys import Keys
from nostrbot.reading.proofs import in_pieces
from nostrbot.reading.question import Question
from nostrbot.refusals import Refusal
from nostrbot.runtime.outbox import message_body, signed_body
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.runtime.troubles import Work
from nostrbot.runtime.turn import answer_message
from nostrbot.store.batch import Batch, CheckpointRow, Owed

CLOSED = CommandRefused(Code.BOOK_CLOSED, "this book is closed for repair: nothing is signed about it")
NO_PREVIEW = CommandRefused(
    Code.BAD_ARGUMENT,
    "a checkpoint has no preview, since a signature cannot be undone: `balances` shows what it would add up",
)
NOT_NOW = CommandRefused(Code.OUR_FAULT, "I could not sign that: the operator of this bot finds why in its log")


class Signature(NamedTuple):
    """A checkpoint of a book that is signed: the `number`-th."""

    number: int
    event: VerifiedEvent
    checkpoint: Checkpoint


class Draft(NamedTuple):
    """The content to sign: where a book stands, and the tree of what it owes."""

    standpoint: Standpoint
    leaves: Leaves
    tree: Tree


class Notary:
    """The signer of checkpoints. `await load()` comes first. Its methods return what is committed: the outbox is to be
    told.
    """

    def __init__(self, sequencer: Sequencer, keys: Keys, clock: Callable[[], int]) -> None:
        """`clock`: unix seconds."""
        self._sequencer = sequencer
        self._keys = keys
        self._clock = clock
        self._newest: dict[str, Signature] = {}
        self._in_doubt: set[str] = set()  # books of which more may be kept than we know
        self._signing = asyncio.Lock()  # one after the other, each on the one before

    async def load(self, only: str | None = None) -> None:
        """Read what was signed last, about all books or one.

        Raises DBAPIError, and BooksError where that is damaged though its book is open.
        """
        for key, stored in (await self._sequencer.store.queries.checkpoints.newest()).items():
            if key in self._sequencer.bookkeeper.closed_books or only not in (None, key):
                continue
            event = read_event(orjson.loads(stored.event))
            if isinstance(event, Refusal):
                raise BooksError(f"book {key}: its newest checkpoint is damaged: restore a backup")
            self._newest[key] = Signature(stored.number, event, _said_in(event))

    def newest(self, key: str) -> Checkpoint | None:
        """Return the newest signed checkpoint of a book."""
        signed = self._newest.get(key)
        return None if signed is None else signed.checkpoint

    def books_due(self, now: int) -> list[str]:
        """Return the keys of the books with no checkpoint on their operator's local day yet; none is due on a book's
        first day.

        After a clock that went back the newest checkpoint lies in the future, and that day is waited for; one more than
        a day ahead counts for nothing.
        """
        bookkeeper = self._sequencer.bookkeeper
        return [
            key
            for key in bookkeeper.books
            if key not in bookkeeper.closed_books
            and key != ROOT
            and not self._sequencer.is_resting(key, Work.CHECKPOINT)
            and self._is_due(key, now)
        ]

    def _is_due(self, key: str, now: int) -> bool:
        book = self._sequencer.bookkeeper.books[key]
        try:
            newest, signed_at = self.newest(key), self._signed_at(key)
            if newest is not None and not signed_at:
                return True
            return local_day(book.tz, now) > local_day(book.tz, signed_at or book.opened_at)
        except Exception as error:  # noqa: BLE001 - one book's fault must not cost the others their checkpoints
            logger.opt(exception=True).critical("a checkpoint is not signed")
            self._sequencer.note_trouble(key, Work.CHECKPOINT, type(error).__name__)
            return False

    async def sign_daily(self, key: str) -> list[Owed] | None:
        """Sign a book's checkpoint of the day; None if that did not work, and it is still due."""
        async with self._signing:
            made = await self._try_to_sign(key, None)
        return None if isinstance(made, CommandRefused) else made

    async def answer(self, question: Question, given: Signed) -> list[Owed] | CommandRefused:
        """Answer `checkpoint`: the answer is committed together with the checkpoint, unless the newest says it all."""
        key = question.standing.operator
        assert key is not None, "only an operator gets here"
        if question.command.preview:
            return NO_PREVIEW
        async with self._signing:
            return await self._try_to_sign(key, (question, given))

    async def _try_to_sign(self, key: str, asked: tuple[Question, Signed] | None) -> list[Owed] | CommandRefused:
        try:
            if key in self._in_doubt:
                await self.load(key)
                self._in_doubt.discard(key)
            draft = await self._draft(key, is_news_only=asked is not None)
            if isinstance(draft, CommandRefused):
                return draft
            made = await self._commit(key, draft, asked)
        except FenceError:
            raise
        except DBAPIError as error:
            self._in_doubt.add(key)  # the database may have kept it all the same
            logger.error("a checkpoint cannot be kept: {}", error.orig)
            return NOT_NOW
        except BooksError as error:
            logger.critical("a checkpoint is not signed: {}", error)
            why = type(error).__name__
        except Exception as error:  # noqa: BLE001 - a fault of ours must cost one checkpoint, not the bot
            logger.opt(exception=True).critical("a checkpoint is not signed")
            why = type(error).__name__
        else:
            self._sequencer.troubles.went_well(key, Work.CHECKPOINT)
            return made
        self._sequencer.note_trouble(key, Work.CHECKPOINT, why)
        return NOT_NOW

    async def _draft(self, key: str, *, is_news_only: bool) -> Draft | CommandRefused | None:
        """Draft where a book stands; None if its newest checkpoint stands there and only news is wanted."""
        async with self._sequencer.lock:
            bookkeeper = self._sequencer.bookkeeper
            if key in bookkeeper.closed_books:
                return CLOSED
            if self._sequencer.is_adrift:
                return NOT_NOW
            chain, newest = bookkeeper.live[key].chain, self._newest.get(key)
            if is_news_only and newest is not None and newest.checkpoint.standpoint.seq == chain.seq:
                return None
            standpoint = Standpoint(self._keys.pubkey, key, chain.seq, chain.head)
            kept = (await self._sequencer.store.queries.entries_at(key, [chain.seq])).get(chain.seq)
            if kept is None or kept.hash != chain.head:
                raise BooksError(f"book {key}: entry {chain.seq} is not in the journal as it is in memory")
            balances = balances_of(bookkeeper.books[key])
        # Another seed at each entry: nobody can tell from two trees which leaves are one LP's.
        seed = self._keys.derive(f"liabilities:{key}:{standpoint.seq}:{standpoint.head}".encode())
        leaves = Leaves(seed, balances)
        return Draft(standpoint, leaves, await in_pieces(Tree.growing(leaves)))

    async def _commit(
        self, key: str, draft: Draft | None, asked: tuple[Question, Signed] | None
    ) -> list[Owed] | CommandRefused:
        async with self._sequencer.lock:
            bookkeeper, batch = self._sequencer.bookkeeper, Batch()
            if key in bookkeeper.closed_books:
                return CLOSED
            signed = self._newest[key] if draft is None else self._sign(key, draft)
            if draft is not None:
                body = orjson.dumps(signed.event.plain())
                leaves = draft.leaves.body()
                batch.checkpoints.append(CheckpointRow(key, signed.number, draft.standpoint.seq, body, leaves))
                batch.owed.append(Owed(bookkeeper.new_row(), None, None, signed_body(signed.event)))
            if asked is not None:
                question, given = asked
                now = self._clock()
                batch.answered.append((given.id, now))
                body = message_body(answer_message(given, _answer_text(question, given, signed.checkpoint)), now)
                batch.owed.append(Owed(bookkeeper.new_row(), None, None, body))
            await self._sequencer.commit(batch)
            self._newest[key] = signed
            return batch.owed

    def _sign(self, key: str, draft: Draft) -> Signature:
        newest = self._newest.get(key)
        prev, number = (None, 1) if newest is None else (newest.event.id, newest.number + 1)
        event = sign_event(
            self._keys,
            kind=kinds.APP_DATA,
            tags=[["d", subject_of(key)]],
            content=checkpoint_content(draft.standpoint, draft.tree, prev),
            created_at=self._date(key),
        )
        return Signature(number, event, _said_in(event))

    def _date(self, key: str) -> int:
        """Return the time; never before the newest checkpoint's date, unless its clock had run ahead."""
        return max(self._clock(), self._signed_at(key))

    def _signed_at(self, key: str) -> int:
        """Return when a checkpoint was signed last; 0 if none was, or its date is more than a day ahead: the clock had
        run ahead.
        """
        newest = self.newest(key)
        return 0 if newest is None or newest.at > self._clock() + DAY_S else newest.at


def _said_in(event: VerifiedEvent) -> Checkpoint:
    checkpoint = read_checkpoint(event)
    if isinstance(checkpoint, Refusal):
        raise BooksError(f"a checkpoint of ours cannot be read: {checkpoint.detail}")
    return checkpoint


def _answer_text(question: Question, given: Signed, checkpoint: Checkpoint) -> str:
    command = question.command
    text = answer(command.verb, {"checkpoint": checkpoint_view(checkpoint)}, json=command.json)
    return answer_that_fits(command.verb, text, json=command.json, scheme=given.scheme)
