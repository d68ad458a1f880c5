"""Frames from relays, spoilt: read or refused, never raised at; and the connection goes on (faults.md rows 8, 28, 74)."""

import asyncio
import json
from random import Random
from typing import Any

import nostr_sdk
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.nostr.event import Event, VerifiedEvent, expiration, parse, read_event, verify
from nostrbot.nostr.messages import FRAME_MAX_BYTES, EventMessage, Message, read_message
from nostrbot.refusals import Reason, Refusal
from nostrbot.relays.limits import Limits
from nostrbot.relays.pool import Pool
from nostrbot.relays.relay import RelayConfig
from tests.fuzz.effort import effort
from tests.fuzz.spoiling import Plain, Verbatim, others, spoilt, spoilt_bytes, spoilt_json, written
from tests.peers.hostile_relay import hostile_relay
from tests.relays.conftest import BOT, QUICK, eventually, take, to_bot
from tests.signers import SETTLEMENT, Signer

AUTHOR = Signer("author")
NAME = "machines"  # the subscription's
EVENT = AUTHOR.event(
    SETTLEMENT, '{"é": "\n"}', tags=[["p", BOT.pubkey], ["expiration", "1790000000"], ["x"]], at=1_790_000_000
)
WORDS: list[list[Any]] = [
    ["EVENT", NAME, EVENT],
    ["OK", EVENT["id"], True, "duplicate: have it"],
    ["OK", EVENT["id"], False, "rate-limited: slow down"],
    ["EOSE", NAME],
    ["CLOSED", NAME, "auth-required: who are you?"],
    ["NOTICE", "rate-limited: slow down"],
    ["AUTH", "challenge"],
]

words = st.sampled_from(WORDS)
frames = words.flatmap(spoilt_json)
bad_bytes = words.flatmap(lambda word: spoilt_bytes(written(word).encode()))


@effort(400)
@given(frame=frames | bad_bytes)
def test_a_frame_is_read_or_refused(frame: str | bytes) -> None:
    """read_message() gives a message of this protocol or a counted refusal."""
    message = read_message(frame)
    if isinstance(message, Refusal):
        assert message.reason in {Reason.FRAME_TOO_LARGE, Reason.NOT_JSON, Reason.BAD_SHAPE}
    else:
        assert isinstance(message, Message)
        raw = frame.encode() if isinstance(frame, str) else frame
        assert len(raw) <= FRAME_MAX_BYTES
        assert json.loads(raw)[0] in {"EVENT", "OK", "EOSE", "CLOSED", "NOTICE", "AUTH"}


@effort(200)
@given(word=words, more=st.lists(others, max_size=3))
def test_f5_what_stands_behind_the_last_item_changes_nothing(word: list[Any], more: list[Any]) -> None:
    """More items, of any kind: the same message. Fewer: a message that says less, or a refusal."""
    message = read_message(written(word))
    longer = read_message(written([*word, *more]))
    if not isinstance(longer, Refusal):
        assert longer == message
    else:
        assert longer.reason is Reason.NOT_JSON or any(isinstance(one, Verbatim) or deep(one) for one in more)
    shorter = read_message(written(word[:-1]))
    assert isinstance(shorter, Message | Refusal)


def deep(value: Any) -> bool:
    """Whether a value is more than a frame may hold."""
    return len(written(value)) > FRAME_MAX_BYTES


@effort(400)
@given(text=spoilt_json(EVENT))
def test_an_event_in_a_frame_is_what_another_library_takes_it_for(text: str) -> None:
    """Whatever stands in an EVENT frame, what comes out verified verifies elsewhere, and says there what it says here."""
    message = read_message(f'["EVENT","{NAME}",{text}]')
    event = read_event(message.obj) if isinstance(message, EventMessage) else message
    if isinstance(event, VerifiedEvent):
        theirs = nostr_sdk.Event.from_json(text)
        assert theirs.verify()
        assert json.loads(theirs.as_json()) == event.plain() == EVENT
    else:
        assert isinstance(event, Refusal)


@effort(400)
@given(obj=spoilt(EVENT))
def test_an_event_is_parsed_or_refused(obj: Any) -> None:
    """parse() takes any value of JSON; of what it lets through, verify() takes the one true event and nothing else."""
    event = parse(obj)
    if isinstance(event, Refusal):
        assert event.reason is Reason.BAD_SHAPE
        return
    assert isinstance(event, Event)
    assert isinstance(expiration(event), int | None)
    verified = verify(event)
    if event.plain() == EVENT:
        assert isinstance(verified, VerifiedEvent)
    else:
        assert isinstance(verified, Refusal)
        assert verified.reason in {Reason.WRONG_ID, Reason.BAD_SIGNATURE}


@effort(10)
@given(said=st.lists(frames | bad_bytes, min_size=20, max_size=60))
def test_a_session_outlives_what_a_relay_says(said: list[str | bytes]) -> None:
    """The bot's pool hears all of it on one connection, and after it a true event; what it hands on is verified."""
    asyncio.run(_hear(said))


async def _hear(said: list[str | bytes]) -> None:
    async with hostile_relay() as relay:
        pool = Pool([RelayConfig(relay.url)], BOT, min_ok=1, limits=Limits(**QUICK), rng=Random(7))
        pool.subscribe({NAME: to_bot(SETTLEMENT)})
        await pool.start()
        try:
            await eventually(lambda: relay.requests)
            await relay.say(*said)
            true: Plain = AUTHOR.event(SETTLEMENT, "true", tags=[["p", BOT.pubkey]], at=1_790_000_001)
            await relay.say(written(["EVENT", NAME, true]))
            while (arrival := (await take(pool, 1))[0]).event.id != true["id"]:
                assert arrival.event.plain() == EVENT  # what was spoilt was not signed, or not the event
            assert relay.connection_count == 1
        finally:
            await pool.stop()
