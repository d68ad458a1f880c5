"""A reckoning: what everybody in a book has, worked out from what was said, in the order it was sealed.

What lives here: the money rules of docs/protocol.md sections 3.1, 5 and 6 once more, by fractions and without haste. What
does not: any of the code under test, and any fact it found: of each entry only the input and its time are read. That an
input was sealed is taken for its effect; which effect, is worked out here.
"""

import shlex
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from hashlib import sha256
from math import floor
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from nostrbot.nostr.keys import read_pubkey
from tests.simulator.outgoing import Outgoing

Plain = dict[str, Any]
SEAL, SETTLEMENT = 13, 21_000
RATES_KEPT, RATES_WANTED, RATE_OFF_PPM = 11, 3, 100_000
SATS_MAX = 21 * 10**14
SALE_MINOR_MAX, DAY_MINOR_MAX, NOTES_MAX = 10**13, 10**15, 10**9
KEY_SATS_MAX = 100 * SATS_MAX
NO_DECIMALS = ("JPY",)


def portions(total: int, weights: list[int]) -> list[int]:
    """Shares by largest remainder, ties to the earlier place."""
    exact = [Fraction(total * weight, sum(weights)) for weight in weights]
    shares = [floor(share) for share in exact]
    order = sorted(range(len(exact)), key=lambda place: (shares[place] - exact[place], place))
    for place in order[: total - sum(shares)]:
        shares[place] += 1
    return shares


def to_minor(text: Any, currency: str) -> int:
    """An amount of fiat in the smallest coins there are."""
    amount = Fraction(str(text)) * (1 if currency in NO_DECIMALS else 100)
    return floor(amount)


def to_ppm(text: str) -> int:
    """A percentage in millionths."""
    return int(Fraction(text.removesuffix("%")) * 10_000)


@dataclass
class Machine:
    """A machine as its operator has set it, and what it sold."""

    key: str
    fiat: str
    ppm: dict[str, int]
    trust: str = "signature"
    enforces: bool = False
    active: bool = True
    guard: dict[str, Any] = field(default_factory=dict)
    sold: dict[str, list["Sold"]] = field(default_factory=lambda: defaultdict(list))  # whose rates count, newest last
    day: str = ""
    day_minor: int = 0
    settled: int = 0  # sats that its present key settled, less what was given back


@dataclass
class Provider:
    """An LP. `seats`: by machine, whether it takes part there."""

    handle: str
    seats: dict[str, bool] = field(default_factory=dict)
    mode: str | None = None
    limit: str | None = None
    paused: bool = False


@dataclass
class Share:
    """What one party got: `before` is what an LP had when the cash was shared out."""

    lp: str | None
    own: bool
    sats: int
    minor: int = 0
    before: int | None = None


@dataclass
class Sold:
    """A settlement that was accepted, as far as money goes."""

    machine: str
    way: str
    wire: int
    principal: int
    fee: int
    minor: int
    rate: Fraction
    platform: int
    key: str
    state: str = "pending"
    proven: bool = False
    shares: list[Share] = field(default_factory=list)
    had: dict[str, int] = field(default_factory=dict)  # by LP: what it had at the first sharing
    born_at: int = 0
    booked_day: str = ""
    given_out: int = 0  # of its fiat, what counts
    kept: int = 0  # of its wire, the sats that count: what is in force
    is_checked: bool = False
    frozen_own: int | None = None  # what of it the operator may not use; None: it is not frozen


