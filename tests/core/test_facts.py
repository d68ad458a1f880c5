"""Facts and their plain form: what the journal keeps reads back as what was decided."""

from typing import Any, get_args

import orjson
import pytest

from nostrbot.core.atm.settlements.facts import SettlementProcessed, SettlementRetried
from nostrbot.core.atm.states import LegStatus
from nostrbot.core.facts import Fact, plain_fact, read_fact
from nostrbot.core.inputs import ClockSet
from tests.houses import House, letter, payment_hash, person, succession
from tests.machines import statement

LATER = ("booked_at",)  # fields that facts of rules 1 had not


def every_fact() -> list[Fact]:
    """At least one of each class, from lives of real houses."""
    root, house = House.root(), House.open()
    root.say("platform", "operator add @operator name=antigua")
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
    later = House.empty(bot="new-bot")
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
    facts = [fact for entry in (*root.entries, *house.entries, *later.entries) for fact in entry.facts]
    return [*facts, retried(next(fact for fact in facts if isinstance(fact, SettlementProcessed)))]


def retried(fact: SettlementProcessed) -> SettlementRetried:
    """What would follow a payout that failed: no leg can fail yet, so no house has seen it."""
    *kept, failed = fact.legs
    voided, again = failed._replace(status=LegStatus.VOIDED), failed._replace(number=failed.number + 1)
    return SettlementRetried(fact.number, fact.machine, fact.sale, tuple(kept), (voided,), (again,))


FACTS = every_fact()


def test_a_house_s_life_has_every_fact() -> None:
    """So that the tests below have met them all."""
    assert {fact.name for fact in FACTS} == {
        "operator_added", "operator_switched", "book_opened", "platform_fee_set", "machine_added", "machine_changed",
        "lp_enrolled", "lp_switched", "preferences_set", "deposit_changed", "splits_set", "settlement_rejected",
        "settlement_pending", "settlement_processed", "settlement_retried", "settlement_moved", "settlement_noted",
        "settlement_corrected", "settlement_refunded", "lp_paid", "slots_kept", "fixed_plan_set", "alert_plan_set",
        "fees_published", "cassettes_stated", "cassette_set", "cassettes_counted", "cassettes_published",
        "machine_compromised", "settlement_frozen", "settlement_lifted", "operator_replaced", "bot_rotated",
        "predecessor_named", "payment_voided", "gaps_dismissed", "preferences_carried", "clock_set_right",
        "machine_freed", "party_moved", "payment_hash_shared",
    }  # fmt: skip
    assert {fact.name for fact in FACTS} == {kind.name for kind in get_args(Fact)}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_fact_reads_back_from_its_bytes(fact: Fact) -> None:
    """Through JSON and back it is equal, and of the same types all the way down."""
    read = read_fact(orjson.loads(orjson.dumps(plain_fact(fact))))
    assert read == fact
    assert repr(read) == repr(fact)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_plain_data_has_no_floats(fact: Fact) -> None:
    """Canonical JSON holds integers only."""
    assert floats_in(orjson.loads(orjson.dumps(plain_fact(fact)))) == []


def floats_in(value: Any) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [found for member in value for found in floats_in(member)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_what_is_not_that_fact_does_not_read(fact: Fact) -> None:
    """A missing field, a value of another type, an unknown name: named errors, never a wrong fact."""
    plain = orjson.loads(orjson.dumps(plain_fact(fact)))
    for name in plain:
        if name not in LATER:
            with pytest.raises((KeyError, TypeError, ValueError)):
                read_fact({field: value for field, value in plain.items() if field != name})
        with pytest.raises((KeyError, TypeError, ValueError)):
            read_fact(plain | {name: 1.5})
    with pytest.raises(KeyError):
        read_fact(plain | {"fact": "settlement_invented"})
