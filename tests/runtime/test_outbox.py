"""The outbox: everything owed is sent, once, in order, with bounded memory, across restarts and relays that come and go."""

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import orjson
import pytest
from sqlalchemy.exc import OperationalError

from nostrbot.messages.receipts import Message
from nostrbot.nostr.event import sign_event
from nostrbot.nostr.giftwrap import make_wrap
from nostrbot.nostr.sealing import Envelope, Scheme
from nostrbot.relays.limits import Limits
from nostrbot.relays.pool import Pool
from nostrbot.relays.relay import RelayConfig
from nostrbot.runtime import outbox as outbox_module
from nostrbot.runtime.outbox import Outbox, signed_body
from nostrbot.store.batch import Batch, Owed
from nostrbot.store.stored import StillOwed
from tests.offices import ANA, BEN, BOT, HOUSE, MACHINE, OPERATOR, Office, contents, office, report
from tests.peers.hostile_relay import HostileRelay, hostile_relay, ok_frames
from tests.signers import Plain

QUICK = Limits(
    ok_s=1.0, retry_min_s=0.05, retry_max_s=0.1, sweep_s=0.02, reconnect_min_s=0.05, reconnect_max_s=0.1, close_s=0.2
)


async def eventually(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Wait until a condition holds; fails when it never does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.005)


class Post:
    """An office with an outbox that works."""

    def __init__(self, at: Office, outbox: Outbox) -> None:
        self.at = at
        self.outbox = outbox

    async def settle(self, *numbers: int) -> None:
        """Commit these sales in one batch and tell the outbox."""
        turn = await self.at.take(*[report(n) for n in numbers])
        self.outbox.owe(turn.batch.owed, turn.entries)

    async def note_delivered(self) -> None:
        """What the bot does with its next commit."""
        delivered = self.outbox.take_delivered()
        await self.at.store.writer.commit(Batch(delivered=delivered.rows, partly_delivered=delivered.partly))

    async def partly_delivered(self, path: Path, positions: list[int], *, rows: int) -> None:
        """Wait until it is noted of so many rows that just these messages were accepted: their OKs may still be on their way."""
        noted = [positions] * rows

        def said() -> list[object]:
            return [row[4] and orjson.loads(row[4]) for row in contents(path)["outbox"]]

        async with asyncio.timeout(10):
            while said() != noted:
                await self.note_delivered()
                await asyncio.sleep(0.01)

    async def all_delivered(self, path: Path) -> None:
        """Wait until the table is empty."""

        async def flush() -> None:
            while contents(path)["outbox"]:
                await self.note_delivered()
                await asyncio.sleep(0.01)

        await asyncio.wait_for(flush(), 10.0)


@asynccontextmanager
async def post_of(at: Office, *urls: str, min_ok: int = 1) -> AsyncIterator[Post]:
    """An office whose outbox publishes on these relays, with the books closed that are closed."""
    pool = Pool([RelayConfig(url, read=False) for url in urls], BOT, min_ok=min_ok, limits=QUICK)
    outbox = Outbox(at.bookkeeper.books, BOT, Envelope(BOT), pool, at.store.queries, closed=at.bookkeeper.closed_books)
    await pool.start()
    working = asyncio.create_task(outbox.run())
    try:
        yield Post(at, outbox)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        await pool.stop()


@asynccontextmanager
async def post(path: Path, *urls: str, min_ok: int = 1) -> AsyncIterator[Post]:
    """The same over an office opened for it, as at a start of the bot."""
    async with office(path) as at, post_of(at, *urls, min_ok=min_ok) as it:
        yield it


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A furnished office that owes nothing; its LPs have cash for a hundred sales."""
    path = tmp_path / "bot.sqlite"
    more = ("ana 180000", "ben 20000")
    house = [
        *HOUSE,
        *[(OPERATOR, f"deposit add {cash} machine=m1") for cash in more],
        *[(OPERATOR, f"deposit confirm d{n}") for n in (3, 4)],
    ]
    async with office(path, house=house) as at:
        rows = [row.id for row in await at.store.queries.outbox(after=0, limit=500)]
        await at.store.writer.commit(Batch(delivered=rows))
    return path


def all_but_ana(event: Plain) -> list[str]:
    """A relay that does not serve ana."""
    accepted = ["p", ANA.pubkey] not in event["tags"]
    return [json.dumps(["OK", event["id"], accepted, "" if accepted else "blocked: not welcome here"])]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for few, so that thirty sales are many; and little patience."""
    for name, value in {
        "IN_FLIGHT_MAX": 6,
        "STUCK_MAX": 4,
        "SAID_MAX": 5,
        "PAGE_ROWS": 4,
        "SIFT_S": 0.01,
        "LOOK_BACK_S": 0.1,
        "READ_RETRY_S": 0.05,
    }.items():
        monkeypatch.setattr(outbox_module, name, value)


