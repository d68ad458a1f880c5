"""End to end: a machine publishes, a real bot in its own process answers, LPs' receipts arrive; all over websockets.

What lives here: the traffic, the stopwatch, and the cost of the cryptography that no bot could do without. What does
not: the relay (loopback_relay.py), which verifies nothing. Sales are signed and encrypted before the clock starts.
"""

import asyncio
import math
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
from coincurve import PrivateKey, PublicKeyXOnly

from bench.figures import Aim, Figure
from bench.house import House, open_books, run
from bench.wire import START_MAX_S, Wire, connected, process, quantile
from nostrbot.home.config import Home, relays_text
from nostrbot.home.keyfile import write_key_file
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.messages import event_message, req_message
from nostrbot.nostr.sealing import (
    IV_BYTES,
    Envelope,
    conversation_key,
    decrypt,
    encrypt,
    nip04_decrypt,
    nip04_encrypt,
)

SHARE_AIM = 0.5
P99_AIM_MS = 100
STEADY_RATE = 50  # settlements a second while latency is measured
WARM_UP_SALES = 20
# How the two kinds of message look on the subscriber's connection.
RECEIPT, ACK = b'["EVENT","receipts",', b'["EVENT","acks",'

Arrivals = Mapping[str, tuple[float, bytes]]  # events by id: when each came first, and the message


@dataclass(frozen=True, slots=True)
class Load:
    """How much is done."""

    sales: int
    rounds: int
    steady_s: int


def measure(*, quick: bool) -> list[Figure]:
    """Throughput and latency with 2 and with 10 LPs."""
    loads = {2: Load(40, 1, 1)} if quick else {2: Load(3_000, 4, 10), 10: Load(1_500, 4, 10)}
    figures: list[Figure] = []
    for lp_count, load in loads.items():
        figures += run(_measure_house(lp_count, load))
    return figures


async def _measure_house(lp_count: int, load: Load) -> list[Figure]:
    house = House(lp_count)
    best: Burst | None = None
    with tempfile.TemporaryDirectory(prefix="nostrbot-bench-") as folder:
        async with process("bench.loopback_relay") as (relay, url):
            home = await make_home(house, Path(folder) / "home", url)
            async with process("nostrbot", "run", "--home", str(home.path)) as (bot, _ready), connected(url) as wire:
                stage = Stage(house, wire)
                await stage.subscribe()
                costs = cryptography_costs(house, await stage.warm_up())
                for _ in range(load.rounds):
                    before = _cpu_s(bot.pid), _cpu_s(relay.pid)
                    seconds = await stage.burst(load.sales)
                    burst = Burst(load.sales, seconds, _cpu_s(bot.pid) - before[0], _cpu_s(relay.pid) - before[1])
                    best = burst if best is None or burst.rate > best.rate else best
                latencies_ms = await stage.steady(load.steady_s)
    assert best is not None, "no round was run"
    return _figures(f"{lp_count} LPs", best, costs, latencies_ms)


@dataclass(frozen=True, slots=True)
class Burst:
    """So many sales published at once: seconds to the last receipt, and processor seconds of the two processes."""

    sales: int
    seconds: float
    bot_cpu_s: float
    relay_cpu_s: float

    @property
    def rate(self) -> float:
        """Settlements a second."""
        return self.sales / self.seconds


def _figures(whose: str, best: Burst, costs: "Costs", latencies_ms: Sequence[float]) -> list[Figure]:
    p50, p99 = (quantile(latencies_ms, percent) for percent in (50, 99))
    below = Aim(P99_AIM_MS, below=True)
    return [
        Figure(f"{whose}: settlements published -> all receipts published", best.rate, "/s"),
        Figure(f"{whose}: bound by cryptography alone, on one core", 1 / costs.settlement_s, "/s"),
        Figure(f"{whose}: share of the bound", best.rate * costs.settlement_s, "", Aim(SHARE_AIM)),
        Figure(f"{whose}: cryptography of a settlement", costs.settlement_s * 1e6, "us each"),
        Figure(f"{whose}: processor time of the bot", best.bot_cpu_s / best.sales * 1e6, "us each"),
        Figure(f"{whose}: cores the bot kept busy", best.bot_cpu_s / best.seconds, "cores"),
        Figure(f"{whose}: cores the relay kept busy", best.relay_cpu_s / best.seconds, "cores"),
        Figure(f"{whose}: latency at {STEADY_RATE}/s, p50", p50, "ms"),
        Figure(f"{whose}: latency at {STEADY_RATE}/s, p99", p99, "ms", below),
    ]


