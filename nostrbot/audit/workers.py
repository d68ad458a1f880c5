"""Workers: processes that examine the pages of a long trail side by side, signatures first of all.

What lives here: handing out pages, and taking them back in order. What does not: what is examined (examination.py) and
what follows (verification.py). A page comes back with a verdict alone: the decoded entries would cost more to send than
to read again. Only a few pages are on their way at a time, so memory does not grow with the trail.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from threading import Thread
from typing import NamedTuple

from nostrbot.audit.examination import EntryTrouble, Examined, Needs, TrailPage, examine, needs_of, reread
from nostrbot.errors import ConfigError
from nostrbot.nostr.event import verified_elsewhere

PAGES_ALONE = 16  # a shorter trail is done before a crew has started, which takes half a second
PAGES_AHEAD = 3  # for each process: one in work, one waiting for it, one done


class PageVerdict(NamedTuple):
    """The findings of another process about a page."""

    trouble: EntryTrouble | None
    crooked: int | None
    needs: Needs


class Findings(NamedTuple):
    """A page's lines, read and examined, and what deciding them needs to know."""

    page: TrailPage
    examined: Examined
    needs: Needs


def examined_pages(pages: Iterator[TrailPage], jobs: int) -> Generator[Findings, None, None]:
    """Yield the pages, each examined, in order; at most `jobs` processes work, this one among them.

    Raises ConfigError if a process was ended from outside.
    """
    begun = list(islice(pages, PAGES_ALONE + 1)) if jobs > 1 else []
    everything = chain(begun, pages)
    if len(begun) <= PAGES_ALONE:
        for page in everything:
            examined = examine(page)
            yield Findings(page, examined, needs_of(examined.inputs))
        return
    try:
        yield from _by_a_crew(everything, jobs)
    except BrokenProcessPool:
        raise ConfigError("a process that checked signatures was ended from outside: try again with --jobs 1") from None


def _by_a_crew(pages: Iterator[TrailPage], jobs: int) -> Iterator[Findings]:
    context = multiprocessing.get_context("spawn")  # forked, a process would have this one's threads' locks
    crew = ProcessPoolExecutor(jobs - 1, mp_context=context, initializer=end_with_the_first)
    handed_out: deque[tuple[TrailPage, Future[PageVerdict]]] = deque()
    try:
        for page in pages:
            with _interrupts_held_back():  # a process may be started
                handed_out.append((page, crew.submit(judge, page)))
            if len(handed_out) >= jobs * PAGES_AHEAD:
                yield _taken_back(*handed_out.popleft())
        while handed_out:
            yield _taken_back(*handed_out.popleft())
    finally:
        crew.shutdown(cancel_futures=True)


def end_with_the_first() -> None:
    """End this process when its parent ends, even if the parent is killed: it would wait for work for ever."""
    Thread(target=_end_after_the_first, daemon=True).start()


def _end_after_the_first() -> None:
    first = multiprocessing.parent_process()
    assert first is not None, "runs in a process that another one started"
    first.join()
    os._exit(1)


def judge(page: TrailPage) -> PageVerdict:
    """Examine a page on behalf of another process."""
    examined = examine(page)
    return PageVerdict(examined.trouble, examined.crooked, needs_of(examined.inputs))


def _taken_back(page: TrailPage, future: Future[PageVerdict]) -> Findings:
    verdict = future.result()
    # The very bytes that were judged are read again, so what was verified there is verified here.
    return Findings(page, reread(page, verdict.trouble, verdict.crooked, verified_elsewhere), verdict.needs)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back from processes started in here: a terminal sends it to all, and the parent ends its children."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
