"""Guards: what a stolen machine key can do before a person looks (docs/protocol.md 3.1 and 6; M7, S19; faults.md 15, 25-27).

Guatemala is six hours behind UTC all year: its days begin at 06:00 UTC.
"""

from datetime import UTC, datetime

import orjson
import pytest

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.facts import MachineChanged
from nostrbot.core.atm.recall import Duplicate
from nostrbot.core.atm.records import Guard
from nostrbot.core.atm.settlements.facts import (
    SettlementFact,
    SettlementPending,
    SettlementProcessed,
    SettlementRejected,
)
from nostrbot.core.atm.states import Hold
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.snapshots import take_snapshot
from nostrbot.refusals import Reason, Refusal
from tests.houses import House, Outcome, person, report, sale

LAST_SECOND_OF_A_DAY = int(datetime(2026, 9, 22, 5, 59, 59, tzinfo=UTC).timestamp())


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    house.add_lp("ben", "1000")
    return house


def guard(house: House, limits: str) -> Outcome:
    return house.say("operator", f"guard m1 {limits}")


def verdict(outcome: Outcome) -> str:
    """`processed`, or why not."""
    if isinstance(outcome, Refusal):
        return outcome.reason
    assert isinstance(outcome, SettlementFact), outcome
    return outcome.status if isinstance(outcome, SettlementProcessed) else outcome.reason


def sell_at(house: House, at: int, fiat: str = "1000.00", rate: str = "50") -> str:
    house.now = at - 1
    return verdict(house.sell(fiat=fiat, rate=rate))


# --- the command ----------------------------------------------------------------------------------------------------


def test_a_guard_is_set_limit_by_limit(house: House) -> None:
    """What is not named stays; `off` takes one away; the same again changes nothing."""
    for limits, comes_to in (
        ("per_settlement=5000", Guard(500_000, None, None)),
        ("per_day=20000.50 rate=5%", Guard(500_000, 2_000_050, 50_000)),
        ("per_settlement=off", Guard(None, 2_000_050, 50_000)),
        ("rate=0", Guard(None, 2_000_050, 0)),
        ("per_day=OFF rate=off", Guard()),
    ):
        changed = guard(house, limits)
        assert isinstance(changed, MachineChanged)
        assert changed.machine.guard == comes_to
        assert (changed.machine.updated_at, changed.machine.active) == (house.now, True)
        assert guard(house, limits) is None
    assert guard(house, "") is None
    assert take_snapshot(house.rebuilt()) == take_snapshot(house.book)


@pytest.mark.parametrize(
    "limits",
    [
        "per_settlement=0",
        "per_settlement=-1",
        "per_day=1.001",
        "per_day=much",
        "rate=101%",
        "rate=0.00001%",
        "rate=-1",
        "per_settlement=90071992547409.92",
        "per_day=9999999999999999999999999999",
        "per_settlement=1 per_settlement=2",
    ],
)
def test_what_is_no_limit(house: House, limits: str) -> None:
    """An amount of the machine's fiat that a journal can hold, or a percentage; nothing is sealed for anything else."""
    head = house.chain.head
    outcome = guard(house, limits)
    assert isinstance(outcome, CommandRefused)
    assert outcome.code is Code.BAD_ARGUMENT
    assert house.chain.head == head


def test_a_guard_of_no_machine(house: House) -> None:
    outcome = house.say("operator", "guard m9 per_day=1")
    assert isinstance(outcome, CommandRefused)
    assert outcome.code is Code.NOT_FOUND


# --- per settlement -------------------------------------------------------------------------------------------------


def test_exactly_at_the_limit_passes(house: House) -> None:
    """2,000.00 where at most 2,000.00 may be; a cent more is held. Cash-ins are guarded, too."""
    guard(house, "per_settlement=2000")
    assert verdict(house.sell(fiat="2000.00")) == "processed"
    assert verdict(house.sell(fiat="2000.01")) is Hold.PER_SETTLEMENT
    assert verdict(house.sell(fiat="2000.00", tx_type="cash_in")) == "processed"
    assert verdict(house.sell(fiat="2000.01", tx_type="cash_in")) is Hold.PER_SETTLEMENT


