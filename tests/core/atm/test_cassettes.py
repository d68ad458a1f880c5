"""Cassettes: stated, set, counted, published, and emptied by sales (acceptance T5-T14; faults.md rows 11, 12, 66, 67)."""

from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.facts import CassettesCounted, CassetteSet, CassettesPublished, CassettesStated
from nostrbot.core.atm.payloads.subject import Subject
from nostrbot.core.atm.records import ATM_BOOTSTRAP, Cassette
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.inputs import Signed
from nostrbot.refusals import Reason, Refusal
from tests.houses import House, Outcome, person
from tests.machines import beacon, statement, word

OPERATOR = person("operator").pubkey


@pytest.fixture
def house() -> House:
    """m1 has stated 480 banknotes of 100 and 300 of 20."""
    house = House.open()
    hear(house, statement(at=house.now, _1=(100, 480), _2=(20, 300)))
    return house


def hear(house: House, given: Signed) -> Outcome:
    """A machine's word arrives a second later."""
    house.now += 1
    return house.take(given)


def expected(house: House, machine: str = "m1") -> dict[str, str]:
    """What is expected in each cassette, in the order they are listed."""
    return {place: f"{c.count} x {c.denomination}" for place, c in house.book.tills[machine].cassettes.items()}


def stated(house: House, machine: str = "m1") -> dict[str, str]:
    """What the machine stated last of each."""
    cassettes = house.book.tills[machine].cassettes
    return {place: f"{c.state_count} x {c.state_denomination}" for place, c in cassettes.items()}


def refused(outcome: Outcome) -> tuple[Code, str]:
    assert isinstance(outcome, CommandRefused), outcome
    return outcome.code, outcome.message


def reason(outcome: Outcome) -> Reason:
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason


# What the machine states.


def test_a_statement_fills_the_operator_s_columns_and_the_machine_s() -> None:
    """T8, T9: state_at is the event's date, updated_at the bot's time."""
    house = House.open()
    given = statement(at=house.now - 100, _1=(100, 480))
    assert hear(house, given) == CassettesStated(
        "m1",
        (
            Cassette(
                position="1",
                denomination=100,
                count=480,
                state_denomination=100,
                state_count=480,
                state_at=house.now - 101,
                state_event_id=given.id,
                updated_by=ATM_BOOTSTRAP,
                updated_at=house.now,
            ),
        ),
    )
    assert house.ledger() == {}


def test_cassettes_are_listed_as_people_count() -> None:
    """T12: 2 before 10, and numbers before names."""
    house = House.open()
    hear(house, statement(at=house.now, _10=(20, 1), recycler=(50, 2), _2=(100, 3)))
    assert list(expected(house)) == ["2", "10", "recycler"]


def test_a_b_a_leaves_b() -> None:
    """faults.md row 11; T10: a statement that comes again is no news, and makes no entry."""
    house = House.open()
    a = statement(at=house.now - 2, _1=(100, 500))
    b = statement(at=house.now - 1, _1=(100, 480))
    hear(house, a)
    hear(house, b)
    entries = len(house.entries)
    assert reason(hear(house, a)) is Reason.STALE
    assert reason(hear(house, b)) is Reason.STALE
    assert expected(house) == stated(house) == {"1": "480 x 100"}
    assert len(house.entries) == entries


def test_of_equal_dates_the_lowest_id_stays() -> None:
    """faults.md row 12."""
    for order in permutations(range(3)):
        house = House.open()
        words = [statement(at=house.now, _1=(100, count)) for count in range(3)]
        lowest = min(range(3), key=lambda count: words[count].id)
        for count in order:
            hear(house, words[count])
        assert stated(house) == {"1": f"{lowest} x 100"}


notes = st.tuples(st.sampled_from([20, 100]), st.integers(0, 3))
statements = st.lists(
    st.tuples(st.integers(0, 3), st.dictionaries(st.sampled_from(["1", "2", "3"]), notes, min_size=1)),
    min_size=1,
    max_size=5,
)


