"""The demo: a newcomer's first minute, with everything real but the cash.

What lives here: a relay, a bot, simulated machines, an operator and LPs in one process, talking over real websockets,
and what a person should see of it. What does not: any shortcut into the bot: all that is shown was published, fetched
and decrypted by the other side, with nostr-sdk's encryption, not ours. Exit code 0 only if every sum and the trail are
right.
"""

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import orjson
from nostr_sdk import Nip44Version, PublicKey, SecretKey, nip04_decrypt, nip04_encrypt, nip44_decrypt, nip44_encrypt
from rich.console import Console
from rich.table import Table

from nostrbot.audit.verification import verify_trail
from nostrbot.bot import Bot, unix_now
from nostrbot.errors import TrailError
from nostrbot.exports.trail import export_trail
from nostrbot.home.config import RelaySettings
from nostrbot.money import format_minor, share_of
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.filters import Filter
from nostrbot.nostr.keys import Keys
from nostrbot.relays.embedded import EmbeddedRelay
from nostrbot.relays.pool import Pool
from nostrbot.relays.relay import RelayConfig
from nostrbot.relays.watch import Subscription
from nostrbot.store.sqlite import sqlite_url

ANSWER_TIMEOUT_S = 15.0
READY_TIMEOUT_S = 15.0
RATE_SATS = 50  # sats per quetzal
CURRENCY = "GTQ"
PLATFORM_PPM, OPERATOR_PPM = 15_000, 62_700
LP_NAMES = ("ana", "ben", "carla", "diego", "elena", "fidel")
_RECEIPT = re.compile(r"You received (\d+) sats for")
_DONE, _NO = 0, 1


class DemoError(Exception):
    """A step of the demo that failed; the sentence is for the person watching."""


