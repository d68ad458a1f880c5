"""Answers: questions, answered beside the loop that takes sales.

What lives here: when a question is answered, and that its answer is of what was committed. What does not: whose turn it
is (runtime/fair_queue.py), the answers themselves (reading/, runtime/notary.py). docs/protocol.md section 6; the review
of November 2026, A5.

Reading is done in slices; between two slices the reader checks whether a turn goes on: then a question stands back.
Books in memory may hold decisions that are not committed yet. So an answer is given once the turn of that time is
committed, and made again if that turn failed. A question that was not answered before a stop is
answered after the start, when relays bring it again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Generator
from dataclasses import replace
from typing import Any, Generic, TypeVar

from loguru import logger

from nostrbot.core.commands.command import LIST_LIMIT_DEFAULT
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.commands.specs import Answerer
from nostrbot.core.inputs import Signed
from nostrbot.errors import FenceError
from nostrbot.messages.replies import answer, answer_that_fits, refusal
from nostrbot.nostr.sealing import Scheme
from nostrbot.reading.question import Question
from nostrbot.runtime.bookkeeper import Bookkeeper
from nostrbot.runtime.fair_queue import WAITING_PER_KEY_MAX, FairQueue
from nostrbot.runtime.notary import Notary
from nostrbot.runtime.outbox import Outbox
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.runtime.side_by_side import side_by_side
from nostrbot.runtime.turn import answer_message
from nostrbot.views.fitting import fits

READERS = 2  # questions answered at once, of different keys: one that takes long is not waited for
SLICE_S = 0.001  # after this much work the reader checks whether something is to be decided
STAND_BACK_S, LOOK_AGAIN_S = 0.05, 0.002  # how long a slice waits for turns to end, and how often it looks
ATTEMPTS = 3  # then an answer is made while no turn may begin
HOLD_MAX_S = 0.02  # unless it took longer than this
IDS_REMEMBERED = 10_000
# Made of books and journal together: no entry may come between the two.
OF_BOTH = frozenset({"stats", "statement", "report"})
TOO_MANY = CommandRefused(
    Code.RATE_LIMITED,
    f"{WAITING_PER_KEY_MAX} of your questions wait already: wait for their answers, then ask again",
)

Result = TypeVar("Result")


class Answers:
    """The answering of questions. `ask()` after the commit that they came with; `run()` for ever."""

    def __init__(
        self,
        sequencer: Sequencer,
        notary: Notary,
        outbox: Outbox,
        clock: Callable[[], int],
        is_busy: Callable[[], bool],
    ) -> None:
        """`is_busy`: whether something waits to be decided."""
        self._sequencer = sequencer
        self._notary = notary
        self._outbox = outbox
        self._clock = clock
        self._is_busy = is_busy
        self._queue: FairQueue[tuple[Question, Signed]] = FairQueue()
        self._known: OrderedDict[str, None] = (
            OrderedDict()
        )  # that an answer was given is noted only once relays have it
        self._wake = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Return how many questions wait."""
        return len(self._queue)

    def ask(self, question: Question, given: Signed) -> None:
        """Take a question that was let in. One that came before, in whatever wrap, is answered once."""
        if given.id in self._known:
            return
        self._known[given.id] = None
        if len(self._known) > IDS_REMEMBERED:
            self._known.popitem(last=False)
        if self._queue.put(question.author, (question, given)):
            self._wake.set()
        else:
            self._say(given, refusal(question.command.verb, TOO_MANY, json=question.command.json))

    async def run(self) -> None:
        """Answer for ever. Raises FenceError as a commit does."""
        await side_by_side(*(self._read() for _ in range(READERS)))

    async def _read(self) -> None:
        while True:
            taken = self._queue.take(_now_s())
            if taken is None:
                await self._rest()
                continue
            key, (question, given) = taken
            work = _Work(self._stand_back)
            try:
                await self._answer(question, given, work)
            except FenceError:
                raise
            except Exception:  # noqa: BLE001 - the boundary of this task: a fault of ours costs one answer
                logger.opt(exception=True).error("could not answer {}", question.command.verb)
            finally:
                self._queue.done(key, work.took_s, _now_s())
                self._wake.set()

    async def _rest(self) -> None:
        self._wake.clear()
        rest_s = self._queue.rest_s(_now_s())
        try:
            async with asyncio.timeout(None if rest_s is None else rest_s + LOOK_AGAIN_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _stand_back(self) -> None:
        """Let a turn go first, and what it has to say; though not for ever: there may always be one."""
        until = _now_s() + STAND_BACK_S
        while self._is_busy() and _now_s() < until:  # noqa: ASYNC110 - nobody need know that we wait
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _answer(self, question: Question, given: Signed, work: "_Work") -> None:
        if question.command.spec.answerer is Answerer.NOTARY:
            began_s, signing = _now_s(), asyncio.create_task(self._sign(question, given))
            try:
                await asyncio.shield(signing)
            except asyncio.CancelledError:
                await signing
                raise
            finally:
                work.took_s += _now_s() - began_s
            return
        text = await self._committed(question, given.scheme, work)
        if text is not None:
            self._say(given, text)

    async def _sign(self, question: Question, given: Signed) -> None:
        """Sign a checkpoint for the operator who asks. Where none can be signed, that is the answer."""
        signed = await self._notary.answer(question, given)
        if isinstance(signed, CommandRefused):
            self._say(given, refusal(question.command.verb, signed, json=question.command.json))
        else:
            self._outbox.owe(signed, {})

    def _say(self, given: Signed, text: str) -> None:
        self._outbox.say(answer_message(given, text), self._clock(), answers=given.id)

    async def _committed(self, question: Question, scheme: Scheme, work: "_Work") -> str | None:
        """Wait until what a question is about is committed, and answer it; None if it is time to stop."""
        sequencer, calm_needed = self._sequencer, question.command.verb in OF_BOTH
        for _ in range(ATTEMPTS):
            bookkeeper, turns, was_calm = sequencer.bookkeeper, sequencer.turns, not sequencer.lock.locked()
            began_s = work.took_s
            text = await work.do(_answer_that_fits(bookkeeper, question, scheme))
            async with sequencer.lock:
                if sequencer.is_adrift:
                    return None
                is_calm = was_calm and sequencer.turns == turns
            is_committed = sequencer.bookkeeper is bookkeeper
            if is_committed and (is_calm or not calm_needed or work.took_s - began_s > HOLD_MAX_S):
                return text
        async with sequencer.lock:
            return None if sequencer.is_adrift else await _answer_that_fits(sequencer.bookkeeper, question, scheme)


class _Work:
    """A runner of coroutines, slice by slice: it does something before each slice, and times the slices without
    that.
    """

    def __init__(self, before_each: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._before_each = before_each
        self.took_s = 0.0

    async def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end."""
        return await _Slices(lambda: self._slices(work))

    def _slices(self, work: Coroutine[Any, Any, Result]) -> Generator[Any, None, Result]:
        """Drive a coroutine as an event loop does: what it waits for is handed on, what is thrown at it as well."""
        thrown: BaseException | None = None
        paused_at_s = -SLICE_S
        try:
            while True:
                if self.took_s - paused_at_s >= SLICE_S:
                    yield from self._before_each().__await__()
                    paused_at_s = self.took_s
                began_s = _now_s()
                try:
                    awaited = work.send(None) if thrown is None else work.throw(thrown)
                    thrown = yield from _handed_on(awaited)
                except StopIteration as done:
                    result: Result = done.value
                    return result
                finally:
                    self.took_s += _now_s() - began_s
        finally:
            work.close()


def _handed_on(awaited: Any) -> Generator[Any, None, BaseException | None]:
    try:
        yield awaited
    except BaseException as error:  # noqa: BLE001 - it is the coroutine's to deal with
        return error
    return None


class _Slices(Generic[Result]):
    """A generator made awaitable."""

    def __init__(self, begin: Callable[[], Generator[Any, None, Result]]) -> None:
        self._begin = begin

    def __await__(self) -> Generator[Any, None, Result]:
        return self._begin()


def _now_s() -> float:
    """Return the loop's own time, by which all waiting is measured."""
    return asyncio.get_running_loop().time()


async def _answer_that_fits(bookkeeper: Bookkeeper, question: Question, scheme: Scheme) -> str:
    """Return the answer; if a list is too long for the scheme of the question, return a shorter page."""
    text = await _answer(bookkeeper, question)
    limit = question.args.get("limit", LIST_LIMIT_DEFAULT)
    has_pages = any(arg.name == "limit" for arg in question.command.spec.args)
    while has_pages and limit > 1 and not fits(text, scheme):
        limit //= 2
        shorter = replace(question.command, args={**question.args, "limit": limit})
        text = await _answer(bookkeeper, replace(question, command=shorter))
    return answer_that_fits(question.command.verb, text, json=question.command.json, scheme=scheme)


async def _answer(bookkeeper: Bookkeeper, question: Question) -> str:
    command = question.command
    try:
        data = await bookkeeper.reading.answer(question)
    except Exception:  # noqa: BLE001 - the boundary of questions
        logger.opt(exception=True).error("could not answer {}", command.verb)
        data = CommandRefused(Code.OUR_FAULT, "I could not answer that: the operator of this bot finds why in its log")
    if isinstance(data, CommandRefused):
        return refusal(command.verb, data, json=command.json)
    return answer(command.verb, data, json=command.json, preview=command.preview)
