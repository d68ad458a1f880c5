"""Golden homes: a bot as earlier code left it starts with the code of today, loses nothing, and goes on.

Each home of tests/vectors/homes/<rules>/ was made once by the code of that number, in the midst of its work: with snapshots,
sightings, checkpoints, told alarms, and messages that are still owed. To start over it is the upgrade that operators make.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.backup.container import opened_backup
from nostrbot.backup.restoration import restore
from nostrbot.core.desks import check_books
from nostrbot.core.rules import FIRST, RULES
from nostrbot.core.snapshots import take_snapshot
from nostrbot.home.config import Home
from nostrbot.home.keyfile import write_key_file
from tests.houses import person
from tests.vectors import home as golden
from tests.vectors.scene import Scene, scene_in

DAY_S = 86_400
NUMBERS = sorted(path.name for path in golden.HOMES.iterdir())


def about(rules: str) -> dict[str, Any]:
    """What its home.json says."""
    found: dict[str, Any] = orjson.loads((golden.HOMES / rules / golden.ABOUT).read_bytes())
    return found


def laid_out(rules: str, path: Path) -> Home:
    """The home as it was: git keeps no mode of a key file, so the key is written here."""
    home = Home(path)
    home.key_file.parent.mkdir()
    write_key_file(home.key_file, person(about(rules)["bot"]), None)
    home.write_platform(person("platform").pubkey)
    shutil.copyfile(golden.HOMES / rules / golden.RELAYS, home.relays_file)
    shutil.copyfile(golden.HOMES / rules / golden.DATABASE, home.database_file)
    return home


def gone_on(rules: str, at: Scene) -> Scene:
    """The scene where its story stopped."""
    then = about(rules)
    at.now, at.sold, at.keys = then["now"], then["sold"], then["keys"]
    return at


def test_there_is_one_for_each_number() -> None:
    """None is missing."""
    assert [str(number) for number in range(FIRST, RULES + 1)] == NUMBERS


@pytest.mark.parametrize("rules", NUMBERS)
def test_it_holds_what_an_upgrade_could_lose(rules: str) -> None:
    """All kinds of rows, and entries after the newest snapshot."""
    path = golden.HOMES / rules / golden.DATABASE
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
        for table in (
            "snapshot",
            "outbox",
            "sighting",
            "archive",
            "alarm",
            "checkpoint",
            "refusal",
            "settlement_change",
        ):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone()[0], table
        newest = "SELECT max(snapshot.seq) < max(entry.seq) FROM snapshot JOIN entry ON entry.book = snapshot.book"
        assert database.execute(newest).fetchone() == (1,)


@pytest.mark.parametrize("rules", NUMBERS)
async def test_it_starts_whole(rules: str, tmp_path: Path) -> None:
    """Every book ends where it ended, none is closed; what is owed is owed still, as the same events with the same ids."""
    async with scene_in(laid_out(rules, tmp_path), about(rules)["bot"]) as at:
        assert at.bookkeeper.closed_books == {}
        assert await golden.heads_of(at) == about(rules)["books"]
        assert await golden.owed_messages(at) == about(rules)["owed"]
        for book in at.bookkeeper.books.values():
            check_books(book)


@pytest.mark.parametrize("rules", NUMBERS)
async def test_its_snapshots_mean_what_its_entries_mean(rules: str, tmp_path: Path) -> None:
    """A snapshot of before is read rightly or passed over: without it the books are the same."""
    home = laid_out(rules, tmp_path)
    async with scene_in(home, about(rules)["bot"]) as at:
        by_snapshot = {key: take_snapshot(book) for key, book in at.bookkeeper.books.items()}
    with closing(sqlite3.connect(home.database_file)) as database, database:
        database.execute("DELETE FROM snapshot")
    async with scene_in(home, about(rules)["bot"]) as at:
        assert {key: take_snapshot(book) for key, book in at.bookkeeper.books.items()} == by_snapshot


@pytest.mark.parametrize("rules", NUMBERS)
async def test_it_goes_on_and_its_trails_verify(rules: str, tmp_path: Path) -> None:
    """A sale, commands, a tick, a restart: entries by the rules of before, then by those of now, in one chain."""
    async with scene_in(laid_out(rules, tmp_path), about(rules)["bot"]) as at:
        gone_on(rules, at)
        before = await at.trails()
        await at.sell(fiat="100")
        await at.say("operator", "settlement note s1 upgraded")
        await at.say("ana", "forward ana@wallet.example.com")
        await at.tick(at.now + DAY_S)
        await at.open_desk()
        await at.sell("f1", fiat=100)
        assert at.silent == []
        after = await at.trails()
    for name, trail in after.items():
        lines = trail.splitlines()
        assert trail.startswith(before[name])
        summary = verify_trail(lines, bot=person(about(rules)["bot"]).pubkey, platform=person("platform").pubkey)
        assert summary.entries == len(lines) - 1
    numbers = [orjson.loads(line)["rules"] for line in after["antigua"].splitlines()[1:]]
    assert numbers == sorted(numbers)
    assert (str(numbers[0]), len(numbers) - before["antigua"].count(b"\n") + 1) == (rules, 4)


@pytest.mark.parametrize("rules", NUMBERS)
async def test_its_backup_is_restored(rules: str, tmp_path: Path) -> None:
    """Each chain is proven and each projection derived anew; it is the same bot, key included."""
    home, then = Home(tmp_path), about(rules)
    with opened_backup(golden.HOMES / rules / golden.BACKUP, lambda *_: None) as backup:
        await restore(backup, home, passphrase=None, progress=lambda *_: None)
    async with scene_in(home, then["bot"]) as at:
        assert await golden.heads_of(at) == then["books"]
        gone_on(rules, at)
        await at.sell(fiat="100")
        assert at.silent == []
