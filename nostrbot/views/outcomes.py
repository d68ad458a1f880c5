"""Outcomes: what a command that changes a book came to, as the data of its answer.

What lives here: facts -> data. What does not: sentences (messages/replies.py), questions (reading/). Made from the
facts and from what they do not change, so a preview shows exactly what the command itself would answer.
"""

from nostrbot.core.atm.dossier import Dossier, as_it_stands
from nostrbot.core.atm.facts import (
    AlertPlanSet,
    CassettesCounted,
    CassetteSet,
    CassettesPublished,
    DepositChanged,
    FixedPlanSet,
    GapsDismissed,
    LpEnrolled,
    LpPaid,
    LpSwitched,
    MachineAdded,
    MachineChanged,
    MachineCompromised,
    MachineFreed,
    PartyMoved,
    PaymentVoided,
    PlatformFeeSet,
    PreferencesSet,
    SplitsSet,
)
from nostrbot.core.atm.gaps import counter_after
from nostrbot.core.atm.prices import sale_off_pct
from nostrbot.core.atm.settlements.facts import SettlementChange, SettlementProcessed
from nostrbot.core.atm.settlements.moves import next_step
from nostrbot.core.atm.states import SettlementStatus
from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands.command import Command
from nostrbot.core.commands.specs import BY_LP
from nostrbot.core.facts import Fact
from nostrbot.core.payouts.facts import PayoutChange
from nostrbot.core.plain import View
from nostrbot.core.platform.facts import OperatorAdded, OperatorReplaced, OperatorSwitched
from nostrbot.core.platform.operators import find_operator
from nostrbot.core.rules import RULES
from nostrbot.views.fitting import rows_that_fit, view_bytes
from nostrbot.views.machines import cassette_outcome, cassette_view, compromise_view, missing_view
from nostrbot.views.payouts import payout_view
from nostrbot.views.plans import alerts_view, fixed_plan_view, settle_view, void_view
from nostrbot.views.records import (
    deposit_view,
    freed_view,
    leg_views,
    lp_view,
    machine_view,
    operator_view,
    platform_view,
    settlement_view,
    split_view,
)

# A settlement added without a payment hash has the command's id as its hash.
NOT_REPORTED = (
    "if the machine still reports this sale, it is booked twice: give `payment_hash=` next time; `settlement refund` "
    "undoes one of them"
)

# A person who replaces a stolen key must hear when the new key is the old one.
GIVES_A_KEY = ("machine rotate", "operator replace")


def outcome_view(book: Book, author: str, command: Command, facts: tuple[Fact, ...], *, at: int) -> View:
    """Return the data of a command's answer, in the book it was decided for `at`; without facts nothing had to
    change.
    """
    if not facts:
        return _as_it_is(book, author, command) | ({"unchanged": True} if command.verb in GIVES_A_KEY else {})
    if isinstance(facts[0], SettlementProcessed | SettlementChange):
        added = _off_pct(book, facts[0]) if command.verb == "settlement add" else {}
        return {"settlement": _settlement_after(book, facts, at) | added}
    if isinstance(facts[0], MachineCompromised):
        changed = [fact.machine for fact in facts if isinstance(fact, MachineChanged)]
        machine = changed[0] if changed else book.machines[facts[0].machine]
        return compromise_view(book, machine, facts[0].since, facts)
    view = _of_fact(book, facts[0])
    if isinstance(facts[0], LpEnrolled):
        view["lp"]["sats"] += sum(fact.sats for fact in facts if isinstance(fact, PartyMoved))
    return view


def _off_pct(book: Book, born: Fact) -> View:
    """Return how far a typed rate is off the usual rate, if it is far: `3.250` may have been meant as 3250."""
    if not isinstance(born, SettlementProcessed):
        return {}
    off = sale_off_pct(book, born.machine, born.sale.direction, born.sale.rate, RULES)
    return {} if off is None else {"off_pct": off}


def _settlement_after(book: Book, facts: tuple[Fact, ...], at: int) -> View:
    """Return a settlement as it will stand with these facts."""
    first = facts[0]
    assert isinstance(first, SettlementProcessed | SettlementChange)
    dossier = book.recall.dossiers.get(first.number)
    if dossier is None:
        assert isinstance(first, SettlementProcessed), "only a birth has nothing before it"
        dossier, facts = Dossier(first, 0, at), facts[1:]
    for fact in facts:
        if isinstance(fact, PartyMoved):  # of the settlement itself it changes nothing
            continue
        assert isinstance(fact, SettlementProcessed | SettlementChange)
        dossier = dossier.followed_by(fact, at)
    view = show_settlement(dossier)
    is_undone = view["status"] == SettlementStatus.REFUNDED
    if dossier.birth.sale.payment_hash == dossier.birth.event_id and not is_undone:
        view["next"] = NOT_REPORTED
    return view


