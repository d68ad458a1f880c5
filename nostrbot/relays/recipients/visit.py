"""Visits: one connection to a relay that is not the bot's own, from the first letter to hanging up.

What lives here: sending letters, listening for their OKs, and the reasons to leave. What does not: opening the
connection (net/dialer.py), and when to come again (courier.py).

Such a relay was chosen by somebody else. Only EVENT is said and only OK is listened to; it is not told who we are
(NIP-42), for nothing is read there. Any further frames are counted, and too many of them end the visit.
https://github.com/nostr-protocol/nips/blob/master/01.md
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from nostrbot.nostr.messages import ACCEPTED_AS, LIMITED_AS, Ok, read_message
from nostrbot.relays.recipients.letters import CourierLimits, Letter, Letters, Pile


class VisitError(Exception):
    """The relay is to be left alone for a while. Says why."""


@dataclass(slots=True)
class _Unanswered:
    letter: Letter
    ok_due_at: float


class Visit:
    """One connection. Make it, then run() it once; see to it that look_up() is called when something has changed."""

    def __init__(
        self,
        socket: ClientConnection,
        pile: Pile,
        letters: Letters,
        *,
        limits: CourierLimits,
        is_crowded: Callable[[], bool],
        answered: Callable[[], None],
    ) -> None:
        """`is_crowded`: whether others wait for a connection. `answered` is called for each OK."""
        self._socket = socket
        self._pile = pile
        self._letters = letters
        self._limits = limits
        self._is_crowded = is_crowded
        self._answered = answered
        self._unanswered: dict[str, _Unanswered] = {}  # by event id, in order of sending
        self._news = asyncio.Event()
        self.is_idle = False

    def look_up(self) -> None:
        """Look up: there is a letter, or somebody waits for a connection."""
        self.is_idle = False
        self._news.set()

    async def run(self) -> None:
        """Hand over what there is, and what comes while it lasts. Raises VisitError. Unanswered letters go back."""
        listening = asyncio.create_task(self._listen())
        listening.add_done_callback(lambda _: self.look_up())
        try:
            await self._talk(listening)
        finally:
            listening.cancel()
            (ended,) = await asyncio.gather(listening, return_exceptions=True)
            self._pile.put_back([one.letter for one in self._unanswered.values()])
            await self._hang_up()
        if isinstance(ended, Exception):
            raise ended

    async def _hang_up(self) -> None:
        try:
            async with asyncio.timeout(self._limits.close_s):
                await self._socket.close()
        except TimeoutError:
            self._socket.transport.abort()

    async def _talk(self, listening: "asyncio.Task[None]") -> None:
        """Send until there is a reason to leave."""
        now = asyncio.get_running_loop().time
        leave_at = now() + self._limits.visit_s
        last_sent_at = now()
        while not listening.done():
            self._news.clear()
            is_crowded = self._is_crowded()
            makes_room = is_crowded and now() >= leave_at
            letter = None if makes_room else self._next_letter(now())
            if letter is not None:
                last_sent_at = now()
                self._unanswered[letter.event_id] = _Unanswered(letter, last_sent_at + self._limits.ok_s)
                await self._send(letter)
                continue
            if self._unanswered:
                wait_until = next(iter(self._unanswered.values())).ok_due_at
                if wait_until <= now():
                    raise VisitError("no OK in time")
            else:
                wait_until = last_sent_at + self._limits.idle_s
                if is_crowded or wait_until <= now():
                    return
                self.is_idle = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(wait_until):
                    await self._news.wait()

    def _next_letter(self, now: float) -> Letter | None:
        self._letters.give_up_late(now)
        has_room = len(self._unanswered) < self._limits.outstanding_max
        return self._pile.take() if has_room and self._pile else None

    async def _send(self, letter: Letter) -> None:
        try:
            async with asyncio.timeout(self._limits.ok_s):
                await self._socket.send(letter.frame, text=True)
        except TimeoutError:
            raise VisitError("it does not read") from None
        except ConnectionClosed:
            raise VisitError("it hung up") from None

    async def _listen(self) -> None:
        """Take in OKs until the relay hangs up."""
        chatter_count = 0
        try:
            while True:
                message = read_message(await self._socket.recv(decode=False))
                if isinstance(message, Ok) and message.event_id in self._unanswered:
                    self._take_ok(message)
                    continue
                chatter_count += 1
                if chatter_count > self._limits.chatter_max:
                    raise VisitError("it talks too much")
        except ConnectionClosed:
            if self._unanswered or self._pile:
                raise VisitError("it hung up") from None

    def _take_ok(self, ok: Ok) -> None:
        if not ok.accepted and ok.message.startswith(LIMITED_AS):
            raise VisitError("it wants us to be slower")
        letter = self._unanswered.pop(ok.event_id).letter
        self._letters.answered(letter, accepted=ok.accepted or ok.message.startswith(ACCEPTED_AS))
        self._answered()
        self.look_up()