@given(statements, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_any_order_and_any_repeats_come_to_the_same(
    said: list[tuple[int, dict[str, tuple[int, int]]]], chance: Random
) -> None:
    """faults.md row 10: each cassette goes by the newest statement that names it, however they come."""
    houses = []
    for _ in range(2):
        house = House.open()
        words = [statement(at=house.now - age, **{f"_{p}": n for p, n in positions.items()}) for age, positions in said]
        arrivals = words * 2
        chance.shuffle(arrivals)
        for given_word in arrivals:
            hear(house, given_word)
        houses.append(house)
    one, other = houses
    newest = {place: max((w for w, (_, p) in zip(words, said, strict=True) if place in p), key=rank).id
              for _, positions in said for place in positions}  # fmt: skip
    for house in (one, other):
        assert {p: c.state_event_id for p, c in house.book.tills["m1"].cassettes.items()} == newest
    assert (expected(one), stated(one)) == (expected(other), stated(other))


def rank(given_word: Signed) -> tuple[int, int]:
    return given_word.created_at, -int(given_word.id, 16)


def test_a_statement_speaks_for_the_cassettes_it_names(house: House) -> None:
    """The others stay: nothing is ever deleted."""
    fact = hear(house, statement(at=house.now, _2=(50, 10)))
    assert isinstance(fact, CassettesStated)
    assert [cassette.position for cassette in fact.cassettes] == ["2"]
    assert expected(house) == {"1": "480 x 100", "2": "10 x 50"}


def test_a_machine_has_64_cassettes_at_most() -> None:
    """Over all it ever stated: a stolen key cannot grow a book without bound."""
    house = House.open()
    hear(house, statement(at=house.now, **{f"_{n}": (100, 1) for n in range(64)}))
    hear(house, statement(at=house.now, _63=(100, 2)))
    assert reason(hear(house, statement(at=house.now, _63=(100, 3), _64=(100, 3)))) is Reason.INVALID
    assert len(expected(house)) == 64
    assert expected(house)["63"] == "2 x 100"


def test_a_date_more_than_a_quarter_of_an_hour_ahead_is_refused(house: House) -> None:
    """faults.md row 14: it would outrank every true statement until that date."""
    assert reason(hear(house, statement(at=house.now + 1 + 901, _1=(100, 1)))) is Reason.DATED_AHEAD
    assert isinstance(hear(house, statement(at=house.now + 1 + 900, _1=(100, 2))), CassettesStated)
    assert expected(house)["1"] == "2 x 100"


def test_a_machine_that_may_not_speak_states_nothing(house: House) -> None:
    """T11; faults.md rows 25, 26: suspended, rotated out, its operator suspended, unknown; judged when it arrives."""
    early = statement(at=house.now - 50, _3=(100, 1))
    house.say("operator", "machine suspend m1")
    assert reason(hear(house, early)) is Reason.MACHINE_INACTIVE
    house.say("operator", "machine resume m1")
    house.say("operator", "machine rotate m1 @m1-new")
    assert reason(hear(house, early)) is Reason.MACHINE_INACTIVE
    assert reason(hear(house, statement(at=house.now, by="m9", _1=(1, 1)))) is Reason.UNKNOWN_AUTHOR
    house.say("platform", "operator suspend antigua")
    assert reason(hear(house, statement(at=house.now, by="m1-new", _1=(1, 1)))) is Reason.MACHINE_INACTIVE
    house.say("platform", "operator resume antigua")
    assert isinstance(hear(house, statement(at=house.now, by="m1-new", _1=(100, 7))), CassettesStated)
    assert expected(house) == {"1": "7 x 100", "2": "300 x 20"}


def test_what_cannot_be_read_or_is_no_statement_has_no_effect(house: House) -> None:
    """faults.md rows 24, 67. A beacon moves nothing and is no entry."""
    entries = len(house.entries)
    zero = {"positions": {"1": {"denomination": 0, "count": 5}}}
    assert reason(hear(house, word(Subject.CASSETTES, zero, at=house.now))) is Reason.INVALID
    assert reason(hear(house, word(Subject.CASSETTES, "no", at=house.now))) is Reason.INVALID
    of_m2 = word(Subject.CASSETTES, {"positions": {}}, at=house.now, of="m2")
    assert reason(hear(house, of_m2)) is Reason.ATTRIBUTION_MISMATCH
    assert reason(hear(house, beacon(at=house.now, cash_in=True))) is Reason.OFF_FILTER
    assert len(house.entries) == entries


# What sales take out.


def test_a_sale_takes_its_banknotes_out_of_what_is_expected(house: House) -> None:
    """By `bills`; the machine's own last word stays as it was, and the two drift apart (T13)."""
    house.sell(fiat="2040.00", bills=[{"denomination": 100, "count": 20}, {"denomination": 20, "count": 2}])
    assert expected(house) == {"1": "460 x 100", "2": "298 x 20"}
    assert stated(house) == {"1": "480 x 100", "2": "300 x 20"}


def test_sales_empty_the_first_cassettes_first_and_nothing_goes_below_none() -> None:
    """Two cassettes of one denomination are one supply."""
    house = House.open()
    hear(house, statement(at=house.now, _1=(100, 15), _2=(100, 10)))
    house.sell(bills=[{"denomination": 100, "count": 20}])
    assert expected(house) == {"1": "0 x 100", "2": "5 x 100"}
    house.sell(bills=[{"denomination": 100, "count": 20}])
    assert expected(house) == {"1": "0 x 100", "2": "0 x 100"}


def test_cash_in_fills_no_cassette(house: House) -> None:
    """Its banknotes go to the cashbox."""
    house.sell(tx_type="cash_in", bills=[{"denomination": 100, "count": 20}])
    assert expected(house) == {"1": "480 x 100", "2": "300 x 20"}


def test_a_later_statement_is_the_machine_s_word_on_what_is_left(house: House) -> None:
    """T9: it fills the operator's column again."""
    house.sell(bills=[{"denomination": 100, "count": 20}])
    hear(house, statement(at=house.now, _1=(100, 459)))
    assert expected(house)["1"] == stated(house)["1"] == "459 x 100"


# What the operator sets.


def test_set_changes_what_is_named_and_leaves_the_machine_s_word(house: House) -> None:
    """T7: denomination or count or both; stamped with who and when."""
    before = house.book.tills["m1"].cassettes["1"]
    fact = house.say("operator", "cassette set m1 1 count=500")
    assert isinstance(fact, CassetteSet)
    assert (fact.cassette.count, fact.cassette.denomination) == (500, 100)
    assert (fact.cassette.updated_by, fact.cassette.updated_at) == (OPERATOR, house.now)
    house.say("operator", "cassette set m1 1 denomination=50")
    assert expected(house) == {"1": "500 x 50", "2": "300 x 20"}
    after = house.book.tills["m1"].cassettes["1"]
    assert (after.state_denomination, after.state_count, after.state_at, after.state_event_id) == (
        before.state_denomination, before.state_count, before.state_at, before.state_event_id,
    )  # fmt: skip


@pytest.mark.parametrize("asked", ["", "count=480", "denomination=100 count=480"])
def test_set_to_what_already_is_changes_nothing(house: House, asked: str) -> None:
    """T7: empty is unchanged."""
    assert house.say("operator", f"cassette set m1 1 {asked}") is None
    assert house.book.tills["m1"].cassettes["1"].updated_by == ATM_BOOTSTRAP


def test_set_never_creates_a_cassette(house: House) -> None:
    """T6, faults.md row 66: how many there are is a matter of the hardware."""
    assert refused(house.say("operator", "cassette set m1 3 denomination=100 count=1")) == (
        Code.NOT_FOUND,
        "there is no such cassette: m1 has 1, 2",
    )
    house.add_machine("m2")
    assert refused(house.say("operator", "cassette set m2 1 count=1")) == (
        Code.NOT_FOUND,
        "m2 has not stated its cassettes yet: it does so by itself",
    )
    assert refused(house.say("operator", "cassette set m9 1 count=1"))[0] is Code.NOT_FOUND
    assert expected(house) == {"1": "480 x 100", "2": "300 x 20"}


@pytest.mark.parametrize(
    "asked", ["denomination=0", "denomination=-20", "count=-1", "count=1.5", "count=1000001", "count="]
)
def test_set_refuses_what_no_cassette_holds(house: House, asked: str) -> None:
    """faults.md row 67."""
    assert refused(house.say("operator", f"cassette set m1 1 {asked}"))[0] is Code.BAD_ARGUMENT


# What the operator counts.


def test_a_count_books_the_difference_to_what_was_expected(house: House) -> None:
    """Two banknotes of 100 are gone and one of 20 is too many: 180.00 short."""
    house.add_lp("ana", "50000.00")
    house.sell(bills=[{"denomination": 100, "count": 20}])
    before = house.ledger()
    fact = house.say("operator", "cassette count m1 2=301 1=458")
    assert isinstance(fact, CassettesCounted)
    assert (fact.variance_minor, fact.currency) == (-18_000, "GTQ")
    assert [(c.position, c.count, c.updated_by, c.updated_at) for c in fact.cassettes] == [
        ("1", 458, OPERATOR, house.now),
        ("2", 301, OPERATOR, house.now),
    ]
    after = house.ledger()
    assert {account: after.get(account, 0) - before.get(account, 0) for account in {*before, *after}} == {
        **dict.fromkeys(before, 0),
        "assets:cash:m1 GTQ": -18_000,
        "equity:variance:m1 GTQ": 18_000,
    }
    assert expected(house) == {"1": "458 x 100", "2": "301 x 20"}
    assert stated(house) == {"1": "480 x 100", "2": "300 x 20"}


def test_more_than_expected_is_booked_the_other_way(house: House) -> None:
    """Debits are positive: there is more cash, and a gain."""
    house.say("operator", "cassette count m1 1=481")
    assert house.ledger() == {"assets:cash:m1 GTQ": 10_000, "equity:variance:m1 GTQ": -10_000}
    house.say("operator", "cassette count m1 1=480")
    assert house.ledger() == {}


def test_a_count_that_finds_what_was_expected_is_kept_and_moves_nothing(house: House) -> None:
    """That somebody counted is worth an entry."""
    fact = house.say("operator", "cassette count m1 1=480")
    assert isinstance(fact, CassettesCounted)
    assert fact.variance_minor == 0
    assert house.ledger() == {}
    assert house.book.tills["m1"].cassettes["1"].updated_by == OPERATOR


def test_sales_go_on_from_what_was_counted(house: House) -> None:
    """What was found is what is expected from now on."""
    house.say("operator", "cassette count m1 1=100")
    house.sell(bills=[{"denomination": 100, "count": 20}])
    assert expected(house)["1"] == "80 x 100"


def test_a_currency_without_a_minor_unit() -> None:
    """A banknote of 1,000 yen is 1,000 minor units."""
    house = House.open()
    house.add_machine("yen", fiat="JPY")
    hear(house, statement(at=house.now, by="yen", _1=(1000, 10)))
    house.say("operator", "cassette count yen 1=9")
    assert house.ledger() == {"assets:cash:yen JPY": -1_000, "equity:variance:yen JPY": 1_000}


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        ("m1", Code.MISSING_ARGUMENT, "say what you counted. Say: cassette count <machine> <position>=<notes> …"),
        ("m1 1=5 3=5", Code.NOT_FOUND, "there is no such cassette: m1 has 1, 2"),
        ("m1 1=5 1=5", Code.BAD_ARGUMENT, "cassette 1 is given twice"),
        ("m1 1=-5", Code.BAD_ARGUMENT, "cassette 1 must be a number of banknotes, like 480"),
        ("m1 1=", Code.BAD_ARGUMENT, "cassette 1 must be a number of banknotes, like 480"),
        ("m2 1=5", Code.NOT_FOUND, "m2 has not stated its cassettes yet: it does so by itself"),
        ("m9 1=5", Code.NOT_FOUND, "there is no machine m9: `machine list` shows yours"),
    ],
)
def test_what_is_no_count(house: House, asked: str, code: Code, message: str) -> None:
    """Refused as a whole: no cassette of it is changed."""
    house.add_machine("m2")
    assert refused(house.say("operator", f"cassette count {asked}")) == (code, message)
    assert expected(house) == {"1": "480 x 100", "2": "300 x 20"}
    assert house.ledger() == {}


