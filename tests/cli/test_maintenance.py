"""Keeping books from being lost, by real bots over a real relay: faults.md rows 51, 53, 54 and 55.

Row 52 (a database that is locked for too long) is in tests/store/test_sqlite.py and tests/test_bot.py, row 56 (a migration
killed half-way) in tests/store/test_schema.py; what may be wrong with a database or a backup, one by one, in
tests/store/test_integrity.py and tests/backup/.
"""

import asyncio
import json
import resource
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from nostrbot.core.book import ROOT
from nostrbot.home.config import Home
from tests.offices import BOT, HOUSE, MACHINE, OPERATOR, PLATFORM, contents, office, report
from tests.peers.bot_process import make_home, nostrbot, nostrbot_run
from tests.peers.local_relay import local_relay
from tests.peers.pace import STOP_MAX_S
from tests.peers.relay_store import letters
from tests.peers.resending_machine import ResendingMachine
from tests.peers.wire import Wire, wire
from tests.signers import Plain, Signer
from tests.test_bot import running, say
from tests.test_crash import eventually, sale

FLORES, M3 = Signer("flores"), Signer("m3")
TOWN = (
    *HOUSE,
    (PLATFORM, f"operator add {FLORES.npub} name=flores"),
    (FLORES, f"machine add {M3.npub} name=m3 fiat=GTQ cash_in=5% cash_out=7.77%"),
)
LISTENERS = (PLATFORM, OPERATOR, FLORES, MACHINE, M3)
SILENCE_S = 2.0


async def furnish(home: Home, sales: int = 0) -> None:
    """Give a home its database: two operators, and sales of the first."""
    async with office(home.database_file, house=TOWN) as at:
        for n in range(1, sales + 1):
            await at.take(report(n))


