"""Attacks: what those do who want the books to fail, by whatever the bot takes from them.

What lives here: sales of every extreme that hold together all the same, other people's old words said again, the bot's own
key given every part, and keys that were retired. What does not: what people do who mean well (deeds.py), and chance
(runtime/troubles.py).
"""

from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any

from nostrbot.nostr.sealing import Scheme
from tests.houses import person
from tests.simulator.deeds import Steps, holders
from tests.simulator.people import HANDLES, NAMES, Unacked, report, sale, say

if TYPE_CHECKING:
    from tests.simulator.world import World

Plain = dict[str, Any]
DAY_S = 24 * 3_600
ALL_SATS = 21 * 10**14  # there are no more
INT_MAX = 2**53 - 1  # what JSON has room for
SATS = (1, 1, 2, 999, 10**8, 10**14, ALL_SATS - 1, ALL_SATS, ALL_SATS + 1, INT_MAX)
MINOR = (1, 1, 2, 99, 10**6, 9 * 10**12, 10**13 - 1, 10**13, 10**13 + 1, INT_MAX)
NOTES = (1, 20, 10**9, 10**9 + 1, INT_MAX)
FLOOD = (3, 10, 30)
UNREADABLE: tuple[Plain, ...] = (
    {"bills": [{"denomination": 0.5, "count": 4}]},
    {"fiat_amount": "2000.005"},
    {"wire_sats": "107770"},
    {"payment_hash": "AB" * 32},
    {"exchange_rate": None},
    {"type": "sale"},
    {"n": -1},
)
# What would give the bot's own key a part, and who would say so.
PARTS = (
    ("platform", "operator add @bot name=robot"),
    ("platform", "operator replace antigua @bot"),
    ("operator", "machine add @bot name=robot fiat=GTQ cash_in=1% cash_out=1%"),
    ("operator", "machine rotate m1 @bot"),
    ("operator", "lp add @bot machine=m1 name=robot"),
    ("operator", "splits set machine=m1 robot=50%:@bot me=50%:self"),
    ("operator", "splits set robot=100%:@bot"),
)


