"""The notary: a checkpoint a day and on demand, signed once, committed with what is owed for it, whatever dies meanwhile.

A real database and the real sequencer; only the clock is the tests', and no relay is there. faults.md rows 48-50, 88.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from nostrbot.audit.proof import Proven, check_proof
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.proofs.liabilities import liabilities_of
from nostrbot.nostr.sealing import Envelope
from nostrbot.reading.question import Question
from nostrbot.runtime.notary import Notary
from nostrbot.runtime.sequencer import Sequencer
from nostrbot.store.batch import Batch, Owed
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store
from tests.effort import examples
from tests.offices import ANA, BEN, BOT, HOUSE, MACHINE, OPENED_AT, OPERATOR, PLATFORM, command, contents, report
from tests.signers import Plain, Signer, verified
from tests.store.faulty_driver import faulty_driver

DAY_S = 86_400
# OPENED_AT is 08:13:20 on 2026-09-21 in Guatemala (UTC-6).
MIDNIGHT = 1_790_056_800  # 00:00 on 2026-09-22
STATEMENTS_MAX = 40
FLORES = Signer("flores")


@dataclass
class Bench:
    """The sequencer and the notary of one bot on one database. `now` is the bot's clock."""

    sequencer: Sequencer
    notary: Notary
    now: int = OPENED_AT

    async def take(self, *events: Plain) -> list[tuple[Question, Any]]:
        """Decide and commit; returns the questions among them."""
        questions = []
        async for turn in self.sequencer.take([verified(event) for event in events]):
            questions += turn.questions
        return questions

    async def say(self, who: Signer, words: str) -> list[Owed] | CommandRefused:
        """Ask for a checkpoint. Returns what is owed for it from then on."""
        ((question, given),) = await self.take(command(who, words, self.now))
        return await self.notary.answer(question, given)

    async def ask(self, who: Signer, words: str) -> Any:
        """The data of an answer, or the refusal."""
        ((question, _),) = await self.take(command(who, words, self.now))
        return await self.sequencer.bookkeeper.reading.answer(question)

    async def look(self) -> list[Owed]:
        """The bot looks at its clock: the checkpoints of the day."""
        owed: list[Owed] = []
        for key in self.notary.books_due(self.now):
            owed += await self.notary.sign_daily(key) or []
        return owed


async def open_bench(path: Path, now: int = OPENED_AT) -> Bench:
    """As the bot starts."""
    store = await Store.open(sqlite_url(path))
    bench: Bench

    def clock() -> int:
        return bench.now

    sequencer = Sequencer(
        store, Envelope(BOT), bot=BOT.pubkey, platform=PLATFORM.pubkey, clock=clock, stopping=asyncio.Event()
    )
    bench = Bench(sequencer, Notary(sequencer, BOT, clock), now)
    await sequencer.load()
    await bench.notary.load()
    return bench


@asynccontextmanager
async def bench_at(path: Path, now: int = OPENED_AT) -> AsyncIterator[Bench]:
    """A bench that is cleared afterwards."""
    bench = await open_bench(path, now)
    try:
        yield bench
    finally:
        await bench.sequencer.store.close()


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "bot.sqlite"
    async with bench_at(path) as bench:
        await bench.take(*(command(who, text) for who, text in HOUSE), report(1))
    return path


def signed(path: Path) -> list[Plain]:
    """The events of all checkpoints that are kept, in order."""
    return [orjson.loads(row[3]) for row in sorted(contents(path)["checkpoint"], key=lambda row: row[:2])]


def said(event: Plain) -> Plain:
    """What a checkpoint says."""
    content: Plain = json.loads(event["content"])
    return content


# --- on demand -----------------------------------------------------------------------------------------------------


async def test_a_checkpoint_says_what_the_book_owes_and_where_it_stands(path: Path) -> None:
    """Kind 78, the book in its d tag, exactly the fields of the protocol, signed by the bot; the answer says the same."""
    async with bench_at(path, OPENED_AT + 60) as bench:
        owed = await bench.say(OPERATOR, "checkpoint --json")
        chain, book = (
            bench.sequencer.bookkeeper.live[OPERATOR.pubkey].chain,
            bench.sequencer.bookkeeper.books[OPERATOR.pubkey],
        )
        (event,) = signed(path)
        assert verified(event).pubkey == BOT.pubkey
        assert (event["kind"], event["created_at"]) == (78, OPENED_AT + 60)
        assert event["tags"] == [["d", f"nostrbot-checkpoint:{OPERATOR.pubkey}"]]
        assert said(event) == {
            "v": 1,
            "seq": chain.seq,
            "head": chain.head,
            "liabilities": {"sat": 100_000, "GTQ": "8000.00"},
            "liabilities_root": said(event)["liabilities_root"],
            "prev": None,
        }
        assert liabilities_of(book) == {"sat": 100_000, "GTQ": 800_000}
        assert isinstance(owed, list)
        published, told = (orjson.loads(row.body or b"") for row in owed)
        assert published == {"event": event}
        assert told["to"] == OPERATOR.pubkey
        shown = json.loads(told["text"])
        assert (shown["ok"], shown["command"]) == (True, "checkpoint")
        content = {name: value for name, value in said(event).items() if name != "v"}
        assert shown["data"] == {"checkpoint": content | {"id": event["id"], "at": OPENED_AT + 60}}