def write(path: Path, sql: str) -> None:
    """Change the file as no bot would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)


async def told(url: str, reader: Signer) -> list[str]:
    """What the bot wrote to somebody about closed books."""
    return [text for _, text in await letters(url, reader, BOT.pubkey) if " is closed: " in text]


async def command_line(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """One command of the command line, while others go on."""
    return await asyncio.to_thread(nostrbot, *arguments)


# --- a book that is damaged (row 53) ------------------------------------------------------------------------------


async def test_a_damaged_book_is_closed_at_the_start_and_its_operator_is_told(tmp_path: Path) -> None:
    """Money stands still in it: no ack, no command; questions are answered as far as it can be read; the others go on; the
    operator is told why and what to do, nobody else is, nor is anybody at the next start; `status` says it and is not healthy."""
    async with local_relay() as url, wire(url, BOT.pubkey, *LISTENERS) as line:
        home = make_home(tmp_path / "home", [url])
        await furnish(home, sales=5)
        write(home.database_file, "UPDATE entry SET body = substr(body, 2) WHERE book = 2 AND seq = 15")
        entries = len(contents(home.database_file)["entry"])
        reason = "the journal is damaged at entry 15: restore a backup with `nostrbot restore`"
        async with running(home.database_file, url) as bot:
            unheard, heard = report(6), report(1, machine=M3)
            await line.publish(unheard, heard)
            assert '"status":"processed"' in M3.read(await line.answer_to(heard))
            refused = json.loads(await line.ask(OPERATOR, say(OPERATOR, "deposit add ana 5 machine=m1 --json")))
            assert refused["error"]["code"] == "book_closed"
            shown = json.loads(await line.ask(OPERATOR, say(OPERATOR, "settlement show s2 --json")))
            assert shown["data"]["settlement"]["status"] == "processed"
            assert "flores" in await line.ask(FLORES, say(FLORES, "whoami"))
            assert bot.figures.state()["closed_because"] == {OPERATOR.pubkey: reason}
            assert bot.bookkeeper.refusals["book_closed"] == 1

            async def is_told() -> bool:
                return bool(await told(url, OPERATOR))

            await eventually(is_told)
            [words] = await told(url, OPERATOR)
            assert words.startswith(f"Your book antigua is closed: {reason}.")
            assert await told(url, PLATFORM) == await told(url, FLORES) == []
            await bot.store.queries.tell("bot", bot.figures.state())
            status = await command_line("status", "--home", home.path, "--json", "--check")
            assert status.returncode == 1
            assert json.loads(status.stdout)["closed_because"] == {OPERATOR.npub: reason}
            words = (await command_line("status", "--home", home.path)).stdout
            assert f"CLOSED for repair: antigua: {reason}" in words
        assert len(contents(home.database_file)["entry"]) == entries + 1
        async with running(home.database_file, url) as bot:
            assert bot.bookkeeper.closed_books == {OPERATOR.pubkey: reason}
            assert await is_quiet(lambda: not bot.outbox.backlog)
        assert len(await told(url, OPERATOR)) == 1


async def test_of_a_damaged_root_book_the_platform_is_told(tmp_path: Path) -> None:
    """No operator can be added and no fee be changed; operators and their machines notice nothing."""
    async with local_relay() as url, wire(url, BOT.pubkey, *LISTENERS) as line:
        path = tmp_path / "bot.sqlite"
        async with office(path, house=TOWN):
            pass
        write(path, "UPDATE entry SET body = substr(body, 2) WHERE book = 1 AND seq = 1")
        async with running(path, url) as bot:
            assert list(bot.bookkeeper.closed_books) == [ROOT]
            sold = report(1)
            await line.publish(sold)
            assert '"status":"processed"' in MACHINE.read(await line.answer_to(sold))
            refused = json.loads(await line.ask(PLATFORM, say(PLATFORM, "platform fee cash_in=2% cash_out=2% --json")))
            assert refused["error"]["code"] == "book_closed"

            async def is_told() -> bool:
                return bool(await told(url, PLATFORM))

            await eventually(is_told)
            [words] = await told(url, PLATFORM)
            assert words.startswith("The root book is closed: the journal is damaged at entry 1: restore a backup")
            assert await told(url, OPERATOR) == []


async def test_a_file_that_cannot_be_read_at_all_stops_the_start(tmp_path: Path) -> None:
    """Exit 1, and one sentence that names `nostrbot restore`; the file is left as it is."""
    home = make_home(tmp_path / "home", ["ws://127.0.0.1:9"])
    await furnish(home)
    damaged = b"SQLite format 3\0" + b"\xff" * 50_000
    home.database_file.write_bytes(damaged)
    for command in (("run",), ("status",), ("rebuild",), ("backup", str(tmp_path / "b.backup"))):
        done = await command_line(*command, "--home", home.path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("nostrbot: the database is damaged (")
        assert done.stderr.endswith("restore a backup with `nostrbot restore`\n")
    assert home.database_file.read_bytes() == damaged
    assert not (tmp_path / "b.backup").exists()


# --- a disk that is full (row 51) ---------------------------------------------------------------------------------


@asynccontextmanager
async def nostrbot_running(home: Home) -> AsyncIterator[subprocess.Popen[str]]:
    """`nostrbot run`, ready, until the block ends."""
    process = nostrbot_run(home)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == f"ready {BOT.npub}\n"
        yield process
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.communicate, timeout=STOP_MAX_S)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


@asynccontextmanager
async def selling(url: str, *payloads: Plain) -> AsyncIterator[ResendingMachine]:
    """A machine that says each sale again until it is acked."""
    machine = ResendingMachine(MACHINE, BOT.pubkey, url)
    machine.sell(*payloads)
    task = asyncio.create_task(machine.run())
    try:
        yield machine
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def answered(line: Wire, event: Plain) -> bool:
    """Whether the bot said something about an event."""
    return any(["e", event["id"]] in one["tags"] for one in line.heard)


async def is_quiet(condition: Callable[[], bool]) -> bool:
    """Whether something stays so for a while."""
    for _ in range(20):
        if not condition():
            return False
        await asyncio.sleep(SILENCE_S / 20)
    return True


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="a running process's limits can be changed on Linux only")
async def test_a_full_disk_stops_the_work_and_room_resumes_it(tmp_path: Path) -> None:
    """From one moment on no file of the bot may grow: sales have no ack and leave nothing half, and `status` counts what
    failed; with room again everything that waited is done once, by the same process."""
    async with local_relay() as url, wire(url, BOT.pubkey, *LISTENERS) as line:
        home = make_home(tmp_path / "home", [url])
        await furnish(home)
        async with nostrbot_running(home) as process, selling(url, *[sale(MACHINE, n) for n in (1, 2, 3)]) as machine:
            await eventually(lambda: machine.is_done)
            entries = len(contents(home.database_file)["entry"])
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))
            machine.sell(*[sale(MACHINE, n) for n in (4, 5, 6)])
            deposit = say(OPERATOR, "deposit add ana 5 machine=m1")
            await line.publish(deposit)
            assert await is_quiet(lambda: len(machine.acks) == 3 and not answered(line, deposit))
            assert len(contents(home.database_file)["entry"]) == entries
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await eventually(lambda: machine.is_done)
            assert "d3" in OPERATOR.read(await line.answer_to(deposit))
            assert {ack["status"] for acks in machine.acks.values() for ack in acks} <= {"processed", "duplicate"}

            async def is_told() -> bool:
                status = await command_line("status", "--home", home.path, "--json")
                return bool(json.loads(status.stdout)["commits"]["failed"])

            await eventually(is_told)
        rebuilt = await command_line("rebuild", "--home", home.path, "--json")
        assert json.loads(rebuilt.stdout)["differed"] == {}
        async with office(home.database_file) as at:
            assert at.book.settlement_count == 6
            assert at.bookkeeper.closed_books == {}


# --- backup and restore (rows 54 and 55) --------------------------------------------------------------------------


def head_at(path: Path, seq: int) -> str:
    """The hash of an entry of the first operator's book."""
    with closing(sqlite3.connect(path)) as connection:
        [(found,)] = connection.execute("SELECT hash FROM entry WHERE book = 2 AND seq = ?", (seq,))
    return bytes(found).hex()


