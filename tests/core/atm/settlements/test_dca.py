"""Flow mode: whose cash the customer took, and the sats it turns into (acceptance X1-X5, L9, L10)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.settlements.dca import Candidate, flow_candidates, share_flow
from nostrbot.core.rules import RULES
from tests.houses import House


def partakers(*balances_minor: int) -> list[Candidate]:
    return [Candidate(f"lp{place}", balance, balance) for place, balance in enumerate(balances_minor)]


def shared(balances: list[int], fiat_minor: int, sats: int) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """((fiat, sats) of each LP, (fiat, sats) of the operator)."""
    flow = share_flow(partakers(*balances), fiat_minor, sats)
    return [(share.fiat_minor, share.sats) for share in flow.shares], (flow.operator_fiat_minor, flow.operator_sats)


def test_the_example_of_the_source_documents() -> None:
    """Balances of 9,000 and 1,000 GTQ, a sale of 2,000: 1,800 and 200."""
    assert shared([900_000, 100_000], 200_000, 100_000) == ([(180_000, 90_000), (20_000, 10_000)], (0, 0))


def test_balances_that_cover_the_cash_exactly_are_all_spent() -> None:
    """B = F: nobody has anything left, the operator has no part."""
    assert shared([900_000, 100_000], 1_000_000, 500_000) == ([(900_000, 450_000), (100_000, 50_000)], (0, 0))


def test_balances_one_short_leave_the_operator_one() -> None:
    """B = F - 1: everyone spends all, the operator's own cash covers the last centavo."""
    spent, own = shared([900_000, 100_000], 1_000_001, 1_000_001)
    assert spent == [(900_000, 900_000), (100_000, 100_000)]
    assert own == (1, 1)


def test_balances_that_do_not_cover_the_cash_are_capped() -> None:
    """B < F: each spends its whole balance and no more, and principal sats follow the cash (faults.md row 58)."""
    assert shared([50_000, 50_000], 200_000, 100_000) == ([(50_000, 25_000), (50_000, 25_000)], (100_000, 50_000))


def test_a_stake_below_the_balance_is_all_that_may_be_spent() -> None:
    """A sale that is corrected later is shared by the cash of then, not by what came since."""
    flow = share_flow([Candidate("ana", 900_000, 300_000), Candidate("ben", 100_000, 100_000)], 200_000, 100_000)
    assert [(share.partaker.lp, share.fiat_minor, share.sats) for share in flow.shares] == [
        ("ana", 150_000, 75_000),
        ("ben", 50_000, 25_000),
    ]


def test_a_share_of_no_sats_is_skipped_and_its_cash_is_the_operator_s() -> None:
    """Cash that buys nothing is not taken from an LP."""
    assert shared([999_999, 1], 200_000, 1) == ([(200_000, 1), (0, 0)], (0, 0))
    # 10 centavos over 9:1 for 1 sat: the second's centavo buys nothing.
    assert shared([9, 1], 10, 1) == ([(9, 1), (0, 0)], (1, 0))


def test_one_sat_among_a_thousand_goes_to_the_first_enrolled() -> None:
    """Equal balances, one sat: a tie, and ties are by enrolment order (faults.md row 59)."""
    spent, own = shared([100] * 1_000, 1_000, 1)
    assert spent == [(1, 1)] + [(0, 0)] * 999
    assert own == (999, 0)


def test_a_pool_of_1e15_is_shared_without_overflow() -> None:
    """faults.md row 60: the largest sale, from three balances of 1e15."""
    pool = [10**15, 10**15 - 1, 1]
    spent, own = shared(pool, 10**15, 21 * 10**14)
    assert spent == [(500_000_000_000_000, 1_050_000_000_000_000), (500_000_000_000_000, 1_050_000_000_000_000), (0, 0)]
    assert own == (0, 0)


@given(
    st.lists(st.integers(1, 10**15), min_size=1, max_size=40),
    st.integers(1, 2**53 - 1),
    st.integers(1, 21 * 10**14),
)
@settings(max_examples=200, deadline=None)
def test_sharing_is_exact_and_never_over_serves(balances: list[int], fiat_minor: int, sats: int) -> None:
    """Parts are the whole in fiat and in sats; nobody spends more than it has, or spends without receiving."""
    spent, own = shared(balances, fiat_minor, sats)
    assert sum(fiat for fiat, _ in spent) + own[0] == fiat_minor
    assert sum(part for _, part in spent) + own[1] == sats
    for balance, (fiat, part) in zip(balances, spent, strict=True):
        assert 0 <= fiat <= balance
        assert part >= 0
        assert part or not fiat
    assert own >= (0, 0)


@pytest.fixture
def house() -> House:
    house = House.open()
    for name in ("ana", "ben", "eva"):
        house.add_lp(name, "1000.00")
    return house


def candidates(house: House, machine: str = "m1") -> list[str]:
    return [partaker.lp for partaker in flow_candidates(house.book, machine, RULES)]


def test_candidates_are_in_enrolment_order(house: House) -> None:
    """L9: oldest first, whatever order they joined or paid in."""
    house.add_cash("ana", "1.00")
    assert candidates(house) == ["ana", "ben", "eva"]


def test_who_has_not_joined_is_no_candidate(house: House) -> None:
    """L10: enrolment alone is not a yes."""
    house.say("operator", "lp add @leo machine=m1 name=leo")
    assert candidates(house) == ["ana", "ben", "eva"]


def test_who_is_suspended_there_is_no_candidate(house: House) -> None:
    """The operator's switch is by machine."""
    house.add_machine("m2")
    house.add_lp("ana", "5.00", machine="m2")
    house.say("operator", "lp suspend ana machine=m1")
    assert candidates(house) == ["ben", "eva"]
    assert candidates(house, "m2") == ["ana"]


def test_who_pauses_is_no_candidate_until_it_resumes(house: House) -> None:
    """The LP's own switch, beside the operator's."""
    house.say("ana", "pause")
    assert candidates(house) == ["ben", "eva"]
    house.say("ana", "resume")
    assert candidates(house) == ["ana", "ben", "eva"]


def test_fixed_mode_is_not_flow(house: House) -> None:
    """X10: flow is for flow LPs only, and an LP can change its mind (L13)."""
    house.say("ben", "mode fixed limit=500")
    assert candidates(house) == ["ana", "eva"]
    house.say("ben", "mode flow")
    assert candidates(house) == ["ana", "ben", "eva"]


def test_who_has_nothing_left_is_no_candidate(house: House) -> None:
    """X2: only a positive remaining balance takes part."""
    house.say("operator", 'deposit reverse d2 reason="went home"')
    assert candidates(house) == ["ana", "eva"]


def test_cash_at_another_machine_does_not_count(house: House) -> None:
    """An LP takes part where its cash lies."""
    house.add_machine("m2")
    house.say("operator", "lp add @ana machine=m2 name=ana")
    assert candidates(house, "m2") == []
