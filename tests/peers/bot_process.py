"""The bot in a process of its own: run by a child of the tests, or as `nostrbot run` by an operating system."""

import asyncio
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from loguru import logger

from nostrbot.bot import Bot
from nostrbot.home.config import Home, RelaySettings, relays_text
from nostrbot.home.keyfile import write_key_file
from nostrbot.relays.relay import RelayConfig
from nostrbot.store.sqlite import sqlite_url
from tests.offices import BOT, PLATFORM
from tests.peers import program


def make_home(path: Path, urls: Sequence[str]) -> Home:
    """A home with the keys of offices.py, as `nostrbot init` would leave it but for the database."""
    home = Home(path)
    home.key_file.parent.mkdir(parents=True)
    write_key_file(home.key_file, BOT, None)
    home.write_platform(PLATFORM.pubkey)
    home.relays_file.write_text(relays_text(list(urls)))
    return home


def settings_of(urls: Sequence[str], min_ok: int = 1) -> RelaySettings:
    """relays.yaml with these relays."""
    return RelaySettings(tuple(RelayConfig(url) for url in urls), min_ok, recipient_relays=True)


def run_bot(database: str, url: str) -> None:
    """Run the bot until SIGTERM. For child processes."""
    logger.remove()
    asyncio.run(_run(database, url))


async def _run(database: str, url: str) -> None:
    bot = Bot(keys=BOT, platform=PLATFORM.pubkey, database_url=sqlite_url(Path(database)), settings=settings_of([url]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, bot.stop)
    await bot.start()
    await bot.run()


def nostrbot_run(home: Home, log: TextIO | int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """`nostrbot run` on this home, as an operator starts it; `log` is where its stderr goes."""
    return program.Program(["run", "--home", str(home.path)], stdout=subprocess.PIPE, stderr=log, text=True)


def nostrbot(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """One command of the command line, run to its end."""
    return program.run(*arguments)
