"""Hearing: what the bot says, understood by those it is for, and held against what is committed at that moment.

What lives here: acks, answers, receipts and checkpoints as they leave, and the bot's log. What does not: the relays that took them (relay.py)
and opening them (people.py). What is wrong is kept in `broken`: relays have nobody to tell.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import orjson
from loguru import logger
from sqlalchemy.exc import DBAPIError

from nostrbot.nostr import kinds
from tests.houses import person
from tests.simulator.people import HANDLES, NAMES, Ears, Said, Unacked
from tests.simulator.process import current
from tests.simulator.witness import Violation, Witness, hold

Plain = dict[str, Any]
_RECEIPT = re.compile(r"received (\d+) sats .* at \S+, (\w+)\.\n.*Receipt l(\d+),", re.DOTALL)


class Hearing:
    """Everybody's ears.

    Attributes:
        said: what was said to the bot, by the id that can have one effect only.
        unacked: the sales that machines still repeat.
        texts: by what they answer, the last answers.
        receipts: by LP, operator and leg, the message that told of it.
        checkpoints: by id.
        unread: the events that were acked as invalid.
        many: whether more than one bot has written the books, so that two may answer.
    """

    def __init__(self, witness: Witness, rng: Random, tell: Callable[[str], None], *, lost: float) -> None:
        """`lost`: how often a machine does not hear its ack."""
        self.witness = witness
        self.lost = lost
        self.broken: str | None = None
        self.said: dict[str, Said] = {}
        self.unacked: list[Unacked] = []
        self.many = False
        self._rng = rng
        self._tell = tell
        self._ears = Ears(NAMES)
        self.forget()

    def forget(self) -> None:
        """The bot begins anew, from a backup: what it said since then counts no longer."""
        self.texts: dict[str, str] = {}
        self.receipts: dict[tuple[str, str, int], str] = {}
        self.checkpoints: dict[str, Plain] = {}
        self.unread: set[str] = set()
        self._answers: dict[str, str] = {}
        self._ids: set[str] = set()

    @contextmanager
    def overhearing(self) -> Iterator[None]:
        """What the bot's log calls critical within, or shows a traceback of, is a broken promise: of the living."""

        def overhear(message: Any) -> None:
            record = message.record
            process = current.get(None)
            if process is None or not process.alive or process.is_with_another:
                return  # what is in the memory of one bot of two does not fit the journal, and it says so
            if isinstance(getattr(record["exception"], "value", None), DBAPIError):
                return  # a question that the disk did not let it answer
            if record["level"].name == "CRITICAL" or record["exception"] is not None:
                self.broken = self.broken or f"the log of {process.name}: {message}"

        number = logger.add(overhear, level="ERROR", format="{message}", backtrace=False, diagnose=False)
        try:
            yield
        finally:
            logger.remove(number)

    def hear(self, url: str, event: Plain) -> None:
        """A relay took an event of the bot's."""
        self._tell(f"{url[6:12]} has {event['kind']} {event['id'][:12]}")
        if event["id"] in self._ids and event["kind"] != kinds.SETTLEMENT:
            return
        self._ids.add(event["id"])
        try:
            self._understand(event)
        except Violation as violation:
            self.broken = self.broken or str(violation)

    def _understand(self, event: Plain) -> None:
        if event["kind"] == kinds.APP_DATA:
            self._hear_checkpoint(event)
        heard = self._ears.read(event)
        if heard is None:
            return
        to, message_id, text, answers = heard
        if event["kind"] == kinds.SETTLEMENT:
            self._hear_ack(orjson.loads(text))
        elif event["kind"] in (kinds.DIRECT_MESSAGE, kinds.GIFT_WRAP):
            if answers is None:
                self._hear_news(to, message_id, text)
            else:
                self._hear_answer(message_id, answers, text)

    def _hear_ack(self, ack: Plain) -> None:
        self.witness.check_ack(ack)
        if ack["status"] == "invalid":
            self.unread.add(ack["event"])
        if self._rng.random() >= self.lost:
            self.unacked = [sold for sold in self.unacked if ack["event"] not in sold.event_ids]

    def _hear_answer(self, message_id: str, answers: str, text: str) -> None:
        said = self.said.get(answers)
        self.texts[answers] = text
        if said is None or not said.changes:
            return
        self.witness.look()
        is_sealed = any(answers in ledger.seen for ledger in self.witness.books.values())
        hold(is_sealed or self.witness.answered(answers), f"{said.text!r} is answered, and that is not committed")
        before = self._answers.setdefault(answers, message_id)
        hold(before == message_id or self.many, f"{said.text!r} is answered twice")

    def _hear_news(self, to: str, message_id: str, text: str) -> None:
        found = _RECEIPT.search(text)
        if not found:
            return
        sats, handle, leg = int(found[1]), found[2], int(found[3])
        self.witness.look()
        ledger = self.witness.books[person(HANDLES[handle]).pubkey]
        hold(ledger.receipts.get(leg) == (to, sats), f"{to} has a receipt l{leg} of {sats} sats that is not committed")
        before = self.receipts.setdefault((to, handle, leg), message_id)
        hold(before == message_id, f"{to} has two receipts l{leg}")

    def _hear_checkpoint(self, event: Plain) -> None:
        said, key = orjson.loads(event["content"]), event["tags"][0][1].removeprefix("nostrbot-checkpoint:")
        self.witness.look()
        self.witness.books[key].check_checkpoint(said)
        for other in self.checkpoints.values():
            is_other_books = other["tags"] != event["tags"]
            follows_another = orjson.loads(other["content"])["prev"] != said["prev"]
            hold(is_other_books or follows_another, f"two checkpoints of {key[:8]} follow one")
        self.checkpoints[event["id"]] = event