# What the machine is told.


def test_publish_tells_a_machine_all_that_is_expected(house: House) -> None:
    """T14: to the key it has now; nothing moves."""
    house.say("operator", "cassette set m1 2 count=0")
    house.say("operator", "machine rotate m1 @m1-new")
    fact = house.say("operator", "cassette publish m1")
    assert isinstance(fact, CassettesPublished)
    assert (fact.machine, fact.pubkey) == ("m1", person("m1-new").pubkey)
    assert [(c.position, c.denomination, c.count) for c in fact.cassettes] == [("1", 100, 480), ("2", 20, 0)]


def test_there_is_nothing_to_publish_before_the_machine_has_spoken() -> None:
    """Only the machine knows what cassettes it has."""
    house = House.open()
    assert refused(house.say("operator", "cassette publish m1"))[0] is Code.NOT_FOUND
    assert refused(house.say("operator", "cassette publish m9"))[0] is Code.NOT_FOUND


@pytest.mark.parametrize("command", ["cassette set m1 1 count=1", "cassette count m1 1=1", "cassette publish m1"])
def test_cassettes_are_their_operator_s_alone(house: House, command: str) -> None:
    """Not an LP's, not the platform's, not another operator's."""
    house.add_lp("ana")
    for who in ("ana", "platform", "stranger"):
        assert refused(house.say(who, command))[0] is Code.NOT_ALLOWED


