"""A turn: the result of one look at what has arrived.

What lives here: the batch to commit, and what follows from it once it is committed. What does not: deciding (core/),
who takes a turn (runtime/bookkeeper.py), and its commit (runtime/sequencer.py).
"""

from dataclasses import dataclass, field

from nostrbot.core.inputs import Signed
from nostrbot.messages.receipts import Message, Sealed, direct_message
from nostrbot.reading.question import Question
from nostrbot.store.batch import Batch


@dataclass(slots=True)
class Turn:
    """The result of one turn: a batch to commit, and what to say and look up once it is committed."""

    batch: Batch = field(default_factory=Batch)
    entries: dict[tuple[str, int], Sealed] = field(default_factory=dict)
    say: list[Message] = field(default_factory=list)
    questions: list[tuple[Question, Signed]] = field(default_factory=list)
    registry_changed: bool = False
    no_snapshot: dict[str, str] = field(default_factory=dict)  # books that could not be kept as one, and why


def answer_message(given: Signed, text: str) -> Message:
    """Return the answer to a command, in the scheme of the command."""
    return direct_message(given.author, f"answer:{given.id}", text, given.scheme, in_reply_to=given.id)
