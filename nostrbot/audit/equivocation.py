"""The checkpoint log: the checkpoints of a bot as they were seen, and what they prove against it.

What lives here: taking in one more checkpoint, and keeping the log between two runs. What does not: relays
(monitor.py), proofs of an LP's part (proof.py). docs/protocol.md section 7.

A bot's journal has one entry n for ever. So two checkpoints that name different heads for one n, or follow the same
checkpoint, are two histories. The bot signed both, and together they prove the fraud to anybody.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from nostrbot.core.platform.succession import SUBJECT, Succession, read_succession
from nostrbot.core.proofs.checkpoint import Checkpoint, read_checkpoint
from nostrbot.errors import ConfigError
from nostrbot.nostr.event import VerifiedEvent, read_event
from nostrbot.refusals import Refusal

VERSION = 1
CHECKPOINTS_MAX = 5_000  # remembered of one book, 13 years of days, some 4 MB; the earliest are forgotten
FORGOTTEN_AT_ONCE = 500
BOOKS_MAX = 1_000


class Wrong(StrEnum):
    """The kinds of equivocation that two checkpoints prove."""

    TWO_HEADS = "two_heads"
    TWO_DEBTS = "two_debts"
    FORK = "fork"
    BACKWARDS = "backwards"


_SENTENCES = {
    Wrong.TWO_HEADS: "two checkpoints name different heads for entry {seq}: the history was rewritten",
    Wrong.TWO_DEBTS: "two checkpoints state different amounts owed after entry {seq}",
    Wrong.FORK: "two checkpoints follow the same checkpoint: there are two histories",
    Wrong.BACKWARDS: "a checkpoint of entry {seq} follows a checkpoint of a later entry: entries were taken back",
}


class Equivocation(NamedTuple):
    """Two signed events that cannot both be honest, and why."""

    wrong: Wrong
    sentence: str
    events: tuple[VerifiedEvent, VerifiedEvent]


class CheckpointSeen(NamedTuple):
    """A checkpoint that is new to us, and what it proves together with those before it."""

    checkpoint: Checkpoint
    event: VerifiedEvent
    evidence: tuple[Equivocation, ...]


class Known(NamedTuple):
    """A checkpoint with the event that says it, and the relays that have shown it."""

    checkpoint: Checkpoint
    event: VerifiedEvent
    shown_by: set[str]


@dataclass(slots=True)
class _Shelf:
    """The checkpoints of one book, by id in the order they came, and by what two of them cannot share."""

    by_id: dict[str, Known] = field(default_factory=dict)
    by_seq: dict[int, Known] = field(default_factory=dict)
    by_prev: dict[str | None, Known] = field(default_factory=dict)

    def add(self, known: Known) -> None:
        checkpoint = known.checkpoint
        self.by_id[checkpoint.id] = known
        self.by_seq.setdefault(checkpoint.standpoint.seq, known)
        self.by_prev.setdefault(checkpoint.prev, known)
        if len(self.by_id) >= CHECKPOINTS_MAX + FORGOTTEN_AT_ONCE:
            in_order = sorted(self.by_id.values(), key=lambda one: one.checkpoint.standpoint.seq)
            for old in in_order[:FORGOTTEN_AT_ONCE]:
                self._forget(old)

    def _forget(self, known: Known) -> None:
        checkpoint = known.checkpoint
        del self.by_id[checkpoint.id]
        if self.by_seq.get(checkpoint.standpoint.seq) is known:
            del self.by_seq[checkpoint.standpoint.seq]
        if self.by_prev.get(checkpoint.prev) is known:
            del self.by_prev[checkpoint.prev]


class CheckpointLog:
    """The checkpoints seen of one bot, under each key it had: of all its books, or of one operator's."""

    def __init__(self, bot: str, *, operator: str | None = None, platform: str | None = None) -> None:
        """All hex. `platform`: who may countersign that the bot has a new key; None if nobody may."""
        self.bots = [bot]  # its keys, oldest first
        self.evidence: list[Equivocation] = []  # all there ever was
        self._operator = operator
        self._platform = platform
        self._successions: list[VerifiedEvent] = []
        self._shelves: dict[str, _Shelf] = {}
        self._passed_over: list[VerifiedEvent] = []  # kept by an earlier run, which looked at more than this one does

    def note(self, event: VerifiedEvent, relay: str | None = None) -> CheckpointSeen | Succession | None:
        """Take in an event that a relay showed. None if it is not the bot's, not new, or about another operator."""
        if (event.tag_value("d") or "").startswith(SUBJECT):
            return self._note_succession(event)
        return self._note_checkpoint(event, relay) if event.pubkey in self.bots else None

    def _note_succession(self, event: VerifiedEvent) -> Succession | None:
        """Note that the bot's key is handed on: what the new key signs counts from now on. Without a platform nobody
        may say so.
        """
        succession = None if self._platform is None else read_succession(event, self._platform)
        if not isinstance(succession, Succession) or succession.old != self.bots[-1] or succession.new in self.bots:
            return None
        self.bots.append(succession.new)
        self._successions.append(event)
        return succession

    def _note_checkpoint(self, event: VerifiedEvent, relay: str | None) -> CheckpointSeen | None:
        checkpoint = read_checkpoint(event)
        if isinstance(checkpoint, Refusal):
            return None
        book = checkpoint.standpoint.book
        if self._operator not in (None, book):
            return None
        shelf = self._shelves.get(book)
        if shelf is None:
            if len(self._shelves) >= BOOKS_MAX:
                return None
            shelf = self._shelves[book] = _Shelf()
        shown_by = set() if relay is None else {relay}
        if checkpoint.id in shelf.by_id:
            shelf.by_id[checkpoint.id].shown_by.update(shown_by)
            return None
        known = Known(checkpoint, event, shown_by)
        evidence = tuple(_evidence(known, shelf))
        self.evidence.extend(evidence)
        shelf.add(known)
        return CheckpointSeen(checkpoint, event, evidence)

    def known(self) -> Iterator[Known]:
        """Return all that is remembered, book by book."""
        for shelf in self._shelves.values():
            yield from shelf.by_id.values()

    def lacking(self, relay: str) -> int:
        """Count the known checkpoints that this relay has not shown."""
        return sum(relay not in known.shown_by for known in self.known())

    def missing(self) -> int:
        """Count the checkpoints whose predecessor was not seen: no relay has it, or it was forgotten for its age."""
        return sum(
            known.checkpoint.prev is not None and known.checkpoint.prev not in shelf.by_id
            for shelf in self._shelves.values()
            for known in shelf.by_id.values()
        )

    # --- between two runs ---------------------------------------------------------------------------------------------

    def state(self) -> bytes:
        """Return all that must be kept between two runs."""
        seen = (known.event for known in self.known())
        events = [event.plain() for event in (*self._successions, *seen, *self._passed_over)]
        return orjson.dumps({"chronicle": VERSION, "bot": self.bots[0], "events": events})

    def restore(self, state: bytes) -> None:
        """Take in what was kept. Raises ConfigError if it is another bot's or malformed."""
        for event in _kept_events(state, self.bots[0]):
            if self.note(event) is None:
                self._passed_over.append(event)