def read(relay: HostileRelay) -> list[str]:
    """What was published, in order of arrival, as short words: ack s1, l3 to ana, …"""
    words = []
    for event in relay.published:
        (to,) = [who for who in (ANA, BEN, MACHINE) if ["p", who.pubkey] in event["tags"]]
        text = to.read(event)
        if to is MACHINE:
            words.append(f"ack {json.loads(text)['settlement']}")
        else:
            words.append(f"{text.split('Receipt ')[1].split(',')[0]} to {to.name}")
    return words


async def test_a_settlement_owes_an_ack_and_a_receipt_for_each_lp(path: Path) -> None:
    """In the order of the entry: the machine first, then the LPs by enrolment. Then nothing is owed any more."""
    async with hostile_relay() as relay, post(path, relay.url) as at:
        await at.settle(1)
        await at.all_delivered(path)
        assert read(relay) == ["ack s1", "l3 to ana", "l4 to ben"]
        assert at.outbox.backlog == 0


async def test_messages_leave_in_the_order_of_the_entries(path: Path) -> None:
    """Over many batches: what was decided first is sent first."""
    async with hostile_relay() as relay, post(path, relay.url) as at:
        for first in range(1, 31, 10):
            await at.settle(*range(first, first + 10))
        await at.all_delivered(path)
        assert [word for word in read(relay) if word.startswith("ack")] == [f"ack s{n}" for n in range(1, 31)]
        assert len(relay.published) == len({event["id"] for event in relay.published}) == 90


async def test_what_was_owed_at_the_end_is_sent_at_the_next_start_under_the_same_ids(path: Path) -> None:
    """faults.md rows 49 and 50: made again from the entry, a message has the same bytes, so readers drop the second."""
    async with hostile_relay() as relay:
        async with post(path, relay.url) as at:
            await at.settle(1, 2, 3)
            await eventually(lambda: len(relay.published) == 9)
            # Delivered, but the bot dies before it is noted.
        first = list(relay.published)
        relay.published.clear()
        async with post(path, relay.url) as at:
            await at.all_delivered(path)
        assert relay.published == first
        relay.published.clear()
        async with post(path, relay.url) as at:
            await at.settle(4)
            await at.all_delivered(path)
        assert read(relay) == ["ack s4", "l15 to ana", "l16 to ben"]


async def test_of_a_row_that_was_partly_delivered_only_the_rest_is_sent(path: Path) -> None:
    """The positions that a relay accepted are noted; after a restart the others are sent, under their own ids."""
    async with hostile_relay(event_replies=all_but_ana) as relay:
        async with post(path, relay.url) as at:
            await at.settle(1)
            await eventually(lambda: len(set(read(relay))) == 3)

            def noted() -> bool:
                return [orjson.loads(row[4] or b"[]") for row in contents(path)["outbox"]] == [[0, 2]]

            while not noted():
                await at.note_delivered()
        (refused,) = {event["id"] for event in relay.published if ["p", ANA.pubkey] in event["tags"]}
        relay.published.clear()
        relay.event_replies = lambda event: [json.dumps(["OK", event["id"], True, ""])]
        async with post(path, relay.url) as at:
            await at.all_delivered(path)
        assert [event["id"] for event in relay.published] == [refused]


