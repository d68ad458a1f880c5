"""Letters: messages on their way to relays that are not the bot's own, and what became of them.

What lives here: how long a letter lives, how much room all of them have, the counts. What does not: who carries them
(courier.py) and how they are handed over (visit.py). Nothing here waits.
"""

from collections import deque
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierLimits:
    """Bounds of one courier. Times are seconds on the monotonic clock."""

    relays_a_person_max: int = 3  # NIP-17 asks people to announce one to three
    connections_max: int = 16
    letters_a_relay_max: int = 200  # a relay that is away does not use up the room of the others
    waiting_max_bytes: int = 8 * 1024 * 1024  # some 4,000 receipts
    routes_max: int = 1_000  # relays remembered, with how long to stay away from them
    carried_max: int = 10_000  # ids remembered: what the outbox hands to the pool again is not carried again

    deadline_s: float = 60.0  # a message that is not there by then can still be read on the bot's relays
    dial_s: float = 15.0
    ok_s: float = 10.0
    idle_s: float = 30.0  # a conversation has pauses, and a connection costs several round trips
    visit_s: float = 30.0  # so long a busy relay may keep one that waits for a connection waiting
    close_s: float = 1.0
    outstanding_max: int = 20
    # Frames borne on one connection that answer nothing of ours: a relay greets and challenges, it does not chat.
    chatter_max: int = 100
    away_min_s: float = 5.0
    away_max_s: float = 3_600.0


@dataclass(slots=True)
class CourierTally:
    """The fates of letters, counted (a message is one for each relay it is taken to), and the letters at hand."""

    accepted: int = 0
    refused: int = 0  # OK false
    given_up: int = 0  # too late, or too many
    failures: int = 0  # connections that could not be opened, or went wrong
    waiting: int = 0
    connected: int = 0


@dataclass(slots=True, eq=False)
class Letter:
    """One message for one relay. `due_at`: when it is given up. One that is over is dropped by whoever comes across
    it.
    """

    event_id: str
    frame: bytes
    due_at: float
    is_over: bool = False


class Letters:
    """All letters that are not over, of all relays, oldest first: so the first one is also the first to be late."""

    def __init__(self, waiting_max_bytes: int) -> None:
        self.counts = CourierTally()
        self._waiting_max_bytes = waiting_max_bytes
        self._letters: dict[Letter, None] = {}
        self._waiting_bytes = 0

    def add(self, letter: Letter) -> None:
        """Take one on, the last to be due. When there is no room the oldest are given up."""
        self._letters[letter] = None
        self._waiting_bytes += len(letter.frame)
        while self._waiting_bytes > self._waiting_max_bytes:
            self.give_up(next(iter(self._letters)))

    def answered(self, letter: Letter, *, accepted: bool) -> None:
        """Note that the relay has it, or refuses it."""
        if not letter.is_over:
            self._close(letter)
            self.counts.accepted += accepted
            self.counts.refused += not accepted

    def give_up(self, letter: Letter) -> None:
        """Carry it no further."""
        if not letter.is_over:
            self._close(letter)
            self.counts.given_up += 1

    def give_up_late(self, now: float) -> None:
        """Give up those that were due by `now`."""
        while self._letters and (oldest := next(iter(self._letters))).due_at <= now:
            self.give_up(oldest)

    def give_up_all(self) -> None:
        """Give up every one."""
        for letter in list(self._letters):
            self.give_up(letter)

    def tally(self, *, connected: int) -> CourierTally:
        """Return a copy of the counts."""
        return replace(self.counts, waiting=len(self._letters), connected=connected)

    def _close(self, letter: Letter) -> None:
        del self._letters[letter]
        self._waiting_bytes -= len(letter.frame)
        letter.is_over = True
        letter.frame = b""  # it may lie about for a while where it waited


@dataclass(slots=True, eq=False)
class Pile:
    """The letters for one relay, in the order in which they are to be sent."""

    _letters: deque[Letter] = field(default_factory=deque)

    def __bool__(self) -> bool:
        """Whether there is anything to send."""
        while self._letters and self._letters[0].is_over:
            self._letters.popleft()
        return bool(self._letters)

    def __len__(self) -> int:
        return len(self._letters)

    def add(self, letter: Letter) -> None:
        """Put a letter behind the others."""
        self._letters.append(letter)

    def put_back(self, letters: list[Letter]) -> None:
        """Put letters that were taken, and not answered, before the others."""
        self._letters.extendleft(reversed(letters))

    def take(self) -> Letter:
        """Take the next letter of a pile that has one."""
        assert self, "there is something to send"
        return self._letters.popleft()

    def take_late(self, until: float) -> list[Letter]:
        """Take the letters that are due by `until`."""
        late = [letter for letter in self._letters if letter.due_at <= until]
        self._letters = deque(letter for letter in self._letters if letter.due_at > until)
        return late
