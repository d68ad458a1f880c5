"""People and machines of the world: what they say, and what they hear.

What lives here: signing and sealing as others do it, each person's letters, a machine's sales until they are acked. What
does not: when they speak (world.py), and relays (relay.py).
"""

from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from random import Random
from typing import Any

import orjson

from nostrbot.core.payouts.commands import REQUEST_SPECS
from nostrbot.core.table import TABLE
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, event_id, read_event, sign_event
from nostrbot.nostr.giftwrap import make_wrap, open_seal, open_wrap
from nostrbot.nostr.sealing import Envelope, Scheme
from nostrbot.refusals import Refusal
from tests.core.test_whole_table import RESTS, SPEAKING, values_of
from tests.houses import BOT, person, told

Plain = dict[str, Any]
NAMES = ("platform", "operator", "new-operator", "flores", "ana", "ben", "eva", "leo", "m1", "m2", "m3", "new-1", "new-2",
         "new-3", "stranger", "paper")  # fmt: skip
HANDLES = {"antigua": "operator", "flores": "flores"}  # the operators of the house, and who speaks for them at first
CHANGES = tuple(form for form in TABLE if form.changes)
QUESTIONS = tuple(form for form in TABLE if not form.changes)


@cache
def envelope(name: str) -> Envelope:
    """Somebody's envelope, made once."""
    return Envelope(person(name))


@dataclass(frozen=True)
class Said:
    """A message to the bot: the event to publish, and the id that can have one effect only.

    `changes`: it is no question; `wrapped_at`: the date of the message in a gift wrap, None if it is in none.
    """

    who: str
    text: str
    id: str
    event: Plain
    changes: bool
    wrapped_at: int | None = None


def say(who: str, text: str, *, at: int, scheme: Scheme, name: bytes) -> Said:
    """A command or a question, dated `at`; another `name` makes another event of it, in a gift wrap the same message."""
    full = told(text)
    tags = [["p", BOT.pubkey]]
    words = full.lower().split()
    changes = (
        any(form.verb in (" ".join(words[:2]), words[0]) for form in (*CHANGES, *REQUEST_SPECS))
        and words[0] != "preview"
    )
    if scheme is Scheme.NIP17:
        wrap = make_wrap(person(who), envelope(who), to=BOT.pubkey, text=full, at=at, name=name)
        rumor = event_id(person(who).pubkey, at, kinds.CHAT_MESSAGE, tags, full)
        return Said(who, full, rumor, wrap.plain(), changes, at)
    content = envelope(who).seal_to(BOT.pubkey, full, scheme, name)
    event = sign_event(person(who), kind=kinds.DIRECT_MESSAGE, tags=tags, content=content, created_at=at)
    return Said(who, full, event.id, event.plain(), changes)


def draw_words(rng: Random, forms: Any) -> tuple[str, str]:
    """(who, what): one of these commands, with values that may fit or not, most often from somebody whose it is."""
    form = rng.choice(forms)
    words = [form.verb]
    for arg in form.args:
        if arg.required or rng.random() < 0.5:
            value = rng.choice(values_of(form, arg))
            words.append(value if arg.positional else f"{arg.name}={value}")
    if form.rest:
        words.append(rng.choice(RESTS[form.verb]))
    speakers = SPEAKING[min(form.roles)]
    who = rng.choice(speakers) if rng.random() < 0.95 else rng.choice(("platform", "operator", "flores", "ana", "m1"))
    if who == "operator" and rng.random() < 0.15:
        who = "flores"
    return who, " ".join(words)


def report(speaker: str, payload: Plain, *, at: int, scheme: Scheme, name: bytes) -> Plain:
    """A settlement, signed by whoever has this key."""
    text = orjson.dumps(payload).decode()
    content = envelope(speaker).seal_to(BOT.pubkey, text, scheme, name)
    tags = [["p", BOT.pubkey], ["x", name.decode()]]
    return sign_event(person(speaker), kind=kinds.SETTLEMENT, tags=tags, content=content, created_at=at).plain()


def state(speaker: str, subject: str, payload: Plain, *, at: int, scheme: Scheme) -> Plain:
    """A beacon, telemetry or cassettes: what a machine says of itself."""
    content = envelope(speaker).seal_to(BOT.pubkey, orjson.dumps(payload).decode(), scheme, b"state")
    kind = kinds.TELEMETRY if "telemetry" in subject else kinds.MACHINE_STATE
    tags = [["d", f"{subject}:{person(speaker).pubkey}"]]
    return sign_event(person(speaker), kind=kind, tags=tags, content=content, created_at=at).plain()