async def test_beyond_its_memory_the_outbox_reads_the_table_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With relays away, rows beyond the cap stay in the database only; afterwards all of them are sent, once each."""
    monkeypatch.setattr(outbox_module, "QUEUE_ROWS_MAX", 5)
    monkeypatch.setattr(outbox_module, "PAGE_ROWS", 4)
    monkeypatch.setattr(outbox_module, "IN_FLIGHT_MAX", 6)
    async with hostile_relay(refuses_connections=True) as relay, post(path, relay.url) as at:
        for first in range(1, 41, 8):
            await at.settle(*range(first, first + 8))
        await eventually(lambda: at.outbox.backlog > 0)
        assert at.outbox.backlog <= 5 + 4 + 6
        assert len(contents(path)["outbox"]) == 40
        relay.refuses_connections = False
        await at.all_delivered(path)
        assert len(relay.published) == len({event["id"] for event in relay.published}) == 120


async def test_a_commit_while_the_table_is_read_wakes_the_outbox(path: Path) -> None:
    """A commit told of while the outbox was reading an empty table is seen at once, not with the next commit."""
    async with hostile_relay() as relay, office(path) as at:
        reading, read_out = asyncio.Event(), asyncio.Event()
        table = at.store.queries.outbox

        async def slow_outbox(*, after: int, limit: int) -> list[StillOwed]:
            rows = await table(after=after, limit=limit)
            reading.set()
            await read_out.wait()
            return rows

        at.store.queries.outbox = slow_outbox  # type: ignore[method-assign]
        async with post_of(at, relay.url) as it:
            await reading.wait()
            await it.settle(1)
            read_out.set()
            await eventually(lambda: len(relay.published) == 3)


async def test_rows_committed_while_the_table_is_read_are_neither_lost_nor_sent_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outbox reads on its own connection while commits go on: however the two meet, each message is sent once."""
    monkeypatch.setattr(outbox_module, "QUEUE_ROWS_MAX", 3)
    monkeypatch.setattr(outbox_module, "PAGE_ROWS", 2)
    async with hostile_relay() as relay, post(path, relay.url) as at:
        for n in range(1, 61):
            await at.settle(n)
            if n % 9 == 0:
                await at.note_delivered()
        await at.all_delivered(path)
        ids = [event["id"] for event in relay.published]
        assert len(ids) == len(set(ids)) == 180


async def test_a_commit_told_after_the_table_was_read_is_not_sent_twice(path: Path) -> None:
    """The narrow case: the rows are committed, the outbox reads them, and only then is it told of them."""
    async with hostile_relay() as relay, office(path) as at:
        turn = await at.take(report(1), report(2))
        async with post_of(at, relay.url) as it:
            await eventually(lambda: len(relay.published) == 6)
            it.outbox.owe(turn.batch.owed, turn.entries)
            await it.settle(3)
            await it.all_delivered(path)
            assert [word for word in read(relay) if word.startswith("ack")] == ["ack s1", "ack s2", "ack s3"]


async def test_one_relay_of_five_is_enough_and_the_others_follow(path: Path) -> None:
    """faults.md row 73: with min_ok 1 a message counts as sent when one relay has it; the others get it when they can."""
    async with hostile_relay() as good, hostile_relay(refuses_connections=True) as away:
        never = [f"ws://127.0.0.1:{port}" for port in (1, 2, 3)]  # nobody listens there
        async with post(path, good.url, away.url, *never) as at:
            await at.settle(1)
            await at.all_delivered(path)
            assert away.published == []
            away.refuses_connections = False
            await eventually(lambda: len(away.published) == 3)
            assert away.published == good.published


async def test_below_min_ok_nothing_counts_as_sent(path: Path) -> None:
    """With min_ok 2 and one relay up, everything stays owed; when the second comes back, it is delivered."""
    async with (
        hostile_relay() as good,
        hostile_relay(refuses_connections=True) as away,
        post(path, good.url, away.url, min_ok=2) as at,
    ):
        await at.settle(1)
        await eventually(lambda: len(good.published) == 3)
        await at.note_delivered()
        assert len(contents(path)["outbox"]) == 1
        away.refuses_connections = False
        await at.all_delivered(path)
        assert len(away.published) == 3