def heads_told(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[int, str]]:
    """The books that `backup` or `restore` named: entries and head."""
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("book ")]
    return {words[1].rstrip(":"): (int(words[2]), words[5]) for words in lines}


async def test_a_backup_during_writes_is_one_moment_of_the_ledger(tmp_path: Path) -> None:
    """Made while sales are booked: it ends at an entry of the very chain the bot goes on with, and restores to it (row 54)."""
    async with local_relay() as url:
        home = make_home(tmp_path / "home", [url])
        await furnish(home)
        async with nostrbot_running(home), selling(url, *[sale(MACHINE, n) for n in range(1, 200)]) as machine:
            await eventually(lambda: len(machine.acks) > 3)
            seen = []
            for number in range(2):
                before = len(machine.acks)
                seen.append(
                    heads_told(await command_line("backup", tmp_path / f"{number}.backup", "--home", home.path))
                )
                assert len(machine.acks) > before, "nothing was booked while the backup was made"
        for number, heads in enumerate(seen):
            entries, head = heads[OPERATOR.npub]
            assert head == head_at(home.database_file, entries)
            again = Home(tmp_path / f"again-{number}")
            restored = await command_line("restore", tmp_path / f"{number}.backup", "--home", again.path)
            assert heads_told(restored) == heads
            assert "Every chain is proven, and nothing differed." in restored.stdout
            assert head_at(again.database_file, entries) == head
        assert seen[0][OPERATOR.npub][0] < seen[1][OPERATOR.npub][0]


