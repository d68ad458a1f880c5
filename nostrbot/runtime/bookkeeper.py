"""The bookkeeper: what has arrived, decided and sealed into one batch.

What lives here: the road from verified events and observations to a batch of entries, in order. What does not: opening
and reading events (intake.py beside this), what people and machines say (people.py and machines.py), the rules (core/),
questions (reading/), relays, and when a batch is committed (sequencer.py). A turn touches books in memory; when the
commit behind it fails, the books are thrown away and loaded again.
"""

from collections import deque
from collections.abc import Callable, Sequence

from nostrbot.core.atm.fleet import MachineStatus
from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.core.book import ROOT
from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.directory import Directory
from nostrbot.core.engine import decide, due
from nostrbot.core.inputs import Tick
from nostrbot.core.platform.roles import no_key
from nostrbot.core.rules import RULES
from nostrbot.errors import BooksError
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.sealing import Envelope
from nostrbot.reading.reading import Reading
from nostrbot.refusals import Reason, Refusal
from nostrbot.runtime.carrying import Carrying
from nostrbot.runtime.freed_keys import Claims
from nostrbot.runtime.hearing import Hearing
from nostrbot.runtime.inbox import Handed, Item
from nostrbot.runtime.intake import Intake, Opened
from nostrbot.runtime.machines import Machines
from nostrbot.runtime.people import People
from nostrbot.runtime.prefetch import Prefetch
from nostrbot.runtime.shelf import Shelf
from nostrbot.runtime.turn import Turn
from nostrbot.runtime.unread_reports import UnreadReports
from nostrbot.store.queries import Queries
from nostrbot.store.store import LiveBook


class Bookkeeper(Shelf):
    """The maker of turns from what arrived. Holds the live books; knows no relay and commits nothing."""

    def __init__(
        self,
        live: dict[str, LiveBook],
        sightings: dict[tuple[str, str], MachineStatus],
        envelope: Envelope,
        queries: Queries,
        next_row: int,
        *,
        next_bot: Callable[[], str | None] = no_key,
        claims: Claims | None = None,
        hearing: Hearing | None = None,
    ) -> None:
        """`sightings`: what is known of machines, by book and name. `next_row`: the first free id of the outbox.

        `next_bot`: the key (hex) that the bot's rotation is about to give it, if one is on the way. `claims`,
        `hearing`: what is known of before, where the books are loaded again.
        """
        super().__init__(live, next_row)
        self.sightings = sightings
        self.claims = claims or Claims()
        self.hearing = hearing or Hearing()
        self.reading = Reading(self.books, sightings, queries)
        root = self.books[ROOT]
        self._intake = Intake(envelope, root.bot, root.former_bots)
        self._recollection = Prefetch(self.books, queries, self.closed_books)
        unread = UnreadReports(sightings)
        self._machines = Machines(self, sightings, unread)
        self._people = People(
            self, Carrying(self, queries), unread, claims=self.claims, hearing=self.hearing, next_bot=next_bot
        )

    async def take(self, items: Sequence[Item], clock: Callable[[], int]) -> Turn:
        """Decide items in order. Nothing is kept until the caller commits the turn's batch."""
        now, turn = clock(), Turn()
        self.in_hand, self.changed = ROOT, set()
        for live in self.live.values():
            live.book.recall.forget()
        answered: set[str] = set()
        waiting = deque(items)
        while waiting:
            if isinstance(waiting[0], Handed):
                await self._take_observation(waiting[0], now, turn)
                waiting.popleft()
                continue
            segment = self._open_segment(waiting, now)
            answered |= await self._recollection.recall(segment)
            for one in segment:
                await self._take_one(one, answered, now, turn)
            if turn.registry_changed:
                self.directory = Directory(self.books.values())
        self.finish(turn)
        return turn

    def _open_segment(self, waiting: deque[Item], now: int) -> list[Opened]:
        """Open events up to one that may enrol somebody: who comes after it may be known only through it."""
        segment: list[Opened] = []
        while waiting and isinstance(waiting[0], VerifiedEvent):
            event = waiting.popleft()
            assert isinstance(event, VerifiedEvent), "the loop looked"
            one = self._intake.open(event, self.directory, now)
            if isinstance(one, Refusal):
                self.refuse(one, event)
                continue
            self.in_hand = one.standing.book
            form = one.said.spec if isinstance(one.said, Command) else None
            if form is not None and form.is_alone and segment:
                waiting.appendleft(event)
                break
            segment.append(one)
            if form is not None and (form.enrols or form.is_alone):
                break
        return segment

    async def _take_one(self, one: Opened, answered: set[str], now: int, turn: Turn) -> None:
        given = one.given
        self.in_hand = one.standing.book
        if isinstance(one.said, Subject):
            self._machines.take_state(one, one.said, now, turn)
        elif not isinstance(one.said, Command | Misunderstood):
            self._machines.take_report(one, one.said, now, turn)
        elif given.id in answered:
            self.refuse(Refusal(Reason.DUPLICATE), given.event)
        else:
            answered.add(given.id)
            await self._people.hear(one, one.said, now, turn)

    async def _take_observation(self, handed: Handed, now: int, turn: Turn) -> None:
        """Decide what the bot saw by itself. Raises BooksError if that cannot be decided: nobody would say it
        again.
        """
        self.in_hand = key = handed.book
        if key in self.closed_books or key not in self.live:
            return
        live = self.live[key]
        at = live.chain.next_at(now)
        given = Tick(at) if handed.seen is None else handed.seen
        if handed.seen is not None:
            await self._recollection.recall_observed(live.book, handed.seen)
        decision = decide(live.book, given, at, RULES)
        if decision.facts:
            self.seal(live, given, decision.facts, now, turn)
        elif isinstance(decision.instead, Refusal) and decision.instead.reason is not Reason.DUPLICATE:
            why = f"an observation cannot be decided: {decision.instead.detail}"
            self.closed_books[key] = why
            raise BooksError(f"book {key}: {why}")

    def books_due(self, now: int) -> list[str]:
        """Return the keys of the books in which something is due by the clock."""
        return [key for key in self.live if self.is_due(key, now)]

    def is_due(self, key: str, now: int) -> bool:
        """Return whether something is due in a book. Where that cannot be said it is: deciding it shows what is
        wrong.
        """
        if key in self.closed_books or key not in self.live:  # its opening failed meanwhile
            return False
        live = self.live[key]
        try:
            return bool(due(live.book, live.chain.next_at(now), RULES))
        except Exception:  # noqa: BLE001 - one book's fault must not keep the others from their slots
            return True
