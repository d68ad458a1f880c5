"""Figures: what a running bot says of itself, for `nostrbot status` and for Prometheus.

What lives here: gathering them, and keeping them in the database for who asks from outside. What does not: what is well
and what is not (monitoring/health.py), showing them (monitoring/status.py, monitoring/exposition.py).
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from loguru import logger
from sqlalchemy.exc import DBAPIError

from nostrbot.core.book import ROOT
from nostrbot.monitoring.exposition import BookFigures, exposition
from nostrbot.relays.pool import Pool
from nostrbot.relays.recipients.courier import Courier
from nostrbot.relays.relay import RelayConfig, RelayHealth
from nostrbot.runtime.clock import OFF_MAX_S, ClockGuard
from nostrbot.runtime.notary import Notary
from nostrbot.runtime.outbox import Outbox
from nostrbot.runtime.sequencer import Sequencer

TELL_S = 2.0  # how often `nostrbot status` hears from us


class Figures:
    """The figures of a running bot. `run()` keeps them in the database until it is cancelled."""

    def __init__(
        self,
        sequencer: Sequencer,
        notary: Notary,
        outbox: Outbox,
        pool: Pool,
        *,
        courier: Courier | None,
        guard: ClockGuard,
        clock: Callable[[], int],
        relays: Sequence[RelayConfig],
        min_ok: int,
    ) -> None:
        """`clock`: unix seconds; `relays`: those of the pool; `min_ok`: how many must accept a publication."""
        self._sequencer = sequencer
        self._notary = notary
        self._outbox = outbox
        self._pool = pool
        self._courier = courier
        self._guard = guard
        self._clock = clock
        self._relays = relays
        self._min_ok = min_ok
        self._started_at = clock()

    async def run(self) -> None:
        """Keep them in the database, again and again, until cancelled."""
        while True:
            try:
                await self._sequencer.store.queries.tell("bot", self.state())
                claims = self._sequencer.bookkeeper.claims
                if claims.is_news:
                    claims.is_news = False
                    await self._sequencer.store.queries.tell("claims", claims.of_key)
            except DBAPIError as error:
                logger.debug("status cannot be kept: {}", error.orig)  # the sequencer says so louder
            except Exception:  # noqa: BLE001 - the boundary of this task: a figure that cannot be shown ends no bot
                logger.opt(exception=True).error("could not say how I am")
            await asyncio.sleep(TELL_S)

    def state(self) -> dict[str, Any]:
        """Return what `nostrbot status` shows of a running bot."""
        refusals, now = self._sequencer.bookkeeper.refusals + self._pool.refusals, self._clock()
        return {
            "pid": os.getpid(),
            "at": now,
            "started_at": self._started_at,
            "steady": self._guard.trouble is None,
            "clock_trouble": self._guard.trouble,
            "ahead": {
                key: live.chain.at - now
                for key, live in self._sequencer.bookkeeper.live.items()
                if live.chain.at - now > OFF_MAX_S
            },
            "inbox": self._pool.inbox.qsize(),
            "backlog": self._outbox.backlog,
            "commits": self._sequencer.commits.plain(),
            "refusals": {str(reason): count for reason, count in sorted(refusals.items())},
            "closed_books": sorted(self._sequencer.bookkeeper.closed_books),
            "closed_because": dict(self._sequencer.bookkeeper.closed_books),
            "troubles": self._troubles(),
            "last_failure": self._sequencer.last_failure,
            "relays": [_relay(*one) for one in zip(self._relays, self._pool.health(), strict=True)],
            "subscriptions": [
                {
                    "name": one.name,
                    "essential": one.is_essential,
                    "in_force_at": list(one.served_by),
                    "unheard_since": one.unheard_since,
                    "missed": one.is_missed,
                }
                for one in self._pool.hearing()
            ],
            "min_ok": self._min_ok,
            "courier": asdict(self._courier.tally()) if self._courier is not None else None,
        }

    def _troubles(self) -> list[dict[str, Any]]:
        return [
            {"book": one.book, "work": one.work, "why": one.words(), "since": one.since, "count": one.count}
            for one in self._sequencer.troubles.current(asyncio.get_running_loop().time())
        ]

    def metrics(self) -> bytes:
        """Return what Prometheus is shown of a running bot."""
        state = self.state()
        books = [
            BookFigures(
                # A damaged book may not know its name; two of them must not be one.
                handle=None if key == ROOT else live.book.handle or f"({key[:8]})",
                entries=live.chain.seq,
                pending=sum(len(till.held) for till in live.book.tills.values()),
                is_closed=key in self._sequencer.bookkeeper.closed_books,
                troubles=sum(one["book"] == key for one in state["troubles"]),
                checkpoint=self._notary.newest(key),
            )
            for key, live in self._sequencer.bookkeeper.live.items()
        ]
        return exposition(state, books)


def _relay(config: RelayConfig, health: RelayHealth) -> dict[str, Any]:
    fields = {name: getattr(health, name) for name in health.__slots__}
    fields["refusals"] = {str(reason): count for reason, count in sorted(health.refusals.items())}
    fields["subscriptions"] = {
        name: {"state": str(service.force), "words": service.words, "unread": service.unread}
        for name, service in health.subscriptions.items()
    }
    return fields | {"read": config.read, "write": config.write}
