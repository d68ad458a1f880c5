"""An outbox without a socket: order and deadlines."""

import json
from random import Random

from nostrbot.nostr.event import sign_event
from nostrbot.nostr.messages import Ok
from nostrbot.relays.limits import Limits
from nostrbot.relays.publication import Answer, Publication, RelayOutbox
from tests.relays.conftest import BOT

URL = "wss://relay.example.com"


def outbox_of(*contents: str, kind: int = 1) -> tuple[RelayOutbox, dict[str, Publication]]:
    """An outbox and its publications by content."""
    outbox = RelayOutbox(URL, limits=Limits(), rng=Random(1))
    publications = {}
    for content in contents:
        event = sign_event(BOT, kind=kind, tags=[], content=content, created_at=1_790_000_000)
        publications[content] = Publication(event, min_ok=1)
        outbox.add(publications[content])
    return outbox, publications


def sent(outbox: RelayOutbox, now: float) -> str:
    """The contents of all frames that go out now."""
    contents = ""
    while (frame := outbox.next_frame(now)) is not None:
        contents += json.loads(frame)[1]["content"]
    return contents


async def test_order_is_kept_through_a_lost_connection_and_an_authentication() -> None:
    """What goes again goes before what has not gone yet, and in its own order."""
    outbox, publications = outbox_of(*"abc")
    assert sent(outbox, 0.0) == "abc"
    outbox.lost()
    assert sent(outbox, 0.0) == "abc"
    for publication in publications.values():
        answer = outbox.answer(Ok(publication.event.id, False, "auth-required: who are you?"), 0.0)
        assert answer is Answer.AUTH_WANTED
    assert sent(outbox, 0.0) == ""
    outbox.authenticated()
    assert sent(outbox, 0.0) == "abc"


async def test_no_answer_is_a_failure_that_is_tried_again() -> None:
    """After the deadline, and then after a delay; an OK that comes late is stray, the next one counts."""
    outbox, publications = outbox_of("a")
    assert sent(outbox, 0.0) == "a"
    outbox.sweep(9.9)
    assert outbox.outstanding_count == 1
    outbox.sweep(10.0)
    assert (outbox.outstanding_count, outbox.waiting_count) == (0, 1)
    assert publications["a"].refused_by == {URL: "no OK within 10 s"}
    accepted = Ok(publications["a"].event.id, True, "")
    assert outbox.answer(accepted, 10.0) is Answer.STRAY
    outbox.sweep(10.6)
    assert sent(outbox, 10.6) == "a"
    assert outbox.answer(accepted, 10.7) is Answer.ACCEPTED
    assert publications["a"].is_sent
    assert publications["a"].refused_by == {}


async def test_a_relay_that_takes_messages_and_no_acks_is_no_relay_to_publish_to() -> None:
    """What it takes of one kind tells nothing of another; what nobody sends there any more is forgotten."""
    outbox, _ = outbox_of()
    event = sign_event(BOT, kind=21_000, tags=[], content="ack", created_at=1_790_000_000)
    outbox.add(Publication(event, min_ok=1))
    for n in range(60):
        message = sign_event(BOT, kind=4, tags=[], content=str(n), created_at=1_790_000_000)
        outbox.add(Publication(message, min_ok=1))
        outbox.sweep(float(n))
        while outbox.next_frame(float(n)) is not None:
            pass
        outbox.answer(Ok(event.id, False, "blocked: kind not allowed"), float(n))
        outbox.answer(Ok(message.id, True, ""), float(n))
    assert not outbox.accepts(60.0)
    assert outbox.last_refusal == "blocked: kind not allowed"
    assert outbox.accepts(500.0)
    outbox.sweep(500.0)
    assert outbox.next_frame(500.0) is not None
    assert outbox.answer(Ok(event.id, True, ""), 500.0) is Answer.ACCEPTED
    assert outbox.accepts(500.0)
