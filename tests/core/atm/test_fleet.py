"""The fleet: what is known of machines from their beacons and telemetry (acceptance T1-T4; faults.md rows 11-14, 16)."""

from dataclasses import replace
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nostrbot.core.atm.fleet import UNSEEN, MachineStatus, StatusChange, read_sighting, see_beacon, see_telemetry
from nostrbot.core.atm.payloads.beacon import Beacon
from nostrbot.core.inputs import Signed
from nostrbot.refusals import Reason
from tests.houses import DAWN
from tests.machines import beacon, telemetry


def seen(outcome: StatusChange) -> MachineStatus:
    assert outcome.refusal is None, outcome.refusal
    return outcome.sighting


def reason(outcome: StatusChange) -> Reason:
    assert outcome.refusal is not None
    return outcome.refusal.reason


def live(sighting: MachineStatus, given: Signed, now: int) -> StatusChange:
    """A beacon that comes as it is published."""
    return see_beacon(sighting, given, now, may_be_stored=False)


def stored(sighting: MachineStatus, given: Signed, now: int) -> StatusChange:
    """A beacon that a relay had kept."""
    return see_beacon(sighting, given, now, may_be_stored=True)


def test_the_first_beacon_of_a_machine() -> None:
    """T1, T2: its fields, its date and id, when it was heard."""
    given = beacon(at=DAWN, cash_in=True, cash_level="high")
    assert seen(live(UNSEEN, given, DAWN + 2)) == MachineStatus(
        beacon=Beacon(cash_in=True, cash_level="high"),
        beacon_at=DAWN,
        beacon_id=given.id,
        heard_at=DAWN + 2,
        skew_s=-2,
    )


def test_a_missing_field_never_erases_a_known_one() -> None:
    """T2."""
    known = seen(live(UNSEEN, beacon(at=DAWN, cash_in=True, model="tejo", name="Parque"), DAWN))
    known = seen(live(known, beacon(at=DAWN + 60, cash_in=False, name=None), DAWN + 60))
    assert known.beacon == Beacon(cash_in=False, model="tejo", name="Parque")


def test_an_older_beacon_changes_nothing() -> None:
    """faults.md rows 11, 13: not even a field that is not known yet, and the machine was not heard by it."""
    newest = seen(live(UNSEEN, beacon(at=DAWN + 60, cash_in=True), DAWN + 60))
    late = live(newest, beacon(at=DAWN, cash_in=False, model="tejo"), DAWN + 300)
    assert reason(late) is Reason.STALE
    assert late.sighting == newest


def test_the_same_beacon_again_changes_nothing() -> None:
    """A relay that sends it once more does not make the machine alive."""
    given = beacon(at=DAWN, cash_in=True)
    known = seen(live(UNSEEN, given, DAWN))
    assert live(known, given, DAWN + 500).sighting == known


def test_of_equal_dates_the_lowest_id_stays() -> None:
    """faults.md row 12, in both orders."""
    low, high = sorted((beacon(at=DAWN, fiat="GTQ"), beacon(at=DAWN, fiat="USD")), key=lambda given: given.id)
    for order in ((low, high), (high, low)):
        known = UNSEEN
        for word in order:
            known = live(known, word, DAWN).sighting
        assert known.beacon_id == low.id
        assert known.beacon.fiat == orjson.loads(low.text)["fiat"]


def test_a_beacon_dated_an_hour_ahead_poisons_no_clock() -> None:
    """faults.md row 14: it is not applied; that the clock is off is remembered."""
    known = seen(live(UNSEEN, beacon(at=DAWN, cash_in=True), DAWN))
    ahead = live(known, beacon(at=DAWN + 3_600, cash_in=False), DAWN)
    assert reason(ahead) is Reason.DATED_AHEAD
    assert ahead.sighting == replace(known, skew_s=3_600)
    true = seen(live(ahead.sighting, beacon(at=DAWN + 60, cash_in=False), DAWN + 60))
    assert (true.beacon.cash_in, true.skew_s) == (False, 0)


def test_a_slow_clock_is_measured_and_is_not_silence() -> None:
    """faults.md row 16: the bot's clock says when a machine was heard."""
    known = UNSEEN
    for minute in range(3):
        now = DAWN + 60 * minute
        known = seen(live(known, beacon(at=now - 1_800, cash_in=True), now))
    assert (known.heard_at, known.skew_s) == (DAWN + 120, -1_800)


def test_a_stored_beacon_was_said_when_its_date_says() -> None:
    """After a start: the machine may have fallen silent since, and its clock is not to blame."""
    assert seen(stored(UNSEEN, beacon(at=DAWN - 7_200), DAWN)).heard_at == DAWN - 7_200
    known = seen(stored(UNSEEN, beacon(at=DAWN + 30), DAWN))
    assert (known.heard_at, known.skew_s) == (DAWN, None)


def test_hearing_never_goes_back() -> None:
    """Heard live before a restart, and a newer one by date from a machine whose clock is slow after it."""
    known = seen(live(UNSEEN, beacon(at=DAWN - 600), DAWN))
    known = seen(stored(known, beacon(at=DAWN - 540), DAWN + 60))
    assert (known.heard_at, known.skew_s) == (DAWN, -600)


