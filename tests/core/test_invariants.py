"""The invariants I1-I9 of the fault matrix, after every step of random lives of a house.

Sales of both directions, honest and spoilt, repeated and conflicting; deposits on their way in and back; switches,
modes, fees and splits; commands replayed; restarts from snapshots; a clock that jumps. A second, much simpler model reads
the sealed JSON and must agree with the book. At the end of each life its auditor must agree too.
"""

from collections import Counter
from hashlib import sha256
from typing import Any

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nostrbot.audit import verify_trail
from nostrbot.core.book import check_books
from nostrbot.core.facts import SettlementProcessed, SettlementRejected
from nostrbot.core.settlements import Duplicate
from nostrbot.core.snapshots import take_snapshot
from nostrbot.journal.entry import GENESIS
from nostrbot.refusals import Refusal
from tests.houses import House, report

MACHINES = ("m1", "m2")
LPS = ("ana", "ben", "eva", "leo")
SPLITS = ("me=100%:self", "me=50%:self ana=50%:ana", "a=33.3333%:ana p=66.6666%:@paper z=0.0001%:self", "a=50%:self")
SPOILT: tuple[dict[str, Any], ...] = (
    {"wire_sats": 1},
    {"fiat_code": "EUR"},
    {"exchange_rate": "51"},
    {"bills": [{"denomination": 0, "count": 1}]},
    {"preimage": "00" * 32},
    {"fee_sats": 0.5},
    {"txid": None},
)

machines, lps = st.sampled_from(MACHINES), st.sampled_from(LPS)
numbers = st.integers(1, 8)
cents = st.integers(1, 400_000).map(lambda minor: f"{minor // 100}.{minor % 100:02}")


