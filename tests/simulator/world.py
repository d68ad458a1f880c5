"""A world under one seed: who does what when, what goes wrong, and what must be true all the same.

What lives here: the steps, one after the other. Each does one thing, lets some time pass and has the witness look. What
does not: what may be done (deeds.py, attacks.py) and go wrong (runtime/troubles.py), how people speak (people.py), how relays behave (relay.py),
how a process dies (process.py), what must be true (witness.py, runtime/hearing.py, keeping.py), the good end (ending.py). START READING HERE.
"""

import asyncio
import gc
import shutil
import sqlite3
import traceback
from collections import Counter, deque
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from nostrbot.nostr.sealing import Scheme
from tests.payouts import payouts_open
from tests.simulator import rail
from tests.simulator.attacks import ATTACKS
from tests.simulator.clock import VirtualLoop, WallClock
from tests.simulator.deeds import ALWAYS, SOMETIMES
from tests.simulator.ending import check_rebuilt, end_well
from tests.simulator.hearing import Hearing
from tests.simulator.house import HOUSE_AT, house_file
from tests.simulator.keeping import check_keeping
from tests.simulator.node import Node
from tests.simulator.people import Unacked, report, say
from tests.simulator.present import taking_place
from tests.simulator.relay import Limit, Relay, Vices
from tests.simulator.troubles import TROUBLES
from tests.simulator.witness import Violation, Witness

Plain = dict[str, Any]
STEPS = (40, 110)  # at least and at most
PAUSES_S = (0.0, 0.0, 0.003, 0.03, 0.2, 0.7, 3.0)
TALE_KEPT = 40  # the last events, told when something is wrong
LEAPT_MAX_S = 3 * 365 * 24 * 3_600
# Seconds after the house was furnished: at once, the night Berlin's clocks go back, the morning they go forth.
BEGINNINGS_S = (100, 100, 1_792_890_000 - HOUSE_AT, 1_806_192_000 - HOUSE_AT)
REBUILT_EVERY = 10  # seeds: it takes as long as half of one


@dataclass(frozen=True)
class Outcome:
    """How a seed went. `trace`: the hash of all that happened; `broken`: what must not have, after so many steps."""

    seed: int
    trace: str
    steps: int
    entries: int
    runs: int
    broken: str | None = None
    tale: tuple[str, ...] = ()


