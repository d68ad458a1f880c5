"""Side by side: jobs that live and end together.

What lives here: running them, and with what error they end. What does not: the jobs (bot.py, runtime/answers.py).
docs/architecture.md.

Not asyncio.TaskGroup: it wraps what ended a job into a group, and whoever waits for a FenceError by name does not find
it there.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def side_by_side(*jobs: Coroutine[Any, Any, object]) -> None:
    """Run jobs until one of them ends, or this is cancelled; then end the others and wait for them.

    Raises what ended a job, as it is: what happened first, and of what happened together what stands first.
    """
    tasks = [asyncio.create_task(job) for job in jobs]
    first: set[asyncio.Task[object]] = set()
    try:
        first, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [(task not in first, outcome) for task, outcome in zip(tasks, outcomes, strict=True)]
        for _, error in sorted(errors, key=lambda one: one[0]):
            if isinstance(error, Exception):
                raise error