def extreme_sale(rng: Random, speaker: str, n: int, fiat: str, *, at: int) -> Plain:
    """A sale at the ends of what numbers can be; its wire and its rate fit, so that only bounds can stop it."""
    principal, minor = rng.choice(SATS), rng.choice(MINOR)
    fee = rng.choice((0, 0, 1, principal // 3, principal - 1, ALL_SATS - principal, ALL_SATS))
    is_out = rng.random() < 0.6
    coins = 1 if fiat == "JPY" else 100
    whole, part = divmod(principal * coins * 10**18 // minor, 10**18)
    amount = f"{minor}" if coins == 1 else f"{minor // 100}.{minor % 100:02}"
    count = rng.choice((0, 1, 64))
    notes = [{"denomination": rng.choice(NOTES), "count": rng.choice((0, *NOTES))} for _ in range(count)]
    return {
        "type": "settlement",
        "machine": person(speaker).pubkey,
        "n": rng.choice((n, n, 0, INT_MAX, n + 1_000)),
        "txid": rng.choice(("", f"{n:x}", "x" * 256)),
        "payment_hash": sha256(f"extreme {speaker} {n}".encode()).hexdigest(),
        "tx_type": "cash_out" if is_out else "cash_in",
        "wire_sats": principal + fee if is_out else principal - fee,
        "principal_sats": principal,
        "fee_sats": fee,
        "fiat_amount": rng.choice((amount, amount, f"{amount}000" if coins != 1 else f"{amount}.000")),
        "fiat_code": fiat,
        "exchange_rate": f"{whole}.{part:018}",
        "bills": notes[: rng.choice((0, 1, 64))],
        "cassettes": {f"{place}": note for place, note in enumerate(notes)},
        "occurred_at": rng.choice((at, 0, INT_MAX)),
    }


def sell_absurdly(world: "World") -> None:
    """Whoever has a machine's key reports what cannot be, and says so until it is acked."""
    speaker, handle, machine, _ = world.rng.choice(holders(world))
    world.sold[speaker] += 1
    payload = extreme_sale(world.rng, speaker, world.sold[speaker], machine.fiat, at=world.clock())
    sold = Unacked(speaker, payload, world.rng.choice((Scheme.PLAIN, Scheme.NIP44)))
    world.sales.append(sold)
    world.hearing.unacked.append(sold)
    event = world.freshly(sold)
    world.tell(f"{handle} sells {payload['principal_sats']} sats for {payload['fiat_amount']} {event['id'][:8]}")
    world.publish(event)


def garble(world: "World") -> None:
    """A machine reports what nobody can read, and cash may be out."""
    speaker, handle, machine, platform_ppm = world.rng.choice(holders(world))
    world.sold[speaker] += 1
    payload = sale(world.rng, speaker, world.sold[speaker], machine.fiat, at=world.clock(), fee_ppm=platform_ppm)
    sold = Unacked(speaker, payload | world.rng.choice(UNREADABLE), world.rng.choice((Scheme.PLAIN, Scheme.NIP44)))
    world.sales.append(sold)
    world.hearing.unacked.append(sold)
    event = world.freshly(sold)
    world.tell(f"{handle} garbles a sale {event['id'][:8]}")
    world.publish(event)


def dismiss(world: "World") -> None:
    """An operator has dealt with what could not be read, or with what it never heard of."""
    if world.hearing.unread:
        event = world.rng.choice((*sorted(world.hearing.unread), "ab" * 32))
        world.say(world.rng.choice(("operator", "flores")), f"unreadable dismiss {event}")


def undo(world: "World") -> None:
    """Operators undo what cannot be true: the largest sale that is not undone yet."""
    ledger = world.witness.books[person(world.rng.choice(list(HANDLES.values()))).pubkey]
    open_ones = [
        (sold.wire, number) for number, sold in ledger.reckoning.settlements.items() if sold.state != "refunded"
    ]
    if open_ones:
        owner = next(name for name in NAMES if person(name).pubkey == ledger.reckoning.owner)
        world.say(owner, f"settlement refund s{max(open_ones)[1]} reason=impossible")


def flood(world: "World") -> None:
    """A stranger hands on what somebody said days ago, much of it at once."""
    who = world.rng.choice(("operator", "flores", "ana", "leo", "platform"))
    count = world.rng.choice(FLOOD)
    at = world.clock() - 3 * DAY_S
    world.tell(f"{count} old words of {who} are said again")
    for place in range(count):
        scheme = Scheme.NIP04 if place % 3 else Scheme.NIP17
        said = say(who, "machine resume m1", at=at + place, scheme=scheme, name=world.name())
        world.hearing.said[said.id] = said
        world.publish(said.event)


def wrap_again(world: "World") -> None:
    """Somebody puts a message that was said into another gift wrap."""
    wrapped = [said for said in world.hearing.said.values() if said.wrapped_at is not None]
    if wrapped:
        said = world.rng.choice(wrapped)
        assert said.wrapped_at is not None
        again = say(said.who, said.text, at=said.wrapped_at, scheme=Scheme.NIP17, name=world.name())
        assert again.id == said.id
        world.tell(f"{said.id[:8]} of {said.who} is wrapped again")
        world.publish(again.event)


def misplace(world: "World") -> None:
    """Somebody gives the bot's own key a part."""
    world.say(*world.rng.choice(PARTS))


def sell_when_retired(world: "World") -> None:
    """A key that a machine had once, or that is suspended, goes on reporting."""
    names = {person(name).pubkey: name for name in NAMES}
    known = [
        (names[key], ledger.reckoning.machines[handle])
        for ledger in world.witness.books.values()
        for key, handle in ledger.reckoning.machine_of.items()
        if key in names
    ]
    retired = [
        (speaker, machine) for speaker, machine in known if machine.key != person(speaker).pubkey or not machine.active
    ]
    if retired:
        speaker, machine = world.rng.choice(retired)
        payload = extreme_sale(world.rng, speaker, world.rng.randint(1, 99), machine.fiat, at=world.clock())
        payload["payment_hash"] = sha256(world.name()).hexdigest()
        event = report(speaker, payload, at=world.clock(), scheme=Scheme.PLAIN, name=world.name())
        world.tell(f"{speaker}, which is retired, sells {event['id'][:8]}")
        world.publish(event)


ATTACKS: Steps = {
    sell_absurdly: 3,
    garble: 1,
    dismiss: 1,
    undo: 2,
    flood: 1,
    wrap_again: 2,
    misplace: 1,
    sell_when_retired: 2,
}
