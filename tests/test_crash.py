"""Crashes: the bot is killed with SIGKILL at exact points and started again; nothing is lost and nothing is done twice.

Machines say each sale again until it is acked; relays keep what they were given. faults.md rows 2, 32, 48, 49, 50 and
the invariants I1-I9, as they look from outside.
"""

import asyncio
import json
import re
import shutil
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random

import pytest
from websockets.asyncio.client import connect

from nostrbot.core.desks import check_books
from nostrbot.home.config import Home
from nostrbot.store.batch import Batch
from tests.offices import ANA, BEN, BOT, MACHINE, OPERATOR, PLATFORM, command, contents, office, open_office, report
from tests.peers import mortality
from tests.peers.bot_process import make_home, nostrbot, nostrbot_run, run_bot
from tests.peers.local_relay import local_relay
from tests.peers.mortality import Death, outlives
from tests.peers.pace import STOP_MAX_S
from tests.peers.relay_store import letters
from tests.peers.resending_machine import ResendingMachine
from tests.signers import Plain, Signer, sale_of

DEATH_MAX_S = 20.0

M2, FLORES, M3, CARLA = Signer("m2"), Signer("flores"), Signer("m3"), Signer("carla")
TOWN = (
    (PLATFORM, f"operator add {OPERATOR.npub} name=antigua tz=America/Guatemala"),
    (PLATFORM, f"operator add {FLORES.npub} name=flores"),
    (PLATFORM, "platform fee cash_in=1% cash_out=1.5%"),
    (OPERATOR, f"machine add {MACHINE.npub} name=m1 fiat=GTQ cash_in=5% cash_out=6.27%"),
    (OPERATOR, f"machine add {M2.npub} name=m2 fiat=GTQ cash_in=5% cash_out=6.27%"),
    (FLORES, f"machine add {M3.npub} name=m3 fiat=GTQ cash_in=5% cash_out=6.27%"),
    (OPERATOR, f"lp add {ANA.npub} machine=m1 name=ana"),
    (OPERATOR, f"lp add {ANA.npub} machine=m2 name=ana"),
    (OPERATOR, f"lp add {BEN.npub} machine=m1 name=ben"),
    (FLORES, f"lp add {ANA.npub} machine=m3 name=ana"),
    (FLORES, f"lp add {CARLA.npub} machine=m3 name=carla"),
    (ANA, "join"),
    (BEN, "join"),
    (CARLA, "join"),
    (OPERATOR, "deposit add ana 90000 machine=m1"),
    (OPERATOR, "deposit add ben 50000 machine=m1"),
    (OPERATOR, "deposit add ana 30000 machine=m2"),  # is used up on the way: the operator covers the rest
    (FLORES, "deposit add ana 100000 machine=m3"),
    (FLORES, "deposit add carla 333.33 machine=m3"),
    *((OPERATOR, f"deposit confirm d{n}") for n in (1, 2, 3)),
    *((FLORES, f"deposit confirm d{n}") for n in (1, 2)),
)
MACHINES, LPS, OPERATORS = (MACHINE, M2, M3), (ANA, BEN, CARLA), (OPERATOR, FLORES)


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], timeout_s: float = DEATH_MAX_S, every_s: float = 0.05
) -> None:
    """Wait until a condition holds; fails when it never does."""
    deadline = time.monotonic() + timeout_s
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(every_s)


# --- one commit, statement by statement ---------------------------------------------------------------------------


def settle_one(path: str, event: str) -> None:
    """Decide and commit one settlement. For a child process."""

    async def work() -> None:
        at = await open_office(Path(path))
        await at.take(json.loads(event))
        await at.store.close()

    asyncio.run(work())


async def test_a_kill_at_every_statement_of_a_distribution(tmp_path: Path) -> None:
    """faults.md row 48: killed before each statement of the commit, COMMIT included, nothing of the settlement is there;
    told again, it is there exactly once, under the very hash it would have had."""
    house, event = tmp_path / "house.sqlite", report(1)
    async with office(house):
        pass
    before = contents(house)
    untouched = tmp_path / "untouched.sqlite"
    shutil.copy(house, untouched)
    async with office(untouched) as at:
        await at.take(event)
        head = at.head
    after = contents(untouched)
    deaths = 0
    for nth in range(1, 100):
        path = tmp_path / "killed.sqlite"
        for leftover in tmp_path.glob("killed.sqlite*"):
            leftover.unlink()
        shutil.copy(house, path)
        if await asyncio.to_thread(outlives, settle_one, str(path), json.dumps(event), death=Death("statement", nth)):
            break
        deaths += 1
        assert contents(path) == before, f"killed at statement {nth}, something of the commit stayed"
        async with office(path) as at:
            await at.take(event)
            assert at.head == head
            check_books(at.book)
        assert contents(path) == after
    assert deaths > 10  # an entry, a settlement, four legs, several balances, an outbox row, COMMIT


