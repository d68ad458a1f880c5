"""Hearing: whether a person's message is decided, answered with a refusal, or passed over in silence.

What lives here: one bucket a key for each way of saying too much. What does not: what is decided
(runtime/bookkeeper.py, core/), and the buckets themselves (runtime/rate_limit.py). docs/protocol.md section 2;
faults.md row 46 and the review of November 2026, A7 and F9.

Nobody can spend what is another's. Anybody may hand on what somebody signed days ago, so age is judged first, and
messages refused for their date have their own bucket. Commands that protect money have a second bucket, and are never
passed over in silence. Text that is not a command is answered a few times, then never: a machine may answer each of our
messages.
"""

from enum import Enum, auto

from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.local_time import HOUR_S, MINUTE_S
from nostrbot.core.table import SPECS
from nostrbot.runtime.rate_limit import TokenBucket

COMMANDS_AT_ONCE, COMMANDS_PER_S = 240, 3  # of one key: more than people type and programs need (faults.md row 46)
PROTECTING_AT_ONCE = 60  # commands that protect money, beyond the others; then one a second
WARNINGS_AT_ONCE = 5  # refusals of commands beyond that; then one a second, and silence for the others
MISDATED_AT_ONCE = 20  # answers that a command is too old, or dated ahead; then one a minute
CHATTER_AT_ONCE = 10  # answers to text that is not a command; then one an hour, and one more for each command
# The choices of one LP at once, then one a minute: each is an entry in every book it is in, for ever.
CHOICES_AT_ONCE = 60
SLIPS_AT_ONCE = 60  # answers to a command with something wrong in it; then one a minute

TOO_MANY_CHOICES = CommandRefused(
    Code.RATE_LIMITED,
    f"you have changed your choices {CHOICES_AT_ONCE} times just now: I take one change a minute. Wait, then send it "
    "again",
)


class Heard(Enum):
    """The fate of something a person says."""

    TAKEN = auto()  # it is decided
    LAST = auto()  # it is not a command; this time it is answered, the next time not
    TOO_FAST = auto()  # it is not decided, and the answer says so
    IN_SILENCE = auto()  # it is not answered, now or later
    PASSED_OVER = auto()  # the same, and nothing is noted: whoever hands it on must not fill our disk


class Hearing:
    """The judge of each message of a person, by its author's buckets."""

    def __init__(self) -> None:
        self._commands = TokenBucket(burst=COMMANDS_AT_ONCE, tokens=COMMANDS_PER_S, seconds=1)
        self._protecting = TokenBucket(burst=PROTECTING_AT_ONCE, tokens=1, seconds=1)
        self._warnings = TokenBucket(burst=WARNINGS_AT_ONCE, tokens=1, seconds=1)
        self._misdated = TokenBucket(burst=MISDATED_AT_ONCE, tokens=1, seconds=MINUTE_S)
        self._chatter = TokenBucket(burst=CHATTER_AT_ONCE, tokens=1, seconds=HOUR_S)
        self._choices = TokenBucket(burst=CHOICES_AT_ONCE, tokens=1, seconds=MINUTE_S)
        self._slips = TokenBucket(burst=SLIPS_AT_ONCE, tokens=1, seconds=MINUTE_S)

    def hear(
        self, author: str, said: Command | Misunderstood, now: int, *, is_fresh: bool, is_unlimited: bool
    ) -> Heard:
        """Judge one thing said at unix seconds `now`. `is_unlimited`: the platform may say as much as it likes."""
        if not is_fresh:
            return Heard.TAKEN if self._misdated.take(author, now) else Heard.PASSED_OVER
        if isinstance(said, Misunderstood):
            return self._hear_no_command(author, said, now)
        self._chatter.give(author)
        if is_unlimited or self._has_token(author, said, now):
            return Heard.TAKEN
        if _protects(said) or self._warnings.take(author, now):
            return Heard.TOO_FAST
        return Heard.IN_SILENCE

    def may_choose(self, lp: str, now: int) -> bool:
        """Whether an LP (hex key) may change its choices once more."""
        return self._choices.take(lp, now)

    def _has_token(self, author: str, said: Command, now: int) -> bool:
        weight = said.spec.weight
        is_protecting = _protects(said) and self._protecting.take(author, now, weight)
        return is_protecting or self._commands.take(author, now, weight)

    def _hear_no_command(self, author: str, said: Misunderstood, now: int) -> Heard:
        answers = self._slips if said.verb in SPECS else self._chatter
        if not answers.take(author, now):
            return Heard.IN_SILENCE
        return Heard.TAKEN if answers.has_left(author) else Heard.LAST


def _protects(said: Command) -> bool:
    return said.spec.protects and not said.preview
