"""Crashes amid everything a desk does: sales, corrections, refunds, payments out of own sats, gift-wrapped commands and a
slot of fixed mode, while the bot is killed with SIGKILL at exact points. What test_crash.py asks of sales, of all of it.

faults.md rows 2, 17, 32, 48-50; invariants I1-I9, as they look from outside.
"""

import asyncio
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import nostr_sdk
import pytest
from websockets.asyncio.client import connect

from nostrbot.core.desks import check_books
from nostrbot.home.config import Home
from tests.e2e.people import Person
from tests.offices import ANA, BEN, BOT, MACHINE, OPERATOR, PLATFORM, command, contents, office, report
from tests.peers import mortality
from tests.peers.bot_process import make_home, nostrbot_run, run_bot
from tests.peers.local_relay import local_relay
from tests.peers.mortality import Death
from tests.peers.pace import STOP_MAX_S
from tests.peers.relay_store import letters, stored
from tests.peers.resending_machine import ResendingMachine
from tests.signers import Plain, Signer
from tests.test_crash import backlog_is_empty, eventually, sale, trail_of

BORN = 12  # settlements that are there before the first death
HOUR_S = 3_600


class Whisperer(Person):
    """The operator of offices.py, writing in gift wraps that another library makes."""

    def __init__(self, signer: Signer) -> None:
        super().__init__(signer.name)
        self.keys = nostr_sdk.Keys.parse(signer.secret)
        self.pubkey, self.npub = signer.pubkey, signer.npub


def town(now: int) -> tuple[tuple[Signer, str], ...]:
    """A house in a time zone where it is noon now, so that a slot of an hour ago was today's."""
    east = 12 - now // HOUR_S % 24
    zone = f"Etc/GMT{-east:+d}" if east else "UTC"  # POSIX counts westward
    return (
        (PLATFORM, f"operator add {OPERATOR.npub} name=antigua tz={zone}"),
        (PLATFORM, "platform fee cash_in=1% cash_out=1.5%"),
        (OPERATOR, f"machine add {MACHINE.npub} name=m1 fiat=GTQ cash_in=5% cash_out=6.27%"),
        (OPERATOR, f"lp add {ANA.npub} machine=m1 name=ana"),
        (OPERATOR, f"lp add {BEN.npub} machine=m1 name=ben"),
        (ANA, "join"),
        (BEN, "join"),
        (BEN, "mode fixed limit=10"),
        (OPERATOR, "deposit add ana 20000 machine=m1"),
        (OPERATOR, "deposit add ben 50000 machine=m1"),
        (OPERATOR, "deposit confirm d1"),
        (OPERATOR, "deposit confirm d2"),
        (OPERATOR, "fixed schedule 11:00"),
    )


async def furnish(home: Home, now: int) -> None:
    """The house as of two hours ago, with twelve sales; nothing of it is told to anybody yet."""
    async with office(home.database_file, house=()) as at:
        at.now = now - 2 * HOUR_S
        await at.say(*town(now))
        at.now += 1
        await at.take(*[report(n, at.now, payment_hash=f"{n:064x}") for n in range(1, BORN + 1)])


COMMANDS = (
    *(f"settlement partial s{n} fiat={n}00 note=jam" for n in range(1, 5)),
    *(f"settlement refund s{n} reason=back" for n in range(5, 9)),
    *(f"settlement note s{n} seen" for n in range(9, 13)),
    *(f"settle ben {n}.50 machine=m1 rate=50" for n in range(1, 5)),
    *(f"settlement add machine=m1 fiat_amount={n}00 exchange_rate=50" for n in range(1, 5)),
    *(f"deposit add ana {n}.25 machine=m1" for n in range(1, 5)),
)


async def publish(url: str, events: Sequence[Plain]) -> None:
    async with connect(url) as socket:
        for event in events:
            await socket.send(json.dumps(["EVENT", event]))
            assert json.loads(await socket.recv())[:3] == ["OK", event["id"], True]


async def answers_to(url: str, operator: Whisperer) -> Counter[str]:
    """How many answers each command of the operator's had, by the id of the event or of the wrapped message."""
    found: Counter[str] = Counter()
    for event, _ in await letters(url, OPERATOR, BOT.pubkey):
        found.update(tag[1] for tag in event["tags"] if tag[0] == "e")
    for wrap in await stored(url, kinds=[1_059], **{"#p": [operator.pubkey]}):
        opened = nostr_sdk.UnwrappedGift.from_gift_wrap(operator.keys, nostr_sdk.Event.from_json(json.dumps(wrap)))
        rumor = json.loads(opened.rumor().as_json())
        found.update(tag[1] for tag in rumor["tags"] if tag[0] == "e")
    return found