class Life(RuleBasedStateMachine):
    """One house, living."""

    @initialize(joined=st.lists(st.sampled_from(LPS), unique=True, max_size=4))
    def open(self, joined: list[str]) -> None:
        self.house = House.open()
        self.house.add_machine("m2", fiat="USD")
        for lp in joined:
            self.house.add_lp(lp, "1000", machine="m1")
        self.read: list[dict[str, Any]] = []

    # --- machines ---------------------------------------------------------------------------------------------------

    @rule(
        machine=machines,
        fiat=cents,
        rate=st.sampled_from(["50", "0.07", "3.3333", "20000"]),
        off_sats=st.sampled_from([None, None, 0, 1, -1, 50, 5_000]),
        tx_type=st.sampled_from(["cash_out", "cash_out", "cash_out", "cash_in"]),
    )
    def sell(self, machine: str, fiat: str, rate: str, off_sats: int | None, tx_type: str) -> None:
        """Honest but for the fee: what is due (None), or anything from nothing to far too much."""
        self.house.sell(machine, fiat=fiat, rate=rate, fee_sats=off_sats, tx_type=tx_type)

    @rule(fiat=cents)
    def sell_at_the_first(self, fiat: str) -> None:
        """Honest, and where the LPs are."""
        self.house.sell("m1", fiat=fiat)

    @rule(machine=machines, spoilt=st.sampled_from(SPOILT))
    def sell_spoilt(self, machine: str, spoilt: dict[str, Any]) -> None:
        assert isinstance(self.house.sell(machine, **spoilt), SettlementRejected | Refusal)

    @rule(machine=machines, other=machines)
    def sell_as_another(self, machine: str, other: str) -> None:
        self.house.sell(machine, by=other)

    @precondition(lambda self: self.house.sold)
    @rule(pick=st.randoms(use_true_random=False), fresh=st.booleans(), other_content=st.booleans())
    def sell_again(self, pick: Any, fresh: bool, other_content: bool) -> None:
        """The same event, a fresh event with the same content, or the same hash with other content."""
        accepted = [entry for entry in self.house.entries if isinstance(entry.facts[0], SettlementProcessed)]
        if not accepted:
            return
        entry = pick.choice(accepted)
        payload = orjson.loads(entry.given.plaintext)
        machine = entry.facts[0].machine
        self.house.now += 1
        if other_content:
            conflict = report(machine, payload | {"txid": f"again {self.house.now}"}, at=self.house.now)
            assert isinstance(self.house.take(conflict), SettlementRejected)
        else:
            again = self.house.take(report(machine, payload, at=self.house.now) if fresh else entry.given)
            assert isinstance(again, Duplicate)
            assert again.booked.number == entry.facts[0].number

    # --- people -----------------------------------------------------------------------------------------------------

    @rule(lp=lps, machine=machines)
    def enrol(self, lp: str, machine: str) -> None:
        self.house.say("operator", f"lp add @{lp} machine={machine} name={lp}")

    @rule(lp=lps, said=st.sampled_from(["join", "join", "mode flow", "mode fixed limit=5"]))
    def choose(self, lp: str, said: str) -> None:
        self.house.say(lp, said)

    @rule(lp=lps, machine=machines, amount=cents, confirm=st.booleans())
    def deposit(self, lp: str, machine: str, amount: str, confirm: bool) -> None:
        self.house.say("operator", f"deposit add {lp} {amount} machine={machine}")
        if confirm:
            self.house.say("operator", f"deposit confirm d{len(self.house.book.deposits)}")

    @rule(number=numbers, verb=st.sampled_from(["confirm", "cancel", "edit"]), amount=cents)
    def move_deposit(self, number: int, verb: str, amount: str) -> None:
        more = f" amount={amount}" if verb == "edit" else ""
        self.house.say("operator", f"deposit {verb} d{number}{more}")

    @rule(number=numbers, amount=st.none() | cents)
    def reverse_deposit(self, number: int, amount: str | None) -> None:
        part = f" amount={amount}" if amount else ""
        self.house.say("operator", f"deposit reverse d{number} reason=torn{part}")

    @rule(
        said=st.sampled_from(["suspend", "resume"]),
        noun=st.sampled_from(["machine m1", "machine m2", "lp ana", "lp ben"]),
    )
    def switch(self, said: str, noun: str) -> None:
        kind, name = noun.split()
        self.house.say("operator", f"{kind} {said} {name}")

    @rule(said=st.sampled_from(["operator suspend antigua", "operator resume antigua", "operator resume antigua",
                                "platform fee cash_in=0 cash_out=2%", "platform fee cash_in=1% cash_out=99%"]))  # fmt: skip
    def command_of_the_platform(self, said: str) -> None:
        self.house.say("platform", said)

    @rule(
        machine=machines,
        setting=st.sampled_from(["cash_out=0", "cash_out=100%", "enforce_fee_match=on", "enforce_fee_match=off",
                                 "trust=wallet", "trust=preimage", "trust=signature", "trust=signature"]),
    )  # fmt: skip
    def set_machine(self, machine: str, setting: str) -> None:
        self.house.say("operator", f"machine set {machine} {setting}")

    @rule(where=st.sampled_from(["", "machine=m1 ", "machine=m2 "]), shares=st.sampled_from(SPLITS))
    def set_splits(self, where: str, shares: str) -> None:
        self.house.say("operator", f"splits set {where}{shares}")

    @rule(pick=st.randoms(use_true_random=False))
    def replay(self, pick: Any) -> None:
        """Any input ever taken, again: nothing is sealed for it (I9)."""
        before = self.house.chain.head
        self.house.take(pick.choice(self.house.entries).given)
        assert self.house.chain.head == before

    # --- the world --------------------------------------------------------------------------------------------------

    @rule()
    def restart(self) -> None:
        self.house.restart()

    @rule(by_s=st.integers(-3_600, 7_200))
    def clock_jumps(self, by_s: int) -> None:
        self.house.now += by_s

    # --- what is always true ----------------------------------------------------------------------------------------

    @property
    def sealed(self) -> list[dict[str, Any]]:
        """Every entry as its bytes say; each is checked when it is first read (I7): number, link, hash and time."""
        for entry in self.house.entries[len(self.read) :]:
            content = orjson.loads(entry.body)
            before: dict[str, Any] = self.read[-1] if self.read else {"seq": 0, "hash": GENESIS, "at": 0}
            assert content["seq"] == before["seq"] + 1
            assert content["prev"] == before["hash"]
            assert content["at"] >= before["at"]
            assert entry.hash == sha256(entry.body).hexdigest()
            self.read.append(content | {"hash": entry.hash})
        return self.read

    @invariant()
    def chain_is_intact(self) -> None:
        """I7: from the genesis to the head."""
        assert self.sealed[-1]["hash"] == self.house.chain.head

    @invariant()
    def every_entry_balances(self) -> None:
        """I1: postings sum to zero per unit, entry by entry and over the whole book."""
        for content in self.sealed[-2:]:
            sums: Counter[str] = Counter()
            for _, unit, amount in content["postings"]:
                sums[unit] += amount
            assert not any(sums.values())
        check_books(self.house.book)

    @invariant()
    def a_settlement_is_its_parts(self) -> None:
        """I2, I4, I5, I8: all of the wire is somebody's, each party has one leg, a rejected sale has none, none moves."""
        settlements = [fact for content in self.sealed for fact in content["facts"] if "sale" in fact]
        assert [fact["number"] for fact in settlements] == list(range(1, len(settlements) + 1))
        shared = [fact for fact in settlements if fact["fact"] == "settlement_processed"]
        leg_numbers = [leg["number"] for fact in shared for leg in fact["legs"]]
        assert leg_numbers == list(range(1, len(leg_numbers) + 1))
        for fact in shared:
            sale, legs = fact["sale"], fact["legs"]
            cash_out = sale["direction"] == "cash_out"
            assert sum(leg["sats"] for leg in legs) == (sale["wire_sats"] if cash_out else sale["fee_sats"])
            spent = sum(leg["fiat_minor"] or 0 for leg in legs)
            assert spent == (sale["fiat_minor"] if cash_out else 0)
            parties = Counter((leg["type"], leg["lp"], leg["label"]) for leg in legs if leg["status"] == "completed")
            assert set(parties.values()) <= {1}
            assert all(leg["sats"] >= 0 and leg["status"] in ("completed", "skipped") for leg in legs)
        for content in self.sealed:
            if content["facts"][0]["fact"] in ("settlement_rejected", "settlement_pending"):
                assert content["postings"] == []
                assert "legs" not in content["facts"][0]

    @invariant()
    def a_simpler_model_agrees(self) -> None:
        """I3: what each LP put in, spent and is owed, added up from the sealed JSON; never more spent than put in."""
        cash_in: dict[tuple[str, str], dict[int, int]] = {}
        spent: Counter[tuple[str, str]] = Counter()
        sats: Counter[str] = Counter()
        for content in self.sealed:
            (fact,) = content["facts"]
            if fact["fact"] == "deposit_changed":
                one = fact["deposit"]
                counted = one["amount_minor"] - one["reversed_minor"] if one["confirmed_at"] is not None else 0
                cash_in.setdefault((one["lp"], one["machine"]), {})[one["number"]] = counted
            for leg in fact.get("legs", []):
                if leg["lp"] is not None and leg["status"] == "completed":
                    sats[leg["lp"]] += leg["sats"]
                    spent[leg["lp"], fact["machine"]] += leg["fiat_minor"] or 0
        for lp in self.house.book.lps.values():
            assert self.house.book.sats_owed(lp.handle) == sats[lp.handle]
            for machine, seat in lp.seats.items():
                put_in = sum(cash_in.get((lp.handle, machine), {}).values())
                assert (seat.deposited_minor, seat.spent_minor) == (put_in, spent[lp.handle, machine])
                assert 0 <= seat.spent_minor <= seat.deposited_minor

    @invariant()
    def the_journal_alone_makes_the_same_book(self) -> None:
        """I6: the facts as sealed, applied to an empty book, give every record and balance there is."""
        assert take_snapshot(self.house.rebuilt()) == take_snapshot(self.house.book)

    @invariant()
    def an_event_has_one_entry(self) -> None:
        """I9: no event id twice in the chain."""
        ids = [content["input"]["event"]["id"] for content in self.sealed]
        assert len(set(ids)) == len(ids)

    def teardown(self) -> None:
        """The auditor decides it all again, restarts or not, and gets the same bytes."""
        if hasattr(self, "house"):
            assert verify_trail(self.house.trail()).head == self.house.chain.head


Life.TestCase.settings = settings(
    max_examples=120, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLife = Life.TestCase