@pytest.mark.usefixtures("small")
async def test_a_relay_that_refuses_one_lp_does_not_hold_up_the_others(path: Path) -> None:
    """Far more refused messages than may be in flight: acks and the other LP's receipts leave, now and after a restart.

    What is refused stays owed, is tried again, and leaves under the same ids once the relay takes it.
    """
    async with hostile_relay(event_replies=all_but_ana) as relay:

        def taken() -> set[str]:
            return {word for word in read(relay) if "ana" not in word}

        async with post(path, relay.url) as at:
            await at.settle(*range(1, 31))
            await eventually(lambda: len(taken()) == 60)
            await eventually(lambda: at.outbox.backlog <= 6 + 4)
            await at.partly_delivered(path, [0, 2], rows=30)
        relay.published.clear()
        async with post(path, relay.url) as at:
            await at.settle(31)
            await eventually(lambda: len(taken()) == 2)
            await eventually(lambda: len({event["id"] for event in relay.published}) == 33)
            refused = {event["id"] for event in relay.published if ["p", ANA.pubkey] in event["tags"]}
            relay.published.clear()
            relay.event_replies = ok_frames
            await at.all_delivered(path)
            assert {event["id"] for event in relay.published} == refused
            assert at.outbox.backlog == 0


@pytest.mark.usefixtures("small")
async def test_what_was_set_down_is_tried_again_while_the_refusal_lasts(path: Path) -> None:
    """No refused message is forgotten: each is tried many times, and those that are taken meanwhile are sent once."""
    async with hostile_relay(event_replies=all_but_ana) as relay, post(path, relay.url) as at:
        await at.settle(*range(1, 31))

        def tries() -> Counter[str]:
            return Counter(read(relay))

        await eventually(lambda: sum(n >= 3 for word, n in tries().items() if "ana" in word) == 30, 10.0)
        assert {n for word, n in tries().items() if "ana" not in word} == {1}
        assert at.outbox.backlog <= 6 + 4 + 4


@pytest.mark.usefixtures("small")
async def test_below_min_ok_the_relay_that_is_there_gets_everything(path: Path) -> None:
    """With min_ok 2 and one relay away, the other is served without end; all is owed until the second has it too."""
    async with (
        hostile_relay() as good,
        hostile_relay(refuses_connections=True) as away,
        post(path, good.url, away.url, min_ok=2) as at,
    ):
        await at.settle(*range(1, 31))
        await eventually(lambda: len({event["id"] for event in good.published}) == 90)
        await at.note_delivered()
        assert len(contents(path)["outbox"]) == 30
        away.refuses_connections = False
        await at.all_delivered(path)
        assert len({event["id"] for event in away.published}) == 90


@pytest.mark.usefixtures("small")
async def test_of_what_nothing_is_owed_for_only_the_newest_are_kept(path: Path) -> None:
    """With relays away only so many wait, in nobody's way; a question whose answer was given up is not noted as answered."""
    async with hostile_relay(refuses_connections=True) as relay, post(path, relay.url) as at:
        for n in range(20):
            message = Message(f"answer {n}", 4, ANA.pubkey, f"Receipt {n}, ", Scheme.NIP44, None)
            at.outbox.say(message, 1_790_000_000, answers=f"question {n}")
        await at.settle(1)
        relay.refuses_connections = False
        await at.all_delivered(path)
        await eventually(lambda: len(relay.published) == 8)
        assert read(relay)[:5] == [f"{n} to ana" for n in range(15, 20)]
        assert at.outbox.backlog == 0


@pytest.mark.usefixtures("small")
async def test_a_table_that_cannot_be_read_is_read_later(path: Path) -> None:
    """A sick disk costs time, not the outbox."""
    async with hostile_relay() as relay, office(path) as at:
        table = at.store.queries.outbox
        failures = iter([OperationalError("SELECT", None, Exception("disk I/O error"))] * 3)

        async def sick_outbox(*, after: int, limit: int) -> list[StillOwed]:
            for failure in failures:
                raise failure
            return await table(after=after, limit=limit)

        at.store.queries.outbox = sick_outbox  # type: ignore[method-assign]
        async with post_of(at, relay.url) as it:
            await it.settle(1)
            await it.all_delivered(path)
            assert read(relay) == ["ack s1", "l3 to ana", "l4 to ben"]


async def test_a_relay_that_already_has_it_is_a_relay_that_has_it(path: Path) -> None:
    """OK false "duplicate:" counts as accepted: this is how a re-sent message after a crash is settled."""

    def known(event: Plain) -> list[str]:
        return [json.dumps(["OK", event["id"], False, "duplicate: already have this event"])]

    async with hostile_relay(event_replies=known) as relay, post(path, relay.url) as at:
        await at.settle(1)
        await at.all_delivered(path)
        assert len(relay.published) == 3