def _evidence(new: Known, shelf: _Shelf) -> Iterator[Equivocation]:
    """Return what a new checkpoint proves together with each checkpoint it must agree with."""
    said = new.checkpoint
    same, beside = shelf.by_seq.get(said.standpoint.seq), shelf.by_prev.get(said.prev)
    before = None if said.prev is None else shelf.by_id.get(said.prev)
    after = shelf.by_prev.get(said.id)
    if same is not None and same.checkpoint.standpoint.head != said.standpoint.head:
        yield _proof_of(Wrong.TWO_HEADS, same, new)
    elif same is not None and not _owe_alike(same.checkpoint, said):
        yield _proof_of(Wrong.TWO_DEBTS, same, new)
    elif beside is not None:
        yield _proof_of(Wrong.FORK, beside, new)
    if before is not None and before.checkpoint.standpoint.seq > said.standpoint.seq:
        yield _proof_of(Wrong.BACKWARDS, before, new)
    if after is not None and after.checkpoint.standpoint.seq < said.standpoint.seq:
        yield _proof_of(Wrong.BACKWARDS, new, after)


def _owe_alike(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints of an entry owe the same to the same people: a key has one root for an entry, for
    ever.
    """
    is_one_key = one.standpoint.bot == other.standpoint.bot
    return one.liabilities == other.liabilities and (one.root == other.root or not is_one_key)


def _proof_of(wrong: Wrong, first: Known, second: Known) -> Equivocation:
    sentence = _SENTENCES[wrong].format(seq=second.checkpoint.standpoint.seq)
    return Equivocation(wrong, sentence, (first.event, second.event))


def _kept_events(state: bytes, bot: str) -> Iterator[VerifiedEvent]:
    damaged = ConfigError("the state file is not what this command wrote: move it away to start again")
    try:
        kept: Any = orjson.loads(state)
    except orjson.JSONDecodeError:
        raise damaged from None
    if type(kept) is not dict or kept.get("chronicle") != VERSION or type(kept.get("events")) is not list:
        raise damaged
    if kept.get("bot") != bot:
        raise ConfigError("the state file belongs to another bot: use one state file for each bot")
    for plain in kept["events"]:
        event = read_event(plain)
        if isinstance(event, Refusal):
            raise damaged
        yield event