class Stage:
    """The machine that publishes and the one who sees everything the bot says."""

    def __init__(self, house: House, wire: Wire) -> None:
        self._house = house
        self._wire = wire
        self._sold = 0

    async def subscribe(self) -> None:
        """Ask for all the bot's acks, and its receipts to LPs."""
        bot, lps = {self._house.bot.pubkey}, {keys.pubkey for keys in self._house.lps.values()}
        answered = self._wire.watch(b'["EOSE"', 2)
        self._wire.send(
            # Asked for by reader: what the bot tells the operator of by itself is no receipt.
            req_message("receipts", [Filter(kinds={kinds.DIRECT_MESSAGE}, authors=bot, p_tags=lps)]),
            req_message("acks", [Filter(kinds={kinds.SETTLEMENT}, authors=bot)]),
        )
        await asyncio.wait_for(answered.wait(), START_MAX_S)

    async def warm_up(self) -> list[dict[str, Any]]:
        """A few sales, so that shared secrets are known; returns the messages they brought."""
        await self.burst(WARM_UP_SALES)
        return [orjson.loads(message)[2] for _, message in self._messages(RECEIPT, ACK)]

    async def burst(self, count: int) -> float:
        """The seconds from the first of `count` sales, published at once, to the last receipt of the last of them."""
        frames = [event_message(sale) for sale in self._sell(count)]
        receipts = count * len(self._house.lps)
        self._wire.messages.clear()
        started = perf_counter()
        self._wire.send(*frames)
        arrived = await self._wire.first_arrivals(RECEIPT, receipts)
        return max(at for at, _ in arrived.values()) - started

    async def steady(self, seconds: int) -> list[float]:
        """Milliseconds from each sale, published at STEADY_RATE, to its last receipt."""
        sales = self._sell(seconds * STEADY_RATE)
        frames = [event_message(sale) for sale in sales]
        receipts = len(sales) * len(self._house.lps)
        self._wire.messages.clear()
        published: dict[str, float] = {}
        begin = perf_counter()
        for number, (sale, frame) in enumerate(zip(sales, frames, strict=True)):
            await asyncio.sleep(max(0.0, begin + number / STEADY_RATE - perf_counter()))
            published[sale.id] = perf_counter()
            self._wire.send(frame)
        arrived = await self._wire.first_arrivals(RECEIPT, receipts)
        acks = await self._wire.first_arrivals(ACK, len(sales))
        last = self._last_receipts(arrived, acks)
        return [(last[event_id] - at) * 1e3 for event_id, at in published.items()]

    def _sell(self, count: int) -> list[VerifiedEvent]:
        self._sold += count
        return self._house.sales(count, first=self._sold - count)

    def _messages(self, *prefixes: bytes) -> list[tuple[float, bytes]]:
        return [one for one in self._wire.messages if one[1].startswith(prefixes)]

    def _last_receipts(self, receipts: Arrivals, acks: Arrivals) -> dict[str, float]:
        """When the last receipt of each sale came, by event id: acks name the settlement, receipts are read by LPs."""
        event_of: dict[str, str] = {}
        for _, message in acks.values():
            ack = orjson.loads(open_message(self._house.machine_envelope, message))
            event_of[ack["settlement"]] = ack["event"]
        envelopes = {keys.pubkey: Envelope(keys) for keys in self._house.lps.values()}
        last: dict[str, float] = {}
        for at, message in receipts.values():
            words = open_message(envelopes[orjson.loads(message)[2]["tags"][0][1]], message)
            named = re.search(r"settlement (s\d+)", words)
            assert named is not None, "a receipt names its settlement"
            event_id = event_of[named[1]]
            last[event_id] = max(at, last.get(event_id, at))
        return last


def open_message(envelope: Envelope, message: bytes) -> str:
    event = orjson.loads(message)[2]
    opened = envelope.open_from(event["pubkey"], event["content"])
    assert isinstance(opened, tuple), "a message of the bot cannot be read by whom it is for"
    return opened[0]


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of each cryptographic step, every key parsed and every shared secret at hand."""

    lp_count: int
    verify_s: float
    decrypt_s: float
    ack_s: float
    receipt_s: float
    sign_s: float

    @property
    def settlement_s(self) -> float:
        """The sale verified and decrypted; the ack and each LP's receipt encrypted and signed."""
        messages_s = self.ack_s + self.sign_s + self.lp_count * (self.receipt_s + self.sign_s)
        return self.verify_s + self.decrypt_s + messages_s


def cryptography_costs(house: House, messages: Sequence[dict[str, Any]]) -> Costs:
    """Measure each step on real messages. Signatures as coincurve makes and verifies them, ciphers as the bot calls them."""
    [sale] = house.sales(1)
    shared = {keys.pubkey: house.bot.shared_x(keys.pubkey) for keys in (house.machine, *house.lps.values())}
    of_machine = conversation_key(shared[house.machine.pubkey])
    author, signer = PublicKeyXOnly(bytes.fromhex(sale.pubkey)), PrivateKey(bytes(31) + b"\x01")
    signature, digest = bytes.fromhex(sale.sig), bytes.fromhex(sale.id)
    ack = next(message for message in messages if message["kind"] == kinds.SETTLEMENT)
    ack_text = decrypt(of_machine, ack["content"])
    receipt = next(message for message in messages if message["kind"] == kinds.DIRECT_MESSAGE)
    of_lp = shared[receipt["tags"][0][1]]
    words = nip04_decrypt(of_lp, receipt["content"])
    return Costs(
        lp_count=len(house.lps),
        verify_s=_cost_s(lambda: author.verify(signature, digest)),
        decrypt_s=_cost_s(lambda: decrypt(of_machine, sale.content)),
        ack_s=_cost_s(lambda: encrypt(of_machine, ack_text, digest)),
        receipt_s=_cost_s(lambda: nip04_encrypt(of_lp, words, digest[:IV_BYTES])),
        sign_s=_cost_s(lambda: signer.sign_schnorr(digest, bytes(32))),
    )


def _cost_s(work: Callable[[], object]) -> float:
    """The seconds of one call, at best."""
    calls, best_s = 50, math.inf
    for _ in range(40):
        started = perf_counter()
        for _ in range(calls):
            work()
        best_s = min(best_s, perf_counter() - started)
    return best_s / calls


async def make_home(house: House, path: Path, url: str) -> Home:
    """A bot's home on disk, with the house enrolled."""
    home = Home(path)
    home.key_file.parent.mkdir(parents=True)
    write_key_file(home.key_file, house.bot, None)
    home.write_platform(house.platform.pubkey)
    home.relays_file.write_text(relays_text([url]))
    async with open_books(house, home.database_file):
        return home


def _cpu_s(pid: int) -> float:
    """Processor seconds a process has used, 0 where the system does not tell this way."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
