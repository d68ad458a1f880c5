"""The end of a world: nothing goes wrong any more, and all that was begun must have come to its end.

What lives here: healing, and what is asked of everything at the end: of the books in memory, of what LPs see and can prove,
of receipts, of the auditor; and once more after a backup is restored and everybody said everything again. What does not:
what is watched all the time (witness.py, runtime/hearing.py).
"""

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from nostrbot.audit.proof import Proven, check_proof
from nostrbot.core.book import Book
from nostrbot.core.engine import apply
from nostrbot.core.facts import read_fact
from nostrbot.core.inputs import effect_id
from nostrbot.core.snapshots import take_snapshot
from nostrbot.nostr.sealing import Scheme
from nostrbot.store.rebuilding import rebuild
from nostrbot.store.sqlite import sqlite_url
from nostrbot.store.store import Store
from tests.houses import BOT, person
from tests.simulator.deeds import operator_of
from tests.simulator.keeping import verify_all
from tests.simulator.people import HANDLES, NAMES, say
from tests.simulator.reckoning import to_minor
from tests.simulator.witness import Ledger, Witness, as_minor, hold

if TYPE_CHECKING:
    from tests.simulator.world import World

Plain = dict[str, Any]
HEAL_MAX_S = 400.0
ROUND_S = 2.0  # how often machines repeat meanwhile
ANSWER_MAX_S = 20.0
OBEYED_MAX_S = 60.0
AHEAD_S = (-40 * 86_400, -3 * 86_400, 600, 3 * 86_400, 40 * 86_400, 5 * 365 * 86_400)
FLOOD, FLOODED_LIKELY = 400, 0.15


async def end_well(world: "World") -> None:
    """Raises Violation when it does not."""
    world.tell("all is well from here on")
    for relay in world.relays.values():
        relay.reform()
    world.unlock()
    world.hearing.lost = 0.0
    if world.rail is not None:
        world.rail.is_honest = True
    await world.second.stop()
    await world.node.stop()
    world.node.may_be_fenced = False
    world.node.start()
    await _heal(world)
    await _check_obeyed(world)
    await _heal(world)
    await _check_memory(world)
    await _check_what_people_see(world)
    await _check_unread(world)
    await _check_heard_in_a_flood(world)
    await _stop(world)
    if world.rail is not None:
        world.rail.check()
    _check_receipts(world)
    if world.backup is not None:
        await _go_back(world, world.backup)


async def _heal(world: "World") -> None:
    """Wait until every sale has its ack and nothing is owed."""
    until = world.loop.time() + HEAL_MAX_S
    await asyncio.sleep(ROUND_S)
    while (
        world.hearing.unacked
        or world.witness.owes()
        or not world.node.is_up
        or (world.rail is not None and not world.rail.is_done())
    ):
        if world.rail is not None:
            world.rail.step()
        left = f"{len(world.hearing.unacked)} sales have no ack, {world.witness.owes()} rows are owed"
        hold(world.loop.time() < until, left)
        for sold in list(world.hearing.unacked):
            world.publish(world.freshly(sold), everywhere=True)
        await asyncio.sleep(ROUND_S)
        world.look()


async def _check_obeyed(world: "World") -> None:
    """The clock runs ahead, for a moment or until it is believed, and is set right: a fresh command is done within a minute."""
    operator, ahead_s = operator_of(world), world.rng.choice(AHEAD_S)
    world.tell(f"the clock is {ahead_s} s away for a while")
    world.clock.leap(ahead_s)
    world.say(operator, "alerts low=8")
    await asyncio.sleep(world.rng.choice((2.0, 70.0)))
    world.clock.leap(-ahead_s)
    known = set(world.hearing.said)
    world.say(operator, "alerts low=7", late_s=0)
    [asked] = set(world.hearing.said) - known
    world.publish(world.hearing.said[asked].event, everywhere=True)
    until = world.loop.time() + OBEYED_MAX_S
    while asked not in world.hearing.texts:
        hold(world.loop.time() < until, "a fresh command is not answered within a minute after the clock was set right")
        await asyncio.sleep(0.5)
    stale = [words for words in ("24 hours old", "too_old", "ahead of my clock") if words in world.hearing.texts[asked]]
    hold(not stale, f"a fresh command is refused after the clock was set right: {stale}")


