"""Homes with something in them, and the two commands over them."""

import time
from pathlib import Path

from nostrbot.backup.container import opened_backup
from nostrbot.backup.copy import back_up
from nostrbot.backup.manifest import Manifest
from nostrbot.backup.restoration import restore
from nostrbot.home.config import Home
from tests.offices import BOT, PLATFORM, office, report
from tests.peers.bot_process import make_home


def unseen(_what: str, _done: int, _total: int) -> None:
    """Nobody looks how far it has come."""


async def sold_home(path: Path, sales: int = 3) -> Home:
    """A home with an operator who sold something."""
    home = make_home(path, ["ws://127.0.0.1:9"])
    async with office(home.database_file) as at:
        for n in range(1, sales + 1):
            await at.take(report(n))
    return home


async def backed_up(home: Home, file: Path, *, with_key: bool = True) -> Manifest:
    """`nostrbot backup`."""
    now = int(time.time())
    return await back_up(
        home, file, bot=BOT.pubkey, platform=PLATFORM.pubkey, with_key=with_key, now=now, progress=unseen
    )


async def restored(file: Path, home: Home) -> dict[str, int]:
    """`nostrbot restore`."""
    with opened_backup(file, unseen) as backup:
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return await restore(backup, home, passphrase=None, progress=unseen)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
