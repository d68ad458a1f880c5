"""Checkpoints over a real relay: what the bot signs, what an LP can prove with it, and what becomes of it after a kill.

The whole bot in this process, people with somebody else's library, and the installed command line as an LP runs it.
faults.md rows 48-50, 86-88.
"""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nostrbot.runtime import clock as steadiness
from nostrbot.runtime import troubles
from nostrbot.store.batch import Batch
from tests.offices import ANA, BEN, BOT, HOUSE, OPERATOR, command, contents, office, report
from tests.peers.bot_process import nostrbot
from tests.peers.local_relay import local_relay
from tests.peers.relay_store import stored
from tests.peers.wire import Wire, wire
from tests.running_bots import Clock, eventually, running
from tests.runtime.test_notary import MIDNIGHT, bench_at
from tests.signers import Plain, Signer

CHECKPOINT = 78


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("nostrbot.runtime.due.CLOCK_S", 0.01)
    monkeypatch.setattr("nostrbot.runtime.due.CLOCK_TROUBLE_S", 0.05)
    monkeypatch.setattr(troubles, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(steadiness, "STEADY_AFTER_S", 0.0)  # clocks leap here all the time
    return


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with local_relay() as url:
        yield url


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A furnished office with one sale, that owes nothing."""
    path = tmp_path / "bot.sqlite"
    async with office(path, house=HOUSE) as at:
        await at.take(report(1))
        rows = [row.id for row in await at.store.queries.outbox(after=0, limit=500)]
        await at.store.writer.commit(Batch(delivered=rows))
    return path


@pytest.fixture
async def line(url: str) -> AsyncIterator[Wire]:
    async with wire(url, BOT.pubkey, OPERATOR, ANA, BEN) as line:
        yield line


async def published(url: str) -> list[Plain]:
    """The checkpoints that the relay keeps."""
    return await stored(url, kinds=[CHECKPOINT], authors=[BOT.pubkey])


async def told(line: Wire, who: Signer, words: str, at: int) -> Any:
    """The data of an answer."""
    answer = json.loads(await line.ask(who, command(who, f"{words} --json", at)))
    assert answer["ok"], answer
    return answer["data"]


async def audit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line, beside the relay that runs in this loop."""
    return await asyncio.to_thread(nostrbot, "audit", *arguments)


async def test_an_lp_proves_its_balance_by_what_the_relay_keeps(
    path: Path, url: str, line: Wire, tmp_path: Path
) -> None:
    """`checkpoint`, the event on the relay, `proof`, and `audit proof`: yes for each LP, no after one digit changed."""
    clock = Clock(MIDNIGHT - 60)
    async with running(path, url, clock):
        checkpoint = (await told(line, OPERATOR, "checkpoint", clock.now))["checkpoint"]
        proofs = {who: await told(line, who, "proof", clock.now) for who in (ANA, BEN)}
        balances = {who: await told(line, who, "balance", clock.now) for who in (ANA, BEN)}
        words = await line.ask(ANA, command(ANA, "proof", clock.now))
    (event,) = await published(url)
    assert event["id"] == checkpoint["id"]
    assert (
        json.loads(event["content"])["liabilities"] == checkpoint["liabilities"] == {"sat": 100_000, "GTQ": "8000.00"}
    )
    assert words.startswith("You were owed 90000 sats and 7200.00 GTQ after entry ")
    signed = tmp_path / "checkpoint.json"
    signed.write_text(json.dumps(event))
    for who, data in proofs.items():
        (row,) = balances[who]
        assert data["proof"]["balances"] == {"sat": row["sats"], row["currency"]: row["remaining"]}
        file = tmp_path / f"{who.name}.json"
        file.write_text(json.dumps(data))
        whose = ["--checkpoint", signed, "--bot", BOT.npub, "--lp", who.npub]
        done = await audit("proof", file, *whose)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"was owed {row['sats']} sats and {row['remaining']} GTQ after entry {checkpoint['seq']}." in done.stdout
        shown = json.loads((await audit("proof", file, *whose, "--json")).stdout)
        assert (shown["ok"], shown["balances"]) == (True, data["proof"]["balances"])
        assert shown["liabilities"] == checkpoint["liabilities"]
        file.write_text(json.dumps(data).replace(row["remaining"], f"9{row['remaining'][1:]}", 1))
        done = await audit("proof", file, "--checkpoint", signed)
        assert (done.returncode, done.stdout) == (1, "NOT proven: the balances are not the sum of their two leaves.\n")
        done = await audit("proof", file, "--checkpoint", signed, "--json")
        assert json.loads(done.stdout) == {"ok": False, "message": "the balances are not the sum of their two leaves"}


async def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    """Exit 2 says which file; a key that is none is said as well."""
    here = tmp_path / "proof.json"
    here.write_text("{}")
    for arguments, words in (
        ((tmp_path / "none.json", "--checkpoint", here), "none.json cannot be read: No such file"),
        ((here, "--checkpoint", tmp_path), "cannot be read: Is a directory"),
        ((here, "--checkpoint", here, "--lp", "nsec1"), "--lp must be an npub"),
    ):
        done = await audit("proof", *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert words in done.stderr


async def test_what_was_committed_before_a_kill_is_published_after_it(path: Path, url: str) -> None:
    """Killed between commit and publishing: the next start publishes that very event, and signs none in its place."""
    clock = Clock(MIDNIGHT - 60)
    clock.now = MIDNIGHT
    async with bench_at(path, MIDNIGHT) as bench:
        assert len(await bench.look()) == 1  # and nobody publishes it
    (row,) = contents(path)["checkpoint"]
    assert await published(url) == []
    async with running(path, url, clock):
        await eventually(lambda: not contents(path)["outbox"])
    assert await published(url) == [json.loads(row[3])]
    assert contents(path)["checkpoint"] == [row]


async def test_every_day_one_is_published_whatever_dies(path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over four midnights, with a start each and a database that fails in the very moment: four, each on the one before."""
    clock = Clock(MIDNIGHT - 60)
    for day in range(4):
        clock.now = MIDNIGHT + day * 86_400 - 60
        async with running(path, url, clock) as bot:
            commit, failures = bot.store.writer.commit, [OSError("disk I/O error")] * 2

            async def fail(batch: Batch, commit: Any = commit, failures: list[OSError] = failures) -> None:
                if batch.checkpoints and failures:
                    raise failures.pop()
                await commit(batch)

            monkeypatch.setattr(bot.store.writer, "commit", fail)
            clock.now += 120
            await eventually(lambda day=day: len(contents(path)["checkpoint"]) == day + 1)
            await eventually(lambda: not contents(path)["outbox"])
            assert failures == []
    events = await published(url)
    assert [event["created_at"] for event in events] == [MIDNIGHT + day * 86_400 + 60 for day in range(4)]
    prevs = [json.loads(event["content"])["prev"] for event in events]
    assert prevs == [None, *(event["id"] for event in events[:-1])]


async def test_a_receipts_entry_lies_under_a_later_checkpoint(path: Path, url: str, line: Wire) -> None:
    """The entry that a receipt names is in the chain whose head was signed: its seq is not above the checkpoint's."""
    clock = Clock(MIDNIGHT - 60)
    async with running(path, url, clock):
        receipt = await told(line, ANA, "receipt l3", clock.now)
        checkpoint = (await told(line, OPERATOR, "checkpoint", clock.now))["checkpoint"]
    assert receipt["entry"] <= checkpoint["seq"]
    hashes = {row[1]: row[3].hex() for row in contents(path)["entry"] if row[0] == 2}
    assert hashes[receipt["entry"]] == receipt["entry_hash"]
    assert hashes[checkpoint["seq"]] == checkpoint["head"]