async def _stop(world: "World") -> None:
    await world.node.stop()
    world.witness.look_closely()
    world.check_unbroken()
    verify_all(world)


async def _go_back(world: "World", backup: Path) -> None:
    """A backup is restored, and everybody says everything again: nothing is paid twice, and the books hold."""
    world.tell("a backup is restored")
    if (
        world.rail is not None
    ):  # what it paid since, a book of before cannot know: no rail goes on with a restored home yet
        world.rail.forget()
        world.rail = None
    world.witness.close()
    world.unlink()
    shutil.copy(backup, world.path)
    world.witness = world.hearing.witness = Witness(world.path, world.tell)
    world.witness.look()
    world.hearing.forget()
    known = {key for ledger in world.witness.books.values() for key in ledger.reckoning.machine_of}
    world.hearing.unacked = [sold for sold in world.sales if person(sold.speaker).pubkey in known]
    world.node.start()
    await _heal(world)
    await _check_memory(world)
    await _stop(world)


async def _check_memory(world: "World") -> None:
    """I6: a book that lived through all this is, in bytes, the one that its journal alone makes."""
    assert world.node.bot is not None
    while world.node.bot.sequencer.lock.locked():
        await asyncio.sleep(0.01)
    world.witness.look()
    for key, live in world.node.bot.bookkeeper.live.items():
        book = Book(BOT.pubkey, key, person("platform").pubkey)
        for seq, (_, body) in enumerate(world.witness.books[key].entries, start=1):
            content = orjson.loads(body)
            facts = tuple(read_fact(fields) for fields in content["facts"])
            apply(book, effect_id(content["input"]), facts, seq=seq, at=content["at"], rules=content["rules"])
        same = orjson.dumps(take_snapshot(book)) == orjson.dumps(take_snapshot(live.book))
        hold(same, f"I6: the book {live.book.handle} in memory is not the one in its journal")


def _check_receipts(world: "World") -> None:
    """Each leg an LP ever got was told to it, once."""
    for handle, first in HANDLES.items():
        ledger = world.witness.books[person(first).pubkey]
        due = {(lp, handle, leg) for leg, (lp, _) in ledger.receipts.items()}
        told = {place for place in world.hearing.receipts if place[1] == handle}
        hold(due == told, f"receipts of {handle}: due and told differ by {sorted(due ^ told)}")


async def _ask(world: "World", who: str, text: str) -> Plain:
    """A question to a bot that is well, and its answer."""
    said = say(who, f"{text} --json", at=world.clock(), scheme=Scheme.NIP44, name=world.name())
    world.publish(said.event, everywhere=True)
    until = world.loop.time() + ANSWER_MAX_S
    while said.id not in world.hearing.texts:
        hold(world.loop.time() < until, f"{text!r} of {who} is not answered")
        await asyncio.sleep(0.1)
        world.check_unbroken()
    answer: Plain = orjson.loads(world.hearing.texts[said.id])
    return answer


