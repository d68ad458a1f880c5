"""Jobs side by side: they end together, and by the error itself that ended one."""

import asyncio
from pathlib import Path

import pytest

import nostrbot
from nostrbot.errors import FenceError
from nostrbot.runtime.side_by_side import side_by_side

PACKAGE = Path(nostrbot.__file__).parent


class Job:
    """Runs until it may end, or is cancelled; then takes a moment more, and ends as it was told to."""

    def __init__(self, ending: Exception | None = None, cancelled: Exception | None = None) -> None:
        self.may_end, self.is_over = asyncio.Event(), False
        self._ending, self._cancelled = ending, cancelled

    async def run(self) -> None:
        try:
            await self.may_end.wait()
            if self._ending is not None:
                raise self._ending
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            if self._cancelled is not None:
                raise self._cancelled from None
            raise
        finally:
            self.is_over = True


async def test_an_error_ends_all_and_is_raised_as_it_is() -> None:
    """In no group: whoever waits for a FenceError finds one."""
    error = FenceError("another writes here")
    jobs = [Job(), Job(error), Job()]
    jobs[1].may_end.set()
    with pytest.raises(FenceError) as raised:
        await side_by_side(*(job.run() for job in jobs))
    assert raised.value is error
    assert all(job.is_over for job in jobs)


async def test_a_job_that_ends_well_ends_all() -> None:
    jobs = [Job(), Job()]
    jobs[0].may_end.set()
    await side_by_side(*(job.run() for job in jobs))
    assert all(job.is_over for job in jobs)


async def test_what_happened_first_is_raised() -> None:
    """Not what came of the others when they were ended for it."""
    jobs = [Job(cancelled=KeyError("a book")), Job(FenceError("another writes here"))]
    jobs[1].may_end.set()
    with pytest.raises(FenceError):
        await side_by_side(*(job.run() for job in jobs))


@pytest.mark.parametrize("cancelled", [None, FenceError("another writes here")])
async def test_a_stop_waits_for_what_is_begun(cancelled: FenceError | None) -> None:
    """And where that ends badly, it is heard of: a bot that was fenced in its last commit says so."""
    jobs = [Job(), Job(cancelled=cancelled)]
    together = asyncio.create_task(side_by_side(*(job.run() for job in jobs)))
    await asyncio.sleep(0.01)
    together.cancel()
    with pytest.raises(asyncio.CancelledError if cancelled is None else FenceError):
        await together
    assert all(job.is_over for job in jobs)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_groups_errors(path: Path) -> None:
    """A task group hides an error's name from whoever catches it by name: the command line, above all."""
    assert "TaskGroup(" not in path.read_text()
