"""End to end: a machine publishes, a real bot in its own process answers, LPs' receipts arrive; all over websockets.

What lives here: the traffic, the stopwatch, and the cost of the cryptography that no bot could do without. What does
not: the relay (loopback_relay.py), which verifies nothing. Sales are signed and encrypted before the clock starts.
"""

import asyncio
import math
import os
import re
import sys
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import orjson
from coincurve import PrivateKey, PublicKeyXOnly

from bench.figures import Aim, Figure
from bench.frames import FrameReader, Opcode, write_frame
from bench.house import House, open_books, run
from nostrbot.config import Home, relays_text
from nostrbot.keyfile import write_key_file
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
START_MAX_S = 30.0
ROUND_MAX_S = 120.0
# How the two kinds of message look on the subscriber's connection.
RECEIPT, ACK = b'["EVENT","receipts",', b'["EVENT","acks",'


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
        async with _process("bench.loopback_relay") as (relay, url):
            home = await _make_home(house, Path(folder) / "home", url)
            async with _process("nostrbot", "run", "--home", str(home.path)) as (bot, _ready), _wire(url) as wire:
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
    p50, p99 = (_quantile(latencies_ms, percent) for percent in (50, 99))
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


class Wire(asyncio.Protocol):
    """The client's end of a websocket: keeps each message with its time and reads none, to leave the core to the bot."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, bytes]] = []
        self.opened = asyncio.get_running_loop().create_future()
        self._frames = FrameReader()
        self._watched, self._left, self._reached = b"", 0, asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        """Ask for a websocket."""
        self._transport = transport
        key = b64encode(bytes(16)).decode()
        transport.write(
            b"GET / HTTP/1.1\r\nHost: loopback\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % key.encode()
        )

    def data_received(self, data: bytes) -> None:
        """Note messages with the time they came."""
        if not self.opened.done():
            self.opened.set_result(None)  # the relay says nothing after its handshake until it is asked
            return
        now = perf_counter()
        for opcode, payload in self._frames.feed(data):
            if opcode == Opcode.TEXT:
                self.messages.append((now, payload))
                if payload.startswith(self._watched):
                    self._left -= 1
        if self._left <= 0:
            self._reached.set()

    def send(self, *messages: str) -> None:
        """Send messages in one write."""
        self._transport.write(b"".join(write_frame(message.encode(), masked=True) for message in messages))

    def watch(self, prefix: bytes, count: int) -> asyncio.Event:
        """An event set once `count` more messages came that begin with `prefix`; drops what came before."""
        self.messages.clear()
        self._watched, self._left, self._reached = prefix, count, asyncio.Event()
        return self._reached

    def close(self) -> None:
        """Hang up."""
        self._transport.abort()


class Stage:
    """The machine that publishes and the one who sees everything the bot says."""

    def __init__(self, house: House, wire: Wire) -> None:
        self._house = house
        self._wire = wire
        self._sold = 0

    async def subscribe(self) -> None:
        """Ask for all the bot's receipts and acks."""
        bot = frozenset({self._house.bot.pubkey})
        answered = self._wire.watch(b'["EOSE"', 2)
        self._wire.send(
            req_message("receipts", [Filter(kinds={kinds.DIRECT_MESSAGE}, authors=bot)]),
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
        arrived = self._wire.watch(RECEIPT, receipts)
        started = perf_counter()
        self._wire.send(*frames)
        await asyncio.wait_for(arrived.wait(), ROUND_MAX_S)
        times = [at for at, _ in self._messages(RECEIPT)]
        distinct = {orjson.loads(message)[2]["id"] for _, message in self._messages(RECEIPT)}
        assert len(times) == len(distinct) == receipts, "a receipt came twice, or one too many"
        return times[-1] - started

    async def steady(self, seconds: int) -> list[float]:
        """Milliseconds from each sale, published at STEADY_RATE, to its last receipt."""
        sales = self._sell(seconds * STEADY_RATE)
        frames = [event_message(sale) for sale in sales]
        arrived = self._wire.watch(RECEIPT, len(sales) * len(self._house.lps))
        published: dict[str, float] = {}
        begin = perf_counter()
        for number, (sale, frame) in enumerate(zip(sales, frames, strict=True)):
            await asyncio.sleep(max(0.0, begin + number / STEADY_RATE - perf_counter()))
            published[sale.id] = perf_counter()
            self._wire.send(frame)
        await asyncio.wait_for(arrived.wait(), ROUND_MAX_S)
        last = self._last_receipts()
        return [(last[event_id] - at) * 1e3 for event_id, at in published.items()]

    def _sell(self, count: int) -> list[VerifiedEvent]:
        self._sold += count
        return self._house.sales(count, first=self._sold - count)

    def _messages(self, *prefixes: bytes) -> list[tuple[float, bytes]]:
        return [one for one in self._wire.messages if one[1].startswith(prefixes)]

    def _last_receipts(self) -> dict[str, float]:
        """When the last receipt of each sale came, by event id: acks name the settlement, receipts are read by LPs."""
        event_of: dict[str, str] = {}
        for _, message in self._messages(ACK):
            ack = orjson.loads(_open(self._house.machine_envelope, message))
            event_of[ack["settlement"]] = ack["event"]
        envelopes = {keys.pubkey: Envelope(keys) for keys in self._house.lps.values()}
        last: dict[str, float] = {}
        for at, message in self._messages(RECEIPT):
            words = _open(envelopes[orjson.loads(message)[2]["tags"][0][1]], message)
            named = re.search(r"settlement (s\d+)", words)
            assert named is not None, "a receipt names its settlement"
            last[event_of[named[1]]] = at
        return last


def _open(envelope: Envelope, message: bytes) -> str:
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


def _quantile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


async def _make_home(house: House, path: Path, url: str) -> Home:
    """A bot's home on disk, with the house enrolled."""
    home = Home(path)
    home.key_file.parent.mkdir(parents=True)
    write_key_file(home.key_file, house.bot, None)
    home.write_platform(house.platform.pubkey)
    home.relays_file.write_text(relays_text([url]))
    async with open_books(house, home.database_file):
        return home


@asynccontextmanager
async def _process(module: str, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A Python process that has printed its first line, and that line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_MAX_S)
        if not line:
            raise RuntimeError(f"python -m {module} ended at once: run it by hand to see why")
        yield process, line.decode().strip()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def _wire(url: str) -> AsyncIterator[Wire]:
    host, _, port = urlsplit(url).netloc.partition(":")
    _, wire = await asyncio.get_running_loop().create_connection(Wire, host, int(port))
    await asyncio.wait_for(wire.opened, START_MAX_S)
    try:
        yield wire
    finally:
        wire.close()


def _cpu_s(pid: int) -> float:
    """Processor seconds a process has used, 0 where the system does not tell this way."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
