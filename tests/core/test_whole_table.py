"""Whatever people send in any order: lives in which everybody says anything in the command table, at any time.

What Life knows of sales and cash, and on top of it: every command there is, with values that may fit or not; commands as
direct messages and as gift wraps; machines that state their cassettes, in whatever order their words arrive, and get new
keys; the clock ticking and days going by. After every step the invariants of Life hold, and each new entry is compared
with what much simpler bookkeeping from the sealed JSON says of guards, keys, modes, limits, slots and banknotes.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from nostrbot.core.atm.facts import CassettesStated
from nostrbot.core.commands.specs import Arg, CommandSpec, Role
from nostrbot.core.inputs import Signed
from nostrbot.core.table import TABLE
from nostrbot.money import format_minor
from nostrbot.nostr import kinds
from nostrbot.refusals import Reason, Refusal
from tests.effort import examples
from tests.houses import letter, payment_hash, person, wrapped_letter
from tests.lives import MACHINES, SPEAKERS, Life, cents, machines
from tests.machines import statement

LPS = ("ana", "ben", "eva", "leo")
HOUR_S, DAY_S = 3_600, 86_400
TZ = ZoneInfo("America/Guatemala")
OLD_KEYS_FIRST = SPEAKERS[2:]  # the keys that machines change to
TEXTS = ('"two bundles"', '"\u202eñ"', "x")
AMOUNTS = ("0.01", "1", "10", "10", "133.33", "133.33", "1000.00", "1999.99", "2000", "1.001", "x")

# What people say for an argument, by its name, or by verb and name where that makes a difference.
VALUES: dict[str, tuple[str, ...]] = {
    "npub": tuple(f"@{name}" for name in (*SPEAKERS, *LPS, "stranger")),
    "machine rotate npub": ("@new-1", "@new-2", "@new-3", "@m1"),
    "operator replace npub": ("@operator", "@new-operator", "@stranger"),
    "machine compromised since": ("0", "1790000000", "1790003600", "2026-10-01"),
    "name": (*MACHINES, "m3", *LPS, "antigua", "coban"),
    "tz": ("UTC", "America/Guatemala"),
    "machine": (*MACHINES, *MACHINES, "m9"),
    "lp": (*LPS, "nobody"),
    "operator": ("antigua", "coban"),
    "cash_in": ("0", "5%", "100%"),
    "cash_out": ("0", "6.27%", "99.9999%"),
    "fiat": AMOUNTS,
    "machine add fiat": ("GTQ", "USD", "JPY"),
    "location": TEXTS,
    "note": TEXTS,
    "reason": TEXTS,
    "text": (*TEXTS, '" "'),
    "trust": ("signature", "signature", "preimage", "wallet"),
    "enforce_fee_match": ("on", "off", "off"),
    "per_settlement": ("off", "500", "2000"),
    "per_day": ("off", "4000", "10000"),
    "rate": ("off", "5%", "50%"),
    "settle rate": ("50", "0.07", "3.3333"),
    "position": ("1", "2", "10", "north"),
    "denomination": ("50", "100", "0"),
    "count": ("0", "30", "480"),
    "down": ("1", "5", "10"),
    "stuck": ("3", "7", "60"),
    "low": ("0", "100"),
    "sheet": ("07:00", "off"),
    "amount": AMOUNTS,
    "currency": ("GTQ", "EUR"),
    "deposit": tuple(f"d{number}" for number in range(1, 10)),
    "settlement": tuple(f"s{number}" for number in range(1, 7)),
    "fiat_amount": ("10", "2000.00", "0.02"),
    "principal_sats": ("500", "100000", "0"),
    "exchange_rate": ("50", "0.07"),
    "fee_sats": ("0", "7770", "1"),
    "wire_sats": ("107770", "1"),
    "tx_type": ("cash_out", "cash_in"),
    "txid": TEXTS,
    "payment_hash": (payment_hash("outside"), payment_hash(1), payment_hash(2)),
    "occurred_at": ("1790000000", "2026-10-31"),
    "times": ("08:00", "8:00,20:00", "00:00,06:00,12:00,18:00", "off"),
    "mode": ("flow", "flow", "fixed"),
    "limit": ("0.05", "5", "500"),
    "to": ("ana@wallet.example.com", "off"),
    "status": ("pending", "confirmed", "processed"),
    "type": ("dca", "settlement"),
    "period": ("day", "week"),
    "range": ("7d", "all"),
    "month": ("2026-09", "2026-10"),
    "before": ("s1", "l1"),
    "since": ("2026-10-01", "1790000000"),
    "until": ("2026-10-01", "1790000000"),
    "after": ("l1", "l3"),
    "numbers": ("1", "2-9", "42 45-47", "1-9999"),
    "leg": ("l1", "l4"),
    "event": ("ab" * 32, "x"),
    "payment void leg": tuple(f"l{number}" for number in range(1, 24)),
    "checkpoint": ("1", "x"),
}  # fmt: skip
RESTS = {
    "splits set": (
        "me=100%:self",
        "me=50%:self ana=50%:ana",
        "a=33.3333%:ana p=66.6666%:@paper z=0.0001%:self",
        "a=50%:self",
    ),
    "cassette count": ("1=480", "1=0 2=31", "2=29 10=5", "1=478 1=2", "north=1", ""),
}
SPEAKING = {Role.PLATFORM: ("platform",), Role.OPERATOR: ("operator",), Role.LP: LPS, Role.ANYONE: (*LPS, "operator")}
OPERATORS = ("operator", "new-operator", "stranger")  # the keys that speak for it, one after the other
EVERYBODY = ("platform", "operator", *LPS, "m1", "stranger")
SETTLEMENTS = tuple(form for form in TABLE if form.verb.startswith("settle") and form.changes)
PAYMENTS = tuple(form for form in TABLE if form.verb in ("settle", "payment void"))
CASSETTES = tuple(form for form in TABLE if form.verb.startswith("cassette") and form.changes)
PLANS = tuple(
    form for form in TABLE if form.verb in ("fixed schedule", "fixed limit", "alerts", "guard", "mode", "pause")
)
CHANGES = tuple(form for form in TABLE if form.changes)


def values_of(form: CommandSpec, arg: Arg) -> tuple[str, ...]:
    """What may be said there."""
    return VALUES.get(f"{form.verb} {arg.name}") or VALUES[arg.name]


@st.composite
def sayings(draw: Callable[..., Any], forms: tuple[CommandSpec, ...]) -> tuple[str, str]:
    """(who, what): one of these commands, most often from somebody whose it is."""
    form = draw(st.sampled_from(forms))
    words = [form.verb]
    for arg in form.args:
        if arg.required or draw(st.booleans()):
            value = draw(st.sampled_from(values_of(form, arg)))
            words.append(value if arg.positional else f"{arg.name}={value}")
    if form.rest:
        words.append(draw(st.sampled_from(RESTS[form.verb])))
    who = draw(st.sampled_from([*(SPEAKING[min(form.roles)] * 32)[:32], *EVERYBODY]))
    return who, " ".join(words)


def test_every_argument_of_the_table_has_something_to_say() -> None:
    """A command that is new is said here, too."""
    assert all(values_of(form, arg) for form in TABLE for arg in form.args)
    assert set(RESTS) == {form.verb for form in TABLE if form.rest}


class AnyLife(Life):
    """One house in which anything may be said."""

    @initialize(
        joined=st.lists(st.sampled_from(LPS), unique=True, max_size=4),
        care=st.sampled_from(["guard m1 rate=5%", "guard m1 per_settlement=500", "guard m1 per_day=6000", "guard m2 rate=1%",
                              "machine set m1 trust=wallet", "machine set m1 enforce_fee_match=on"]),
    )  # fmt: skip
    def open(self, joined: list[str], care: str) -> None:
        """The operator has sats of its own and a price, LPs have cash, m1 has stated two cassettes."""
        self.begin()
        self.machines: dict[str, dict[str, Any]] = {}  # by name, as the newest fact has it
        self.preferences: dict[str, dict[str, Any]] = {}  # by LP
        self.limit = "2000.00"
        self.day_minor: Counter[tuple[str, str]] = Counter()  # booked at a machine on a local day
        self.booked_on: dict[int, str] = {}  # by settlement: the local day on which it was shared out first
        self.given_minor: Counter[tuple[str, str, str]] = Counter()  # to (LP, currency) on a local day
        self.first_legs: dict[int, list[dict[str, Any]]] = {}  # how each settlement was shared out first
        self.kept: set[tuple[str, str]] = set()  # (local day, slot)
        self.newest: dict[tuple[str, str], tuple[int, str, int, int]] = {}  # what a machine stated last of a position
        self.notes: dict[str, dict[str, list[int]]] = {}  # by machine and position: denomination, banknotes expected
        self.touched_at: dict[tuple[str, str], int] = {}  # when somebody stated, set or counted it last
        self.operator = "operator"  # whose key speaks for it
        self.report_sale("m1", fiat="4000.00")
        for lp in joined:
            self.house.add_lp(lp, "1000", machine="m1")
        self.house.now += 1
        self.house.take(statement(at=self.house.now, _1=(100, 480), _2=(50, 30)))
        self.house.say("operator", "fixed schedule 08:00,20:00")
        self.house.say("operator", care)

    # --- what may happen besides ------------------------------------------------------------------------------------

    @rule(said=st.lists(sayings(TABLE), min_size=1, max_size=4), is_wrapped=st.booleans())
    def say_anything(self, said: list[tuple[str, str]], is_wrapped: bool) -> None:
        self.say(said, is_wrapped=is_wrapped)

    @rule(said=st.lists(sayings(CHANGES), min_size=1, max_size=4))
    def change_anything(self, said: list[tuple[str, str]]) -> None:
        self.say(said)

    @rule(said=st.lists(sayings(SETTLEMENTS), min_size=1, max_size=4))
    def speak_of_settlements(self, said: list[tuple[str, str]]) -> None:
        self.say(said)

    @rule(said=st.lists(sayings(PAYMENTS), min_size=1, max_size=4))
    def pay_and_take_back(self, said: list[tuple[str, str]]) -> None:
        self.say(said)

    @rule(said=st.lists(sayings(CASSETTES), min_size=1, max_size=4))
    def speak_of_cassettes(self, said: list[tuple[str, str]]) -> None:
        self.say(said)

    @rule(said=st.lists(sayings(PLANS), min_size=1, max_size=4))
    def plan(self, said: list[tuple[str, str]]) -> None:
        self.say(said)

    def say(self, said: list[tuple[str, str]], *, is_wrapped: bool = False) -> None:
        """These messages, one a second."""
        for who, text in said:
            self.house.now += 1
            author = self.operator if who == "operator" else who
            write = wrapped_letter if is_wrapped else letter
            self.house.take(write(author, text, at=self.house.now, to=self.house.bot))
            self.operator = next(name for name in OPERATORS if person(name).pubkey == self.house.book.operator)
        for machine in MACHINES:
            key = self.house.book.machines[machine].pubkey
            self.speakers[machine] = next(name for name in (*SPEAKERS, *LPS, "stranger") if person(name).pubkey == key)

    @rule(pick=st.randoms(use_true_random=False))
    def wrap_again(self, pick: Any) -> None:
        """The same message in another wrap is the same message (I9)."""
        sealed = [one.given for one in self.house.entries if isinstance(one.given, Signed) and one.given.rumor]
        messages = [given for given in sealed if given.is_to(self.house.book.bot)]
        if not messages:
            return
        given = pick.choice(messages)
        (who,) = (
            name
            for name in (*EVERYBODY, *SPEAKERS, "new-operator")
            if person(name).pubkey == given.author and name != "m1"
        )
        again = wrapped_letter(who, given.text, at=given.created_at, name=b"again", to=self.house.bot)
        assert (again.id, again.event.id == given.event.id) == (given.id, False)
        assert self.house.take(again) == Refusal(Reason.DUPLICATE, "this command has had its effect")

    @rule(
        pick=st.randoms(use_true_random=False),
        verb=st.sampled_from(["note s{} seen", "release s{}", "release s{}", "reset s{}", "reset s{} reason=now", "retry s{}",
                              "retry s{}", "refund s{} reason=back"]),
    )  # fmt: skip
    def care_for_what_waits(self, pick: Any, verb: str) -> None:
        """A settlement that is not booked yet, if there is one."""
        waiting = [birth for birth in self.accepted if birth["number"] not in self.tally.settlements]
        if waiting:
            self.house.say(self.operator, "settlement " + verb.format(pick.choice(waiting)["number"]))

    @rule(pick=st.randoms(use_true_random=False), eighths=st.integers(0, 8), refunded=st.booleans())
    def correct(self, pick: Any, eighths: int, refunded: bool) -> None:
        """Some eighths of what was reported were dispensed; of none at all the customer has everything back."""
        birth = pick.choice(self.accepted)
        number, sale = birth["number"], birth["sale"]
        if eighths == 8:  # after something else, so that there is a correction to take back
            self.house.say(self.operator, f"settlement partial s{number} fiat=0.01 note=jam")
        if eighths:
            fiat = format_minor(max(1, sale["fiat_minor"] * eighths // 8), sale["currency"])
            self.house.say(self.operator, f"settlement partial s{number} fiat={fiat} note=jam")
        if refunded:
            self.house.say(self.operator, f"settlement refund s{number} reason=back")

    @property
    def accepted(self) -> list[dict[str, Any]]:
        """How each settlement began that was not rejected."""
        return [birth for birth in self.tally.births if birth["fact"] != "settlement_rejected"]

    @rule(machine=machines)
    def set_right(self, machine: str) -> None:
        """Somebody undoes what kept a machine from settling."""
        self.house.say("platform", "operator resume antigua")
        self.house.say("platform", "platform fee cash_in=1% cash_out=1.5%")
        self.house.say(self.operator, f"machine resume {machine}")
        self.house.say(self.operator, f"machine set {machine} trust=signature cash_out=6.27% enforce_fee_match=off")

    @rule(
        lp=st.sampled_from(LPS), fiat=cents, mode=st.sampled_from(["flow", "fixed", "fixed limit=5"]), machine=machines
    )
    def take_part(self, lp: str, fiat: str, mode: str, machine: str) -> None:
        """An LP with cash, in a mode."""
        self.house.say(self.operator, f"lp add @{lp} machine={machine} name={lp}")
        self.house.say(self.operator, f"lp resume {lp}")
        self.house.say(lp, "resume")
        self.house.say(lp, f"join mode={mode.split(maxsplit=1)[0]}")
        self.house.say(lp, f"mode {mode}")
        self.house.say(self.operator, f"deposit add {lp} {fiat} machine={machine}")
        self.house.say(self.operator, f"deposit confirm d{len(self.house.book.deposits)}")

    @rule(machine=machines, key=st.sampled_from(OLD_KEYS_FIRST))
    def rotate(self, machine: str, key: str) -> None:
        """A machine gets a new key, if that is free; what the old one then says is rejected, sales and cassettes."""
        old = self.speakers[machine]
        if self.house.book.machines[machine].pubkey != person(old).pubkey:
            return
        self.house.say(self.operator, f"machine rotate {machine} @{key}")
        if self.house.book.machines[machine].pubkey != person(old).pubkey:
            self.speakers[machine] = key
            rejected = self.report_sale(machine, by=old, machine=person(old).pubkey)
            assert isinstance(rejected, Refusal)
            assert rejected.reason is Reason.MACHINE_INACTIVE
            self.house.now += 1
            outcome = self.house.take(statement(at=self.house.now, by=old, _1=(100, 1)))
            assert isinstance(outcome, Refusal)
            assert outcome.reason is Reason.MACHINE_INACTIVE

    @rule(
        machine=machines,
        age_s=st.sampled_from([0, 0, 1, 2, 30, HOUR_S]),
        first=st.tuples(st.sampled_from([50, 100]), st.integers(0, 600)),
        second=st.none() | st.tuples(st.sampled_from([20, 50, 100]), st.integers(0, 600)),
        tenth=st.booleans(),
        twice=st.booleans(),
    )
    def state_cassettes(
        self,
        machine: str,
        age_s: int,
        first: tuple[int, int],
        second: tuple[int, int] | None,
        *,
        tenth: bool,
        twice: bool,
    ) -> None:
        """A machine's word of its cassettes, which may come late, and may be two of the same date."""
        named = {"_10" if tenth else "_1": first} | ({"_2": second} if second else {})
        self.house.now += 1
        self.state(machine, self.house.now - age_s, named)
        if twice:
            self.state(machine, self.house.now - age_s, dict.fromkeys(named, (50, 7)))

    def state(self, machine: str, at: int, named: dict[str, tuple[int, int]]) -> None:
        """One statement: news, or stale because something as new was stated of each position."""
        given = statement(at=at, by=self.speakers[machine], **named)
        outcome = self.house.take(given)
        if outcome == Refusal(Reason.STALE, "a statement as new or newer is known"):
            assert len(self.sealed) == len(self.house.entries)
            known = [self.newest[machine, position.lstrip("_")] for position in named]
            assert all(outranks(one[:2], (given.created_at, given.id)) for one in known)
        else:
            assert isinstance(outcome, CassettesStated | Refusal)

    @rule(in_s=st.sampled_from([0, 60, HOUR_S, 4 * HOUR_S, 12 * HOUR_S, DAY_S]))
    def tick(self, in_s: int) -> None:
        """The clock ticks; a second look at the same moment finds nothing due."""
        self.house.tick(self.house.now + in_s)
        assert self.house.tick(self.house.now) == ()

    @rule(days=st.integers(1, 3))
    def days_pass(self, days: int) -> None:
        """And nobody looks at the clock."""
        self.house.now += days * DAY_S

    @rule(lp=st.sampled_from(LPS), fiat=cents, machine=machines, rate=st.sampled_from(["", "rate=50", "rate=20000"]))
    def settle(self, lp: str, fiat: str, machine: str, rate: str) -> None:
        """Any LP, if it has so much cash and the operator so many sats."""
        self.house.say(self.operator, f"settle {lp} {fiat} machine={machine} {rate}")

    @rule(pick=st.randoms(use_true_random=False))
    def take_a_payment_back(self, pick: Any) -> None:
        """A leg of fixed mode or of `settle`, if there is one."""
        legs = [leg["number"] for fact in self.tally.paid for leg in fact["legs"]]
        if legs:
            self.house.say(self.operator, f"payment void l{pick.choice(legs)} reason=wrong")

    # --- what simpler bookkeeping says of each new entry ------------------------------------------------------------

    def take_in(self, content: dict[str, Any]) -> None:
        """Compare an entry with what was known before it, then know what it says."""
        given = content["input"]
        event = given.get("event", {"kind": None, "pubkey": None})
        day = datetime.fromtimestamp(content["at"], TZ).date().isoformat()
        known = len(self.tally.births)
        is_corrected = defaultdict(bool, {n: told.is_corrected for n, told in self.tally.settlements.items()})
        for fact in content["facts"]:
            if fact["fact"] == "settlement_corrected":
                self.check_correction(fact)
        super().take_in(content)
        for fact in content["facts"]:
            match fact["fact"]:
                case "machine_added" | "machine_changed":
                    self.machines[fact["machine"]["handle"]] = fact["machine"]
                case "preferences_set":
                    self.preferences[fact["lp"]] = fact["preferences"]
                case "fixed_plan_set":
                    self.limit = fact["plan"]["limit"]
                case "settlement_processed" | "settlement_pending" | "settlement_retried":
                    is_reported = event["kind"] == kinds.SETTLEMENT
                    if fact["number"] > known and is_reported:
                        self.check_report(fact, event["pubkey"], day)
                    if fact["number"] > known:
                        self.dispense(fact)
                    if fact["fact"] != "settlement_pending":
                        self.first_legs[fact["number"]] = fact["legs"]
                        self.check_flow(fact)
                        self.day_minor[fact["machine"], day] += fact["sale"]["fiat_minor"]
                        self.booked_on[fact["number"]] = day
                case "settlement_corrected":
                    less_minor = fact["was_fiat_minor"] - fact["fiat_minor"]
                    self.put_back(fact, abs(less_minor), sign=1 if less_minor > 0 else -1)
                    self.day_minor[fact["machine"], self.booked_on[fact["number"]]] -= less_minor
                case "settlement_refunded" if not is_corrected[fact["number"]]:
                    self.put_back(fact, fact["sale"]["fiat_minor"])
                    if fact["number"] in self.booked_on:
                        self.day_minor[fact["machine"], self.booked_on[fact["number"]]] -= fact["fiat_minor"]
                case "slots_kept" if "tick" in given:
                    assert self.kept.isdisjoint((fact["day"], slot) for slot in fact["slots"])
                    assert fact["day"] == day
                    self.kept |= {(day, slot) for slot in fact["slots"]}
                case "lp_paid":
                    self.check_payment(fact, day)
                case "payment_voided":
                    self.check_void(fact)
                case "cassettes_stated":
                    self.note_statement(fact, given["event"])
                case "cassette_set":
                    self.note_cassettes(fact["machine"], [fact["cassette"]])
                case "cassettes_counted":
                    self.check_count(fact)

    def check_report(self, fact: dict[str, Any], author: str, day: str) -> None:
        """A report that counts is by the key in force, within the guard, and waits only for a reason that is so."""
        machine, fiat_minor = self.machines[fact["machine"]], fact["sale"]["fiat_minor"]
        guard = machine["guard"]
        day_minor = self.day_minor[fact["machine"], day] + fiat_minor
        reasons = {
            "awaiting_wallet": machine["trust"] == "wallet",
            "guard_per_settlement": guard["per_settlement_minor"] is not None
            and fiat_minor > guard["per_settlement_minor"],
            "guard_per_day": guard["per_day_minor"] is not None and day_minor > guard["per_day_minor"],
            "guard_book_total": False,  # no life is that long
        }
        assert machine["pubkey"] == author
        assert machine["active"]
        if fact["fact"] == "settlement_processed":
            assert not any(reasons.values())
        else:
            assert reasons.get(fact["reason"], guard["rate_ppm"] is not None)

    def check_flow(self, fact: dict[str, Any]) -> None:
        """X10: only who is in flow mode, and has not paused, takes part in a sale."""
        for leg in fact["legs"]:
            if leg["type"] == "dca" and leg["lp"]:
                chosen = self.preferences[leg["lp"]]
                assert (chosen["mode"], chosen["paused"]) == ("flow", False)

    def check_correction(self, fact: dict[str, Any]) -> None:
        """S11: the LPs of the first sharing bear what was dispensed, each with the cash it had then and still has."""
        machine, stakes_minor = fact["machine"], 0
        parts = {
            leg["lp"]: leg["fiat_minor"] for leg in self.tally.settlements[fact["number"]].parts if leg["type"] == "dca"
        }
        for leg in self.first_legs[fact["number"]]:
            if leg["type"] == "dca" and leg["lp"]:
                lp = leg["lp"]
                left_minor = self.tally.put_in(lp, machine) - self.tally.spent(lp, machine) + parts.get(lp, 0)
                stakes_minor += min(leg["before_minor"], left_minor)
        new = [leg for leg in fact["legs"] if leg["type"] == "dca" and leg["lp"]]
        if all(leg["sats"] for leg in new):
            assert sum(leg["fiat_minor"] for leg in new) == min(fact["fiat_minor"], stakes_minor)

    def check_payment(self, fact: dict[str, Any], day: str) -> None:
        """X6-X9: a slot pays who is in fixed mode, never above a limit; the operator never owes for it."""
        completed = [leg for leg in fact["legs"] if leg["status"] == "completed"]
        for leg in completed:
            assert leg["sats"] == int(Fraction(leg["fiat_minor"], 100) * Fraction(fact["rate"]))
            assert leg["after_minor"] == leg["before_minor"] - leg["fiat_minor"] >= 0
            if fact["slot"] is not None:
                key = (leg["lp"], fact["currency"], day)
                self.given_minor[key] += leg["fiat_minor"]
                chosen = self.preferences[leg["lp"]]
                assert (chosen["mode"], chosen["paused"]) == ("fixed", False)
                limits = [self.limit, *([chosen["limit"]] if chosen["limit"] else [])]
                assert self.given_minor[key] <= min(int(Fraction(limit) * 100) for limit in limits)
        if completed:
            assert self.tally.ledger().get("equity:operator sat", 0) <= 0

    def check_void(self, fact: dict[str, Any]) -> None:
        """A3: what was given on a day is due again on that day."""
        (leg,) = fact["voided"]
        assert leg["status"] == "voided"
        if fact["slot"] is not None:
            day = datetime.fromtimestamp(fact["paid_at"], TZ).date().isoformat()
            self.given_minor[leg["lp"], fact["currency"], day] -= leg["fiat_minor"]

    def note_statement(self, fact: dict[str, Any], event: dict[str, Any]) -> None:
        """T9, T12: a statement counts for the positions of which nothing newer was stated."""
        for one in fact["cassettes"]:
            place = (fact["machine"], one["position"])
            rank = (event["created_at"], event["id"])
            assert place not in self.newest or outranks(rank, self.newest[place][:2])
            self.newest[place] = (*rank, one["denomination"], one["count"])
        self.note_cassettes(fact["machine"], fact["cassettes"])

    def note_cassettes(self, machine: str, cassettes: list[dict[str, Any]]) -> None:
        """What is expected in these from now on."""
        known = self.notes.setdefault(machine, {})
        known |= {one["position"]: [one["denomination"], one["count"]] for one in cassettes}
        self.touched_at |= {(machine, one["position"]): one["updated_at"] for one in cassettes}

    def dispense(self, fact: dict[str, Any]) -> None:
        """The banknotes of a sale leave one by one, from the first cassette that has any of their kind."""
        if fact["sale"]["direction"] != "cash_out":
            return
        cassettes = self.notes.get(fact["machine"], {})
        for denomination, count in fact["sale"]["bills"]:
            for _ in range(count):
                for position in sorted(cassettes, key=int):
                    if cassettes[position][0] == denomination and cassettes[position][1]:
                        cassettes[position][1] -= 1
                        break

    def put_back(self, fact: dict[str, Any], fiat_minor: int, sign: int = 1) -> None:
        """Banknotes that were not dispensed, the largest first, are in the first cassette of their kind again.

        `sign` -1: they were dispensed after all.

        Those that somebody looked into since are right as they are.
        """
        cassettes = {
            place: notes
            for place, notes in self.notes.get(fact["machine"], {}).items()
            if self.touched_at[fact["machine"], place] <= fact["reported_at"]
        }
        for denomination, count in sorted(fact["sale"]["bills"], reverse=True):
            first = [place for place in sorted(cassettes, key=int) if cassettes[place][0] == denomination][:1]
            for place in first * count if fact["sale"]["direction"] == "cash_out" else []:
                if fiat_minor >= denomination * 100:
                    fiat_minor -= denomination * 100
                    cassettes[place][1] = max(0, cassettes[place][1] + sign)

    def check_count(self, fact: dict[str, Any]) -> None:
        """The variance is what was counted less what was expected."""
        expected = self.notes[fact["machine"]]
        found = [(one["count"] - expected[one["position"]][1]) * one["denomination"] for one in fact["cassettes"]]
        digits = 0 if fact["currency"] == "JPY" else 2
        assert fact["variance_minor"] == sum(found) * 10**digits
        self.note_cassettes(fact["machine"], fact["cassettes"])

    # --- what is always true ----------------------------------------------------------------------------------------

    @invariant()
    def cassettes_are_what_was_stated_less_what_left(self) -> None:
        """T5-T11: the operator's columns and the machine's, each as the simpler bookkeeping has them."""
        assert len(self.sealed) == len(self.house.entries)
        stated = {
            (machine, position): (one.state_at, one.state_event_id, one.state_denomination, one.state_count)
            for machine, till in self.house.book.tills.items()
            for position, one in till.cassettes.items()
        }
        assert stated == self.newest
        for machine, till in self.house.book.tills.items():
            expected = {position: [one.denomination, one.count] for position, one in till.cassettes.items()}
            assert expected == self.notes.get(machine, {})
            assert all(count >= 0 for _, count in expected.values())


def outranks(rank: tuple[int, str], other: tuple[int, str]) -> bool:
    """Whether a statement (date, id) is as new as another or newer: of equal dates the lower id wins."""
    return rank[0] > other[0] or (rank[0] == other[0] and rank[1] <= other[1])


AnyLife.TestCase.settings = settings(
    max_examples=examples(200), stateful_step_count=80, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyLife = AnyLife.TestCase