def test_restart_and_replay_find_the_same_cassettes(house: House) -> None:
    """Snapshot, sealed bytes and live book agree, and an old statement stays old."""
    old = statement(at=house.now - 100, _1=(100, 1), _2=(20, 1))
    house.sell(bills=[{"denomination": 100, "count": 20}])
    house.say("operator", "cassette count m1 1=450")
    live = dict(house.book.tills["m1"].cassettes)
    assert house.rebuilt().tills["m1"].cassettes == live
    house.restart()
    assert house.book.tills["m1"].cassettes == live
    assert reason(hear(house, old)) is Reason.STALE


def test_f3_a_cassette_of_half_dinars_is_counted_dispensed_and_put_back() -> None:
    """0.5 KWD is 500 fils: the sums are exact, and a variance is booked in minor units."""
    house = House.open()
    house.add_machine("m5", fiat="KWD")
    stated = {"positions": {"1": {"denomination": "0.500", "count": 40}, "2": {"denomination": 5, "count": 10}}}
    house.take(word(Subject.CASSETTES, stated, at=house.now, by="m5"))
    till = house.book.tills["m5"]
    assert [(one.denomination, one.count) for one in till.cassettes.values()] == [("0.5", 40), (5, 10)]
    house.sell(
        "m5", fiat="7.000", rate="5000", bills=[{"denomination": "0.5", "count": 4}, {"denomination": 5, "count": 1}]
    )
    assert [one.count for one in till.cassettes.values()] == [36, 9]
    house.say("operator", 'settlement refund s1 reason="jam"')
    assert [one.count for one in till.cassettes.values()] == [40, 10]
    counted = house.say("operator", "cassette count m5 1=38 2=10")
    assert isinstance(counted, CassettesCounted)
    assert counted.variance_minor == -1_000
    house.restart()
    assert house.rebuilt().tills["m5"] == house.book.tills["m5"]
