"""Troubles: what is wrong with single books while the bot runs, for the book's operator, `status` and metrics.

What lives here: which work of which book fails, since when, when it is tried again, and the words its operator is told.
What does not: noticing a failure (runtime/sequencer.py, runtime/notary.py, runtime/alerting.py, runtime/outbox.py),
sending the words (bot.py), closed books (runtime/bookkeeper.py). docs/protocol.md section 6; faults.md rows A1, A4.

A fault in one book is the trouble of that book alone. The work that failed is tried again, later each time, and no
other book waits for it. Times between attempts are measured by the clock that only ever runs on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from nostrbot.core.book import ROOT, Book
from nostrbot.messages.receipts import Message, direct_message

RETRY_FIRST_S, RETRY_MAX_S = 30.0, 3_600.0  # doubled after each failure
EVENT_LASTS_S = 3_600.0  # an event that was set aside has no next attempt: the book counts as in trouble for so long
# An operator hears of a trouble when it begins, once a day, and when it is over; of one that comes and goes once an
# hour.
TELL_AGAIN_S, TELL_ANEW_S = 24 * 3_600, 3_600


class Work(StrEnum):
    """The kinds of work that may fail in one book."""

    EVENT = "event"
    TICK = "tick"
    SNAPSHOT = "snapshot"
    CHECKPOINT = "checkpoint"
    ALERT = "alert"
    MESSAGE = "message"


# What failed, and what its operator does about it.
_WORDS: Mapping[Work, tuple[str, str]] = {
    Work.EVENT: (
        "a message or a sale could not be decided and was set aside: it had no effect",
        "If you got no answer to a command, check with `worklist` or `balances` whether it was done; if not, send it "
        "again."
        " A machine repeats a sale that has no ack: look for gaps with `fleet`",
    ),
    Work.TICK: (
        "fixed mode cannot pay what is due now",
        "Sales and commands go on. I try again within the hour; pay what is urgent with `settle`",
    ),
    Work.SNAPSHOT: (
        "this book cannot be kept as a snapshot",
        "Nothing is lost and all goes on; only my next start takes longer",
    ),
    Work.CHECKPOINT: (
        "the checkpoint of this book cannot be signed",
        "Sales and commands go on; your LPs get no new proof until it is signed. I try again within the hour",
    ),
    Work.ALERT: (
        "I cannot work out your alerts or your fleet sheet",
        "Until this is over, look yourself: `fleet` and `worklist` show what I would tell you",
    ),
    Work.MESSAGE: (
        "a receipt or a notice cannot be made from its entry and waits",
        "The booking itself stands: LPs see it with `history`. I try again at my next start",
    ),
}


@dataclass(slots=True)
class BookTrouble:
    """One kind of work that fails in one book.

    Attributes:
        why: the class of the error; its own words may hold something private.
        since: when it began, unix seconds; count: how often it failed since.
        failed_at, retry_at: the last failure and the next attempt, in seconds of the running clock.
        told_at: when its operator was told last, unix seconds; None if never. told_count: of how many failures since it
            began.
        is_over: it was, and may come again.
    """

    book: str
    work: Work
    why: str
    since: int
    count: int
    failed_at: float
    retry_at: float
    told_at: int | None = None
    told_count: int = 0
    is_over: bool = False

    def words(self) -> str:
        """Say what is wrong, in one line."""
        return f"{_WORDS[self.work][0]} ({self.why})"


class Troubles:
    """The troubles of all books. `now` is in unix seconds, `running` in seconds of a clock that never leaps."""

    def __init__(self) -> None:
        self._troubles: dict[tuple[str, Work], BookTrouble] = {}

    def note(self, book: str, work: Work, why: str, *, now: int, running: float) -> None:
        """Note a failure."""
        known = self._troubles.get((book, work))
        if known is None:
            known = self._troubles[book, work] = BookTrouble(book, work, why, now, 0, running, running)
        elif known.is_over:
            known.since, known.count, known.told_count, known.is_over = now, 0, 0, False
        known.why, known.failed_at = why, running
        known.retry_at = running + min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** min(known.count, 16))
        known.count += 1

    def is_resting(self, book: str, work: Work, running: float) -> bool:
        """Return whether this work failed and its next attempt is still to come."""
        known = self._troubles.get((book, work))
        return known is not None and not known.is_over and running < known.retry_at

    def went_well(self, book: str, work: Work) -> None:
        """Note that the work was done: the trouble is over."""
        known = self._troubles.get((book, work))
        if known is not None:
            known.is_over = True

    def current(self, running: float) -> list[BookTrouble]:
        """Return the troubles there are. A set-aside event is one for an hour."""
        for trouble in list(self._troubles.values()):
            if trouble.work is Work.EVENT and running - trouble.failed_at >= EVENT_LASTS_S:
                del self._troubles[trouble.book, trouble.work]
        return [trouble for trouble in self._troubles.values() if not trouble.is_over]

    def to_tell(self, now: int, running: float) -> list[BookTrouble]:
        """Return what operators should be told now: new troubles, old ones once a day, and ends."""
        self.current(running)
        return [trouble for trouble in self._troubles.values() if _is_to_be_told(trouble, now)]

    def told(self, troubles: Iterable[BookTrouble], now: int) -> None:
        """Note that the words about these are committed."""
        for trouble in troubles:
            trouble.told_at, trouble.told_count = now, trouble.count
            if trouble.is_over:
                trouble.told_count = 0

    def told_before(self) -> dict[str, int]:
        """Return when each trouble was told, to be kept over a restart."""
        return {
            f"{trouble.book} {trouble.work}": trouble.told_at
            for trouble in self._troubles.values()
            if trouble.told_at is not None
        }

    def remember(self, told: Mapping[str, int], now: int) -> None:
        """Take up what was told before a restart: a trouble that comes again is not told again at once."""
        for trouble in self._troubles.values():
            at = told.get(f"{trouble.book} {trouble.work}")
            if trouble.told_at is None and isinstance(at, int):
                trouble.told_at = min(at, now)


def _is_to_be_told(trouble: BookTrouble, now: int) -> bool:
    if trouble.is_over:
        return trouble.told_count > 0  # who was not told that it began need not hear that it is over
    if trouble.told_at is None:
        return True
    again_s = TELL_AGAIN_S if trouble.told_count and trouble.work is not Work.EVENT else TELL_ANEW_S
    return trouble.count > trouble.told_count and not 0 <= now - trouble.told_at < again_s


def trouble_notice(book: Book, trouble: BookTrouble, now: int) -> Message:
    """Tell the operator of a book, of the root book the platform, what is wrong with it or is over."""
    is_root = book.key == ROOT
    to, whose = (book.platform, "the root book") if is_root else (book.operator, f"your book {book.handle}".rstrip())
    what, step = _WORDS[trouble.work]
    if trouble.is_over:
        text = f"Over in {whose}: {what}. It works again."
    else:
        text = (
            f"Trouble in {whose}: {what}. {step}. Tell whoever runs this bot: its log says why"
            f" ({trouble.why}, {trouble.count} since it began). Other books are not touched."
        )
    return direct_message(to, f"trouble:{book.key}:{trouble.work}:{now}", text, book.alert_plan.scheme)
