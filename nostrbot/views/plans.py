"""Plan views: fixed mode, alerts, `settle` and what undoes it, as the JSON that people and programs get to see.

What lives here: one function an answer. What does not: their sentences (messages/words/plans.py), other nouns
(views/records.py). docs/protocol.md section 6.
"""

from nostrbot.core.atm.facts import LpPaid, PaymentVoided
from nostrbot.core.atm.fixed import next_slot_at
from nostrbot.core.atm.prices import off_pct
from nostrbot.core.atm.recall import PaidLeg
from nostrbot.core.atm.records import AlertPlan, FixedPlan
from nostrbot.core.book import Book
from nostrbot.core.commands.amounts import show_limit
from nostrbot.core.local_time import local_day
from nostrbot.core.plain import View
from nostrbot.core.rules import RULES
from nostrbot.money import format_minor
from nostrbot.views.records import leg_view

GIVEN_SHOWN_MAX = 200  # some 60 bytes each, so that the view fits in one event


def fixed_view(book: Book, at: int) -> View:
    """Return the plan of fixed mode, today's payments at `at`, and the next time when something is due."""
    day = local_day(book.tz, at)
    today = day == book.fixed_day
    given = book.fixed_given_minor if today else {}
    rows = [
        {"lp": lp, "fiat": format_minor(amount_minor, currency), "currency": currency}
        for (lp, currency), amount_minor in given.items()
    ]
    kept = {
        "day": day,
        "slots": sorted(book.fixed_slots) if today else [],
        "given": rows[:GIVEN_SHOWN_MAX],
        **({"more": True} if len(rows) > GIVEN_SHOWN_MAX else {}),
    }
    return fixed_plan_view(book, book.fixed_plan) | {"today": kept, "next_at": next_slot_at(book, at)}


def fixed_plan_view(book: Book, plan: FixedPlan) -> View:
    """Return a plan of fixed mode; its limit in the form of the book's currencies."""
    limit = show_limit(plan.limit, [machine.fiat for machine in book.machines.values()])
    return {"schedule": list(plan.slots), "limit": limit, "tz": book.tz}


def alerts_view(plan: AlertPlan) -> View:
    """Return an operator's alert plan. `sheet` None: no daily sheet."""
    return {"down_s": plan.down_s, "stuck_s": plan.stuck_s, "low": plan.low_notes, "sheet": plan.sheet or None}


def payment_view(paid: PaidLeg) -> View:
    """Return one leg that is part of no settlement, with where and when it was paid."""
    return {
        **leg_view(paid.leg, settlement=None, currency=paid.currency, rate=paid.rate),
        "machine": paid.machine,
        "slot": paid.slot,
        "at": paid.at,
    }


def void_view(book: Book, fact: PaymentVoided) -> View:
    """Return a leg that is voided, with its machine and the LP's balance there before and after it."""
    (leg,) = fact.voided
    assert leg.lp is not None
    before_minor = book.lps[leg.lp].seats[fact.machine].remaining_minor
    return {
        **leg_view(leg, settlement=None, currency=fact.currency, rate=fact.rate),
        "machine": fact.machine,
        "balance_before": format_minor(before_minor, fact.currency),
        "balance_after": format_minor(before_minor + (leg.fiat_minor or 0), fact.currency),
    }


def settle_view(book: Book, fact: LpPaid) -> View:
    """Return the one leg of `settle`, with its machine, the LP's balance there, and how far off its price is if it is
    far.
    """
    (leg,) = fact.legs
    assert leg.before_minor is not None
    assert leg.after_minor is not None
    off = off_pct(book, fact.machine, fact.rate, RULES)
    return {
        **leg_view(leg, settlement=None, currency=fact.currency, rate=fact.rate),
        "machine": fact.machine,
        "balance_before": format_minor(leg.before_minor, fact.currency),
        "balance_after": format_minor(leg.after_minor, fact.currency),
        **({} if off is None else {"off_pct": off}),
    }
