"""Houses: a platform, an operator, its machines and LPs around one book, with no relay and no database.

What lives here: people with fixed keys, and a House that signs what they say, decides it, books it and seals it, as the
bot does. What does not: what comes of it, which the tests say. A house's clock moves one second with every input, so
that the same words in the same order give the same bytes.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from hashlib import sha256
from typing import Any, Self

import orjson

from nostrbot.core.atm.recall import Duplicate
from nostrbot.core.atm.settlements.facts import Leg, SettlementProcessed
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.refused import CommandRefused
from nostrbot.core.desks import check_books
from nostrbot.core.engine import apply, decide
from nostrbot.core.facts import Fact, read_fact
from nostrbot.core.inputs import ClockSet, Input, Signed, Tick, effect_id, open_signed
from nostrbot.core.platform.succession import countersign, make_statement, read_statement
from nostrbot.core.rules import RULES
from nostrbot.core.snapshots import restore_snapshot, take_snapshot
from nostrbot.journal.entry import Chain, Entry, canonical, seal
from nostrbot.money import format_minor
from nostrbot.nostr import kinds
from nostrbot.nostr.event import VerifiedEvent, sign_event
from nostrbot.nostr.giftwrap import make_wrap, open_seal, open_wrap
from nostrbot.nostr.keys import Keys
from nostrbot.nostr.sealing import Envelope, Scheme
from nostrbot.refusals import Refusal
from tests.sales import settlement

DAWN = 1_790_000_000  # when every house's clock starts
PPM = 1_000_000

Outcome = Fact | Duplicate | CommandRefused | Refusal | None


@cache
def person(name: str) -> Keys:
    """The keys of whoever is called so: always the same."""
    return Keys.from_secret(sha256(name.encode()).digest())


@cache
def _envelope(name: str) -> Envelope:
    return Envelope(person(name))


BOT = person("bot")


def told(text: str) -> str:
    """A command with each @name, unlike the @ of an address, replaced by that person's npub."""
    return re.sub(r"(?<!\w)@([a-z0-9-]+)", lambda match: person(match[1]).npub, text)


def opened_by_bot(event: VerifiedEvent, bot: str = "bot") -> Signed:
    """An event to the bot, opened as the bot opens it."""
    opened = _envelope(bot).open_from(event.pubkey, event.content)
    assert not isinstance(opened, Refusal)
    return Signed(event, *opened)


def letter(who: str, text: str, *, at: int, scheme: Scheme = Scheme.NIP04, to: str = "bot") -> Signed:
    """A command as `who` sends it to the bot."""
    said, bot = told(text), person(to).pubkey
    content = _envelope(who).seal_to(bot, said, scheme, b"letter")
    event = sign_event(person(who), kind=kinds.DIRECT_MESSAGE, tags=[["p", bot]], content=content, created_at=at)
    return opened_by_bot(event, to)


def succession(old: str, new: str, *, at: int, by: str = "platform") -> Signed:
    """The bot's key handed on, as the platform countersigns it."""
    statement = read_statement(make_statement(person(old), person(new), at))
    assert not isinstance(statement, Refusal)
    event = countersign(person(by), statement, at)
    return Signed(event, event.content, Scheme.PLAIN)


def wrapped_letter(who: str, text: str, *, at: int, name: bytes = b"letter", to: str = "bot") -> Signed:
    """The same in a gift wrap, as the bot has opened it; by another name it is the same message in another wrap."""
    wrap = make_wrap(person(who), _envelope(who), to=person(to).pubkey, text=told(text), at=at, name=name)
    seal = open_wrap(_envelope(to), wrap)
    assert isinstance(seal, VerifiedEvent)
    opened = open_seal(_envelope(to), seal)
    assert not isinstance(opened, Refusal)
    opening, _ = opened
    given = open_signed(seal, opening.text, opening.keys)
    assert isinstance(given, Signed)
    return given