# --- the whole bot ------------------------------------------------------------------------------------------------


def sale(machine: Signer, n: int) -> Plain:
    """A machine's n-th sale: another amount each time, and every seventh the other way round."""
    fiat = 100 * (1 + n * 7 % 23)
    principal = 50 * fiat
    fee = principal * 777 // 10_000
    cash_in = n % 7 == 0
    return sale_of(
        machine,
        n,
        tx_type="cash_in" if cash_in else "cash_out",
        principal_sats=principal,
        fee_sats=fee,
        wire_sats=principal - fee if cash_in else principal + fee,
        fiat_amount=f"{fiat}.00",
    )


async def furnish(home: Home) -> None:
    """Give a home its database, with the town in it."""
    async with office(home.database_file, house=TOWN):
        pass


async def live_through(
    home: Home, url: str, deaths: Sequence[Death], *, sales_each: int, outside_kills: int
) -> list[ResendingMachine]:
    """Machines sell while the bot dies of one death after the other, then of kills from outside, then lives."""
    machines = [ResendingMachine(signer, BOT.pubkey, url) for signer in MACHINES]
    running = [asyncio.create_task(machine.run()) for machine in machines]
    sold = 0

    def sell() -> None:
        nonlocal sold
        for machine in machines:
            machine.sell(*[sale(machine.signer, n) for n in range(sold + 1, sold + sales_each + 1)])
        sold += sales_each

    for death in deaths:
        sell()
        child = mortality.start(run_bot, str(home.database_file), url, death=death)
        await eventually(lambda child=child: child.exitcode is not None)
        assert child.exitcode == -signal.SIGKILL, f"{death}: the bot ended with {child.exitcode}"
    for _ in range(outside_kills):
        sell()
        heard = sum(len(machine.acks) for machine in machines)
        bot = nostrbot_run(home)
        await eventually(lambda heard=heard: sum(len(machine.acks) for machine in machines) > heard)
        bot.kill()
        assert bot.wait(DEATH_MAX_S) == -signal.SIGKILL
        bot.communicate()
    sell()
    bot = nostrbot_run(home)
    try:
        await eventually(lambda: all(machine.is_done for machine in machines), timeout_s=60)
        await eventually(lambda: backlog_is_empty(home), timeout_s=60)
        bot.send_signal(signal.SIGTERM)
        said, _ = await asyncio.to_thread(bot.communicate, timeout=STOP_MAX_S)
        assert (bot.returncode, said) == (0, f"ready {BOT.npub}\n")
    finally:
        bot.kill()
        bot.wait()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return machines


async def backlog_is_empty(home: Home) -> bool:
    """Whether everything owed is with the relays."""
    return not contents(home.database_file)["outbox"]


def trail_of(home: Home, operator: Signer, to: Path) -> list[Plain]:
    """Export and verify an operator's trail by the command line; returns its entries."""
    exported = nostrbot("audit", "export", "--home", home.path, "--operator", operator.npub, "-o", to)
    assert (exported.returncode, exported.stderr) == (0, "")
    checked = nostrbot("audit", "verify", to, "--bot", BOT.npub)
    assert checked.returncode == 0, checked.stdout
    return [json.loads(line) for line in to.read_text().splitlines()[1:]]


