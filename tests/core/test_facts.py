"""Facts and their plain form: what the journal keeps reads back as what was decided."""

from typing import Any, get_args

import orjson
import pytest

from nostrbot.core.facts import Fact, plain_fact, read_fact
from tests.facts_met import FACTS

LATER = ("booked_at",)  # fields that facts of rules 1 had not


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
        "machine_freed", "party_moved", "payment_hash_shared", "payout_requested", "payout_held", "payout_queued",
        "payout_resolving", "attempt_prepared", "attempt_failed", "payout_unknown", "payout_settled", "payout_failed",
        "payout_cancelled", "payout_retried", "payment_late", "outcome_contradicted", "payouts_paused", "payouts_resumed",
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
