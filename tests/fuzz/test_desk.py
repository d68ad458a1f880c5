"""The desk under fire: hostile words inside valid encryption, from everyone who is known, and from strangers.

Whatever they say, nothing raises, every answer fits in one event and shows no character that plays tricks with a screen
(faults.md row 45), what is refused changes nothing, and what is accepted is what an auditor decides again.
"""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.settlements.facts import SettlementProcessed
from nostrbot.core.commands.command import Command, Misunderstood
from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.desks import check_books
from nostrbot.core.parsing import parse
from nostrbot.core.snapshots import take_snapshot
from nostrbot.core.table import TABLE
from nostrbot.exports.trail import export_trail
from nostrbot.messages.receipts import entry_messages
from nostrbot.messages.replies import answer, answer_that_fits, is_refusal, refusal
from nostrbot.nostr.giftwrap import make_wrap
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope, Scheme
from nostrbot.runtime.turn import Turn
from nostrbot.views.fitting import fits
from nostrbot.views.lines import escape_lines
from tests.fuzz.effort import effort
from tests.fuzz.spoiling import TEXTS, Plain, spoilt_json, spoilt_text
from tests.fuzz.test_payloads import BEACON, TELEMETRY
from tests.offices import ANA, BEN, BOT, HOUSE, MACHINE, OPENED_AT, OPERATOR, PLATFORM, Office, command, office, report
from tests.signers import Signer, sale_of

STRANGER, NEW = Signer("stranger"), Signer("new")
PEOPLE = (PLATFORM, OPERATOR, ANA, BEN, MACHINE, STRANGER)
MACHINE_STATE, TELEMETRY_KIND = 30_078, 30_079
ENCRYPTED_BYTES_MAX = 12_000  # fits in a frame, even where a gift wrap takes six bytes for one
# Words that a command may be made of: names there are and are not, numbers, keys, and what belongs nowhere.
PLAIN_WORDS = """
    m1 ana ben antigua d1 d2 s1 l1 1 self off on flow fixed help preview --json / ! npub1…
    100 0.01 9000.00 1e3 -1 50% 100% 7.77% 2026-11-01 2026-10 08:00,20:00 x@y.example
    machine= name= limit= before= amount= reason= note= fiat= cash_in= ana= 1=
"""
WORDS = (
    *PLAIN_WORDS.split(),
    *(OPERATOR.npub, ANA.npub, NEW.npub, MACHINE.pubkey, STRANGER.npub, '"two words"'),
)


def furnished() -> Iterator[tuple[Signer, str]]:
    """Commands that make more of a house: everything that a command can be about is there once."""
    yield from HOUSE
    yield OPERATOR, "splits set house=60%:self ana=40%:ana"
    yield OPERATOR, "deposit add ana 5 machine=m1"
    yield OPERATOR, "fixed schedule 08:00,20:00"


@pytest.fixture(scope="module")
def database() -> Iterator[Path]:
    """A house with a sale that was shared out, one that was rejected, and a machine that has said all it can."""

    async def furnish(path: Path) -> None:
        async with office(path, house=furnished()) as opened:
            await opened.take(report(1), report(2, wire_sats=1), *(state(name, written) for name, written in STATES))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "house.sqlite"
        asyncio.run(furnish(path))
        yield path


def state(name: str, text: str, *, at: int = OPENED_AT, by: Signer = MACHINE) -> Plain:
    """A machine's addressable event of this content."""
    kind = TELEMETRY_KIND if name == "bitspire-telemetry" else MACHINE_STATE
    content = text if name == "bitspire-beacon" else by.seal(text or " ", BOT.pubkey, "nip44")
    return by.event(kind, content, tags=[["d", f"{name}:{by.pubkey}"], ["p", BOT.pubkey]], at=at)


STATES = (
    ("bitspire-beacon", orjson.dumps(BEACON).decode()),
    ("bitspire-telemetry", orjson.dumps(TELEMETRY).decode()),
    ("bitspire-cassettes-state", '{"positions":{"1":{"denomination":100,"count":480}}}'),
)

# Asked at the end of each life, in words: what machines said may be in every answer.
LOOKS = ("fleet", "telemetry m1", "cassette list m1", "settlement list", "settlement show s3", "worklist")

# --- what is said

valid = [form.example or form.verb for form in TABLE] + [form.usage for form in TABLE] + [said for _, said in HOUSE]
words = st.sampled_from(WORDS) | st.sampled_from(TEXTS) | st.text(max_size=10)


@st.composite
def commands(draw: st.DrawFn) -> str:
    """A verb there is, followed by words that fit more or less; or a command of somebody's, spoilt."""
    if draw(st.booleans()):
        return draw(spoilt_text(draw(st.sampled_from(valid)).replace("npub1…", NEW.npub)))
    form = draw(st.sampled_from(TABLE))
    said = [form.verb]
    for arg in form.args:
        if not arg.required and draw(st.booleans()):
            continue
        word = draw(words)
        said.append(word if arg.positional else f"{arg.name}={word}")
    said += draw(st.lists(words, max_size=2))
    return ("preview " if draw(st.integers(0, 7)) == 0 else "") + " ".join(said)


@effort(1_500)
@given(text=commands())
def test_a_command_is_understood_or_not(text: str) -> None:
    """parse() gives a command with every argument it needs, or a refusal that can be shown."""
    said = parse(text)
    if isinstance(said, Misunderstood):
        assert len(refusal(said.verb, said.refused, json=True)) < 6_000
    else:
        assert isinstance(said, Command)
        assert all(arg.name in said.args for arg in said.spec.args if arg.required)


