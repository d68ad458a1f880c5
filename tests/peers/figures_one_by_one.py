"""Figures one by one: what `stats`, `statement` and `report` must say, from every entry there is and no sum.

What lives here: a second reckoning, slow and plain, over the sealed facts: each leg with when it was made and reversed, each
settlement folded to how it stands. It shares with the bot the calendar and the fold of one settlement, and nothing else.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from nostrbot.core.atm.dossier import Dossier, Settlement, as_it_stands
from nostrbot.core.atm.facts import LpPaid
from nostrbot.core.atm.settlements.facts import SettlementChange, SettlementFact, SettlementProcessed
from nostrbot.core.atm.states import LegStatus, LegType, SettlementStatus
from nostrbot.core.facts import read_fact
from nostrbot.core.local_time import local_day
from nostrbot.money import format_minor
from tests.offices import OPERATOR, Office

RECEIVED = (LegType.DCA, LegType.SETTLEMENT, LegType.OPERATOR_SPLIT)
MILESTONES = (10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 50_000_000, 100_000_000)


@dataclass
class PlainLeg:
    """A leg that was booked, and when its booking was reversed."""

    machine: str
    lp: str | None
    type: LegType
    sats: int
    minor: int
    is_apart: bool
    made_at: int
    reversed_at: int | None = None


@dataclass
class Figures:
    """Everything that was ever entered in the operator's book."""

    tz: str
    currency: str
    legs: dict[int, PlainLeg]
    settlements: list[Settlement]

    def kept(self, lp: str) -> list[PlainLeg]:
        return [leg for leg in self.legs.values() if leg.lp == lp and leg.type in RECEIVED and leg.reversed_at is None]

    def stats(self, lp: str, days: int | None, now: int) -> dict[str, Any]:
        """The figures over time of `stats`, of one currency."""
        today, legs = local_day(self.tz, now), self.kept(lp)
        first_day = "" if days is None else (date.fromisoformat(today) - timedelta(days=days - 1)).isoformat()
        by_months = days is None or days > 90
        bought = [leg for leg in legs if leg.type is not LegType.OPERATOR_SPLIT]
        in_range = [leg for leg in legs if local_day(self.tz, leg.made_at) >= first_day]
        rows: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for leg in in_range:
            period = local_day(self.tz, leg.made_at)[: 7 if by_months else 10]
            rows[period][0] += leg.sats
            rows[period][1] += leg.minor
        total, reached = 0, []
        for day in sorted({local_day(self.tz, leg.made_at) for leg in legs}):
            before, total = total, total + sum(leg.sats for leg in legs if local_day(self.tz, leg.made_at) == day)
            reached += [{"sats": one, "day": day} for one in MILESTONES if before < one <= total]
        return {
            "sats": sum(leg.sats for leg in legs),
            "sats_in_range": sum(leg.sats for leg in in_range),
            "commission_sats": sum(leg.sats for leg in in_range if leg.type is LegType.OPERATOR_SPLIT),
            "purchases": sum(leg in bought for leg in in_range),
            "purchases_ever": len(bought),
            "first_at": min((leg.made_at for leg in bought), default=None),
            "last_at": max((leg.made_at for leg in bought), default=None),
            "reached": reached,
            "accumulation": [
                {
                    ("month" if by_months else "day"): period,
                    "currency": self.currency,
                    "sats": sats,
                    "fiat": format_minor(minor, self.currency),
                }
                for period, (sats, minor) in sorted(rows.items(), reverse=True)
            ],
        }

    def statement(self, lp: str, start: int, end: int) -> dict[str, Any]:
        """The sats of a month, and by machine what was received and corrected."""
        legs = [leg for leg in self.legs.values() if leg.lp == lp and leg.type in RECEIVED and leg.made_at < end]
        within = [leg for leg in legs if leg.made_at >= start]
        undone = [leg for leg in legs if leg.reversed_at is not None and start <= leg.reversed_at < end]
        undone_before = [leg for leg in legs if leg.reversed_at is not None and leg.reversed_at < start]
        opening = sum(leg.sats for leg in legs) - sum(leg.sats for leg in (*within, *undone_before))
        received, corrections = (sum(leg.sats for leg in some) for some in (within, undone))
        payouts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        for leg in within:
            for place, amount in enumerate((1, leg.sats, leg.minor)):
                payouts[leg.machine, leg.type.value][place] += amount
        return {
            "opening": opening,
            "received": received,
            "corrections": corrections,
            "closing": opening + received - corrections,
            "payouts": {
                place: (count, sats, format_minor(minor, self.currency))
                for place, (count, sats, minor) in payouts.items()
            },
            "corrected": {
                machine: format_minor(sum(leg.minor for leg in undone if leg.machine == machine), self.currency)
                for machine in {leg.machine for leg in undone}
            },
        }

    def report(self, since: int) -> dict[str, Any]:
        """All machines together, since a time."""
        statuses: dict[str, Counter[str]] = defaultdict(Counter)
        sums: Counter[str] = Counter()
        for one in self.settlements:
            if one.created_at < since:
                continue
            side = one.sale.direction.value
            statuses[side][one.status.value] += 1
            sums[f"rejected {one.error}"] += one.status is SettlementStatus.REJECTED
            is_booked = one.status in (SettlementStatus.PROCESSED, SettlementStatus.PARTIAL) or (
                one.status is SettlementStatus.REFUNDED and bool(one.legs_in_force)
            )
            if not is_booked:
                continue
            sums[f"{side} count"] += 1
            sums[f"{side} wire"] += one.wire_sats
            sums[f"{side} fiat"] += one.fiat_minor
            sums[f"{side} principal"] += one.principal_sats
            sums["mismatch"] += one.fee_mismatch_sats
            sums["owed"] += one.owed_sats
            for leg in one.legs_in_force:
                if leg.status is not LegStatus.COMPLETED:
                    continue
                if leg.type is LegType.SUPER_FEE:
                    sums["platform"] += leg.sats
                elif leg.type is LegType.OPERATOR_SPLIT:
                    sums["lps" if leg.lp else "others" if leg.pubkey else "yours"] += leg.sats
                else:
                    whose = "own_part" if leg.type is LegType.OPERATOR else "to_lps"
                    sums[f"{whose} count"] += 1
                    sums[f"{whose} sats"] += leg.sats
                    sums[f"{whose} fiat"] += leg.fiat_minor or 0
        apart = [leg for leg in self.legs.values() if leg.is_apart and leg.reversed_at is None and leg.made_at >= since]
        for what, kind in (("fixed", LegType.DCA), ("settle", LegType.SETTLEMENT)):
            sums[f"{what} count"] = sum(leg.type is kind for leg in apart)
            sums[f"{what} sats"] = sum(leg.sats for leg in apart if leg.type is kind)
        return {"statuses": {side: dict(counts) for side, counts in statuses.items()}, "sums": +sums}


async def figures_of(at: Office) -> Figures:
    """Read the operator's whole journal."""
    legs: dict[int, PlainLeg] = {}
    dossiers: dict[int, Dossier] = {}
    async for stored in at.store.queries.entries(OPERATOR.pubkey):
        for fields in stored.plain()["facts"]:
            fact = read_fact(fields)
            for leg in getattr(fact, "voided", ()):
                if leg.number in legs:
                    legs[leg.number].reversed_at = stored.at
            for leg in getattr(fact, "legs", ()):
                if leg.status is LegStatus.COMPLETED:
                    amounts = (leg.sats, leg.fiat_minor or 0)
                    legs[leg.number] = PlainLeg(
                        fields["machine"], leg.lp, leg.type, *amounts, isinstance(fact, LpPaid), stored.at
                    )
            if isinstance(fact, SettlementFact) and fact.number not in dossiers:
                dossiers[fact.number] = Dossier(fact, stored.seq, stored.at)
            elif isinstance(fact, SettlementProcessed | SettlementChange):
                dossiers[fact.number] = dossiers[fact.number].followed_by(fact, stored.at)
    return Figures(at.book.tz, "GTQ", legs, [as_it_stands(dossier) for dossier in dossiers.values()])
