"""Every fact there is, met in the lives of real houses, and what people were told of it.

What lives here: the lives. What does not: what must be true of each fact (tests/core/test_facts.py, tests/core/test_desks.py).
"""

from collections import defaultdict
from dataclasses import dataclass, field

from nostrbot.core.atm.settlements.facts import SettlementProcessed, SettlementRetried
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.book import ROOT
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.specs import Scope
from nostrbot.core.facts import Fact
from nostrbot.core.inputs import ClockSet, Input, Signed
from nostrbot.core.parsing import parse
from nostrbot.journal.entry import Entry
from nostrbot.messages.receipts import Sealed, entry_messages
from nostrbot.messages.replies import answer
from nostrbot.nostr import kinds
from nostrbot.nostr.sealing import Scheme
from nostrbot.views.outcomes import outcome_view
from tests.houses import House, Outcome, letter, payment_hash, person, succession
from tests.machines import statement
from tests.payouts import house_with_every_fact, payouts_open

ROOT_ANSWERS = (Scope.OPENED, Scope.NAMED, Scope.EVERY)


@dataclass
class TellingHouse(House):
    """A house that keeps what people were told: answers in words by the first fact, messages by each fact of the entry."""

    answers: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    messages: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def take(self, given: Input) -> Outcome:
        """Decide an input, and tell what it came to as the bot does."""
        sealed = len(self.entries)
        outcome = super().take(given)
        if len(self.entries) > sealed:
            self._tell(self.entries[-1])
        return outcome

    def _tell(self, entry: Entry) -> None:
        given = entry.given
        if isinstance(given, Signed) and given.event.kind == kinds.DIRECT_MESSAGE and not given.carried:
            command = parse(given.plaintext)
            assert isinstance(command, Command)
            if command.spec.scope in ROOT_ANSWERS and self.book.key != ROOT:
                return
            view = outcome_view(self.book, given.author, command, entry.facts, at=entry.at)
            self.answers[entry.facts[0].name].append(answer(command.verb, view, json=False))
        kind, sender = (given.event.kind, given.author) if isinstance(given, Signed) else (0, "")
        scheme = given.scheme if isinstance(given, Signed) else Scheme.NIP44
        sealed = Sealed(self.book.key, entry.seq, entry.at, entry.hash, entry.facts, kind, sender, scheme)
        for message in entry_messages(self.book, sealed):
            for fact in entry.facts:
                self.messages[fact.name].append(message.text)


def lives() -> tuple[TellingHouse, TellingHouse, TellingHouse]:
    """The root, a house, and one whose bot has another key: together they meet every fact but a retried payout."""
    root, house = TellingHouse.root(), TellingHouse.open()
    root.say("platform", "operator add @operator name=antigua")
    root.say("platform", "platform fee cash_in=1% cash_out=1.5%")
    root.say("platform", "operator suspend antigua")
    root.say("platform", "operator replace antigua @new-operator")
    root.take(succession("bot", "new-bot", at=root.now))
    house.add_lp("ana", "9000")
    house.say("operator", "machine set m1 location=Mercado")
    house.say("operator", "lp suspend ana machine=m1")
    house.say("operator", "lp resume ana")
    house.say("operator", "splits set a=40%:ana b=40%:self c=20%:@paper")
    house.sell()
    house.sell(wire_sats=1, preimage="11" * 32)
    house.sell(fiat="0.02", fee_sats=0, bills=None, cassettes=None, n=None)
    house.add_machine("m2")
    house.say("operator", "machine set m1 trust=wallet")
    house.sell()
    house.say("operator", "settlement reset s4 reason=odd")
    house.say("operator", 'settlement note s4 "what is this?"')
    house.say("operator", "settlement partial s1 fiat=1500 note=jam")
    house.say("operator", "settlement refund s1 reason=back")
    house.take(statement(at=house.now, _1=(100, 480), _2=(50, 30)))
    house.say("operator", "cassette set m1 1 count=500")
    house.say("operator", "cassette count m1 1=499 2=29")
    house.say("operator", "cassette publish m1")
    house.say("operator", "guard m1 per_settlement=5000 rate=5%")
    house.say("operator", "machine rotate m1 @new-1")
    house.take(ClockSet(house.chain.at, house.chain.at - 1))
    house.now = house.chain.at + 1
    house.say("operator", "alerts down=5 sheet=off")
    house.say("operator", "settle ana 5 machine=m1 rate=50")
    house.say("operator", f"payment void l{house.book.leg_count} reason=odd")
    house.say("ana", "mode fixed limit=500")
    house.say("operator", "fixed schedule 08:00,20:00")
    house.tick(house.now + 86_400)
    house.say("operator", "machine resume m1")
    house.sell(by="new-1", machine=person("new-1").pubkey, n=50)
    house.sell(by="new-1", machine=person("new-1").pubkey, n=55)
    house.say("operator", "gap dismiss m1")
    house.say("operator", "machine compromised m1 since=0")
    house.say("operator", "settlement release s3")
    house.sell("m2", payment_hash=payment_hash(3))  # s3's
    later = TellingHouse.empty(bot="new-bot")
    later.say("platform", "operator add @operator name=antigua")
    later.take(succession("bot", "new-bot", at=later.now)._replace(carried=True))
    later.say("operator", "machine add @m1 name=m1 fiat=GTQ cash_in=0 cash_out=0")
    later.say("operator", "lp add @ana machine=m1 name=ana")
    later.take(letter("ana", "join", at=later.now, to="new-bot")._replace(carried=True))
    later.say("platform", "machine free @m1")
    house.say("operator", "splits set x=100%:@xena")
    house.say("operator", "machine resume m1")
    house.sell("m1", by="new-1")
    house.say("operator", "machine add @m5 name=m5 fiat=GTQ cash_in=5% cash_out=5%")
    house.sell("m5")
    house.say("operator", "lp add @xena machine=m5 name=xena")
    return root, house, later


def retried(fact: SettlementProcessed) -> SettlementRetried:
    """What would follow a payout that failed: no leg can fail yet, so no house has seen it."""
    *kept, failed = fact.legs
    voided, again = failed._replace(status=LegStatus.VOIDED), failed._replace(number=failed.number + 1)
    return SettlementRetried(fact.number, fact.machine, fact.sale, tuple(kept), (voided,), (again,))


LIVES = lives()
FACTS: list[Fact] = [fact for house in LIVES for entry in house.entries for fact in entry.facts]
with payouts_open():  # people are told nothing of these yet: nobody can ask for a payout
    FACTS += [fact for entry in house_with_every_fact().entries for fact in entry.facts]
FACTS.append(retried(next(fact for fact in FACTS if isinstance(fact, SettlementProcessed))))