async def test_deliveries_that_could_not_be_noted_are_noted_later(path: Path) -> None:
    """When the commit that should have noted a delivery fails, the next one notes it: no row stays owed for ever."""
    async with hostile_relay() as relay, post(path, relay.url) as at:
        await at.settle(1, 2)
        await eventually(lambda: len(relay.published) == 6 and at.outbox.backlog == 0)
        lost = at.outbox.take_delivered()
        assert len(lost.rows) == 2
        at.outbox.put_back(lost)
        await at.all_delivered(path)


async def test_a_commit_told_after_a_later_one_is_sent_all_the_same(path: Path) -> None:
    """Who committed first may be late in telling: the rows behind which others were taken on are looked for."""
    async with hostile_relay() as relay, post(path, relay.url) as at:
        await at.settle(1)
        await at.all_delivered(path)
        late, early = await at.at.take(report(2)), await at.at.take(report(3))
        at.outbox.owe(early.batch.owed, early.entries)
        at.outbox.owe(late.batch.owed, late.entries)
        await at.all_delivered(path)
        assert sorted(word for word in read(relay) if word.startswith("ack")) == ["ack s1", "ack s2", "ack s3"]
        assert len(relay.published) == len({event["id"] for event in relay.published})


def test_made_again_a_message_is_the_same_event() -> None:
    """Sealed twice under the same name a text has the same bytes; under another name, others."""
    envelope, names = Envelope(BOT), (b"a", b"a", b"b")
    for scheme in (Scheme.NIP04, Scheme.NIP44):
        first, again, other = (envelope.seal_to(ANA.pubkey, "hello", scheme, name) for name in names)
        assert first == again != other
    wraps = (make_wrap(BOT, envelope, to=ANA.pubkey, text="hello", at=1_790_000_000, name=name) for name in names)
    first_id, again_id, other_id = (wrap.id for wrap in wraps)
    assert first_id == again_id != other_id


async def test_an_event_that_is_signed_already_goes_out_as_it_is(path: Path) -> None:
    """Told at once or found at the next start, it is published verbatim; one that was damaged holds up nothing behind it."""
    ready = [sign_event(BOT, kind=78, tags=[["d", "x"]], content=str(n), created_at=n) for n in range(3)]
    bodies = [signed_body(event) for event in ready]
    bodies[1] = bodies[1].replace(b'"content":"1"', b'"content":"7"')
    async with hostile_relay() as relay:
        async with office(path) as at:
            first = Owed(at.bookkeeper.new_row(), None, None, bodies[0])
            later = [Owed(at.bookkeeper.new_row(), None, None, body) for body in bodies[1:]]
            await at.store.writer.commit(Batch(owed=[first, *later]))
            async with post_of(at, relay.url) as it:
                it.outbox.owe([first, *later], {})
                await eventually(lambda: len(relay.published) == 2)
        async with post(path, relay.url) as it:  # nothing was noted as delivered
            await it.all_delivered(path)
    assert {event["id"] for event in relay.published} == {ready[0].id, ready[2].id}
    assert all(event in [one.plain() for one in ready] for event in relay.published)


async def test_what_a_damaged_book_owes_stays_owed(path: Path) -> None:
    """Neither of its entries nor of one that is not there is anything said; what follows in the table is not held up."""
    async with office(path) as at:
        await at.take(report(1), report(2))
        last = at.bookkeeper.live[OPERATOR.pubkey].chain.seq
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entry SET body = substr(body, 2) WHERE book = 2 AND seq = ?", (last - 1,))
        connection.execute("DELETE FROM entry WHERE book = 2 AND seq = ?", (last,))
    async with office(path) as at:
        # Its answer has a text of its own: that the book is closed.
        await at.say((OPERATOR, "deposit add ana 5 machine=m1"))
        owed = len(contents(path)["outbox"])
        assert owed == 3
        async with hostile_relay() as relay, post_of(at, relay.url) as it:
            await eventually(lambda: len(relay.published) == 1)
            await eventually(lambda: it.outbox.backlog == 0)  # the relay has it before the bot hears so
            await it.note_delivered()
            assert "closed for repair" in OPERATOR.read(relay.published[0])
        assert len(contents(path)["outbox"]) == 2
