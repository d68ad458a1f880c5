"""Limits of the relay pool: every bound and every length of time, with its reason.

What lives here: numbers. What does not: what happens when one is reached (the module that reaches it).
Tests shorten the times; an operator has no need to.
"""

from dataclasses import dataclass

from nostrbot.nostr.messages import FRAME_MAX_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one pool. Times are seconds on the monotonic clock unless the name says otherwise."""

    # --- reading ---
    # A frame above FRAME_MAX_BYTES is refused and counted, the connection stays. Above this one the socket is closed
    # before the frame is read, so memory stays constant whatever a relay sends. Real relays stay far below.
    socket_frame_max_bytes: int = 16 * FRAME_MAX_BYTES
    # Frames parsed and not yet taken; with the line above, 16 MiB a relay at the very worst.
    socket_queue_max: int = 16
    # About 1 ms of signatures, then the loop serves the others.
    frames_per_turn: int = 32
    # Arrivals the bot has not taken; when it is full we stop reading, and TCP tells the relays.
    inbox_max: int = 10_000
    # The same in bytes: events have 400 bytes mostly, and at most 64 KiB.
    inbox_max_bytes: int = 32 * 1024 * 1024
    # The events of one relay's store that are held back to be handed on in order, for each REQ; more is handed on in
    # parts.
    held_max_bytes: int = 8 * 1024 * 1024
    # Ids remembered with their signature, some 300 bytes each: hours of a large fleet.
    sightings_max: int = 100_000
    # A machine that waits for its ack repeats every few seconds; a relay that replays faster only burns our time.
    repeat_gap_s: float = 0.5
    # But a machine that repeats at once has its ack as well, this often for one event.
    repeats_at_once: int = 8

    # --- subscriptions ---
    eose_s: float = 10.0
    # After a NOTICE that names no REQ, how long an answer to what was asked is waited for.
    notice_s: float = 2.0
    # A REQ that is in force is doubted after a NOTICE, this often at most.
    doubt_s: float = 60.0
    # NOTICEs of one connection that are logged.
    notices_logged_max: int = 20
    # A subscription that no relay serves for longer is missed; less is what a reconnection takes.
    unheard_s: float = 15.0
    # The subscriptions a relay still refuses are asked for in another number of REQs after this long: each try costs a
    # moment of hearing.
    regroup_min_s: float = 300.0
    regroup_max_s: float = 21_600.0
    # LocalRelay and many public relays give at most 500 events a REQ, newest first.
    page_events: int = 500
    pages_max: int = 1_000
    # Relays drop live events of slow readers without a word, so stored kinds are asked for again.
    requery_s: float = 300.0
    # How long wait_subscribed() waits for the other relays once one is there.
    grace_s: float = 2.0

    # --- publishing ---
    # Unanswered EVENTs on one connection; the rest wait in order.
    outstanding_max: int = 1_000
    # Publications kept for a relay that is away although enough others have them: the oldest are let go first.
    backlog_max: int = 10_000
    # Tries on one relay once enough others have accepted. Before that we try for ever.
    surplus_attempts_max: int = 8
    ok_s: float = 10.0
    retry_min_s: float = 0.5
    retry_max_s: float = 60.0
    # A relay that took nothing for this many tries and this long does not count as one that can be published to.
    failing_min: int = 5
    failing_s: float = 30.0
    # Events it does not take are tried again every minute; with no try for so long nobody wants it there any more.
    failing_forgotten_s: float = 300.0

    # --- staying connected ---
    open_s: float = 10.0
    close_s: float = 1.0
    sweep_s: float = 0.25
    # Half-open TCP: after this much silence a ping, after that much more without any frame the connection is dead.
    ping_after_s: float = 20.0
    ping_s: float = 10.0
    # LocalRelay hangs up after 6,000 messages a minute: a connection that did its work is opened again at once.
    reconnect_first_s: float = 0.05
    reconnect_min_s: float = 0.5
    reconnect_max_s: float = 60.0
    # A connection "did its work" when it lasted this long or got this many OKs.
    steady_s: float = 10.0
    steady_oks: int = 500
    # "rate-limited": how long we say nothing.
    quiet_min_s: float = 1.0
    quiet_max_s: float = 60.0

    # --- relays that misbehave ---
    # A refused event or frame costs 20, needless chatter (an OK nobody asked for) 1: so 500 refusals at once or 20 a
    # second are borne, and 10,000 needless messages or 400 a second. Events that anybody may publish on an honest relay
    # cost as little as chatter, or a stranger could have us hang up on it: events too large for us, or of a shape that
    # we refuse and it does not; an ephemeral event published again costs nothing.
    score_max: int = 10_000
    score_refusal: int = 20
    score_chatter: int = 1
    score_leak_per_s: int = 400
    cut_min_s: float = 60.0
    cut_max_s: float = 3_600.0
    # NIP-42 challenges answered on one connection. Each answer costs a signature.
    auth_answers_max: int = 8

    def __post_init__(self) -> None:
        assert self.socket_frame_max_bytes > FRAME_MAX_BYTES, "a refusable frame must be readable"
        assert 0 < self.outstanding_max <= self.backlog_max
        assert self.sweep_s <= min(self.eose_s, self.ok_s, self.ping_s), "a sweep must see each deadline"
