"""Snapshots: a book as plain data and back, so that a start need not fold all of history.

What lives here: the two directions. What does not: when one is taken and whether it can be trusted (store/). A snapshot
is a cache of the facts before it; the Recall is not part of it.
"""

from typing import Any

from nostrbot.core.atm.counter import Counter, Gap, Stray
from nostrbot.core.atm.records import AlertPlan, Cassette, Deposit, Enrolment, FixedPlan, Machine, Preferences, Split
from nostrbot.core.atm.settlements.facts import SettlementFrozen
from nostrbot.core.atm.states import Direction
from nostrbot.core.atm.till import FeesOff, Rate, Rejection, Till
from nostrbot.core.book import Book, Lp, Moved, Seat
from nostrbot.core.ledger.balances import Balances
from nostrbot.core.payouts.records import Payout, Payouts
from nostrbot.core.plain import plain, reader
from nostrbot.core.platform.facts import OperatorAdded
from nostrbot.nostr.sealing import Scheme

_SCALARS = (
    "bot",
    "key",
    "platform",
    "first_bot",
    "operator",
    "handle",
    "tz",
    "active",
    "opened_at",
    "cash_in_ppm",
    "cash_out_ppm",
    "fee_seq",
    "settlement_count",
    "leg_count",
    "fixed_day",
)
_read_operator = reader(OperatorAdded)
_read_frozen = reader(SettlementFrozen)
_read_machine = reader(Machine)
_read_enrolment = reader(Enrolment)
_read_preferences = reader(Preferences | None)
_read_deposit = reader(Deposit)
_read_splits = reader(tuple[Split, ...])
_read_cassette = reader(Cassette)
_read_fixed_plan = reader(FixedPlan)
_read_alert_plan = reader(AlertPlan)
_read_payout = reader(Payout)


def take_snapshot(book: Book) -> dict[str, Any]:
    """Return the book's whole state as plain data.

    Sums of many amounts are text: JSON's integers end where a rogue machine could take a sum. A book that began when
    sums had no bounds is kept as it is.
    """
    state = {
        **{name: getattr(book, name) for name in _SCALARS},
        "cash_in_sats": str(book.cash_in_sats),
        "operators": [plain(operator) for operator in book.operators.values()],
        "suspended_operators": sorted(book.suspended_operators),
        "operator_keys": book.operator_of_key,
        "former_operators": book.former_operators,
        "former_bots": book.former_bots,
        "freed": book.freed,
        "parties": sorted(book.parties),
        "moved": [[pubkey, *moved] for pubkey, moved in book.moved.items()],
        "rotations": book.rotations,
        "frozen": [plain(fact) for fact in book.frozen.values()],
        "machines": [plain(machine) for machine in book.machines.values()],
        "lps": [
            {
                "handle": lp.handle,
                "pubkey": lp.pubkey,
                "preferences": plain(lp.preferences),
                "brought": plain(lp.brought),
                "preference_seqs": lp.preference_seqs,
                "schemes": lp.schemes,
                "machines": list(lp.seats),
            }
            for lp in book.lps.values()
        ],
        # Enrolment order decides ties, so seats are kept machine by machine in that order; `machines` of an LP is the
        # order of its own enrolments, in which facts and answers name them.
        "seats": [
            [seat.lp, plain(seat.enrolment), str(seat.deposited_minor), str(seat.spent_minor)]
            for seats in book.seats.values()
            for seat in seats
        ],
        "deposits": [plain(deposit) for deposit in book.deposits.values()],
        "splits": [[machine, plain(splits)] for machine, splits in book.splits.items()],
        "balances": [[account, unit, str(amount)] for (account, unit), amount in book.balances.items()],
        "keys": book.machine_of_key,
        "tills": {machine: _plain_till(till) for machine, till in book.tills.items()},
        "fixed_plan": plain(book.fixed_plan),
        "fixed_slots": sorted(book.fixed_slots),
        "fixed_given": [[lp, currency, str(given)] for (lp, currency), given in book.fixed_given_minor.items()],
        "alert_plan": plain(book.alert_plan),
    }
    # A book without payouts is kept as it was before there were any.
    return state if book.payouts == _NO_PAYOUTS else state | {"payouts": _plain_payouts(book.payouts)}


