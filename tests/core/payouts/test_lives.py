"""Lives of payouts: people ask and cancel, destinations and wallets lie, delay, forget and repeat themselves.

What lives here: such lives, and what is true after each step: the ledger sums to zero, what is held is what open payouts hold,
nothing is paid twice, nothing is lost, the journal alone makes the same book. What does not: machines and LPs' cash, which
tests/core/test_invariants.py lives through.
"""

from typing import Any

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nostrbot.audit.verification import verify_trail
from nostrbot.core.desks import check_books
from nostrbot.core.inputs import Observed
from nostrbot.core.payouts.facts import PaymentLate, PayoutSettled
from nostrbot.core.payouts.records import Payout
from nostrbot.core.payouts.states import HOLDING, PaymentOutcome, PayoutStatus
from nostrbot.core.proofs.liabilities import liabilities_of
from nostrbot.core.snapshots import restore_snapshot, take_snapshot
from nostrbot.refusals import Reason, Refusal
from tests.effort import examples
from tests.payouts import house_that_owes, now, outcome, payouts_open, preimage_of, prepared

WHO = ("ana", "ben", "operator", "platform")
amounts = st.one_of(st.sampled_from(["all", "1"]), st.integers(1, 300_000).map(str))
picks = st.randoms(use_true_random=False)