def test_what_is_held_moves_nothing(house: House) -> None:
    """No postings, no legs; its hash is taken, so that the machine's repeats are answered; what is wrong is rejected."""
    before = house.ledger()
    guard(house, "per_settlement=1")
    held = house.sell()
    assert isinstance(held, SettlementPending)
    assert (held.platform_fee_sats, held.operator_fee_sats) == (1_500, 6_270)
    assert orjson.loads(house.entries[-1].body)["postings"] == []
    assert house.ledger() == before
    assert isinstance(house.take(house.entries[-1].given), Duplicate)
    conflict = orjson.loads(house.entries[-1].given.plaintext) | {"txid": "another"}
    assert verdict(house.take(report("m1", conflict, at=house.now))) is Reason.PAYMENT_HASH_CONFLICT
    assert verdict(house.sell(wire_sats=1)) is Reason.AMOUNTS_INCONSISTENT


# --- per day --------------------------------------------------------------------------------------------------------


def test_a_day_is_the_operator_s_own(house: House) -> None:
    """1,500 a day: full until the last second of the local day, free in the next one."""
    guard(house, "per_day=1500")
    assert sell_at(house, LAST_SECOND_OF_A_DAY - 3600) == "processed"
    assert sell_at(house, LAST_SECOND_OF_A_DAY - 60, fiat="500.00") == "processed"  # exactly at the limit
    assert sell_at(house, LAST_SECOND_OF_A_DAY, fiat="0.02") is Hold.PER_DAY
    assert sell_at(house, LAST_SECOND_OF_A_DAY + 1) == "processed"
    assert sell_at(house, LAST_SECOND_OF_A_DAY + 86_400) is Hold.PER_DAY
    assert sell_at(house, LAST_SECOND_OF_A_DAY + 86_401) == "processed"


def test_a_day_is_counted_from_before_the_guard(house: House) -> None:
    """What was booked today counts, whenever the guard was set; rejected ones do not, other machines' do not."""
    house.add_machine("m2")
    house.sell("m2")
    house.sell(fiat="1000.00")
    house.sell(fiat="1000.00", wire_sats=1)
    guard(house, "per_day=1500")
    assert verdict(house.sell(fiat="500.01")) is Hold.PER_DAY
    assert verdict(house.sell(fiat="500.00")) == "processed"


def test_held_ones_do_not_count_and_released_ones_do(house: House) -> None:
    """Otherwise a flood of held ones would stop the honest sales."""
    guard(house, "per_day=2000 per_settlement=1000")
    assert verdict(house.sell(fiat="1500.00")) is Hold.PER_SETTLEMENT
    assert verdict(house.sell(fiat="500.00")) == "processed"
    assert isinstance(house.say("operator", "settlement release s1"), SettlementProcessed)
    assert verdict(house.sell(fiat="0.02")) is Hold.PER_DAY


def test_a_release_counts_on_its_own_day(house: House) -> None:
    """It is booked then, not when it was reported."""
    guard(house, "per_day=1500 per_settlement=1000")
    assert sell_at(house, LAST_SECOND_OF_A_DAY, fiat="1200.00") is Hold.PER_SETTLEMENT
    assert isinstance(house.say("operator", "settlement release s1"), SettlementProcessed)
    assert sell_at(house, LAST_SECOND_OF_A_DAY + 60, fiat="300.01") is Hold.PER_DAY
    assert sell_at(house, LAST_SECOND_OF_A_DAY + 61, fiat="300.00") == "processed"


def test_a_restart_forgets_no_day(house: House) -> None:
    guard(house, "per_day=1500")
    house.sell(fiat="1000.00")
    house.restart()
    assert verdict(house.sell(fiat="500.01")) is Hold.PER_DAY


# --- rates ----------------------------------------------------------------------------------------------------------


def test_fewer_than_three_rates_are_no_measure(house: House) -> None:
    guard(house, "rate=5%")
    assert [verdict(house.sell(fiat="100.00", rate=rate)) for rate in ("50", "5000", "50", "5000")] == [
        "processed",
        "processed",
        "processed",
        Hold.RATE,
    ]


