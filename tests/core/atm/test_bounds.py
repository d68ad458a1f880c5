"""Bounds: whatever a book accepts can be sealed, kept, signed, shown and verified (docs/protocol.md section 5).

The rows A1, A4, A14, A17 and A19 of docs/faults.md. All the sats there are: 2,100,000,000,000,000.
"""

from fractions import Fraction

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nostrbot.audit.verification import verify_trail
from nostrbot.core.atm.bounds import DAY_MINOR_MAX, owed_sats
from nostrbot.core.atm.facts import LpPaid, SlotsKept
from nostrbot.core.atm.settlements.facts import SettlementFact, SettlementMoved, SettlementProcessed, SettlementRefunded
from nostrbot.core.atm.states import Hold
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.inputs import Tick
from nostrbot.core.proofs.liabilities import Leaves, Tree, balances_of
from nostrbot.core.rules import FIRST, RULES
from nostrbot.core.snapshots import restore_snapshot, take_snapshot
from nostrbot.nostr.event import INT_MAX
from nostrbot.refusals import Reason
from nostrbot.views.outcomes import show_settlement
from nostrbot.views.records import sats_view
from tests.houses import House, Outcome, person

ALL_SATS = 21 * 10**14
ALL = f"{ALL_SATS}"
DAY_S = 86_400


@pytest.fixture
def house() -> House:
    house = House.open()
    house.add_lp("ana", "9000")
    return house


def verdict(outcome: Outcome) -> str:
    """`processed`, or why not."""
    assert isinstance(outcome, SettlementFact), outcome
    return outcome.status if isinstance(outcome, SettlementProcessed) else outcome.reason


def sell_all(house: House, machine: str = "m1", **changes: object) -> str:
    """A sale of every satoshi there is, for one cent."""
    settled = house.sell(machine, fiat="0.01", rate=f"{ALL_SATS * 100}", fee_sats=0, **changes)
    return verdict(settled)


def refuse(outcome: Outcome) -> str:
    assert isinstance(outcome, CommandRefused), outcome
    assert outcome.code is Code.TOO_MUCH
    return outcome.message


def check_kept_and_signed(house: House) -> None:
    """The book as it stands is kept, comes back the same, and every LP's part of it can be signed and shown."""
    taken = take_snapshot(house.book)
    kept = orjson.loads(orjson.dumps(taken))
    assert take_snapshot(restore_snapshot(kept)) == taken
    tree = Tree(Leaves(bytes(32), balances_of(house.book)))
    assert 0 <= tree.top.sums["sat"] <= ALL_SATS
    assert all(abs(sats) <= INT_MAX for sats in sats_view(house.book).values())
    for dossier in house.book.recall.dossiers.values():
        orjson.dumps(show_settlement(dossier))


def check_verifies(house: House) -> None:
    """An auditor finds the same from the sealed bytes alone."""
    assert verify_trail(iter(house.trail())).head == house.chain.head
    assert take_snapshot(house.rebuilt()) == take_snapshot(house.book)


# --- fiat -----------------------------------------------------------------------------------------------------------


def test_a1_a_sale_has_no_more_than_any_machine_holds(house: House) -> None:
    """100,000,000,000.00 is the most; a cent more, or what a machine reported in the review, is out of range."""
    assert verdict(house.sell(fiat="100000000000.00", rate="0.00001")) == "processed"
    assert verdict(house.sell(fiat="100000000000.01", rate="0.00001")) is Reason.AMOUNT_OUT_OF_RANGE
    changes = {"principal_sats": 1, "wire_sats": 1}
    sold = house.sell(fiat="90000000000000.00", rate="0.00000000000001111", fee_sats=0, tx_type="cash_in", **changes)
    assert verdict(sold) is Reason.AMOUNT_OUT_OF_RANGE
    check_kept_and_signed(house)