def test_a_beacon_that_cannot_be_read_changes_nothing() -> None:
    """Counted under its name."""
    known = seen(live(UNSEEN, beacon(at=DAWN, cash_in=True), DAWN))
    spoilt = live(known, beacon(at=DAWN + 60, cash_in="yes"), DAWN + 60)
    assert (reason(spoilt), spoilt.sighting) == (Reason.INVALID, known)


def test_telemetry_replaces_what_there_was_and_nothing_else() -> None:
    """T4: kept as it came."""
    known = seen(live(UNSEEN, beacon(at=DAWN, cash_in=True), DAWN))
    first = seen(see_telemetry(known, telemetry('{ "cpu": 0.50, "disk": 1e2 }', at=DAWN), DAWN + 1))
    assert first.telemetry == '{ "cpu": 0.50, "disk": 1e2 }'
    assert first.told() == {"cpu": 0.5, "disk": 100}
    newer = telemetry({"fans": 2}, at=DAWN + 60)
    second = seen(see_telemetry(first, newer, DAWN + 60))
    assert second == replace(known, telemetry='{"fans":2}', telemetry_at=DAWN + 60, telemetry_id=newer.id)


def test_telemetry_never_goes_back() -> None:
    """faults.md rows 13, 14."""
    known = seen(see_telemetry(UNSEEN, telemetry({"n": 2}, at=DAWN), DAWN))
    for word, why in [
        (telemetry({"n": 1}, at=DAWN - 1), Reason.STALE),
        (telemetry({"n": 2}, at=DAWN), Reason.STALE),
        (telemetry({"n": 3}, at=DAWN + 901), Reason.DATED_AHEAD),
        (telemetry("[]", at=DAWN + 1), Reason.INVALID),
    ]:
        refused = see_telemetry(known, word, DAWN)
        assert (reason(refused), refused.sighting) == (why, known)


def test_a_beacon_and_telemetry_have_each_their_own_order() -> None:
    """The newest of one does not make the other old."""
    known = seen(see_telemetry(UNSEEN, telemetry({"n": 1}, at=DAWN + 60), DAWN + 60))
    known = seen(live(known, beacon(at=DAWN, fiat="GTQ"), DAWN + 60))
    assert seen(see_telemetry(known, telemetry({"n": 2}, at=DAWN + 61), DAWN + 61)).told() == {"n": 2}


def test_never_heard_is_nothing_told() -> None:
    """Nothing is made up."""
    assert (UNSEEN.told(), UNSEEN.beacon.said(), UNSEEN.skew_s) == (None, {}, None)


def test_a_sighting_as_plain_data_and_back() -> None:
    """Whoever keeps it, keeps all of it."""
    known = seen(live(UNSEEN, beacon(at=DAWN, cash_in=True, fees={"cash_in": 5.5}, limits={}), DAWN + 3))
    known = seen(see_telemetry(known, telemetry({"n": 2}, at=DAWN), DAWN))
    for sighting in (known, UNSEEN):
        assert read_sighting(orjson.loads(orjson.dumps(sighting.plain()))) == sighting


@pytest.mark.parametrize("spoilt", [{"beacon": {"cash_in": 1}}, {"beacon": {}, "colour": "red"}])
def test_what_is_no_sighting_is_not_read(spoilt: dict[str, object]) -> None:
    """A mistake of ours shows at once."""
    with pytest.raises((TypeError, ValueError)):
        read_sighting(spoilt)


complete = st.fixed_dictionaries({"cash_in": st.booleans(), "cash_level": st.sampled_from(["low", "high"])})
more = st.fixed_dictionaries({}, optional={"fiat": st.just("GTQ"), "name": st.sampled_from(["one", "two"])})


@given(st.lists(st.tuples(st.integers(0, 3), complete), min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_in_any_order_and_with_any_repeats_the_newest_stays(
    said: list[tuple[int, dict[str, object]]], chance: Random
) -> None:
    """faults.md rows 10-13: what is known of fields that every beacon names depends on no relay's order."""
    words = [beacon(at=DAWN - age, **fields) for age, fields in said]
    newest = max(words, key=lambda given: (given.created_at, -int(given.id, 16)))
    arrivals = words * 2
    chance.shuffle(arrivals)
    known = UNSEEN
    for word in arrivals:
        known = live(known, word, DAWN).sighting
    assert (known.beacon_at, known.beacon_id) == (newest.created_at, newest.id)
    assert known.beacon.said() == orjson.loads(newest.text)


@given(st.lists(st.tuples(st.integers(-1_000, 1_000), more), max_size=6))
@settings(max_examples=100, deadline=None)
def test_whatever_comes_nothing_goes_back_and_nothing_known_is_lost(said: list[tuple[int, dict[str, object]]]) -> None:
    """Dates, hearing, and the set of fields only ever grow."""
    known = UNSEEN
    for turn, (ahead, fields) in enumerate(said):
        now = DAWN + turn
        after = live(known, beacon(at=now + ahead, **fields), now).sighting
        assert after.beacon_at >= known.beacon_at
        assert after.heard_at >= known.heard_at
        assert after.beacon_at <= now + 900
        assert after.beacon.said().keys() >= known.beacon.said().keys()
        known = after