def sale(rng: Random, speaker: str, n: int, fiat: str, *, at: int, fee_ppm: int) -> Plain:
    """A sale whose amounts hold together; the fee is what is due, or not."""
    minor = rng.choice((rng.randint(1, 400), rng.randint(100, 40_000), rng.randint(10_000, 300_000)))
    rate_digits, places = rng.choice(((50, 0), (50, 0), (50, 0), (51, 0), (7, 2), (33_333, 4), (20_000, 0)))
    coins = 1 if fiat == "JPY" else 100
    principal = max(1, minor * rate_digits // (10**places * coins))
    fee = rng.choice((None, None, None, 0, 1, principal // 20, principal))
    if fee is None:
        fee = principal * fee_ppm // 10**6
    is_out = rng.random() < 0.8
    rate = f"{rate_digits}" if not places else f"{rate_digits // 10**places}.{rate_digits % 10**places:0{places}}"
    amount = f"{minor}" if coins == 1 else f"{minor // 100}.{minor % 100:02}"
    bills = [
        {"denomination": note, "count": rng.randint(1, 4)} for note in rng.sample((20, 50, 100), rng.randint(0, 2))
    ]
    preimage = sha256(f"{speaker} {n}".encode()).hexdigest()
    payload: Plain = {
        "type": "settlement",
        "machine": person(speaker).pubkey,
        "n": n,
        "txid": f"{n:x}",
        "payment_hash": sha256(bytes.fromhex(preimage)).hexdigest(),
        "tx_type": "cash_out" if is_out else "cash_in",
        "wire_sats": principal + fee if is_out else principal - fee,
        "principal_sats": principal,
        "fee_sats": fee,
        "fiat_amount": amount,
        "fiat_code": fiat,
        "exchange_rate": rate,
        "bills": bills,
        "occurred_at": at,
    }
    if rng.random() < 0.5:
        payload["preimage"] = preimage
    if rng.random() < 0.1:
        payload |= rng.choice(SPOILT)
    return payload


SPOILT: tuple[Plain, ...] = (
    {"wire_sats": 1},
    {"wire_sats": -5},
    {"fiat_code": "EUR"},
    {"exchange_rate": "510"},
    {"bills": [{"denomination": 0, "count": 1}]},
    {"preimage": "00" * 32},
    {"fee_sats": 0.5},
    {"fiat_amount": "0"},
    {"txid": None},
)


@dataclass
class Unacked:
    """A sale that a machine repeats until it has its ack."""

    speaker: str
    payload: Plain
    scheme: Scheme
    event: Plain = field(default_factory=dict)  # the last one it was told in
    event_ids: list[str] = field(default_factory=list)
    other_ids: list[str] = field(default_factory=list)  # of reports that contradict it


class Ears:
    """Opens what the bot publishes, as those it is for."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = {person(name).pubkey: name for name in names}

    def read(self, event: Plain) -> tuple[str, str, str, str | None] | None:
        """(to whom, id of the message, text, the event it answers); None for what is for nobody in particular."""
        tags = event["tags"]
        to = next((self._names.get(tag[1]) for tag in tags if tag[0] == "p"), None)
        if to is None:
            return None
        if event["kind"] == kinds.GIFT_WRAP:
            seal = open_wrap(envelope(to), _verified(event))
            assert isinstance(seal, VerifiedEvent), seal
            opened = open_seal(envelope(to), seal)
            assert not isinstance(opened, Refusal), opened
            rumor = opened[1]
            assert rumor.pubkey == BOT.pubkey
            return to, rumor.id, rumor.content, _answers(rumor.tags)
        opened_content = envelope(to).open_from(BOT.pubkey, event["content"])
        assert not isinstance(opened_content, Refusal), opened_content
        return to, event["id"], opened_content.text, _answers(tags)


def _answers(tags: Any) -> str | None:
    return next((tag[1] for tag in tags if tag[0] == "e"), None)


def _verified(event: Plain) -> VerifiedEvent:
    read = read_event(event)
    assert isinstance(read, VerifiedEvent), read
    return read
