"""The ending of a run: what the first and the second SIGTERM or Ctrl-C do, and how long the end may take.

What lives here: signals and the deadline. What does not: what the bot does to end in peace (bot.py).

The database is whole at every instruction and nothing is said before it is committed, so an end that is cut short costs
no more than a crash. Messages still owed are published after the next start, as the same events. That is better than to
wait for a relay, a name server or another program's lock.
"""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from loguru import logger

from nostrbot.cli.terminal import DONE

# Below the 5 s that are promised; supervisors wait longer before they kill (systemd 90 s, Docker 10 s).
END_MAX_S = 4.0
SIGNALLED = 128  # exit codes of processes that a signal ended, as shells count them


def end_on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Have the first SIGTERM or SIGINT call `stop` on the loop and end the process in time; the second ends it at
    once.
    """
    asked = threading.Event()

    def leave_in_time() -> None:
        asked.wait()
        time.sleep(END_MAX_S)
        os._exit(DONE)

    def take(number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            os._exit(SIGNALLED + number)
        asked.set()
        with contextlib.suppress(RuntimeError):  # the loop is closed: it is over already
            loop.call_soon_threadsafe(_end, stop)

    # Not a timer of the loop's: what holds the end up may be the loop, or a thread that outlives it. And it is there
    # before the signal, which may come while this very thread is starting another.
    threading.Thread(target=leave_in_time, name="deadline", daemon=True).start()
    # Not the loop's own handlers: these are called even while the loop is busy or waits for a full pipe.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, take)


def _end(stop: Callable[[], None]) -> None:
    logger.info("asked to stop: {:g} s at most", END_MAX_S)
    stop()