@pytest.mark.parametrize(
    ("rate", "passes"),
    [("52.5", True), ("47.5", True), ("52.51", False), ("47.49", False), ("52.500000000000000001", False)],
)
def test_a_rate_exactly_at_the_limit_passes(house: House, rate: str, passes: bool) -> None:
    """5 % of the median of 49, 50 and 60, which is 50: from 47.5 to 52.5, to the last digit."""
    for usual in ("49", "60", "50"):
        house.sell(fiat="100.00", rate=usual)
    guard(house, "rate=5%")
    assert verdict(house.sell(fiat="100.00", rate=rate)) == ("processed" if passes else Hold.RATE)


def test_the_median_is_of_the_last_eleven(house: House) -> None:
    """Six of eleven at a new price move it; with five of the new ones it is still the old price."""
    for _ in range(11):
        house.sell(fiat="10.00", rate="50")
    for _ in range(5):
        house.sell(fiat="10.00", rate="70")
    guard(house, "rate=1%")
    assert verdict(house.sell(fiat="10.00", rate="70")) is Hold.RATE
    assert isinstance(house.say("operator", "settlement release s17"), SettlementProcessed)
    assert verdict(house.sell(fiat="10.00", rate="70")) == "processed"
    assert verdict(house.sell(fiat="10.00", rate="50")) is Hold.RATE


def test_of_an_even_number_the_lower_middle_is_the_median(house: House) -> None:
    """Of 40, 50, 60 and 70: 50."""
    for rate in ("70", "40", "60", "50"):
        house.sell(fiat="10.00", rate=rate)
    guard(house, "rate=0")
    assert verdict(house.sell(fiat="10.00", rate="60")) is Hold.RATE
    assert verdict(house.sell(fiat="10.00", rate="50.000")) == "processed"


def test_held_and_rejected_rates_are_no_measure(house: House) -> None:
    """A stolen key must not move the median by what nobody released."""
    guard(house, "per_settlement=50")
    for _ in range(9):
        house.sell(fiat="100.00", rate="500")
        house.sell(fiat="10.00", rate="500", wire_sats=1)
    for _ in range(3):
        house.sell(fiat="10.00", rate="50")
    guard(house, "rate=5%")
    assert verdict(house.sell(fiat="10.00", rate="500")) is Hold.RATE


# --- several at once ------------------------------------------------------------------------------------------------


def test_the_first_guard_names_the_reason(house: House) -> None:
    """A wallet's word before amounts, amounts before the rate; a broken rule before all of them."""
    for _ in range(3):
        house.sell(fiat="100.00")
    guard(house, "per_settlement=1000 per_day=1200 rate=5%")
    assert verdict(house.sell(fiat="1000.01", rate="99")) is Hold.PER_SETTLEMENT
    assert verdict(house.sell(fiat="1000.00", rate="99")) is Hold.PER_DAY
    assert verdict(house.sell(fiat="900.00", rate="99")) is Hold.RATE
    assert verdict(house.sell(fiat="900.00")) == "processed"
    house.say("operator", "machine set m1 trust=wallet")
    assert verdict(house.sell(fiat="1000.01", rate="99")) is Hold.AWAITING_WALLET
    assert verdict(house.sell(fiat="1000.01", rate="99", fee_sats=0, wire_sats=1)) is Reason.AMOUNTS_INCONSISTENT
    assert verify_trail(house.trail()).head == house.chain.head


def test_off_is_off(house: House) -> None:
    guard(house, "per_settlement=1 per_day=1 rate=0")
    guard(house, "per_settlement=off per_day=off rate=off")
    for rate in ("50", "60", "70", "80"):
        assert verdict(house.sell(fiat="2000.00", rate=rate)) == "processed"


