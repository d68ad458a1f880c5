"""The ATM desk: machines, LPs and their cash, sales and what becomes of them.

What lives here: what it brings to every book, in one place. What does not: what each part does (the modules beside
this).
"""

from nostrbot.core.atm import (
    alert_plan,
    cassettes,
    deposits,
    fixed,
    gaps,
    own_sats,
    parties,
    payments,
    platform_fee,
    registry,
    reports,
    splits,
)
from nostrbot.core.atm.booking import BOOKING
from nostrbot.core.atm.bounds import refuse_outgrown
from nostrbot.core.atm.evolution import EVOLUTION
from nostrbot.core.atm.lp_commands import LP_SPECS
from nostrbot.core.atm.operator_commands import OPERATOR_SPECS
from nostrbot.core.atm.platform_commands import PLATFORM_SPECS
from nostrbot.core.atm.settlements import compromise, guards, manual, worklist
from nostrbot.core.book import Book, check_seats
from nostrbot.core.desk import Desk
from nostrbot.core.facts import Fact
from nostrbot.core.rules import SOUND
from nostrbot.nostr import kinds


def _due(book: Book, at: int, rules: int) -> tuple[Fact, ...]:
    """Return the sats that wait for keys which now have an owner, or else the slots of fixed mode that are due."""
    moves = parties.due_moves(book) if rules >= SOUND else ()
    return moves or fixed.decide_slots(book, at, rules)


ATM = Desk(
    name="atm",
    specs=(*PLATFORM_SPECS, *OPERATOR_SPECS, *LP_SPECS),
    deciders={
        "operator replace": parties.replace_operator,
        "platform fee": platform_fee.set_platform_fee,
        "machine add": registry.add_machine,
        "machine set": registry.set_machine,
        "machine suspend": registry.switch_machine,
        "machine resume": registry.switch_machine,
        "machine rotate": registry.rotate_machine,
        "machine compromised": compromise.declare_compromised,
        "gap dismiss": gaps.dismiss_gaps,
        "machine free": registry.free_machine,
        "guard": guards.set_guard,
        "cassette set": cassettes.set_cassette,
        "cassette count": cassettes.count_cassettes,
        "cassette publish": cassettes.publish_cassettes,
        "lp add": parties.enrol,
        "lp suspend": registry.switch_lp,
        "lp resume": registry.switch_lp,
        "join": registry.set_preferences,
        "mode": registry.set_preferences,
        "pause": registry.set_preferences,
        "resume": registry.set_preferences,
        "forward": registry.set_preferences,
        "deposit add": deposits.add_deposit,
        "deposit edit": deposits.edit_deposit,
        "deposit confirm": deposits.confirm_deposit,
        "deposit cancel": deposits.cancel_deposit,
        "deposit reverse": deposits.reverse_deposit,
        "settlement note": worklist.note_settlement,
        "settlement release": worklist.release_settlement,
        "settlement reset": worklist.reset_settlement,
        "settlement retry": worklist.retry_settlement,
        "settlement partial": parties.correct,
        "settlement refund": parties.refund,
        "settlement add": manual.add_settlement,
        "splits set": splits.set_splits,
        "splits clear": splits.clear_splits,
        "settle": own_sats.settle_lp,
        "payment void": payments.void_payment,
        "fixed schedule": fixed.set_schedule,
        "fixed limit": fixed.set_limit,
        "alerts": alert_plan.set_alerts,
    },
    hearers={kinds.SETTLEMENT: reports.decide_report, kinds.MACHINE_STATE: reports.decide_machine_state},
    due=_due,
    bound=refuse_outgrown,
    evolution=EVOLUTION,
    booking=BOOKING,
    check=check_seats,
)