async def _check_unread(world: "World") -> None:
    """Each sale that could not be read stands on its operator's worklist, unless somebody dismissed it."""
    names = {person(name).pubkey: name for name in NAMES}
    dismissed = " ".join(
        said.text for said in world.hearing.said.values() if said.text.startswith("unreadable dismiss")
    )
    for first in HANDLES.values():
        ledger = world.witness.books[person(first).pubkey]
        reckoning, booked = ledger.reckoning, str(ledger.accepted)
        answer = await _ask(world, names[reckoning.owner], "worklist")
        listed = [row["event_id"] for row in answer["data"].get("unreadable", ())] if answer["ok"] else []
        if not answer["ok"] or answer["data"].get("more"):
            continue
        for sold in world.sales:
            unread = [one for one in sold.event_ids if one in world.hearing.unread]
            key = person(sold.speaker).pubkey
            is_here = key in reckoning.machine_of and key not in reckoning.freed
            is_over = sold.payload["payment_hash"] in booked
            ids = {*sold.event_ids, *sold.other_ids}
            if is_here and unread and not is_over and not any(one in dismissed for one in ids):
                hold(ids & set(listed), f"{unread[0][:8]} could not be read, and is on no worklist")


async def _check_heard_in_a_flood(world: "World") -> None:
    """A stranger hands on hundreds of an operator's old words, and in the same second it says what protects its money."""
    if world.rng.random() >= FLOODED_LIKELY:
        return
    names = {person(name).pubkey: name for name in NAMES}
    owner = names[world.witness.books[person(HANDLES["antigua"]).pubkey].reckoning.owner]
    at = world.clock() - 3 * 24 * 3_600
    for place in range(FLOOD):
        old = say(owner, "machine resume m1", at=at + place, scheme=Scheme.NIP04, name=world.name())
        world.publish(old.event, everywhere=True)
    await asyncio.sleep(0.5)  # it is a flood that arrives first
    answer = await _ask(world, owner, "machine suspend m1")
    hold(answer["ok"] or answer["error"]["code"] == "operator_suspended", f"in a flood, machine suspend: {answer}")


async def _check_what_people_see(world: "World") -> None:
    """What LPs are shown is what the reckoning says, and each can prove that the bot signed it."""
    names = {person(name).pubkey: name for name in NAMES}
    for handle, first in HANDLES.items():
        ledger = world.witness.books[person(first).pubkey]
        signed = await _ask(world, names[ledger.reckoning.owner], "checkpoint")
        for pubkey, lp in ledger.reckoning.lp_of.items():
            name, owed = names[pubkey], ledger.reckoning.owes(lp)
            _check_shown(lp, (await _ask(world, name, f"balance operator={handle}"))["data"], owed)
            if signed["ok"]:  # no operator signs while the platform has suspended it
                proof = (await _ask(world, name, f"proof operator={handle}"))["data"]["proof"]
                _check_proof(world, pubkey, proof, ledger)


def _check_shown(lp: str, shown: list[Plain], owed: dict[str, int]) -> None:
    seen = Counter[str]()
    for row in shown:
        seen[row["currency"]] += to_minor(row["remaining"], row["currency"])
        seen["sat"] = row["sats"]  # of all machines together, beside each
    hold({unit: minor for unit, minor in seen.items() if minor} == owed, f"{lp} is shown {seen}, and is owed {owed}")


def _check_proof(world: "World", pubkey: str, proof: Plain, ledger: Ledger) -> None:
    event = world.hearing.checkpoints[proof["checkpoint"]]
    proven = check_proof(orjson.dumps(proof), orjson.dumps(event), bot=BOT.pubkey, lp=pubkey)
    hold(isinstance(proven, Proven), f"the proof of {pubkey[:8]} is refused: {proven}")
    if proof["seq"] == len(ledger.entries):
        owed = ledger.reckoning.owes(ledger.reckoning.lp_of[pubkey])
        hold(as_minor(proof["balances"]) == owed, f"{pubkey[:8]} can prove {proof['balances']}, and is owed {owed}")


def check_rebuilt(path: Path) -> None:
    """I6: what the product itself makes of the journal anew is what is there. For a file that no bot has open."""

    async def rebuilt() -> dict[str, int]:
        store = await Store.open(sqlite_url(path))
        try:
            return await rebuild(store, BOT.pubkey, person("platform").pubkey)
        finally:
            await store.close()

    differing = asyncio.run(rebuilt())
    hold(not differing, f"I6: rebuilding changes {differing}")