@pytest.mark.parametrize("held_by", ["guard m1 per_settlement=1", "machine set m1 trust=wallet"])
def test_a_release_shares_out_whatever_held_it(house: House, held_by: str) -> None:
    """The operator's word stands for the guard's and the wallet's; LPs and cash are those of the release."""
    house.say("operator", held_by)
    assert isinstance(house.sell(), SettlementPending)
    house.add_cash("ben", "8000")
    done = house.say("operator", "settlement release s1")
    assert isinstance(done, SettlementProcessed)
    assert [(leg.lp, leg.sats, leg.fiat_minor) for leg in done.legs if leg.lp] == [
        ("ana", 50_000, 100_000),
        ("ben", 50_000, 100_000),
    ]
    assert done.event_id == house.book.recall.dossiers[1].birth.event_id
    assert verify_trail(house.trail()).head == house.chain.head


def test_enforced_fees_reject_before_a_guard_holds(house: House) -> None:
    """S19: `enforce_fee_match=on` is a rule, and a rejected sale is never released."""
    house.say("operator", "machine set m1 enforce_fee_match=on")
    guard(house, "per_settlement=1")
    assert verdict(house.sell(fee_sats=7_871)) is Reason.FEE_MISMATCH
    assert verdict(house.sell(fee_sats=7_870)) is Hold.PER_SETTLEMENT
    outcome = house.say("operator", "settlement release s1")
    assert isinstance(outcome, CommandRefused)
    assert outcome.code is Code.WRONG_STATUS


# --- rotated keys ---------------------------------------------------------------------------------------------------


def test_an_old_key_is_not_believed_whatever_its_date(house: House) -> None:
    """M7, rows 15 and 26: journal order decides; a back-dated event of the old key is rejected, the new key's is booked."""
    house.sell()
    before = house.ledger()
    house.say("operator", "machine rotate m1 @m1-new")
    stolen = sale("m1", payment_hash="ab" * 32, n=2)
    assert verdict(house.take(report("m1", stolen, at=house.now - 86_400))) is Reason.MACHINE_INACTIVE
    assert house.ledger() == before
    forged = stolen | {"machine": person("m1-new").pubkey}
    assert verdict(house.take(report("m1", forged, at=house.now))) is Reason.MACHINE_INACTIVE
    true = house.sell(by="m1-new", machine=person("m1-new").pubkey)
    assert isinstance(true, SettlementProcessed)
    assert true.machine == "m1"
    assert verify_trail(house.trail()).head == house.chain.head


def test_a_repeat_from_before_the_rotation_is_still_answered(house: House) -> None:
    """It was booked: the machine, or whoever has its key, learns no more than it knew."""
    house.sell()
    event = house.entries[-1].given
    house.say("operator", "machine rotate m1 @m1-new")
    assert isinstance(house.take(event), Duplicate)


def test_no_key_is_used_again(house: House) -> None:
    """Neither by this machine nor by another, neither by rotating nor by enrolling; not after a restart either."""
    house.add_machine("m2")
    house.say("operator", "machine rotate m1 @m1-new")
    for _ in range(2):
        for text in (
            "machine rotate m1 @m1",
            "machine rotate m2 @m1",
            "machine rotate m2 @m1-new",
            "machine rotate m1 @m2",
            "machine add @m1 name=m3 fiat=GTQ cash_in=0 cash_out=0",
        ):
            outcome = house.say("operator", text)
            assert isinstance(outcome, CommandRefused), text
            assert outcome.code is Code.KEY_TAKEN
        house.restart()
    assert house.say("operator", "machine rotate m1 @m1-new") is None


def test_a_stranger_s_key_is_none(house: House) -> None:
    """A key that was never a machine's: dropped, not recorded."""
    outcome = house.take(report("nobody", sale("nobody"), at=house.now))
    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.UNKNOWN_AUTHOR
    assert not isinstance(outcome, SettlementRejected)


def test_a_machine_may_buy_and_sell_at_different_rates(house: House) -> None:
    """Each direction has a median of its own."""
    for _ in range(3):
        house.sell(fiat="100.00", rate="50")
        house.sell(fiat="100.00", rate="45", tx_type="cash_in")
    house.say("operator", "guard m1 rate=5%")
    assert isinstance(house.sell(fiat="100.00", rate="45", tx_type="cash_in"), SettlementProcessed)
    assert isinstance(house.sell(fiat="100.00", rate="50"), SettlementProcessed)
    assert isinstance(house.sell(fiat="100.00", rate="45"), SettlementPending)