async def test_with_nothing_new_the_same_one_is_answered(path: Path) -> None:
    """Asked twice, one is signed; after another sale the next, which names the one before."""
    async with bench_at(path) as bench:
        await bench.say(OPERATOR, "checkpoint")
        bench.now += 5
        owed = await bench.say(OPERATOR, "checkpoint")
        assert isinstance(owed, list)
        (answer,) = owed
        (first,) = signed(path)
        words = orjson.loads(answer.body or b"")["text"]
        assert words.startswith(
            f"Signed: after entry {said(first)['seq']} your book owes its LPs 100000 sats and 8000.00 GTQ."
        )
        assert first["id"] in words
        await bench.take(report(2))
        await bench.say(OPERATOR, "checkpoint")
    one, two = signed(path)
    assert one == first
    assert said(two)["prev"] == one["id"]
    assert said(two)["seq"] == said(one)["seq"] + 1
    assert said(two)["head"] != said(one)["head"]


async def test_a_command_has_its_effect_once(path: Path) -> None:
    """I9: the very same command again, after more was booked and after a restart, signs nothing and is not answered."""
    ask = command(OPERATOR, "checkpoint")
    async with bench_at(path) as bench:
        ((question, given),) = await bench.take(ask)
        await bench.notary.answer(question, given)
        await bench.take(report(2))
        assert await bench.take(ask) == []
    async with bench_at(path) as bench:
        assert await bench.take(ask) == []
    assert len(signed(path)) == 1


async def test_only_an_operator_asks_and_only_for_its_own_book(path: Path) -> None:
    """An LP is told what it may say; another operator gets its own book's."""
    async with bench_at(path) as bench:
        assert await bench.take(command(ANA, "checkpoint")) == []
        preview = await bench.say(OPERATOR, "preview checkpoint")
        assert isinstance(preview, CommandRefused)
        assert preview.code is Code.BAD_ARGUMENT
        assert signed(path) == []
        await bench.take(command(PLATFORM, f"operator add {FLORES.npub} name=flores"))
        assert isinstance(await bench.say(FLORES, "checkpoint"), list)
    (event,) = signed(path)
    assert event["tags"] == [["d", f"nostrbot-checkpoint:{FLORES.pubkey}"]]
    assert said(event)["liabilities"] == {"sat": 0}


async def test_nothing_is_signed_about_a_closed_book(path: Path) -> None:
    """After trouble with a book its operator is told, and no day makes a checkpoint."""
    async with bench_at(path, MIDNIGHT) as bench:
        bench.sequencer.bookkeeper.closed_books[OPERATOR.pubkey] = "it does not balance"
        refused = await bench.say(OPERATOR, "checkpoint")
        assert isinstance(refused, CommandRefused)
        assert refused.code is Code.BOOK_CLOSED
        assert await bench.look() == []
    assert signed(path) == []


async def test_what_is_not_in_the_journal_is_not_signed(path: Path) -> None:
    """A book in memory that is ahead of its database, as after a commit that failed, is not spoken of."""
    async with bench_at(path) as bench:
        await bench.sequencer.bookkeeper.take([verified(report(2))], lambda: OPENED_AT)  # decided, not committed
        refused = await bench.say(OPERATOR, "checkpoint")
        assert isinstance(refused, CommandRefused)
        assert refused.code is Code.OUR_FAULT
    assert signed(path) == []


# --- every day -----------------------------------------------------------------------------------------------------