def show_settlement(dossier: Dossier, *, after: int = 0) -> View:
    """Return a settlement as it stands, with its legs after leg number `after`: as many as fit in one answer.

    `more` and `after` tell how to get the rest; `next` is the next safe step for one that is in trouble.
    """
    settlement = as_it_stands(dossier)
    view = settlement_view(settlement, entry=dossier.seq or None, entry_hash=dossier.hash)
    if settlement.is_frozen or settlement.status not in (SettlementStatus.PROCESSED, SettlementStatus.REFUNDED):
        view["next"] = next_step(settlement)
    left = [leg for leg in settlement.legs if leg.number > after]
    legs = rows_that_fit(leg_views(settlement, left), used_bytes=view_bytes(view))
    view["legs"] = legs
    return view if len(legs) == len(left) else view | {"more": True, "after": f"l{left[len(legs) - 1].number}"}


def _of_fact(book: Book, fact: Fact) -> View:
    match fact:
        case OperatorAdded():
            return {"operator": operator_view(fact, fact.operator, active=True)}
        case OperatorSwitched():
            pubkey = book.key_in_force(fact.operator)
            return {"operator": operator_view(book.operators[fact.operator], pubkey, active=fact.active)}
        case OperatorReplaced():
            active = fact.operator not in book.suspended_operators
            return {"operator": operator_view(book.operators[fact.operator], fact.pubkey, active=active)}
        case PlatformFeeSet():
            return {"platform": platform_view(fact.cash_in_ppm, fact.cash_out_ppm, len(book.operators))}
        case MachineFreed():
            return {"machine": freed_view(book, fact.pubkey)}
        case MachineAdded() | MachineChanged():
            return {"machine": machine_view(fact.machine)}
        case LpEnrolled():
            return {"lp": lp_view(book, fact.lp, fact.pubkey, enrolments=(fact.enrolment,))}
        case LpSwitched():
            return {"lp": lp_view(book, fact.lp, book.lps[fact.lp].pubkey, enrolments=fact.enrolments)}
        case PreferencesSet():
            return {"lp": lp_view(book, fact.lp, book.lps[fact.lp].pubkey, preferences=fact.preferences)}
        case DepositChanged():
            return {"deposit": deposit_view(fact.deposit)}
        case SplitsSet():
            return _splits_after(book, fact)
        case _:
            return _of_running(book, fact)


def _of_running(book: Book, fact: Fact) -> View:
    """Return the result of a command about running things: cassettes, plans, paying by hand."""
    match fact:
        case CassetteSet() | CassettesCounted() | CassettesPublished():
            return cassette_outcome(fact)
        case GapsDismissed():
            return missing_view(fact.machine, counter_after(book.tills[fact.machine].counter, fact))
        case FixedPlanSet():
            return {"fixed": fixed_plan_view(book, fact.plan)}
        case AlertPlanSet():
            return {"alerts": alerts_view(fact.plan)}
        case LpPaid():
            return {"leg": settle_view(book, fact)}
        case PaymentVoided():
            return {"leg": void_view(book, fact)}
    if isinstance(fact, PayoutChange):
        return {"payout": payout_view(fact.payout)}
    raise TypeError(f"no command decides {type(fact).__name__}")


def _splits_after(book: Book, fact: SplitsSet) -> View:
    if fact.splits:
        own = {"splits": [split_view(rule) for rule in fact.splits], "source": "own"}
        return splits_view(book, fact.machine) | own
    if fact.machine is not None:
        return splits_view(book, None) | {"machine": fact.machine, "source": "default"}
    return splits_view(book, None)


def _as_it_is(book: Book, author: str, command: Command) -> View:
    args = command.args
    noun = command.verb.split()[0]
    if noun == "platform":
        return {"platform": platform_view(book.cash_in_ppm, book.cash_out_ppm, len(book.operators))}
    if command.spec.roles == BY_LP:
        handle = book.lp_of_key[author]
        return {"lp": lp_view(book, handle, author)}
    if command.verb == "machine compromised":
        return compromise_view(book, book.machines[args["machine"]], args["since"], ())
    if command.verb == "gap dismiss":
        return missing_view(args["machine"], book.tills[args["machine"]].counter)
    if noun in ("machine", "guard"):
        is_free = command.verb == "machine free"
        return {"machine": freed_view(book, args["npub"]) if is_free else machine_view(book.machines[args["machine"]])}
    if noun == "cassette":
        cassette = book.tills[args["machine"]].cassettes[args["position"]]
        return {"cassette": cassette_view(cassette), "machine": args["machine"]}
    if noun == "fixed":
        return {"fixed": fixed_plan_view(book, book.fixed_plan)}
    if noun == "alerts":
        return {"alerts": alerts_view(book.alert_plan)}
    if noun == "lp":
        return {"lp": lp_view(book, args["lp"], book.lps[args["lp"]].pubkey)}
    if noun == "deposit":
        return {"deposit": deposit_view(book.deposits[args["deposit"]])}
    if noun == "splits":
        return splits_view(book, args.get("machine"))
    operator = find_operator(book, args["name"]) if book.key == ROOT else None
    assert operator is not None, f"{command.verb} always decides something else"
    active = operator.operator not in book.suspended_operators
    return {"operator": operator_view(operator, book.key_in_force(operator.operator), active=active)}


def splits_view(book: Book, machine: str | None) -> View:
    """Return the commission splits in force for a machine, or the operator's default, and where they come from."""
    own = book.splits.get(machine)
    rules = book.splits_in_force(machine) if machine is not None else (own or ())
    source = "own" if own or machine is None else "default"
    return {"machine": machine, "source": source, "splits": [split_view(rule) for rule in rules]}
