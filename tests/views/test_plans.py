"""Plan views: the data of fixed mode, alerts and `settle`."""

import orjson

from nostrbot.core.atm.facts import LpPaid
from nostrbot.core.atm.records import AlertPlan, FixedPlan
from nostrbot.views.plans import GIVEN_SHOWN_MAX, alerts_view, fixed_plan_view, fixed_view, settle_view
from tests.houses import House

DAWN_OF_DAY = 1_790_056_800  # 2026-09-22 00:00 in Guatemala
HOUR_S = 3_600


def house_with_fixed_lp() -> House:
    """Ana, fixed, with 900 GTQ; times 08:00 and 20:00; a day before the first."""
    house = House.open()
    house.say("operator", "fixed schedule 08:00,20:00")
    house.sell()
    house.add_lp("ana", "900")
    house.say("ana", "mode fixed")
    return house


def test_fixed_before_and_after_a_slot() -> None:
    """What was given is of the local day that is asked for; `next_at` is unix seconds."""
    house = house_with_fixed_lp()
    plan = {"schedule": ["08:00", "20:00"], "limit": "2000.00", "tz": "America/Guatemala"}
    assert fixed_view(house.book, DAWN_OF_DAY) == plan | {
        "today": {"day": "2026-09-22", "slots": [], "given": []},
        "next_at": DAWN_OF_DAY + 8 * HOUR_S,
    }
    house.tick(DAWN_OF_DAY + 8 * HOUR_S)
    assert fixed_view(house.book, house.now) == plan | {
        "today": {
            "day": "2026-09-22",
            "slots": ["08:00"],
            "given": [{"lp": "ana", "fiat": "450.00", "currency": "GTQ"}],
        },
        "next_at": DAWN_OF_DAY + 20 * HOUR_S,
    }
    tomorrow = fixed_view(house.book, house.now + 24 * HOUR_S)
    assert tomorrow["today"] == {"day": "2026-09-23", "slots": [], "given": []}


def test_fixed_that_is_off_has_no_next() -> None:
    """None, not a time."""
    book = House.open().book
    assert fixed_view(book, DAWN_OF_DAY)["next_at"] is None
    assert fixed_plan_view(book, FixedPlan(("09:00",), "5")) == {
        "schedule": ["09:00"],
        "limit": "5.00",
        "tz": "America/Guatemala",
    }


def test_a_view_of_very_many_fits_in_one_event() -> None:
    """The first rows, and `more`."""
    house = House.open()
    house.tick(DAWN_OF_DAY)
    house.book.fixed_day = "2026-09-22"
    house.book.fixed_given_minor = {(f"{place:032}", "GTQ"): 10**12 for place in range(1_000)}
    view = fixed_view(house.book, DAWN_OF_DAY)
    assert len(view["today"]["given"]) == GIVEN_SHOWN_MAX
    assert view["today"]["more"] is True
    assert len(orjson.dumps(view)) < 30_000


def test_alerts() -> None:
    """Seconds as they are counted; no sheet is null."""
    assert alerts_view(AlertPlan()) == {"down_s": 180, "stuck_s": 420, "low": 100, "sheet": "07:00"}
    assert alerts_view(AlertPlan(60, 60, 0, ""))["sheet"] is None


def test_settle_shows_its_leg() -> None:
    """A leg as everywhere, of no settlement, with where it was and what is left."""
    house = house_with_fixed_lp()
    fact = house.say("operator", "settle ana 500 machine=m1")
    assert isinstance(fact, LpPaid)
    assert settle_view(house.book, fact) == {
        "id": "l5",
        "settlement": None,
        "type": "settlement",
        "lp": "ana",
        "sats": 25_000,
        "fiat": "500.00",
        "currency": "GTQ",
        "rate": "50",
        "status": "completed",
        "reason": None,
        "machine": "m1",
        "balance_before": "900.00",
        "balance_after": "400.00",
    }
