"""Summaries: what a verified trail holds, and what each part of it rests on.

What lives here: the figures, and counting facts. What does not: verifying (verification.py), words (verdicts.py).
docs/protocol.md section 8 names the fields; docs/audit.md says what they are worth.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from nostrbot.core.atm.facts import LpPaid, PartyMoved, PaymentVoided
from nostrbot.core.atm.settlements.facts import (
    Leg,
    SettlementCorrected,
    SettlementProcessed,
    SettlementRefunded,
    SettlementRetried,
)
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.facts import Fact
from nostrbot.core.rules import RULES
from nostrbot.journal.entry import GENESIS

CARRIED_NAMED = 1_000
# A trail is a stranger's file: it may name as many connections as it has entries, each as long as a line.
SOURCES_NAMED, SOURCE_CHARS_MAX = 100, 64
OTHER_SOURCES = "(others)"


class Carried(NamedTuple):
    """An earlier command that came into entry `entry` late: what it was, who said it, and when (unix seconds)."""

    entry: int
    verb: str
    author: str
    at: int


@dataclass(slots=True)
class Observations:
    """The number of observations through one connection, and what they rest on."""

    count: int = 0
    proven: int = 0
    on_word: int = 0


@dataclass(slots=True)
class Summary:
    """The contents of a verified trail, and what each part of them rests on.

    Attributes:
        bot: the key of the trail's header; bot_now: the one it has after the last entry; entries, head: how many, and
            the hash of the last.
        settlements, sats_settled: that were booked, and the sats of them in force; receipts: that LPs may keep.
        signed, ticks, clocks_set: inputs that somebody signed, ticks, and the times a person
            set that clock right, so that the book's time went back; observations: what the bot saw of the world, by
            connection. Together all entries.
        heard_before: signed inputs that the bot says it heard before the entry's time; their age was judged by that.
        plain, encrypted: how the signed inputs came. Among the encrypted, `opened_by_keys` are proven by the message's
            own keys, `opened_by_parties` were compared by a key that a party gave, and `on_bots_word` are neither.
        checkpoints_checked, receipts_checked: papers that fit; receipts_voided: those of them that are void by now.
        carried: earlier commands that were carried into the book, the first CARRIED_NAMED of carried_count.
        aged: commands that were too old by their entry's time, and fresh only by when the bot says it heard them; the
            first CARRIED_NAMED of aged_count.
        by_rules: how many entries were decided by which rules; old_rules_until: the time of the last of them that were
            not the newest there are, 0: none.
        slots_missed: times of fixed mode whose local day ended before they had their turn; slot_missed_on: the last
            such day.
        numbers_missing: by machine, what its counter counts and the trail lacks, like `42` or `45-47`; where the
            counter jumped, all between.
    """

    bot: str
    book: str
    bot_now: str = ""
    platform: str = ""
    handle: str = ""
    entries: int = 0
    head: str = GENESIS
    settlements: int = 0
    receipts: int = 0
    encrypted: int = 0
    sats_settled: int = 0
    signed: int = 0
    ticks: int = 0
    clocks_set: int = 0
    observations: dict[str, Observations] = field(default_factory=dict)
    heard_before: int = 0
    plain: int = 0
    opened_by_keys: int = 0
    opened_by_parties: int = 0
    on_bots_word: int = 0
    checkpoints_checked: int = 0
    receipts_checked: int = 0
    receipts_voided: int = 0
    carried: list[Carried] = field(default_factory=list)
    carried_count: int = 0
    aged: list[Carried] = field(default_factory=list)
    aged_count: int = 0
    by_rules: dict[int, int] = field(default_factory=dict)
    old_rules_until: int = 0
    slots_missed: int = 0
    slot_missed_on: str = ""
    numbers_missing: dict[str, list[str]] = field(default_factory=dict)

    def name_carried(self, command: Carried) -> None:
        """Name an earlier command that was carried in; beyond CARRIED_NAMED only count it."""
        self.carried_count += 1
        if len(self.carried) < CARRIED_NAMED:
            self.carried.append(command)

    def name_aged(self, command: Carried) -> None:
        """Name a command that was obeyed although too old by its entry's time; beyond CARRIED_NAMED only count it."""
        self.aged_count += 1
        if len(self.aged) < CARRIED_NAMED:
            self.aged.append(command)

    def count_observation(self, source: str, *, is_proven: bool) -> None:
        """Count what the bot saw through a connection; beyond SOURCES_NAMED of them together."""
        name = source[:SOURCE_CHARS_MAX]
        if name not in self.observations and len(self.observations) >= SOURCES_NAMED:
            name = OTHER_SOURCES
        seen = self.observations.setdefault(name, Observations())
        seen.count += 1
        seen.proven += is_proven
        seen.on_word += not is_proven

    def count_rules(self, rules: int, at: int) -> None:
        """Count an entry of time `at` by the rules that decided it."""
        self.by_rules[rules] = self.by_rules.get(rules, 0) + 1
        if rules < RULES:
            self.old_rules_until = at

    def count(self, facts: tuple[Fact, ...]) -> None:
        """Count what an entry booked: settlements, the sats of them in force, receipts that LPs may keep."""
        for fact in facts:
            if isinstance(fact, SettlementProcessed | SettlementRetried):
                self.settlements += 1
                self.sats_settled += fact.sale.wire_sats
            if isinstance(fact, SettlementProcessed | SettlementRetried | SettlementCorrected | LpPaid | PartyMoved):
                self.receipts += _receipts(fact.legs, LegStatus.COMPLETED)
            if isinstance(fact, SettlementCorrected):
                self.sats_settled += fact.wire_sats - sum(leg.sats for leg in fact.voided)
            if isinstance(fact, SettlementRefunded) and fact.fiat_minor:
                self.sats_settled -= fact.sats
            if isinstance(fact, SettlementCorrected | SettlementRefunded | PaymentVoided | PartyMoved):
                self.receipts -= _receipts(fact.voided, LegStatus.VOIDED)


def _receipts(legs: tuple[Leg, ...], status: LegStatus) -> int:
    return sum(1 for leg in legs if leg.lp is not None and leg.sats and leg.status is status)
