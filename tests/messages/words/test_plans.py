"""Plan words: fixed mode, alerts and `settle` as people read them, and the notice of a shortage (X9, Q3)."""

from nostrbot.core.atm.facts import LpPaid
from nostrbot.core.atm.records import AlertPlan, FixedPlan
from nostrbot.messages.words.plans import PLAN_WORDS, shortage_notice
from nostrbot.views.plans import alerts_view, fixed_plan_view, fixed_view, settle_view
from tests.houses import House
from tests.views.test_plans import DAWN_OF_DAY, HOUR_S, house_with_fixed_lp


def test_fixed_show() -> None:
    """The plan, today, and what comes next in local time."""
    house = house_with_fixed_lp()
    house.tick(DAWN_OF_DAY + 20 * HOUR_S)
    assert PLAN_WORDS["fixed show"]({"fixed": fixed_view(house.book, house.now)}) == (
        "Fixed mode: at 08:00, 20:00 (America/Guatemala), up to 2000.00 an LP a day.\n"
        "Given on 2026-09-22: ana 900.00 GTQ.\n"
        "Next: 2026-09-23 08:00."
    )


def test_fixed_show_when_it_is_off() -> None:
    """How to turn it on."""
    assert PLAN_WORDS["fixed show"]({"fixed": fixed_view(House.open().book, DAWN_OF_DAY)}) == (
        "Fixed mode is off: `fixed schedule 08:00,20:00` turns it on; up to 2000.00 an LP a day.\n"
        "Given on 2026-09-22: nothing."
    )


def test_fixed_schedule_and_limit() -> None:
    """The plan as it is now, and where to look next."""
    data = {"fixed": fixed_plan_view(House.open().book, FixedPlan(("08:00",), "150"))}
    for verb in ("fixed schedule", "fixed limit"):
        assert PLAN_WORDS[verb](data) == (
            "Fixed mode: at 08:00 (America/Guatemala), up to 150.00 an LP a day. `fixed show` shows what was given "
            "today."
        )


def test_alerts() -> None:
    """Minutes, as they are said."""
    assert PLAN_WORDS["alerts"]({"alerts": alerts_view(AlertPlan())}) == (
        "A machine is down after 3 minutes without a beacon, stuck after 7; a cassette is low under 100 banknotes; "
        "the fleet sheet comes at 07:00."
    )
    assert PLAN_WORDS["alerts"]({"alerts": alerts_view(AlertPlan(sheet=""))}).endswith(
        "no fleet sheet comes by itself."
    )


def test_settle() -> None:
    """Who received what for what, and what is left."""
    house = house_with_fixed_lp()
    fact = house.say("operator", "settle ana 500 machine=m1")
    assert isinstance(fact, LpPaid)
    assert PLAN_WORDS["settle"]({"leg": settle_view(house.book, fact)}) == (
        "ana received 25000 of your sats for 500.00 GTQ at m1 (50 sats per GTQ); 400.00 GTQ left there. Receipt l5."
    )


def test_a_shortage_names_who_and_how_much() -> None:
    """One notice a tick, with the sats that would have been enough; none when all got theirs."""
    house = House.open()
    house.say("operator", "fixed schedule 08:00,20:00")
    house.sell(fiat="24.00")  # 1,200 sats of principal and 75 of fee are its own
    for name in ("ana", "ben", "eva"):
        house.add_lp(name, {"eva": "10"}.get(name, "80"))
        house.say(name, "mode fixed")
    assert shortage_notice(house.tick(DAWN_OF_DAY + 8 * HOUR_S)) == (
        "Fixed mode 08:00: your own sats did not reach ana, ben; 2975 more were needed. The missed payments are due "
        "again at the next time today, if there is one."
    )
    assert shortage_notice(house.tick(DAWN_OF_DAY + 9 * HOUR_S)) is None
    house.sell(fiat="2000.00", tx_type="cash_out", rate="100")
    house.tick(DAWN_OF_DAY + 20 * HOUR_S)
    assert shortage_notice(house.entries[-1].facts) is None


def test_a_shortage_of_very_many_names_the_first() -> None:
    """The notice stays a message people read."""
    house = House.open()
    house.say("operator", "fixed schedule 08:00")
    house.sell(fiat="1.00")
    for place in range(25):
        house.add_lp(f"lp{place}", "100")
        house.say(f"lp{place}", "mode fixed")
    notice = shortage_notice(house.tick(DAWN_OF_DAY + 8 * HOUR_S))
    assert notice is not None
    assert "lp0, lp1, " in notice
    assert "lp19 and 5 others;" in notice
