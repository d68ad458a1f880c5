"""A bot that starts and says how long it took: `python -m bench.cold_start HOME`, run by startup.py.

What lives here: the first moments of `nostrbot run`, up to books that are ready. What does not: the journal it reads.
"""

import sys
from pathlib import Path
from time import perf_counter

import orjson

from bench.house import run
from bench.memory import peak_mb
from nostrbot.bot import Bot
from nostrbot.home.config import Home, read_relays
from nostrbot.home.keyfile import read_key_file


async def start(home: Home) -> None:
    """Start a bot, tell seconds and peak memory as a line of JSON, stop it."""
    began = perf_counter()
    bot = Bot(
        keys=read_key_file(home.key_file, None),
        platform=home.platform(),
        database_url=home.database_url(),
        settings=read_relays(home.relays_file),
    )
    await bot.start()
    seconds = perf_counter() - began
    print(orjson.dumps({"books_s": seconds, "peak_mb": peak_mb()}).decode(), flush=True)
    bot.stop()
    await bot.run()


if __name__ == "__main__":
    run(start(Home(Path(sys.argv[1]))))