@dataclass(eq=False)
class Person:
    """Somebody with a key and an ordinary client: a platform, an operator, an LP, or a machine."""

    name: str
    keys: Keys
    bot: str
    pool: Pool
    receipts: list[str] = field(default_factory=list)
    _answers: dict[str, asyncio.Future[str]] = field(default_factory=dict)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def _secret(self) -> SecretKey:
        return SecretKey.parse(self.keys.nsec())

    @property
    def _peer(self) -> PublicKey:
        return PublicKey.parse(self.bot)

    async def connect(self) -> None:
        """Listen for what the bot sends me."""
        mine = Filter(kinds={kinds.DIRECT_MESSAGE, kinds.SETTLEMENT}, authors={self.bot}, p_tags={self.keys.pubkey})
        self.pool.subscribe({"mine": Subscription(filters=(mine,), stored=False)})
        await self.pool.start()
        if not await self.pool.wait_subscribed(READY_TIMEOUT_S):
            raise DemoError(f"{self.name} cannot reach the relay")

    async def listen(self) -> None:
        """Decrypt what comes: answers to what I said, and receipts, which answer nothing."""
        while True:
            event = (await self.pool.inbox.get()).event
            if event.kind == kinds.SETTLEMENT:
                text = str(nip44_decrypt(self._secret, self._peer, event.content))
            else:
                text = str(nip04_decrypt(self._secret, self._peer, event.content))
            answer = self._answers.pop(event.tag_value("e") or "", None)
            if answer is not None:
                answer.set_result(text)
            else:
                self.receipts.append(text)
                self._heard.set()

    async def say(self, command: str) -> str:
        """Send a command and wait for the answer."""
        content = nip04_encrypt(self._secret, self._peer, command)
        return await self._send(kinds.DIRECT_MESSAGE, str(content))

    async def report(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Publish a settlement as a machine does, and wait for the ack."""
        content = nip44_encrypt(self._secret, self._peer, orjson.dumps(payload).decode(), Nip44Version.V2)
        ack: dict[str, Any] = orjson.loads(await self._send(kinds.SETTLEMENT, str(content)))
        return ack

    async def wait_receipts(self, count: int) -> None:
        """Wait until this number of receipts has come."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                while len(self.receipts) < count:
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            raise DemoError(f"{self.name} has {len(self.receipts)} receipts, not {count}") from None

    async def _send(self, kind: int, content: str) -> str:
        tags = [["p", self.bot]]
        event: VerifiedEvent = sign_event(self.keys, kind=kind, tags=tags, content=content, created_at=unix_now())
        answer = self._answers[event.id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self.pool.publish(event)
                heard: str = await answer
                return heard
        except TimeoutError:
            raise DemoError(f"{self.name} got no answer") from None


@dataclass
class Town:
    """Everybody in the demo."""

    platform: Person
    operator: Person
    machines: list[Person]
    lps: list[Person]

    @property
    def everybody(self) -> list[Person]:
        """All of them."""
        return [self.platform, self.operator, *self.machines, *self.lps]


async def show(*, machines: int, lps: int, settlements: int, seed: int) -> int:
    """Run the demo; returns the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    embedded = EmbeddedRelay()
    with tempfile.TemporaryDirectory(prefix="nostrbot-demo-") as folder:
        try:
            url = await embedded.start()
            async with _bot(url, Path(folder), seed) as bot, _people(url, bot, machines, lps, seed) as town:
                console.print(f"[bold]A relay[/] at {url}, [bold]a bot[/] {bot.keys.npub}")
                console.print(f"and {machines} machines, an operator, {lps} LPs, each with its own key.\n")
                await _enrol(town, console, Random(f"{seed}:cash"))  # noqa: S311 - play money
                await _sell(town, console, settlements, Random(f"{seed}:sales"))  # noqa: S311
                await _forge(town, console)
                return await _settle_up(town, bot, console, settlements)
        except DemoError as trouble:
            console.print(f"[bold red]It did not work:[/] {trouble}")
            return _NO
        finally:
            await embedded.stop()


def _keys(seed: int, name: str) -> Keys:
    return Keys.from_secret(sha256(f"nostrbot demo {seed} {name}".encode()).digest())


@contextlib.asynccontextmanager
async def _bot(url: str, folder: Path, seed: int) -> AsyncIterator[Bot]:
    bot = Bot(
        keys=_keys(seed, "bot"),
        platform=_keys(seed, "platform").pubkey,
        database_url=sqlite_url(folder / "nostrbot.sqlite"),
        settings=RelaySettings((RelayConfig(url),), min_ok=1, recipient_relays=False),
    )
    await bot.start()
    running = asyncio.create_task(bot.run())
    try:
        if not await bot.wait_ready(READY_TIMEOUT_S):
            raise DemoError("the bot cannot reach the relay")
        yield bot
    finally:
        bot.stop()
        await running


@contextlib.asynccontextmanager
async def _people(url: str, bot: Bot, machines: int, lps: int, seed: int) -> AsyncIterator[Town]:
    def person(name: str) -> Person:
        keys = _keys(seed, name)
        return Person(name, keys, bot.keys.pubkey, Pool([RelayConfig(url)], keys))

    names = [LP_NAMES[i] if i < len(LP_NAMES) else f"lp{i + 1}" for i in range(lps)]
    town = Town(
        platform=person("platform"),
        operator=person("operator"),
        machines=[person(f"m{i + 1}") for i in range(machines)],
        lps=[person(name) for name in names],
    )
    await asyncio.gather(*(one.connect() for one in town.everybody))
    listening = [asyncio.create_task(one.listen()) for one in town.everybody]
    try:
        yield town
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, *(one.pool.stop() for one in town.everybody), return_exceptions=True)


async def _say(who: Person, command: str, console: Console | None = None) -> str:
    answer = await who.say(command)
    if answer.startswith(("Refused", '{"ok":false')):
        raise DemoError(f"{who.name}: {command}: {answer}")
    if console is not None:
        shown = re.sub(r"(npub1\w{6})\w+", r"\1…", f"[bold cyan]{who.name}[/] > {command}")
        console.print(shown)
        console.print("  " + re.sub(r"(npub1\w{6})\w+", r"\1…", answer).replace("\n", "\n  "), markup=False)
    return answer


async def _enrol(town: Town, console: Console, random: Random) -> None:
    """Play the operator's first day: machines, LPs, and cash in the machines."""
    console.rule("An operator sets up, by encrypted direct message")
    operator, lps = town.operator, town.lps
    await _say(town.platform, f"operator add {operator.keys.npub} name=antigua tz=America/Guatemala", console)
    await _say(town.platform, "platform fee cash_in=1% cash_out=1.5%")
    for number, machine in enumerate(town.machines):
        command = f"machine add {machine.keys.npub} name={machine.name} fiat={CURRENCY} cash_in=5% cash_out=6.27%"
        await _say(operator, command, None if number else console)
    first = True
    for lp in lps:
        for machine in town.machines:
            await _say(operator, f"lp add {lp.keys.npub} machine={machine.name} name={lp.name}")
        await _say(lp, "join", console if first else None)
        for machine in town.machines:
            amount = f"{random.randrange(10, 100) * 100}.00"
            answer = await _say(operator, f"deposit add {lp.name} {amount} machine={machine.name} --json")
            deposit = orjson.loads(answer)["data"]["deposit"]["id"]
            await _say(operator, f"deposit confirm {deposit}", console if first else None)
            first = False


async def _sell(town: Town, console: Console, settlements: int, random: Random) -> None:
    """Customers sell bitcoin; the first sale is shown whole."""
    console.rule("A customer sells bitcoin to a machine and takes cash")
    for number in range(settlements):
        machine = town.machines[number % len(town.machines)]
        ack = await machine.report(_sale(machine, number + 1, random.randrange(2, 21) * 100))
        if ack["status"] != "processed":
            raise DemoError(f"{machine.name}'s settlement was answered {ack}")
        if number == 0:
            console.print(
                f"[bold cyan]{machine.name}[/] published {ack['event'][:16]}…, signed and encrypted; the ack:"
            )
            console.print(f"  {orjson.dumps(ack).decode()}", markup=False)
            await _show_split(town.operator, console, ack["settlement"])
            receiver = town.lps[0]
            await receiver.wait_receipts(1)
            console.print(f"\n[bold cyan]{receiver.name}[/]'s client received an encrypted message and decrypts it:")
            console.print("  " + receiver.receipts[0].replace("\n", "\n  ") + "\n", markup=False)


def _sale(machine: Person, n: int, fiat: int) -> dict[str, Any]:
    principal = fiat * RATE_SATS
    fee = share_of(principal, PLATFORM_PPM) + share_of(principal, OPERATOR_PPM)
    label = f"{machine.keys.pubkey}:{n}".encode()
    return {
        "type": "settlement",
        "machine": machine.keys.pubkey,
        "n": n,
        "txid": sha256(b"txid" + label).hexdigest()[:16],
        "payment_hash": sha256(label).hexdigest(),
        "tx_type": "cash_out",
        "wire_sats": principal + fee,
        "principal_sats": principal,
        "fee_sats": fee,
        "fiat_amount": format_minor(fiat * 100, CURRENCY),
        "fiat_code": CURRENCY,
        "exchange_rate": str(RATE_SATS),
        "bills": [{"denomination": 100, "count": fiat // 100}],
        "cassettes": {"1": {"denomination": 100, "count": 500}},
        "occurred_at": unix_now(),
    }


async def _settlement(operator: Person, settlement: str) -> dict[str, Any]:
    answer = orjson.loads(await _say(operator, f"settlement show {settlement} --json"))
    shown: dict[str, Any] = answer["data"]["settlement"]
    return shown


async def _show_split(operator: Person, console: Console, settlement: str) -> None:
    row = await _settlement(operator, settlement)
    title = f"{settlement}: {row['wire_sats']} sats came in for {row['fiat_amount']} {row['fiat_code']} of cash"
    table = Table(title=title, title_justify="left")
    for heading, justify in (("leg", "left"), ("for", "left"), ("who", "left"), ("cash", "right"), ("sats", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    for leg in row["legs"]:
        cash = "" if leg["fiat"] is None else f"{leg['fiat']} {leg['currency']}"
        table.add_row(leg["id"], leg["type"], leg.get("lp") or leg.get("label", ""), cash, str(leg["sats"]))
    table.add_section()
    table.add_row("", "", "together", "", str(sum(leg["sats"] for leg in row["legs"])))
    console.print(table)


async def _forge(town: Town, console: Console) -> None:
    """Sign a sale by one machine's key in another's name: it is refused, recorded, and moves nothing."""
    console.rule("A forger tries")
    forger = town.machines[-1]
    victim = town.machines[0] if len(town.machines) > 1 else town.operator
    ack = await forger.report(_sale(victim, 9_999, 2_000))
    if (ack["status"], ack["error"]) != ("rejected", "attribution_mismatch"):
        raise DemoError(f"the forged settlement was answered {ack}")
    console.print(f"[bold cyan]{forger.name}[/]'s key signed a sale of 2000 {CURRENCY} in {victim.name}'s name:")
    console.print(f"  [bold red]{ack['status']}[/]: {ack['error']}")
    await _say(town.operator, "worklist", console)


async def _settle_up(town: Town, bot: Bot, console: Console, settlements: int) -> int:
    """Add everything up from what the others hold, and verify the trail from its file alone."""
    console.rule("Every sat is accounted for")
    shown = [await _settlement(town.operator, f"s{number + 1}") for number in range(settlements)]
    exact = all(sum(leg["sats"] for leg in row["legs"]) == row["wire_sats"] for row in shown)
    table = Table()
    for heading in ("LP", "cash spent", "cash left", "sats by receipts", "sats by balance"):
        table.add_column(heading, justify="left" if heading == "LP" else "right")
    for lp in town.lps:
        legs = [leg for row in shown for leg in row["legs"] if leg.get("lp") == lp.name and leg["sats"]]
        await lp.wait_receipts(len(legs))
        by_receipts = sum(int(match[1]) for text in lp.receipts if (match := _RECEIPT.match(text)))
        rows = orjson.loads(await _say(lp, "balance --json"))["data"]
        spent, left = (sum(int(row[name].replace(".", "")) for row in rows) for name in ("spent", "remaining"))
        by_balance = rows[0]["sats"]
        exact = exact and by_receipts == by_balance == sum(leg["sats"] for leg in legs)
        cash = [f"{format_minor(amount, CURRENCY)} {CURRENCY}" for amount in (spent, left)]
        table.add_row(lp.name, *cash, str(by_receipts), str(by_balance))
    console.print(table)
    wire = sum(row["wire_sats"] for row in shown)
    parts = sum(leg["sats"] for row in shown for leg in row["legs"])
    console.print(
        f"{settlements} sales brought {wire} sats; their parts sum to {parts}: {_yes(exact and wire == parts)}"
    )

    lines = [line async for line in export_trail(bot.store.queries, bot.keys.pubkey, town.operator.keys.pubkey)]
    try:
        summary = verify_trail(lines, bot=bot.keys.pubkey)
    except TrailError as error:
        raise DemoError(f"the trail does not verify: {error}") from None
    verified = "[bold green]verified[/]"
    console.print(
        f"The trail's {summary.entries} signed, hash-chained entries were decided again from nothing: {verified}"
    )
    console.print(f"Head {summary.head}")
    return _DONE if exact and wire == parts else _NO


def _yes(good: bool) -> str:
    return "[bold green]exact[/]" if good else "[bold red]NOT exact[/]"
