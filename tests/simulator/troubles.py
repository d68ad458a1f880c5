"""Troubles: what goes wrong, one a step.

What lives here: when. What does not: how a process dies of it (process.py), and how relays behave all the time (relay.py).
"""

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.simulator.deeds import Steps
from tests.simulator.process import Process
from tests.simulator.relay import Relay

if TYPE_CHECKING:
    from tests.simulator.world import World

HALF_A_DAY_S = 12 * 3_600
DAY_S = 24 * 3_600
LEAPS_S = (
    *(-3_600, -600, -30, -7, 7, 30, 900, 3_600, 4 * 3_600, 11 * 3_600, DAY_S),
    *(-400 * DAY_S, -40 * DAY_S, -3 * DAY_S, 3 * DAY_S, 40 * DAY_S, 400 * DAY_S),
)


def _process(world: "World") -> Process | None:
    """One that lives."""
    living = [node.process for node in (world.node, world.second) if node.is_up]
    return world.rng.choice(living) if living else None


def kill(world: "World") -> None:
    """In this moment, whatever it is about."""
    world.node.kill()


def kill_at_statement(world: "World") -> None:
    """Soon, before one of its statements."""
    process = _process(world)
    if process is not None:
        process.kill_in = world.rng.choice((1, 2, 3, world.rng.randint(1, 30), world.rng.randint(1, 80)))
        world.tell(f"{process.name} will die in {process.kill_in} statements")


def kill_after_commit(world: "World") -> None:
    """Soon, when something is kept that nobody knows of yet."""
    process = _process(world)
    if process is not None:
        process.kill_after = world.rng.randint(1, 3)
        world.tell(f"{process.name} will die after {process.kill_after} commits")


def stop(world: "World") -> None:
    """As one should."""
    if world.node.is_up and world.node.bot is not None:
        world.tell("A is asked to stop")
        world.node.bot.stop()


def fail_io(world: "World") -> None:
    """Some statements fail, soon."""
    process = _process(world)
    if process is not None:
        process.fail_in, process.fail_count = world.rng.randint(1, 30), world.rng.choice((1, 1, 2, 5))
        world.tell(f"{process.name}: statement {process.fail_in} will fail")


def fill_disk(world: "World") -> None:
    """For a while."""
    seconds = world.rng.choice((0.5, 2.0, 9.0))
    world.tell(f"the disk is full for {seconds} s")
    for node in (world.node, world.second):
        if node.process is not None:
            node.process.full_until = world.loop.time() + seconds


def lock(world: "World") -> None:
    """Somebody else's program holds the database, for longer than the bot waits or not."""
    if world.locks:
        return
    connection = sqlite3.connect(world.path, isolation_level=None, timeout=0)
    world.locks.append(connection)
    with suppress(sqlite3.OperationalError):  # the bot holds it
        connection.execute("BEGIN IMMEDIATE")
        seconds = world.rng.choice((0.5, 5.0, 70.0))
        world.tell(f"the database is locked for {seconds} s")
    world.loop.call_later(seconds if connection.in_transaction else 0.0, world.unlock)


def start_second_bot(world: "World") -> None:
    """On another computer, over the same file."""
    if not world.second.is_up:
        world.hearing.many = world.node.may_be_fenced = world.second.may_be_fenced = True
        if world.node.process is not None:
            world.node.process.is_with_another = True
        world.second.start()


def leap(world: "World") -> None:
    """The bot's clock is set."""
    by_s = world.rng.choice(LEAPS_S)
    if world.leap(by_s):
        world.tell(f"the clock leaps by {by_s} s")


def go_down(world: "World") -> None:
    """For half a day, and what was due meanwhile is due then."""
    if world.leap(HALF_A_DAY_S):
        world.node.kill()
        world.tell("half a day goes by")


def back_up(world: "World") -> None:
    """A copy as everything is just now, while the bot runs: the world will go back to it when it has ended well."""
    world.backup = world.path.with_suffix(".backup")
    world.backup.unlink(missing_ok=True)
    world.witness.copy_to(world.backup)
    world.tell("a backup is made")


def _relay(world: "World") -> Relay:
    return world.rng.choice(list(world.relays.values()))


def hang_up(world: "World") -> None:
    """A relay ends all connections."""
    relay = _relay(world)
    world.tell(f"{relay.url[6:]} hangs up")
    relay.hang_up()


def go_away(world: "World") -> None:
    """A relay cannot be reached for a while."""
    relay = _relay(world)
    world.tell(f"{relay.url[6:]} is away")
    relay.is_away = True
    relay.hang_up()
    world.loop.call_later(world.rng.choice((1.0, 10.0)), setattr, relay, "is_away", False)


def confess(world: "World") -> None:
    """A relay hands on what it withheld."""
    relay = _relay(world)
    world.tell(f"{relay.url[6:]} gives what it withheld")
    relay.confess()


def replay(world: "World") -> None:
    """Relays say something once more that they said long ago."""
    for relay in world.relays.values():
        relay.replay()


TROUBLES: Steps = {
    kill: 1, kill_at_statement: 3, kill_after_commit: 2, stop: 1, fail_io: 2, fill_disk: 1, lock: 1, start_second_bot: 1,
    leap: 2, go_down: 1, back_up: 1, hang_up: 1, go_away: 1, confess: 1, replay: 3,
}  # fmt: skip