async def test_after_yesterday_s_backup_everything_comes_again_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    """The machine repeats what it sold before the backup, and after it, to the restored bot: each sale is booked once, LPs
    are paid what they were paid, and the trail verifies (row 55)."""
    before, after = [sale(MACHINE, n) for n in range(1, 6)], [sale(MACHINE, n) for n in range(6, 11)]
    async with local_relay() as url:
        home, again = make_home(tmp_path / "home", [url]), Home(tmp_path / "again")
        await furnish(home)
        async with nostrbot_running(home):
            async with selling(url, *before) as machine:
                await eventually(lambda: machine.is_done)
            assert (await command_line("backup", tmp_path / "b.backup", "--home", home.path)).returncode == 0
            async with selling(url, *after) as machine:
                await eventually(lambda: machine.is_done)
        assert (await command_line("restore", tmp_path / "b.backup", "--home", again.path)).returncode == 0
        async with nostrbot_running(again):
            async with selling(url, *after, *before) as machine:
                await eventually(lambda: machine.is_done)
            first = {payment: acks[0]["status"] for payment, acks in machine.acks.items()}
            assert first == {one["payment_hash"]: "duplicate" for one in before} | {
                one["payment_hash"]: "processed" for one in after
            }
        async with office(home.database_file) as at:
            balances = dict(at.book.balances.items())
        async with office(again.database_file) as at:
            assert at.bookkeeper.closed_books == {}
            assert at.book.settlement_count == 10
            assert {key: sum_ for key, sum_ in at.book.balances.items() if "lp:" in key[0]} == {
                key: sum_ for key, sum_ in balances.items() if "lp:" in key[0]
            }
        trail = tmp_path / "trail.jsonl"
        await command_line("audit", "export", "--home", again.path, "--operator", OPERATOR.npub, "-o", trail)
        assert (await command_line("audit", "verify", trail, "--bot", BOT.npub)).returncode == 0


# --- the commands themselves --------------------------------------------------------------------------------------


async def test_rebuild_needs_the_bot_stopped(tmp_path: Path) -> None:
    """Beside a running bot it says so and changes nothing; stopped, it says that nothing differed."""
    async with local_relay() as url:
        home = make_home(tmp_path / "home", [url])
        await furnish(home, sales=2)
        async with nostrbot_running(home):
            done = await command_line("rebuild", "--home", home.path)
            assert (done.returncode, done.stdout) == (2, "")
            assert "a bot is already running" in done.stderr
        done = await command_line("rebuild", "--home", home.path)
        assert done.returncode == 0
        assert done.stdout.endswith(" entries read: nothing differed.\n")
        write(home.database_file, "DELETE FROM leg WHERE number < 4")
        done = await command_line("rebuild", "--home", home.path)
        assert done.returncode == 0
        assert "these rows differed from the journal and were put right: 3 in leg" in done.stdout


async def test_rebuild_where_there_is_nothing_makes_nothing(tmp_path: Path) -> None:
    """A home whose database is gone does not get an empty one, which would look like a new bot's."""
    home = make_home(tmp_path / "home", ["ws://127.0.0.1:9"])
    done = await command_line("rebuild", "--home", home.path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing to rebuild" in done.stderr
    assert not home.database_file.exists()


async def test_a_backup_refused_says_why_in_one_line(tmp_path: Path) -> None:
    """Exit 1 for one that is damaged, 2 for a home that cannot take it; the home is not made or not touched."""
    home = make_home(tmp_path / "home", ["ws://127.0.0.1:9"])
    await furnish(home)
    assert (await command_line("backup", tmp_path / "b.backup", "--home", home.path)).returncode == 0
    raw = bytearray((tmp_path / "b.backup").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "c.backup").write_bytes(raw)
    done = await command_line("restore", tmp_path / "c.backup", "--home", tmp_path / "again")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "is refused: it is damaged" in done.stderr
    assert not (tmp_path / "again").exists()
    done = await command_line("restore", tmp_path / "b.backup", "--home", home.path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "exists and is not overwritten" in done.stderr
