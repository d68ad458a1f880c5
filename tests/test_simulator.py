"""The simulator: some of its worlds, that each is the same wherever it is lived, and that it finds what is planted.

What lives here: a few seeds for every day, many for a soak. What does not: what a world is, and what must be true in it
(tests/simulator).
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

import nostrbot.core.atm.bounds
import nostrbot.core.atm.prices
import nostrbot.core.atm.settlements.dca
import nostrbot.core.atm.settlements.rules
import nostrbot.core.atm.settlements.worklist
import nostrbot.core.payouts.observations
import nostrbot.core.snapshots
import nostrbot.store.writer
from nostrbot.core.atm.till import Till
from nostrbot.core.desks import BOOKING, OBSERVERS
from nostrbot.core.payouts.facts import PayoutCancelled
from nostrbot.messages.receipts import Message
from nostrbot.nostr.event import Event, VerifiedEvent
from nostrbot.refusals import Refusal
from nostrbot.relays import session
from nostrbot.runtime.hearing import Hearing
from nostrbot.runtime.outbox import Outbox
from nostrbot.store.batch import Batch
from nostrbot.store.queries import Queries
from nostrbot.store.writer import Writer
from tests.effort import examples
from tests.simulator.seeds import run_in_parallel, run_seeds, told
from tests.simulator.stage import stage
from tests.simulator.world import Outcome, run_seed

EVERY_DAY = range(1, 1 + examples(60))
FOUND_WITHIN = 60  # seeds, each planted fault
SOAK_SEEDS = int(os.environ.get("SIMULATOR_SEEDS", "2000"))


def broken(outcomes: Sequence[Outcome]) -> str:
    """What a person must know of those that went wrong."""
    return "\n\n".join(told(outcome) for outcome in outcomes if outcome.broken)


def test_some_worlds() -> None:
    """No promise is broken in any of them, and they are no idle ones: bots die, and there is something to account for."""
    outcomes = list(run_seeds(EVERY_DAY))
    assert not broken(outcomes), broken(outcomes)
    assert sum(outcome.runs for outcome in outcomes) > 4 * len(outcomes)
    assert sum(outcome.entries for outcome in outcomes) > 50 * len(outcomes)


@pytest.mark.soak
def test_many_worlds() -> None:
    """The first sixty, and as many as SIMULATOR_SEEDS says, others every time (the first is printed), on all cores."""
    first = time.time_ns() // 1_000_000
    print(f"seeds from {first}")
    jobs = os.cpu_count() or 1
    outcomes = [
        one for seeds in (range(1, 61), range(first, first + SOAK_SEEDS)) for one in run_in_parallel(seeds, jobs)
    ]
    assert len(outcomes) == 60 + SOAK_SEEDS
    assert not broken(outcomes), broken(outcomes)


def test_a_seed_is_the_same_everywhere() -> None:
    """Byte for byte, whatever order sets have there and whatever was simulated before."""
    here = {outcome.seed: outcome.trace for outcome in run_seeds(range(3, 9))}
    for seed, hash_seed in ((4, "1"), (8, "2")):
        ran = subprocess.run(
            [sys.executable, "-m", "tests.simulator", "--seed", str(seed)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.split()[-1] == here[seed]


# --- what is planted ---------------------------------------------------------------------------------------------------


def commits_that_fail_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """Acked, and not committed."""
    commit = Writer.commit

    async def forgiving(self: Writer, batch: Batch) -> None:
        try:
            await commit(self, batch)
        except OperationalError:
            return

    patch.setattr(Writer, "commit", forgiving)


def answers_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """What was refused once is judged again."""

    async def nothing(*_: Any) -> set[str]:
        return set()

    patch.setattr(Queries, "answered", nothing)


def signatures_are_believed(patch: pytest.MonkeyPatch) -> None:
    """Any event is taken for verified."""

    def believe(event: Event) -> VerifiedEvent:
        return tuple.__new__(VerifiedEvent, event)

    patch.setattr(session, "verify", believe)


def the_rest_goes_to_the_first(patch: pytest.MonkeyPatch) -> None:
    """Instead of to the largest remainders."""

    def careless(total: int, weights: list[int]) -> list[int]:
        parts = [total * weight // sum(weights) for weight in weights]
        parts[0] += total - sum(parts)
        return parts

    patch.setattr(nostrbot.core.atm.settlements.dca, "split", careless)


def there_is_no_fence(patch: pytest.MonkeyPatch) -> None:
    """Who comes second writes over what the first one wrote."""
    make = nostrbot.store.writer._Statements

    def fenceless(dialect: Any) -> Any:
        statements = make(dialect)
        for name in ("entry", "outbox"):
            setattr(statements, name, getattr(statements, name).replace("INSERT INTO", "INSERT OR REPLACE INTO"))
        return statements

    patch.setattr(nostrbot.store.writer, "_Statements", fenceless)
    patch.setattr(nostrbot.store.writer, "_HIGHEST_OWED", "SELECT 0")


def payments_are_not_recalled(patch: pytest.MonkeyPatch) -> None:
    """A sale told in a fresh event is taken for a new one."""

    async def nothing(*_: Any) -> list[Any]:
        return []

    patch.setattr(Queries, "entries_of_payments", nothing)


def messages_made_again_are_others(patch: pytest.MonkeyPatch) -> None:
    """Each has a number that no restart remembers."""
    make, numbers = Outbox._make, count()

    def another(self: Outbox, message: Message, at: int) -> VerifiedEvent:
        return make(self, message, at + next(numbers))

    patch.setattr(Outbox, "_make", another)


def rows_are_done_when_handed_over(patch: pytest.MonkeyPatch) -> None:
    """What relays have not accepted is no longer owed."""
    take = Outbox.take_delivered

    def early(self: Outbox) -> Any:
        taken = take(self)
        return taken._replace(rows=[*taken.rows, *self._sending])

    patch.setattr(Outbox, "take_delivered", early)


def sums_have_no_bounds(patch: pytest.MonkeyPatch) -> None:
    """A book may owe more than all sats there are."""
    for module in (nostrbot.core.atm.settlements.rules, nostrbot.core.atm.settlements.worklist):
        patch.setattr(module, "outgrows_sats", lambda *_: False)
    patch.setattr(nostrbot.core.atm.bounds, "BOOK_SATS_MAX", 10**30)


def one_report_sets_the_price(patch: pytest.MonkeyPatch) -> None:
    """Of the rates that count the newest is taken for the usual one."""
    patch.setattr(nostrbot.core.atm.prices, "median", lambda rates: rates[-1])


def limits_are_not_given_back(patch: pytest.MonkeyPatch) -> None:
    """What was undone counts against a machine for ever."""
    patch.setattr(Till, "give_back", lambda *_, **__: None)


def snapshots_forget_what_waits(patch: pytest.MonkeyPatch) -> None:
    """A restart knows nothing of the sales that are held."""
    keep = nostrbot.core.snapshots._plain_till
    patch.setattr(nostrbot.core.snapshots, "_plain_till", lambda till: keep(till) | {"held": []})


def sums_are_bare_integers(patch: pytest.MonkeyPatch) -> None:
    """A snapshot has no room for what a machine sold, once it is much."""
    keep = nostrbot.core.snapshots._plain_till
    patch.setattr(
        nostrbot.core.snapshots, "_plain_till", lambda till: keep(till) | {"volume_sats": till.volume_sats**2}
    )


def strangers_spend_what_authors_may_say(patch: pytest.MonkeyPatch) -> None:
    """Old words that somebody hands on are counted as if their author had said them now."""
    hear = Hearing.hear

    def counted(self: Hearing, author: str, said: Any, now: int, *, is_fresh: bool, is_unlimited: bool) -> Any:
        if not is_fresh:
            self._protecting.take(author, now)
            self._commands.take(author, now)
        return hear(self, author, said, now, is_fresh=is_fresh, is_unlimited=is_unlimited)

    patch.setattr(Hearing, "hear", counted)


def holds_are_not_returned(patch: pytest.MonkeyPatch) -> None:
    """What a payout held stays held when somebody calls it off."""
    patch.setitem(BOOKING, PayoutCancelled, lambda _: None)  # type: ignore[misc]


def a_payment_is_booked_again(patch: pytest.MonkeyPatch) -> None:
    """A wallet says once more that an attempt was paid, and the sats leave the books once more."""
    read = nostrbot.core.payouts.observations.read_outcome

    def decide_again(book: Any, given: Any, at: int, rules: int) -> Any:
        seen = read(given)
        payout = None if isinstance(seen, Refusal) else book.payouts.find(seen.payout)
        if payout is not None and payout.status == "settled" and seen.outcome == "settled":
            attempt = payout.attempts[seen.attempt - 1]
            return (nostrbot.core.payouts.observations.settled(payout, attempt, fee_msat=0, preimage=None),)
        return observer.decide(book, given, at, rules)

    observer = OBSERVERS["payment_outcome"]
    patch.setitem(OBSERVERS, "payment_outcome", observer._replace(decide=decide_again))  # type: ignore[misc]


# Each fault, and a seed from which on it is found soon. Another stage may need others: the test below prints what it found.
PLANTED = {
    commits_that_fail_are_ignored: 3,
    answers_are_forgotten: 2,
    signatures_are_believed: 7,
    the_rest_goes_to_the_first: 1,
    there_is_no_fence: 17,
    payments_are_not_recalled: 1,
    messages_made_again_are_others: 1,
    rows_are_done_when_handed_over: 17,
    sums_have_no_bounds: 7,
    one_report_sets_the_price: 1,
    snapshots_forget_what_waits: 7,
    sums_are_bare_integers: 1,
    strangers_spend_what_authors_may_say: 20,
    holds_are_not_returned: 10,
    a_payment_is_booked_again: 18,
}


@pytest.mark.parametrize(("plant", "first"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED])
def test_what_is_planted_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fault breaks a promise that the witness watches, within a few seeds."""
    plant(monkeypatch)
    with stage(monkeypatch) as folder:
        found = next(
            (one for one in (run_seed(seed, folder) for seed in range(first, first + FOUND_WITHIN)) if one.broken), None
        )
    assert found is not None, f"{plant.__name__} was not found"
    print(f"{plant.__name__}: seed {found.seed}, {found.broken}")