@pytest.mark.parametrize(
    "changes",
    [
        {"bills": [{"denomination": 10**9 + 1, "count": 1}]},
        {"bills": [{"denomination": 1, "count": 10**9 + 1}]},
        {"cassettes": {"1": {"denomination": 1, "count": 2**60}}},
    ],
)
def test_a1_banknotes_have_bounds_too(house: House, changes: dict[str, object]) -> None:
    assert verdict(house.sell(**changes)) is Reason.AMOUNT_OUT_OF_RANGE
    assert verdict(house.sell(bills=[{"denomination": 10**9, "count": 10**9}])) == "processed"


def test_a1_a_day_has_no_more_than_any_machine_sells(house: House) -> None:
    """The hundredth of the largest sales is booked, the next waits for the operator, with any guard and with none."""
    for _ in range(100):
        assert verdict(house.sell(fiat="100000000000.00", rate="0.00001")) == "processed"
    assert house.book.tills["m1"].day_minor == DAY_MINOR_MAX
    assert verdict(house.sell(fiat="0.01", rate="5000")) is Hold.PER_DAY
    house.say("operator", "guard m1 per_day=9000000000000")
    assert verdict(house.sell(fiat="0.01", rate="5000")) is Hold.PER_DAY
    house.say("operator", "guard m1 per_day=off")
    house.say("operator", "settlement refund s1 reason=false")
    assert verdict(house.sell(fiat="0.01", rate="5000")) == "processed"
    house.now += DAY_S
    assert verdict(house.sell()) == "processed"
    check_kept_and_signed(house)


def test_a1_an_old_book_beyond_64_bits_loads_and_goes_on() -> None:
    """2,100 sales that rules 1 booked: the day's sum is above 2**64; the book is kept as it is, goes on and verifies."""
    house = House.open(rules=FIRST)
    house.add_lp("ana", "9000")
    for _ in range(2_100):
        sold = house.sell(
            fiat="90000000000000.00", rate="0.00000000000001111", fee_sats=0, principal_sats=1, wire_sats=1
        )
        assert verdict(sold) == "processed"
    assert house.book.tills["m1"].day_minor > 2**64
    check_kept_and_signed(house)
    house.restart()
    house.rules = RULES
    assert verdict(house.sell()) is Hold.PER_DAY
    house.now += DAY_S
    assert verdict(house.sell()) == "processed"
    check_kept_and_signed(house)
    check_verifies(house)


def test_an_lp_has_no_more_cash_than_a_machine_holds(house: House) -> None:
    """10,000,000,000,000.00 at one machine; a refund that would lift it above waits until some is taken back."""
    house.add_cash("ana", "9999999990999.99")
    house.say("operator", "deposit add ana 0.02 machine=m1")
    assert "ana" in refuse(house.say("operator", "deposit confirm d3"))
    house.sell(fiat="100000000000.00", rate="0.00001")
    house.say("operator", "deposit confirm d3")
    assert "deposit reverse" in refuse(house.say("operator", "settlement refund s1 reason=false"))
    house.say("operator", "deposit reverse d3 reason=torn")
    assert isinstance(house.say("operator", "settlement refund s1 reason=false"), SettlementRefunded)
    check_kept_and_signed(house)
    check_verifies(house)


# --- sats -----------------------------------------------------------------------------------------------------------


def test_a17_bogus_sales_of_all_sats_wait_and_true_ones_go_on(house: House) -> None:
    """The first is believed, four are held; the book is signed all the while, and after the refund it sells as before."""
    assert [sell_all(house) for _ in range(5)] == ["processed", *[Hold.BOOK_TOTAL] * 4]
    check_kept_and_signed(house)
    assert verdict(house.sell()) is Hold.BOOK_TOTAL
    assert "settlement refund" in refuse(house.say("operator", "settlement release s6"))
    house.say("operator", "settlement refund s1 reason=false")
    assert isinstance(house.say("operator", "settlement release s6"), SettlementProcessed)
    assert verdict(house.sell()) == "processed"
    assert owed_sats(house.book) == 2 * 107_770
    check_kept_and_signed(house)
    check_verifies(house)