class World:
    """Everything there is for one seed. `on_tell` is given each line of the trace."""

    def __init__(self, seed: int, folder: Path, loop: VirtualLoop, *, on_tell: Callable[[str], None] | None) -> None:
        self.loop = loop
        self.rng = rng = Random(seed)
        self.step = 0
        self.tale: deque[str] = deque(maxlen=TALE_KEPT)
        self._hash = sha256()
        self._on_tell = on_tell
        self.path = folder / f"{seed}.sqlite"
        shutil.copy(house_file(folder), self.path)
        self.backup: Path | None = None
        self.locks: list[sqlite3.Connection] = []
        self.clock = WallClock(loop, HOUSE_AT + rng.choice(BEGINNINGS_S))
        self._leapt_s = 0
        self.witness = Witness(self.path, self.tell)
        self.witness.look()
        self.hearing = Hearing(self.witness, rng, self.tell, lost=rng.choice((0.0, 0.2, 0.5)))
        urls = [f"wss://relay{n}.example.com" for n in range(rng.choice((1, 2, 2, 3)))]
        self.relays = {
            # What a relay refuses is drawn by itself, so that a seed is the same world but for that.
            url: Relay(
                url,
                Random(f"{seed} {url}"),
                Vices.draw(rng),
                self.hearing.hear,
                Limit.draw(Random(f"{seed} {url} limit")),
            )
            for url in urls
        }
        nodes = [Node(name, self.path, urls, clock=self.clock, rng=rng, tell=self.tell) for name in ("A", "B")]
        self.node, self.second = nodes
        for node in nodes:
            node.breath = rng.choice((0.0, 0.0, 0.05, 0.3))
        self.sales: list[Unacked] = []
        self.sold: Counter[str] = Counter()  # by who holds a machine's key: its own count
        self._names = 0
        chance = Random(f"{seed} rail")  # of its own, so that a world without one is the same world
        self.rail = rail.Rail(self, chance) if chance.random() < rail.LIKELY else None
        # Each world knows some of the troubles there are.
        sometimes = SOMETIMES | ATTACKS | TROUBLES
        chosen = rng.sample(list(sometimes), rng.randint(6, len(sometimes)))
        self._steps = {**ALWAYS, **{step: sometimes[step] for step in chosen}}

    def tell(self, text: str) -> None:
        """One line of the trace."""
        line = f"{self.step:3} {self.loop.time():9.3f} {text}"
        self._hash.update(line.encode())
        self.tale.append(line)
        if self._on_tell is not None:
            self._on_tell(line)

    @property
    def trace(self) -> str:
        """The hash of all that was told."""
        return self._hash.hexdigest()

    async def live(self) -> None:
        """Some steps, then the good end. Raises Violation."""
        self.node.start()
        steps, weights = list(self._steps), list(self._steps.values())
        for step in range(1, self.rng.randint(*STEPS) + 1):
            self.step = step
            self.rng.choices(steps, weights)[0](self)
            if self.rail is not None:
                self.rail.step()
            await asyncio.sleep(self.rng.choice(PAUSES_S))
            self.look()
        await end_well(self)
        self.tell(f"the end, after {self.runs} runs")

    @property
    def runs(self) -> int:
        """How often a bot was started."""
        return self.node.runs + self.second.runs

    def look(self) -> None:
        """What must be true after each step. A bot that ended is started again, sooner or later."""
        self.witness.look()
        self.check_unbroken()
        check_keeping(self)
        for node in (self.node, self.second):
            if node.process is not None and not node.is_up:
                node.reap()
                self.witness.look_closely()
        if not self.node.is_up and self.rng.random() < 0.6:
            self.node.start()

    def check_unbroken(self) -> None:
        """Raise what was found while nobody could be told."""
        if self.hearing.broken is not None:
            raise Violation(self.hearing.broken)

    # --- what steps are made of -------------------------------------------------------------------------------------

    def name(self) -> bytes:
        """Another one each time: of an event, so that it is an event of its own."""
        self._names += 1
        return str(self._names).encode()

    def say(self, who: str, text: str, *, late_s: int | None = None) -> None:
        """Somebody says something to the bot, in any of the ways there are; as a rule at about this time."""
        scheme = self.rng.choice((Scheme.NIP04, Scheme.NIP04, Scheme.NIP44, Scheme.NIP17))
        at = self.clock() + (self.rng.choice((0, 0, 0, -5, 20)) if late_s is None else late_s)
        said = say(who, text, at=at, scheme=scheme, name=self.name())
        self.hearing.said[said.id] = said
        self.tell(f"{who} says {text!r} ({scheme}) {said.id[:8]}")
        self.publish(said.event)

    def freshly(self, sold: Unacked) -> Plain:
        """A sale in an event of its own."""
        sold.event = report(sold.speaker, sold.payload, at=self.clock(), scheme=sold.scheme, name=self.name())
        sold.event_ids.append(sold.event["id"])
        return sold.event

    def publish(self, event: Plain, *, everywhere: bool = False) -> None:
        """To some relays, or to all."""
        relays = list(self.relays.values())
        chosen = relays if everywhere else self.rng.sample(relays, self.rng.randint(1, len(relays)))
        for relay in chosen:
            if not relay.is_away:
                relay.take(event)

    def leap(self, by_s: int) -> bool:
        """Set the clock, unless it has leapt far enough."""
        if abs(self._leapt_s + by_s) >= LEAPT_MAX_S:
            return False
        self._leapt_s += by_s
        self.clock.leap(by_s)
        return True

    def unlock(self) -> None:
        """Nobody else holds the database any more."""
        while self.locks:
            self.locks.pop().close()

    def unlink(self) -> None:
        """The database is gone."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing runs any more; the files are left."""
        for node in (self.node, self.second):
            if node.process is not None:
                node.process.die("the world ends")
        self.unlock()
        self.witness.close()


def run_seed(seed: int, folder: Path, *, on_tell: Callable[[str], None] | None = None) -> Outcome:
    """Live through one seed. To be called on a stage (stage.py); `folder` is its."""
    gc.disable()  # when it runs is no part of a seed
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    world = World(seed, folder, loop, on_tell=on_tell)
    loop.set_exception_handler(lambda _, context: _notice(world, context))
    broken: str | None = None
    asking = payouts_open() if world.rail is not None else nullcontext()
    try:
        with asking, taking_place(world.relays, world.rng), world.hearing.overhearing():
            loop.run_until_complete(world.live())
            world.close()
            if seed % REBUILT_EVERY == 0:
                check_rebuilt(world.path)
    except Violation as violation:
        broken = str(violation)
    except Exception:  # noqa: BLE001 - whatever a world stumbles over is worth a look
        broken = traceback.format_exc()
    finally:
        world.close()
        world.unlink()
        if world.backup is not None:
            world.backup.unlink()
        _bury(loop)
        gc.enable()
    entries = sum(len(ledger.entries) for ledger in world.witness.books.values())
    return Outcome(seed, world.trace, world.step, entries, world.runs, broken, tuple(world.tale) if broken else ())


def _notice(world: World, context: Plain) -> None:
    """A task or a callback failed. What tasks of the dead ended with, nobody asked for."""
    error = context.get("exception")
    if isinstance(error, Exception) and "never retrieved" not in context["message"]:
        world.hearing.broken = world.hearing.broken or f"{context['message']}: {error!r}"


def _bury(loop: VirtualLoop) -> None:
    """Whatever the dead were about comes to an end."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.set_exception_handler(lambda *_: None)
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    asyncio.set_event_loop(None)