def report(
    who: str, payload: dict[str, Any] | str, *, at: int, scheme: Scheme = Scheme.PLAIN, to: str = "bot"
) -> Signed:
    """A settlement as a machine publishes it; `payload` may be any text, to see what becomes of it."""
    text = payload if isinstance(payload, str) else orjson.dumps(payload).decode()
    bot = person(to).pubkey
    content = _envelope(who).seal_to(bot, text, scheme, b"report")
    event = sign_event(person(who), kind=kinds.SETTLEMENT, tags=[["p", bot]], content=content, created_at=at)
    # A text that is no object would not be taken for plain by its shape; here it is what the scheme says it is.
    return Signed(event, text, scheme) if scheme is Scheme.PLAIN else opened_by_bot(event, to)


def payment_hash(name: object) -> str:
    """The payment hash of a sale called so."""
    return sha256(f"preimage of {name}".encode()).hexdigest()


def sale(machine: str = "m1", /, **changes: Any) -> dict[str, Any]:
    """The settlement of docs/protocol.md section 3.1 by a machine, with changes; None takes a field away."""
    fields = settlement(person(machine).pubkey, **({"payment_hash": payment_hash("b0c2")} | changes))
    return {name: value for name, value in fields.items() if value is not None}


@dataclass
class House:
    """One book and everybody around it. `say` and `sell` return the fact that was sealed, or what came instead."""

    book: Book
    chain: Chain
    now: int = DAWN
    sold: int = 0
    entries: list[Entry] = field(default_factory=list)
    bot: str = "bot"  # whose key people write to
    rules: int = RULES  # by which it decides

    @classmethod
    def empty(cls, key: str = person("operator").pubkey, bot: str = "bot") -> Self:
        """A book before its first entry, the operator's own unless another key is given."""
        return cls(Book(person(bot).pubkey, key, person("platform").pubkey), Chain(key), bot=bot)

    @classmethod
    def root(cls) -> Self:
        """The platform's own book."""
        return cls.empty(ROOT)

    @classmethod
    def open(cls, rules: int = RULES) -> Self:
        """The operator antigua with the GTQ machine m1; cash-out costs 1.5 % + 6.27 %, cash-in 1 % + 5 %."""
        house = cls.empty()
        house.rules = rules
        house.say("platform", "operator add @operator name=antigua tz=America/Guatemala")
        house.say("platform", "platform fee cash_in=1% cash_out=1.5%")
        house.add_machine("m1")
        return house

    def add_machine(self, name: str, fiat: str = "GTQ", more: str = "") -> None:
        """Enrol a machine at the usual fees."""
        self.say("operator", f"machine add @{name} name={name} fiat={fiat} cash_in=5% cash_out=6.27% {more}")

    def add_lp(self, name: str, cash: str | None = None, machine: str = "m1") -> None:
        """Enrol an LP that joins at once, with cash already in the machine if an amount is given."""
        self.say("operator", f"lp add @{name} machine={machine} name={name}")
        self.say(name, "join")
        if cash is not None:
            self.add_cash(name, cash, machine)

    def add_cash(self, lp: str, cash: str, machine: str = "m1") -> None:
        """A deposit, added and confirmed."""
        self.say("operator", f"deposit add {lp} {cash} machine={machine}")
        self.say("operator", f"deposit confirm d{len(self.book.deposits)}")

    def say(self, who: str, text: str, *, age_s: int = 0) -> Outcome:
        """Somebody sends a command, dated `age_s` before it arrives."""
        self.now += 1
        return self.take(letter(who, text, at=self.now - age_s, to=self.bot))

    def sell(
        self,
        machine: str = "m1",
        /,
        *,
        fiat: str = "2000.00",
        rate: str = "50",
        fee_sats: int | None = None,
        tx_type: str = "cash_out",
        by: str | None = None,
        **changes: Any,
    ) -> Outcome:
        """A machine (or `by` another) reports a sale with a payment hash of its own and amounts that hold together.

        The fee is what is due unless it is given; `changes` then spoil any field of the payload.
        """
        self.now += 1
        self.sold += 1
        cash_in = tx_type == "cash_in"
        principal = int(Fraction(fiat) * Fraction(rate))
        if fee_sats is None:
            settings = self.book.machines[machine]
            ppms = (self.book.platform_ppm(cash_in=cash_in), settings.cash_in_ppm if cash_in else settings.cash_out_ppm)
            fee_sats = sum(principal * ppm // PPM for ppm in ppms)
        amounts = {
            "n": self.sold,
            "payment_hash": payment_hash(self.sold),
            "tx_type": tx_type,
            "wire_sats": principal - fee_sats if cash_in else principal + fee_sats,
            "principal_sats": principal,
            "fee_sats": fee_sats,
            "fiat_amount": fiat,
            "fiat_code": self.book.machines[machine].fiat,
            "exchange_rate": rate,
            "occurred_at": self.now,
        }
        return self.take(report(by or machine, sale(machine, **(amounts | changes)), at=self.now, to=self.bot))

    def take(self, given: Input) -> Outcome:
        """Decide an input; if anything came of it, book and seal it. Returns the first of its facts."""
        at = given.now if isinstance(given, ClockSet) else self.chain.next_at(self.now)
        decision = decide(self.book, given, at, self.rules)
        if not decision.facts:
            return decision.instead
        booked = apply(self.book, given.id, decision.facts, seq=self.chain.seq + 1, at=at, rules=self.rules)
        self.entries.append(seal(self.chain, given, decision.facts, booked, at=at, rules=self.rules))
        return decision.facts[0]

    def tick(self, at: int) -> tuple[Fact, ...]:
        """The bot looks at its clock, which says `at`. Returns all facts that were sealed."""
        self.now = at
        sealed = len(self.entries)
        self.take(Tick(self.chain.next_at(at)))
        return self.entries[-1].facts if len(self.entries) > sealed else ()

    def restart(self) -> None:
        """Go on with the book that a snapshot kept; the Recall is filled again by its owner."""
        state = orjson.loads(orjson.dumps(take_snapshot(self.book)))
        recall = self.book.recall
        self.book = restore_snapshot(state)
        self.book.recall = recall

    def rebuilt(self) -> Book:
        """The book as its sealed bytes alone make it."""
        book = Book(self.book.bot, self.book.key, self.book.platform)
        for entry in self.entries:
            content = orjson.loads(entry.body)
            facts = tuple(read_fact(fact) for fact in content["facts"])
            apply(
                book, effect_id(content["input"]), facts, seq=content["seq"], at=content["at"], rules=content["rules"]
            )
        return book

    def trail(self) -> list[bytes]:
        """The trail an auditor is given."""
        created_at = self.entries[0].at if self.entries else self.now
        header = {"trail": 1, "bot": self.book.first_bot, "book": self.book.key, "created_at": created_at}
        return [canonical(header), *(entry.line() for entry in self.entries)]

    def ledger(self) -> dict[str, int]:
        """Every account that is not empty, as `account unit` -> balance; debits are positive. The books are checked."""
        check_books(self.book)
        return {f"{account} {unit}": amount for (account, unit), amount in self.book.balances.items() if amount}

    def remaining(self, lp: str, machine: str = "m1") -> str:
        """What is left of an LP's cash in a machine."""
        return format_minor(self.book.lps[lp].seats[machine].remaining_minor, self.book.machines[machine].fiat)


def legs(outcome: Outcome) -> list[str]:
    """The legs of a processed settlement, a line each: `dca ana 90000 for 1800.00`."""
    assert isinstance(outcome, SettlementProcessed), outcome
    return [_leg_line(leg, outcome.sale.currency) for leg in outcome.legs]


def _leg_line(leg: Leg, currency: str) -> str:
    cash = "" if leg.fiat_minor is None else f" for {format_minor(leg.fiat_minor, currency)}"
    why = "" if leg.status is LegStatus.COMPLETED else f" {leg.status}: {leg.reason}"
    return f"{leg.type} {leg.lp or leg.label or 'nobody'} {leg.sats}{cash}{why}"


def of_legs(outcome: Outcome, kind: str) -> list[str]:
    """The legs of one type only."""
    return [line for line in legs(outcome) if line.startswith(f"{kind} ")]