def test_a17_no_command_lifts_what_a_book_owes_above_all_sats(house: House) -> None:
    """Neither release, retry, a sale added by hand, nor a correction that the customer is owed for."""
    house.sell()  # 107,770 sats
    assert sell_all(house) is Hold.BOOK_TOTAL
    assert owed_sats(house.book) == 107_770
    added = f"settlement add machine=m1 fiat_amount=0.01 principal_sats={ALL} fee_sats=0"
    for said in ("settlement release s2", added):
        refuse(house.say("operator", said))
    assert isinstance(house.say("operator", "settlement reset s2 reason=look"), SettlementMoved)
    retried = house.say("operator", "settlement retry s2")
    assert isinstance(retried, SettlementMoved)
    assert retried.error == Hold.BOOK_TOTAL
    house.say("operator", "settlement partial s1 fiat=1 note=jam")  # owed to the customer now
    assert owed_sats(house.book) == 107_770
    refuse(house.say("operator", "settlement release s2"))
    house.say("operator", "settlement refund s1 reason=paid")
    refuse(house.say("operator", "settlement release s2"))
    check_kept_and_signed(house)
    check_verifies(house)


def test_a17_cash_ins_take_the_operator_no_further_below_zero_than_all_sats(house: House) -> None:
    """Its own sats end at -21e14; a refund that would go below is refused until a cash-in is refunded first."""
    house.say("operator", "lp suspend ana")
    assert sell_all(house) == "processed"
    assert [sell_all(house, tx_type="cash_in") for _ in range(3)] == ["processed", "processed", Hold.BOOK_TOTAL]
    assert house.book.own_sats() == -ALL_SATS
    check_kept_and_signed(house)
    assert "your own sats as far below zero" in refuse(house.say("operator", "settlement refund s1 reason=false"))
    house.say("operator", "settlement refund s2 reason=false")
    house.say("operator", "settlement refund s3 reason=false")
    assert isinstance(house.say("operator", "settlement refund s1 reason=false"), SettlementRefunded)
    assert owed_sats(house.book) == 0
    check_verifies(house)


def test_a17_an_old_book_above_all_sats_comes_back_by_refunds() -> None:
    """Rules 1 booked five; from then on every sale waits until what is owed has room again."""
    house = House.open(rules=FIRST)
    house.add_lp("ana", "9000")
    assert [sell_all(house) for _ in range(5)] == ["processed"] * 5
    house.rules = RULES
    assert verdict(house.sell()) is Hold.BOOK_TOTAL
    assert verdict(house.sell(tx_type="cash_in", fee_sats=0)) == "processed"  # it lifts nothing
    for number in range(1, 6):
        assert isinstance(house.say("operator", f"settlement refund s{number} reason=false"), SettlementRefunded)
    assert verdict(house.sell()) == "processed"
    check_kept_and_signed(house)
    check_verifies(house)


def test_a4_an_absurd_price_leaves_a_slot_that_can_be_kept(house: House) -> None:
    """0.01 GTQ for all sats; then LPs in fixed mode are due more sats than 64 bits have."""
    house.say("ana", "mode fixed")
    house.say("operator", "fixed schedule 00:00,12:00")
    sell_all(house)
    house.now += DAY_S
    sell_all(house)
    facts = house.tick(house.now + DAY_S)
    kept = facts[0]
    assert isinstance(kept, SlotsKept)
    assert 0 <= kept.short_sats <= ALL_SATS
    assert all(isinstance(fact, LpPaid | SlotsKept) for fact in facts)
    check_kept_and_signed(house)
    check_verifies(house)


# --- limits are given back ------------------------------------------------------------------------------------------


