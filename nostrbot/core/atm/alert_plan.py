"""The alert plan: what an operator wants to be told without asking.

What lives here: the command that changes it. What does not: when an alert is due (messages/alerts.py) and how it is
sent. docs/protocol.md section 6.
"""

from dataclasses import replace
from typing import Any

from nostrbot.core.atm.facts import AlertPlanSet
from nostrbot.core.book import Book
from nostrbot.core.commands.order import Order
from nostrbot.core.commands.refused import Code, CommandRefused
from nostrbot.core.facts import Fact

_SETTABLE = {"down": "down_s", "stuck": "stuck_s", "low": "low_notes", "sheet": "sheet"}


def set_alerts(book: Book, order: Order) -> tuple[Fact, ...] | CommandRefused:
    """Change what is named; naming nothing changes nothing. A machine is down before it is stuck."""
    changes: dict[str, Any] = {_SETTABLE[name]: value for name, value in order.args.items()}
    plan = replace(book.alert_plan, **changes, scheme=order.scheme)
    if plan.stuck_s < plan.down_s:
        down, stuck = plan.down_s // 60, plan.stuck_s // 60
        return CommandRefused(
            Code.BAD_ARGUMENT, f"stuck ({stuck} minutes) must not be sooner than down ({down} minutes)"
        )
    return () if plan == book.alert_plan else (AlertPlanSet(plan),)
