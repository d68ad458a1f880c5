"""Sessions: one open websocket to one relay, from the handshake to the end.

What lives here: reading frames and judging them in the order of docs/protocol.md section 2 (items 1 to 6), sending,
and the sweep that sees deadlines. What does not: connecting again (connection.py), what lasts longer (relay.py).

Three tasks: the reader, which is the session; the sender, which is the only one to write; the sweep, the only timer.
The reader is never cancelled while it hands an event to a full inbox: an event noted as seen must reach the bot. To
end a session the socket is aborted, and the reader finds out.
https://github.com/nostr-protocol/nips/blob/master/01.md
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from enum import StrEnum

from loguru import logger
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from nostrbot.net.frames import BoundedConnection
from nostrbot.nostr.event import Event, VerifiedEvent, parse, verify
from nostrbot.nostr.kinds import is_ephemeral
from nostrbot.nostr.messages import (
    AUTH_WANTED_AS,
    LIMITED_AS,
    AuthChallenge,
    Closed,
    Eose,
    EventMessage,
    Message,
    Notice,
    Ok,
    read_message,
)
from nostrbot.refusals import Reason, Refusal
from nostrbot.relays.authentication import Authentication
from nostrbot.relays.conduct import Backoff, Score
from nostrbot.relays.dedupe import Arrival, Delivery
from nostrbot.relays.inbox import size_of
from nostrbot.relays.publication import Answer
from nostrbot.relays.relay import Commons, Relay
from nostrbot.relays.watch import Force, RequestTrouble, Watch
from nostrbot.relays.words import names_id, plain_words

# Events of one relay's store held back to be handed on in order. More are handed on in parts.
HELD_MAX = 5_000
# What a frame with an event begins with, however much of it cannot be read.
EVENT_BEGINS = b'["EVENT"'


class Ending(StrEnum):
    """The reasons why a session ended."""

    CLOSED = "the relay hung up"
    SILENT = "the relay answered no ping"
    OVERSIZED = "the relay sent a frame too large to read"
    MISBEHAVED = "the relay sent too much that had to be refused"


class Session:
    """One connection. Make it, then run() it once."""

    def __init__(self, relay: Relay, socket: BoundedConnection, commons: Commons) -> None:
        limits = commons.limits
        self._relay = relay
        self._tally = relay.tally
        self._socket = socket
        self._commons = commons
        self._limits = limits
        self._now = asyncio.get_running_loop().time
        self._urgent: deque[str] = deque()  # REQ, CLOSE and AUTH go before events
        self._wake_sender = asyncio.Event()
        self._watches: dict[str, Watch] = {}  # by subscription id
        self._retired_ids: set[str] = set()  # closed by us: what is still under way is nobody's fault
        self._authentication = Authentication(relay.url, commons.keys, answers_max=limits.auth_answers_max)
        self._score = Score(limits.score_max, limits.score_leak_per_s, self._now())
        self._quiet = Backoff(commons.rng, limits.quiet_min_s, limits.quiet_max_s)
        self._quiet_until = 0.0
        self._heard_at = self._now()
        self._ping_is_wanted = False
        self._ping_due_at: float | None = None  # when a frame or a pong must have come
        self._is_reading = True
        self._ending = Ending.CLOSED
        self._held: dict[str, list[Arrival]] = {}  # by watch: its relay's store, until it is read
        self._held_bytes: Counter[str] = Counter()
        self._told: dict[str, RequestTrouble] = {}  # by watch: what the log has of it
        self._last_notice = ""
        self._notices_left = limits.notices_logged_max
        self._doubt_at = 0.0  # when what is in force may be doubted again
        self.oks = 0

    async def run(self) -> Ending:
        """Serve the relay until the connection ends."""
        for watch in self._relay.watches.values():
            self.open(watch)
        helpers = [asyncio.create_task(self._send()), asyncio.create_task(self._sweep())]
        for helper in helpers:
            helper.add_done_callback(self._helper_ended)
        try:
            await self._read()
        except asyncio.CancelledError:
            # We stop, and nothing is wrong: left to itself the socket would tell the relay of an internal error.
            await self._socket.close()
            raise
        finally:
            for helper in helpers:
                helper.cancel()
            outcomes = await asyncio.gather(*helpers, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionClosed):
                raise outcome
        await self._release(everything=True)
        return self._ending

    def _helper_ended(self, helper: asyncio.Task[None]) -> None:
        """End the connection, and so the reader, if a helper ends by itself."""
        if not helper.cancelled():
            self._socket.transport.abort()

    def open(self, watch: Watch) -> None:
        """Ask for a subscription, in the place of one of that name."""
        replaced = self._watches.get(watch.name)
        if replaced is not None:
            self._ask(replaced.close_past())
        self._watches[watch.name] = self._watches[watch.past_id] = watch
        self._ask([watch.open(self._now())])

    def rewatch(self, gone: Iterable[Watch], new: Iterable[Watch]) -> None:
        """Note that the subscriptions changed."""
        for watch in gone:
            self._close(watch)
        for watch in new:
            self.open(watch)

    def _close(self, watch: Watch) -> None:
        for subscription_id in (watch.name, watch.past_id):
            if self._watches.pop(subscription_id, None) is not None:
                self._retired_ids.add(subscription_id)
        self._ask(watch.close())

    def wake(self) -> None:
        """Wake the sender: there is something to send."""
        self._wake_sender.set()

    def _ask(self, frames: list[str]) -> None:
        self._urgent.extend(frames)
        self._wake_sender.set()

    # --- the three tasks ---

    async def _read(self) -> None:
        frame_count = 0
        try:
            while not self._score.is_full:
                frame = await self._socket.recv(decode=False)
                self._heard_at = self._now()
                arrival = self._take(frame)
                if arrival is not None:
                    await self._hand_on(arrival)
                elif self._held:
                    await self._release()
                frame_count += 1
                if frame_count % self._limits.frames_per_turn == 0:
                    await asyncio.sleep(0)
        except ConnectionClosed as closed:
            if closed.sent is not None and closed.sent.code == CloseCode.MESSAGE_TOO_BIG:
                self._refuse(Refusal(Reason.FRAME_TOO_LARGE))
                self._ending = Ending.OVERSIZED
            elif self._socket.is_flooded:
                self._ending = Ending.MISBEHAVED
            return
        self._ending = Ending.MISBEHAVED
        self._socket.transport.abort()

    async def _release(self, *, everything: bool = False) -> None:
        """Hand on what was held of a store that is read by now, oldest first.

        Relays list their store newest first; commands sent while nobody listened must be obeyed in the order they were
        given, or a deposit would be confirmed before it is added.
        """
        for name in list(self._held):
            watch = self._watches.get(name)
            is_reading = watch is not None and watch.is_reading_past
            has_room = len(self._held[name]) < HELD_MAX and self._held_bytes[name] < self._limits.held_max_bytes
            if is_reading and not everything and has_room:
                continue
            del self._held_bytes[name]
            held = deque(sorted(self._held.pop(name), key=lambda one: (one.event.created_at, one.event.id)))
            try:
                while held:
                    await self._hand_on(held[0])
                    held.popleft()
            finally:
                if held:  # cancelled: the session's end hands on the rest
                    self._held.setdefault(name, []).extend(held)

    async def _hand_on(self, arrival: Arrival) -> None:
        try:
            self._commons.inbox.put_nowait(arrival)
        except asyncio.QueueFull:
            # Stop reading: the relay feels it through TCP, and others take their turn in the queue of putters.
            self._is_reading = False
            await self._commons.inbox.put(arrival)
            self._is_reading = True
            self._heard_at = self._now()

    async def _send(self) -> None:
        while True:
            if self._ping_is_wanted:
                self._ping_is_wanted = False
                asyncio.ensure_future(await self._socket.ping()).add_done_callback(self._ponged)
            frame = self._next_frame()
            if frame is None:
                self._wake_sender.clear()
                await self._wake_sender.wait()
                continue
            # Many frames, one write: what websockets does around each send() costs more than the frame itself.
            async with self._socket.send_context():
                room = self._limits.frames_per_turn
                while frame is not None:
                    self._socket.protocol.send_text(frame)
                    room -= 1
                    frame = self._next_frame() if room else None
            await asyncio.sleep(0)

    def _next_frame(self) -> bytes | None:
        now = self._now()
        if now < self._quiet_until:
            return None
        if self._urgent:
            return self._urgent.popleft().encode()
        frame = self._relay.outbox.next_frame(now)
        if frame is not None:
            self._tally.published += 1
        return frame

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._limits.sweep_s)
            now, unix_now = self._now(), self._commons.wall_clock()
            if self._is_silent(now):
                self._ending = Ending.SILENT
                return
            for watch in list(self._relay.watches.values()):
                self._urgent.extend(watch.sweep(now, unix_now))
                self._tell(watch)
            self.rewatch(*self._relay.judge(now))
            self._relay.outbox.sweep(now)
            await self._release()  # a relay that never says EOSE is waited for no longer than its deadline
            self._commons.progressed()
            self._wake_sender.set()

    def _is_silent(self, now: float) -> bool:
        """Whether a ping went unanswered; asks for a ping when it is time."""
        if not self._is_reading or now - self._heard_at < self._limits.ping_after_s:
            self._ping_due_at = None
        elif self._ping_due_at is None:
            # Due from now, sent or not: on a half-open connection the sender may be stuck.
            self._ping_due_at = now + self._limits.ping_s
            self._ping_is_wanted = True
        else:
            return now >= self._ping_due_at
        return False

    def _ponged(self, pong: asyncio.Future[float]) -> None:
        if not pong.cancelled() and pong.exception() is None:
            self._heard_at = self._now()

    # --- what arrives ---

    def _take(self, frame: bytes) -> Arrival | None:
        message = read_message(frame)
        if isinstance(message, Refusal):
            self._refuse(message, is_anybodys=frame.startswith(EVENT_BEGINS))
            return None
        if isinstance(message, EventMessage):
            return self._take_event(message)
        if isinstance(message, Ok):
            self._take_ok(message)
        else:
            self._take_word(message)
        return None

    def _take_event(self, message: EventMessage) -> Arrival | None:
        event = self._judge(message.obj)
        watch = self._watches.get(message.subscription_id)
        if isinstance(event, Refusal):
            self._refuse(event, is_anybodys=event.reason is Reason.BAD_SHAPE)
            if watch is not None:
                watch.note_unreadable(message.subscription_id)
            return None
        part = watch.part_of(event) if watch is not None else None
        if watch is None or part is None:
            # While a changed REQ is under way, and after a CLOSE, the relay cannot know better.
            is_late = message.subscription_id in self._retired_ids if watch is None else not watch.is_answered
            self._refuse(Refusal(Reason.OFF_FILTER), is_forgiven=is_late)
            return None

        now, unix_now = self._now(), self._commons.wall_clock()
        self._tally.events += 1
        self._tally.last_event_at = unix_now
        is_live = watch.is_live(message.subscription_id, event)
        watch.note(message.subscription_id, event, now, unix_now)
        sighting = self._commons.sightings.record(event, source=part.source, live=is_live, now=now)
        if sighting is not Delivery.FIRST and sighting is not Delivery.REPEAT:
            self._tally.duplicates += 1
            # Anybody may publish an ephemeral event again, and an honest relay passes it on each time.
            if sighting is Delivery.NEEDLESS and not is_ephemeral(event.kind):
                self._score.add(self._limits.score_chatter, now)
            return None
        # A repeat was not verified again so far; the type wants it, and repeats are rare.
        verified = event if isinstance(event, VerifiedEvent) else verify(event)
        assert isinstance(verified, VerifiedEvent), "this very event was verified before"
        arrival = Arrival(verified, self._relay.url, sighting is Delivery.REPEAT, unix_now)
        if watch.reads_past(message.subscription_id, event):
            self._held.setdefault(watch.name, []).append(arrival)
            self._held_bytes[watch.name] += size_of(event)
            return None
        return arrival

    def _judge(self, obj: object) -> Event | Refusal:
        """Shape, id, signature. The signature of an event verified before is compared, not computed again."""
        event = parse(obj)
        if isinstance(event, Refusal) or self._commons.sightings.verified_before(event):
            return event
        return verify(event)

    def _take_ok(self, ok: Ok) -> None:
        now = self._now()
        if self._authentication.is_verdict(ok.event_id):
            self._judge_authentication(ok, now)
            return
        answer = self._relay.outbox.answer(ok, now)
        if answer is Answer.STRAY:
            self._tally.stray_oks += 1
            self._score.add(self._limits.score_chatter, now)
            return
        if answer is Answer.ACCEPTED:
            self.oks += 1
            self._tally.accepted += 1
            self._tally.last_ok_at = self._commons.wall_clock()
            self._quiet.reset()
        else:
            self._tally.refused += 1
            if answer is Answer.RATE_LIMITED:
                self._keep_quiet(now)
        self._wake_sender.set()

    def _take_word(self, message: Message) -> None:
        now = self._now()
        self._score.add(self._limits.score_chatter, now)
        if isinstance(message, Eose):
            watch = self._watches.get(message.subscription_id)
            if watch is not None:
                self._quiet.reset()
                self._ask(watch.eose(message.subscription_id, now, self._commons.wall_clock()))
                self._commons.progressed()
        elif isinstance(message, Closed):
            self._take_closed(message, now)
        elif isinstance(message, Notice):
            self._take_notice(plain_words(message.message), now)
        elif isinstance(message, AuthChallenge):
            frame = self._authentication.answer(message.challenge, self._commons.wall_clock())
            if frame is None:
                self._tally.challenges_ignored += 1
            else:
                self._ask([frame])

    def _take_closed(self, closed: Closed, now: float) -> None:
        watch = self._watches.get(closed.subscription_id)
        if watch is not None:
            for_auth = closed.message.startswith(AUTH_WANTED_AS)
            watch.closed(closed.subscription_id, plain_words(closed.message), for_auth=for_auth, now=now)
            self._commons.progressed()

    def _take_notice(self, words: str, now: float) -> None:
        """Take a NOTICE, which some relays send where others send CLOSED: a REQ it names is refused, others may be."""
        if words != self._last_notice and self._notices_left:
            self._last_notice, self._notices_left = words, self._notices_left - 1
            logger.info("relay {} says: {!r}", self._relay.url, words)
        named = {id(watch): watch for name, watch in self._watches.items() if names_id(words, name)}
        watches = list(named.values()) or list(self._relay.watches.values())
        is_about_reqs = any(watch.is_waiting for watch in watches)
        for watch in watches:
            if named and watch.force is Force.ASKED:
                watch.closed(watch.name, words, for_auth=False, now=now)
            else:
                watch.heard_notice(words, now)
        if LIMITED_AS in words:
            for watch in watches:
                watch.ignored(now)
            if not is_about_reqs or self._relay.outbox.outstanding_count:
                self._keep_quiet(now)
        elif not is_about_reqs and now >= self._doubt_at:
            self._doubt_at = now + self._limits.doubt_s
            for watch in watches:
                watch.doubt(now)

    def _tell(self, watch: Watch) -> None:
        """Have the log say once what is not served and why, and when it is."""
        names = ", ".join(part.name for part in watch.parts)
        trouble = watch.trouble
        if trouble is not None and watch.failures and trouble != self._told.get(watch.name):
            self._told[watch.name] = trouble
            logger.warning(
                "relay {} does not serve {}: {}; I go on asking",
                self._relay.url,
                names,
                repr(trouble.words) if trouble.words else "no answer",
            )
        elif watch.is_in_force and self._told.pop(watch.name, None) is not None:
            logger.info("relay {} serves {} now", self._relay.url, names)

    def _judge_authentication(self, ok: Ok, now: float) -> None:
        if not ok.accepted:
            logger.warning("relay {} refused our authentication: {!r}", self._relay.url, plain_words(ok.message))
            return
        for watch in self._relay.watches.values():
            watch.authenticated(now)
            self._urgent.extend(watch.sweep(now, self._commons.wall_clock()))
        self._relay.outbox.authenticated()
        self._wake_sender.set()

    def _keep_quiet(self, now: float) -> None:
        # Words that come while we are quiet are about what was sent before; they do not make it longer.
        if now >= self._quiet_until:
            self._quiet_until = now + self._quiet.next_s()

    def _refuse(self, refusal: Refusal, *, is_forgiven: bool = False, is_anybodys: bool = False) -> None:
        """Count a refusal. `is_anybodys`: an honest relay may bring it too, for whoever published it there."""
        self._tally.refusals[refusal.reason] += 1
        if not is_forgiven:
            cost = self._limits.score_chatter if is_anybodys else self._limits.score_refusal
            self._score.add(cost, self._now())