class PayingLife(RuleBasedStateMachine):
    """One house that owes sats, and a world that lies."""

    @initialize()
    def open(self) -> None:
        self.opened = payouts_open()
        self.opened.__enter__()
        self.house = house_that_owes()
        self.owed = -sum(self.house.book.balances.of(account, "sat") for account in self.accounts)
        self.given: list[Observed] = []
        self.told = 0

    @property
    def accounts(self) -> list[str]:
        """Every account that holds sats but the assets."""
        units = [account for (account, unit), _ in self.house.book.balances.items() if unit == "sat"]
        return [account for account in units if account != "assets:sats"]

    @property
    def payouts(self) -> list[Payout]:
        payouts = self.house.book.payouts
        return [*payouts.open.values(), *payouts.closed.values()]

    def see(self, given: Observed) -> Any:
        """An observation is handed in: decided, a repeat, or late, and never malformed."""
        self.given.append(given)
        result = self.house.take(given)
        assert not isinstance(result, Refusal) or result.reason is Reason.DUPLICATE, result
        return result

    @rule(who=st.sampled_from(WHO), amount=amounts)
    def ask(self, who: str, amount: str) -> None:
        self.house.say(who, f"withdraw {amount} {who}@wallet.example.com")

    @rule(seconds=st.sampled_from([1, 1, 60, 700, 5_000]))
    def time_passes(self, seconds: int) -> None:
        self.house.tick(self.house.now + seconds)

    @rule(
        said=st.sampled_from(["cancel", "payout cancel", "payout retry", "payout resolve"]),
        number=st.integers(1, 8),
        how=st.sampled_from(["settled confirm=yes", "failed reason=gone"]),
    )
    def decide_about_one(self, said: str, number: int, how: str) -> None:
        who = "ana" if said == "cancel" else "operator"
        self.house.say(who, f"{said} p{number}" + (f" {how}" if said == "payout resolve" else ""))

    @rule(said=st.sampled_from(["payout pause", "payout resume", "payout resume", "settlement refund s1 reason=x",
                                "machine compromised m1 since=0", "settlement release s1", "settlement release s2",
                                "settlement partial s2 fiat=100 note=jam", "machine resume m1"]))  # fmt: skip
    def decide_about_all(self, said: str) -> None:
        self.house.say("operator", said)
        self.owed = -sum(self.house.book.balances.of(one, "sat") for one in self.accounts) + self.left

    @precondition(lambda self: self.payouts)
    @rule(pick=picks, flaw=st.sampled_from([{}, {}, {}, {}, {"amount_msat": 5}, {"network": "tb"}, {"name": "p1.1"},
                                            {"instrument": "", "why": "down"}]))  # fmt: skip
    def a_destination_answers(self, pick: Any, flaw: dict[str, Any]) -> None:
        """For one that is asked, or for one that nobody asks for any more."""
        asked = [payout for payout in self.payouts if payout.status is PayoutStatus.RESOLVING]
        self.see(prepared(pick.choice(asked or self.payouts), self.house.now, **flaw))

    @precondition(lambda self: any(self.sent()))
    @rule(
        pick=picks,
        is_now=st.sampled_from([str(one) for one in PaymentOutcome]),
        proof=st.booleans(),
        fee_msat=st.integers(0, 400_000),
    )
    def a_wallet_says(self, pick: Any, is_now: str, proof: bool, fee_msat: int) -> None:
        """The truth or a lie, about the newest attempt or an old one."""
        payout, attempt = pick.choice(self.sent())
        self.told += 1
        changes: dict[str, Any] = {"n": self.told}
        if is_now == PaymentOutcome.SETTLED:
            preimage = preimage_of(f"{payout.id}.{attempt.number}")
            changes |= {"preimage": preimage if proof else None, "fee_msat": fee_msat if fee_msat % 4 else None}
        self.see(outcome(now(self.house, payout), attempt, is_now, self.house.now, **changes))

    @precondition(lambda self: self.given)
    @rule(pick=picks)
    def the_same_again(self, pick: Any) -> None:
        """Its source did not hear that it is held: what had its effect has no other."""
        given = pick.choice(self.given)
        if given.id in self.house.book.recall.events:
            before = self.house.chain.head
            self.see(given)
            assert self.house.chain.head == before

    @rule()
    def restart(self) -> None:
        taken = orjson.dumps(take_snapshot(self.house.book))
        assert orjson.dumps(take_snapshot(restore_snapshot(orjson.loads(taken)))) == taken
        self.house.restart()

    def sent(self) -> list[Any]:
        """Every attempt that was ever sent."""
        return [(one, attempt) for one in self.payouts for attempt in one.attempts if attempt.status != "refused"]

    @property
    def left(self) -> int:
        """The sats that left by payouts, as their facts tell."""
        paid = 0
        for entry in self.house.entries:
            for fact in entry.facts:
                if isinstance(fact, PayoutSettled):
                    paid += fact.payout.sats + fact.fee_sats + fact.over_sats
                elif isinstance(fact, PaymentLate):
                    paid += fact.payout.sats + fact.fee_sats
        return paid

    @invariant()
    def the_books_hold(self) -> None:
        """The ledger sums to zero, and what is held is what open payouts hold."""
        check_books(self.house.book)
        held = sum(payout.held_sats for payout in self.payouts if payout.status in HOLDING)
        accounts = [one for one in self.accounts if one.endswith(":held")]
        assert held == -sum(self.house.book.balances.of(account, "sat") for account in accounts)

    @invariant()
    def nothing_is_lost(self) -> None:
        """What is owed and what has left is what was owed, to the sat."""
        assert -sum(self.house.book.balances.of(one, "sat") for one in self.accounts) + self.left == self.owed

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        """A payout settles at most once, an attempt leaves at most once, and a second payment is never its owner's."""
        facts = [fact for entry in self.house.entries for fact in entry.facts]
        settled = [fact.payout.number for fact in facts if isinstance(fact, PayoutSettled)]
        assert len(set(settled)) == len(settled)
        left = [(one.payout.number, one.attempt) for one in facts if isinstance(one, PayoutSettled | PaymentLate)]
        assert len(set(left)) == len(left)

    @invariant()
    def what_is_held_is_owed(self) -> None:
        """In what a checkpoint signs."""
        lps = [one for one in self.accounts if one.startswith("liabilities:lp:")]
        assert liabilities_of(self.house.book)["sat"] == -sum(self.house.book.balances.of(one, "sat") for one in lps)

    @invariant()
    def the_journal_alone_makes_the_same_book(self) -> None:
        assert orjson.dumps(take_snapshot(self.house.rebuilt())) == orjson.dumps(take_snapshot(self.house.book))

    def teardown(self) -> None:
        """The auditor decides it all again, and counts every input."""
        if hasattr(self, "house"):
            summary = verify_trail(self.house.trail())
            assert summary.head == self.house.chain.head
            observed = sum(one.count for one in summary.observations.values())
            assert summary.entries == summary.signed + summary.ticks + summary.clocks_set + observed
            self.opened.__exit__(None, None, None)


PayingLife.TestCase.settings = settings(
    max_examples=examples(40), stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestPayingLife = PayingLife.TestCase