async def check_everything_happened_once(
    home: Home, url: str, machines: Sequence[ResendingMachine], tmp_path: Path
) -> None:
    """Each sale is settled once and acked; each leg of an LP has one receipt; everything adds up."""
    settled: Counter[str] = Counter()
    owed: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)  # LP -> (operator, receipt) -> sats
    sold = {hash_ for machine in machines for hash_ in machine.acks}
    for operator, handle in zip(OPERATORS, ("antigua", "flores"), strict=True):
        entries = trail_of(home, operator, tmp_path / f"{handle}.jsonl")
        for fact in (fact for entry in entries for fact in entry["facts"] if fact["fact"] == "settlement_processed"):
            settled[fact["sale"]["payment_hash"]] += 1
            legs = fact["legs"]
            parts = fact["sale"]["wire_sats" if fact["sale"]["direction"] == "cash_out" else "fee_sats"]
            assert sum(leg["sats"] for leg in legs) == parts
            for leg in legs:
                if leg["lp"] is not None and leg["status"] == "completed":
                    owed[leg["lp"]][handle, f"l{leg['number']}"] += leg["sats"]
        for postings in (entry["postings"] for entry in entries):
            for unit in {unit for _, unit, _ in postings}:
                assert sum(amount for _, its, amount in postings if its == unit) == 0

    assert settled == Counter(sold)
    for machine in machines:
        for acks in machine.acks.values():
            assert {ack["status"] for ack in acks} <= {"processed", "duplicate"}
            assert len({ack["settlement"] for ack in acks}) == 1
    for lp in LPS:
        received: dict[tuple[str, str], list[int]] = defaultdict(list)
        for _, text in await letters(url, lp, BOT.pubkey):
            found = re.search(r"received (\d+) sats .* at m\d, (\w+)\..*Receipt (l\d+),", text, re.DOTALL)
            if found:
                received[found[2], found[3]].append(int(found[1]))
        assert received == {receipt: [sats] for receipt, sats in owed[lp.name].items()}


async def test_135_settlements_and_8_kills(tmp_path: Path) -> None:
    """Killed before, within and after commits and while publishing, twice of it from outside: everything happened once."""
    async with local_relay() as url:
        home = make_home(tmp_path / "home", [url])
        await furnish(home)
        deaths = [
            Death("commit", 2),
            Death("statement", 33),
            Death("COMMIT", 2),
            Death("committed", 2),
            Death("publish", 17),
            Death("accepted", 14),
        ]
        machines = await live_through(home, url, deaths, sales_each=5, outside_kills=2)
        assert sum(len(machine.acks) for machine in machines) == 135
        await check_everything_happened_once(home, url, machines, tmp_path)


@pytest.mark.soak
async def test_many_settlements_and_60_kills(tmp_path: Path) -> None:
    """The same for minutes, at points chosen by chance (the seed is printed)."""
    seed = time.time_ns()
    print(f"seed {seed}")
    random = Random(seed)
    async with local_relay() as url:
        home = make_home(tmp_path / "home", [url])
        await furnish(home)
        nth = {"commit": 3, "statement": 120, "COMMIT": 3, "committed": 3, "publish": 40, "accepted": 40}
        deaths = [Death(point, random.randint(1, nth[point])) for point in random.choices(list(nth), k=50)]
        machines = await live_through(home, url, deaths, sales_each=8, outside_kills=10)
        await check_everything_happened_once(home, url, machines, tmp_path)


@pytest.mark.parametrize(
    "death", [Death("commit", 1), Death("committed", 1), Death("publish", 1), Death("accepted", 1)]
)
async def test_a_command_has_one_effect_and_one_answer_whenever_the_bot_dies(tmp_path: Path, death: Death) -> None:
    """A command that the relay gives again after each kill: one deposit, one answer, whatever the moment (I9)."""
    path = tmp_path / "bot.sqlite"
    async with office(path) as at:
        owed = [row.id for row in await at.store.queries.outbox(after=0, limit=500)]
        await at.store.writer.commit(Batch(delivered=owed))
    said = command(OPERATOR, "deposit add ana 123.45 machine=m1", int(time.time()))
    async with local_relay() as url:
        async with connect(url) as socket:
            await socket.send(json.dumps(["EVENT", said]))
            assert json.loads(await socket.recv())[:3] == ["OK", said["id"], True]
        first = mortality.start(run_bot, str(path), url, death=death)
        await eventually(lambda: first.exitcode is not None)
        assert first.exitcode == -signal.SIGKILL
        for _ in range(2):
            again = mortality.start(run_bot, str(path), url)

            async def answered() -> bool:
                return bool(await letters(url, OPERATOR, BOT.pubkey)) and not contents(path)["outbox"]

            await eventually(answered)
            again.terminate()
            await eventually(lambda again=again: again.exitcode == 0)
        answers = await letters(url, OPERATOR, BOT.pubkey)
        assert len(answers) == 1
        assert ["e", said["id"]] in answers[0][0]["tags"]
    async with office(path) as at:
        assert [deposit.amount_minor for deposit in at.book.deposits.values()] == [900_000, 100_000, 12_345]