@st.composite
def messages(draw: st.DrawFn) -> tuple[Signer, str, Any, int]:
    """(who, what kind of message, its text or content, seconds from now)."""
    who = draw(st.sampled_from(PEOPLE))
    age_s = draw(st.sampled_from([0, 0, 0, 0, 1, 60, 90_000, -1_000]))
    match draw(st.sampled_from(["command", "command", "command", "sale", "state", "garbage"])):
        case "command":
            return who, draw(st.sampled_from(["nip04", "nip44", "nip17"])), draw(commands()), age_s
        case "sale":
            number = draw(st.integers(1, 5))
            scheme = draw(st.sampled_from(["sale plain", "sale nip04", "sale nip44"]))
            return MACHINE, scheme, draw(spoilt_json(sale_of(MACHINE, number))), age_s
        case "state":
            name, text = draw(st.sampled_from(STATES))
            return MACHINE, name, draw(spoilt_json(orjson.loads(text))), age_s
        case _:
            return (
                who,
                draw(st.sampled_from(["4", "21000", "30078", "30079", "1059"])),
                draw(spoilt_text("AgAB?iv=AA==")),
                age_s,
            )


def signed(who: Signer, how: str, text: str, at: int) -> Plain | None:
    """The event, or None where nobody's library would encrypt the text."""
    to_bot = [["p", BOT.pubkey]]
    if how.isdigit():
        return who.event(int(how), text, tags=[*to_bot, ["d", f"bitspire-beacon:{who.pubkey}"]], at=at)
    if not 0 < len(text.encode()) < ENCRYPTED_BYTES_MAX:
        return None
    if how == "nip17":
        keys = Keys.from_secret(who.secret)
        return make_wrap(keys, Envelope(keys), to=BOT.pubkey, text=text, at=at, name=b"x").plain()
    if how.startswith("sale"):
        scheme: Any = how.removeprefix("sale ")
        return who.event(21_000, who.seal(text, BOT.pubkey, scheme), tags=to_bot, at=at)
    if how.startswith("bitspire"):
        return state(how, text, at=at, by=who)
    return command(who, text, at, scheme=how)


@effort(40)
@given(said=st.lists(messages(), min_size=1, max_size=12))
def test_whatever_they_say(database: Path, said: list[tuple[Signer, str, Any, int]]) -> None:
    """One by one: nothing raises, refusals change nothing; at the end a true sale is processed and the trail verifies."""
    asyncio.run(_live_through(database, said))


async def _live_through(database: Path, said: list[tuple[Signer, str, Any, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "house.sqlite"
        shutil.copy(database, path)
        async with office(path) as opened:
            opened.now += 100
            for who, how, text, age_s in said:
                opened.now += 1
                event = signed(who, how, text, opened.now - age_s)
                if event is not None:
                    await _say(opened, event)
            for question in LOOKS:
                await _say(opened, command(OPERATOR, question, opened.now))
            turn = await opened.take(
                command(PLATFORM, "operator resume antigua", opened.now),
                command(OPERATOR, "machine resume m1", opened.now),
                report(99, opened.now),
            )
            assert isinstance(turn.batch.entries[-1].facts[0], SettlementProcessed)
            lines = [line async for line in export_trail(opened.store.queries, BOT.pubkey, OPERATOR.pubkey)]
            assert verify_trail(lines).head == opened.head


async def _say(opened: Office, event: Plain) -> None:
    """One event: what comes of it, in memory and in the answers."""
    before = {key: take_snapshot(book) for key, book in opened.bookkeeper.books.items()}
    refused = opened.bookkeeper.refusals.total()
    turn = await opened.take(event)
    changed = {entry.book for entry in turn.batch.entries}
    for key, book in opened.bookkeeper.books.items():
        check_books(book)
        assert key in changed or take_snapshot(book) == before[key]
    if opened.bookkeeper.refusals.total() > refused:
        assert not turn.batch.entries
    assert not opened.bookkeeper.closed_books
    for text, scheme, is_json in itertools.chain(_owed(opened, turn), [row async for row in _answered(opened, turn)]):
        assert fits(text, scheme)
        if is_json:
            assert orjson.loads(text)["ok"] is not is_refusal(text)
        else:
            assert text
            assert text == escape_lines(text)


def _owed(opened: Office, turn: Turn) -> Iterator[tuple[str, Scheme, bool]]:
    """What the turn's rows of the outbox have to say: to each its text, its scheme, and whether it is JSON."""
    for row in turn.batch.owed:
        if row.body is not None:
            body = orjson.loads(row.body)
            yield body["text"], Scheme(body["scheme"]), body["text"].startswith("{")
        elif row.book is not None and row.seq is not None:
            for message in entry_messages(opened.bookkeeper.books[row.book], turn.entries[row.book, row.seq]):
                yield message.text, message.scheme, False


async def _answered(opened: Office, turn: Turn) -> Any:
    """The same of the turn's questions."""
    for question, given_ in turn.questions:
        verb, is_json = question.command.verb, question.command.json
        if verb == "checkpoint":
            continue  # the notary's to answer
        data = await opened.bookkeeper.reading.answer(question)
        text = (
            refusal(verb, data, json=is_json)
            if isinstance(data, CommandRefused)
            else answer(verb, data, json=is_json, preview=question.command.preview)
        )
        yield answer_that_fits(verb, text, json=is_json, scheme=given_.scheme), given_.scheme, is_json
