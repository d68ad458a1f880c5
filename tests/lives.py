"""Lives: one house over any time, its machines selling, and the invariants I1-I9 of the fault matrix after every step.

What lives here: sales of both directions, honest and spoilt, repeated and conflicting; inputs replayed, restarts from
snapshots, a clock that jumps; and what must be true whatever else happens. What does not: what people say, which the
tests add as rules. A second, much simpler model reads the sealed JSON and must agree with the book. At the end of each
life its auditor must agree too.
"""

from collections import Counter
from dataclasses import fields
from hashlib import sha256
from typing import Any

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.recall import Duplicate
from nostrbot.core.atm.settlements.facts import (
    SettlementFact,
    SettlementPending,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRejected,
)
from nostrbot.core.book import Book
from nostrbot.core.engine import apply
from nostrbot.core.facts import read_fact
from nostrbot.core.inputs import Signed, effect_id
from nostrbot.core.platform.facts import BotRotated
from nostrbot.core.snapshots import take_snapshot
from nostrbot.journal.entry import GENESIS
from nostrbot.nostr import kinds
from nostrbot.refusals import Refusal
from tests.houses import House, Outcome, person, report, succession
from tests.tallies import MOVES_NOTHING, Tally

BOTS = ("bot", "new-bot", "third-bot")  # the keys it has, one after the other
MACHINES = ("m1", "m2")
SPEAKERS = ("m1", "m2", "new-1", "new-2", "new-3")  # keys that machines have, or come to have
SPOILT: tuple[dict[str, Any], ...] = (
    {"wire_sats": 1},
    {"fiat_code": "EUR"},
    {"exchange_rate": "51"},
    {"bills": [{"denomination": 0, "count": 1}]},
    {"preimage": "00" * 32},
    {"fee_sats": 0.5},
    {"txid": None},
)

machines = st.sampled_from(MACHINES)
cents = st.integers(1, 400_000).map(lambda minor: f"{minor // 100}.{minor % 100:02}")