async def test_each_local_day_has_one_even_when_nothing_changed(path: Path) -> None:
    """Looked at every half an hour for three days by a bot that dies each time: at each of the operator's midnights one."""
    for now in range(OPENED_AT, OPENED_AT + 3 * DAY_S, 1_800):
        bench = await open_bench(path, now)
        await bench.look()
        assert await bench.look() == []
        await bench.sequencer.store.close()
    events = signed(path)
    days = [(event["created_at"] - MIDNIGHT) // DAY_S for event in events]
    assert days == [0, 1, 2]
    assert all((event["created_at"] - MIDNIGHT) % DAY_S < 1_800 for event in events)
    assert [said(event)["prev"] for event in events] == [None, events[0]["id"], events[1]["id"]]
    assert len({(said(event)["seq"], said(event)["head"], said(event)["liabilities_root"]) for event in events}) == 1


async def test_days_are_the_operators_and_the_root_book_has_none(path: Path) -> None:
    """One in Tokyo and one in Guatemala each have their own midnight, on the days of 23 and 25 hours as well."""
    lisbon = Signer("lisbon")
    async with bench_at(path) as bench:
        await bench.take(command(PLATFORM, f"operator add {lisbon.npub} name=lisbon tz=Europe/Lisbon"))
        # Clocks go back in Lisbon at 01:00 UTC on 2026-10-25: midnights at 23:00 UTC before, at 00:00 UTC after.
        made = []
        for bench.now in range(1_792_756_800, 1_793_016_000, 900):  # 2026-10-23 12:00 to 2026-10-26 12:00 UTC
            made += [key for key in bench.notary.books_due(bench.now) if key == lisbon.pubkey and await bench.look()]
    mine = [event["created_at"] for event in signed(path) if event["tags"][0][1].endswith(lisbon.pubkey)]
    assert [at % DAY_S for at in mine[1:]] == [82_800, 82_800, 0]  # the first is of the day on which the bot looked
    assert len(made) == len(mine) == 4
    assert {row[0] for row in contents(path)["checkpoint"]} == {2, 3}


@settings(max_examples=examples(15), deadline=None)
@given(st.lists(st.tuples(st.integers(-3 * DAY_S, 3 * DAY_S), st.booleans()), min_size=1, max_size=8))
async def test_a_clock_that_leaps_signs_no_day_twice(
    tmp_path_factory: pytest.TempPathFactory, leaps: list[tuple[int, bool]]
) -> None:
    """Wherever it leaps, with or without a restart: dates go back by more than a day or not at all, and between two such
    corrections no day has two that nobody asked for."""
    path = tmp_path_factory.mktemp("leaps") / "bot.sqlite"
    async with bench_at(path) as bench:
        await bench.take(*(command(who, text) for who, text in HOUSE))
    bench, now = await open_bench(path), MIDNIGHT
    try:
        for leap, dies in leaps:
            now = max(OPENED_AT, now + leap)
            if dies:
                await bench.sequencer.store.close()
                bench = await open_bench(path, now)
            bench.now = now
            await bench.look()
            assert bench.notary.books_due(now) == []
    finally:
        await bench.sequencer.store.close()
    dates = [event["created_at"] for event in signed(path)]
    assert all(before <= after or before - after > DAY_S for before, after in pairwise(dates))
    runs = [[dates[0]]] if dates else []
    for before, after in pairwise(dates):
        if after < before:
            runs.append([])
        runs[-1].append(after)
    assert all(len({(at - MIDNIGHT) // DAY_S for at in run}) == len(run) for run in runs)


async def test_a2_a_checkpoint_of_a_clock_that_had_run_ahead_does_not_stop_the_daily_ones(path: Path) -> None:
    """One is signed 40 days ahead; the clock is set right, and the next day has its own, dated truly."""
    async with bench_at(path, OPENED_AT + 40 * DAY_S) as bench:
        await bench.look()
        bench.now = OPENED_AT + 60
        await bench.look()
        assert bench.notary.books_due(bench.now) == []
        bench.now += DAY_S
        await bench.look()
    ahead, back, next_day = [event["created_at"] - OPENED_AT for event in signed(path)]
    assert (ahead, back, next_day) == (40 * DAY_S, 60, DAY_S + 60)


async def test_a_clock_that_went_back_dates_none_before_the_last(path: Path) -> None:
    """On demand, a minute after a clock that was an hour ahead was set right."""
    async with bench_at(path, OPENED_AT + 3_600) as bench:
        await bench.say(OPERATOR, "checkpoint")
        bench.now = OPENED_AT + 60
        await bench.take(report(2))
        await bench.say(OPERATOR, "checkpoint")
    assert [event["created_at"] for event in signed(path)] == [OPENED_AT + 3_600, OPENED_AT + 3_600]


# --- one commit ----------------------------------------------------------------------------------------------------


async def test_whichever_statement_of_its_commit_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a checkpoint is kept, owed or answered until all of it is; then it is there once."""
    with faulty_driver(monkeypatch) as faults:
        async with bench_at(path, MIDNIGHT) as bench:
            ((question, given_letter),) = await bench.take(command(OPERATOR, "checkpoint", MIDNIGHT))
            before = contents(path)
            for nth in range(1, STATEMENTS_MAX):
                faults.expect(nth)
                outcome = await bench.notary.answer(question, given_letter)
                faults.expect(None)
                if isinstance(outcome, list):
                    break
                assert outcome.code is Code.OUR_FAULT
                assert contents(path) == before
            assert nth > 5
    (event,) = signed(path)
    rows = contents(path)
    assert {"event": event} in [orjson.loads(row[3]) for row in rows["outbox"] if row[3]]
    assert bytes.fromhex(given_letter.id) in [row[0] for row in rows["answered"]]


async def test_a_commit_that_went_well_and_was_reported_as_failed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is looked up before anything else is signed: asked again, that very checkpoint is the answer."""
    async with bench_at(path) as bench:
        commit = bench.sequencer.store.writer.commit

        async def report_failure(batch: Batch) -> None:
            await commit(batch)
            if batch.checkpoints:
                raise OperationalError("commit of a batch", None, Exception("disk I/O error"))

        with monkeypatch.context() as sick:
            sick.setattr(bench.sequencer.store.writer, "commit", report_failure)
            assert isinstance(await bench.say(OPERATOR, "checkpoint"), CommandRefused)
        bench.now += 1
        owed = await bench.say(OPERATOR, "checkpoint")
        assert isinstance(owed, list)
        (answer,) = owed
        (event,) = signed(path)
        assert event["id"] in orjson.loads(answer.body or b"")["text"]


async def test_leaves_of_a_month_are_kept_and_events_for_ever(path: Path) -> None:
    """Of 34 days the newest 31 can be proven; a proof of an older one is refused, and so is one of none."""
    async with bench_at(path, MIDNIGHT) as bench:
        for n in range(34):
            bench.now = MIDNIGHT + n * DAY_S
            await bench.take(report(2 + n, bench.now, machine=MACHINE))
            await bench.look()
        events = signed(path)
        assert len(events) == 34
        assert [row[4] is None for row in sorted(contents(path)["checkpoint"])] == [True] * 3 + [False] * 31
        for n in (0, 2):
            refused = await bench.ask(ANA, f"proof checkpoint={said(events[n])['seq']}")
            assert refused.message.startswith("there is no such checkpoint, or it is too old")
        oldest = await bench.ask(ANA, f"proof checkpoint={said(events[3])['seq']}")
        assert isinstance(check_proof(orjson.dumps(oldest), orjson.dumps(events[3])), Proven)
        assert (await bench.ask(ANA, "proof checkpoint=1")).code is Code.NOT_FOUND
        assert (await bench.ask(ANA, "proof"))["proof"]["checkpoint"] == events[-1]["id"]


# --- proofs --------------------------------------------------------------------------------------------------------


async def test_each_lp_proves_what_its_balance_says(path: Path) -> None:
    """The proof's balances are the sums of `balance`, and the auditor finds them in the checkpoint, after a restart too."""
    async with bench_at(path) as bench:
        nothing = await bench.ask(ANA, "proof")
        assert (nothing.code, nothing.message.split(":")[0]) == (Code.NOT_FOUND, "nothing is signed yet")
        await bench.say(OPERATOR, "checkpoint")
    (event,) = signed(path)
    async with bench_at(path) as bench:
        await bench.take(report(2))  # later than the checkpoint: its proofs do not change
        for who, sats, cash in ((ANA, 90_000, "7200.00"), (BEN, 10_000, "800.00")):
            data = await bench.ask(who, "proof")
            assert data["proof"]["balances"] == {"sat": sats, "GTQ": cash}
            found = check_proof(orjson.dumps(data), orjson.dumps(event), bot=BOT.pubkey, lp=who.pubkey)
            assert isinstance(found, Proven)
            assert found.balances == {"sat": sats, "GTQ": int(cash.replace(".", ""))}


async def test_an_lp_with_several_operators_names_one(path: Path) -> None:
    """Each operator's bot signs for itself; who was not there yet is told so."""
    async with bench_at(path) as bench:
        await bench.say(OPERATOR, "checkpoint")
        m2, eva = Signer("m2"), Signer("eva")
        for who, words in (
            (PLATFORM, f"operator add {FLORES.npub} name=flores"),
            (FLORES, f"machine add {m2.npub} name=m2 fiat=USD cash_in=5% cash_out=6.27%"),
            (FLORES, f"lp add {ANA.npub} machine=m2 name=ana"),
            (OPERATOR, f"lp add {eva.npub} machine=m1 name=eva"),
        ):
            await bench.take(command(who, words))
        several = await bench.ask(ANA, "proof")
        assert several.code is Code.AMBIGUOUS
        assert several.message == "you are with antigua, flores, and each signs for itself: add operator=<name>"
        assert (await bench.ask(ANA, "proof operator=antigua"))["proof"]["book"] == OPERATOR.pubkey
        assert (await bench.ask(ANA, "proof operator=flores")).message.startswith("nothing is signed yet")
        assert (await bench.ask(ANA, "proof operator=nobody")).code is Code.NOT_FOUND
        assert (await bench.ask(BEN, "proof operator=flores")).code is Code.NOT_FOUND
        assert (await bench.ask(eva, "proof")).message.startswith("you were not enrolled yet")