def test_a14_a_hundred_bogus_sales_refunded_and_the_machine_sells_again(house: House) -> None:
    """The whole drill: compromised, refunded, rotated. Neither the volume, the day nor the usual rate is a thief's."""
    for _ in range(100):
        assert sell_all(house) == "processed"
        house.say("operator", f"settlement refund s{house.book.settlement_count} reason=false")
    house.say("operator", "guard m1 rate=5%")
    assert verdict(house.sell()) == "processed"
    assert house.book.tills["m1"].volume_sats == 107_770
    assert house.book.tills["m1"].rates == {"cash_out": [(101, "50")]}
    check_verifies(house)


def test_a14_a_new_key_begins_to_count_anew(house: House) -> None:
    """What the old key settled is none of the new one's, and giving it back takes nothing from the new one's."""
    house.sell()
    house.say("operator", "machine rotate m1 @new-1")
    assert house.book.tills["m1"].volume_sats == 0
    house.say("operator", "settlement refund s1 reason=false")
    assert house.book.tills["m1"].volume_sats == 0
    assert house.book.tills["m1"].day_minor == 0
    check_verifies(house)


def test_a14_under_rules_1_nothing_was_given_back() -> None:
    """As entries of before were decided, so they are for ever."""
    house = House.open(rules=FIRST)
    house.sell()
    house.say("operator", "settlement refund s1 reason=false")
    house.say("operator", "machine rotate m1 @new-1")
    till = house.book.tills["m1"]
    assert (till.volume_sats, till.day_minor) == (107_770, 200_000)
    assert b"booked_at" not in b"".join(entry.body for entry in house.entries)
    check_verifies(house)


def test_a14_a_sale_released_today_is_of_today(house: House) -> None:
    """It was reported yesterday and counts on the day on which it was shared out, also when it is taken back."""
    house.say("operator", "guard m1 per_settlement=1000 per_day=2500")
    house.sell()
    house.now += DAY_S
    house.say("operator", "settlement release s1")
    assert verdict(house.sell(fiat="1000.00")) is Hold.PER_DAY
    house.say("operator", "settlement partial s1 fiat=1500 note=jam")
    assert verdict(house.sell(fiat="1000.00")) == "processed"
    house.now += DAY_S
    house.say("operator", "settlement refund s3 reason=false")  # of the day before: today has nothing to give back
    assert house.book.tills["m1"].day_minor == 150_000
    house.sell(fiat="1000.00")
    house.say("operator", "settlement partial s1 fiat=1 note=jam")
    assert house.book.tills["m1"].day_minor == 100_000
    check_verifies(house)


# --- tolerances -----------------------------------------------------------------------------------------------------


def test_a19_a_machine_may_floor_to_whole_sats(house: House) -> None:
    """2,000 COP at 0.2613 sats is 522.6: floored, it is booked; two sats off it is not, and was not under rules 1."""
    house.add_machine("m2", fiat="COP")
    sold = {"fiat": "2000.00", "rate": "0.2613", "fee_sats": 0}
    assert verdict(house.sell("m2", **sold)) == "processed"
    assert verdict(house.sell("m2", **sold, principal_sats=521, wire_sats=521)) is Reason.RATE_INCONSISTENT
    house.rules = FIRST
    assert verdict(house.sell("m2", **sold)) is Reason.RATE_INCONSISTENT


# --- whatever is accepted -------------------------------------------------------------------------------------------

EXTREMES = st.sampled_from(
    [0, 1, 2, 546, 10**5, 10**12, ALL_SATS - 1, ALL_SATS, ALL_SATS + 1, 2**53, 2**60, -1, -(2**60)]
)
FIAT = st.sampled_from(
    ["0.01", "1", "2000.00", "99999999999.99", "100000000000.00", "90000000000000.00", "90071992547409.91"]
)
NOTES = st.sampled_from([0, 1, 100, 10**6, 10**9, 2**53, 2**60])