def restore_snapshot(state: dict[str, Any]) -> Book:
    """Restore the book of a snapshot. Raises KeyError, TypeError or ValueError if it is malformed."""
    book = Book(**{name: state[name] for name in _SCALARS})
    book.cash_in_sats = int(state["cash_in_sats"])
    for fields in state["operators"]:
        operator = _read_operator(fields)
        book.operators[operator.operator] = operator
    book.suspended_operators = set(state["suspended_operators"])
    book.operator_of_key = dict(state["operator_keys"])
    book.parties = set(state["parties"])
    book.moved = {pubkey: Moved(*moved) for pubkey, *moved in state["moved"]}
    book.former_operators, book.freed = list(state["former_operators"]), list(state["freed"])
    book.former_bots, book.rotations = list(state["former_bots"]), list(state["rotations"])
    book.frozen = {fact.number: fact for fact in map(_read_frozen, state["frozen"])}
    for fields in state["machines"]:
        machine = _read_machine(fields)
        book.machines[machine.handle] = machine
        book.seats[machine.handle] = []
    for fields in state["lps"]:
        preferences = _read_preferences(fields["preferences"])
        schemes = [(seq, Scheme(scheme)) for seq, scheme in fields["schemes"]]
        brought = _read_preferences(fields["brought"])
        lp = Lp(fields["handle"], fields["pubkey"], preferences, brought, dict(fields["preference_seqs"]), schemes)
        book.lps[lp.handle] = lp
        book.lp_of_key[lp.pubkey] = lp.handle
    for handle, enrolment, deposited_minor, spent_minor in state["seats"]:
        seat = Seat(handle, _read_enrolment(enrolment), int(deposited_minor), int(spent_minor))
        book.lps[handle].seats[seat.enrolment.machine] = seat
        book.seats[seat.enrolment.machine].append(seat)
    for fields in state["lps"]:
        lp = book.lps[fields["handle"]]
        lp.seats = {machine: lp.seats[machine] for machine in fields["machines"]}
    for fields in state["deposits"]:
        deposit = _read_deposit(fields)
        book.deposits[deposit.number] = deposit
    book.splits = {machine: _read_splits(splits) for machine, splits in state["splits"]}
    book.balances = Balances({(account, unit): int(amount) for account, unit, amount in state["balances"]})
    book.machine_of_key = dict(state["keys"])
    book.tills = {machine: _read_till(till) for machine, till in state["tills"].items()}
    book.fixed_plan = _read_fixed_plan(state["fixed_plan"])
    book.fixed_slots = set(state["fixed_slots"])
    book.fixed_given_minor = {(lp, currency): int(given) for lp, currency, given in state["fixed_given"]}
    book.alert_plan = _read_alert_plan(state["alert_plan"])
    if "payouts" in state:
        book.payouts = _read_payouts(state["payouts"])
    return book


_NO_PAYOUTS = Payouts()


def _plain_payouts(payouts: Payouts) -> dict[str, Any]:
    return {
        "is_paused": payouts.is_paused,
        "open": [plain(payout) for payout in payouts.open.values()],
        "closed": [plain(payout) for payout in payouts.closed.values()],
    }


def _read_payouts(state: dict[str, Any]) -> Payouts:
    payouts = Payouts(is_paused=state["is_paused"])
    for payout in map(_read_payout, [*state["open"], *state["closed"]]):
        payouts.note(payout)
    return payouts


def _plain_gaps(gaps: list[Gap]) -> list[list[int]]:
    return [[gap.first, gap.last, gap.at, gap.by] for gap in gaps]


def _read_gaps(gaps: list[list[int]]) -> list[Gap]:
    return [Gap(*gap) for gap in gaps]


def _read_stray(state: list[Any] | None) -> Stray | None:
    return Stray(state[0], state[1], state[2], _read_gaps(state[3])) if state else None


def _plain_till(till: Till) -> dict[str, Any]:
    stray = till.counter.stray
    return {
        "volume_sats": str(till.volume_sats),
        "day": till.day,
        "day_minor": str(till.day_minor),
        "booked_rates": {direction.value: [[*rate] for rate in rates] for direction, rates in till.rates.items()},
        "last_rate": till.last_rate,
        "newest": till.counter.newest,
        "gaps": _plain_gaps(till.counter.gaps),
        "stray": stray and [stray.first, stray.newest, stray.at, _plain_gaps(stray.gaps)],
        "cassettes": [plain(cassette) | {"count": str(cassette.count)} for cassette in till.cassettes.values()],
        "taken": {day: {place: str(notes) for place, notes in taken.items()} for day, taken in till.taken.items()},
        "fees_off": till.fees_off and [*till.fees_off],
        "rejections": [[*rejection] for rejection in till.rejections],
        "held": till.held,
        "told": [till.fees_told_at, till.cassettes_told_at],
    }


def _read_till(state: dict[str, Any]) -> Till:
    cassettes = [_read_cassette(fields | {"count": int(fields["count"])}) for fields in state["cassettes"]]
    fees_told_at, cassettes_told_at = state["told"]
    return Till(
        volume_sats=int(state["volume_sats"]),
        day=state["day"],
        day_minor=int(state["day_minor"]),
        rates={
            Direction(direction): [Rate(*rate) for rate in rates] for direction, rates in state["booked_rates"].items()
        },
        last_rate=state["last_rate"],
        counter=Counter(state["newest"], _read_gaps(state["gaps"]), _read_stray(state["stray"])),
        cassettes={cassette.position: cassette for cassette in cassettes},
        taken={day: {place: int(notes) for place, notes in taken.items()} for day, taken in state["taken"].items()},
        fees_off=FeesOff(*state["fees_off"]) if state["fees_off"] else None,
        rejections=[Rejection(*rejection) for rejection in state["rejections"]],
        held=list(state["held"]),
        fees_told_at=fees_told_at,
        cassettes_told_at=cassettes_told_at,
    )
