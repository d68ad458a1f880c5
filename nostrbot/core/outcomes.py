"""Outcomes: what a command that changes a book came to, as the data of its answer.

What lives here: facts -> data. What does not: sentences (core/replies.py), questions (reading.py). Made from the facts
and from what they do not change, so a preview shows exactly what the command itself would answer.
"""

from nostrbot.core.book import ROOT, Book
from nostrbot.core.commands import Command, Role
from nostrbot.core.facts import (
    DepositChanged,
    Fact,
    LpEnrolled,
    LpSwitched,
    MachineAdded,
    MachineChanged,
    OperatorAdded,
    OperatorSwitched,
    PlatformFeeSet,
    PreferencesSet,
    SplitsSet,
)
from nostrbot.core.platform import find_operator
from nostrbot.core.records import Preferences
from nostrbot.core.views import (
    View,
    deposit_view,
    lp_view,
    machine_view,
    operator_view,
    platform_view,
    split_view,
)


def outcome_view(
    book: Book, author: str, command: Command, facts: tuple[Fact, ...], *, carried: Preferences | None = None
) -> View:
    """The data of a command's answer, in the book it was decided for; no facts: things are already as was asked.

    `carried`: what an LP that is enrolled here has chosen elsewhere, and brings with it.
    """
    return _of_fact(book, facts[0], carried) if facts else _as_it_is(book, author, command)


def _of_fact(book: Book, fact: Fact, carried: Preferences | None) -> View:
    match fact:
        case OperatorAdded():
            return {"operator": operator_view(fact, active=True)}
        case OperatorSwitched():
            return {"operator": operator_view(book.operators[fact.operator], active=fact.active)}
        case PlatformFeeSet():
            return {"platform": platform_view(fact.cash_in_ppm, fact.cash_out_ppm, len(book.operators))}
        case MachineAdded() | MachineChanged():
            return {"machine": machine_view(fact.machine)}
        case LpEnrolled():
            return {"lp": lp_view(book, fact.lp, fact.pubkey, enrolments=(fact.enrolment,), preferences=carried)}
        case LpSwitched():
            return {"lp": lp_view(book, fact.lp, book.lps[fact.lp].pubkey, enrolments=fact.enrolments)}
        case PreferencesSet():
            return {"lp": lp_view(book, fact.lp, book.lps[fact.lp].pubkey, preferences=fact.preferences)}
        case DepositChanged():
            return {"deposit": deposit_view(fact.deposit)}
        case SplitsSet():
            own = splits_view(book, fact.machine)
            if fact.splits:
                own |= {"splits": [split_view(rule) for rule in fact.splits], "source": "own"}
            elif fact.machine is not None:
                own = splits_view(book, None) | {"machine": fact.machine, "source": "default"}
            return own
    raise TypeError(f"no command decides {type(fact).__name__}")


def _as_it_is(book: Book, author: str, command: Command) -> View:
    args = command.args
    noun = command.verb.split()[0]
    if noun == "platform":
        return {"platform": platform_view(book.cash_in_ppm, book.cash_out_ppm, len(book.operators))}
    if command.form.role is Role.LP:
        handle = book.lp_of_key[author]
        return {"lp": lp_view(book, handle, author)}
    if noun == "machine":
        return {"machine": machine_view(book.machines[args["machine"]])}
    if noun == "lp":
        return {"lp": lp_view(book, args["lp"], book.lps[args["lp"]].pubkey)}
    if noun == "deposit":
        return {"deposit": deposit_view(book.deposits[args["deposit"]])}
    if noun == "splits":
        return splits_view(book, args.get("machine"))
    operator = find_operator(book, args["name"]) if book.key == ROOT else None
    assert operator is not None, f"{command.verb} always decides something else"
    return {"operator": operator_view(operator, active=operator.operator not in book.suspended_operators)}


def splits_view(book: Book, machine: str | None) -> View:
    """The commission splits in force for a machine, or the operator's default, and where they come from."""
    own = book.splits.get(machine)
    rules = book.splits_in_force(machine) if machine is not None else (own or ())
    source = "own" if own or machine is None else "default"
    return {"machine": machine, "source": source, "splits": [split_view(rule) for rule in rules]}