@st.composite
def hostile_sales(draw: st.DrawFn) -> dict[str, object]:
    """A sale whose amounts hold together, mostly, and are of any size."""
    fiat, principal = draw(FIAT), draw(EXTREMES)
    fee = draw(EXTREMES | st.just(0))
    cash_in = draw(st.booleans())
    rate = Fraction(principal) / Fraction(fiat)
    exact = f"{int(rate * 10**18) // 10**18}.{int(abs(rate) * 10**18) % 10**18:018d}"[:40]
    return {
        "tx_type": "cash_in" if cash_in else "cash_out",
        "fiat_amount": fiat,
        "principal_sats": principal,
        "fee_sats": fee,
        "wire_sats": max(-(2**60), min(2**60, principal - fee if cash_in else principal + fee)),
        "exchange_rate": exact,
        "n": draw(st.none() | st.sampled_from([0, 1, 2**53 - 1])),
        "occurred_at": draw(st.sampled_from([0, 2**53 - 1])),
        "bills": [{"denomination": draw(NOTES), "count": draw(NOTES)}],
        "cassettes": {"1": {"denomination": draw(NOTES), "count": draw(NOTES)}},
    }


COMMANDS = st.sampled_from(
    ["settlement release s{}", "settlement refund s{} reason=x", "settlement partial s{} fiat=0.01 note=x",
     "settlement partial s{} fiat=99999999999 note=x", "settlement reset s{} reason=x", "settlement retry s{}",
     "machine compromised m1 since=0", "machine resume m1", "machine rotate m1 @m1-{}", "cassette count m1 1=0 2=1000000",
     "deposit add ana 10000000000000 machine=m1", "deposit confirm d{}", "deposit reverse d{} reason=x",
     "settle ana 0.01 machine=m1", "settle ana 9000 machine=m1", "settle ana 1 machine=m1 rate=" + "9" * 40,
     "guard m1 rate=0 per_day=90071992547409.91", "fixed limit " + "9" * 38, "cassette publish m1",
     f"settlement add machine=m1 fiat_amount=0.01 principal_sats={ALL_SATS} fee_sats=0",
     f"settlement add machine=m1 fiat_amount=99999999999 principal_sats=1 fee_sats={ALL_SATS - 1}",
     "settlement add machine=m1 fiat_amount=1 exchange_rate=" + "9" * 40, "splits set x=50%:@stranger y=50%:ana",
     "machine set m1 cash_out=100%", "alerts down=1440"]
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    old=st.lists(hostile_sales(), max_size=8),
    steps=st.lists(hostile_sales() | st.tuples(COMMANDS, st.integers(1, 9)) | st.just(None), max_size=40),
)
def test_whatever_the_core_accepts_can_be_sealed_kept_signed_and_verified(
    old: list[dict[str, object]], steps: list[dict[str, object] | tuple[str, int] | None]
) -> None:
    """Hostile sales of every size under rules 1, then under today's, with all an operator may say about them."""
    house = House.open(rules=FIRST)
    house.add_lp("ana", "9000")
    house.add_lp("ben", "100000")
    house.say("ben", "mode fixed")
    house.say("operator", "fixed schedule 00:00,08:00,16:00")
    for changes in old:
        house.sell(**changes)  # type: ignore[arg-type]
    house.rules = RULES
    for step in steps:
        if isinstance(step, dict):
            key = house.book.machines["m1"].pubkey
            house.sell(by=_name_of(key), **(step | {"machine": key}))  # type: ignore[arg-type]
        elif step is None:
            house.tick(house.now + DAY_S)
        else:
            house.say("operator", step[0].format(step[1]))
        assert owed_sats(house.book) <= (len(old) + 1) * ALL_SATS
    house.restart()
    house.take(Tick(house.chain.next_at(house.now)))
    taken = take_snapshot(house.book)
    assert take_snapshot(restore_snapshot(orjson.loads(orjson.dumps(taken)))) == taken
    check_verifies(house)
    if not old:
        check_kept_and_signed(house)


def _name_of(key: str) -> str:
    return next(name for name in ("m1", *(f"m1-{n}" for n in range(10))) if person(name).pubkey == key)
