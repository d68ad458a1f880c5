"""Deeds: what people, machines and thieves do, one a step.

What lives here: drawing who does what. What does not: how it is signed and sealed (people.py), what goes wrong
(runtime/troubles.py).
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from nostrbot.nostr.sealing import Scheme
from tests.houses import person
from tests.simulator.people import CHANGES, HANDLES, NAMES, QUESTIONS, Unacked, draw_words, report, sale, state

if TYPE_CHECKING:
    from tests.simulator.world import World

OPERATORS = tuple(HANDLES.values())


def _operator(world: "World") -> tuple[str, Any]:
    """(who speaks for it, the ledger) of a book."""
    ledger = world.witness.books[person(world.rng.choice(OPERATORS)).pubkey]
    return next(name for name in NAMES if person(name).pubkey == ledger.reckoning.owner), ledger


def operator_of(world: "World") -> str:
    """Who speaks for the operator of some book."""
    return _operator(world)[0]


def speak(world: "World") -> None:
    """Anything that changes something, or would."""
    who, text = draw_words(world.rng, CHANGES)
    world.say(_operator(world)[0] if who in OPERATORS else who, text)


def ask(world: "World") -> None:
    """Any question."""
    world.say(*draw_words(world.rng, QUESTIONS))


def say_again(world: "World") -> None:
    """A message that was said before."""
    if world.hearing.said:
        said = world.rng.choice(list(world.hearing.said.values()))
        world.tell(f"{said.who} publishes {said.id[:8]} again")
        for relay in world.relays.values():
            relay.stored.pop(said.event["id"], None)
        world.publish(said.event)


def bring_cash(world: "World") -> None:
    """A deposit for an LP there is, or its confirmation."""
    operator, ledger = _operator(world)
    enrolled = ledger.reckoning.enrolled
    if enrolled:
        lp, machine = world.rng.choice(enrolled)
        number = len(ledger.reckoning.deposits)
        add = f"deposit add {lp} {world.rng.randint(1, 900)} machine={machine}"
        world.say(operator, world.rng.choice((add, f"deposit confirm d{number}", f"deposit confirm d{number}")))


def take_care(world: "World") -> None:
    """A command about a settlement there is."""
    operator, ledger = _operator(world)
    settlements = ledger.reckoning.settlements
    if settlements:
        number, sold = world.rng.choice(list(settlements.items()))
        part = sold.minor * world.rng.randint(1, 7) // 8
        text = world.rng.choice((
            f"settlement partial s{number} fiat={part // 100}.{part % 100:02} note=jam",
            f"settlement partial s{number} fiat={part // 100} note=jam",
            f"settlement refund s{number} reason=back",
            f"settlement release s{number}",
            f"settlement reset s{number} reason=stuck",
            f"settlement retry s{number}",
            f"settlement note s{number} seen",
        ))  # fmt: skip
        world.say(operator, text)


def holders(world: "World") -> list[tuple[str, str, Any, int]]:
    """(who holds its key, its name, the machine, the platform's fee for cash-out in ppm) of all there are."""
    names = {person(name).pubkey: name for name in NAMES}
    return [
        (names[machine.key], handle, machine, ledger.reckoning.platform_ppm["cash_out"])
        for ledger in world.witness.books.values()
        for handle, machine in ledger.reckoning.machines.items()
        if machine.key in names
    ]


def sell(world: "World") -> None:
    """A machine sells, and says so until it has its ack."""
    speaker, handle, machine, platform_ppm = world.rng.choice(holders(world))
    world.sold[speaker] += world.rng.choice((1, 1, 1, 2))
    fee_ppm = machine.ppm["cash_out"] + platform_ppm
    payload = sale(world.rng, speaker, world.sold[speaker], machine.fiat, at=world.clock(), fee_ppm=fee_ppm)
    sold = Unacked(speaker, payload, world.rng.choice((Scheme.PLAIN, Scheme.NIP04, Scheme.NIP44)))
    world.sales.append(sold)
    world.hearing.unacked.append(sold)
    event = world.freshly(sold)
    world.tell(f"{handle} sells for {payload['fiat_amount']} {payload['fiat_code']} {event['id'][:8]}")
    world.publish(event)


def repeat(world: "World") -> None:
    """Machines say again what has no ack: in the same event, or a fresh one."""
    for sold in world.hearing.unacked:
        event = world.freshly(sold) if world.rng.random() < 0.3 else sold.event
        world.tell(f"{sold.speaker} repeats {event['id'][:8]}")
        world.publish(event)


def contradict(world: "World") -> None:
    """A machine reports a payment once more, with other words."""
    if world.hearing.unacked:
        sold = world.rng.choice(world.hearing.unacked)
        payload = sold.payload | {"txid": "another"}
        event = report(sold.speaker, payload, at=world.clock(), scheme=sold.scheme, name=world.name())
        sold.other_ids.append(event["id"])
        world.tell(f"{sold.speaker} contradicts itself {event['id'][:8]}")
        world.publish(event)


def steal(world: "World") -> None:
    """Whoever has stolen a machine's key prints settlements, under its name or another's."""
    speaker, handle, machine, _ = world.rng.choice(holders(world))
    other, *_ = world.rng.choice(holders(world))
    payload = sale(world.rng, f"thief {speaker}", world.rng.randint(1, 99), machine.fiat, at=world.clock(), fee_ppm=0)
    payload["machine"] = person(world.rng.choice((speaker, other))).pubkey
    event = report(speaker, payload, at=world.clock(), scheme=Scheme.PLAIN, name=world.name())
    world.tell(f"a thief sells as {handle} {event['id'][:8]}")
    world.publish(event)


def speak_of_itself(world: "World") -> None:
    """A machine's beacon, telemetry or cassettes, new or old."""
    rng = world.rng
    speaker, handle, *_ = rng.choice(holders(world))
    at = world.clock() - rng.choice((0, 0, 60, 7_200))
    notes = {str(n): {"denomination": rng.choice((20, 50, 100)), "count": rng.randint(0, 99)} for n in (1, 2)}
    subject, payload, scheme = rng.choice((
        ("bitspire-beacon", {"cash_in": True, "fiat": "GTQ"}, Scheme.PLAIN),
        ("bitspire-telemetry", {"load": rng.randint(0, 9)}, Scheme.NIP44),
        ("bitspire-cassettes-state", {"positions": notes}, Scheme.NIP44),
    ))  # fmt: skip
    event = state(speaker, subject, payload, at=at, scheme=scheme)
    world.tell(f"{handle} states {subject} {event['id'][:8]}")
    world.publish(event)


def rest(world: "World") -> None:
    """Nothing."""


Steps = Mapping[Callable[["World"], None], int]

# How often, in proportion: in every world, and in those that know it.
ALWAYS: Steps = {sell: 12, speak: 8, repeat: 4, rest: 2}
SOMETIMES: Steps = {
    ask: 3, say_again: 3, bring_cash: 4, take_care: 6, contradict: 2, steal: 2, speak_of_itself: 2,
}  # fmt: skip