class Life(RuleBasedStateMachine):
    """One house, living."""

    def begin(self) -> None:
        """A house with two machines; nothing of it is read yet."""
        self.house = House.open()
        self.house.add_machine("m2", fiat="USD")
        self.speakers = {"m1": "m1", "m2": "m2"}  # whose key each machine signs with
        self.read: list[dict[str, Any]] = []
        self.tally = Tally()
        self.shadow = House.empty().book

    def report_sale(self, machine: str, /, **changes: Any) -> Outcome:
        """A sale, signed with the machine's key."""
        speaker = self.speakers[machine]
        return self.house.sell(machine, **({"by": speaker, "machine": person(speaker).pubkey} | changes))

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
        self.report_sale(machine, fiat=fiat, rate=rate, fee_sats=off_sats, tx_type=tx_type)

    @rule(fiat=cents)
    def sell_at_the_first(self, fiat: str) -> None:
        """Honest, and where the LPs are."""
        self.report_sale("m1", fiat=fiat)

    @rule(machine=machines, spoilt=st.sampled_from(SPOILT))
    def sell_spoilt(self, machine: str, spoilt: dict[str, Any]) -> None:
        assert isinstance(self.report_sale(machine, **spoilt), SettlementRejected | Refusal)

    @rule(machine=machines, other=machines)
    def sell_as_another(self, machine: str, other: str) -> None:
        self.report_sale(machine, by=self.speakers[other])

    @precondition(lambda self: self.house.sold)
    @rule(pick=st.randoms(use_true_random=False), fresh=st.booleans(), other_content=st.booleans())
    def sell_again(self, pick: Any, fresh: bool, other_content: bool) -> None:
        """The same event, a fresh event with the same content, or the same hash with other content."""
        accepted = [
            entry
            for entry in self.house.entries
            if isinstance(entry.facts[0], SettlementProcessed | SettlementPending)
            and isinstance(entry.given, Signed)
            and entry.given.event.kind == kinds.SETTLEMENT
            and entry.given.is_to(self.house.book.bot)
        ]
        if not accepted:
            return
        entry = pick.choice(accepted)
        payload = orjson.loads(entry.given.plaintext)
        signer = next(name for name in SPEAKERS if person(name).pubkey == entry.given.author)
        self.house.now += 1
        if other_content:
            spoilt = payload | {"txid": f"again {len(self.house.entries)}"}
            conflict = report(signer, spoilt, at=self.house.now, to=self.house.bot)
            # One that was undone has freed its hash; a key that was suspended or rotated out since is refused, unrecorded.
            undone = {
                fact.number for one in self.house.entries for fact in one.facts if isinstance(fact, SettlementRefunded)
            }
            is_free = entry.facts[0].number in undone
            assert isinstance(self.house.take(conflict), (SettlementFact if is_free else SettlementRejected) | Refusal)
        else:
            reported = report(signer, payload, at=self.house.now, to=self.house.bot)
            again = self.house.take(reported if fresh else entry.given)
            if entry.given.author in self.house.book.freed:  # the platform took this key from the book
                assert isinstance(again, Refusal)
                return
            assert isinstance(again, Duplicate)
            assert again.booked.number == entry.facts[0].number

    @rule(pick=st.randoms(use_true_random=False))
    def replay(self, pick: Any) -> None:
        """Any input ever taken, again: nothing is sealed for it (I9)."""
        before = self.house.chain.head
        self.house.take(pick.choice(self.house.entries).given)
        assert self.house.chain.head == before

    # --- the world --------------------------------------------------------------------------------------------------

    @rule()
    def rotate_the_bot(self) -> None:
        """The bot gets another key; from then on people and machines write to that one (faults.md row 47)."""
        if len(self.house.book.rotations) < len(BOTS) - 1:
            old, new = BOTS[len(self.house.book.rotations) :][:2]
            assert self.house.take(succession(old, new, at=self.house.now)) == BotRotated(
                person(old).pubkey, person(new).pubkey
            )
            self.house.bot = new

    @rule()
    def restart(self) -> None:
        """The Recall is filled again from the journal, as the bot fills it before it needs it."""
        recall = self.house.rebuilt().recall
        assert recall.dossiers == self.house.book.recall.dossiers
        self.house.restart()
        self.house.book.recall = recall

    @rule(by_s=st.integers(-3_600, 7_200))
    def clock_jumps(self, by_s: int) -> None:
        self.house.now += by_s

    # --- what is always true ----------------------------------------------------------------------------------------

    @property
    def sealed(self) -> list[dict[str, Any]]:
        """Every entry as its bytes say; each is taken in when it is first read."""
        for entry in self.house.entries[len(self.read) :]:
            content = orjson.loads(entry.body)
            self.check_link(content)
            assert entry.hash == sha256(entry.body).hexdigest()
            self.take_in(content)
            self.read.append(content | {"hash": entry.hash})
        return self.read

    def check_link(self, content: dict[str, Any]) -> None:
        """I7: number, link and time."""
        before: dict[str, Any] = self.read[-1] if self.read else {"seq": 0, "hash": GENESIS, "at": 0}
        assert content["seq"] == before["seq"] + 1
        assert content["prev"] == before["hash"]
        assert content["at"] >= before["at"]

    def take_in(self, content: dict[str, Any]) -> None:
        """I1 and I8 of one new entry; then the tally has it, and a book that knows nothing but sealed bytes."""
        sums: Counter[str] = Counter()
        for _, unit, amount in content["postings"]:
            sums[unit] += amount
        assert not any(sums.values())
        if {fact["fact"] for fact in content["facts"]} <= MOVES_NOTHING:
            assert content["postings"] == []
            assert all("legs" not in fact for fact in content["facts"])
        self.tally.read(content)
        facts = tuple(read_fact(fact) for fact in content["facts"])
        apply(
            self.shadow,
            effect_id(content["input"]),
            facts,
            seq=content["seq"],
            at=content["at"],
            rules=content["rules"],
        )

    @invariant()
    def chain_is_intact(self) -> None:
        """I7: from the genesis to the head; I1 of every entry as it is read."""
        assert self.sealed[-1]["hash"] == self.house.chain.head

    @invariant()
    def a_settlement_is_its_parts(self) -> None:
        """I2, I4, I5, I8: all of the wire is somebody's, each party has one leg, a rejected sale has none, none moves."""
        numbers = [
            leg["number"] for content in self.sealed for fact in content["facts"] for leg in fact.get("legs", ())
        ]
        assert numbers == list(range(1, len(numbers) + 1))
        births = self.tally.births
        assert [fact["number"] for fact in births] == list(range(1, len(births) + 1))
        undone = {
            fact["number"] for one in self.sealed for fact in one["facts"] if fact["fact"] == "settlement_refunded"
        }
        accepted = [
            (fact["machine"], fact["sale"]["payment_hash"])
            for fact in births
            if fact["fact"] != "settlement_rejected" and fact["number"] not in undone
        ]
        assert len(set(accepted)) == len(accepted)
        rejected = {fact["number"] for fact in births if fact["fact"] == "settlement_rejected"}
        assert rejected.isdisjoint(self.tally.settlements)
        for told in self.tally.settlements.values():
            if not told.is_refunded:
                assert told.wire_sats + told.owed_sats == told.sale["wire_sats"]
            in_sats, in_minor = (told.wire_sats, told.fiat_minor) if told.is_cash_out else (told.sale["fee_sats"], 0)
            assert sum(leg["sats"] for leg in told.parts) == in_sats
            assert sum(leg["fiat_minor"] or 0 for leg in told.parts) == in_minor
            parties = Counter((leg["type"], leg["lp"], leg["label"]) for leg in told.completed)
            assert set(parties.values()) <= {1}
            assert all(leg["sats"] >= 0 and leg["status"] in ("completed", "skipped") for leg in told.parts)

    @invariant()
    def a_simpler_model_agrees(self) -> None:
        """I3: what each LP put in, spent and is owed, and every account there is, added up from the sealed JSON."""
        assert len(self.sealed) == len(self.house.entries)
        for lp in self.house.book.lps.values():
            assert self.house.book.sats_owed(lp.handle) == self.tally.sats(lp.handle)
            for machine, seat in lp.seats.items():
                counted = (self.tally.put_in(lp.handle, machine), self.tally.spent(lp.handle, machine))
                assert (seat.deposited_minor, seat.spent_minor) == counted
                assert 0 <= seat.spent_minor <= seat.deposited_minor
        assert self.house.ledger() == self.tally.ledger()

    @invariant()
    def the_journal_alone_makes_the_same_book(self) -> None:
        """I6: the facts as sealed, applied to an empty book, give every record and balance there is, in bytes."""
        assert len(self.sealed) == len(self.house.entries)
        assert _state(self.shadow) == _state(self.house.book)
        assert orjson.dumps(take_snapshot(self.shadow)) == orjson.dumps(take_snapshot(self.house.book))

    @invariant()
    def an_event_has_one_entry(self) -> None:
        """I9: no event id twice in the chain; of a gift-wrapped message, the id of what was wrapped."""
        ids = [_what_has_effect(content["input"]) for content in self.sealed if "tick" not in content["input"]]
        assert len(set(ids)) == len(ids)

    def teardown(self) -> None:
        """The auditor decides it all again, restarts or not, and gets the same bytes."""
        if hasattr(self, "house"):
            assert verify_trail(self.house.trail()).head == self.house.chain.head


def _state(book: Book) -> dict[str, Any]:
    """All that is in a book but its Recall, which is its owner's."""
    state = {field.name: getattr(book, field.name) for field in fields(book) if field.name != "recall"}
    return state | {"balances": dict(book.balances.items())}


def _what_has_effect(given: dict[str, Any]) -> str:
    is_seal = given["event"]["kind"] == kinds.SEAL
    return str(orjson.loads(given["plaintext"])["id"] if is_seal else given["event"]["id"])
