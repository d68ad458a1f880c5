"""Tallies: a second set of books, much simpler than the first, kept from the sealed JSON alone.

What lives here: what each settlement came to last, what LPs put in and were paid besides, and all of it added up from
scratch whenever somebody asks. What does not: any of the code under test. Nothing here is ever reversed or restored: a
settlement that was corrected or refunded is simply another settlement from then on.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Plain = dict[str, Any]

# Facts that are booked as nothing.
MOVES_NOTHING = {
    "operator_added", "operator_switched", "operator_replaced", "book_opened", "bot_rotated", "predecessor_named",
    "clock_set_right", "platform_fee_set", "machine_added", "machine_changed", "machine_compromised", "machine_freed",
    "lp_enrolled", "lp_switched", "preferences_set", "preferences_carried", "splits_set", "fixed_plan_set", "alert_plan_set",
    "slots_kept", "fees_published", "cassettes_stated", "cassette_set", "cassettes_published", "gaps_dismissed",
    "settlement_rejected", "settlement_pending", "settlement_moved", "settlement_noted", "settlement_frozen",
    "settlement_lifted", "payment_hash_shared", "payout_held", "payout_queued", "payout_resolving", "attempt_prepared",
    "attempt_failed", "payout_unknown", "outcome_contradicted", "payouts_paused", "payouts_resumed",
}  # fmt: skip


@dataclass
class Told:
    """A settlement of which something is booked, as its newest fact tells it.

    `parts`: its legs in force, `wire_sats` and `fiat_minor` its amounts in force, `owed_sats` what its customer is owed.
    """

    machine: str
    sale: Plain
    parts: list[Plain]
    wire_sats: int
    fiat_minor: int
    owed_sats: int = 0
    is_corrected: bool = False
    is_refunded: bool = False

    @property
    def is_cash_out(self) -> bool:
        return bool(self.sale["direction"] == "cash_out")

    @property
    def completed(self) -> list[Plain]:
        return [leg for leg in self.parts if leg["status"] == "completed"]


@dataclass
class Tally:
    """Everything a book's entries have said so far. `births`: the facts by which settlements began, in order."""

    births: list[Plain] = field(default_factory=list)
    settlements: dict[int, Told] = field(default_factory=dict)
    deposits: dict[int, Plain] = field(default_factory=dict)
    paid: list[Plain] = field(default_factory=list)
    variances: Counter[tuple[str, str]] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)  # by payouts, by account and unit

    def read(self, content: Plain) -> None:
        """Take in one entry's content."""
        for fact in content["facts"]:
            self._read_fact(fact)

    def _read_fact(self, fact: Plain) -> None:
        name, number = fact["fact"], fact.get("number")
        if name in ("settlement_processed", "settlement_pending", "settlement_rejected") and number > len(self.births):
            self.births.append(fact)
        match name:
            case "settlement_processed":
                self._book(fact, fact["legs"])
            case "settlement_retried":
                self._book(fact, fact["kept"] + fact["legs"])
            case "settlement_corrected":
                self._book(fact, fact["legs"])
                told = self.settlements[number]
                told.wire_sats, told.fiat_minor, told.owed_sats = (
                    fact["wire_sats"],
                    fact["fiat_minor"],
                    fact["owed_sats"],
                )
                told.is_corrected = fact["fiat_minor"] < fact["sale"]["fiat_minor"]
            case "settlement_refunded" if number in self.settlements:
                if self.settlements[number].is_corrected:
                    self.settlements[number].owed_sats, self.settlements[number].is_refunded = 0, True
                else:
                    del self.settlements[number]
            case "deposit_changed":
                self.deposits[fact["deposit"]["number"]] = fact["deposit"]
            case "lp_paid":
                self.paid.append(fact)
            case "payment_voided":
                gone = {leg["number"] for leg in fact["voided"]}
                self.paid = [
                    paid | {"legs": [leg for leg in paid["legs"] if leg["number"] not in gone]} for paid in self.paid
                ]
            case "payout_requested" | "payout_retried" | "payout_failed" | "payout_cancelled":
                sats = fact["payout"]["sats"] + fact["payout"]["fee_cap_sats"]
                is_held = name in ("payout_requested", "payout_retried")
                self._hold(fact["payout"], sats if is_held else -sats)
            case "payout_settled":
                payout, gone = fact["payout"], fact["payout"]["sats"] + fact["fee_sats"]
                self._hold(payout, -payout["sats"] - payout["fee_cap_sats"])
                self.moved[f"{_owner(payout)[0]} sat"] += gone
                self.moved["equity:operator sat"] += fact["over_sats"]
                self.moved["assets:sats sat"] -= gone + fact["over_sats"]
            case "payment_late":
                gone = fact["payout"]["sats"] + fact["fee_sats"]
                self.moved["equity:operator sat"] += gone
                self.moved["assets:sats sat"] -= gone
            case "cassettes_counted":
                self.variances[fact["machine"], fact["currency"]] += fact["variance_minor"]

    def _hold(self, payout: Plain, sats: int) -> None:
        free, held = _owner(payout)
        self.moved[f"{free} sat"] += sats
        self.moved[f"{held} sat"] -= sats

    def _book(self, fact: Plain, parts: list[Plain]) -> None:
        sale = fact["sale"]
        self.settlements[fact["number"]] = Told(fact["machine"], sale, parts, sale["wire_sats"], sale["fiat_minor"])

    def put_in(self, lp: str, machine: str) -> int:
        """The cash of an LP that came into a machine and was not taken back out."""
        mine = [one for one in self.deposits.values() if (one["lp"], one["machine"]) == (lp, machine)]
        return sum(_counted_minor(one) for one in mine)

    def spent(self, lp: str, machine: str) -> int:
        """The cash of an LP that customers took, or that was paid for with the operator's own sats."""
        legs = [leg for told in self.settlements.values() if told.machine == machine for leg in told.completed]
        legs += [leg for fact in self.paid if fact["machine"] == machine for leg in _completed(fact)]
        return sum(leg["fiat_minor"] or 0 for leg in legs if leg["lp"] == lp)

    def sats(self, lp: str) -> int:
        """The sats that are an LP's."""
        legs = [leg for told in self.settlements.values() for leg in told.completed]
        legs += [leg for fact in self.paid for leg in _completed(fact)]
        return sum(leg["sats"] for leg in legs if leg["lp"] == lp)

    def ledger(self) -> dict[str, int]:
        """Every account that is not empty, as `account unit` -> balance; debits are positive."""
        sums: Counter[str] = Counter(self.moved)
        for number, told in self.settlements.items():
            self._add_settlement(sums, number, told)
        for one in self.deposits.values():
            sums[f"assets:cash:{one['machine']} {one['currency']}"] += _counted_minor(one)
            sums[f"liabilities:lp:{one['lp']}:cash:{one['machine']} {one['currency']}"] -= _counted_minor(one)
        for fact in self.paid:
            for leg in _completed(fact):
                sums["equity:operator sat"] += leg["sats"]
                sums[f"liabilities:lp:{leg['lp']}:sats sat"] -= leg["sats"]
                sums[f"liabilities:lp:{leg['lp']}:cash:{fact['machine']} {fact['currency']}"] += leg["fiat_minor"]
                sums[f"equity:operator {fact['currency']}"] -= leg["fiat_minor"]
        for (machine, currency), variance_minor in self.variances.items():
            sums[f"assets:cash:{machine} {currency}"] += variance_minor
            sums[f"equity:variance:{machine} {currency}"] -= variance_minor
        return {account: amount for account, amount in sums.items() if amount}

    def _add_settlement(self, sums: Counter[str], number: int, told: Told) -> None:
        currency = told.sale["currency"]
        if told.is_cash_out:
            sums["assets:sats sat"] += told.wire_sats + told.owed_sats
            sums[f"liabilities:customer:s{number} sat"] -= told.owed_sats
            sums[f"assets:cash:{told.machine} {currency}"] -= told.fiat_minor
        else:
            sums["assets:sats sat"] -= told.wire_sats
            sums["equity:operator sat"] += told.sale["principal_sats"]
            sums[f"assets:cash:{told.machine} {currency}"] += told.fiat_minor
            sums[f"equity:operator {currency}"] -= told.fiat_minor
        for leg in told.completed:
            sums[f"{_payee(leg)} sat"] -= leg["sats"]
            payer = f"liabilities:lp:{leg['lp']}:cash:{told.machine}" if leg["lp"] else "equity:operator"
            sums[f"{payer} {currency}"] += leg["fiat_minor"] or 0


def _owner(payout: Plain) -> tuple[str, str]:
    """The accounts of whose sats a payout pays: the free ones and the held ones."""
    if payout["lp"]:
        return f"liabilities:lp:{payout['lp']}:sats", f"liabilities:lp:{payout['lp']}:held"
    free = {"operator": "equity:operator", "platform": "liabilities:platform"}[payout["payee"]]
    return free, f"{free}:held"


def _completed(fact: Plain) -> list[Plain]:
    return [leg for leg in fact["legs"] if leg["status"] == "completed"]


def _counted_minor(deposit: Plain) -> int:
    taken_back = sum(reversal["minor"] for reversal in deposit["reversals"])
    return 0 if deposit["confirmed_at"] is None else int(deposit["amount_minor"]) - taken_back


def _payee(leg: Plain) -> str:
    if leg["type"] == "super_fee":
        return "liabilities:platform"
    if leg["lp"]:
        return f"liabilities:lp:{leg['lp']}:sats"
    return f"liabilities:party:{leg['pubkey']}" if leg["pubkey"] else "equity:operator"