async def die_of(
    home: Home, url: str, deaths: Sequence[Death], operator: Whisperer, machine: ResendingMachine
) -> Counter[str]:
    """Commands and sales before each death; afterwards the bot lives until all is done. Returns how often what was said
    must be answered: once."""
    said: Counter[str] = Counter()
    waiting, sold = list(COMMANDS), 100
    share = -(-len(waiting) // len(deaths))
    for nth, death in enumerate(deaths):
        events: list[Plain] = []
        for place, text in enumerate(waiting[nth * share : (nth + 1) * share]):
            if place % 2:
                wrap, rumor_id = operator.whisper(BOT.pubkey, text)
                events.append(wrap)
                said[rumor_id] = 1
            else:
                events.append(command(OPERATOR, text, int(time.time())))
                said[events[-1]["id"]] = 1
        await publish(url, events)
        machine.sell(*[sale(MACHINE, n) for n in range(sold, sold + 3)])
        sold += 3
        child = mortality.start(run_bot, str(home.database_file), url, death=death)
        await eventually(lambda child=child: child.exitcode is not None)
        assert child.exitcode == -signal.SIGKILL, f"{death}: the bot ended with {child.exitcode}"
    bot = nostrbot_run(home)
    try:
        await eventually(lambda: machine.is_done, timeout_s=60)

        async def all_is_done() -> bool:
            if not any(b"slots_kept" in row[5] for row in contents(home.database_file)["entry"]):
                return False  # the clock is looked at every second
            return said.keys() <= (await answers_to(url, operator)).keys() and await backlog_is_empty(home)

        await eventually(all_is_done, timeout_s=60, every_s=0.3)
        bot.send_signal(signal.SIGTERM)
        await asyncio.to_thread(bot.communicate, timeout=STOP_MAX_S)
        assert bot.returncode == 0
    finally:
        bot.kill()
        bot.wait()
    return said


async def check_all_of_it(home: Home, url: str, tmp_path: Path) -> None:
    """Each command had its effect once, the slot was kept once, each receipt came once, and everything adds up."""
    entries = trail_of(home, OPERATOR, tmp_path / "antigua.jsonl")
    facts = [fact for entry in entries for fact in entry["facts"]]
    count = Counter(fact["fact"] for fact in facts)
    assert count["settlement_corrected"] == count["settlement_refunded"] == count["settlement_noted"] == 4
    assert count["slots_kept"] == 1
    assert sorted(fact["voided"] != [] for fact in facts if fact["fact"] == "settlement_corrected") == [True] * 4
    paid = [fact for fact in facts if fact["fact"] == "lp_paid"]
    assert sorted(leg["fiat_minor"] for fact in paid for leg in fact["legs"]) == [150, 250, 350, 450, 1_000]
    inputs = [entry["input"]["event"]["id"] for entry in entries if "event" in entry["input"]]
    assert len(inputs) == len(set(inputs))
    for entry in entries:
        sums: Counter[str] = Counter()
        for _, amount_unit, amount in entry["postings"]:
            sums[amount_unit] += amount
        assert not any(sums.values())
    async with office(home.database_file) as at:
        check_books(at.book)
        amounts = sorted(deposit.amount_minor for deposit in at.book.deposits.values())
        assert amounts == [125, 225, 325, 425, 2_000_000, 5_000_000]
        outside = [row for row in contents(home.database_file)["settlement"] if row[1] > BORN]
        assert len({row[4] for row in outside}) == len(outside)
    made = {
        name: Counter(
            f"l{leg['number']}"
            for fact in facts
            if fact["fact"] in ("settlement_processed", "settlement_corrected", "lp_paid")
            for leg in fact["legs"]
            if leg["lp"] == name and leg["status"] == "completed"
        )
        for name in ("ana", "ben")
    }
    for lp in (ANA, BEN):
        texts = [text for _, text in await letters(url, lp, BOT.pubkey)]
        received = Counter(found for text in texts for found in re.findall(r"^Receipt (l\d+),", text, re.MULTILINE))
        assert received == made[lp.name]
        assert set(made[lp.name].values()) == {1}
    texts = [text for _, text in await letters(url, ANA, BOT.pubkey)]
    assert len([text for text in texts if text.startswith("Void: ")]) == 4
    assert len([text for text in texts if text.startswith("Corrected, ")]) == 4


async def live_and_check(tmp_path: Path, deaths: Sequence[Death]) -> None:
    now = int(time.time())
    operator = Whisperer(OPERATOR)
    async with local_relay() as url:
        home = make_home(tmp_path / "home", [url])
        await furnish(home, now)
        machine = ResendingMachine(MACHINE, BOT.pubkey, url)
        running = asyncio.create_task(machine.run())
        try:
            said = await die_of(home, url, deaths, operator, machine)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        answered = await answers_to(url, operator)
        assert {asked: answered[asked] for asked in said} == dict(said)
        await check_all_of_it(home, url, tmp_path)


async def test_corrections_and_whispers_and_6_kills(tmp_path: Path) -> None:
    """Killed before, within and after commits and while publishing: everything happened once."""
    points = [("committed", 1), ("statement", 40), ("COMMIT", 2), ("publish", 9), ("commit", 2), ("accepted", 7)]
    await live_and_check(tmp_path, [Death(point, nth) for point, nth in points])  # type: ignore[arg-type]


@pytest.mark.soak
async def test_corrections_and_whispers_and_24_kills(tmp_path: Path) -> None:
    """The same at points chosen by chance (the seed is printed)."""
    seed = time.time_ns()
    print(f"seed {seed}")
    random = Random(seed)
    most = {"commit": 2, "statement": 60, "COMMIT": 2, "committed": 2, "publish": 8, "accepted": 8}
    points = random.choices(list(most), k=24)
    await live_and_check(tmp_path, [Death(point, random.randint(1, most[point])) for point in points])  # type: ignore[arg-type]
