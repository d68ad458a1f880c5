"""Grouping: in how many REQs one relay is asked for all that the bot wants to hear.

What lives here: the ways there are, and which of them a relay serves best. What does not: asking (watch.py,
session.py).

Relays bound the REQs, and the filters in one REQ, that they serve on a connection. They say so in an error, in a
NOTICE, or not at all, and their published limits (NIP-11) are not always true. So the bot tries it out. First it asks
for each subscription alone, so that a refused one takes no other with it. If a relay refuses the last of them, it asks
for the essential ones in one REQ and the rest in another; then for all in one. The way that served best stays. While
something is missing the others are tried again, seldom, because each change is a moment in which that relay is not
heard.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from random import Random

from nostrbot.relays.conduct import Backoff
from nostrbot.relays.limits import Limits
from nostrbot.relays.watch import FILTERS_MAX, Watch, WatchPart

TRIES = 2  # a REQ is refused so often before it counts
CUTS = 2  # a relay hangs up so often while REQs are unanswered before that counts

Groups = list[tuple[str, tuple[WatchPart, ...]]]  # name of the REQ, and what it asks for


class Way(IntEnum):
    """The ways in which subscriptions share REQs."""

    ALONE = 0
    TWO = 1
    ONE = 2
    ESSENTIAL = 3  # the rest is not asked for at all: the relay hangs up on it


class Grouping:
    """The way of one relay. Times passed in as `now` are monotonic seconds."""

    def __init__(self, limits: Limits, rng: Random) -> None:
        self.way = Way.ALONE
        self._served: dict[Way, tuple[int, int]] = {}  # essential parts and parts in force, by each way tried
        self._pause = Backoff(rng, limits.regroup_min_s, limits.regroup_max_s)
        self._rest_until = 0.0
        self._cut_count = 0

    def groups(self, parts: Iterable[WatchPart]) -> Groups:
        """Return all parts, the essential ones first, in the REQs they are asked in."""
        return _groups(self.way, parts)

    def cut(self, watches: Sequence[Watch], now: float) -> bool:
        """Note that the relay hung up while REQs were unanswered. True: ask in another way from now on."""
        self._cut_count += 1
        if self._cut_count < CUTS or now < self._rest_until:
            return False
        self._cut_count = 0
        return self._change(watches, (0, 0), now, ways=tuple(Way))

    def judge(self, watches: Sequence[Watch], now: float) -> bool:
        """Look how the REQs are served. True: ask in another way from now on."""
        if all(watch.is_in_force for watch in watches):
            self._cut_count = 0
            if self.way is not Way.ESSENTIAL or now < self._rest_until:
                return False
            self.way = Way.ALONE
            return True
        if now < self._rest_until or not all(_is_settled(watch) for watch in watches):
            return False
        refused = [watch for watch in watches if watch.failures >= TRIES and not watch.is_in_force]
        if not refused or _is_about_them(refused, watches):
            return False
        in_force = [part for watch in watches if watch.is_in_force for part in watch.parts]
        essential_count = sum(part.subscription.essential for part in in_force)
        return self._change(watches, (essential_count, len(in_force)), now)

    def _change(
        self,
        watches: Sequence[Watch],
        served: tuple[int, int],
        now: float,
        *,
        ways: Sequence[Way] = (Way.ALONE, Way.TWO, Way.ONE),
    ) -> bool:
        """Note what this way came to, and take the next that was not tried; after all were, the best."""
        was, parts = self.way, [part for watch in watches for part in watch.parts]
        self._served[was] = served
        tried = [_groups(way, parts) for way in self._served]
        for way in ways:
            if way not in self._served and not any(_is_same(_groups(way, parts), other) for other in tried):
                self.way = way
                if way is Way.ESSENTIAL:
                    self._served = {}
                    self._rest_until = now + self._pause.next_s()
                return True
        self.way = max(self._served, key=lambda way: (self._served[way], way if not any(served) else -way))
        self._served = {}
        self._rest_until = now + self._pause.next_s()
        return self.way != was


def _is_same(one: Groups, other: Groups) -> bool:
    """Whether two ways come to the same REQs."""
    return {parts for _, parts in one} == {parts for _, parts in other}


def _is_settled(watch: Watch) -> bool:
    return watch.is_in_force or watch.failures >= TRIES or (watch.trouble is not None and not watch.failures)


def _is_about_them(refused: Sequence[Watch], watches: Sequence[Watch]) -> bool:
    """Whether a relay refuses these REQs for their content: it never served them, and serves the last one it was
    sent.
    """
    return watches[-1].is_in_force and not any(watch.was_served for watch in refused)


def _groups(way: Way, parts: Iterable[WatchPart]) -> Groups:
    ordered = sorted(parts, key=lambda part: not part.subscription.essential)
    if way is Way.ALONE:
        return [(part.name, (part,)) for part in ordered]
    if way is Way.ONE:
        return list(_chunks("all", ordered))
    essential = [part for part in ordered if part.subscription.essential]
    if way is Way.ESSENTIAL and essential:
        return list(_chunks("essential", essential))
    rest = [part for part in ordered if not part.subscription.essential]
    return [*_chunks("essential", essential), *_chunks("rest", rest)]


def _chunks(name: str, parts: Sequence[WatchPart]) -> Iterator[tuple[str, tuple[WatchPart, ...]]]:
    """Put the parts in as few REQs as FILTERS_MAX allows: each may carry the filters of a page besides its own."""
    chunk: list[WatchPart] = []
    number = 1
    for part in parts:
        filters = {one for other in (*chunk, part) for one in other.subscription.filters}
        if chunk and len(filters) >= FILTERS_MAX:
            yield f"{name}-{number}", tuple(chunk)
            chunk, number = [], number + 1
        chunk.append(part)
    if chunk:
        yield f"{name}-{number}" if number > 1 else name, tuple(chunk)