@dataclass
class Reckoning:
    """One operator's book. `cash`: what each LP has left at each machine; `sats`: what each LP is owed; `own`: operator's."""

    tz: str = "UTC"
    active: bool = True
    owner: str = ""
    platform_ppm: dict[str, int] = field(default_factory=lambda: {"cash_in": 0, "cash_out": 0})
    machines: dict[str, Machine] = field(default_factory=dict)
    machine_of: dict[str, str] = field(default_factory=dict)
    freed: set[str] = field(default_factory=set)  # keys that the platform took from here
    lps: dict[str, Provider] = field(default_factory=dict)
    lp_of: dict[str, str] = field(default_factory=dict)
    enrolled: list[tuple[str, str]] = field(default_factory=list)  # (LP, machine), oldest first
    deposits: dict[int, Plain] = field(default_factory=dict)
    splits: dict[str | None, list[tuple[int, str | None, bool, str]]] = field(default_factory=dict)
    settlements: dict[int, Sold] = field(default_factory=dict)
    count: int = 0
    hashes: dict[str, list[Sold]] = field(default_factory=lambda: defaultdict(list))
    slots: list[str] = field(default_factory=list)
    limit: str = "2000.00"
    day: str = ""
    kept: set[str] = field(default_factory=set)
    given: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    cash: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    sats: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    put_in: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    own: int = 0
    numbers: dict[tuple[str, str], int] = field(default_factory=dict)  # of what was paid in an entry, by LP and machine
    payments: dict[int, tuple[str, str, int, int, bool, str]] = field(default_factory=dict)  # and all there ever were
    outgoing: Outgoing = field(default_factory=Outgoing)  # the operator's payouts: no other ones are in these worlds
    held: int = 0  # all the sats there are in the book, less what cash-in gave out

    def read(self, given: Plain, at: int, numbers: dict[tuple[str, str], int]) -> None:
        """The next input of the book, sealed `at`; `numbers`: the names that were given to what it paid."""
        self.numbers = numbers
        if "tick" in given:
            self._tick(at)
            return
        if "observed" in given:
            own, gone = self.outgoing.see(given["observed"], at, is_frozen=self._is_frozen_short)
            self.own, self.held = self.own + own, self.held + gone
            return
        event = given["event"]
        text = given.get("plaintext", event["content"])
        if event["kind"] == SETTLEMENT:
            self._report(event["pubkey"], orjson.loads(text), at)
        elif event["kind"] == SEAL:
            rumor = orjson.loads(text)
            self._command(event["pubkey"], rumor["content"], rumor["id"], at)
        elif event["kind"] == 4:
            self._command(event["pubkey"], text, event["id"], at)

    def owes(self, lp: str | None = None) -> dict[str, int]:
        """What an LP, or all of them, are owed, by unit; what is nothing is left out."""
        sums: dict[str, int] = defaultdict(int)
        for name, sats in self.sats.items():
            sums["sat"] += sats if lp in (None, name) else 0
        for (name, machine), minor in self.cash.items():
            sums[self.machines[machine].fiat] += minor if lp in (None, name) else 0
        return {unit: amount for unit, amount in sums.items() if amount}

    # --- what people say --------------------------------------------------------------------------------------------

    def _command(self, author: str, text: str, said_id: str, at: int) -> None:
        words = [word for word in shlex.split(text) if word != "--json"]
        named = dict(word.split("=", 1) for word in words if "=" in word)
        plain = [word for word in words if "=" not in word]
        two = "_".join(plain[:2]).lower()
        one = plain[0].lower()
        if hasattr(self, f"_say_{two}"):
            getattr(self, f"_say_{two}")(plain[2:], named, author=author, at=at, said_id=said_id)
        elif hasattr(self, f"_say_{one}"):
            getattr(self, f"_say_{one}")(plain[1:], named, author=author, at=at, said_id=said_id)

    def _say_operator_add(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.tz, self.owner = named.get("tz", "UTC"), read_pubkey(plain[0])

    def _say_operator_replace(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.owner = read_pubkey(plain[1])

    def _say_operator_suspend(self, *_: Any, **__: Any) -> None:
        self.active = False

    def _say_operator_resume(self, *_: Any, **__: Any) -> None:
        self.active = True

    def _say_platform_fee(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.platform_ppm = {way: to_ppm(named[way]) for way in ("cash_in", "cash_out")}

    def _say_machine_add(self, plain: list[str], named: Plain, **_: Any) -> None:
        key = read_pubkey(plain[0])
        ppm = {way: to_ppm(named[way]) for way in ("cash_in", "cash_out")}
        machine = Machine(key, named["fiat"].upper(), ppm, trust=named.get("trust", "signature"))
        machine.enforces = named.get("enforce_fee_match") == "on"
        self.machines[named["name"]] = machine
        self.machine_of[key] = named["name"]

    def _say_machine_free(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.freed.add(read_pubkey(plain[0]))

    def _say_machine_set(self, plain: list[str], named: Plain, **_: Any) -> None:
        machine = self.machines[plain[0]]
        machine.ppm |= {way: to_ppm(named[way]) for way in ("cash_in", "cash_out") if way in named}
        machine.trust = named.get("trust", machine.trust)
        if "enforce_fee_match" in named:
            machine.enforces = named["enforce_fee_match"] == "on"

    def _say_machine_suspend(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.machines[plain[0]].active = False

    def _say_machine_resume(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.machines[plain[0]].active = True

    def _say_machine_rotate(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.machines[plain[0]].key = read_pubkey(plain[1])
        self.machines[plain[0]].settled = 0
        self.machine_of[read_pubkey(plain[1])] = plain[0]

    def _say_machine_compromised(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.machines[plain[0]].active = False
        since = named["since"]
        moment = int(since) if since.isdecimal() else int(datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp())
        for sold in self.settlements.values():
            is_over = sold.state == "refunded" and not sold.shares
            is_known = sold.is_checked or sold.frozen_own is not None
            if sold.machine == plain[0] and sold.born_at >= moment and not is_over and not is_known:
                own = sum(share.sats for share in sold.shares if share.own)
                was_paid = sold.way == "cash_in" and sold.state != "pending"
                sold.frozen_own = max(0, own - (sold.principal if was_paid else 0))
                self._forget_rate(sold)

    @property
    def _free(self) -> int:
        """What of its own sats the operator may use."""
        return self.own - sum(sold.frozen_own or 0 for sold in self.settlements.values())

    def _say_withdraw(self, plain: list[str], *_: Any, **__: Any) -> None:
        self.own += self.outgoing.ask(plain[0], self._free)

    def _say_payout_cancel(self, plain: list[str], *_: Any, **__: Any) -> None:
        self.own += self.outgoing.cancel(_number(plain[0]))

    def _say_payout_retry(self, plain: list[str], *_: Any, **__: Any) -> None:
        self.own += self.outgoing.retry(_number(plain[0]))

    def _say_guard(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.machines[plain[0]].guard |= named

    def _say_lp_add(self, plain: list[str], named: Plain, **_: Any) -> None:
        handle = self.lp_of.setdefault(read_pubkey(plain[0]), named["name"])
        self.lps.setdefault(handle, Provider(handle)).seats[named["machine"]] = True
        self.enrolled.append((handle, named["machine"]))

    def _switch_lp(self, plain: list[str], named: Plain, *, on: bool) -> None:
        seats = self.lps[plain[0]].seats
        for machine in [named["machine"]] if "machine" in named else list(seats):
            seats[machine] = on

    def _say_lp_suspend(self, plain: list[str], named: Plain, **_: Any) -> None:
        self._switch_lp(plain, named, on=False)

    def _say_lp_resume(self, plain: list[str], named: Plain, **_: Any) -> None:
        self._switch_lp(plain, named, on=True)

    def _say_join(self, plain: list[str], named: Plain, *, author: str, **_: Any) -> None:
        lp = self.lps[self.lp_of[author]]
        mode = named.get("mode", lp.mode or "flow")
        lp.limit = lp.limit if mode == lp.mode else None
        lp.mode = mode

    def _say_mode(self, plain: list[str], named: Plain, *, author: str, **_: Any) -> None:
        lp = self.lps[self.lp_of[author]]
        lp.mode, lp.limit = plain[0], named.get("limit")

    def _say_pause(self, plain: list[str], named: Plain, *, author: str, **_: Any) -> None:
        self.lps[self.lp_of[author]].paused = True

    def _say_resume(self, plain: list[str], named: Plain, *, author: str, **_: Any) -> None:
        self.lps[self.lp_of[author]].paused = False

    def _say_splits_set(self, plain: list[str], named: Plain, **_: Any) -> None:
        rules = []
        for label, rule in named.items():
            if label != "machine":
                share, target = rule.split(":", 1)
                rules.append((to_ppm(share), *self._party(target)))
        self.splits[named.get("machine")] = rules

    def _party(self, target: str) -> tuple[str | None, bool, str]:
        """(LP, whether it is the operator itself, else whose key)."""
        if target == "self":
            return None, True, ""
        if target in self.lps:
            return target, False, ""
        return self._owner_of(read_pubkey(target))

    def _owner_of(self, key: str) -> tuple[str | None, bool, str]:
        """Whose a key is just now; nobody's in particular stays a key, which may become somebody's."""
        if key == self.owner:
            return None, True, ""
        return (self.lp_of[key], False, "") if key in self.lp_of else (None, False, key)

    def _say_splits_clear(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.splits[named["machine"]] = []

    # --- cash -------------------------------------------------------------------------------------------------------

    def _say_deposit_add(self, plain: list[str], named: Plain, **_: Any) -> None:
        fiat = self.machines[named["machine"]].fiat
        place = (plain[0], named["machine"])
        self.deposits[len(self.deposits) + 1] = {"place": place, "minor": to_minor(plain[1], fiat), "fiat": fiat}

    def _say_deposit_edit(self, plain: list[str], named: Plain, **_: Any) -> None:
        deposit = self.deposits[_number(plain[0])]
        if "amount" in named:
            deposit["minor"] = to_minor(named["amount"], deposit["fiat"])

    def _say_deposit_confirm(self, plain: list[str], named: Plain, **_: Any) -> None:
        self._move_cash(self.deposits[_number(plain[0])], 1)

    def _say_deposit_reverse(self, plain: list[str], named: Plain, **_: Any) -> None:
        deposit = self.deposits[_number(plain[0])]
        back = dict(deposit)
        if "amount" in named:
            back["minor"] = to_minor(named["amount"], deposit["fiat"])
        self._move_cash(back, -1)
        deposit["minor"] -= back["minor"]

    def _move_cash(self, deposit: Plain, sign: int) -> None:
        self.cash[deposit["place"]] += sign * deposit["minor"]
        self.put_in[deposit["place"]] += sign * deposit["minor"]

    def _say_settle(self, plain: list[str], named: Plain, **_: Any) -> None:
        machine = self.machines[named["machine"]]
        minor = to_minor(plain[1], machine.fiat)
        rate = Fraction(named["rate"]) if "rate" in named else self._price(machine)
        self._pay(plain[0], named["machine"], minor, self._buys(machine, minor, rate))

    def _say_payment_void(self, plain: list[str], named: Plain, **_: Any) -> None:
        lp, machine, minor, sats, is_slot, day = self.payments.pop(_number(plain[0]))
        self.cash[lp, machine] += minor
        self.sats[lp] -= sats
        self.own += sats
        if is_slot and day == self.day:
            self.given[lp, self.machines[machine].fiat] -= minor

    def _pay(self, lp: str, machine: str, minor: int, sats: int, *, is_slot: bool = False) -> None:
        self.payments[self.numbers[lp, machine]] = (lp, machine, minor, sats, is_slot, self.day)
        self.cash[lp, machine] -= minor
        self.sats[lp] += sats
        self.own -= sats

    def _buys(self, machine: Machine, minor: int, rate: Fraction | None) -> int:
        assert rate is not None
        return floor(minor * rate / (1 if machine.fiat in NO_DECIMALS else 100))

    # --- sales ------------------------------------------------------------------------------------------------------

    def _report(self, signer: str, said: Plain, at: int) -> None:
        self.count += 1
        name = self.machine_of[signer]
        machine = self.machines[name]
        way, fiat = said["tx_type"], said["fiat_code"]
        rate = Fraction(str(said["exchange_rate"]))
        sold = Sold(name, way, said["wire_sats"], said["principal_sats"], said["fee_sats"],
                    to_minor(said["fiat_amount"], fiat), rate, self._due(machine, way, said["principal_sats"])[0], signer)  # fmt: skip
        sold.proven = said.get("preimage") is not None
        if self._is_bad(machine, signer, said, sold) or self._is_taken(said["payment_hash"], sold):
            return
        self._take_hash(said["payment_hash"], sold)
        self.settlements[self.count] = sold
        sold.born_at = at
        if not self._is_held(machine, sold, at):
            self._share_out(sold, at)

    def _in_force(self, payment_hash: str) -> list[Sold]:
        return [one for one in self.hashes[payment_hash] if one.state != "refunded" or one.shares]

    def _is_taken(self, payment_hash: str, sold: Sold) -> bool:
        """Each machine has its own hashes; a preimage is proof, but against its own word."""
        return any(
            one.proven
            or (one.machine == sold.machine and not (sold.proven and (one.state == "pending" or one.key != sold.key)))
            for one in self._in_force(payment_hash)
        )

    def _take_hash(self, payment_hash: str, sold: Sold) -> None:
        for one in self._in_force(payment_hash) if sold.proven else ():
            if one.frozen_own is None:
                self._freeze(one)
        self.hashes[payment_hash].append(sold)

    def _freeze(self, sold: Sold) -> None:
        own = sum(share.sats for share in sold.shares if share.own)
        was_paid = sold.way == "cash_in" and sold.state != "pending"
        sold.frozen_own = max(0, own - (sold.principal if was_paid else 0))
        self._forget_rate(sold)

    def _due(self, machine: Machine, way: str, principal: int) -> tuple[int, int]:
        """The fees of platform and operator."""
        millionths = (self.platform_ppm[way], machine.ppm[way])
        platform, operator = (floor(Fraction(principal * ppm, 10**6)) for ppm in millionths)
        return platform, operator

    def _is_bad(self, machine: Machine, signer: str, said: Plain, sold: Sold) -> bool:
        coin = Fraction(1) if said["fiat_code"] in NO_DECIMALS else Fraction(1, 100)
        expected = sold.minor * coin * sold.rate
        off = abs(sold.principal - expected)
        preimage = said.get("preimage")
        notes = [*said.get("bills", []), *said.get("cassettes", {}).values()]
        mismatch = abs(sold.fee - sum(self._due(machine, sold.way, sold.principal)))
        return (
            said["machine"] != signer
            or machine.key != signer
            or not (machine.active and self.active)
            or sold.wire != sold.principal + (sold.fee if sold.way == "cash_out" else -sold.fee)
            or (off > abs(expected) / 1000 and off > abs(sold.rate) * coin and off > 1)
            or said["fiat_code"] != machine.fiat
            or not (1 <= sold.wire <= SATS_MAX and 1 <= sold.principal <= SATS_MAX and 0 <= sold.fee <= SATS_MAX)
            or not 1 <= sold.minor <= SALE_MINOR_MAX
            or sold.rate <= 0
            or not all(1 <= note["denomination"] <= NOTES_MAX and 0 <= note["count"] <= NOTES_MAX for note in notes)
            or machine.settled + sold.wire > KEY_SATS_MAX
            or (preimage is None and machine.trust == "preimage")
            or (preimage is not None and sha256(bytes.fromhex(preimage)).hexdigest() != said["payment_hash"])
            or (machine.enforces and mismatch > max(1, sold.principal // 1000))
        )

    def _is_held(self, machine: Machine, sold: Sold, at: int) -> bool:
        if machine.trust == "wallet":
            return True
        if self._outgrows(sold):
            return True
        limits = {name: text for name, text in machine.guard.items() if text != "off"}
        booked = machine.day_minor if machine.day == self._today(at) else 0
        rates = [other.rate for other in machine.sold[sold.way]]
        if "per_settlement" in limits and sold.minor > to_minor(limits["per_settlement"], machine.fiat):
            return True
        if booked + sold.minor > DAY_MINOR_MAX:
            return True
        if "per_day" in limits and booked + sold.minor > to_minor(limits["per_day"], machine.fiat):
            return True
        if "rate" in limits and len(rates) >= RATES_WANTED:
            usual = sorted(rates)[(len(rates) - 1) // 2]
            return abs(sold.rate - usual) > usual * to_ppm(limits["rate"]) / 10**6
        return False

    def _outgrows(self, sold: Sold) -> bool:
        """Whether with it the book would owe more than all sats there are, or its operator be as far below zero."""
        shares = self._shares(sold, sold.minor, self._stakes(sold))
        own = self.own + sum(share.sats for share in shares if share.own)
        if sold.way == "cash_in":
            own -= sold.principal
        held = self.held + (sold.wire if sold.way == "cash_out" else -sold.wire)
        owed_now = self.held + max(0, -self.own)
        return held + max(0, -own) > max(SATS_MAX, owed_now) or own < min(-SATS_MAX, self.own)

    def _stakes(self, sold: Sold) -> list[tuple[str, int, int]]:
        """(LP, what it has, what it may spend) of those who take part in a sale that is new."""
        takers = [
            (lp.handle, self.cash[lp.handle, sold.machine])
            for lp in self._seated(sold.machine)
            if lp.mode == "flow" and not lp.paused and self.cash[lp.handle, sold.machine] > 0
        ]
        return [(lp, had, had) for lp, had in takers] if sold.way == "cash_out" else []

    def _share_out(self, sold: Sold, at: int) -> None:
        machine = self.machines[sold.machine]
        stakes = self._stakes(sold)
        sold.had = {lp: had for lp, had, _ in stakes}
        self._share(sold, sold.minor, stakes)
        if sold.way == "cash_in":
            self.own -= sold.principal
        self.held += sold.wire if sold.way == "cash_out" else -sold.wire
        sold.kept = sold.wire
        machine.settled += sold.wire
        sold.state = "processed"
        today = self._today(at)
        machine.day_minor = sold.minor + (machine.day_minor if machine.day == today else 0)
        machine.day = today
        machine.sold[sold.way] = [*machine.sold[sold.way], sold][-RATES_KEPT:]
        sold.booked_day, sold.given_out = today, sold.minor

    def _forget_rate(self, sold: Sold) -> None:
        machine = self.machines[sold.machine]
        machine.sold[sold.way] = [other for other in machine.sold[sold.way] if other is not sold]

    def _price(self, machine: Machine) -> Fraction | None:
        """The median of its last cash-outs; None where there is none, or the newest says something else."""
        rates = [sold.rate for sold in machine.sold["cash_out"]]
        if not rates:
            return None
        usual = sorted(rates)[(len(rates) - 1) // 2]
        beside = rates[0] if len(rates) == 2 else usual
        band = to_ppm(machine.guard["rate"]) if machine.guard.get("rate", "off") != "off" else RATE_OFF_PPM
        return usual if abs(rates[-1] - beside) <= beside * band / 10**6 else None

    def _give_back(self, sold: Sold, minor: int, wire: int) -> None:
        """Of a sale only so much counts from now on."""
        machine = self.machines[sold.machine]
        if sold.key == machine.key:
            machine.settled -= sold.kept - wire
        sold.kept = wire
        if sold.booked_day == machine.day:
            machine.day_minor -= sold.given_out - minor
        sold.given_out = minor

    def _seated(self, machine: str) -> list[Provider]:
        """LPs that take part at a machine, in the order of their enrolment there."""
        return [self.lps[lp] for lp, place in self.enrolled if place == machine and self.lps[lp].seats[place]]

    def _share(self, sold: Sold, minor: int, stakes: list[tuple[str, int, int]]) -> None:
        """Share what was sold for so much cash, and book it."""
        sold.shares = self._shares(sold, minor, stakes)
        self._book(sold.shares, sold.machine, 1)

    def _shares(self, sold: Sold, minor: int, stakes: list[tuple[str, int, int]]) -> list[Share]:
        """What each gets of so much cash; `stakes`: (LP, what it has, what it may spend at the most)."""
        part = Fraction(minor, sold.minor)
        principal, fee, platform = (floor(sats * part) for sats in (sold.principal, sold.fee, sold.platform))
        pot = fee - min(platform, fee)
        rules = self.splits.get(sold.machine) or self.splits.get(None) or [(10**6, None, True, "")]
        parties = [self._owner_of(key) if key else (lp, own, key) for _, lp, own, key in rules]
        shares = [
            Share(lp, own, sats)
            for (lp, own, _), sats in zip(parties, portions(pot, [ppm for ppm, *_ in rules]), strict=True)
        ]
        if sold.way == "cash_out":
            most = [stake for _, _, stake in stakes]
            spent = portions(minor, most) if most and sum(most) >= minor else most
            *parts, rest = portions(principal, [*spent, minor - sum(spent)])
            for (lp, had, _), cash, sats in zip(stakes, spent, parts, strict=True):
                shares.append(Share(lp, False, sats, cash if sats else 0, had))
            shares.append(Share(None, True, rest))
        return shares

    def _book(self, shares: list[Share], machine: str, sign: int) -> None:
        for share in shares:
            if share.lp is not None:
                self.sats[share.lp] += sign * share.sats
                self.cash[share.lp, machine] -= sign * share.minor
            elif share.own:
                self.own += sign * share.sats

    def _say_settlement_add(self, plain: list[str], named: Plain, *, at: int, said_id: str, **_: Any) -> None:
        self.count += 1
        machine, way = self.machines[named["machine"]], named.get("tx_type", "cash_out")
        minor = to_minor(named["fiat_amount"], machine.fiat)
        coins = 1 if machine.fiat in NO_DECIMALS else 100
        if "exchange_rate" in named:
            rate = Fraction(named["exchange_rate"])
            principal = int(named.get("principal_sats", floor(minor * rate / coins)))
        else:
            principal = int(named["principal_sats"])
            rate = Fraction(floor(Fraction(principal * coins * 10**8, minor)), 10**8)
        platform, operator = self._due(machine, way, principal)
        fee = int(named.get("fee_sats", platform + operator))
        wire = principal + (fee if way == "cash_out" else -fee)
        sold = Sold(named["machine"], way, wire, principal, fee, minor, rate, platform, machine.key)
        self._take_hash(named.get("payment_hash", said_id).lower(), sold)
        self.settlements[self.count] = sold
        sold.born_at = at
        self._share_out(sold, at)

    def _say_settlement_release(self, plain: list[str], named: Plain, *, at: int, **_: Any) -> None:
        sold = self.settlements[_number(plain[0])]
        if sold.frozen_own is None:
            self._share_out(sold, at)
        else:
            sold.frozen_own, sold.is_checked = None, True

    def _say_settlement_retry(self, plain: list[str], named: Plain, *, at: int, **_: Any) -> None:
        sold = self.settlements[_number(plain[0])]
        if not self._is_held(self.machines[sold.machine], sold, at):
            self._share_out(sold, at)

    def _say_settlement_partial(self, plain: list[str], named: Plain, **_: Any) -> None:
        sold = self.settlements[_number(plain[0])]
        minor = to_minor(named["fiat"], self.machines[sold.machine].fiat)
        self._book(sold.shares, sold.machine, -1)
        stakes = []
        for lp, had in sold.had.items():
            left = self.cash[lp, sold.machine]
            stakes.append((lp, left, min(had, left)))
        self._share(sold, minor, stakes)
        part = Fraction(minor, sold.minor)
        self._give_back(sold, minor, floor(sold.principal * part) + floor(sold.fee * part))
        sold.state = "partial" if minor < sold.minor else "processed"

    def _say_settlement_refund(self, plain: list[str], named: Plain, **_: Any) -> None:
        sold = self.settlements[_number(plain[0])]
        if sold.state == "processed":
            self._book(sold.shares, sold.machine, -1)
            if sold.way == "cash_in":
                self.own += sold.principal
            self.held -= sold.wire if sold.way == "cash_out" else -sold.wire
            self._give_back(sold, 0, 0)
        elif sold.state == "partial":
            self.held -= sold.wire - sold.kept
        if sold.state != "partial":
            sold.shares, sold.frozen_own = [], None
            self._forget_rate(sold)
        sold.state = "refunded"

    # --- the clock --------------------------------------------------------------------------------------------------

    def _today(self, at: int) -> str:
        return self._local(at).date().isoformat()

    def _local(self, at: int) -> datetime:
        return datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(self.tz))

    def _passed(self, slot: str, at: int) -> bool:
        """Whether a local time has come today, be it before the clock went back: then its first coming counts."""
        now = self._local(at)
        hour, minute = map(int, slot.split(":"))
        first = now.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
        comes_twice = first.utcoffset() > first.replace(fold=1).utcoffset()
        return f"{now:%H:%M}" >= slot or (comes_twice and first.timestamp() <= at)

    def _turn_day(self, at: int) -> None:
        if self._today(at) != self.day:
            self.day, self.kept, self.given = self._today(at), set(), defaultdict(int)

    def _say_fixed_schedule(self, plain: list[str], named: Plain, *, at: int, **_: Any) -> None:
        words = [] if plain[0] == "off" else plain[0].split(",")
        slots = sorted(f"{datetime.strptime(word, '%H:%M').replace(tzinfo=UTC):%H:%M}" for word in words)
        passed = {slot for slot in slots if slot not in self.slots and self._passed(slot, at)}
        self.slots = slots
        if passed:
            self._turn_day(at)
            self.kept |= passed

    def _say_fixed_limit(self, plain: list[str], named: Plain, **_: Any) -> None:
        self.limit = plain[0]

    @property
    def _is_frozen_short(self) -> bool:
        """Whether more of the operator's sats are frozen than there are beside what is held."""
        frozen = sum(sold.frozen_own or 0 for sold in self.settlements.values())
        return bool(frozen) and self._free < 0

    def _tick(self, at: int) -> None:
        self._turn_day(at)
        still = [slot for slot in self.slots if slot not in self.kept]
        due = [slot for slot in still if self._passed(slot, at)]
        if not due:  # one thing a tick: then it is the payouts'
            self.own += self.outgoing.pass_time(at, is_frozen=self._is_frozen_short)
            return
        free = self._free
        wanted = [want for lp in self.lps.values() if lp.mode == "fixed" and not lp.paused
                  for want in self._wants(lp, len(due), len(still))]  # fmt: skip
        for lp, machine, minor, sats in wanted:
            if sats <= free:
                free -= sats
                self._pay(lp, machine, minor, sats, is_slot=True)
                self.given[lp, self.machines[machine].fiat] += minor
        self.kept |= set(due)

    def _wants(self, lp: Provider, due: int, still: int) -> list[tuple[str, str, int, int]]:
        purses: dict[str, list[str]] = defaultdict(list)
        for machine, on in lp.seats.items():
            if on and self.cash[lp.handle, machine] > 0:
                purses[self.machines[machine].fiat].append(machine)
        wants = []
        for fiat, places in purses.items():
            most = min(to_minor(text, fiat) for text in (self.limit, lp.limit) if text is not None)
            left = max(0, most - self.given[lp.handle, fiat])
            priced = [place for place in places if self._price(self.machines[place]) is not None]
            minor = min(left, sum(self.cash[lp.handle, place] for place in priced)) * due // still
            for place in priced:
                part = min(minor, self.cash[lp.handle, place])
                sats = self._buys(self.machines[place], part, self._price(self.machines[place]))
                if sats:
                    minor -= part
                    wants.append((lp.handle, place, part, sats))
        return wants


def _number(text: str) -> int:
    return int(text.lstrip("sdlp"))
